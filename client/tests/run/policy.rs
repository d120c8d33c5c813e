//! The policy of the tests: one local pair, selected and admitted, and a fallback whose bridge is not
//! proven.
//!
//! The provider is `openai` at a local endpoint: of the local ones, that is what stock Case can use.

use std::{fs, path::Path};

pub(crate) const PROVIDER: &str = "openai";
pub(crate) const MODEL: &str = "qwen3.6-35b-a3b";
pub(crate) const CREDENTIAL_SOURCE_CLASS: &str = "pi-models-json-local-no-secret";
/// A custom provider that is admitted too, as the provider of a policy of its own.
pub(crate) const CUSTOM_PROVIDER: &str = "qwen-local";
const ADMISSION: &str = "CTO-CASE-MODEL-PROVIDER-ADMISSION.chosen.json";
const FALLBACK_ADMISSION: &str = "CTO-CASE-MODEL-PROVIDER-ADMISSION.fallback.json";

/// The decision record that selects `provider`.
fn record(provider: &str) -> String {
    format!(
        "---\ntitle: CTO Case Provider Decision Record\nlifecycle_classification: sot\n---\n\n\
         ## Current Decision State\n\n\
         - `decision_status`: `local_provider_required`.\n\
         - `provider_class`: `local_case_compatible`.\n\
         - `provider`: `{provider}`.\n\
         - `model`: `{MODEL}`.\n\
         - `fallback_provider`: `openai-codex`.\n\
         - `fallback_model`: `gpt-5.5`.\n\
         - `approval_source`: a test.\n\
         - `credential_source_class`: `{CREDENTIAL_SOURCE_CLASS}`.\n\
         - `allowed_network_class`: `spark-tailnet`.\n\
         - `review_trigger`: the end of the test.\n\
         - `evidence_sources`: `CTO-WORK-020`.\n\
         - `effect`: launches of this pair may start.\n"
    )
}

/// The admission of `provider`, with this status.
pub(crate) fn admission(provider: &str, status: &str) -> String {
    format!(
        r#"{{
  "schema_version": 1,
  "work_item": "CTO-WORK-020",
  "case_model_admission_status": "{status}",
  "provider_class": "local_case_compatible",
  "provider": "{provider}",
  "model": "{MODEL}",
  "role": "primary",
  "credential_source_class": "{CREDENTIAL_SOURCE_CLASS}",
  "allowed_network_class": "spark-tailnet",
  "approval_source": "a test",
  "admission_timestamp": "2026-06-01T12:00:00Z",
  "review_trigger": {{ "condition": "the end of the test", "expires_at": "2999-01-01T00:00:00Z" }},
  "evidence_expectations": ["the pair stands in the report"]
}}
"#
    )
}

/// The admission of the fallback.
pub(crate) fn fallback_admission() -> String {
    admission("openai-codex", "admitted")
        .replace(MODEL, "gpt-5.5")
        .replace("local_case_compatible", "external_fallback")
        .replace("\"primary\"", "\"fallback\"")
        .replace(
            "  \"evidence_expectations\"",
            "  \"auth_bridge\": { \"status\": \"unproven\", \"evidence\": \"none\" },\n  \"evidence_expectations\"",
        )
}

/// Writes the policy that selects `provider`.
pub(crate) fn write(folder: &Path, provider: &str) {
    fs::create_dir_all(folder).unwrap();
    let record_path = folder.join("CTO-CASE-PROVIDER-DECISION-RECORD.md");
    fs::write(record_path, record(provider)).unwrap();
    write_admission(folder, provider, "admitted");
    fs::write(folder.join(FALLBACK_ADMISSION), fallback_admission()).unwrap();
}

/// Writes the admission of `provider`, in one step.
pub(crate) fn write_admission(folder: &Path, provider: &str, status: &str) {
    let new = folder.join("admission.new");
    fs::write(&new, admission(provider, status)).unwrap();
    fs::rename(new, folder.join(ADMISSION)).unwrap();
}
