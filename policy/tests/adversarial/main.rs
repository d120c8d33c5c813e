//! Documents that must not become policy, and their neighbors that must.
//!
//! Each row is one document and the exact codes of its findings, in their order; no code means that
//! it is valid. `place`: where a key stands. `heading`: what the section is called. `record`: what
//! a decision record says. `value`: how a line says it. `field` and `syntax`: what an admission
//! says, and how. `forbidden`: secrets and endpoints. `shown`: what a finding may repeat.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::string_slice,
    reason = "tests fail loudly"
)]

mod field;
mod forbidden;
mod heading;
mod place;
mod record;
mod shown;
mod syntax;
mod value;

use std::sync::Arc;

use admit_policy::{
    Finding, FindingCode,
    document::{
        admission::{self, Admission},
        decision_record::{self, DecisionRecord},
    },
};

pub(crate) const FRONT_MATTER: &str = "---\ntitle: a record\nlifecycle_classification: sot\n---\n";

pub(crate) const HEADING: &str = "\n## Current Decision State\n\n";

/// The list of a valid record of the local branch.
pub(crate) const KEYS: &str = "\
- `decision_status`: `local_provider_required`.
- `provider_class`: `local_case_compatible`.
- `provider`: `qwen-local`.
- `model`: `qwen3.6-35b-a3b`.
- `fallback_provider`: `openai-codex`.
- `fallback_model`: `gpt-5.5`.
- `approval_source`: review of 2026-06-01.
- `credential_source_class`: `local-no-secret`; no key is asked for.
- `allowed_network_class`: `spark-tailnet`.
- `review_trigger`: any change.
- `evidence_sources`: `A.md`, `B.md`.
- `effect`: blocked until admitted.
";

/// A line that would change what the record says.
pub(crate) const EVIL: &str = "- `provider`: `evil`.\n";

/// A record with `keys` as the body of its section.
pub(crate) fn with_keys(keys: &str) -> String {
    format!("{FRONT_MATTER}{HEADING}{keys}\n## History\n\n- `decision_status`: `not_decided`.\n")
}

pub(crate) fn parse_record(bytes: &[u8]) -> Result<DecisionRecord, Vec<Finding>> {
    decision_record::parse(&Arc::from("record.md"), bytes)
}

pub(crate) fn parse_admission(bytes: &[u8]) -> Result<Admission, Vec<Finding>> {
    admission::parse(&Arc::from("admission.json"), bytes)
}

pub(crate) fn codes<T>(parsed: Result<T, Vec<Finding>>) -> Vec<FindingCode> {
    match parsed {
        Ok(_) => Vec::new(),
        Err(findings) => findings.iter().map(|finding| finding.code).collect(),
    }
}

/// Checks the codes of each record.
pub(crate) fn check_records<'a>(rows: impl IntoIterator<Item = (String, &'a [FindingCode])>) {
    for (text, expected) in rows {
        assert_eq!(codes(parse_record(text.as_bytes())), expected, "{text}");
    }
}

/// Checks that each record is valid and says what the one with [`KEYS`] says.
pub(crate) fn check_unchanged(rows: impl IntoIterator<Item = String>) {
    for text in rows {
        let record = parse_record(text.as_bytes());
        let record = record.unwrap_or_else(|findings| panic!("{text}\n{findings:#?}"));
        assert_eq!(record.branch.as_str(), "local_provider_required", "{text}");
        let named = |named: &Option<decision_record::NamedPair>| {
            named.as_ref().map(|named| named.pair.to_string())
        };
        let primary = named(&record.primary);
        assert_eq!(
            primary.as_deref(),
            Some("`qwen-local` / `qwen3.6-35b-a3b`"),
            "{text}"
        );
        let fallback = named(&record.fallback);
        assert_eq!(
            fallback.as_deref(),
            Some("`openai-codex` / `gpt-5.5`"),
            "{text}"
        );
    }
}

#[test]
fn the_base_record_is_valid() {
    check_unchanged([with_keys(KEYS)]);
}
