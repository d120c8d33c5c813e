//! How an admission may be written, and how not.

use admit_policy::{FindingCode as F, document::admission::Status};
use serde_json::Value;

use crate::{codes, field, parse_admission};

/// A valid admission as a text on one line.
fn text() -> String {
    Value::Object(field::admission()).to_string()
}

fn check(text: &str, expected: &[F]) {
    assert_eq!(codes(parse_admission(text.as_bytes())), expected, "{text}");
}

/// The text with `from`, which stands in it once, replaced.
fn with(from: &str, to: &str) -> String {
    let text = text();
    assert_eq!(text.matches(from).count(), 1, "{from} in {text}");
    text.replace(from, to)
}

#[test]
fn json_in_any_spelling_is_read_alike() {
    let pretty = serde_json::to_string_pretty(&field::admission()).unwrap();
    for text in [
        text(),
        format!("\r\n\t {} \n", text()),
        pretty.replace('\n', "\r\n"),
        pretty,
        with("\"qwen-local\"", "\"\\u0071wen\\u002dlocal\""),
        with("\"model\"", "\"m\\u006fdel\""),
    ] {
        let admission = parse_admission(text.as_bytes()).unwrap();
        assert!(
            admission.pair.value.is("qwen-local", "qwen3.6-35b-a3b"),
            "{text}"
        );
        assert_eq!(admission.status.value, Status::Admitted);
    }
}

#[test]
fn what_is_not_json_is_a_finding() {
    let malformed = &[F::JsonMalformed][..];
    for text in [
        String::new(),
        " \n".to_owned(),
        with("\"role\"", "role"),
        with("\"role\"", "'role'"),
        with("\"role\":", "\"role\""),
        with("\"primary\"", "primary"),
        with("\"primary\"", "\"pri\nmary\""),
        with("\"primary\"", "\"pri\\xmary\""),
        with("\"primary\"", "\"\\ud800\""),
        with("\"role\":", "/* the role */ \"role\":"),
        with("\"role\":", "\n// the role\n\"role\":"),
        with("\"primary\",", "\"primary\",,"),
        with("\"schema_version\":1", "\"schema_version\":01"),
        with("\"schema_version\":1", "\"schema_version\":+1"),
        with("\"schema_version\":1", "\"schema_version\":NaN"),
        text().replace('}', ",}"),
        format!("{}{}", text(), text()),
        format!("{},", text()),
        format!("{}\0", text()),
        format!("{}#", text()),
        text().trim_end_matches('}').to_owned(),
        text().replace('"', "\u{201c}"),
    ] {
        check(&text, malformed);
    }
    assert_eq!(codes(parse_admission(b"{\"a\":\"\xff\"}")), [F::NotUtf8]);
    let utf_16: Vec<u8> = text().encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_eq!(codes(parse_admission(&utf_16)), malformed);
    check(&format!("\u{feff}{}", text()), &[F::ByteOrderMark]);
    check(&format!(" \u{feff}{}", text()), malformed);
}

#[test]
fn what_is_no_object_is_a_finding() {
    for text in ["null", "1", "\"x\"", "[]", "true", &format!("[{}]", text())] {
        check(text, &[F::FieldType]);
    }
}

#[test]
fn a_key_stands_once_at_every_level() {
    let duplicate = &[F::JsonDuplicateKey][..];
    for text in [
        with("\"role\":", "\"role\":\"primary\",\"role\":"),
        with("\"role\":", "\"role\":\"fallback\",\"role\":"),
        with("\"role\":", "\"r\\u006fle\":\"fallback\",\"role\":"),
        with("\"role\":", "\"x\":1,\"x\":2,\"role\":"),
        with("\"role\":", "\"\":1,\"\":2,\"role\":"),
        with("\"condition\":", "\"condition\":\"x\",\"condition\":"),
        with("\"expires_at\":", "\"expires_at\":null,\"expires_at\":"),
        with("\"unproven\"", "\"unproven\",\"status\":\"proven\""),
        with("\"role\":", "\"x\":[{\"y\":{\"z\":0,\"z\":0}}],\"role\":"),
    ] {
        check(&text, duplicate);
    }
    // The same key at two levels is two keys.
    check(
        &with("\"condition\":", "\"role\":1,\"condition\":"),
        &[F::FieldUnknown],
    );
}

#[test]
fn nesting_is_bounded() {
    for (depth, code) in [
        (10, F::FieldUnknown),
        (100, F::JsonTooDeep),
        (10_000, F::JsonTooDeep),
    ] {
        let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        check(
            &with("\"role\":", &format!("\"x\":{nested},\"role\":")),
            &[code],
        );
    }
}
