//! What a finding repeats: the place, and never a secret or an endpoint.

use admit_policy::Finding;
use serde_json::json;

use crate::{FRONT_MATTER, HEADING, KEYS, field, parse_admission, parse_record, with_keys};

const FRAGMENTS: [&str; 3] = ["canary", "0123456789", "10.9.8.7"];

fn check_hidden(document: &str, findings: &[Finding]) {
    assert!(!findings.is_empty(), "{document}");
    for finding in findings {
        let excerpt = finding.excerpt.iter().map(|excerpt| &excerpt.text);
        for text in excerpt.chain([&finding.message]) {
            for fragment in FRAGMENTS {
                assert!(!text.contains(fragment), "`{fragment}` is shown: {text}");
            }
        }
    }
}

#[test]
fn a_secret_in_a_line_is_hidden_whatever_is_found_there() {
    for secret in [
        "sk-ant-canary0123456789abcd",
        "http://10.9.8.7:8000/v1",
        "token: canary0123456789",
    ] {
        for text in [
            with_keys(&format!("{KEYS}- {secret}\n")),
            with_keys(&format!("{KEYS}- `{secret}`: x.\n")),
            with_keys(&format!("{KEYS}- `provider`: `{secret}`.\n")),
            with_keys(&format!("- `decision_status`: `{secret}`.\n")),
            with_keys(&format!("- `decision_status`: `not_decided` {secret}.\n")),
            format!("{FRONT_MATTER}\n## Current Decision State. {secret}\n\n{KEYS}"),
            format!("---\nlifecycle_classification: {secret}\n---\n{HEADING}{KEYS}"),
            format!("---\nlifecycle_classification: *{secret}\n---\n{HEADING}{KEYS}"),
            format!("---\n{secret}: 1\n{secret}: 2\n---\n{HEADING}{KEYS}"),
            format!("---\na: [{secret}\n---\n{HEADING}{KEYS}"),
        ] {
            let findings = parse_record(text.as_bytes()).unwrap_err();
            check_hidden(&text, &findings);
        }
    }
}

#[test]
fn a_secret_behind_escapes_is_hidden_too() {
    for json in [
        "\"sk\\u002dant\\u002dcanary0123456789abcd\"",
        "\"\\u0073k-ant-canary0123456789abcd\"",
        "\"http:\\/\\/10.9.8.7:8000\\/v1\"",
    ] {
        for pointer in ["/approval_source", "/role", "/provider", "/note"] {
            let admission = field::edited(pointer, Some(json!("MARK"))).to_string();
            let admission = admission.replace("\"MARK\"", json);
            let findings = parse_admission(admission.as_bytes()).unwrap_err();
            check_hidden(&admission, &findings);
        }
    }
}

#[test]
fn the_underlined_part_is_the_place() {
    for (text, line, underlined) in [
        (
            with_keys(&format!("{KEYS}- `provider`: `evil`.\n")),
            20,
            "`provider`",
        ),
        (with_keys(&format!("{KEYS}- `évil`: x.\n")), 20, "`évil`"),
        (
            with_keys(&KEYS.replace("qwen-local", "qwen local")),
            10,
            "`qwen local`",
        ),
        (with_keys(&format!("{KEYS}1. x\n")), 20, "x"),
    ] {
        let findings = parse_record(text.as_bytes()).unwrap_err();
        let [finding] = findings.as_slice() else {
            panic!("{findings:#?}");
        };
        let excerpt = finding.excerpt.as_ref().unwrap();
        let start = usize::try_from(excerpt.underline_start).unwrap();
        let length = usize::try_from(excerpt.underline_length).unwrap();
        let shown: String = excerpt.text.chars().skip(start).take(length).collect();
        assert_eq!(
            (finding.place.line, shown.as_str()),
            (line, underlined),
            "{text}"
        );
    }
}
