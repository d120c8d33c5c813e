//! What the trail and its one writer tell each other.
//!
//! Deliberately absent: the entries between them ([`super::inbox`]).

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{CommitPath, inbox::Inbox, metrics::TrailMetrics, record::Cause, verify::Head};

/// Whether the log can be written, and what is durable in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailState {
    /// Why not; `None` while it can.
    pub unwritable: Option<Cause>,
    /// The last entry that is durable.
    pub head: Head,
}

/// What the trail and its writer share.
#[derive(Debug)]
pub(super) struct Shared {
    /// What waits for the writer.
    pub(super) inbox: Inbox,
    /// When the batch that is being written was begun.
    busy_since: Mutex<Option<Instant>>,
    /// Requests that were refused since the last gap entry, and the latest cause.
    refused: Mutex<Option<(u64, Cause)>>,
    /// The last entry that a receiver has; `None` when there is no receiver.
    exported: Mutex<Option<u64>>,
    pub(super) metrics: TrailMetrics,
    pub(super) patience: Duration,
    /// Who puts entries on the disk.
    pub(super) commit_path: CommitPath,
}

impl Shared {
    /// Nothing refused, nothing exported.
    pub(super) fn new(metrics: TrailMetrics, patience: Duration, commit_path: CommitPath) -> Self {
        Self {
            inbox: Inbox::default(),
            busy_since: Mutex::new(None),
            refused: Mutex::new(None),
            exported: Mutex::new(None),
            metrics,
            patience,
            commit_path,
        }
    }

    /// Whether the writer has been with the disk for longer than the patience.
    pub(super) fn is_stalled(&self) -> bool {
        self.busy_for() >= self.patience
    }

    /// How long the writer has been with the disk; zero while it is not.
    pub(super) fn busy_for(&self) -> Duration {
        let busy_since = *self
            .busy_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        busy_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The last entry that a receiver has; `None` when there is no receiver.
    pub(super) fn exported(&self) -> Option<u64> {
        *self.exported.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A receiver has every entry up to `seq`.
    pub(super) fn set_exported(&self, seq: u64) {
        *self.exported.lock().unwrap_or_else(PoisonError::into_inner) = Some(seq);
    }

    /// Counts one request that was refused.
    pub(super) fn refuse(&self, cause: Cause) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let count = refused.map_or(0, |(count, _)| count);
        *refused = Some((count.saturating_add(1), cause));
        self.metrics.refused.inc();
    }

    /// The requests that no gap entry names yet, and the latest cause.
    pub(super) fn refused(&self) -> Option<(u64, Cause)> {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A gap entry names `count` of them now.
    pub(super) fn named(&self, count: u64) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused = refused
            .map(|(all, cause)| (all.saturating_sub(count), cause))
            .filter(|(left, _)| *left > 0);
    }

    /// Says since when the writer has been with the disk.
    pub(super) fn set_busy(&self, since: Option<Instant>) {
        *self
            .busy_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = since;
    }
}
