//! The policy and the launches of the measurements: a local provider is required, and every fact is in order.
//!
//! Deliberately absent: denials; what is measured is the way that every gate is asked on.

use std::{fs, path::Path};

use admit_policy::Digest;
use admit_proto::v1::{
    AdapterState, AdmitRequest, EndpointScope, FakeBaseline, Fixture, FixtureKind, Lane,
    LocalProvider, Presence, ScanTarget, SecretScan, ServedModel, VisibleCredentials,
};

/// The host that every launch states.
pub(crate) const HOST: &str = "spark-1";
/// The network class of the admissions, as a line of the section `network_classes`.
pub(crate) const NETWORK_CLASS_LINE: &str = "spark-tailnet = [\"loopback\", \"tailnet\"]";

/// The pair that the record selects, and the first that is admitted.
pub(crate) const PROVIDER: &str = "qwen-local";
/// Its model.
pub(crate) const MODEL: &str = "qwen3.6-35b-a3b";
/// The class of its credentials.
pub(crate) const CREDENTIAL_SOURCE_CLASS: &str = "pi-models-json-local-no-secret";

/// The file of the decision record.
const RECORD_FILE: &str = "CTO-CASE-PROVIDER-DECISION-RECORD.md";
/// Most admissions in one folder, so that no folder gets slow to list.
const FOLDER_ADMISSIONS_MAX: usize = 1000;

/// The decision record.
fn record() -> String {
    format!(
        "---\ntitle: CTO Case Provider Decision Record\nlifecycle_classification: sot\nowner: bench\n---\n\n\
         # CTO Case Provider Decision Record\n\n\
         ## Current Decision State\n\n\
         - `decision_status`: `local_provider_required`.\n\
         - `provider_class`: `local_case_compatible`.\n\
         - `provider`: `{PROVIDER}`.\n\
         - `model`: `{MODEL}`.\n\
         - `approval_source`: the measurement.\n\
         - `credential_source_class`: `{CREDENTIAL_SOURCE_CLASS}`.\n\
         - `allowed_network_class`: `spark-tailnet`.\n\
         - `review_trigger`: the end of the measurement.\n\
         - `evidence_sources`: the results.\n\
         - `effect`: launches of this pair may start.\n"
    )
}

/// The model of the admission `number`, from 0; the first is the one that the record selects.
pub(crate) fn model(number: usize) -> String {
    match number {
        0 => MODEL.to_owned(),
        _ => format!("{MODEL}-{number:06}"),
    }
}

/// The content of the admission `number`, from 0.
pub(crate) fn admission(number: usize) -> String {
    admission_until(number, "2999-01-01T00:00:00Z")
}

/// The same, due for review at `expires_at`.
pub(crate) fn admission_until(number: usize, expires_at: &str) -> String {
    let model = model(number);
    format!(
        r#"{{
  "schema_version": 1,
  "work_item": "CTO-WORK-020",
  "case_model_admission_status": "admitted",
  "provider_class": "local_case_compatible",
  "provider": "{PROVIDER}",
  "model": "{model}",
  "role": "primary",
  "credential_source_class": "{CREDENTIAL_SOURCE_CLASS}",
  "allowed_network_class": "spark-tailnet",
  "approval_source": "the measurement",
  "admission_timestamp": "2026-06-01T12:00:00Z",
  "review_trigger": {{
    "condition": "any change of the endpoint, the served model or the credential source",
    "expires_at": "{expires_at}"
  }},
  "evidence_expectations": [
    "case_model_provider, case_model and case_model_admission_status stand in the report",
    "no role was resolved to another pair"
  ]
}}
"#
    )
}

/// Where the admission `number` is within the policy directory.
pub(crate) fn admission_path(number: usize) -> String {
    let folder = number / FOLDER_ADMISSIONS_MAX;
    let model = model(number);
    format!("admissions-{folder:03}/CTO-CASE-MODEL-PROVIDER-ADMISSION.{PROVIDER}-{model}.json")
}

/// Writes a policy with so many admissions into `folder`, which is made.
///
/// # Errors
///
/// When a file cannot be written.
pub(crate) fn write_policy(folder: &Path, admissions: usize) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join(RECORD_FILE), record())?;
    for number in 0..admissions {
        let path = folder.join(admission_path(number));
        if number % FOLDER_ADMISSIONS_MAX == 0 {
            path.parent().map(fs::create_dir_all).transpose()?;
        }
        fs::write(path, admission(number))?;
    }
    Ok(())
}

/// Case's configuration as one is kept: a default, every role, and what else stands in such a file.
pub(crate) fn case_config() -> String {
    let pair = format!(r#"{{ "provider": "{PROVIDER}", "model": "{MODEL}" }}"#);
    format!(
        r#"{{
  "models": {{
    "default": {pair},
    "implementer": {pair},
    "verifier": {pair},
    "reviewer": {pair},
    "closer": {pair}
  }},
  "repos": {{ "fixture": {{ "path": "fixtures/copied", "remote": null }} }},
  "pipeline": {{ "maxAttempts": 3, "approve": "never", "evidence": ["trace", "report"] }}
}}
"#
    )
}

/// A launch of the run `run` with every fact in order.
pub(crate) fn request(run: &str) -> AdmitRequest {
    AdmitRequest {
        host: HOST.into(),
        run_id: run.into(),
        lane: Lane::Real.into(),
        stage: 2,
        provider: PROVIDER.into(),
        model: MODEL.into(),
        admission_file_digest: Digest::of(admission(0).as_bytes()).to_string(),
        credential_source_class: CREDENTIAL_SOURCE_CLASS.into(),
        case_config: Some(case_config().into_bytes().into()),
        case_model_override: Presence::Absent.into(),
        model_flag: Presence::Absent.into(),
        agent_flag: Presence::Absent.into(),
        visible_credentials: Some(VisibleCredentials { names: Vec::new() }),
        target_repository: Presence::Absent.into(),
        secret_scan: Some(SecretScan {
            covered: vec![
                ScanTarget::Argv.into(),
                ScanTarget::TaskFile.into(),
                ScanTarget::GeneratedConfig.into(),
            ],
            findings: Vec::new(),
        }),
        fixture: Some(Fixture {
            kind: FixtureKind::CopiedArtificial.into(),
        }),
        fake_baseline: Some(FakeBaseline { run_id: run.into() }),
        local_provider: Some(LocalProvider {
            base_url: Presence::Present.into(),
            endpoint_scope: EndpointScope::Loopback.into(),
            adapter: AdapterState::Valid.into(),
            served_model: ServedModel::Match.into(),
        }),
        ..AdmitRequest::default()
    }
}
