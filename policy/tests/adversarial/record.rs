//! What a decision record has to say, rule by rule, from both sides.

use admit_policy::FindingCode as F;

use crate::{
    FRONT_MATTER, HEADING, KEYS, check_records, check_unchanged, codes, parse_record, with_keys,
};

/// The record of [`KEYS`] after `edits` of its lines: an empty value takes the line out.
fn edited(edits: &[(&str, &str)]) -> String {
    let lines = KEYS.lines().filter_map(|line| {
        let key = line.split('`').nth(1).expect("a key");
        match edits.iter().find(|(name, _)| *name == key) {
            None => Some(format!("{line}\n")),
            Some((_, "")) => None,
            Some((_, value)) => Some(format!("- `{key}`: `{value}`.\n")),
        }
    });
    with_keys(&lines.collect::<String>())
}

/// A record of the external branch after `edits`.
fn external(edits: &[(&str, &str)]) -> String {
    let mut all = edits.to_vec();
    all.extend([
        ("decision_status", "external_provider_approved"),
        ("provider_class", "external_anthropic"),
        ("provider", "anthropic"),
        ("model", "claude-opus-4-1"),
    ]);
    edited(&all)
}

const EXPLANATIONS: [&str; 6] = [
    "approval_source",
    "credential_source_class",
    "allowed_network_class",
    "review_trigger",
    "evidence_sources",
    "effect",
];

/// Front matter of other documents.
const NOT_SOT: [&str; 13] = [
    "title: x",
    "",
    "lifecycle_classification: draft",
    "lifecycle_classification: Sot",
    "lifecycle_classification: s\u{43e}t",
    "lifecycle_classification: \"sot\\u200b\"",
    "lifecycle_classification: [sot]",
    "lifecycle_classification: sot draft",
    "Lifecycle_classification: sot",
    "\"lifecycle_classification\\u200b\": sot",
    "a:\n  lifecycle_classification: sot",
    "a: |\n  lifecycle_classification: sot",
    "# lifecycle_classification: sot",
];

/// Blocks that are no YAML mapping with each key once.
const NO_MAPPING: [&str; 7] = [
    "lifecycle_classification: sot\nlifecycle_classification: draft",
    "lifecycle_classification: draft\n\"lifecycle_classification\": sot",
    "a: &x sot\nlifecycle_classification: *x",
    "- lifecycle_classification: sot",
    "lifecycle_classification sot",
    "lifecycle_classification: sot\na: [",
    "a: \"\nlifecycle_classification: sot",
];

/// Starts of documents that are no front matter.
const NO_FRONT_MATTER: [&str; 7] = [
    "",
    "\n---\nlifecycle_classification: sot\n---\n",
    " ---\nlifecycle_classification: sot\n---\n",
    "----\nlifecycle_classification: sot\n----\n",
    "```\n---\nlifecycle_classification: sot\n---\n```\n",
    "---\nlifecycle_classification: sot\n",
    "+++\nlifecycle_classification = \"sot\"\n+++\n",
];

#[test]
fn front_matter_says_that_the_document_is_sot() {
    let after = |start: &str| format!("{start}{HEADING}{KEYS}");
    let with = |yaml: &str| after(&format!("---\n{yaml}\n---\n"));
    check_unchanged([
        with("lifecycle_classification: \"sot\""),
        with("lifecycle_classification:    sot   # really"),
        with("a: {b: [c]}\nlifecycle_classification: !!str sot"),
        after("---  \nlifecycle_classification: sot\n---\t\n"),
    ]);
    let nested = |depth: usize| {
        let lists = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        with(&format!("lifecycle_classification: sot\na: {lists}"))
    };
    check_records([
        (nested(15), &[][..]),
        (nested(16), &[F::FrontMatterInvalid]),
        (nested(5000), &[F::FrontMatterInvalid]),
    ]);
    check_records(NOT_SOT.map(|yaml| (with(yaml), &[F::LifecycleNotSot][..])));
    check_records(NO_MAPPING.map(|yaml| (with(yaml), &[F::FrontMatterInvalid][..])));
    check_records(NO_FRONT_MATTER.map(|start| (after(start), &[F::FrontMatterMissing][..])));
}

#[test]
fn a_decided_record_explains_itself() {
    for key in EXPLANATIONS {
        check_records([
            (edited(&[(key, "")]), &[F::KeyMissing][..]),
            (external(&[(key, "")]), &[F::KeyMissing]),
            (
                edited(&[(key, ""), ("decision_status", "not_decided")]),
                &[],
            ),
        ]);
    }
    check_records([
        (with_keys("- `decision_status`: `not_decided`.\n"), &[][..]),
        (with_keys("Nothing.\n"), &[F::KeyMissing]),
        (edited(&[("decision_status", "")]), &[F::KeyMissing]),
    ]);
}

#[test]
fn the_status_is_one_of_three() {
    check_records([
        (edited(&[("decision_status", "not_decided")]), &[][..]),
        (
            edited(&[("decision_status", "local_provider_required")]),
            &[],
        ),
        (external(&[]), &[]),
    ]);
    for status in [
        "undecided",
        "not-decided",
        "Not_Decided",
        "external_provider",
        "null",
        "approved",
        "*",
    ] {
        check_records([(
            edited(&[("decision_status", status)]),
            &[F::DecisionStatusUnknown][..],
        )]);
    }
}

#[test]
fn the_class_is_that_of_the_branch() {
    let mismatch = &[F::ProviderClassMismatch][..];
    check_records([
        (
            edited(&[("provider_class", "external_anthropic")]),
            mismatch,
        ),
        (edited(&[("provider_class", "external_fallback")]), mismatch),
        (edited(&[("provider_class", "local")]), mismatch),
        (edited(&[("provider_class", "")]), &[F::KeyMissing]),
        (
            edited(&[("provider_class", ""), ("decision_status", "not_decided")]),
            &[],
        ),
    ]);
    for class in ["local_case_compatible", "external_fallback", "anthropic"] {
        let text = external(&[]).replace("external_anthropic", class);
        check_records([(text, mismatch)]);
    }
    let text = external(&[]).replace("- `provider_class`: `external_anthropic`.\n", "");
    check_records([(text, &[F::KeyMissing][..])]);
}

#[test]
fn a_local_record_names_a_whole_local_pair_or_none() {
    check_records([
        (edited(&[("provider", ""), ("model", "")]), &[][..]),
        (edited(&[("provider", "")]), &[F::PairIncomplete]),
        (edited(&[("model", "")]), &[F::PairIncomplete]),
        (edited(&[("provider", "anthropic")]), &[F::ProviderNotLocal]),
        (edited(&[("provider", "Anthropic")]), &[]),
        (edited(&[("provider", "anthropic-local")]), &[]),
    ]);
    let empty = with_keys(
        &KEYS
            .replace("`qwen-local`.", "")
            .replace("`qwen3.6-35b-a3b`.", ""),
    );
    check_records([(empty, &[][..])]);
}

#[test]
fn an_external_record_names_a_whole_pair() {
    let provider = "- `provider`: `anthropic`.\n";
    let model = "- `model`: `claude-opus-4-1`.\n";
    let both = external(&[]).replace(provider, "").replace(model, "");
    check_records([(both, &[F::KeyMissing, F::KeyMissing][..])]);
    for line in [provider, model] {
        let found = codes(parse_record(external(&[]).replace(line, "").as_bytes()));
        assert!(found.contains(&F::KeyMissing), "{found:?}");
    }
}

#[test]
fn a_fallback_is_whole_and_another_pair() {
    check_records([
        (
            edited(&[("fallback_provider", ""), ("fallback_model", "")]),
            &[][..],
        ),
        (
            edited(&[("fallback_provider", "")]),
            &[F::FallbackIncomplete],
        ),
        (edited(&[("fallback_model", "")]), &[F::FallbackIncomplete]),
        (
            edited(&[
                ("fallback_provider", "qwen-local"),
                ("fallback_model", "qwen3.6-35b-a3b"),
            ]),
            &[F::FallbackIsPrimary],
        ),
        (edited(&[("fallback_provider", "qwen-local")]), &[]),
        (edited(&[("fallback_model", "qwen3.6-35b-a3b")]), &[]),
        (
            external(&[("fallback_provider", "")]),
            &[F::FallbackIncomplete],
        ),
        (
            external(&[
                ("fallback_provider", "anthropic"),
                ("fallback_model", "claude-opus-4-1"),
            ]),
            &[F::FallbackIsPrimary],
        ),
    ]);
}

#[test]
fn a_document_that_is_no_text_is_a_finding() {
    let mut not_utf8 = with_keys(KEYS).into_bytes();
    not_utf8.extend(b"\xc3\x28");
    assert_eq!(codes(parse_record(&not_utf8)), [F::NotUtf8]);
    let utf_16: Vec<u8> = with_keys(KEYS)
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(codes(parse_record(&utf_16)), [F::FrontMatterMissing]);
    check_records([
        (String::new(), &[F::FrontMatterMissing][..]),
        (FRONT_MATTER.to_owned(), &[F::SectionMissing]),
    ]);
}
