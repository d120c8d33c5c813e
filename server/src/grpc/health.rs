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

/// Reports what holds before anybody can ask: the daemon is alive, and serves nothing yet.
pub(super) async fn begin(reporter: &HealthReporter) {
    report(reporter, false).await;
    reporter.set_service_status(LIVENESS, status(true)).await;
}

/// Reports one status for every service.
async fn report(reporter: &HealthReporter, is_serving: bool) {
    for service in SERVICES {
        reporter
            .set_service_status(service, status(is_serving))
            .await;
    }
}

fn status(is_serving: bool) -> ServingStatus {
    if is_serving {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    }
}

/// Keeps the reported health true until the daemon stops, after [`begin`]; whoever follows health hears of
/// changes alone.
pub(super) async fn follow(reporter: HealthReporter, readiness: Readiness, liveness: Liveness) {
    let (mut store, trail, stop) = (
        readiness.store.clone(),
        &readiness.trail,
        readiness.stop.clone(),
    );
    let mut recording = trail.follow();
    let mut reported = false;
    let mut reported_alive = true;
    loop {
        let is_alive = liveness.is_alive();
        if reported_alive != is_alive {
            let status = status(is_alive);
            reporter.set_service_status(LIVENESS, status).await;
            reported_alive = is_alive;
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
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt as _,
        path::{Path, PathBuf},
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
    };

    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
    use tokio_rustls::rustls::{pki_types::UnixTime, time_provider::TimeProvider};
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
    use crate::{config::TlsConfig, operations::stage, readiness::Unready, transport::Tls};

    #[tokio::test]
    async fn a_status_that_stays_is_reported_once() {
        let (watched, kept) = stage::watching(PathBuf::from("nowhere"));
        let reporter = HealthReporter::new();
        begin(&reporter).await;
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
        kept.stop.send_replace(true);
        follow(reporter, watched.readiness, watched.liveness).await;
        for mut watch in watches {
            let next = tokio::time::timeout(Duration::ZERO, watch.next()).await;
            assert!(next.is_err(), "{next:?}");
        }
    }

    #[tokio::test]
    async fn liveness_is_known_before_anybody_can_ask() {
        let reporter = HealthReporter::new();
        begin(&reporter).await;
        let service = HealthService::from_health_reporter(reporter);
        for (name, expected) in [("", Reported::NotServing), (LIVENESS, Reported::Serving)] {
            let request = Request::new(HealthCheckRequest {
                service: name.into(),
            });
            let answer = service.check(request).await.unwrap().into_inner();
            assert_eq!(answer.status(), expected, "{name}");
        }
    }

    /// A clock that stands still until it is set, in seconds since the Unix epoch.
    #[derive(Debug)]
    struct Clock(AtomicU64);

    impl TimeProvider for Clock {
        fn current_time(&self) -> Option<UnixTime> {
            let since_epoch = Duration::from_secs(self.0.load(Ordering::SeqCst));
            Some(UnixTime::since_unix_epoch(since_epoch))
        }
    }

    /// Files of TLS whose certificate lasts until the first second of 2030.
    fn files(folder: &Path) -> TlsConfig {
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            path
        };
        let signed = |params: &mut CertificateParams, key: &KeyPair| {
            params.not_before = date_time_ymd(2025, 1, 1);
            params.self_signed(key).unwrap().pem()
        };
        let key = KeyPair::generate().unwrap();
        let mut own = CertificateParams::new(["localhost".to_owned()]).unwrap();
        own.not_after = date_time_ymd(2030, 1, 1);
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        TlsConfig {
            address: ([127, 0, 0, 1], 0).into(),
            certificate: write("tls.crt", signed(&mut own, &key)),
            client_ca: write("ca.crt", signed(&mut authority, &key)),
            key: write("tls.key", key.serialize_pem()),
        }
    }

    #[tokio::test]
    async fn nothing_is_served_over_tls_alone_once_its_certificate_has_expired() {
        const END: u64 = 1_893_456_000;
        let folder = tempfile::tempdir().unwrap();
        let policy = folder.path().join("policy");
        fs::create_dir(&policy).unwrap();
        let (mut watched, _kept) = stage::watching(policy);
        watched.store.first_reading(Duration::from_secs(20)).await;
        let clock = Arc::new(Clock(AtomicU64::new(END)));
        let by = Arc::<Clock>::clone(&clock);
        let (tls, _follower) = Tls::open_by(&files(folder.path()), watched.metrics, by).unwrap();
        let open = watched.readiness;
        let only_tls = Readiness {
            only_tls: Some(tls),
            ..open.clone()
        };
        let reporter = HealthReporter::new();
        begin(&reporter).await;
        let service = HealthService::from_health_reporter(reporter.clone());
        let request = Request::new(HealthCheckRequest::default());
        let watch = service.watch(request).await.unwrap().into_inner();
        let mut statuses = watch.map(|status| status.unwrap().status());
        let following = tokio::spawn(follow(reporter, only_tls.clone(), watched.liveness));
        assert_eq!(statuses.next().await, Some(Reported::NotServing));
        // Its last second, and the one after it.
        assert_eq!(only_tls.look(), Ok(()));
        assert_eq!(statuses.next().await, Some(Reported::Serving));
        clock.0.store(END + 1, Ordering::SeqCst);
        assert_eq!(only_tls.look(), Err(Unready::CertificateExpired));
        assert_eq!(statuses.next().await, Some(Reported::NotServing));
        // With another way in it does not matter.
        assert_eq!(open.look(), Ok(()));
        following.abort();
    }
}
