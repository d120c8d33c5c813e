//! Evidence before the real daemon: a launch that was allowed, the permit that it was given, and what
//! comes of the run.
//!
//! Deliberately absent: the bounds of the fields (`wire.rs`), and changes two at a time; the tests of
//! the policy core have those.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails loudly"
)]

#[path = "evidence/changes.rs"]
mod changes;
mod daemon;
#[path = "daemon/finished.rs"]
mod finished;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use admit_proto::v1::{
    AdmitRequest, CheckEvidenceRequest, CheckEvidenceResponse, EvidenceVerdict, Lane, Verdict,
};
use admit_server::audit::{
    record::{Entry, Evidence},
    segment,
    verify::{Known, verify},
};
use changes::CHANGES;
use daemon::{Client, Daemon, Settings, codes, policy::A};
use finished::finished;
use tempfile::TempDir;
use tonic::{Code, Request};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_types::StatusExt as _;

/// A daemon under a policy that allows `A.launch()`.
struct Scene {
    folder: TempDir,
    daemon: Daemon,
    client: Client,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        A.in_sot().write_to(&folder.path().join("policy"));
        let daemon = Daemon::start(&settings(folder.path())).await;
        let client = daemon.client().await;
        Self {
            folder,
            daemon,
            client,
        }
    }

    fn audit(&self) -> PathBuf {
        self.folder.path().join("audit")
    }

    /// The permit of a launch that is allowed, and the decision that it states.
    async fn permit(&mut self, launch: AdmitRequest) -> (String, String) {
        let answer = self.client.admit(launch).await.unwrap();
        assert_eq!(answer.verdict(), Verdict::Allow, "{answer:?}");
        (answer.permit, answer.decision_id)
    }

    async fn check(&mut self, request: CheckEvidenceRequest) -> CheckEvidenceResponse {
        self.client.check_evidence(request).await.unwrap()
    }

    /// The records of evidence, by their numbers; the log has to be whole and to have `answers`.
    fn recorded(&self, answers: &[CheckEvidenceResponse]) -> BTreeMap<u64, Evidence> {
        let known = Known {
            hashes: answers
                .iter()
                .map(|answer| (answer.seq, answer.record_hash.clone()))
                .collect(),
            keys: Vec::new(),
        };
        let mut found = BTreeMap::new();
        let verified = verify(&self.audit(), &known, |links, entry, _| {
            if let Entry::Evidence(evidence) = entry {
                found.insert(links.seq.unwrap(), (**evidence).clone());
            }
        });
        let stream_id = verified.unwrap().stream_id;
        assert!(answers.iter().all(|answer| answer.stream_id == stream_id));
        found
    }
}

fn settings(folder: &Path) -> Settings {
    Settings {
        audit_dir: Some(folder.join("audit")),
        ..Settings::new(folder.join("policy"))
    }
}

fn assert_accepted(answer: &CheckEvidenceResponse) {
    assert_eq!(
        answer.verdict(),
        EvidenceVerdict::Accepted,
        "{:?}",
        answer.reasons
    );
    assert_eq!(codes(&answer.reasons), Vec::<&str>::new());
}

#[track_caller]
fn assert_rejected(answer: &CheckEvidenceResponse, expected: &[&str]) {
    assert_eq!(codes(&answer.reasons), expected);
    assert_eq!(answer.verdict(), EvidenceVerdict::Rejected);
    assert!(
        answer
            .reasons
            .iter()
            .all(|reason| !reason.message.is_empty() && !reason.help.is_empty())
    );
}

/// `admitd audit replay`, which has to derive every entry as it is recorded.
fn assert_replays(audit: &Path) {
    let replayed = Command::new(env!("CARGO_BIN_EXE_admitd"))
        .args(["audit", "replay", "--audit-dir"])
        .arg(audit)
        .output()
        .unwrap();
    assert!(replayed.status.success(), "{replayed:?}");
}

#[tokio::test]
async fn a_run_that_went_well_is_accepted_and_recorded() {
    let mut scene = Scene::new().await;
    let (permit, decision_id) = scene.permit(A.launch()).await;
    let answer = scene.check(finished(&permit)).await;
    assert_accepted(&answer);
    assert_eq!(answer.decision_id, decision_id);
    let recorded = scene.recorded(std::slice::from_ref(&answer));
    let record = &recorded[&answer.seq];
    assert_eq!(record.id, answer.evidence_id);
    assert_eq!(record.decision.as_deref(), Some(decision_id.as_str()));
    assert_eq!(record.observed.models.len(), 2);
    assert_eq!(record.observed.models[0].model, A.0);
    assert_eq!(record.permit.as_ref().unwrap().run, record.run);
    let line = serde_json::to_string(record).unwrap();
    assert!(!line.contains(&permit) && !line.contains("spark-1") && !line.contains("run-7"));
    assert_replays(&scene.audit());
}

#[tokio::test]
async fn every_single_change_is_rejected_with_its_codes() {
    let mut scene = Scene::new().await;
    let (permit, decision_id) = scene.permit(A.launch()).await;
    let mut answers = Vec::new();
    for (name, change, expected) in CHANGES {
        let mut request = finished(&permit);
        change(&mut request);
        let has_permit = !expected.contains(&"permit-invalid");
        let answer = scene.check(request).await;
        assert_eq!(codes(&answer.reasons), *expected, "{name}");
        assert_rejected(&answer, expected);
        if *name == "a secret in an unknown place" {
            let message = &answer.reasons[0].message;
            assert!(message.ends_with("a place that is not known"), "{message}");
        }
        // A permit that is not this run's is verified all the same, and its decision named.
        if has_permit {
            assert_eq!(answer.decision_id, decision_id, "{name}");
        }
        answers.push(answer);
    }
    assert_eq!(scene.recorded(&answers).len(), CHANGES.len());
    assert_replays(&scene.audit());
    let all: std::collections::BTreeSet<&str> = CHANGES
        .iter()
        .flat_map(|(_, _, codes)| *codes)
        .copied()
        .collect();
    assert_eq!(all.len(), admit_policy::EvidenceCode::ALL.len());
}

#[tokio::test]
async fn nothing_but_what_this_server_signed_is_a_permit() {
    let mut scene = Scene::new().await;
    let (permit, _) = scene.permit(A.launch()).await;
    let (foreign, _) = Scene::new().await.permit(A.launch()).await;
    let forged = {
        let (signed, signature) = permit.rsplit_once('.').unwrap();
        let first = if signature.starts_with('A') { 'B' } else { 'A' };
        let rest: String = signature.chars().skip(1).collect();
        format!("{signed}.{first}{rest}")
    };
    for (what, text) in [
        ("none", String::new()),
        ("no permit", "permit".into()),
        ("another server's", foreign),
        ("another signature", forged),
        (
            "no signature",
            format!("{}.", permit.rsplit_once('.').unwrap().0),
        ),
        ("twice", format!("{permit}.{permit}")),
    ] {
        let answer = scene.check(finished(&text)).await;
        assert_rejected(&answer, &["permit-invalid"]);
        assert_eq!(answer.decision_id, "", "{what}");
    }
    assert_accepted(&scene.check(finished(&permit)).await);
}

#[tokio::test]
async fn a_permit_of_another_launch_is_none_for_this_run() {
    let mut scene = Scene::new().await;
    let mut other_run = A.launch();
    other_run.run_id = "run-8".into();
    other_run.fake_baseline.as_mut().unwrap().run_id = "run-8".into();
    let mut other_host = A.launch();
    other_host.host = "spark-2".into();
    let fake = AdmitRequest {
        lane: Lane::Fake.into(),
        provider: String::new(),
        model: String::new(),
        admission_file_digest: String::new(),
        case_config: None,
        ..A.launch()
    };
    for launch in [other_run, other_host, fake] {
        let (permit, decision_id) = scene.permit(launch).await;
        let answer = scene.check(finished(&permit)).await;
        assert_rejected(&answer, &["permit-invalid"]);
        assert_eq!(answer.decision_id, decision_id);
    }
    assert_replays(&scene.audit());
}

#[tokio::test]
async fn a_permit_outlives_the_server_and_its_own_end() {
    let mut scene = Scene::new().await;
    let (permit, _) = scene.permit(A.launch()).await;
    // What counts is the start: the run itself may take hours.
    let mut late = finished(&permit);
    late.start_time.as_mut().unwrap().seconds += 61;
    assert_rejected(&scene.check(late).await, &["permit-expired-before-start"]);
    assert_eq!(scene.daemon.terminate().await.code(), Some(0));
    let daemon = Daemon::start(&settings(scene.folder.path())).await;
    let mut client = daemon.client().await;
    let answer = client.check_evidence(finished(&permit)).await.unwrap();
    assert_accepted(&answer);
}

#[tokio::test]
async fn the_record_stands_in_the_callers_trace() {
    let mut scene = Scene::new().await;
    let mut request = Request::new(finished(""));
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let value = format!("00-{id}-00f067aa0ba902b7-00");
    let metadata = request.metadata_mut();
    metadata.insert("traceparent", value.parse().unwrap());
    let answer = scene.client.check_evidence(request).await.unwrap();
    let recorded = scene.recorded(std::slice::from_ref(&answer));
    let trace = recorded[&answer.seq].trace.as_ref().unwrap();
    assert_eq!((trace.id.as_str(), trace.flags.as_str()), (id, "00"));
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_answered() {
    let mut scene = Scene::new().await;
    let (permit, _) = scene.permit(A.launch()).await;
    assert_accepted(&scene.check(finished(&permit)).await);
    let current = segment::list(&scene.audit()).unwrap().pop().unwrap().path;
    let file = fs::OpenOptions::new().write(true).open(current).unwrap();
    file.set_len(0).unwrap();
    let mut health = scene.client.health("").await;
    health.until(ServingStatus::NotServing).await;
    let status = scene.client.check_evidence(finished(&permit)).await;
    let status = status.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let details = status.get_error_details();
    let info = details
        .error_info()
        .unwrap_or_else(|| panic!("no reason: {status:?}"));
    assert_eq!(info.reason, "AUDIT_UNAVAILABLE");
}
