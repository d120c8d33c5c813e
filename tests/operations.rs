//! The operations port of the running daemon: probes, metrics and the status page, and the files that
//! name its metrics.
//!
//! Deliberately absent: the limits of its connections, which `server/src/operations/listener.rs` tests, and
//! how the page looks (`tests/interop/test_status_page.py`).

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

mod daemon;

#[path = "operations/http.rs"]
mod http;
#[path = "operations/metrics.rs"]
mod metrics;
#[path = "operations/named.rs"]
mod named;
#[path = "operations/page.rs"]
mod page;
#[path = "operations/probes.rs"]
mod probes;

use std::path::{Path, PathBuf};

use daemon::{Daemon, Settings, policy::A};
use tempfile::TempDir;
use tonic_health::pb::health_check_response::ServingStatus;

/// A folder with policy A in it.
fn policy() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    A.in_sot().write_to(folder.path());
    folder
}

/// A daemon with an operations port.
async fn start(policy: &Path) -> Daemon {
    Daemon::start(&settings(policy)).await
}

/// Waits until a real launch can be answered.
async fn serves(daemon: &Daemon) {
    let mut health = daemon.client().await.health("").await;
    health.until(ServingStatus::Serving).await;
}

fn settings(policy: &Path) -> Settings {
    Settings {
        metrics: true,
        ..Settings::new(policy)
    }
}

fn root() -> PathBuf {
    let server = Path::new(env!("CARGO_MANIFEST_DIR"));
    server.parent().unwrap().to_owned()
}
