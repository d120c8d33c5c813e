//! The audit trail, as everybody has it who records: a queue to the one writer, and its state.
//!
//! Requests never touch the disk, and none waits longer than the configured patience: a disk that
//! hangs refuses, as one that fails does. Deliberately absent: the writing; see [`super::writer`].

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot, watch as channel};

use super::{
    LogConfig,
    basis::Basis,
    current::describe,
    keys::NamesKey,
    log::{Draft, Log, Receipt},
    metrics::TrailMetrics,
    record::{Cause, Entry},
    recovery::OpenError,
    verify::Head,
    writer::TrailWriter,
};

/// Most entries that wait for the writer.
pub const QUEUE_MAX: usize = 8192;

/// Nothing was recorded, so nothing may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing can be recorded: {}", describe(self.0))]
pub struct Refused(pub Cause);

/// Whether the log can be written, and what is durable in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailState {
    /// Why not; `None` while it can.
    pub unwritable: Option<Cause>,
    /// The last entry that is durable.
    pub head: Head,
}

/// One entry on its way to the log.
pub(super) struct Job {
    pub(super) draft: Draft,
    pub(super) basis: Option<Arc<Basis>>,
    pub(super) reply: oneshot::Sender<Result<Receipt, Refused>>,
}

/// What the trail and its writer share.
#[derive(Debug)]
pub(super) struct Shared {
    /// When the batch that is being written was begun.
    busy_since: Mutex<Option<Instant>>,
    /// Requests that were refused since the last gap entry.
    pub(super) refused: AtomicU64,
    /// The last entry that a receiver has; `u64::MAX` without an export.
    pub(super) exported: AtomicU64,
    pub(super) metrics: TrailMetrics,
    patience: Duration,
}

impl Shared {
    fn is_stalled(&self) -> bool {
        let busy_since = *self
            .busy_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        busy_since.is_some_and(|since| since.elapsed() >= self.patience)
    }

    /// Says since when the writer has been with the disk.
    pub(super) fn set_busy(&self, since: Option<Instant>) {
        *self
            .busy_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = since;
    }
}

/// The audit trail, as those have it who record.
#[derive(Clone, Debug)]
pub struct Trail {
    jobs: mpsc::Sender<Job>,
    state: channel::Receiver<TrailState>,
    shared: Arc<Shared>,
    names_key: NamesKey,
    stream_id: Arc<str>,
    dir: Arc<Path>,
}

impl Trail {
    /// Opens the log and starts its writer.
    ///
    /// # Errors
    ///
    /// When the log cannot be opened or the thread cannot be started.
    pub fn open(
        config: LogConfig,
        metrics: TrailMetrics,
    ) -> Result<(Self, TrailWriter), OpenError> {
        let dir: Arc<Path> = config.dir.as_path().into();
        let patience = config.patience;
        let directory = |source| OpenError::Directory {
            dir: dir.to_path_buf(),
            source,
        };
        let log = Log::open(config)?;
        let names_key = log.names_key().clone();
        let shared = Arc::new(Shared {
            busy_since: Mutex::new(None),
            refused: AtomicU64::new(0),
            exported: AtomicU64::new(u64::MAX),
            metrics,
            patience,
        });
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let (publish, state) = channel::channel(TrailState {
            unwritable: None,
            head: log.head().clone(),
        });
        shared.metrics.writable.set(1);
        let stream_id: Arc<str> = log.stream_id().into();
        let writer =
            TrailWriter::start(log, queue, publish, Arc::clone(&shared)).map_err(directory)?;
        let trail = Self {
            jobs,
            state,
            shared,
            names_key,
            stream_id,
            dir: Arc::clone(&dir),
        };
        Ok((trail, writer))
    }

    /// The identity of the log.
    #[must_use]
    pub fn stream_id(&self) -> &str {
        &self.stream_id
    }

    /// The audit directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The key behind every `hmac:` of the log.
    #[must_use]
    pub fn names_key(&self) -> &NamesKey {
        &self.names_key
    }

    /// The metrics of the trail.
    #[must_use]
    pub fn metrics(&self) -> &TrailMetrics {
        &self.shared.metrics
    }

    /// Follows the state of the log.
    #[must_use]
    pub fn follow(&self) -> channel::Receiver<TrailState> {
        self.state.clone()
    }

    /// Why nothing can be recorded now; `None` while it can.
    #[must_use]
    pub fn unwritable(&self) -> Option<Cause> {
        if self.shared.is_stalled() {
            Some(Cause::Stalled)
        } else {
            self.state.borrow().unwritable
        }
    }

    /// A receiver has every entry up to `seq`.
    pub fn exported(&self, seq: u64) {
        self.shared.exported.store(seq, Ordering::Relaxed);
    }

    /// Records `entry`, and the basis that it refers to; returns once both are durable.
    ///
    /// # Errors
    ///
    /// When nothing could be recorded within the patience. The refused are counted.
    pub async fn record(
        &self,
        entry: &Entry,
        basis: Option<Arc<Basis>>,
    ) -> Result<Receipt, Refused> {
        let recorded = self.try_record(entry, basis).await;
        if recorded.is_err() {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
            self.shared.metrics.refused.inc();
        }
        recorded
    }

    /// Records what no request waits for; nobody is refused when it fails.
    ///
    /// # Errors
    ///
    /// When nothing could be recorded within the patience.
    pub async fn note(&self, entry: &Entry) -> Result<Receipt, Refused> {
        self.try_record(entry, None).await
    }

    async fn try_record(
        &self,
        entry: &Entry,
        basis: Option<Arc<Basis>>,
    ) -> Result<Receipt, Refused> {
        if let Some(cause) = self.unwritable() {
            return Err(Refused(cause));
        }
        let (reply, replied) = oneshot::channel();
        let job = Job {
            draft: Draft::of(entry),
            basis,
            reply,
        };
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refused(Cause::QueueFull),
            mpsc::error::TrySendError::Closed(_) => Refused(Cause::WriteFailed),
        })?;
        match tokio::time::timeout(self.shared.patience, replied).await {
            Ok(Ok(recorded)) => recorded,
            // The writer is gone.
            Ok(Err(_)) => Err(Refused(Cause::WriteFailed)),
            Err(_) => Err(Refused(Cause::Stalled)),
        }
    }
}
