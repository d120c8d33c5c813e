//! Wire ⇄ domain: the one place where messages become domain values and back.
//!
//! Deliberately absent: any decision. A value set that the wire left open becomes "not stated".

pub mod answer;
pub mod deadline;
pub mod evidence;
pub mod policy;
pub mod request;
pub mod trace;

use admit_policy::{Place, Timestamp};
use admit_proto::v1;

/// A timestamp on the wire.
#[must_use]
pub fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let (seconds, nanos) = at.unix();
    prost_types::Timestamp {
        seconds,
        nanos: i32::try_from(nanos).unwrap_or(0),
    }
}

/// A place on the wire.
#[must_use]
pub fn place(place: &Place) -> v1::Place {
    v1::Place {
        path: place.path.to_string(),
        line: place.line,
        column: place.column,
    }
}

/// At most `chars_max` characters of `text`.
fn bounded(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}

/// A length on the wire.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
