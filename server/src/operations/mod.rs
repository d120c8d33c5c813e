//! The operations port: metrics, probes and the status page, as plain HTTP for whoever may reach it.
//!
//! In reading order: `observe`; `status`; `routes`, [`listener`]. Deliberately
//! absent: anything that changes something, and any label that a caller could choose.

pub mod listener;
mod observe;
mod routes;
mod status;

use std::{io, net::SocketAddr, sync::Arc};

use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use crate::{
    audit::Trail, metrics::Metrics, readiness::Readiness, store::Store, supervision::Liveness,
};

/// What is shown.
#[derive(Debug)]
pub struct Watched {
    /// Every metric.
    pub registry: Registry,
    /// Those of calls and the policy, which are in the registry as well.
    pub metrics: Metrics,
    /// The policy in force.
    pub store: Store,
    /// The audit trail.
    pub trail: Trail,
    /// Whether spans go to a receiver.
    pub has_receiver: bool,
    /// Whether a real launch could be answered.
    pub readiness: Readiness,
    /// Whether the daemon makes progress.
    pub liveness: Liveness,
}

/// The listener, bound and not yet answering.
#[derive(Debug)]
pub struct Operations {
    listener: TcpListener,
}

impl Operations {
    /// Binds the address.
    ///
    /// # Errors
    ///
    /// When it is not to be had.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener })
    }

    /// The address that is listened on.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Answers for as long as the task lives.
    pub async fn serve(self, watched: Watched) {
        let routes = routes::routes(Arc::new(watched));
        listener::serve(self.listener, routes, listener::Bounds::OPERATIONS).await;
    }
}

#[cfg(test)]
pub(crate) mod stage {
    //! What the tests of this module watch: a daemon without listeners and without a policy.

    use std::{collections::BTreeMap, path::PathBuf, time::Duration};

    use admit_policy::Terms;
    use tempfile::TempDir;
    use tokio::sync::watch as channel;

    use super::*;
    use crate::{
        audit::{CommitPath, LogConfig, metrics::TrailMetrics, shelf::Shelf, writer::TrailWriter},
        store::{StoreConfig, Writer},
    };

    /// What keeps a watched daemon going.
    pub(crate) struct Kept {
        pub(crate) trail_writer: TrailWriter,
        pub(crate) stop: channel::Sender<bool>,
        _writer: Writer,
        _folder: TempDir,
    }

    pub(crate) fn watched() -> (Watched, Kept) {
        watching(PathBuf::from("nowhere"))
    }

    /// The same with a policy: an empty directory is one, under which no pair is admitted.
    pub(crate) fn watching(policy_dir: PathBuf) -> (Watched, Kept) {
        let folder = tempfile::tempdir().unwrap();
        let log = LogConfig {
            dir: folder.path().join("audit"),
            segment_bytes: 1 << 20,
            segment_age: Duration::from_secs(60),
            retention: None,
            free_space_min: 0,
            patience: Duration::from_secs(2),
            signing_key: None,
            commit_path: CommitPath::Adaptive,
        };
        let rescan_interval = Duration::from_secs(5);
        let config = StoreConfig {
            policy_dir,
            rescan_interval,
        };
        let terms = Terms {
            staleness_max: Duration::from_secs(30),
            network_classes: BTreeMap::new(),
        };
        let mut registry = Registry::default();
        let trail_metrics = TrailMetrics::register(&mut registry);
        let metrics = Metrics::register(&mut registry);
        let (trail, trail_writer) = Trail::open(log, trail_metrics).unwrap();
        let shelf = Shelf::open(trail.dir(), 0).unwrap();
        let names_key = trail.names_key().clone();
        let (store, writer) = Store::open(config, terms, names_key, shelf).unwrap();
        let (sender, stop) = channel::channel(false);
        let watched = Watched {
            registry,
            metrics,
            liveness: Liveness::new(store.clone(), trail.clone(), rescan_interval),
            readiness: Readiness {
                store: store.clone(),
                trail: trail.clone(),
                only_tls: None,
                stop,
            },
            store,
            trail,
            has_receiver: false,
        };
        let kept = Kept {
            trail_writer,
            stop: sender,
            _writer: writer,
            _folder: folder,
        };
        (watched, kept)
    }
}
