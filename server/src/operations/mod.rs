//! The operations listener: metrics for Prometheus, as plain HTTP on a loopback address.
//!
//! Deliberately absent: anything that changes something, and any label that a caller could choose.

pub mod metrics;

use std::{io, net::SocketAddr, sync::Arc};

use axum::{Router, extract::State, http::header, routing::get};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::net::TcpListener;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

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
    ///
    /// # Errors
    ///
    /// When the listener fails.
    pub async fn serve(self, registry: Arc<Registry>) -> io::Result<()> {
        let router = Router::new()
            .route("/metrics", get(metrics))
            .with_state(registry);
        axum::serve(self.listener, router).await
    }
}

async fn metrics(
    State(registry): State<Arc<Registry>>,
) -> ([(header::HeaderName, &'static str); 1], String) {
    let mut text = String::new();
    // Writing to a text cannot fail.
    let _ = encode(&mut text, &registry);
    ([(header::CONTENT_TYPE, OPENMETRICS)], text)
}
