//! The clock: the one place where the daemon asks for the time of day.

use std::time::{SystemTime, UNIX_EPOCH};

use admit_policy::Timestamp;

/// Now, by the host's clock; `None` when that clock is before 1970 or beyond the year 9999, which no
/// decision can be made by.
#[must_use]
pub fn now() -> Option<Timestamp> {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let seconds = i64::try_from(since_epoch.as_secs()).ok()?;
    Timestamp::from_unix(seconds, since_epoch.subsec_nanos())
}

/// Now, as RFC 3339, for what is noted beside decisions; the epoch when the clock is of no use.
#[must_use]
pub fn text() -> String {
    written(now())
}

/// What [`now`] was, as RFC 3339; the epoch when the clock was of no use.
#[must_use]
pub fn written(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "1970-01-01T00:00:00Z".into(), |at| at.to_string())
}
