//! How often a failure is logged that can come any number of times.
//!
//! Deliberately absent: the count of all of them, which the metrics have.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Which failures are logged.
#[derive(Debug)]
pub(super) struct Complaints {
    lines_max: u32,
    window: Duration,
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    since: Option<Instant>,
    said: u32,
    unsaid: u64,
}

impl Complaints {
    /// At most `lines_max` of them in one `window`.
    pub(super) fn new(lines_max: u32, window: Duration) -> Self {
        Self {
            lines_max,
            window,
            counted: Mutex::default(),
        }
    }

    /// Whether a failure at `now` is logged, and then how many before it were not.
    pub(super) fn say(&self, now: Instant) -> Option<u64> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |since: Instant| now.saturating_duration_since(since) >= self.window;
        if counted.since.is_none_or(is_over) {
            counted.since = Some(now);
            counted.said = 0;
        }
        if counted.said >= self.lines_max {
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
        const LINES_MAX: u32 = 20;
        const WINDOW: Duration = Duration::from_secs(1);
        let complaints = Complaints::new(LINES_MAX, WINDOW);
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
