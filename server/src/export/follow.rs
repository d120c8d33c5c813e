//! The export of a running log: it follows the durable head, one batch at a time.
//!
//! The position moves only when every span of a batch is settled and every refusal is recorded.
//! Deliberately absent: any effect on decisions. The log waits for nobody here; all that an export
//! that does not get on keeps back is retention.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    cursor,
    delivery::{Backoff, Delivery, Refusal, Settled},
    reader::{self, BATCH_SPANS_MAX, Batch, Position, ReadError},
};
use crate::{
    audit::{
        Trail, TrailState,
        record::{Entry, Rejected},
    },
    clock,
};

/// How often the cursor is kept at most. Its syncs hold up those of the log, and so every answer; what is
/// sent again after a crash is what was sent since.
const SAVE_INTERVAL: Duration = Duration::from_secs(2);
/// The shortest time between two batches, unless the second one is full: under load a batch is many
/// entries and not the few of one sync, and what comes after a pause does not wait.
const GATHER_INTERVAL: Duration = Duration::from_millis(20);
/// How often the lag is measured.
const LAG_INTERVAL: Duration = Duration::from_millis(500);
/// How long to wait for a log that cannot be written.
const UNWRITABLE_INTERVAL: Duration = Duration::from_millis(250);

/// What is behind, for the metrics.
#[derive(Debug)]
struct Lag {
    /// The last entry that is settled.
    settled: AtomicU64,
    /// The time of the entry behind it, in nanoseconds since the Unix epoch; 0 if it is not known.
    oldest_unix_nano: AtomicU64,
}

impl Lag {
    fn measure(&self, trail: &Trail, head: u64) {
        let records = head.saturating_sub(self.settled.load(Ordering::Relaxed));
        let oldest = self.oldest_unix_nano.load(Ordering::Relaxed);
        let since = Duration::from_nanos(now_unix_nano().saturating_sub(oldest));
        let is_behind = records > 0 && oldest > 0;
        let metrics = trail.metrics();
        metrics
            .export_lag_records
            .set(i64::try_from(records).unwrap_or(i64::MAX));
        metrics
            .export_lag_seconds
            .set(if is_behind { since.as_secs_f64() } else { 0.0 });
    }
}

fn now_unix_nano() -> u64 {
    clock::now()
        .and_then(|now| {
            let (seconds, nanos) = now.unix();
            let nanos = Duration::new(u64::try_from(seconds).ok()?, nanos).as_nanos();
            u64::try_from(nanos).ok()
        })
        .unwrap_or_default()
}

/// An export under way.
#[derive(Debug)]
pub(super) struct Following {
    trail: Trail,
    state: watch::Receiver<TrailState>,
    delivery: Delivery,
    position: Position,
    /// The position that the cursor has; none when nothing was kept yet.
    saved: Option<Position>,
    saved_at: Instant,
    /// When a batch was begun the last time.
    read_at: Instant,
    /// Whether the cursor could not be kept the last time.
    cannot_save: bool,
    lag: Arc<Lag>,
}

impl Following {
    pub(super) fn new(trail: Trail, delivery: Delivery, position: Position) -> Self {
        let settled = position.next_seq.saturating_sub(1);
        Self {
            state: trail.follow(),
            trail,
            delivery,
            position,
            saved: None,
            saved_at: Instant::now(),
            read_at: Instant::now(),
            cannot_save: false,
            lag: Arc::new(Lag {
                settled: AtomicU64::new(settled),
                oldest_unix_nano: AtomicU64::new(0),
            }),
        }
    }

    /// Exports until `stop` changes or its sender is gone.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<()>) {
        let lag = Arc::clone(&self.lag);
        let trail = self.trail.clone();
        let measuring = async move {
            let state = trail.follow();
            let mut interval = tokio::time::interval(LAG_INTERVAL);
            loop {
                interval.tick().await;
                let head = state.borrow().head.seq;
                lag.measure(&trail, head);
            }
        };
        tokio::select! {
            biased;
            _ = stop.changed() => {}
            () = self.follow() => {}
            () = measuring => {}
        }
        self.save();
    }

    /// Never returns.
    async fn follow(&mut self) {
        let mut backoff = Backoff::default();
        let mut is_read = true;
        loop {
            let head = self.state.borrow_and_update().head.seq;
            if self.position.next_seq > head {
                self.wait_for_more().await;
                continue;
            }
            let gathering = GATHER_INTERVAL.saturating_sub(self.read_at.elapsed());
            if !gathering.is_zero() && !self.fills_a_batch(head) {
                tokio::time::sleep(gathering).await;
                continue;
            }
            self.read_at = Instant::now();
            match self.read(head) {
                Ok(batch) => {
                    backoff = Backoff::default();
                    is_read = true;
                    self.settle(batch).await;
                }
                Err(error) => {
                    if is_read {
                        let source = std::error::Error::source(&error).map(ToString::to_string);
                        tracing::error!(%error, source, "the export stands still");
                    }
                    is_read = false;
                    tokio::time::sleep(backoff.next(None)).await;
                }
            }
        }
    }

    /// Whether the entries up to `head` are as many as go into one batch.
    fn fills_a_batch(&self, head: u64) -> bool {
        let due = head
            .saturating_add(1)
            .saturating_sub(self.position.next_seq);
        usize::try_from(due).is_ok_and(|due| due >= BATCH_SPANS_MAX)
    }

    fn read(&self, head: u64) -> Result<Batch, ReadError> {
        let (dir, stream_id) = (self.trail.dir(), self.trail.stream_id());
        reader::read(dir, stream_id, &self.position, head)
    }

    /// Keeps the cursor when that is due, and waits for another state of the log.
    async fn wait_for_more(&mut self) {
        if self.saved.as_ref() != Some(&self.position) {
            let due = SAVE_INTERVAL.saturating_sub(self.saved_at.elapsed());
            tokio::select! {
                changed = self.state.changed() => {
                    if changed.is_ok() {
                        return;
                    }
                }
                () = tokio::time::sleep(due) => {}
            }
            self.save();
        } else if self.state.changed().await.is_err() {
            // The writer is gone, and nothing more will come.
            std::future::pending::<()>().await;
        }
    }

    async fn settle(&mut self, batch: Batch) {
        self.lag
            .oldest_unix_nano
            .store(batch.oldest_unix_nano, Ordering::Relaxed);
        let failures = self.trail.metrics().export_failures.clone();
        let delivered = self.delivery.deliver(batch.pieces, || {
            failures.inc();
        });
        let Ok(Settled { accepted, refusals }) = delivered.await else {
            // Without a limit to its patience, delivery does not give up; the batch stays due.
            return;
        };
        self.trail.metrics().exported.inc_by(accepted);
        for refusal in &refusals {
            self.trail.metrics().rejected.inc_by(refusal.spans);
            // The refusal of what tells of a refusal is only counted: a receiver that refuses
            // everything would be told of it for ever.
            if !refusal.is_of_rejections {
                self.record(refusal).await;
            }
        }
        self.position = batch.end;
        let settled = self.position.next_seq.saturating_sub(1);
        self.lag.settled.store(settled, Ordering::Relaxed);
        self.lag.oldest_unix_nano.store(0, Ordering::Relaxed);
        let head = self.state.borrow().head.seq;
        self.lag.measure(&self.trail, head);
        if self.saved_at.elapsed() >= SAVE_INTERVAL {
            self.save();
        }
    }

    /// Records a refusal, however long that takes: the position may not move before.
    async fn record(&self, refusal: &Refusal) {
        let entry = Entry::Rejected(Rejected {
            time: clock::text(),
            first_seq: refusal.first_seq,
            last_seq: refusal.last_seq,
            rejected: refusal.spans,
            grpc_code: refusal.code,
        });
        while self.trail.note(&entry).await.is_err() {
            tokio::time::sleep(UNWRITABLE_INTERVAL).await;
        }
    }

    /// Keeps the cursor, and lets go of what is behind it.
    fn save(&mut self) {
        if self.saved.as_ref() == Some(&self.position) {
            return;
        }
        self.saved_at = Instant::now();
        match cursor::save(self.trail.dir(), self.trail.stream_id(), &self.position) {
            Ok(()) => {
                self.saved = Some(self.position.clone());
                self.cannot_save = false;
                self.trail
                    .exported(self.position.next_seq.saturating_sub(1));
            }
            Err(error) => {
                if !self.cannot_save {
                    tracing::warn!(%error, "the export cursor cannot be kept; a restart sends again");
                }
                self.cannot_save = true;
            }
        }
    }
}
