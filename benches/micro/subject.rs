//! What is measured: one real launch of the example's local pair, and the example policy with as many
//! admissions as wanted.
//!
//! Deliberately absent: any measuring.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use admit_policy::{
    Digest, Launch, Snapshot, SourceFile, Standing, Terms, Timestamp, document::Kind,
    facts::EndpointScope,
};
use admit_proto::v1::{self, AdmitRequest};
use admit_server::wire::request;

const RECORD: &str = include_str!("../../deploy/example/sot/CTO-CASE-PROVIDER-DECISION-RECORD.md");
const ADMISSION: &str = include_str!(
    "../../deploy/example/sot/CTO-CASE-MODEL-PROVIDER-ADMISSION.qwen-local-qwen3.6-35b-a3b.json"
);
const CASE_CONFIG: &str = include_str!("../../deploy/example/host/case/config.json");
const PROVIDER: &str = "qwen-local";
const MODEL: &str = "qwen3.6-35b-a3b";

/// How many admissions there are, for the growth.
pub(crate) const ADMISSIONS: [usize; 4] = [1, 100, 10_000, 100_000];

/// The example policy with `admissions` admissions. All of them are of one provider, and their models
/// differ from the one that is asked for in the last characters only, on either side of it: what is
/// worst for a search that compares.
#[must_use]
pub(crate) fn files(admissions: usize) -> Vec<SourceFile> {
    let others = (1..admissions).map(|number| {
        let model = other_model(number);
        let path = format!("sot/CTO-CASE-MODEL-PROVIDER-ADMISSION.{PROVIDER}-{model}.json");
        file(&path, Kind::Admission, &ADMISSION.replace(MODEL, &model))
    });
    [
        file(
            "sot/CTO-CASE-PROVIDER-DECISION-RECORD.md",
            Kind::DecisionRecord,
            RECORD,
        ),
        file(
            "sot/CTO-CASE-MODEL-PROVIDER-ADMISSION.json",
            Kind::Admission,
            ADMISSION,
        ),
    ]
    .into_iter()
    .chain(others)
    .collect()
}

/// The model of another admission than the one that is asked for.
#[must_use]
pub(crate) fn other_model(number: usize) -> String {
    let side = if number.is_multiple_of(2) { 'a' } else { 'c' };
    format!("qwen3.6-35b-a3{side}-{number:06}")
}

fn file(path: &str, kind: Kind, text: &str) -> SourceFile {
    SourceFile {
        path: Arc::from(path),
        kind,
        content: Ok(Arc::from(text.as_bytes())),
    }
}

/// The policy that launches are decided under.
#[derive(Debug)]
pub(crate) struct Policy {
    /// The snapshot.
    pub(crate) snapshot: Snapshot,
    /// The operator's configuration, that of the example.
    pub(crate) terms: Terms,
}

impl Policy {
    /// The example policy with `admissions` admissions.
    #[must_use]
    pub(crate) fn of(admissions: usize) -> Self {
        let scopes = [EndpointScope::Loopback, EndpointScope::Tailnet];
        Self {
            snapshot: Snapshot::build(&files(admissions)),
            terms: Terms {
                staleness_max: Duration::from_secs(30),
                network_classes: BTreeMap::from([("spark-tailnet".to_owned(), scopes.into())]),
            },
        }
    }

    /// The policy, just verified.
    #[must_use]
    pub(crate) fn standing(&self) -> Standing<'_> {
        Standing {
            snapshot: Some(&self.snapshot),
            unverified_for: Duration::from_millis(5),
            terms: &self.terms,
        }
    }
}

/// A time at which the admission holds.
#[must_use]
pub(crate) fn now() -> Timestamp {
    Timestamp::from_unix(1_800_000_000, 123_456_789).expect("a year that there is")
}

/// The request of a real launch, as `admit run` makes it.
#[must_use]
pub(crate) fn request() -> AdmitRequest {
    AdmitRequest {
        host: "spark-1.example.com".into(),
        run_id: "run-7".into(),
        lane: v1::Lane::Real.into(),
        stage: 2,
        provider: PROVIDER.into(),
        model: MODEL.into(),
        admission_file_digest: Digest::of(ADMISSION.as_bytes()).to_string(),
        credential_source_class: "pi-models-json-local-no-secret".into(),
        case_config: Some(CASE_CONFIG.as_bytes().to_vec().into()),
        case_model_override: v1::Presence::Absent.into(),
        model_flag: v1::Presence::Absent.into(),
        agent_flag: v1::Presence::Absent.into(),
        visible_credentials: Some(v1::VisibleCredentials { names: Vec::new() }),
        target_repository: v1::Presence::Absent.into(),
        secret_scan: Some(v1::SecretScan {
            covered: vec![
                v1::ScanTarget::Argv.into(),
                v1::ScanTarget::TaskFile.into(),
                v1::ScanTarget::GeneratedConfig.into(),
            ],
            findings: Vec::new(),
        }),
        fixture: Some(v1::Fixture {
            kind: v1::FixtureKind::CopiedArtificial.into(),
        }),
        fake_baseline: Some(v1::FakeBaseline {
            run_id: "run-7".into(),
        }),
        local_provider: Some(v1::LocalProvider {
            base_url: v1::Presence::Present.into(),
            endpoint_scope: v1::EndpointScope::Tailnet.into(),
            adapter: v1::AdapterState::Valid.into(),
            served_model: v1::ServedModel::Match.into(),
        }),
        ..AdmitRequest::default()
    }
}

/// A real launch that is allowed.
#[must_use]
pub(crate) fn allowed() -> Launch {
    request::launch(request()).expect("a request within its bounds")
}

/// A launch that most gates deny: nothing but the lane is stated as it should be.
#[must_use]
pub(crate) fn denied() -> Launch {
    let bare = AdmitRequest {
        host: "spark-1.example.com".into(),
        run_id: "run-7".into(),
        lane: v1::Lane::Real.into(),
        provider: PROVIDER.into(),
        model: MODEL.into(),
        ..AdmitRequest::default()
    };
    request::launch(bare).expect("a request within its bounds")
}

/// The allowed launch with another model: its admission is there, and it is denied because the record
/// selects another pair, and for what follows from that.
#[must_use]
pub(crate) fn other(number: usize) -> Launch {
    let mut launch = allowed();
    launch.model = other_model(number);
    launch
}

/// A `config.json` of at least `bytes` bytes: the example's, with what Case keeps beside the models.
#[must_use]
pub(crate) fn case_config(bytes: usize) -> Vec<u8> {
    let project = r#"{"name": "fixture-one", "path": "work/fixture-one", "language": "typescript", "tests": ["unit", "integration"], "reviewers": 2}"#;
    let count = bytes.div_ceil(project.len() + 2);
    let projects = vec![project; count].join(", ");
    CASE_CONFIG
        .replacen('{', &format!("{{\"projects\": [{projects}], "), 1)
        .into_bytes()
}
