//! The small readers: secrets, endpoints, times and digests in arbitrary text.

use std::ops::Range;

use admit_policy::{Digest, Timestamp, endpoint, escape::any_reading, secret};
use proptest::{prelude::*, sample::select};

use crate::{
    config,
    noise::{CANARIES, token_soup},
};

/// Checks that `spans` are in `text`, on character boundaries, not empty and in order.
fn check_spans(text: &str, spans: &[Range<usize>]) {
    let mut from = 0;
    for span in spans {
        let slice = text.get(span.clone()).expect("the span is in the text");
        assert!(
            !slice.is_empty() && from <= span.start,
            "{span:?} after {from} in {text:?}"
        );
        from = span.start;
    }
}

fn search(text: &str) {
    let secrets: Vec<_> = secret::find(text)
        .into_iter()
        .map(|found| found.span)
        .collect();
    check_spans(text, &secrets);
    let apart = secrets.windows(2).all(|two| two[0].end <= two[1].start);
    assert!(apart, "secrets overlap in {text:?}");
    assert_eq!(secret::is_present(text), !secrets.is_empty(), "{text:?}");
    let endpoints = endpoint::find(text);
    check_spans(text, &endpoints);
    assert_eq!(
        endpoint::is_present(text),
        !endpoints.is_empty(),
        "{text:?}"
    );
}

/// RFC 3339 by its grammar, in upper case: `date-time` of section 5.6.
fn is_date_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let shape = |range: Range<usize>, shape: &[u8]| {
        bytes.get(range).is_some_and(|piece| {
            piece.iter().zip(shape).all(|(byte, wanted)| match wanted {
                b'd' => byte.is_ascii_digit(),
                wanted => byte == wanted,
            })
        })
    };
    if !shape(0..19, b"dddd-dd-ddTdd:dd:dd") {
        return false;
    }
    let mut rest = &text[19..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return false;
        }
        rest = &fraction[digits..];
    }
    let offset = text.len() - rest.len()..text.len();
    rest == "Z"
        || (rest.len() == 6 && (shape(offset.clone(), b"+dd:dd") || shape(offset, b"-dd:dd")))
}

/// Texts that are nearly times.
fn near_times() -> impl Strategy<Value = String> {
    let date = select(
        &[
            "2026-06-01",
            "2026-6-1",
            "0000-01-01",
            "9999-12-31",
            "2026-02-29",
            "2024-02-29",
            "+2026-06-01",
            "26-06-01",
        ][..],
    );
    let separator = select(&["T", "T", "T", "t", " ", "_", "\n", "-", "", "\u{feff}"][..]);
    let time = select(
        &[
            "12:00:00",
            "00:00:00",
            "23:59:60",
            "24:00:00",
            "12:00",
            "12:00:00.5",
            "12:00:00.",
            "12:00:00,5",
            "12:0:00",
            "12:00:00.123456789012",
        ][..],
    );
    let offset = select(
        &[
            "Z", "Z", "z", "", "+00:00", "-04:00", "+24:00", "+0400", "+04", "-00:00", " Z", "Z ",
        ][..],
    );
    (date, separator, time, offset).prop_map(|(d, s, t, o)| format!("{d}{s}{t}{o}"))
}

proptest! {
    #![proptest_config(config(1500))]

    #[test]
    fn arbitrary_text_is_searched(text in prop::collection::vec(any::<char>(), 0..200)) {
        search(&text.into_iter().collect::<String>());
    }

    #[test]
    fn a_soup_of_tokens_is_searched(text in token_soup()) {
        search(&text);
    }

    #[test]
    fn a_canary_is_found_in_any_surroundings(before in token_soup(), after in token_soup()) {
        for canary in CANARIES {
            let text = format!("{before} {canary} {after}");
            search(&text);
            let hidden = |at: &usize| {
                secret::find(&text).iter().any(|found| found.span.contains(at))
                    || endpoint::find(&text).iter().any(|span| span.contains(at))
            };
            let start = before.len() + 1;
            let shown = (start..start + canary.len()).find(|at| !hidden(at));
            prop_assert_eq!(shown, None, "in {:?}", text);
        }
    }

    #[test]
    fn an_escape_hides_no_canary(
        before in token_soup(), which in any::<prop::sample::Selector>(), spelled: u32, levels in 0..3_usize,
    ) {
        let canary = which.select(CANARIES);
        let mut text = String::new();
        for (index, character) in canary.chars().enumerate() {
            match (spelled >> (index % 32)) & 1 {
                0 => text.push(character),
                _ => text.push_str(&format!("\\u{:04x}", u32::from(character))),
            }
        }
        for _ in 0..levels {
            text = text.replace('\\', "\\\\");
        }
        let text = format!("{before} {text} ");
        let is_forbidden = |text: &str| secret::is_present(text) || endpoint::is_present(text);
        prop_assert!(any_reading(&text, is_forbidden), "not found in {}", text);
    }

    #[test]
    fn only_rfc_3339_is_a_time(text in near_times()) {
        if let Some(parsed) = Timestamp::parse(&text) {
            prop_assert!(is_date_time(&text), "{:?} is read as {}", text, parsed);
        }
    }

    #[test]
    fn a_time_reads_back(seconds in -62_135_596_800..253_402_300_800_i64, nanos in 0..1_000_000_000_u32) {
        let time = Timestamp::from_unix(seconds, nanos).expect("a year of four digits");
        prop_assert_eq!(time.unix(), (seconds, nanos));
        prop_assert!(is_date_time(&time.to_string()));
        prop_assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
    }

    #[test]
    fn any_time_is_read_or_refused(seconds: i64, nanos: u32, text in token_soup()) {
        let time = Timestamp::from_unix(seconds, nanos);
        prop_assert!(time.is_none_or(|time| time.unix() == (seconds, nanos)));
        prop_assert_eq!(Timestamp::parse(&text), None);
    }

    #[test]
    fn a_digest_reads_back(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let digest = Digest::of(&bytes);
        prop_assert_eq!(Digest::parse(&digest.to_string()), Some(digest));
        let is_digest = bytes.len() == 64 && bytes.iter().all(|b| b"0123456789abcdef".contains(b));
        let text = String::from_utf8_lossy(&bytes);
        prop_assert_eq!(Digest::parse(&text).is_some(), is_digest);
    }
}
