//! `admitd serve`: the daemon itself.

use std::{io, net::SocketAddr, sync::Arc};

use prometheus_client::registry::Registry;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch as channel,
    task::JoinHandle,
};

use super::reread::Reread;
use crate::{
    audit::{Trail, metrics::TrailMetrics, recovery::OpenError, shelf::Shelf, writer::TrailWriter},
    caller::Roster,
    config::{Config, ListenConfig, Source},
    export::{self, ExportConfig, ExportError, Exporter},
    files::{self, FilesFault},
    grpc::{self, Parts, ServeError},
    metrics::Metrics,
    operations::{Operations, Watched},
    permit::{DirectoryError, Keyring, KeyringFollower},
    readiness::Readiness,
    store::{FIRST_READING_MAX, Store, Writer},
    supervision::{Inherited, InheritedFault, Liveness, Reload, Supervisor},
    transport::{ListenError, Listeners, Tls, TlsError, TlsFollower},
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
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// TLS is not to be had.
    #[error("nobody could connect over TLS")]
    Tls(#[from] TlsError),
    /// The limits need more files than there can be.
    #[error(transparent)]
    Files(#[from] FilesFault),
    /// The audit log cannot be opened.
    #[error("nothing could be recorded, and so nothing is served")]
    Audit(#[from] OpenError),
    /// The keys of permits cannot be used.
    #[error("no permit could be signed, and so nothing is served")]
    Permit(#[from] DirectoryError),
    /// Spans cannot be exported as they are configured to be.
    #[error("the export of the audit log cannot be started")]
    Export(#[from] ExportError),
    /// The sockets of the service manager are not those of the configuration.
    #[error("the inherited sockets cannot be served")]
    Inherited(#[from] InheritedFault),
    /// The operations port cannot be had.
    #[error("cannot listen on `{address}` for metrics and the status page")]
    Operations {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    tcp_address: Option<SocketAddr>,
    stop: channel::Sender<bool>,
    serving: JoinHandle<Result<(), ServeError>>,
    operations: Option<JoinHandle<()>>,
    supervisor: Supervisor,
    store: Store,
    reload: Reload,
    roster: channel::Sender<Arc<Roster>>,
    metrics: Metrics,
    tls: Option<Tls>,
    /// Certificates are followed as long as this lives.
    _tls_follower: Option<TlsFollower>,
    /// Permit keys are rotated as long as this lives.
    _keys: KeyringFollower,
    /// The policy is read as long as this lives.
    _writer: Writer,
    /// Spans go out as long as this lives; dropped before the writer that it records through.
    _exporter: Option<Exporter>,
    /// Entries are written as long as this lives.
    _trail_writer: TrailWriter,
}

impl Daemon {
    /// Binds the listeners, but for those that are `inherited`, starts the writer, and serves.
    ///
    /// # Errors
    ///
    /// When an address, a thread or a service is not to be had, or an inherited socket is not configured.
    pub async fn start(config: Config, inherited: Inherited) -> Result<Self, StartError> {
        let mut registry = Registry::default();
        let trail_metrics = TrailMetrics::register(&mut registry);
        let metrics = Metrics::register(&mut registry);
        files::allow(&config.limits)?;
        // The log is opened before anything listens: who sees the daemon listen can be answered.
        let (trail, trail_writer) = Trail::open(config.audit.clone(), trail_metrics)?;
        // Everything else that the start has to do goes on while the policy is read and judged.
        let names_key = trail.names_key().clone();
        let rescan_interval = config.store.rescan_interval;
        let shelf = Shelf::open(trail.dir(), config.audit.free_space_min)?;
        let (store, writer) =
            Store::open(config.store.clone(), config.terms.clone(), names_key, shelf)?;
        let (keyring, keys) = Keyring::open(&config.permit, &config.audit.dir)?;
        let exporter = start_export(config.export.clone(), &trail)?;
        let (tls, follower) = open_tls(&config.listen, &metrics)?.unzip();
        let operations = bind_operations(config.listen.operations).await?;
        let listeners = listen(&config, inherited).await?;
        let tcp_address = listeners.tcp_address();
        let (roster, roster_now) = channel::channel(Arc::new(config.roster));
        let liveness = Liveness::new(store.clone(), trail.clone(), rescan_interval);
        let reload = Reload::default();
        let (stop, stopping) = channel::channel(false);
        let readiness = Readiness {
            store: store.clone(),
            trail: trail.clone(),
            only_tls: tls.clone().filter(|_| listeners.is_tls_alone()),
            stop: stopping.clone(),
        };
        let watched = Watched {
            registry,
            metrics: metrics.clone(),
            store: store.clone(),
            trail,
            has_receiver: exporter.is_some(),
            readiness: readiness.clone(),
            liveness: liveness.clone(),
        };
        let operations = operations.map(|operations| tokio::spawn(operations.serve(watched)));
        let supervisor = Supervisor::new(readiness.clone(), liveness.clone(), reload.clone());
        let parts = Parts {
            readiness,
            liveness,
            keyring,
            roster: roster_now,
            limits: config.limits,
            metrics,
        };
        Ok(Self {
            tcp_address,
            stop,
            supervisor,
            store,
            reload,
            roster,
            metrics: parts.metrics.clone(),
            serving: tokio::spawn(grpc::serve(listeners, tls.clone(), parts, stopping)),
            operations,
            tls,
            _tls_follower: follower,
            _keys: keys,
            _writer: writer,
            _exporter: exporter,
            _trail_writer: trail_writer,
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
        let ended = Self::ended(self.serving.await);
        if let Some(operations) = &self.operations {
            operations.abort();
        }
        ended
    }

    /// Serves until the process is told to stop (SIGTERM, SIGINT) or the transport fails; SIGHUP has
    /// everything read again.
    async fn until_told(
        mut self,
        mut terminate: Signal,
        mut interrupt: Signal,
        hangup: Signal,
    ) -> Result<(), StartError> {
        let mut store = self.store.clone();
        let ready = async move { store.first_reading(FIRST_READING_MAX).await };
        let supervising = self.supervisor.clone().run(hangup, ready);
        tokio::select! {
            ended = &mut self.serving => return Ok(Self::ended(ended)?),
            () = supervising => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        Supervisor::stopping();
        Ok(self.stop().await?)
    }

    fn ended(
        result: Result<Result<(), ServeError>, tokio::task::JoinError>,
    ) -> Result<(), ServeError> {
        match result {
            Ok(served) => served,
            // The task was taken down with the runtime; there is nothing left to serve.
            Err(error) if error.is_cancelled() => Ok(()),
            Err(_) => Err(ServeError::Broke),
        }
    }
}

/// Starts the export, if an endpoint is configured.
fn start_export(
    config: Option<ExportConfig>,
    trail: &Trail,
) -> Result<Option<Exporter>, ExportError> {
    let exporter = config
        .map(|export| export::start(export, trail.clone()))
        .transpose()?;
    if exporter.is_none() {
        // What a former receiver has not got yet is not deleted.
        export::hold_retention(trail);
    }
    Ok(exporter)
}

/// Opens the files of TLS, if an address is configured.
fn open_tls(
    config: &ListenConfig,
    metrics: &Metrics,
) -> Result<Option<(Tls, TlsFollower)>, TlsError> {
    let tls = config.tls.as_ref();
    tls.map(|tls| Tls::open(tls, metrics.clone())).transpose()
}

/// Binds the listeners, but for those that are `inherited`, and says where they are.
async fn listen(config: &Config, mut inherited: Inherited) -> Result<Listeners, StartError> {
    let listeners = Listeners::bind(&config.listen, &mut inherited).await?;
    inherited.rest()?;
    tracing::info!(
        tcp = listeners.tcp_address().map(tracing::field::display),
        tls = listeners.tls_address().map(tracing::field::display),
        health = listeners.health_address().map(tracing::field::display),
        unix = config.listen.unix.as_ref().map(|path| tracing::field::display(path.display())),
        policy_dir = %config.store.policy_dir.display(),
        "listening"
    );
    let is_beyond_loopback = |address: SocketAddr| !address.ip().is_loopback();
    if listeners.tcp_address().is_some_and(is_beyond_loopback) {
        tracing::warn!(
            "plaintext beyond loopback: whoever is on the path reads and changes answers"
        );
    }
    Ok(listeners)
}

/// Binds the operations port, if an address is configured.
async fn bind_operations(address: Option<SocketAddr>) -> Result<Option<Operations>, StartError> {
    let Some(address) = address else {
        return Ok(None);
    };
    let operations = Operations::bind(address)
        .await
        .map_err(|source| StartError::Operations { address, source })?;
    tracing::info!(
        address = operations.address().map(tracing::field::display),
        "metrics"
    );
    Ok(Some(operations))
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
///
/// When it cannot start or its transport fails.
pub async fn run(source: Source, config: Config, inherited: Inherited) -> Result<(), StartError> {
    // Before anything listens: whoever sees the daemon listen may tell it to stop, or to read again.
    let terminate = signal(SignalKind::terminate())?;
    let interrupt = signal(SignalKind::interrupt())?;
    let hangup = signal(SignalKind::hangup())?;
    let started_with = config.clone();
    let daemon = Daemon::start(config, inherited).await?;
    let reread = Reread {
        source,
        started_with,
        roster: daemon.roster.clone(),
        tls: daemon.tls.clone(),
        metrics: daemon.metrics.clone(),
    };
    tokio::spawn(reread.follow(daemon.reload.subscribe()));
    daemon.until_told(terminate, interrupt, hangup).await
}
