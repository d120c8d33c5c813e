//! Waiting for what is bound to happen, and failing loudly when it does not.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Longest time that anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);
/// How often it is looked.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// What `look` finds, once it finds something.
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, look)
}

/// The same with another patience.
pub(crate) fn until_within<T>(
    patience: Duration,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < patience, "waited in vain for {what}");
        thread::sleep(LOOK_INTERVAL);
    }
}
