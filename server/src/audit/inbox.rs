//! What waits for the writer of the log, and how the answers find their way back.
//!
//! Whoever finds the inbox empty rings for the writer, and lets everybody who is ready go first, so
//! that a batch holds all of them; unless there was nobody else the last time. A batch comes back through one of those who wait for it, who hands
//! the others theirs: one wake-up across threads, not one for each. Deliberately absent: the disk.

use std::{
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    basis::Basis,
    current::describe,
    log::{Draft, Receipt},
    record::Cause,
};

/// Most entries that wait for the writer.
pub const WAITING_MAX: usize = 8192;

/// Nothing was recorded, so nothing may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing can be recorded: {}", describe(self.0))]
pub struct Refused(pub Cause);

/// What became of one entry.
pub(super) type Recorded = Result<Receipt, Refused>;

/// One entry on its way to the log.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) draft: Draft,
    pub(super) basis: Option<Arc<Basis>>,
    pub(super) reply: oneshot::Sender<Reply>,
}

/// What became of one entry, and of others whose tasks are woken by whoever takes this, or drops it.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) own: Recorded,
    others: Others,
}

/// Replies that are on their way. Dropped, they arrive: whoever carries them may go away.
#[derive(Debug, Default)]
struct Others(Vec<(oneshot::Sender<Reply>, Recorded)>);

impl Drop for Others {
    fn drop(&mut self) {
        for (reply, own) in mem::take(&mut self.0) {
            // Who has gone away in the meantime is not answered.
            let _ = reply.send(Reply::alone(own));
        }
    }
}

impl Reply {
    fn alone(own: Recorded) -> Self {
        Self {
            own,
            others: Others::default(),
        }
    }
}

/// Answers everybody in `replies`, through one of them.
pub(super) fn answer(mut replies: Vec<(oneshot::Sender<Reply>, Recorded)>) {
    while let Some((first, own)) = replies.pop() {
        let reply = Reply {
            own,
            others: Others(mem::take(&mut replies)),
        };
        match first.send(reply) {
            Ok(()) => return,
            // It has gone away: the next one carries them.
            Err(mut back) => replies = mem::take(&mut back.others.0),
        }
    }
}

/// Answers everybody in `replies`, each directly.
pub(super) fn answer_each(replies: Vec<(oneshot::Sender<Reply>, Recorded)>) {
    drop(Others(replies));
}

/// What whoever has added an entry has to do for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Ring for the writer.
    Ring,
    /// Let others go first, and then ring.
    RingAfterOthers,
    /// Nothing: somebody else rings.
    Wait,
}

/// Why an entry cannot wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// Too many wait already.
    Full,
    /// The writer is gone.
    Gone,
}

/// The entries that wait for the writer.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    rung: Condvar,
}

#[derive(Debug, Default)]
struct State {
    jobs: Vec<Job>,
    /// How many the writer took last.
    last_taken: usize,
    /// Whether somebody has rung since the writer last took what there was.
    is_rung: bool,
    is_stopping: bool,
    is_writer_gone: bool,
}

impl State {
    fn drain(&mut self, batch: &mut Vec<Job>, max: usize) {
        let taken = self.jobs.len().min(max);
        batch.extend(self.jobs.drain(..taken));
        if taken > 0 {
            self.last_taken = taken;
        }
    }
}

impl Inbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job; what whoever adds it has to do.
    pub(super) fn push(&self, job: Job) -> Result<Turn, Closed> {
        let mut state = self.state();
        if state.is_writer_gone {
            return Err(Closed::Gone);
        }
        if state.jobs.len() >= WAITING_MAX {
            return Err(Closed::Full);
        }
        state.jobs.push(job);
        Ok(match (state.jobs.len(), state.last_taken) {
            (1, 0 | 1) => Turn::Ring,
            (1, _) => Turn::RingAfterOthers,
            _ => Turn::Wait,
        })
    }

    /// Wakes the writer, if it waits and there is something to write.
    pub(super) fn ring(&self) {
        let mut state = self.state();
        // Otherwise it has been written already.
        if !state.jobs.is_empty() {
            state.is_rung = true;
            self.rung.notify_one();
        }
    }

    /// Moves at most `max` jobs into `batch`, waiting for a ring for at most `patience` when there is
    /// none; whether the writer is to stop once nothing is left.
    pub(super) fn take(&self, batch: &mut Vec<Job>, max: usize, patience: Duration) -> bool {
        let mut state = self.state();
        if state.jobs.is_empty() {
            let is_quiet = |state: &mut State| !state.is_rung && !state.is_stopping;
            state = self
                .rung
                .wait_timeout_while(state, patience, is_quiet)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        }
        state.is_rung = false;
        state.drain(batch, max);
        state.is_stopping
    }

    /// Moves at most `max` jobs into `batch`.
    pub(super) fn take_ready(&self, batch: &mut Vec<Job>, max: usize) {
        self.state().drain(batch, max);
    }

    /// Has the writer stop once nothing is left.
    pub(super) fn stop(&self) {
        self.state().is_stopping = true;
        self.rung.notify_one();
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.state().jobs.len()
    }

    /// Whether nobody will ever write what is added.
    pub(super) fn is_writer_gone(&self) -> bool {
        self.state().is_writer_gone
    }

    /// Says that the writer is gone, and gives up what waits for it.
    pub(super) fn close(&self) {
        let given_up = {
            let mut state = self.state();
            state.is_writer_gone = true;
            mem::take(&mut state.jobs)
        };
        drop(given_up);
    }
}

/// Rings when it is dropped: also when the task that should is given up.
pub(super) struct Ring<'a>(pub(super) &'a Inbox);

impl Drop for Ring<'_> {
    fn drop(&mut self) {
        self.0.ring();
    }
}
