//! Calls that were refused because of who made them: counted where they are refused, recorded at a
//! bounded rate.
//!
//! # What holds
//!
//! - Counting waits for nothing but a short lock, never for the log.
//! - The first refusal of a key is recorded at once, those after it in at most one entry each
//!   [`REFUSAL_INTERVAL`], the rest at the end. A key has the operator's words alone, so there are at most
//!   `(CALLERS_MAX + 1) × (5 calls + 1) × 3 connections × 6 causes` of one configuration, however many call.
//! - One entry at a time waits for the writer of the log, so that no decision waits behind many.
//! - What could not be recorded stays counted. An entry that the disk took longer for than the patience can
//!   stand in the log although nobody was told so; its calls are then recorded again, in a later entry of the
//!   same key and the same `since`, which counts them all.
//!
//! Deliberately absent: the judgment of a caller (`crate::caller`), and anything that a call states.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use admit_policy::Timestamp;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};

use super::{
    Trail,
    inbox::Refused,
    record::{Entry, Refusal},
};
use crate::{
    caller::{RefusalCause, Rpc, Via},
    clock,
};

/// The shortest time between two entries of one key.
pub const REFUSAL_INTERVAL: Duration = Duration::from_secs(10);
/// How long a log that could not be written is left alone.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// What refused calls have in common that are counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RefusalKey {
    /// The operator's name for who called; `None` when no caller was recognized.
    pub caller: Option<Arc<str>>,
    /// How it was connected.
    pub via: Via,
    /// What it called; `None`: no call of the contract, such as server reflection.
    pub rpc: Option<Rpc>,
    /// Why that was refused.
    pub cause: RefusalCause,
}

/// The refused calls that no entry of the log names yet. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    tallies: Mutex<BTreeMap<RefusalKey, Tally>>,
    /// A key has its first call that no entry names.
    news: Notify,
    /// Held by the one who writes entries, so that no call is recorded twice.
    writing: tokio::sync::Mutex<()>,
}

/// The calls of one key.
#[derive(Debug, Default)]
struct Tally {
    /// Those of the entry that is being written, or that could not be.
    begun: Option<Calls>,
    /// Those that have come since.
    new: Option<Calls>,
    /// From when on the next entry may be written; `None`: there was none yet.
    due: Option<Instant>,
}

/// Refused calls, at least one.
#[derive(Clone, Copy, Debug)]
struct Calls {
    count: u64,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Calls {
    /// These calls, and `later` ones. A clock that was set back makes no time end before it begins.
    fn and(self, later: Self) -> Self {
        Self {
            count: self.count.saturating_add(later.count),
            since: self.since,
            until: self.until.max(later.until),
        }
    }
}

impl Tally {
    fn has_calls(&self) -> bool {
        self.begun.is_some() || self.new.is_some()
    }

    fn add(&mut self, calls: Calls) {
        self.new = Some(self.new.map_or(calls, |new| new.and(calls)));
    }

    /// Everything that no entry names, for an entry.
    fn begin(&mut self) -> Option<Calls> {
        self.begun = match (self.begun, self.new.take()) {
            (Some(begun), Some(new)) => Some(begun.and(new)),
            (begun, new) => begun.or(new),
        };
        self.begun
    }
}

/// Where entries are recorded.
trait Notes {
    /// Records an entry that no request waits for.
    fn note(&self, entry: &Entry) -> impl Future<Output = Result<(), Refused>> + Send;
}

impl Notes for Trail {
    async fn note(&self, entry: &Entry) -> Result<(), Refused> {
        Self::note(self, entry).await.map(drop)
    }
}

impl Refusals {
    /// Counts one refused call. Never waits for the log.
    pub fn count(&self, key: RefusalKey) {
        let now = clock::now();
        let is_first = {
            let mut tallies = self.tallies();
            let tally = tallies.entry(key).or_default();
            let is_first = !tally.has_calls();
            tally.add(Calls {
                count: 1,
                since: now,
                until: now,
            });
            is_first
        };
        if is_first {
            self.0.news.notify_one();
        }
    }

    /// Records in `trail` what is counted, until `stop` is over, and what is left then. One of the clones is
    /// enough to do this.
    pub async fn follow(self, trail: Trail, stop: impl Future<Output = ()> + Send) {
        self.record_in(&trail, stop).await;
    }

    /// Records all that is counted now, however recent the last entry of its key is. Ends at the first entry
    /// that is not recorded, and so takes no longer than the patience of a log that hangs.
    ///
    /// # Errors
    ///
    /// When an entry could not be recorded. It stays counted, and so does what was to come after it.
    pub async fn flush(&self, trail: &Trail) -> Result<(), Refused> {
        self.write(trail, |_| true).await
    }

    async fn record_in(&self, log: &impl Notes, stop: impl Future<Output = ()> + Send) {
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                () = self.due() => {}
            }
            let now = Instant::now();
            let is_due = |tally: &Tally| tally.due.is_none_or(|due| due <= now);
            // The writer of the log reports why.
            if self.write(log, is_due).await.is_err() {
                tokio::select! {
                    biased;
                    () = &mut stop => break,
                    () = sleep(RETRY_INTERVAL) => {}
                }
            }
        }
        if self.write(log, |_| true).await.is_err() {
            tracing::error!("refused calls were counted, and are not in the audit log");
        }
    }

    /// Waits until an entry may be written.
    async fn due(&self) {
        loop {
            let next = self
                .tallies()
                .values()
                .filter(|tally| tally.has_calls())
                .map(|tally| tally.due)
                .min();
            let news = self.0.news.notified();
            match next {
                None => news.await,
                Some(None) => return,
                Some(Some(due)) => tokio::select! {
                    () = sleep_until(due) => return,
                    () = news => {}
                },
            }
        }
    }

    /// Writes an entry for every key that `is_due`, one after the other.
    async fn write(
        &self,
        log: &impl Notes,
        is_due: impl Fn(&Tally) -> bool + Send,
    ) -> Result<(), Refused> {
        let _writing = self.0.writing.lock().await;
        for key in self.keys(is_due) {
            let Some(entry) = self.begin(&key) else {
                continue;
            };
            log.note(&entry).await?;
            self.end(&key);
        }
        Ok(())
    }

    /// The keys that have calls to record and are due; forgets those that have nothing to wait for.
    fn keys(&self, is_due: impl Fn(&Tally) -> bool) -> Vec<RefusalKey> {
        let now = Instant::now();
        let mut tallies = self.tallies();
        tallies.retain(|_, tally| tally.has_calls() || tally.due.is_some_and(|due| due > now));
        tallies
            .iter()
            .filter(|(_, tally)| tally.has_calls() && is_due(tally))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// The entry of all calls of `key` that none names yet.
    fn begin(&self, key: &RefusalKey) -> Option<Entry> {
        let calls = self.tallies().get_mut(key)?.begin()?;
        Some(Entry::Refused(Refusal {
            since: clock::written(calls.since),
            until: clock::written(calls.until),
            caller: key.caller.as_deref().map(ToOwned::to_owned),
            via: key.via.into(),
            rpc: key.rpc.map(Into::into),
            cause: key.cause.into(),
            count: calls.count,
        }))
    }

    /// The entry that was begun is durable.
    fn end(&self, key: &RefusalKey) {
        if let Some(tally) = self.tallies().get_mut(key) {
            tally.begun = None;
            tally.due = Some(Instant::now() + REFUSAL_INTERVAL);
        }
    }

    fn tallies(&self) -> MutexGuard<'_, BTreeMap<RefusalKey, Tally>> {
        self.0
            .tallies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
