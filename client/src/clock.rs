//! The host's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use admit_policy::Timestamp;

/// The time of now; `None` before 1970 and after 9999.
pub(crate) fn now() -> Option<Timestamp> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Timestamp::from_unix(i64::try_from(since.as_secs()).ok()?, since.subsec_nanos())
}
