//! Starts and stops the stack.

use crate::{
    Carrier, Error, Handover, User,
    background::{self, Background, Bell},
    calls::Calls,
    carrier, digests,
    gateway::Gateway,
    live::{Lines, Observer},
    mailbox,
    operators::Operators,
    roles::Roles,
    seed::{self, Seeded},
    sockets::{self, Registered, Sockets},
};
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use axum::Router;
use common::{
    aws::Aws,
    base::{Config, SystemClock},
    request::{Deps, authorizer::Authorizer},
};
use emulators::{
    DirLock, Dynamo, Endpoints, Kms, MiniStack, MiniStackOptions, Overrides, Provisioned, Storage, Template, Which,
    iam::{Gate, Guarded},
    provision,
};
use identity::authorizer::CognitoAuthorizer;
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

/// How long open requests may take after a stop.
const GRACE: Duration = Duration::from_millis(500);
/// AWS deletes expired items within days; here it happens at this interval.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// The place of the stack's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// In this directory, created if missing, for the next run.
    Kept(PathBuf),
    /// In memory; lost when stopped.
    Ephemeral,
}

/// Options of a stack.
#[derive(Clone, Debug)]
pub struct Options {
    /// The port on 127.0.0.1; 0 is any free one.
    pub port: u16,
    pub data: Data,
    /// Whether to create tenants and users.
    pub seed: bool,
    /// The users' password. By default the stored one, or a generated one.
    pub password: Option<String>,
    /// Origins of pages that may call, instead of the template's.
    pub origins: Vec<String>,
    /// Receives the steps of the start, a sentence each.
    pub progress: fn(&str),
    pub observer: Option<Arc<dyn Observer>>,
    pub carrier: Carrier,
    /// The speed of schedules, sockets' ages and retries relative to real time; 1 or more.
    pub time_scale: u32,
    /// The delay of the tables' indexes after a write.
    pub index_lag: Duration,
}

impl Default for Options {
    /// For tests: any port, no stored data, seeded, silent except for a first run's progress.
    fn default() -> Self {
        Self {
            port: 0,
            data: Data::Ephemeral,
            seed: true,
            password: None,
            origins: Vec::new(),
            progress: |line| eprintln!("{line}"),
            observer: None,
            carrier: Carrier::StandIn { speed: None },
            time_scale: 1,
            index_lag: Duration::ZERO,
        }
    }
}

/// A running stack. Dropping it stops it too, without waiting: prefer [`Stack::stop`].
#[derive(Debug)]
pub struct Stack {
    address: SocketAddr,
    dir: PathBuf,
    emulators: Emulators,
    running: Running,
    gateway: Serving,
    sweeper: JoinHandle<()>,
    /// Released last.
    _held: DataDir,
}

/// The parts that run besides the gateway.
#[derive(Debug)]
struct Running {
    handover: Handover,
    background: Background,
    sockets: sockets::Ending,
    carrier: carrier::Running,
    operators: Operators,
    gate: Arc<Gate>,
}

/// Locks the directory for this process.
#[derive(Debug)]
enum DataDir {
    Kept { _lock: DirLock },
    Ephemeral { _dir: tempfile::TempDir },
}

impl Stack {
    /// Starts the emulators, creates the template's resources, seeds, and serves.
    ///
    /// # Errors
    /// [`Error::PortInUse`] and [`Error::DataDirInUse`], before anything is started; otherwise the failure.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let listener = listen(options.port).await?;
        let address = listener.local_addr().map_err(Error::io("read the port"))?;
        let (dir, held) = hold(&options.data)?;
        let emulators = Emulators::start(&dir, &options).await?;
        let (running, routes) = match emulators.open(&options, &dir, address).await {
            Ok(ready) => ready,
            Err(error) => {
                // Release the directory only after the emulators have saved their data.
                stop(emulators).await?;
                return Err(error);
            }
        };
        let gateway = Serving::start(listener, routes);
        let sweeper = emulators.sweep();
        Ok(Self { address, dir, emulators, running, gateway, sweeper, _held: held })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> &str {
        &self.running.handover.base_url
    }
    /// Whether UPS itself is called, not the emulator.
    pub fn asks_ups(&self) -> bool {
        matches!(self.running.carrier, carrier::Running::Real { .. })
    }
    pub fn address(&self) -> SocketAddr {
        self.address
    }
    /// The environment of a function: the emulators' addresses, and the template's settings.
    pub fn env(&self) -> &BTreeMap<String, String> {
        &self.running.handover.env
    }
    pub fn users(&self) -> &[User] {
        &self.running.handover.users
    }
    /// The users' password; `None` without a seed.
    pub fn password(&self) -> Option<&str> {
        self.running.handover.password.as_deref()
    }
    /// The directory of `dev.json` and `env`, and of stored data.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
    pub fn handover(&self) -> &Handover {
        &self.running.handover
    }
    /// An output of the root template.
    ///
    /// # Errors
    /// [`Error::Config`] if there is no such output.
    pub fn output(&self, name: &str) -> Result<String, Error> {
        self.running.gate.output(name).map_err(|e| Error::Config(e.to_string()))
    }
    /// The process id of the emulator that is not in this process.
    pub fn child_id(&self) -> u32 {
        self.emulators.ministack.id()
    }

    /// Stops all parts within five seconds, and saves stored data.
    ///
    /// # Errors
    /// [`Error::Emulator`] if the child process cannot be waited for; [`Error::Refused`] if IAM would have refused a call of a function.
    pub async fn stop(self) -> Result<(), Error> {
        self.sweeper.abort();
        // It uses the tables.
        let _ = self.sweeper.await;
        // Closing sockets call their functions, and functions still call the gateway, which therefore ends last of these.
        let Running { background, sockets, carrier, operators, gate, .. } = self.running;
        tokio::join!(background.stop(), sockets.stop());
        tokio::join!(self.gateway.stop(), carrier.forget_account());
        Handover::remove(&self.dir);
        let (ended, (), ()) = tokio::join!(stop(self.emulators), carrier.stop(), operators.stop());
        let refused: Vec<_> = gate.take_refused().iter().map(ToString::to_string).collect();
        ended.and(if refused.is_empty() { Ok(()) } else { Err(Error::Refused(refused.join("\n"))) })
    }
}

async fn stop(emulators: Emulators) -> Result<(), Error> {
    tokio::task::spawn_blocking(|| emulators.stop()).await.map_err(|_| Error::Ended("the emulators' end"))?
}

/// The port comes first, so that a second instance fails before it has started anything.
async fn listen(port: u16) -> Result<TcpListener, Error> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => Error::PortInUse(address),
        _ => Error::io(format!("listen on {address}"))(source),
    })
}

fn hold(data: &Data) -> Result<(PathBuf, DataDir), Error> {
    match data {
        Data::Kept(dir) => match DirLock::try_take(dir) {
            Ok(lock) => Ok((dir.clone(), DataDir::Kept { _lock: lock })),
            Err(emulators::Error::InUse(dir)) => Err(Error::DataDirInUse(dir)),
            Err(other) => Err(other.into()),
        },
        Data::Ephemeral => {
            let dir = tempfile::Builder::new().prefix("cloister-").tempdir().map_err(Error::io("make a temporary directory"))?;
            Ok((dir.path().to_owned(), DataDir::Ephemeral { _dir: dir }))
        }
    }
}

fn handover(
    address: SocketAddr,
    env: BTreeMap<String, String>,
    operator: BTreeMap<String, String>,
    seeded: Option<Seeded>,
) -> Handover {
    let base_url = format!("http://{address}");
    let Seeded { tenants, users, password, .. } = match seeded {
        Some(seeded) => seeded,
        None => return Handover { base_url, password: None, tenants: BTreeMap::new(), users: Vec::new(), env, operator },
    };
    Handover { base_url, password: Some(password), tenants, users, env, operator }
}

#[derive(Debug)]
struct Emulators {
    dynamo: Arc<Dynamo>,
    kms: Kms,
    ministack: MiniStack,
}

impl Emulators {
    /// The child process takes longest, so the others start concurrently.
    async fn start(dir: &Path, options: &Options) -> Result<Self, Error> {
        let kept = matches!(options.data, Data::Kept(_)).then(|| dir.to_owned());
        let ministack = MiniStackOptions { data_dir: kept.as_ref().map(|dir| dir.join("aws")), progress: options.progress };
        let ministack = tokio::task::spawn_blocking(move || MiniStack::start(&ministack));
        let tables = kept.as_ref().map_or(Storage::Memory, |dir| Storage::File(dir.join("tables.sqlite")));
        let dynamo = match options.index_lag {
            Duration::ZERO => Dynamo::start(tables),
            lag => {
                let start = Instant::now();
                Dynamo::start_with_late_indexes(tables, lag, move || start.elapsed())
            }
        };
        let kms = Kms::start(kept.map(|dir| dir.join("kms.json")));
        let ministack = ministack.await.map_err(|_| Error::Ended("the AWS emulator's start"))??;
        Ok(Self { dynamo: Arc::new(dynamo?), kms: kms?, ministack })
    }

    /// Creates the template's resources, seeds, starts background work, and writes the handover files. Only serving is left.
    async fn open(&self, options: &Options, dir: &Path, address: SocketAddr) -> Result<(Running, Router), Error> {
        let (made, gate) = self.provision(options).await?;
        let other = Calls::new(self.ministack.endpoint().as_str());
        let secret = made.env.get("CLOISTER_UPS_SECRET").map(String::as_str).unwrap_or_default();
        let (carrier, ups_url) = carrier::Running::start(&options.carrier, &other, secret, address).await?;
        let env = environment(&made, &self.endpoints(), address, ups_url);
        let lines = Arc::new(Lines::new(options.observer.clone()));
        let (deps, authorizer) = wire(&env, &lines, &gate)?;
        let seeded = match options.seed {
            true => Some(seed::seed(&deps, dir, options.password.as_deref(), options.progress).await?),
            false => None,
        };
        let operators = Operators::start(&gate, &self.endpoints(), &env)?;
        let handover = handover(address, env, operators.env.clone(), seeded);
        let bell = Bell::new();
        let (sockets, ending) =
            Sockets::new(Registered::new(deps.clone(), authorizer.clone(), lines.clone(), bell.clone()), options.time_scale);
        let context = background::TaskContext {
            deps: deps.clone(),
            lines: lines.clone(),
            gate: gate.clone(),
            other,
            time_scale: options.time_scale.max(1),
            bell: bell.clone(),
        };
        let dynamodb = Calls::new(&self.dynamo.endpoint());
        let background = Background::start(context.clone(), dynamodb.clone(), dir, &made).await?;
        handover.write(dir)?;
        let gateway = Gateway::new(deps, authorizer, registry::all(), lines, bell);
        let routes = Router::new()
            .merge(sockets.router())
            .merge(carrier.router())
            .merge(mailbox::router(&self.ministack.endpoint()))
            .merge(digests::router(context, dynamodb))
            .merge(gateway.into_router());
        Ok((Running { handover, background, sockets: ending, carrier, operators, gate }, routes))
    }

    fn endpoints(&self) -> Endpoints {
        Endpoints { dynamodb: self.dynamo.endpoint(), kms: self.kms.endpoint(), other: Some(self.ministack.endpoint()) }
    }

    /// The created resources, and the gate with their policies.
    async fn provision(&self, options: &Options) -> Result<(Provisioned, Arc<Gate>), Error> {
        let mut overrides = Overrides::new();
        if !options.origins.is_empty() {
            overrides.insert("AllowedOrigins".to_owned(), options.origins.join(","));
        }
        let template = concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml");
        let template = Template::load_with(Path::new(template), &overrides).map_err(emulators::Error::from)?;
        let made = provision(&template, &self.endpoints(), Which::Everything).await?;
        let gate = Gate::new(&template, &made, Some(self.kms.keys())).map_err(|e| Error::Config(e.to_string()))?;
        Ok((made, Arc::new(gate)))
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

    /// Concurrently: each may take a while to close open connections, or to save.
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

/// The state that requests share.
fn wire(
    env: &BTreeMap<String, String>,
    lines: &Arc<Lines>,
    gate: &Arc<Gate>,
) -> Result<(Arc<Deps>, Arc<CognitoAuthorizer>), Error> {
    let config = Config::from_env(env.clone()).map_err(|e| Error::Config(e.to_string()))?;
    let connector = SharedHttpConnector::new(Guarded::new(common::aws::https(), gate.clone()));
    let aws = Aws::with_connector(env.clone(), connector).of_all_functions(Arc::new(Roles(gate.clone())));
    let authorizer = CognitoAuthorizer::new(&config, &aws);
    let deps = Deps::new(config, &aws, Arc::new(SystemClock), lines.clone()).map_err(Error::Config)?;
    Ok((Arc::new(deps.with_everything(&aws)), Arc::new(authorizer)))
}

/// A function's environment. The emulators accept any credentials.
fn environment(made: &Provisioned, endpoints: &Endpoints, gateway: SocketAddr, ups_url: String) -> BTreeMap<String, String> {
    let mut env = made.env.clone();
    let mut set = |name: &str, value: String| drop(env.insert(name.to_owned(), value));
    set("AWS_REGION", emulators::REGION.to_owned());
    set("AWS_ACCESS_KEY_ID", "local".to_owned());
    set("AWS_SECRET_ACCESS_KEY", "local".to_owned());
    set("AWS_ENDPOINT_URL_DYNAMODB", endpoints.dynamodb.clone());
    set("AWS_ENDPOINT_URL_KMS", endpoints.kms.clone());
    set("CLOISTER_PUBLIC_URL", format!("http://{gateway}"));
    set("CLOISTER_SOCKETS_URL", format!("ws://{gateway}{}", sockets::PATH));
    set("CLOISTER_UPS_URL", ups_url);
    if let Some(other) = &endpoints.other {
        set("AWS_ENDPOINT_URL", other.clone());
        // Only the host differs from that on AWS: `https://sqs.<region>.<suffix>/<account>/<prefix>-`.
        let path = made.env.get("CLOISTER_QUEUES").and_then(|url| url.splitn(4, '/').nth(3)).unwrap_or_default();
        set("CLOISTER_QUEUES", format!("{other}/{path}"));
    }
    env
}

/// The running gateway.
#[derive(Debug)]
struct Serving {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Serving {
    fn start(listener: TcpListener, routes: Router) -> Self {
        let (stop, stopped) = oneshot::channel();
        let service = routes.into_make_service_with_connect_info::<SocketAddr>();
        let task = tokio::spawn(async move {
            let until = async move {
                // A dropped sender also stops the server.
                let _ = stopped.await;
            };
            if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(until).await {
                eprintln!("gateway: {error}");
            }
        });
        Self { stop, task }
    }

    async fn stop(mut self) {
        // If the receiver is gone, the server has ended already.
        let _ = self.stop.send(());
        if tokio::time::timeout(GRACE, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}
