//! The store: the policy in force, kept by one writer.
//!
//! The writer owns the policy directory's state: it alone reads the directory, judges a whole
//! reading, and swaps the result in one step. Everybody else sees one [`State`] or the next, never
//! a part of each.
//!
//! A change is believed when two readings in a row, [`SETTLE`] apart, are the same; so a change that
//! consists of several writes is seen whole. While nothing is in force, as at the start, one reading is
//! enough if all that it saw had certainly been as it is for [`scan::quiet::QUIET_MIN`]. A reading that fails
//! changes nothing but the age of the snapshot, and that is bounded by `staleness_max`. Deliberately absent: a
//! last known good. What was read is in force, broken or not.

pub mod scan;
pub(crate) mod watch;
mod writer;

use std::{
    path::PathBuf,
    sync::{Arc, mpsc::SyncSender},
    time::{Duration, Instant, SystemTime},
};

use admit_policy::{Snapshot, Standing, Terms, Timestamp};
use tokio::sync::watch as channel;

use crate::audit::{basis::Basis, keys::NamesKey, names::Names, shelf::Shelf};

pub use writer::Writer;

/// Longest time that listeners and the service manager wait for the first reading; a daemon without one
/// denies, and is ready to.
pub const FIRST_READING_MAX: Duration = Duration::from_secs(2);
/// How far apart two readings are that have to be the same before a change is believed.
pub const SETTLE: Duration = Duration::from_millis(100);

/// A snapshot and when it was read.
#[derive(Debug)]
pub struct Loaded {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// When it was read.
    pub read_time: Timestamp,
    /// The names that stand in the audit log in clear under it.
    pub names: Names,
    /// What decisions under it are based on, as the audit trail keeps it.
    pub basis: Arc<Basis>,
}

/// The policy in force.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The snapshot; `None` while none has been read.
    pub loaded: Option<Arc<Loaded>>,
    /// When the directory was last found to hold just this snapshot, for people.
    pub verify_time: Option<Timestamp>,
    /// The same, for measuring.
    verified: Option<Verified>,
    /// Why the latest reading failed; `None` when it did not.
    pub failure: Option<Arc<str>>,
}

/// One moment on two clocks: the monotonic one stands still while the machine sleeps, and the wall
/// clock can be set. The larger age counts.
#[derive(Clone, Copy, Debug)]
struct Verified {
    monotonic: Instant,
    wall: SystemTime,
}

impl Verified {
    fn now() -> Self {
        Self {
            monotonic: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    fn age(self) -> Duration {
        let wall = self.wall.elapsed().unwrap_or(Duration::ZERO);
        self.monotonic.elapsed().max(wall)
    }
}

impl State {
    /// The policy as it stands now.
    #[must_use]
    pub fn standing<'a>(&'a self, terms: &'a Terms) -> Standing<'a> {
        Standing {
            snapshot: self.loaded.as_ref().map(|loaded| &loaded.snapshot),
            unverified_for: self.verified.map_or(Duration::MAX, Verified::age),
            terms,
        }
    }
}

/// The writer's attempts at a reading, whether they succeed or not.
#[derive(Clone, Copy, Debug)]
struct Attempts {
    begun: u64,
    ended: u64,
    /// When the latest one ended; before the first, when the writer was made.
    latest_end: Instant,
}

impl Attempts {
    fn none() -> Self {
        Self {
            begun: 0,
            ended: 0,
            latest_end: Instant::now(),
        }
    }

    fn begin(&mut self) {
        self.begun = self.begun.saturating_add(1);
    }

    fn end(&mut self) {
        self.ended = self.ended.saturating_add(1);
        self.latest_end = Instant::now();
    }
}

/// What the writer needs to know.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The policy directory.
    pub policy_dir: PathBuf,
    /// How often the directory is read again without any notification.
    pub rescan_interval: Duration,
}

/// A reader of the policy in force.
#[derive(Clone, Debug)]
pub struct Store {
    state: channel::Receiver<State>,
    attempts: channel::Receiver<Attempts>,
    wake: SyncSender<()>,
    terms: Arc<Terms>,
}

impl Store {
    /// Starts the writer, which puts the basis of each policy on `shelf`.
    ///
    /// # Errors
    ///
    /// When its thread cannot be started.
    pub fn open(
        config: StoreConfig,
        terms: Terms,
        names_key: NamesKey,
        shelf: Shelf,
    ) -> std::io::Result<(Self, Writer)> {
        let (sender, state) = channel::channel(State::default());
        let (attempting, attempts) = channel::channel(Attempts::none());
        let terms = Arc::new(terms);
        let writer = Writer::start(
            config,
            Arc::clone(&terms),
            (names_key, shelf),
            sender,
            attempting,
        )?;
        let store = Self {
            state,
            attempts,
            wake: writer.wake(),
            terms,
        };
        Ok((store, writer))
    }

    /// The policy in force.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// The operator's terms.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Whether there is a policy that is fresh enough to answer a real launch by.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        let state = self.state();
        let standing = state.standing(&self.terms);
        standing.snapshot.is_some() && !standing.is_stale()
    }

    /// How long ago the writer's latest attempt at a reading ended, well or badly; `None` once the writer
    /// is gone.
    #[must_use]
    pub fn since_attempt(&self) -> Option<Duration> {
        let is_there = self.attempts.has_changed().is_ok();
        is_there.then(|| self.attempts.borrow().latest_end.elapsed())
    }

    /// Has the directory read again at once; returns when a change that was there before is in force, or
    /// its reading has failed, or the writer is gone. A reading may hang: bound the wait.
    pub async fn reread(&self) {
        let mut attempts = self.attempts.clone();
        // The attempt that runs now may be past the change. The next one sees it, and the one after that
        // believes it.
        let due = attempts.borrow().begun.saturating_add(2);
        // Full means that the writer is about to read anyway.
        let _ = self.wake.try_send(());
        // An error means that the writer is gone.
        let _ = attempts.wait_for(|attempts| attempts.ended >= due).await;
    }

    /// Waits for the next change of the state; `false` once the writer is gone.
    pub async fn changed(&mut self) -> bool {
        self.state.changed().await.is_ok()
    }

    /// Waits until the first reading has ended, well or badly, for at most `patience`.
    pub async fn first_reading(&mut self, patience: Duration) {
        let read = self
            .state
            .wait_for(|state| state.loaded.is_some() || state.failure.is_some());
        // Without a reading the daemon serves all the same: it denies.
        let _ = tokio::time::timeout(patience, read).await;
    }
}
