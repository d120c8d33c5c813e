//! Health: serving exactly while a real launch could be answered from a fresh policy and recorded; and
//! liveness, apart from it: whether the daemon makes progress at all.

use std::time::Duration;

use tokio::sync::watch as channel;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{audit::TrailState, readiness::Readiness, supervision::Liveness, transport::stopped};

/// The services that health is reported for; the empty name stands for the whole daemon.
const SERVICES: [&str; 3] = ["", "admit.v1.AdmissionService", "admit.v1.PolicyService"];
/// The name that liveness is reported for.
const LIVENESS: &str = "liveness";
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

/// Reports whether the daemon makes progress.
async fn report_liveness(reporter: &HealthReporter, is_alive: bool) {
    let status = if is_alive {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    };
    reporter.set_service_status(LIVENESS, status).await;
}

/// Keeps the reported health true until the daemon stops. Until now nothing was reported but that it does
/// not serve; whoever follows health hears of changes alone.
pub(super) async fn follow(reporter: HealthReporter, readiness: Readiness, liveness: Liveness) {
    let (mut store, trail, stop) = (
        readiness.store.clone(),
        &readiness.trail,
        readiness.stop.clone(),
    );
    let mut recording = trail.follow();
    let mut reported = false;
    let mut reported_alive = None;
    loop {
        let is_alive = liveness.is_alive();
        if reported_alive != Some(is_alive) {
            report_liveness(&reporter, is_alive).await;
            reported_alive = Some(is_alive);
        }
        let stopping = *stop.borrow();
        let is_serving = readiness.look().is_ok();
        if reported != is_serving {
            report(&reporter, is_serving).await;
            tracing::info!(is_serving, "health");
            reported = is_serving;
        }
        if stopping {
            return;
        }
        tokio::select! {
            changed = store.changed() => if !changed {
                if reported {
                    report(&reporter, false).await;
                }
                return;
            },
            // Most changes are new entries. An error means that nothing is recorded any more, which
            // the next look sees.
            () = unwritable_changed(&mut recording) => {}
            () = stopped(stop.clone()) => {}
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
    }
}

/// Waits until the log becomes writable, or ceases to be.
async fn unwritable_changed(recording: &mut channel::Receiver<TrailState>) {
    let was = recording.borrow_and_update().unwritable;
    if recording
        .wait_for(|state| state.unwritable != was)
        .await
        .is_err()
    {
        // The writer is gone; the interval looks on.
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::PathBuf};

    use admit_policy::Terms;
    use prometheus_client::registry::Registry;
    use tokio_stream::StreamExt as _;
    use tonic::Request;
    use tonic_health::{
        pb::{
            HealthCheckRequest, health_check_response::ServingStatus as Reported,
            health_server::Health as _,
        },
        server::HealthService,
    };

    use super::*;
    use crate::{
        audit::{LogConfig, Trail, metrics::TrailMetrics},
        store::{Store, StoreConfig},
    };

    #[tokio::test]
    async fn a_status_that_stays_is_reported_once() {
        let config = StoreConfig {
            policy_dir: PathBuf::from("nowhere"),
            rescan_interval: Duration::from_secs(5),
        };
        let terms = Terms {
            staleness_max: Duration::from_secs(30),
            network_classes: BTreeMap::new(),
        };
        let folder = tempfile::tempdir().unwrap();
        let trail_config = LogConfig {
            dir: folder.path().join("audit"),
            segment_bytes: 1 << 20,
            segment_age: Duration::from_secs(60),
            retention: None,
            free_space_min: 0,
            patience: Duration::from_secs(2),
            signing_key: None,
        };
        let metrics = TrailMetrics::register(&mut Registry::default());
        let (trail, _trail_writer) = Trail::open(trail_config, metrics).unwrap();
        let (store, _writer) = Store::open(config, terms, trail.names_key().clone()).unwrap();
        let reporter = HealthReporter::new();
        report(&reporter, false).await;
        let service = HealthService::from_health_reporter(reporter.clone());
        let mut watches = Vec::new();
        for service_name in SERVICES {
            let request = HealthCheckRequest {
                service: service_name.into(),
            };
            let mut watch = service
                .watch(Request::new(request))
                .await
                .unwrap()
                .into_inner();
            let first = watch.next().await.unwrap().unwrap();
            assert_eq!(first.status(), Reported::NotServing);
            watches.push(watch);
        }
        // It looks once and ends.
        let (_sender, stop) = channel::channel(true);
        let liveness = Liveness::new(store.clone(), trail.clone(), Duration::from_secs(5));
        let readiness = Readiness {
            store,
            trail,
            only_tls: None,
            stop,
        };
        follow(reporter, readiness, liveness).await;
        for mut watch in watches {
            let next = tokio::time::timeout(Duration::ZERO, watch.next()).await;
            assert!(next.is_err(), "{next:?}");
        }
    }
}
