use std::net::{Ipv4Addr, SocketAddr};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::Error;

/// How long open requests may take after a server is stopped.
const GRACE: Duration = Duration::from_secs(2);

/// A server on its own thread and runtime: a test's runtime may end or block without affecting it.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on a free loopback port and runs `serve` there until [`Server::stop`], or until dropped.
    pub(crate) fn spawn<F>(name: &str, serve: impl FnOnce(TcpListener, Shutdown) -> F + Send + 'static) -> Result<Self, Error>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listening = || format!("listen for {name}");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(name)
            .enable_all()
            .build()
            .map_err(Error::io(listening()))?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::io(listening()))?;
        listener.set_nonblocking(true).map_err(Error::io(listening()))?;
        let address = listener.local_addr().map_err(Error::io(listening()))?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener).map_err(Error::io(listening()))?
        };
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    let (draining, drained) = oneshot::channel();
                    let shutdown = async move {
                        // A dropped sender also stops the server.
                        let _ = stopped.await;
                        let _ = draining.send(());
                    };
                    let serving = tokio::spawn(serve(listener, Box::pin(shutdown)));
                    let abort = serving.abort_handle();
                    tokio::select! {
                        _ = serving => {}
                        () = async { let _ = drained.await; tokio::time::sleep(GRACE).await } => abort.abort(),
                    }
                });
                runtime.shutdown_timeout(GRACE);
            })
            .map_err(Error::io(listening()))?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets open requests finish, for a bounded time, and returns when the port is free.
    pub(crate) fn stop(mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // The panic hook has already reported a panic of the server.
            let _ = thread.join();
        }
    }
}

/// Resolves when the server should stop.
pub(crate) type Shutdown = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
