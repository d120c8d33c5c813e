//! The audit trail, as everybody has it who records: a queue to the one writer, and its state.
//!
//! Requests never touch the disk, and none waits longer than the configured patience: a disk that
//! hangs refuses, as one that fails does. Deliberately absent: the writing; see [`super::writer`].

use std::{
    path::Path,
    sync::{Arc, Mutex, Weak},
    time::{Duration, Instant},
};

use tokio::sync::{oneshot, watch as channel};

use super::{
    CommitPath, LogConfig,
    basis::Basis,
    inbox::{Closed, Job, Refused, Ring, Turn},
    keys::NamesKey,
    log::{Draft, Log, Receipt},
    metrics::TrailMetrics,
    queue::{Shared, TrailState},
    record::{Cause, Entry},
    recovery::OpenError,
    writer::{self, TrailWriter, Writing},
};

/// How long a caller that gave up has to have waited to count as refused.
const WAIT_MIN: Duration = Duration::from_millis(100);

/// A request that waits for its record. A caller that gives up after a while was as good as refused:
/// it got no answer.
struct Waiting<'a> {
    shared: &'a Shared,
    since: Instant,
    is_over: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.is_over && self.since.elapsed() >= WAIT_MIN {
            self.shared.refuse(Cause::Stalled);
        }
    }
}

/// The audit trail, as those have it who record.
#[derive(Clone, Debug)]
pub struct Trail {
    state: channel::Receiver<TrailState>,
    shared: Arc<Shared>,
    writing: Weak<Mutex<Writing>>,
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
        let (patience, commit_path) = (config.patience, config.commit_path);
        let directory = |source| OpenError::Directory {
            dir: dir.to_path_buf(),
            source,
        };
        let log = Log::open(config)?;
        let names_key = log.names_key().clone();
        let shared = Arc::new(Shared::new(metrics, patience, commit_path));
        let (publish, state) = channel::channel(TrailState {
            unwritable: None,
            head: log.head().clone(),
        });
        shared.metrics.writable.set(1);
        let stream_id: Arc<str> = log.stream_id().into();
        let writer = TrailWriter::start(log, publish, Arc::clone(&shared)).map_err(directory)?;
        let trail = Self {
            state,
            shared,
            writing: writer.writing(),
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
        } else if self.shared.inbox.is_writer_gone() {
            // The writer is gone.
            Some(Cause::WriteFailed)
        } else {
            self.state.borrow().unwritable
        }
    }

    /// How long the writer has been with the disk; zero while it is not, `None` once it is gone.
    #[must_use]
    pub fn busy_for(&self) -> Option<Duration> {
        let is_there = !self.shared.inbox.is_writer_gone();
        is_there.then(|| self.shared.busy_for())
    }

    /// How many entries wait for the writer.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.inbox.waiting()
    }

    /// A receiver has every entry up to `seq`.
    pub fn exported(&self, seq: u64) {
        self.shared.set_exported(seq);
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
        let mut waiting = Waiting {
            shared: &self.shared,
            since: Instant::now(),
            is_over: false,
        };
        let recorded = self.try_record(entry, basis).await;
        waiting.is_over = true;
        if let Err(Refused(cause)) = recorded {
            self.shared.refuse(cause);
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
        let inbox = &self.shared.inbox;
        let turn = inbox.push(job).map_err(|closed| match closed {
            Closed::Full => Refused(Cause::QueueFull),
            Closed::Gone => Refused(Cause::WriteFailed),
        })?;
        match (self.shared.commit_path, turn) {
            (CommitPath::Writer, _) | (CommitPath::Adaptive, Turn::Ring) => inbox.ring(),
            (CommitPath::Adaptive | CommitPath::Inline, Turn::Wait) => {}
            (CommitPath::Adaptive, Turn::RingAfterOthers) => {
                let _ring = Ring(inbox);
                tokio::task::yield_now().await;
            }
            (CommitPath::Inline, Turn::Ring | Turn::RingAfterOthers) => {
                let _ring = Ring(inbox);
                tokio::task::yield_now().await;
                writer::write_here(&self.writing, &self.shared);
            }
        }
        match tokio::time::timeout(self.shared.patience, replied).await {
            Ok(Ok(reply)) => reply.own,
            // The writer is gone.
            Ok(Err(_)) => Err(Refused(Cause::WriteFailed)),
            Err(_) => Err(Refused(Cause::Stalled)),
        }
    }
}
