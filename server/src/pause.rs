//! Work in slices, for threads that serve no request: where they share a core with requests, none of these
//! waits for much more than a slice.
//!
//! Deliberately absent: priorities, which hardened service units do not let a process set.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Longest work from one pause to the next, but for the step that ends it. The scheduler of the system
/// would take the core away only after milliseconds, however long a request is ready.
const SLICE: Duration = Duration::from_micros(100);

/// Lets others have the core now and then; costs next to nothing when nobody wants it.
#[derive(Debug)]
pub(crate) struct Pause {
    begun: Instant,
}

impl Pause {
    /// Work begins.
    pub(crate) fn new() -> Self {
        Self {
            begun: Instant::now(),
        }
    }

    /// One step is done; it shall take microseconds.
    pub(crate) fn step(&mut self) {
        if self.begun.elapsed() >= SLICE {
            thread::yield_now();
            self.begun = Instant::now();
        }
    }
}

/// `items`, each of which is one step.
pub(crate) fn paused<T>(items: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
    let mut pause = Pause::new();
    items.into_iter().inspect(move |_| pause.step())
}
