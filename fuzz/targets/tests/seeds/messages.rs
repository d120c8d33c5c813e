//! The seeds that nobody can read: messages in their bytes, written here as what they say.
//!
//! A test holds the files against this source; `cargo test -p admit-fuzz -- --ignored` writes them.

use std::{collections::BTreeMap, fs};

use admit_fuzz::wire::allowed_launch;
use admit_proto::v1;
use prost::Message;

use crate::{folder, seeds};

const DIGEST: &str = "b79606fb3afea5bd1609ed40b622142f1c98125abcfe89a76a661b0e8e343910";
const ID: &str = "0197f0a4-5c00-7abc-8def-0123456789ab";

/// Every seed of messages: by target and name, with the ending `.bin`.
fn messages() -> BTreeMap<(&'static str, String), Vec<u8>> {
    let mut all = BTreeMap::new();
    for (name, request) in launches() {
        all.insert(("admit_request", file(name)), request.encode_to_vec());
    }
    for (name, request) in evidences() {
        all.insert(("evidence_request", file(name)), request.encode_to_vec());
    }
    for (name, request) in watches() {
        all.insert(("watch_request", file(name)), request.encode_to_vec());
    }
    for (name, answer) in answers() {
        all.insert(("admit_answer", file(name)), answer);
    }
    for (name, answer) in judgments() {
        all.insert(("evidence_answer", file(name)), answer);
    }
    all
}

fn file(name: &str) -> String {
    format!("{name}.bin")
}

#[expect(clippy::too_many_lines, reason = "it is a table")]
fn launches() -> Vec<(&'static str, v1::AdmitRequest)> {
    let real = allowed_launch();
    let with = |change: fn(&mut v1::AdmitRequest)| {
        let mut request = real.clone();
        change(&mut request);
        request
    };
    vec![
        ("real", real.clone()),
        ("dry-run", with(|request| request.dry_run = true)),
        (
            "fake",
            with(|request| {
                request.lane = v1::Lane::Fake.into();
                request.provider.clear();
                request.model.clear();
                request.local_provider = None;
                request.case_config = None;
            }),
        ),
        ("nothing-stated", v1::AdmitRequest::default()),
        (
            "texts-of-the-caller",
            with(|request| {
                request.host = "canary-host.example.com".into();
                request.run_id = "canary:run".into();
                request.provider = "canary-provider".into();
                request.model = "canary/model".into();
                request.credential_source_class = "canary-class".into();
                request.fake_baseline = Some(v1::FakeBaseline {
                    run_id: "canary-baseline".into(),
                });
                request.visible_credentials = Some(v1::VisibleCredentials {
                    names: vec!["canary_API_KEY".into(), "AWS_canary".into()],
                });
                request.case_config = Some(
                    br#"{"models":{"default":{"provider":"canary","model":"canary"}}}"#[..].into(),
                );
            }),
        ),
        (
            "a-secret-behind-an-escape",
            with(|request| {
                request.case_config =
                    Some(br#"{"a":"\u0073k-ant-canary0123456789abcd"}"#[..].into());
            }),
        ),
        (
            "roles-elsewhere",
            with(|request| {
                request.case_config = Some(
                    br#"{"models":{"default":{"provider":"qwen-local","model":"qwen3.6-35b-a3b"},"closer":{},"reviewer":{"provider":"x","model":"y"},"verifier":0}}"#[..].into(),
                );
            }),
        ),
        (
            "out-of-bounds",
            with(|request| {
                request.host = "canary host".into();
                request.stage = u32::MAX;
                request.expected_policy_digest = "canary".into();
                request.admission_file_digest = DIGEST.to_uppercase();
            }),
        ),
        (
            "values-of-another-version",
            with(|request| {
                request.lane = 7;
                request.model_flag = -1;
                request.secret_scan = Some(v1::SecretScan {
                    covered: vec![1, 2, 3, 99],
                    findings: vec![99],
                });
                request.local_provider = Some(v1::LocalProvider {
                    base_url: 9,
                    endpoint_scope: 9,
                    adapter: 9,
                    served_model: 9,
                });
            }),
        ),
    ]
}

fn evidence() -> v1::CheckEvidenceRequest {
    let config = admit_policy::Digest::of(b"config").to_string();
    v1::CheckEvidenceRequest {
        host: "spark-1".into(),
        run_id: "run-7".into(),
        permit: "e30.e30.AA".into(),
        start_time: Some(prost_types::Timestamp {
            seconds: 1_780_315_201,
            nanos: 5,
        }),
        report: Some(v1::Report {
            case_model_provider: "qwen-local".into(),
            case_model: "qwen3.6-35b-a3b".into(),
            case_model_admission_status: "admitted".into(),
        }),
        observed_models: Some(v1::ObservedModels {
            state: v1::ObservationState::Complete.into(),
            models: ["implementer", "reviewer"]
                .map(|agent| v1::ObservedModel {
                    agent: agent.into(),
                    provider: "qwen-local".into(),
                    model: "qwen3.6-35b-a3b".into(),
                    source: v1::ObservationSource::CaseStderr.into(),
                })
                .into(),
        }),
        config: Some(v1::ConfigEvidence {
            digest_before: config.clone(),
            digest_after: config,
            config: v1::ChangeState::Unchanged.into(),
            adapter: v1::ChangeState::Unchanged.into(),
        }),
        pipeline: v1::PipelineOutcome::Passed.into(),
        fixture_digest: DIGEST.into(),
        baseline: Some(v1::Baseline {
            run_id: "run-7".into(),
            fixture_digest: DIGEST.into(),
            pipeline: v1::PipelineOutcome::Passed.into(),
        }),
        secret_scan: Some(v1::EvidenceScan {
            covered: vec![1, 2, 3],
            findings: Vec::new(),
        }),
    }
}

fn evidences() -> Vec<(&'static str, v1::CheckEvidenceRequest)> {
    let with = |change: fn(&mut v1::CheckEvidenceRequest)| {
        let mut request = evidence();
        change(&mut request);
        request
    };
    vec![
        ("passed", evidence()),
        ("nothing-stated", v1::CheckEvidenceRequest::default()),
        (
            "texts-of-the-caller",
            with(|request| {
                request.host = "canary-host".into();
                request.run_id = "canary".into();
                request.permit = "canary.canary.canary".into();
                request.fixture_digest = "c".repeat(64);
                for model in request
                    .observed_models
                    .iter_mut()
                    .flat_map(|seen| &mut seen.models)
                {
                    model.agent = "canary".into();
                    model.provider = "canary".into();
                    model.model = "canary\"\\".into();
                }
                request.report = Some(v1::Report {
                    case_model_provider: "canary".into(),
                    case_model: "canary".into(),
                    case_model_admission_status: "canary".into(),
                });
            }),
        ),
        (
            "a-secret",
            with(|request| {
                request.report = Some(v1::Report {
                    case_model: "sk-ant-canary0123456789abcd".into(),
                    ..v1::Report::default()
                });
            }),
        ),
        (
            "out-of-bounds",
            with(|request| {
                request.host.clear();
                request.permit = "canary canary".into();
                request.start_time = Some(prost_types::Timestamp {
                    seconds: i64::MAX,
                    nanos: -1,
                });
                request.fixture_digest = "canary".into();
            }),
        ),
        (
            "values-of-another-version",
            with(|request| {
                request.pipeline = 77;
                request.secret_scan = Some(v1::EvidenceScan {
                    covered: vec![99],
                    findings: vec![99, -1],
                });
            }),
        ),
    ]
}

fn watches() -> Vec<(&'static str, v1::WatchPolicyRequest)> {
    let request = |provider: &str, model: &str, lane: i32| v1::WatchPolicyRequest {
        provider: provider.into(),
        model: model.into(),
        lane,
    };
    vec![
        ("a-pair", request("qwen-local", "qwen3.6-35b-a3b", 2)),
        ("the-policy", request("", "", 0)),
        ("half-a-pair", request("canary", "", 2)),
        ("another-lane", request("canary", "canary", 1)),
        ("a-lane-alone", request("", "", 2)),
    ]
}

/// What was asked and what was answered, each behind its length.
fn pair(asked: &impl Message, answered: &impl Message) -> Vec<u8> {
    [
        asked.encode_length_delimited_to_vec(),
        answered.encode_length_delimited_to_vec(),
    ]
    .concat()
}

fn answers() -> Vec<(&'static str, Vec<u8>)> {
    let asked = allowed_launch();
    let allowed = v1::AdmitResponse {
        verdict: v1::Verdict::Allow.into(),
        reasons: Vec::new(),
        decision_id: ID.into(),
        decide_time: Some(prost_types::Timestamp {
            seconds: 1_798_761_600,
            nanos: 0,
        }),
        policy_digest: DIGEST.into(),
        case_model_admission_status: v1::AdmissionStatus::Admitted.into(),
        dry_run: false,
        stream_id: ID.into(),
        seq: 1,
        record_hash: DIGEST.into(),
        permit: "e30.e30.AA".into(),
    };
    let denied = v1::AdmitResponse {
        verdict: v1::Verdict::Deny.into(),
        reasons: vec![reason()],
        case_model_admission_status: v1::AdmissionStatus::NotAdmitted.into(),
        permit: String::new(),
        ..allowed.clone()
    };
    let doubtful = v1::AdmitResponse {
        reasons: vec![reason()],
        ..allowed.clone()
    };
    let fake = v1::AdmitRequest {
        lane: v1::Lane::Fake.into(),
        dry_run: true,
        ..asked.clone()
    };
    let not_required = v1::AdmitResponse {
        case_model_admission_status: v1::AdmissionStatus::NotRequired.into(),
        dry_run: true,
        permit: String::new(),
        ..allowed.clone()
    };
    vec![
        ("allowed", pair(&asked, &allowed)),
        ("denied", pair(&asked, &denied)),
        ("allowed-with-a-reason", pair(&asked, &doubtful)),
        ("fake-dry-run", pair(&fake, &not_required)),
        ("nothing", pair(&asked, &v1::AdmitResponse::default())),
    ]
}

fn reason() -> v1::Reason {
    v1::Reason {
        code: "review-due".into(),
        message: "the \u{1b}[2J review\u{202e} is due".into(),
        help: "review it".into(),
        places: vec![v1::Place {
            path: "sot/a\u{7}.json".into(),
            line: 3,
            column: 9,
        }],
    }
}

fn judgments() -> Vec<(&'static str, Vec<u8>)> {
    let accepted = v1::CheckEvidenceResponse {
        verdict: v1::EvidenceVerdict::Accepted.into(),
        reasons: Vec::new(),
        evidence_id: ID.into(),
        check_time: Some(prost_types::Timestamp {
            seconds: 1_798_761_600,
            nanos: 1,
        }),
        decision_id: ID.into(),
        stream_id: ID.into(),
        seq: 2,
        record_hash: DIGEST.into(),
    };
    let rejected = v1::CheckEvidenceResponse {
        verdict: v1::EvidenceVerdict::Rejected.into(),
        reasons: vec![reason()],
        decision_id: String::new(),
        ..accepted.clone()
    };
    let unacceptable = v1::CheckEvidenceRequest {
        pipeline: v1::PipelineOutcome::Failed.into(),
        ..evidence()
    };
    vec![
        ("accepted", pair(&evidence(), &accepted)),
        ("rejected", pair(&evidence(), &rejected)),
        ("accepted-for-a-failure", pair(&unacceptable, &accepted)),
    ]
}

#[test]
fn the_seeds_of_messages_are_what_they_say() {
    let mut missing = Vec::new();
    for ((target, name), bytes) in messages() {
        let path = folder("seeds").join(target).join(&name);
        if fs::read(&path).ok().as_ref() != Some(&bytes) {
            missing.push(path);
        }
    }
    assert!(missing.is_empty(), "written by `--ignored`: {missing:#?}");
    let made = messages();
    for target in [
        "admit_request",
        "evidence_request",
        "watch_request",
        "admit_answer",
        "evidence_answer",
    ] {
        for (path, _) in seeds(target) {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let is_known = made.contains_key(&(target, name.clone())) || name.starts_with("found-");
            assert!(is_known, "nothing says what {name} of {target} is");
        }
    }
}

#[test]
#[ignore = "writes the seeds of messages"]
fn the_seeds_of_messages_are_written() {
    for ((target, name), bytes) in messages() {
        let folder = folder("seeds").join(target);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), bytes).unwrap();
    }
}
