//! Points in time, in UTC, and their one textual form.

use core::fmt;

use time::{OffsetDateTime, UtcDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// A point in time. Its text is RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(UtcDateTime);

impl Timestamp {
    /// Reads RFC 3339 with any offset; `None` for anything else, another separator than `T` included.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        const SEPARATOR_AT: usize = 10;
        let is_separated = text.as_bytes().get(SEPARATOR_AT) == Some(&b'T');
        if !is_separated || !text.is_ascii() || text.ends_with('z') {
            return None;
        }
        let parsed = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        // `to_utc` alone panics where the offset leads out of the years that there are.
        let utc = parsed.checked_to_offset(UtcOffset::UTC)?;
        // A year before 0 has no text in RFC 3339.
        (utc.year() >= 0).then(|| Self(utc.to_utc()))
    }

    /// The point `seconds` and `nanos` after the Unix epoch; `None` outside the years -9999 to 9999.
    #[must_use]
    pub fn from_unix(seconds: i64, nanos: u32) -> Option<Self> {
        UtcDateTime::from_unix_timestamp(seconds)
            .ok()?
            .replace_nanosecond(nanos)
            .ok()
            .map(Self)
    }

    /// Seconds since the Unix epoch, and the nanoseconds beside them.
    #[must_use]
    pub fn unix(self) -> (i64, u32) {
        (self.0.unix_timestamp(), self.0.nanosecond())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.format(&Rfc3339) {
            Ok(text) => f.write_str(&text),
            Err(_) => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn offsets_are_turned_into_utc() {
        let at = Timestamp::parse("2026-06-01T08:00:00-04:00").unwrap();
        assert_eq!(at.to_string(), "2026-06-01T12:00:00Z");
        assert_eq!(at, Timestamp::parse("2026-06-01T12:00:00Z").unwrap());
    }

    #[test]
    fn only_rfc_3339_is_a_timestamp() {
        for bad in [
            "",
            "2026-06-01",
            "2026-06-01 12:00:00Z",
            "2026-06-01t12:00:00z",
            "2026-06-01T12:00Z",
            "2026-06-01T12:00:00",
            "2026-13-01T12:00:00Z",
            "2026-02-30T12:00:00Z",
            "tomorrow",
            "9999-12-31T23:59:59-01:00",
            "0000-01-01T00:00:00+24:00",
            "0000-01-01T00:00:00+01:00",
            "1780315200",
        ] {
            assert_eq!(Timestamp::parse(bad), None, "{bad}");
        }
    }
}
