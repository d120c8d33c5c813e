//! Liveness: whether the daemon makes real progress, so that a restart would not help.
//!
//! That the question is answered at all shows that the runtime runs. Deliberately absent: whether the
//! progress is good; a directory that cannot be read and a full disk are no reason for a restart.

use std::time::Duration;

use crate::{audit::Trail, store::Store};

/// The shortest time without progress that counts as a standstill.
pub const STANDSTILL_MIN: Duration = Duration::from_secs(60);
/// How many rescans in a row have to be missing.
const RESCANS_MISSING: u32 = 4;

/// What does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standstill {
    /// The thread that reads the policy has ended.
    PolicyWriterGone,
    /// A reading of the policy does not end.
    PolicyWriterStuck,
    /// The thread that writes the audit log has ended.
    AuditWriterGone,
    /// A batch of the audit log is not finished.
    AuditWriterStuck,
}

impl Standstill {
    /// Its word in logs and notifications.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PolicyWriterGone => "policy-writer-gone",
            Self::PolicyWriterStuck => "policy-writer-stuck",
            Self::AuditWriterGone => "audit-writer-gone",
            Self::AuditWriterStuck => "audit-writer-stuck",
        }
    }
}

/// Sees whether the daemon makes progress.
#[derive(Clone, Debug)]
pub struct Liveness {
    store: Store,
    trail: Trail,
    reading_max: Duration,
}

impl Liveness {
    /// Sees to both writers. A reading may take [`STANDSTILL_MIN`], or four times `rescan_interval` if that
    /// is longer; a batch of the audit log may take [`STANDSTILL_MIN`].
    #[must_use]
    pub fn new(store: Store, trail: Trail, rescan_interval: Duration) -> Self {
        Self {
            store,
            trail,
            reading_max: reading_max(rescan_interval),
        }
    }

    /// Whether there is progress.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.standstill().is_none()
    }

    /// What does not go on; `None` while all does. Cheap, and never waits.
    #[must_use]
    pub fn standstill(&self) -> Option<Standstill> {
        standstill(
            self.store.since_attempt(),
            self.reading_max,
            self.trail.busy_for(),
        )
    }
}

fn reading_max(rescan_interval: Duration) -> Duration {
    rescan_interval
        .saturating_mul(RESCANS_MISSING)
        .max(STANDSTILL_MIN)
}

/// `since_attempt` and `busy_for` are `None` when the writer is gone.
fn standstill(
    since_attempt: Option<Duration>,
    reading_max: Duration,
    busy_for: Option<Duration>,
) -> Option<Standstill> {
    match (since_attempt, busy_for) {
        (None, _) => Some(Standstill::PolicyWriterGone),
        (_, None) => Some(Standstill::AuditWriterGone),
        (Some(since), _) if since > reading_max => Some(Standstill::PolicyWriterStuck),
        (_, Some(busy)) if busy > STANDSTILL_MIN => Some(Standstill::AuditWriterStuck),
        (Some(_), Some(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use admit_policy::Terms;
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::{
        audit::{CommitPath, LogConfig, metrics::TrailMetrics, shelf::Shelf},
        store::StoreConfig,
    };

    #[test]
    fn a_standstill_is_named_beyond_its_time_and_not_before() {
        let (min, zero) = (STANDSTILL_MIN, Some(Duration::ZERO));
        let long = min * 10;
        let beyond = |limit: Duration| Some(limit + Duration::from_nanos(1));
        for (since, reading_max, busy, expected) in [
            (zero, min, zero, None),
            (Some(min), min, Some(min), None),
            (Some(long), long, zero, None),
            (beyond(min), min, zero, Some(Standstill::PolicyWriterStuck)),
            (
                beyond(long),
                long,
                zero,
                Some(Standstill::PolicyWriterStuck),
            ),
            (zero, long, beyond(min), Some(Standstill::AuditWriterStuck)),
            (None, min, zero, Some(Standstill::PolicyWriterGone)),
            (zero, min, None, Some(Standstill::AuditWriterGone)),
        ] {
            assert_eq!(
                standstill(since, reading_max, busy),
                expected,
                "{since:?} {busy:?}"
            );
        }
    }

    #[test]
    fn a_reading_may_miss_three_rescans_and_never_less_than_the_minimum() {
        for (rescan_seconds, expected_seconds) in [(1, 60), (15, 60), (16, 64), (3600, 4 * 3600)] {
            let found = reading_max(Duration::from_secs(rescan_seconds));
            assert_eq!(found, Duration::from_secs(expected_seconds));
        }
    }

    #[tokio::test]
    async fn a_writer_that_is_gone_is_a_standstill() {
        let folder = tempfile::tempdir().unwrap();
        let rescan_interval = Duration::from_secs(3600);
        let open = |name: &str| {
            let log = LogConfig {
                dir: folder.path().join(name),
                segment_bytes: 1 << 20,
                segment_age: Duration::from_secs(60),
                retention: None,
                free_space_min: 0,
                patience: Duration::from_secs(2),
                signing_key: None,
                commit_path: CommitPath::Adaptive,
            };
            let metrics = TrailMetrics::register(&mut Registry::default());
            let (trail, trail_writer) = Trail::open(log, metrics).unwrap();
            let config = StoreConfig {
                policy_dir: folder.path().join("nowhere"),
                rescan_interval,
            };
            let terms = Terms {
                staleness_max: Duration::from_secs(30),
                network_classes: BTreeMap::new(),
            };
            let names_key = trail.names_key().clone();
            let shelf = Shelf::open(trail.dir(), 0).unwrap();
            let (store, writer) = Store::open(config, terms, names_key, shelf).unwrap();
            let liveness = Liveness::new(store.clone(), trail, rescan_interval);
            // A directory that is not there is no standstill.
            assert_eq!(liveness.standstill(), None);
            assert!(liveness.is_alive());
            (liveness, store, writer, trail_writer)
        };

        let (liveness, mut store, writer, _trail_writer) = open("a");
        drop(writer);
        while store.changed().await {}
        while liveness.is_alive() {
            tokio::task::yield_now().await;
        }
        assert_eq!(liveness.standstill(), Some(Standstill::PolicyWriterGone));

        // Dropping this one waits for the end of its thread.
        let (liveness, _store, _writer, trail_writer) = open("b");
        drop(trail_writer);
        assert_eq!(liveness.standstill(), Some(Standstill::AuditWriterGone));
    }
}
