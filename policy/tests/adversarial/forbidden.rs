//! Secrets and endpoints: in no document, wherever they stand and however they are written.

use admit_policy::{FindingCode as F, document::work_item};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::{
    FRONT_MATTER, HEADING, KEYS, check_records, check_unchanged, codes, field, parse_admission,
    with_keys,
};

const SECRETS: [&str; 20] = [
    "sk-0123456789abcdef",
    "sk-ant-canary0123456789abcd",
    "sk-or-v1-0123456789abcdef",
    "sk-proj-abcdefghijklmnop",
    "ghp_0123456789abcdefghij",
    "gho_0123456789abcdefghij",
    "ghu_0123456789abcdefghij",
    "github_pat_0123456789abcdef",
    "hf_0123456789abcdefghij",
    "AIza0123456789abcdefghij",
    "gsk_0123456789abcdefghij",
    "xai-0123456789abcdefghij",
    "AKIAIOSFODNN7EXAMPLE",
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2lnbmF0dXJl",
    "Bearer 0123456789abcdefghij",
    "Authorization: Bearer 0123456789abcdef",
    "password=hunter2hunter2",
    "api_key: 0123456789abcdef",
    "https://example.com/?key=0123456789",
    "-----BEGIN PRIVATE KEY----- abc -----END PRIVATE KEY-----",
];

const ENDPOINTS: [&str; 24] = [
    "http://10.9.8.7:8000/v1",
    "http://10.9.8.7/v1",
    "https://8.8.8.8",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://[::1]/",
    "http://[fd7a:115c:a1e0::1]:8000/v1",
    "http://localhost/v1",
    "http://LOCALHOST/v1",
    "http://localhost.",
    "http://spark1",
    "http://spark1/v1",
    "http://spark1.tail1234.ts.net/v1",
    "https://SPARK1.TAIL1234.TS.NET",
    "https://spark1.local/v1",
    "https://vllm.internal/v1",
    "https://vllm.internal./v1",
    "https://example.com:8443/v1",
    "https://example.com:443",
    "https://jp@example.com/v1",
    "wss://spark1/socket",
    "grpc://spark1.local",
    "http://spark1?x#y",
];

const ORDINARY: [&str; 14] = [
    "https://github.com/workos/case/commit/30b1fa1",
    "https://example.com",
    "https://example.com/a/b.md?x=y#z",
    "see <https://example.com/>",
    "sot/03-PROTOCOLS/A.md",
    "/home/jp/.config/case/config.json",
    "commit 5db23c7",
    "10.9.8.7",
    "localhost",
    "spark1.tail1234.ts.net",
    "CTO_HARNESS_CASE_LOCAL_BASE_URL",
    "the key `OPENAI_API_KEY` by its name",
    "no secret: nothing",
    "a task-0123456789abcdef",
];

/// Where a text may stand in a record, `{}` being the text.
const RECORD_PLACES: [&str; 9] = [
    "{front}{heading}{keys}\n{}\n",
    "{front}{heading}{keys}\n## History\n\n- once {} it was\n",
    "{front}{heading}{keys}\n```\n{}\n```\n",
    "{front}{heading}{keys}\n    {}\n",
    "{front}{heading}{keys}\n<!-- {} -->\n",
    "{front}{heading}{keys}\n> {}\n",
    "{front}\n{}\n{heading}{keys}",
    "---\nlifecycle_classification: sot\nnote: >\n  {}\n---\n{heading}{keys}",
    "---\nlifecycle_classification: sot\n# {}\n---\n{heading}{keys}",
];

fn in_record(place: &str, text: &str) -> String {
    place
        .replace("{front}", FRONT_MATTER)
        .replace("{heading}", HEADING)
        .replace("{keys}", KEYS)
        .replace("{}", text)
}

fn in_records(text: &str) -> impl Iterator<Item = String> {
    let effect = KEYS.replace("blocked until admitted", text);
    RECORD_PLACES
        .iter()
        .map(move |place| in_record(place, text))
        .chain([with_keys(&effect)])
}

#[test]
fn a_secret_is_found_anywhere_in_a_record() {
    for secret in SECRETS {
        let rows = in_records(secret);
        check_records(rows.map(|text| (text, &[F::SecretFound][..])));
    }
}

#[test]
fn an_endpoint_is_found_anywhere_in_a_record() {
    for endpoint in ENDPOINTS {
        let rows = in_records(endpoint);
        check_records(rows.map(|text| (text, &[F::EndpointFound][..])));
    }
}

#[test]
fn ordinary_references_are_fine() {
    for reference in ORDINARY {
        check_unchanged(in_records(reference));
        for pointer in TEXTS {
            field::check(&field::edited(pointer, Some(json!(reference))), &[]);
        }
    }
}

#[test]
fn a_secret_has_a_shortest_form() {
    for (shortest, too_short) in [
        ("sk-aaaaaaaaaaaa", "sk-aaaaaaaaaaa"),
        ("ghp_aaaaaaaaaa", "ghp_aaaaaaaaa"),
        ("Bearer abcdefghijklmnopqrst", "Bearer abcdefghijklmnopqrs"),
        ("Bearer abcdef01", "Bearer abcde01"),
        ("Bearer abcdef01", "Bearer abcdefgh"),
        ("token: abcdef01", "token: abcde01"),
        ("token: abcdef01", "token: abcdefgh"),
        ("/?key=abcdef", "/?key=abcde"),
    ] {
        let with = |text: &str| with_keys(&format!("{KEYS}\nOnce {text} it was.\n"));
        check_records([(with(shortest), &[F::SecretFound][..])]);
        check_unchanged([with(too_short)]);
    }
    // One ends where the next one starts.
    let two = in_records("/?key=abcdef&token=abcdef");
    check_records(two.map(|text| (text, &[F::SecretFound, F::SecretFound][..])));
}

#[test]
fn punctuation_around_an_endpoint_hides_nothing() {
    for host in [
        "10.9.8.7",
        "localhost",
        "spark1",
        "spark1.local",
        "a.ts.net",
        "vllm.internal",
    ] {
        for (before, after) in [
            ("(", ")"),
            ("<", ">"),
            ("`", "`"),
            ("\"", "\""),
            ("'", "'"),
            ("**", "**"),
            ("", "."),
            ("", ","),
            ("", ";"),
            ("", "!"),
            ("", "?"),
            ("", "/"),
            ("|", "|"),
            ("_", "_"),
            ("x(", ")"),
        ] {
            let text = format!("{KEYS}\nOnce {before}http://{host}{after} it was.\n");
            check_records([(with_keys(&text), &[F::EndpointFound][..])]);
        }
    }
}

#[test]
fn a_bracket_after_an_endpoint_hides_nothing() {
    for host in [
        "10.9.8.7",
        "localhost",
        "spark1",
        "spark1.local",
        "a.ts.net",
        "vllm.internal",
    ] {
        for (before, after) in [
            ("[", "]"),
            ("{", "}"),
            ("~~", "~~"),
            ("“", "”"),
            ("", "…"),
            ("=", "="),
            ("url=", "&x=y"),
            ("", "\\"),
            ("", "~"),
        ] {
            let text = format!("{KEYS}\nOnce {before}http://{host}{after} it was.\n");
            check_records([(with_keys(&text), &[F::EndpointFound][..])]);
        }
    }
}

/// The texts of an admission that may be any text.
const TEXTS: [&str; 5] = [
    "/credential_source_class",
    "/allowed_network_class",
    "/approval_source",
    "/review_trigger/condition",
    "/auth_bridge/evidence",
];

/// The codes without their repetitions: the raw file and the text are both searched.
fn kinds(admission: &str) -> Vec<F> {
    let mut found = codes(parse_admission(admission.as_bytes()));
    found.dedup();
    found
}

#[test]
fn a_secret_or_endpoint_is_found_in_every_text_of_an_admission() {
    let found = SECRETS.iter().map(|text| (text, F::SecretFound));
    let found = found.chain(ENDPOINTS.iter().map(|text| (text, F::EndpointFound)));
    for (text, code) in found {
        for pointer in TEXTS {
            let admission = field::edited(pointer, Some(json!(text)));
            assert_eq!(kinds(&admission.to_string()), [code], "{admission:#}");
        }
        let admission = field::edited("/evidence_expectations", Some(json!(["x", text])));
        assert_eq!(kinds(&admission.to_string()), [code], "{admission:#}");
    }
}

#[test]
fn a_secret_in_a_name_or_an_unknown_field_is_found() {
    let secret = "sk-ant-canary0123456789abcd";
    for (pointer, expected) in [
        ("/provider", &[F::SecretFound][..]),
        ("/model", &[F::SecretFound]),
        ("/role", &[F::SecretFound, F::FieldValue]),
        ("/note", &[F::SecretFound, F::FieldUnknown]),
    ] {
        let admission = field::edited(pointer, Some(json!(secret))).to_string();
        let mut found = kinds(&admission);
        found.sort();
        found.dedup();
        assert_eq!(found, expected, "{admission}");
    }
    let admission = field::edited("/sk-ant-canary0123456789abcd", Some(json!(1))).to_string();
    assert_eq!(kinds(&admission), [F::FieldUnknown, F::SecretFound]);
}

/// A JSON text in which every character is an escape.
fn escaped(text: &str) -> String {
    let units: String = text
        .encode_utf16()
        .map(|unit| format!("\\u{unit:04x}"))
        .collect();
    format!("\"{units}\"")
}

#[test]
fn an_escape_hides_nothing() {
    let found = SECRETS.iter().map(|text| (text, F::SecretFound));
    let found = found.chain(ENDPOINTS.iter().map(|text| (text, F::EndpointFound)));
    for (text, code) in found {
        for pointer in TEXTS {
            let admission = field::edited(pointer, Some(json!("MARK"))).to_string();
            for json in [
                escaped(text),
                json!(text)
                    .to_string()
                    .replace('/', "\\/")
                    .replace('-', "\\u002d"),
            ] {
                let admission = admission.replace("\"MARK\"", &json);
                assert_eq!(kinds(&admission), [code], "{admission}");
            }
        }
    }
}

#[test]
fn an_escape_in_an_unknown_field_hides_nothing() {
    for json in ["{\"MARK\":1}", "[\"MARK\"]", "\"MARK\""] {
        let admission = Value::Object(field::admission()).to_string();
        let hidden = json.replace("\"MARK\"", &escaped("sk-ant-canary0123456789abcd"));
        let admission = admission.replace("\"role\"", &format!("\"note\":{hidden},\"role\""));
        let found = codes(parse_admission(admission.as_bytes()));
        assert!(found.contains(&F::FieldUnknown), "{found:?}");
    }
}

#[test]
fn a_document_of_work_items_has_no_secret_either() {
    let path: Arc<str> = Arc::from("A-ISSUES.md");
    let found = SECRETS.iter().map(|text| (text, F::SecretFound));
    let found = found.chain(ENDPOINTS.iter().map(|text| (text, F::EndpointFound)));
    for (text, code) in found {
        let document =
            format!("{FRONT_MATTER}\n## CTO-WORK-020 - x\n\nStatus: blocked.\n\n- {text}\n");
        let (items, findings) = work_item::parse(&path, document.as_bytes());
        let codes: Vec<F> = findings.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, [code], "{document}");
        assert_eq!(items.len(), 1);
    }
}

#[test]
fn what_entities_and_link_targets_show_is_found_too() {
    for (shown, code) in [
        ("&#115;k-ant-canary0123456789abcd", F::SecretFound),
        ("sk-**ant**-canary0123456789abcd", F::SecretFound),
        ("http&#58;//10.9.8.7/v1", F::EndpointFound),
        ("[here](http&#58;//10.9.8.7/v1)", F::EndpointFound),
    ] {
        let codes = [code];
        check_records(in_records_that_render(shown).map(|text| (text, &codes[..])));
    }
}

/// Documents in which `text` is rendered, and not code or front matter.
fn in_records_that_render(text: &str) -> impl Iterator<Item = String> {
    let effect = KEYS.replace("blocked until admitted", text);
    [
        with_keys(&effect),
        with_keys(&format!("{KEYS}\nSeen {text} here.\n")),
    ]
    .into_iter()
}
