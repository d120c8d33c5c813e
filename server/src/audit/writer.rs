//! The one writer of the log.
//!
//! A thread drains the queue, makes one batch of it, and replies when the batch is synced. So the
//! slower the disk, the larger the batches. Deliberately absent: who waits for what; see
//! [`super::trail`].

use std::{
    collections::HashSet,
    io,
    sync::{Arc, Mutex, TryLockError, Weak},
    thread,
    time::{Duration, Instant},
};

use admit_policy::Digest;
use tokio::sync::{oneshot, watch as channel};

use super::{
    CommitPath,
    current::{Unwritable, describe, unwritable},
    inbox::{self, Job, Recorded, Refused, Reply},
    log::{Draft, Log, Receipt},
    queue::{Shared, TrailState},
    record::{Cause, Entry, Gap},
};
use crate::clock;

/// Most entries of one batch.
pub const BATCH_MAX: usize = 1024;
/// How long after a batch more are expected, and how long they then wait at most for a ring: whoever is to
/// ring waits for a turn, which something long on the same thread of the runtime can hold up.
const BUSY_FOR: Duration = Duration::from_secs(1);
const RING_PATIENCE: Duration = Duration::from_millis(5);
/// How often a log that cannot be written is tried again, and an idle one is looked at.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);
/// Most bases that are remembered as kept.
const KEPT_MAX: usize = 1024;
/// How often retention is looked after.
const RETIRE_INTERVAL: Duration = Duration::from_secs(60);

/// How long the end of the writer may take.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

/// Waits until `thread` has ended, or `patience` is over.
pub(crate) fn wait_for_end(thread: &thread::JoinHandle<()>, patience: Duration) {
    let since = Instant::now();
    while !thread.is_finished() && since.elapsed() < patience {
        thread::sleep(Duration::from_millis(5));
    }
}

/// Keeps the writer's thread; dropping it waits until what was accepted is written.
#[derive(Debug)]
pub struct TrailWriter {
    shared: Arc<Shared>,
    /// The thread keeps it.
    writing: Weak<Mutex<Writing>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl TrailWriter {
    /// Starts the writer of `log`, which takes entries from the inbox of `shared` and tells of them by
    /// `publish`.
    pub(super) fn start(
        log: Log,
        publish: channel::Sender<TrailState>,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let writing = Writing {
            log,
            publish,
            shared: Arc::clone(&shared),
            kept: HashSet::new(),
            retired: Instant::now(),
        };
        let answer = match shared.commit_path {
            CommitPath::Adaptive | CommitPath::Inline => inbox::answer,
            CommitPath::Writer => inbox::answer_each,
        };
        let inbox_of = Arc::clone(&shared);
        let writing = Arc::new(Mutex::new(writing));
        let weak = Arc::downgrade(&writing);
        let thread = thread::Builder::new()
            .name("audit-writer".into())
            .spawn(move || run(&writing, &inbox_of, answer))?;
        Ok(Self {
            shared,
            writing: weak,
            thread: Some(thread),
        })
    }

    /// The state of the writer, as long as its thread lives.
    pub(super) fn writing(&self) -> Weak<Mutex<Writing>> {
        Weak::clone(&self.writing)
    }
}

/// How those who wait are told.
type Answer = fn(Vec<(oneshot::Sender<Reply>, Recorded)>);

/// The writer's thread.
fn run(writing: &Mutex<Writing>, shared: &Shared, answer: Answer) {
    let mut batch = Vec::new();
    let mut written = Instant::now();
    let mut looked = Instant::now();
    loop {
        let patience = if written.elapsed() < BUSY_FOR {
            RING_PATIENCE
        } else {
            RETRY_INTERVAL
        };
        let is_stopping = shared.inbox.take(&mut batch, BATCH_MAX, patience);
        let is_over = is_stopping && batch.is_empty();
        if !batch.is_empty() {
            written = Instant::now();
        } else if !is_over && looked.elapsed() < RETRY_INTERVAL {
            continue;
        }
        looked = Instant::now();
        // What somebody broke off in the middle of is not written on.
        let Ok(mut writing) = writing.lock() else {
            return;
        };
        writing.write(&mut batch, answer);
        if is_over {
            return;
        }
        writing.retire();
    }
}

/// Writes what waits, on this thread. When another one is writing, that one looks again afterwards.
pub(super) fn write_here(writing: &Weak<Mutex<Writing>>, shared: &Shared) {
    let Some(writing) = writing.upgrade() else {
        return;
    };
    let mut batch = Vec::new();
    while shared.inbox.waiting() > 0 {
        match writing.try_lock() {
            Ok(mut writing) => {
                shared.inbox.take_ready(&mut batch, BATCH_MAX);
                writing.write(&mut batch, inbox::answer_each);
            }
            Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => return,
        }
    }
}

impl Drop for TrailWriter {
    fn drop(&mut self) {
        self.shared.inbox.stop();
        if let Some(thread) = self.thread.take() {
            // A writer that hangs in the disk must not hang the end of the process.
            wait_for_end(&thread, STOP_PATIENCE);
        }
    }
}

/// Says in the daemon's own log that nothing can be recorded.
fn report(error: &Unwritable) {
    let cause = describe(error.cause);
    tracing::error!(cause, error = %error.source, "the audit log cannot be written");
}

/// The state of whoever writes.
#[derive(Debug)]
pub(super) struct Writing {
    log: Log,
    publish: channel::Sender<TrailState>,
    shared: Arc<Shared>,
    /// The bases that this process has kept; any other one is looked into when it is first used.
    kept: HashSet<Digest>,
    /// When retention was looked after last.
    retired: Instant,
}

impl Drop for Writing {
    fn drop(&mut self) {
        // However the thread ends: nobody waits for what nobody will write.
        self.shared.inbox.close();
    }
}

impl Writing {
    /// Writes the batch, after a gap entry if requests were refused, and replies.
    fn write(&mut self, batch: &mut Vec<Job>, answer: Answer) {
        // Who has gone away is not answered, and nothing is recorded for nobody.
        batch.retain(|job| !job.reply.is_closed());
        let was = self.publish.borrow().unwritable;
        let refused = self.shared.refused();
        if batch.is_empty() && refused.is_none() && was.is_none() {
            return self.look();
        }
        self.shared.set_busy(Some(Instant::now()));
        let gap = refused.map(|(refused, cause)| {
            Draft::of(&Entry::Gap(Gap {
                time: clock::text(),
                refused,
                cause,
            }))
        });
        let written = self.append(gap, batch);
        self.shared.set_busy(None);
        match written {
            Ok((receipts, has_gap)) => {
                if let Some((refused, _)) = refused {
                    self.shared.named(refused);
                }
                self.publish_state(None);
                // The gap entry, if there is one, comes first and has nobody to tell.
                let own = receipts.into_iter().skip(usize::from(has_gap));
                let replies = batch.drain(..).map(|job| job.reply).zip(own.map(Ok));
                answer(replies.collect());
            }
            Err(error) => {
                if was != Some(error.cause) {
                    report(&error);
                }
                self.publish_state(Some(error.cause));
                let refused = Err(Refused(error.cause));
                let replies = batch.drain(..).map(|job| (job.reply, refused.clone()));
                answer(replies.collect());
            }
        }
    }

    /// Looks, with nothing to write, whether the log is still where it should be.
    fn look(&mut self) {
        self.shared.set_busy(Some(Instant::now()));
        let looked = self.log.look();
        self.shared.set_busy(None);
        if let Err(error) = looked {
            report(&error);
            self.publish_state(Some(error.cause));
        }
    }

    fn append(
        &mut self,
        gap: Option<Draft>,
        batch: &mut [Job],
    ) -> Result<(Vec<Receipt>, bool), Unwritable> {
        self.keep_bases(batch)?;
        let has_gap = gap.is_some();
        let started = Instant::now();
        let drafts: Vec<Draft> = gap
            .into_iter()
            .chain(batch.iter_mut().map(|job| job.draft.take()))
            .collect();
        let receipts = self.log.append(&drafts)?;
        let metrics = &self.shared.metrics;
        metrics
            .sync_seconds
            .observe(started.elapsed().as_secs_f64());
        metrics
            .appended
            .inc_by(u64::try_from(receipts.len()).unwrap_or(0));
        Ok((receipts, has_gap))
    }

    /// Keeps every basis that the batch refers to, before any entry that refers to it.
    fn keep_bases(&mut self, batch: &[Job]) -> Result<(), Unwritable> {
        let failed = unwritable(Cause::CreateFailed);
        let mut looked_at: Option<Digest> = None;
        for basis in batch.iter().filter_map(|job| job.basis.as_ref()) {
            if looked_at == Some(basis.digest) {
                continue;
            }
            looked_at = Some(basis.digest);
            let is_kept = self.kept.contains(&basis.digest);
            if is_kept && basis.is_there(self.log.dir()).map_err(&failed)? {
                continue;
            }
            // Nothing is made in a directory that is not this log's.
            self.log.look()?;
            basis.keep(self.log.dir()).map_err(&failed)?;
            if self.kept.len() >= KEPT_MAX {
                self.kept.clear();
            }
            self.kept.insert(basis.digest);
        }
        Ok(())
    }

    fn publish_state(&self, unwritable: Option<Cause>) {
        let head = self.log.head();
        let metrics = &self.shared.metrics;
        metrics
            .last_seq
            .set(i64::try_from(head.seq).unwrap_or(i64::MAX));
        metrics.writable.set(i64::from(unwritable.is_none()));
        self.publish.send_if_modified(|state| {
            if state.unwritable.is_some() && unwritable.is_none() {
                tracing::info!("the audit log can be written again");
            }
            let is_news = state.unwritable != unwritable || state.head.seq != head.seq;
            state.unwritable = unwritable;
            state.head.clone_from(head);
            is_news
        });
    }

    /// Deletes at most one segment, so that nobody waits long for it; the next one comes with the next
    /// batch.
    fn retire(&mut self) {
        if self.retired.elapsed() < RETIRE_INTERVAL || self.publish.borrow().unwritable.is_some() {
            return;
        }
        self.shared.set_busy(Some(Instant::now()));
        let retired = self.log.retire(self.shared.exported());
        self.shared.set_busy(None);
        if !matches!(retired, Ok(true)) {
            self.retired = Instant::now();
        }
        match retired {
            Ok(_) => self.publish_state(None),
            // Whether entries can be written is for the next of them to find out.
            Err(error) => {
                tracing::error!(cause = describe(error.cause), error = %error.source, "no segment can be retired");
            }
        }
    }
}
