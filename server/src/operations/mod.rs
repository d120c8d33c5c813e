//! The operations port: metrics, probes and the status page, as plain HTTP for whoever may reach it.
//!
//! In reading order: [`metrics`], `observe`, [`readiness`]; `status`; `routes`, [`listener`]. Deliberately
//! absent: anything that changes something, and any label that a caller could choose.

pub mod listener;
pub mod metrics;
mod observe;
pub mod readiness;
mod routes;
mod status;

use std::{fmt, io, net::SocketAddr, sync::Arc};

use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use crate::{audit::Trail, grpc::Stop, store::Store};
use metrics::Metrics;

/// Tells whether the process gets on.
pub type Liveness = Box<dyn Fn() -> bool + Send + Sync>;

/// What is shown.
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
    /// Whether the daemon was told to stop.
    pub stop: Stop,
    /// Whether the process gets on.
    pub is_live: Liveness,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
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
