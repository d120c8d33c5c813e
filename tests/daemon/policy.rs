//! Two policies that exclude each other, and the launches that each of them allows.
//!
//! Policy [`A`] selects and admits one pair, policy [`B`] another one. Half of a change from one to
//! the other is neither: it has a digest of its own and allows nothing.

use std::{fs, path::Path, sync::Arc};

use admit_policy::{Digest, Snapshot, SourceFile, document::Kind};
use admit_proto::v1::{
    AdmitRequest, FakeBaseline, Fixture, FixtureKind, Lane, Presence, ScanTarget, SecretScan,
    VisibleCredentials, WatchPolicyRequest,
};

pub(crate) const RECORD: &str = "CTO-CASE-PROVIDER-DECISION-RECORD.md";
pub(crate) const ADMISSION: &str = "CTO-CASE-MODEL-PROVIDER-ADMISSION.chosen.json";

/// The provider of both pairs: the branch of external providers asks for the fewest facts.
const PROVIDER: &str = "anthropic";
const CREDENTIAL_SOURCE_CLASS: &str = "harness-secret-store";
const RUN: &str = "run-7";

/// A pair, by its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chosen(pub(crate) &'static str);

pub(crate) const A: Chosen = Chosen("claude-alpha-1");
pub(crate) const B: Chosen = Chosen("claude-beta-2");

impl Chosen {
    /// The decision record that selects this pair.
    pub(crate) fn record(self) -> String {
        let model = self.0;
        format!(
            "---\ntitle: CTO Case Provider Decision Record\nlifecycle_classification: sot\n---\n\n\
             ## Current Decision State\n\n\
             - `decision_status`: `external_provider_approved`.\n\
             - `provider_class`: `external_anthropic`.\n\
             - `provider`: `{PROVIDER}`.\n\
             - `model`: `{model}`.\n\
             - `approval_source`: a test.\n\
             - `credential_source_class`: `{CREDENTIAL_SOURCE_CLASS}`.\n\
             - `allowed_network_class`: `anthropic-service`.\n\
             - `review_trigger`: the end of the test.\n\
             - `evidence_sources`: `CTO-WORK-020`.\n\
             - `effect`: launches of this pair may start.\n"
        )
    }

    /// The admission of this pair.
    pub(crate) fn admission(self) -> String {
        self.admission_until("2999-01-01T00:00:00Z")
    }

    /// The admission of this pair, due for review at `expires_at`.
    pub(crate) fn admission_until(self, expires_at: &str) -> String {
        let model = self.0;
        format!(
            r#"{{
  "schema_version": 1,
  "work_item": "CTO-WORK-020",
  "case_model_admission_status": "admitted",
  "provider_class": "external_anthropic",
  "provider": "{PROVIDER}",
  "model": "{model}",
  "role": "primary",
  "credential_source_class": "{CREDENTIAL_SOURCE_CLASS}",
  "allowed_network_class": "anthropic-service",
  "approval_source": "a test",
  "admission_timestamp": "2026-06-01T12:00:00Z",
  "review_trigger": {{ "condition": "the end of the test", "expires_at": "{expires_at}" }},
  "evidence_expectations": ["the pair stands in the report"]
}}
"#
        )
    }

    /// The launch of this pair with every fact in order.
    pub(crate) fn launch(self) -> AdmitRequest {
        self.launch_with(&self.admission())
    }

    /// The same, of a host that has this admission file.
    pub(crate) fn launch_with(self, admission: &str) -> AdmitRequest {
        let model = self.0;
        let config =
            format!(r#"{{"models":{{"default":{{"provider":"{PROVIDER}","model":"{model}"}}}}}}"#);
        AdmitRequest {
            host: "spark-1".into(),
            run_id: RUN.into(),
            lane: Lane::Real.into(),
            stage: 2,
            provider: PROVIDER.into(),
            model: model.into(),
            admission_file_digest: Digest::of(admission.as_bytes()).to_string(),
            credential_source_class: CREDENTIAL_SOURCE_CLASS.into(),
            case_config: Some(config.into_bytes().into()),
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
            fake_baseline: Some(FakeBaseline { run_id: RUN.into() }),
            ..AdmitRequest::default()
        }
    }

    /// The request to follow this pair.
    pub(crate) fn follow(self) -> WatchPolicyRequest {
        WatchPolicyRequest {
            provider: PROVIDER.into(),
            model: self.0.into(),
            lane: Lane::Real.into(),
        }
    }

    /// The policy that selects and admits this pair, with both files in the folder `sot`.
    pub(crate) fn in_sot(self) -> Policy {
        self.at([&format!("sot/{RECORD}"), &format!("sot/{ADMISSION}")])
    }

    /// The same with its record and its admission at these paths.
    pub(crate) fn at(self, [record, admission]: [&str; 2]) -> Policy {
        Policy {
            chosen: self,
            files: vec![
                (record.to_owned(), self.record()),
                (admission.to_owned(), self.admission()),
            ],
        }
    }
}

/// The files of one policy.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// The pair that it allows.
    pub(crate) chosen: Chosen,
    /// Path within the policy directory, and content.
    pub(crate) files: Vec<(String, String)>,
}

impl Policy {
    /// The digest that every host shows for these files.
    pub(crate) fn digest(&self) -> String {
        let files: Vec<SourceFile> = self
            .files
            .iter()
            .map(|(path, text)| SourceFile {
                path: path.as_str().into(),
                kind: Kind::of(path.rsplit('/').next().unwrap()).unwrap(),
                content: Ok(Arc::from(text.as_bytes())),
            })
            .collect();
        Snapshot::build(&files).digest().to_string()
    }

    /// Writes the files below `folder`, which may not exist yet.
    pub(crate) fn write_to(&self, folder: &Path) {
        for (path, text) in &self.files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }
}

/// Each test binary uses a part of this module; here the whole of it counts as used.
const _: () = {
    let _ = Chosen::follow;
    let _ = Chosen::in_sot;
    let _ = Policy::digest;
    let _ = |policy: &Policy| policy.chosen;
    let _ = Policy::write_to;
    let _ = B;
};
