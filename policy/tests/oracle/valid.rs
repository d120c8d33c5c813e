//! When a document is valid, by SPEC section 3, as plain comparisons.

use crate::world::{Admission, AdmissionForm, CANARY, Record, RecordForm};

/// The value of a key of the record, if it is there and not empty.
pub(crate) fn value(record: &Record, key: &str) -> Option<&'static str> {
    let found = record.keys.iter().find(|(name, _)| *name == key);
    found
        .map(|(_, value)| *value)
        .filter(|value| !value.is_empty())
}

pub(crate) fn status(record: &Record) -> &'static str {
    value(record, "decision_status").unwrap_or_default()
}

pub(crate) fn record_is_valid(record: &Record) -> bool {
    use RecordForm::{Crlf, Plain, WithHistory, WithOtherBullets, WithProse};
    const KEYS: [&str; 12] = [
        "decision_status",
        "provider_class",
        "provider",
        "model",
        "fallback_provider",
        "fallback_model",
        "approval_source",
        "credential_source_class",
        "allowed_network_class",
        "review_trigger",
        "evidence_sources",
        "effect",
    ];
    let well_formed = matches!(
        record.form,
        Plain | Crlf | WithHistory | WithProse | WithOtherBullets
    );
    let once = KEYS
        .iter()
        .all(|key| record.keys.iter().filter(|(name, _)| name == key).count() <= 1);
    let known = record.keys.iter().all(|(name, _)| KEYS.contains(name));
    let clean = record.keys.iter().all(|(_, value)| is_clean(value));
    let pair = (value(record, "provider"), value(record, "model"));
    let fallback = (
        value(record, "fallback_provider"),
        value(record, "fallback_model"),
    );
    let exact = [pair.0, pair.1, fallback.0, fallback.1]
        .into_iter()
        .flatten()
        .all(is_exact);
    let whole =
        |(provider, model): (Option<&str>, Option<&str>)| provider.is_some() == model.is_some();
    let fallback_is_other = fallback == (None, None) || fallback != pair;
    let class = value(record, "provider_class");
    let explained = KEYS.iter().skip(6).all(|key| value(record, key).is_some());
    let branch_holds = match status(record) {
        "not_decided" => true,
        "external_provider_approved" => {
            explained && class == Some("external_anthropic") && pair.0.is_some() && pair.1.is_some()
        }
        "local_provider_required" => {
            explained && class == Some("local_case_compatible") && pair.0 != Some("anthropic")
        }
        _ => false,
    };
    // The page asks for a whole pair in the decided branches only. The product asks always, which
    // can only deny; it is followed here.
    let whole_pairs = whole(pair) && whole(fallback);
    well_formed
        && record.lifecycle == Some("sot")
        && once
        && known
        && clean
        && exact
        && whole_pairs
        && fallback_is_other
        && branch_holds
}

pub(crate) fn admission_is_valid(file: &Admission) -> bool {
    let well_formed = matches!(file.form, AdmissionForm::Plain | AdmissionForm::Escaped);
    let role = file.role;
    let class_holds = match file.class {
        Some("local_case_compatible" | "external_anthropic") => true,
        Some("external_fallback") => role == Some("fallback"),
        _ => false,
    };
    let name = |text: Option<&str>| text.is_some_and(|text| !text.is_empty() && is_exact(text));
    let filled = |text: Option<&str>| text.is_some_and(|text| !text.is_empty() && is_clean(text));
    let evidence = file
        .evidence
        .as_ref()
        .is_some_and(|all| !all.is_empty() && all.iter().all(|text| filled(Some(text))));
    let bridge = file.bridge.is_none_or(|(status, evidence)| {
        matches!(status, "proven" | "unproven") && filled(Some(evidence))
    });
    let is_time = |time: Option<i64>| time.is_some();
    well_formed
        && file.schema_version == Some("1")
        && file.work_item == Some("CTO-WORK-020")
        && matches!(file.status, Some("admitted" | "revoked"))
        && matches!(role, Some("primary" | "fallback"))
        && class_holds
        && name(file.provider)
        && name(file.model)
        && file.model != Some("latest")
        && filled(file.credential_source)
        && filled(file.network)
        && filled(file.approval_source)
        && file.from.is_some_and(|time| is_time(time.unix))
        && filled(file.review_condition)
        && file.review_at.is_none_or(|time| is_time(time.unix))
        && evidence
        && bridge
}

/// Whether a text is free of what no document may hold; the pools use one secret and one endpoint.
fn is_clean(text: &str) -> bool {
    !text.contains(CANARY) && !text.contains("http://10.9.8.7")
}

/// Whether a name can be one exact provider or model.
fn is_exact(name: &str) -> bool {
    let visible = |c: char| ('!'..='~').contains(&c) && c != '*' && c != '?';
    name.chars().all(visible) && is_clean(name)
}
