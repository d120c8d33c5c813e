//! The caller's deadline, from the header `grpc-timeout`.

use std::time::Duration;

use tonic::codegen::http::HeaderMap;

const KEY: &str = "grpc-timeout";
/// Most digits, by the gRPC protocol.
const DIGITS_MAX: usize = 8;

/// How long the caller waits. Anything that is not well formed is none: the server's own limit holds.
#[must_use]
pub fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(KEY)?.to_str().ok()?;
    let digits_end = text.find(|character: char| !character.is_ascii_digit())?;
    let (digits, unit) = text.split_at(digits_end);
    if digits.is_empty() || digits.len() > DIGITS_MAX {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count.saturating_mul(60 * 60))),
        "M" => Some(Duration::from_secs(count.saturating_mul(60))),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read_and_nothing_else() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("250m", Some(Duration::from_millis(250))),
            ("99999999u", Some(Duration::from_micros(99_999_999))),
            ("0n", Some(Duration::ZERO)),
            ("100000000n", None),
            ("S", None),
            ("5", None),
            ("", None),
            ("-5S", None),
            ("5 S", None),
            ("5s", None),
            ("5SS", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(KEY, text.parse().unwrap());
            assert_eq!(deadline(&headers), expected, "{text:?}");
        }
        assert_eq!(deadline(&HeaderMap::new()), None);
    }
}
