//! How often failed handshakes are logged: whoever can reach the port can make any number of them.
//!
//! Deliberately absent: the count of all of them, which the metrics have.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Most lines in one [`WINDOW`].
const LINES_MAX: u32 = 20;
/// The time that lines are counted in.
const WINDOW: Duration = Duration::from_secs(1);

/// Which failures are logged.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    since: Option<Instant>,
    said: u32,
    unsaid: u64,
}

impl Complaints {
    /// Whether a failure at `now` is logged, and then how many before it were not.
    pub(super) fn say(&self, now: Instant) -> Option<u64> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |since: Instant| now.saturating_duration_since(since) >= WINDOW;
        if counted.since.is_none_or(is_over) {
            counted.since = Some(now);
            counted.said = 0;
        }
        if counted.said >= LINES_MAX {
            counted.unsaid = counted.unsaid.saturating_add(1);
            return None;
        }
        counted.said = counted.said.saturating_add(1);
        Some(std::mem::take(&mut counted.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_few_lines_and_a_number() {
        let complaints = Complaints::default();
        let start = Instant::now();
        for _ in 0..LINES_MAX {
            assert_eq!(complaints.say(start), Some(0));
        }
        for _ in 0..1000 {
            assert_eq!(complaints.say(start + WINDOW / 2), None);
        }
        assert_eq!(complaints.say(start + WINDOW), Some(1000));
        assert_eq!(complaints.say(start + WINDOW), Some(0));
    }
}
