//! Health: serving exactly while a real launch could be answered from a fresh policy.

use std::time::Duration;

use tonic_health::{ServingStatus, server::HealthReporter};

use super::{Stop, stopped};
use crate::store::Store;

/// The services that health is reported for; the empty name stands for the whole daemon.
const SERVICES: [&str; 3] = ["", "admit.v1.AdmissionService", "admit.v1.PolicyService"];
/// How often health is looked at without any change of the policy: a policy grows stale in silence.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Reports one status for every service.
pub(super) async fn report(reporter: &HealthReporter, is_serving: bool) {
    let status = if is_serving {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    };
    for service in SERVICES {
        reporter.set_service_status(service, status).await;
    }
}

/// Keeps the reported health true until the daemon stops.
pub(super) async fn follow(reporter: HealthReporter, mut store: Store, stop: Stop) {
    let mut reported = None;
    loop {
        let stopping = *stop.borrow();
        let is_serving = !stopping && store.is_serving();
        if reported != Some(is_serving) {
            report(&reporter, is_serving).await;
            tracing::info!(is_serving, "health");
            reported = Some(is_serving);
        }
        if stopping {
            return;
        }
        tokio::select! {
            changed = store.changed() => if !changed { return report(&reporter, false).await },
            () = stopped(stop.clone()) => {}
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
    }
}
