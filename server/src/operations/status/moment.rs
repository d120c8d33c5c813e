//! Times for a person: when by the clock, and how far from now.

use std::time::Duration;

use admit_policy::Timestamp;

use super::apart;

const MINUTE_S: u64 = 60;
const HOUR_S: u64 = 60 * MINUTE_S;
const DAY_S: u64 = 24 * HOUR_S;
const YEAR_S: u64 = 365 * DAY_S;
/// How many of a unit are said before the next larger one is.
const OF_UNIT_MAX: u64 = 2;

/// A point in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// For programs.
    pub(super) iso: String,
    /// By the clock, in UTC, to the second.
    pub(super) absolute: String,
    /// How far from now.
    pub(super) relative: String,
}

impl Moment {
    pub(super) fn new(at: Timestamp, now: Timestamp) -> Self {
        let iso = at.to_string();
        let (date, time) = iso.split_once('T').unwrap_or((&iso, ""));
        let time: String = time.chars().take("00:00:00".len()).collect();
        let absolute = format!("{date} {time} UTC");
        let (distance, is_ahead) = apart(now, at);
        let relative = match (length(distance), is_ahead) {
            (_, _) if distance.is_zero() => "just now".to_owned(),
            (length, true) => format!("in {length}"),
            (length, false) => format!("{length} ago"),
        };
        Self {
            iso,
            absolute,
            relative,
        }
    }
}

/// A length of time in the largest unit that there is at least twice, such as `90 s` or `47 h`.
pub(super) fn length(length: Duration) -> String {
    let seconds = length.as_secs();
    if seconds < OF_UNIT_MAX * MINUTE_S {
        format!("{seconds} s")
    } else if seconds < OF_UNIT_MAX * HOUR_S {
        format!("{} min", seconds / MINUTE_S)
    } else if seconds < OF_UNIT_MAX * DAY_S {
        format!("{} h", seconds / HOUR_S)
    } else if seconds < OF_UNIT_MAX * YEAR_S {
        format!("{} days", seconds / DAY_S)
    } else {
        format!("{} years", seconds / YEAR_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_said_in_both_ways() {
        let now = Timestamp::parse("2026-06-01T12:00:00Z").unwrap();
        for (at, absolute, relative) in [
            (
                "2026-06-01T12:00:00.9Z",
                "2026-06-01 12:00:00 UTC",
                "just now",
            ),
            ("2026-06-01T11:59:59Z", "2026-06-01 11:59:59 UTC", "1 s ago"),
            (
                "2026-06-01T12:01:59Z",
                "2026-06-01 12:01:59 UTC",
                "in 119 s",
            ),
            (
                "2026-06-01T12:02:00Z",
                "2026-06-01 12:02:00 UTC",
                "in 2 min",
            ),
            (
                "2026-06-01T10:00:01Z",
                "2026-06-01 10:00:01 UTC",
                "119 min ago",
            ),
            ("2026-06-01T10:00:00Z", "2026-06-01 10:00:00 UTC", "2 h ago"),
            ("2026-06-03T11:59:59Z", "2026-06-03 11:59:59 UTC", "in 47 h"),
            (
                "2026-06-03T12:00:00Z",
                "2026-06-03 12:00:00 UTC",
                "in 2 days",
            ),
            (
                "2999-01-01T00:00:00Z",
                "2999-01-01 00:00:00 UTC",
                "in 973 years",
            ),
        ] {
            let moment = Moment::new(Timestamp::parse(at).unwrap(), now);
            assert_eq!((&*moment.absolute, &*moment.relative), (absolute, relative));
        }
    }
}
