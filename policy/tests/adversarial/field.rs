//! What an admission has to say, field by field, from both sides.

use admit_policy::FindingCode as F;
use serde_json::{Map, Value, json};

use crate::{codes, parse_admission};

/// A valid admission of the local pair.
pub(crate) fn admission() -> Map<String, Value> {
    let value = json!({
        "schema_version": 1,
        "work_item": "CTO-WORK-020",
        "case_model_admission_status": "admitted",
        "provider_class": "local_case_compatible",
        "provider": "qwen-local",
        "model": "qwen3.6-35b-a3b",
        "role": "primary",
        "credential_source_class": "local-no-secret",
        "allowed_network_class": "spark-tailnet",
        "approval_source": "review of 2026-06-01",
        "admission_timestamp": "2026-06-01T12:00:00Z",
        "review_trigger": {
            "condition": "any change",
            "expires_at": "2026-12-01T12:00:00Z",
        },
        "evidence_expectations": ["the pair stands in the report"],
        "auth_bridge": { "status": "unproven", "evidence": "an experiment" },
    });
    value.as_object().expect("an object").clone()
}

/// The admission with the value at `pointer` replaced, or taken out where `value` is `None`.
pub(crate) fn edited(pointer: &str, value: Option<Value>) -> Value {
    let mut root = Value::Object(admission());
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let parent = root.pointer_mut(parent).expect("the parent of the field");
    let parent = parent.as_object_mut().expect("an object");
    match value {
        Some(value) => parent.insert(key.to_owned(), value),
        None => parent.remove(key),
    };
    root
}

pub(crate) fn check(admission: &Value, expected: &[F]) {
    let found = codes(parse_admission(admission.to_string().as_bytes()));
    assert_eq!(found, expected, "{admission:#}");
}

/// Checks that the field takes each of `good` and gives the code for each of `bad`.
fn check_field<const BAD: usize>(pointer: &str, good: &[Value], bad: [(Value, F); BAD]) {
    for value in good {
        check(&edited(pointer, Some(value.clone())), &[]);
    }
    for (value, code) in bad {
        check(&edited(pointer, Some(value)), &[code]);
    }
}

/// Every field that has to be there.
const REQUIRED: [&str; 16] = [
    "/schema_version",
    "/work_item",
    "/case_model_admission_status",
    "/provider_class",
    "/provider",
    "/model",
    "/role",
    "/credential_source_class",
    "/allowed_network_class",
    "/approval_source",
    "/admission_timestamp",
    "/review_trigger",
    "/review_trigger/condition",
    "/evidence_expectations",
    "/auth_bridge/status",
    "/auth_bridge/evidence",
];

/// Every field that is a text.
const TEXTS: [&str; 14] = [
    "/work_item",
    "/case_model_admission_status",
    "/provider_class",
    "/provider",
    "/model",
    "/role",
    "/credential_source_class",
    "/allowed_network_class",
    "/approval_source",
    "/admission_timestamp",
    "/review_trigger/condition",
    "/review_trigger/expires_at",
    "/auth_bridge/status",
    "/auth_bridge/evidence",
];

#[test]
fn the_base_admission_is_valid() {
    check(&Value::Object(admission()), &[]);
}

#[test]
fn a_required_field_is_there() {
    for pointer in REQUIRED {
        check(&edited(pointer, None), &[F::FieldMissing]);
    }
    check(&edited("/auth_bridge", None), &[]);
    check(&edited("/review_trigger/expires_at", None), &[]);
    let nothing = codes(parse_admission(b"{}"));
    assert_eq!(nothing, [F::FieldMissing; 13]);
}

#[test]
fn a_text_is_a_text_and_not_empty() {
    for pointer in TEXTS {
        for other in [
            json!(null),
            json!(1),
            json!(true),
            json!(["x"]),
            json!({"x": "y"}),
        ] {
            check(&edited(pointer, Some(other)), &[F::FieldType]);
        }
        for empty in ["", " ", "\t\n"] {
            check(&edited(pointer, Some(json!(empty))), &[F::FieldMissing]);
        }
    }
}

#[test]
fn the_schema_version_is_one() {
    check(&edited("/schema_version", Some(json!(1))), &[]);
    for other in [
        json!(0),
        json!(2),
        json!(-1),
        json!(1.0),
        json!("1"),
        json!(true),
        json!(null),
        json!([1]),
    ] {
        check(&edited("/schema_version", Some(other)), &[F::FieldValue]);
    }
}

#[test]
fn the_work_item_is_that_of_admission() {
    check_field(
        "/work_item",
        &[json!("CTO-WORK-020")],
        [
            (json!("CTO-WORK-022"), F::FieldValue),
            (json!("CTO-WORK-20"), F::FieldValue),
            (json!("cto-work-020"), F::FieldValue),
            (json!(" CTO-WORK-020"), F::FieldValue),
        ],
    );
}

#[test]
fn the_status_is_one_of_two() {
    check_field(
        "/case_model_admission_status",
        &[json!("admitted"), json!("revoked")],
        [
            (json!("Admitted"), F::FieldValue),
            (json!("admitted "), F::FieldValue),
            (json!("adm\u{456}tted"), F::FieldValue),
            (json!("not_admitted"), F::FieldValue),
            (json!("pending"), F::FieldValue),
        ],
    );
}

#[test]
fn only_a_fallback_has_the_class_external_fallback() {
    for (class, role, expected) in [
        ("local_case_compatible", "primary", &[][..]),
        ("local_case_compatible", "fallback", &[]),
        ("external_anthropic", "primary", &[]),
        ("external_anthropic", "fallback", &[]),
        ("external_fallback", "fallback", &[]),
        ("external_fallback", "primary", &[F::FieldValue]),
        ("external_openai", "primary", &[F::FieldValue]),
        ("local", "fallback", &[F::FieldValue]),
        ("external_anthropic", "secondary", &[F::FieldValue]),
        ("external_anthropic", "Primary", &[F::FieldValue]),
        ("External_Anthropic", "any", &[F::FieldValue, F::FieldValue]),
    ] {
        let mut root = edited("/provider_class", Some(json!(class)));
        root["role"] = json!(role);
        check(&root, expected);
    }
}

#[test]
fn a_name_is_one_exact_name() {
    for pointer in ["/provider", "/model"] {
        check_field(
            pointer,
            &[
                json!("a"),
                json!("A-b_c.d:e/f@g"),
                json!("latest-1"),
                json!("Latest"),
                json!("~!#$%&'()+,;<=>[\\]^`{|}\""),
            ],
            [
                (json!("*"), F::NameInvalid),
                (json!("qwen*"), F::NameInvalid),
                (json!("qwen?"), F::NameInvalid),
                (json!("two words"), F::NameInvalid),
                (json!(" qwen"), F::NameInvalid),
                (json!("qwen "), F::NameInvalid),
                (json!("qwen\n"), F::NameInvalid),
                (json!("qwen\t"), F::NameInvalid),
                (json!("qwen\u{0}"), F::NameInvalid),
                (json!("qwen\u{7f}"), F::NameInvalid),
                (json!("qw\u{435}n"), F::NameInvalid),
                (json!("qwen\u{200b}"), F::NameInvalid),
                (json!("\u{feff}qwen"), F::NameInvalid),
                (json!("qwen\u{2011}local"), F::NameInvalid),
                (json!("\u{ff51}wen"), F::NameInvalid),
                (json!("qwe\u{301}n"), F::NameInvalid),
                (json!("\u{202e}newq"), F::NameInvalid),
                (json!("caf\u{e9}"), F::NameInvalid),
            ],
        );
    }
    check(&edited("/model", Some(json!("latest"))), &[F::NameInvalid]);
    check(&edited("/provider", Some(json!("latest"))), &[]);
}

#[test]
fn a_name_has_a_longest_form() {
    for (pointer, longest) in [("/provider", 128), ("/model", 256)] {
        let with = |length: usize| edited(pointer, Some(json!("x".repeat(length))));
        check(&with(longest), &[]);
        check(&with(longest + 1), &[F::NameInvalid]);
    }
}

#[test]
fn a_time_is_rfc_3339() {
    for pointer in ["/admission_timestamp", "/review_trigger/expires_at"] {
        check_field(
            pointer,
            &[
                json!("2026-06-01T12:00:00Z"),
                json!("2026-06-01T12:00:00.123456789Z"),
                json!("2026-06-01T08:00:00-04:00"),
                json!("2024-02-29T00:00:00+00:00"),
            ],
            [
                (json!("2026-06-01"), F::TimestampInvalid),
                (json!("12:00:00Z"), F::TimestampInvalid),
                (json!("2026-06-01T12:00:00"), F::TimestampInvalid),
                (json!("2026-06-01T12:00Z"), F::TimestampInvalid),
                (json!("2026-06-01 12:00:00Z"), F::TimestampInvalid),
                (json!("2026-02-29T12:00:00Z"), F::TimestampInvalid),
                (json!("2026-06-31T12:00:00Z"), F::TimestampInvalid),
                (json!("2026-06-01T24:00:00Z"), F::TimestampInvalid),
                (json!("2026-06-01T12:00:00+0400"), F::TimestampInvalid),
                (json!("2026-06-01T12:00:00Z "), F::TimestampInvalid),
                (json!(" 2026-06-01T12:00:00Z"), F::TimestampInvalid),
                (json!("20260601T120000Z"), F::TimestampInvalid),
                (json!("\u{ff12}026-06-01T12:00:00Z"), F::TimestampInvalid),
                (json!("1780315200"), F::TimestampInvalid),
                (json!("never"), F::TimestampInvalid),
            ],
        );
    }
}

#[test]
fn only_a_t_stands_between_date_and_time() {
    for separator in ["_", "\n", "X", "/", "\u{7f}", "-"] {
        let time = format!("2026-06-01{separator}12:00:00Z");
        check(
            &edited("/admission_timestamp", Some(json!(time))),
            &[F::TimestampInvalid],
        );
    }
}

#[test]
fn the_evidence_expectations_are_texts() {
    check_field(
        "/evidence_expectations",
        &[json!(["a"]), json!(["a", "b", "a"])],
        [
            (json!([]), F::FieldMissing),
            (json!([""]), F::FieldMissing),
            (json!(["a", " "]), F::FieldMissing),
            (json!([1]), F::FieldType),
            (json!(["a", null]), F::FieldType),
            (json!([["a"]]), F::FieldType),
            (json!("a"), F::FieldType),
            (json!({"a": "b"}), F::FieldType),
            (json!(null), F::FieldType),
        ],
    );
}

#[test]
fn the_bridge_and_the_trigger_are_objects() {
    for pointer in ["/auth_bridge", "/review_trigger"] {
        for other in [
            json!(null),
            json!("proven"),
            json!([]),
            json!(true),
            json!(1),
        ] {
            check(&edited(pointer, Some(other)), &[F::FieldType]);
        }
    }
    check_field(
        "/auth_bridge/status",
        &[json!("proven"), json!("unproven")],
        [
            (json!("Proven"), F::FieldValue),
            (json!("proven "), F::FieldValue),
            (json!("likely"), F::FieldValue),
        ],
    );
    check(
        &edited("/auth_bridge", Some(json!({}))),
        &[F::FieldMissing; 2],
    );
    check(
        &edited("/review_trigger", Some(json!({}))),
        &[F::FieldMissing],
    );
}

#[test]
fn an_unknown_field_is_a_finding_at_every_level() {
    for (parent, known) in [
        ("", "provider"),
        ("/review_trigger", "condition"),
        ("/auth_bridge", "status"),
    ] {
        let own = known.to_uppercase();
        let odd = format!("{known}\u{200b}");
        for key in [
            "note",
            "$schema",
            "_comment",
            "//",
            "",
            "constructor",
            &own,
            &odd,
        ] {
            let pointer = format!("{parent}/{}", key.replace('/', "\\"));
            check(&edited(&pointer, Some(json!("x"))), &[F::FieldUnknown]);
        }
    }
    // A field of one level is unknown at another.
    check(
        &edited("/expires_at", Some(json!("2026-12-01T12:00:00Z"))),
        &[F::FieldUnknown],
    );
    check(
        &edited("/auth_bridge/provider", Some(json!("x"))),
        &[F::FieldUnknown],
    );
}
