//! Starts everything, and ends it.

use crate::{
    Error, Handover, User,
    gateway::Gateway,
    live::{Lines, Observer},
    seed::{self, Seeded},
};
use common::{Aws, Config, Deps, SystemClock, authorizer::Authorizer};
use emulators::{
    DirLock, Dynamo, Endpoints, Kms, MiniStack, MiniStackOptions, Overrides, Provisioned, Storage, Template, Which, provision,
};
use identity::authorizer::CognitoAuthorizer;
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

/// How long open requests may take to finish once the stack is told to stop.
const GRACE: Duration = Duration::from_millis(500);
/// AWS deletes expired items within days; here it is done this often.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Where the stack keeps what it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// In this directory, made if missing, for the next run.
    Kept(PathBuf),
    /// Nowhere: all is gone when stopped.
    Ephemeral,
}

/// How a stack is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// On 127.0.0.1; 0 is any free one.
    pub port: u16,
    pub data: Data,
    /// Whether there are to be tenants and users.
    pub seed: bool,
    /// The users' password. By default the kept one, or a generated one.
    pub password: Option<String>,
    /// Origins whose pages may call, instead of the template's.
    pub origins: Vec<String>,
    /// Is told, in a sentence, what a start is busy with.
    pub progress: fn(&str),
    pub observer: Option<Arc<dyn Observer>>,
}

impl Default for Options {
    /// For tests: any port, nothing kept, seeded, silent but for a first run's progress.
    fn default() -> Self {
        Self {
            port: 0,
            data: Data::Ephemeral,
            seed: true,
            password: None,
            origins: Vec::new(),
            progress: |line| eprintln!("{line}"),
            observer: None,
        }
    }
}

/// A running stack. Dropping it ends it too, less gently: end it with [`Stack::stop`].
#[derive(Debug)]
pub struct Stack {
    address: SocketAddr,
    dir: PathBuf,
    handover: Handover,
    emulators: Emulators,
    gateway: Serving,
    sweeper: JoinHandle<()>,
    /// Given back last.
    _held: Held,
}

/// The directory, for this process alone.
#[derive(Debug)]
enum Held {
    Kept { _lock: DirLock },
    Ephemeral { _dir: tempfile::TempDir },
}

impl Stack {
    /// Starts the emulators, makes what the template declares, seeds, and serves.
    ///
    /// # Errors
    /// [`Error::PortInUse`] and [`Error::DataDirInUse`], before anything is started; otherwise what failed.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let listener = listen(options.port).await?;
        let address = listener.local_addr().map_err(Error::io("read the port"))?;
        let (dir, held) = hold(&options.data)?;
        let emulators = Emulators::start(&dir, &options).await?;
        let (handover, gateway) = match emulators.open(&options, &dir, address).await {
            Ok(ready) => ready,
            Err(error) => {
                // What the emulators keep is whole again before the directory is let go.
                stop(emulators).await?;
                return Err(error);
            }
        };
        let gateway = Serving::start(listener, gateway);
        let sweeper = emulators.sweep();
        Ok(Self { address, dir, handover, emulators, gateway, sweeper, _held: held })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> &str {
        &self.handover.base_url
    }
    pub fn address(&self) -> SocketAddr {
        self.address
    }
    /// The environment of a function: where the emulators are, and what the template says.
    pub fn env(&self) -> &BTreeMap<String, String> {
        &self.handover.env
    }
    pub fn users(&self) -> &[User] {
        &self.handover.users
    }
    /// The users' password; nothing where there was no seed.
    pub fn password(&self) -> Option<&str> {
        self.handover.password.as_deref()
    }
    /// Where `dev.json` and `env` are, and the data while it is kept.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
    pub fn handover(&self) -> &Handover {
        &self.handover
    }
    /// The process id of the emulator that is not in this process.
    pub fn child_id(&self) -> u32 {
        self.emulators.ministack.id()
    }

    /// Ends everything that was started, within five seconds, and saves what is kept.
    ///
    /// # Errors
    /// [`Error::Emulator`] if the child process cannot be waited for.
    pub async fn stop(self) -> Result<(), Error> {
        self.sweeper.abort();
        // It holds the tables open.
        let _ = self.sweeper.await;
        self.gateway.stop().await;
        Handover::remove(&self.dir);
        stop(self.emulators).await
    }
}

async fn stop(emulators: Emulators) -> Result<(), Error> {
    tokio::task::spawn_blocking(|| emulators.stop()).await.map_err(|_| Error::Ended("the emulators' end"))?
}

/// The port comes first: a second instance is told before it has started anything.
async fn listen(port: u16) -> Result<TcpListener, Error> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => Error::PortInUse(address),
        _ => Error::io(format!("listen on {address}"))(source),
    })
}

fn hold(data: &Data) -> Result<(PathBuf, Held), Error> {
    match data {
        Data::Kept(dir) => match DirLock::try_take(dir) {
            Ok(lock) => Ok((dir.clone(), Held::Kept { _lock: lock })),
            Err(emulators::Error::InUse(dir)) => Err(Error::DataDirInUse(dir)),
            Err(other) => Err(other.into()),
        },
        Data::Ephemeral => {
            let dir = tempfile::Builder::new().prefix("cloister-").tempdir().map_err(Error::io("make a temporary directory"))?;
            Ok((dir.path().to_owned(), Held::Ephemeral { _dir: dir }))
        }
    }
}

fn handover(address: SocketAddr, env: BTreeMap<String, String>, seeded: Option<Seeded>) -> Handover {
    let base_url = format!("http://{address}");
    let Seeded { tenants, users, password, .. } = match seeded {
        Some(seeded) => seeded,
        None => return Handover { base_url, password: None, tenants: BTreeMap::new(), users: Vec::new(), env },
    };
    Handover { base_url, password: Some(password), tenants, users, env }
}

#[derive(Debug)]
struct Emulators {
    dynamo: Arc<Dynamo>,
    kms: Kms,
    ministack: MiniStack,
}

impl Emulators {
    /// The child process takes longest, so the others start beside it.
    async fn start(dir: &Path, options: &Options) -> Result<Self, Error> {
        let kept = matches!(options.data, Data::Kept(_)).then(|| dir.to_owned());
        let ministack = MiniStackOptions { data_dir: kept.as_ref().map(|dir| dir.join("aws")), progress: options.progress };
        let ministack = tokio::task::spawn_blocking(move || MiniStack::start(&ministack));
        let storage = kept.as_ref().map_or(Storage::Memory, |dir| Storage::File(dir.join("tables.sqlite")));
        let dynamo = Dynamo::start(storage);
        let kms = Kms::start(kept.map(|dir| dir.join("kms.json")));
        let ministack = ministack.await.map_err(|_| Error::Ended("the AWS emulator's start"))??;
        Ok(Self { dynamo: Arc::new(dynamo?), kms: kms?, ministack })
    }

    /// Makes what the template declares, seeds, and tells the other tools; what is left is to serve.
    async fn open(
        &self,
        options: &Options,
        dir: &Path,
        address: SocketAddr,
    ) -> Result<(Handover, Gateway<CognitoAuthorizer>), Error> {
        let (deps, lines, env, authorizer) = self.wire(options).await?;
        let deps = Arc::new(deps);
        let seeded = match options.seed {
            true => Some(seed::seed(&deps, dir, options.password.as_deref(), options.progress).await?),
            false => None,
        };
        let handover = handover(address, env, seeded);
        handover.write(dir)?;
        Ok((handover, Gateway::new(deps, authorizer, registry::all(), lines)))
    }

    /// Makes the template's resources, and what every request shares.
    async fn wire(&self, options: &Options) -> Result<(Deps, Arc<Lines>, BTreeMap<String, String>, CognitoAuthorizer), Error> {
        let mut overrides = Overrides::new();
        if !options.origins.is_empty() {
            overrides.insert("AllowedOrigins".to_owned(), options.origins.join(","));
        }
        let template = concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml");
        let template = Template::load_with(Path::new(template), &overrides).map_err(emulators::Error::from)?;
        let endpoints =
            Endpoints { dynamodb: self.dynamo.endpoint(), kms: self.kms.endpoint(), other: Some(self.ministack.endpoint()) };
        let env = environment(provision(&template, &endpoints, Which::Everything).await?, &endpoints);
        let config = Config::from_env(env.clone()).map_err(|e| Error::Config(e.to_string()))?;
        let aws = Aws::from_env(env.clone());
        let authorizer = CognitoAuthorizer::new(&config, &aws);
        let lines = Arc::new(Lines::new(options.observer.clone()));
        let deps = Deps::new(config, &aws, Arc::new(SystemClock), lines.clone()).map_err(Error::Config)?;
        Ok((deps.with_cognito(&aws), lines, env, authorizer))
    }

    fn sweep(&self) -> JoinHandle<()> {
        let dynamo = self.dynamo.clone();
        tokio::spawn(async move {
            let mut every = tokio::time::interval(SWEEP_EVERY);
            loop {
                every.tick().await;
                let dynamo = dynamo.clone();
                let swept = tokio::task::spawn_blocking(move || dynamo.delete_expired()).await;
                if let Ok(Err(error)) = swept {
                    eprintln!("deleting expired items: {error}");
                }
            }
        })
    }

    /// All at the same time: each may take a while to let go of open connections, or to save.
    fn stop(self) -> Result<(), Error> {
        let Self { dynamo, kms, ministack } = self;
        let ended = std::thread::scope(|threads| {
            threads.spawn(|| kms.stop());
            threads.spawn(|| Arc::into_inner(dynamo).map(Dynamo::stop));
            ministack.stop()
        });
        Ok(ended?)
    }
}

/// A function's environment. The emulators take any credentials.
fn environment(provisioned: Provisioned, endpoints: &Endpoints) -> BTreeMap<String, String> {
    let mut env = provisioned.env;
    let mut set = |name: &str, value: &str| drop(env.insert(name.to_owned(), value.to_owned()));
    set("AWS_REGION", emulators::REGION);
    set("AWS_ACCESS_KEY_ID", "local");
    set("AWS_SECRET_ACCESS_KEY", "local");
    set("AWS_ENDPOINT_URL_DYNAMODB", &endpoints.dynamodb);
    set("AWS_ENDPOINT_URL_KMS", &endpoints.kms);
    if let Some(other) = &endpoints.other {
        set("AWS_ENDPOINT_URL", other);
    }
    env
}

/// The gateway, being served.
#[derive(Debug)]
struct Serving {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Serving {
    fn start<A: Authorizer>(listener: TcpListener, gateway: Gateway<A>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let service = gateway.into_router().into_make_service_with_connect_info::<SocketAddr>();
        let task = tokio::spawn(async move {
            let until = async move {
                // A dropped sender means the same as a message.
                let _ = stopped.await;
            };
            if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(until).await {
                eprintln!("gateway: {error}");
            }
        });
        Self { stop, task }
    }

    async fn stop(mut self) {
        // Where nobody hears it, the server has ended already.
        let _ = self.stop.send(());
        if tokio::time::timeout(GRACE, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}
