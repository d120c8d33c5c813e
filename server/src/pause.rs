//! Work in steps, for the thread that reads and judges: where it shares a core with requests, none of them
//! waits for more than a few of its steps.
//!
//! Deliberately absent: priorities, which hardened service units do not let a process set.

use std::thread;

/// Steps from one pause to the next; each takes microseconds.
const STEPS: u32 = 32;

/// Lets others have the core now and then; costs next to nothing when nobody wants it.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    steps: u32,
}

impl Pause {
    /// One step is done.
    pub(crate) fn step(&mut self) {
        self.steps = self.steps.saturating_add(1);
        if self.steps >= STEPS {
            self.steps = 0;
            thread::yield_now();
        }
    }
}
