//! `admitd serve`: the daemon itself.

use std::{io, net::SocketAddr};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch as channel,
    task::JoinHandle,
};

use crate::{
    config::Config,
    grpc::{self, Listeners, ServeError},
    store::{Store, Writer},
};

/// Why the daemon does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The writer's thread or a signal handler cannot be had.
    #[error("the system refuses a thread or a signal handler")]
    System(#[from] io::Error),
    /// The services cannot be served.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    tcp_address: Option<SocketAddr>,
    stop: channel::Sender<bool>,
    serving: JoinHandle<Result<(), ServeError>>,
    /// The policy is read as long as this lives.
    _writer: Writer,
}

impl Daemon {
    /// Binds the listeners, starts the writer, and serves.
    ///
    /// # Errors
    ///
    /// When an address, a thread or a service is not to be had.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let listeners = Listeners::bind(&config).await?;
        let tcp_address = listeners.tcp_address();
        tracing::info!(
            tcp = tcp_address.map(tracing::field::display),
            unix = config.unix.as_ref().map(|path| tracing::field::display(path.display())),
            policy_dir = %config.store.policy_dir.display(),
            "listening"
        );
        let (store, writer) = Store::open(config.store, config.terms)?;
        let (stop, stopping) = channel::channel(false);
        Ok(Self {
            tcp_address,
            stop,
            serving: tokio::spawn(grpc::serve(listeners, store, stopping)),
            _writer: writer,
        })
    }

    /// The TCP address that the daemon listens on.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp_address
    }

    /// Stops: no new call is taken, open ones may end.
    ///
    /// # Errors
    ///
    /// When the transport failed.
    pub async fn stop(self) -> Result<(), ServeError> {
        self.stop.send_replace(true);
        Self::ended(self.serving.await)
    }

    /// Serves until the process is told to stop (SIGTERM, SIGINT) or the transport fails.
    async fn until_told(
        mut self,
        mut terminate: Signal,
        mut interrupt: Signal,
    ) -> Result<(), StartError> {
        tokio::select! {
            ended = &mut self.serving => return Ok(Self::ended(ended)?),
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        Ok(self.stop().await?)
    }

    fn ended(
        result: Result<Result<(), ServeError>, tokio::task::JoinError>,
    ) -> Result<(), ServeError> {
        match result {
            Ok(served) => served,
            // The task was taken down with the runtime; there is nothing left to serve.
            Err(_) => Ok(()),
        }
    }
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
///
/// When it cannot start or its transport fails.
pub async fn run(config: Config) -> Result<(), StartError> {
    // Before anything listens: whoever sees the daemon listen may tell it to stop.
    let terminate = signal(SignalKind::terminate())?;
    let interrupt = signal(SignalKind::interrupt())?;
    let daemon = Daemon::start(config).await?;
    daemon.until_told(terminate, interrupt).await
}
