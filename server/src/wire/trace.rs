//! The caller's place in its trace, from the metadata key `traceparent` (W3C Trace Context).
//!
//! Deliberately absent: `tracestate` and `baggage`, which hold free text, and any meaning of the
//! flags: a caller does not decide whether its record is exported.

use tonic::metadata::MetadataMap;

use crate::audit::record::Trace;

const KEY: &str = "traceparent";
/// The version of the form that is read; later versions begin with the same parts.
const VERSION_INVALID: &str = "ff";

/// The caller's place in its trace. Anything that is not exactly one well-formed value is none.
#[must_use]
pub fn trace(metadata: &MetadataMap) -> Option<Trace> {
    let mut values = metadata.get_all(KEY).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => parse(value.to_str().ok()?),
        (None | Some(_), _) => None,
    }
}

fn parse(text: &str) -> Option<Trace> {
    let mut parts = text.split('-');
    let version = hex(parts.next()?, 2)?;
    let id = hex(parts.next()?, 32)?;
    let parent = hex(parts.next()?, 16)?;
    let flags = hex(parts.next()?, 2)?;
    let has_more = parts.next().is_some();
    let is_zero = |text: &str| text.bytes().all(|byte| byte == b'0');
    if version == VERSION_INVALID || (version == "00" && has_more) {
        return None;
    }
    if is_zero(id) || is_zero(parent) {
        return None;
    }
    Some(Trace {
        id: id.to_owned(),
        parent: parent.to_owned(),
        flags: flags.to_owned(),
    })
}

/// `text`, if it is that many lowercase hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<&str> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == digits && text.bytes().all(is_hex)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    fn of(values: &[&str]) -> Option<Trace> {
        let mut metadata = MetadataMap::new();
        for value in values {
            metadata.append(KEY, value.parse().unwrap());
        }
        trace(&metadata)
    }

    #[test]
    fn a_well_formed_value_is_read_whatever_its_flags() {
        for (flags, version) in [("00", "00"), ("01", "00"), ("ff", "00"), ("01", "cc")] {
            let read = of(&[&format!("{version}-{ID}-{PARENT}-{flags}")]).unwrap();
            assert_eq!((read.id.as_str(), read.parent.as_str()), (ID, PARENT));
            assert_eq!(read.flags, flags);
        }
        assert!(of(&[&format!("01-{ID}-{PARENT}-01-later")]).is_some());
    }

    #[test]
    fn anything_else_is_no_trace() {
        let zero_id = "0".repeat(32);
        let zero_parent = "0".repeat(16);
        for value in [
            String::new(),
            "-".into(),
            format!("00-{ID}-{PARENT}"),
            format!("00-{ID}-{PARENT}-1"),
            format!("00-{ID}-{PARENT}-01-more"),
            format!("00-{ID}-{PARENT}-0g"),
            format!("ff-{ID}-{PARENT}-01"),
            format!("00-{zero_id}-{PARENT}-01"),
            format!("00-{ID}-{zero_parent}-01"),
            format!("00-{}-{PARENT}-01", ID.to_uppercase()),
            format!(" 00-{ID}-{PARENT}-01"),
        ] {
            assert_eq!(of(&[&value]), None, "{value}");
        }
        let good = format!("00-{ID}-{PARENT}-01");
        assert_eq!(of(&[&good, &good]), None);
        assert_eq!(of(&[]), None);
    }
}
