//! What the trail counts. Deliberately absent: any label that a caller could choose.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::metrics::{registered, registered_seconds};

/// Upper bounds of the buckets of the sync latency, in seconds: from a fast disk to one that hangs.
const SYNC_BUCKETS: [f64; 14] = [
    0.000_05, 0.000_1, 0.000_2, 0.000_4, 0.000_8, 0.001_6, 0.003_2, 0.006_4, 0.012_8, 0.025, 0.05,
    0.1, 0.5, 2.0,
];

/// The metrics of the trail.
#[derive(Clone, Debug)]
pub struct TrailMetrics {
    /// Entries that were made durable.
    pub appended: Counter,
    /// Requests that were refused because nothing could be recorded.
    pub refused: Counter,
    /// How long a write and its sync took.
    pub sync_seconds: Histogram,
    /// The last sequence number that is durable.
    pub last_seq: Gauge<i64>,
    /// Whether the log can be written: 1 or 0.
    pub writable: Gauge<i64>,
    /// Entries that no receiver has acknowledged yet; 0 without an export.
    pub export_lag_records: Gauge<i64>,
    /// The age of the oldest of them.
    pub export_lag_seconds: Gauge<f64, AtomicU64>,
    /// Spans that a receiver acknowledged.
    pub exported: Counter,
    /// Spans that a receiver refused for good.
    pub rejected: Counter,
    /// Batches that could not be delivered and will be sent again.
    pub export_failures: Counter,
}

impl TrailMetrics {
    /// New metrics, registered in `registry`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let audit = registry.sub_registry_with_prefix("admit_audit");
        Self {
            appended: registered(
                audit,
                "appended_records",
                "Entries that were made durable in the audit log",
                Counter::default(),
            ),
            refused: registered(
                audit,
                "refused_requests",
                "Requests that were refused because nothing could be recorded",
                Counter::default(),
            ),
            sync_seconds: registered_seconds(
                audit,
                "sync",
                "Time that a write and its sync took",
                Histogram::new(SYNC_BUCKETS),
            ),
            last_seq: registered(
                audit,
                "last_seq",
                "Last sequence number that is durable",
                Gauge::default(),
            ),
            writable: registered(
                audit,
                "writable",
                "Whether the audit log can be written",
                Gauge::default(),
            ),
            export_lag_records: registered(
                audit,
                "export_lag_records",
                "Entries that no receiver has acknowledged yet",
                Gauge::default(),
            ),
            export_lag_seconds: registered_seconds(
                audit,
                "export_lag",
                "Age of the oldest entry that no receiver has acknowledged yet",
                Gauge::default(),
            ),
            exported: registered(
                audit,
                "exported_spans",
                "Spans that a receiver acknowledged",
                Counter::default(),
            ),
            rejected: registered(
                audit,
                "rejected_spans",
                "Spans that a receiver refused for good",
                Counter::default(),
            ),
            export_failures: registered(
                audit,
                "export_failures",
                "Batches that could not be delivered and are sent again",
                Counter::default(),
            ),
        }
    }
}
