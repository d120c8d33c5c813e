//! Verdicts on evidence in the log: derived again, shown, and told from forged ones.

#[path = "../../policy/tests/evidence/base.rs"]
mod base;
#[path = "../../policy/tests/evidence/changes.rs"]
mod changes;

use std::{fs, time::Duration};

use admit_policy::{
    EvidenceCode, EvidenceVerdict, Pair, Snapshot, Timestamp,
    evidence::{OBSERVED_MAX, Permit},
    judge,
};
use admit_server::{
    audit::{
        chain::LINE_BYTES_MAX,
        closed::evidence::{Judged, evidence},
        names::Names,
        record::{Entry, Evidence, evidence as kept},
    },
    caller::NAME_BYTES_MAX,
};
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use self::{
    base::{CANARY, Handed, accepted, bases, seen},
    changes::CHANGES,
};
use crate::{
    audit,
    forging::rewrite_unsigned,
    policy::A,
    recording::{ALL_IN_ONE, Asked, Loaded, NOW, Recording, entries, folder, numbered},
};

const NOTHING: [&str; 0] = [];
/// The decision that every valid permit states.
const DECISION: Uuid = Uuid::from_u128(0x0197_a6e3_0000_7000_8000_0000_0000_0001);

/// The record of `handed`, judged as the daemon does it.
fn record(handed: Handed, names: &Names) -> Evidence {
    let decision_id = match handed.permit {
        Permit::Invalid => None,
        Permit::Valid(_) => Some(DECISION),
    };
    let handed = handed.run.under(handed.permit);
    let verdict = judge(&handed);
    let judged = Judged {
        id: Uuid::now_v7(),
        at: Timestamp::parse(NOW).unwrap(),
        elapsed: Duration::from_micros(412),
        decision_id,
        evidence: &handed,
        verdict: &verdict,
        caller: None,
        trace: None,
    };
    let record = evidence(judged, names);
    let codes: Vec<&str> = match &verdict {
        EvidenceVerdict::Accepted => vec![],
        EvidenceVerdict::Rejected(reasons) => {
            reasons.iter().map(|reason| reason.code.as_str()).collect()
        }
    };
    assert_eq!(record.reasons, codes);
    record
}

/// A log with one decision, and one verdict on evidence for each of `handed` behind it, each as `edit`
/// makes it.
fn log(handed: impl IntoIterator<Item = Handed>, edit: impl Fn(&mut Evidence)) -> TempDir {
    let folder = folder();
    let recording = Recording::in_dir(folder.path(), ALL_IN_ONE);
    let loaded = Loaded::of(&A.in_sot(), recording.key());
    recording.record(Asked::now(numbered(A, 1)).entry(&loaded));
    for handed in handed {
        let mut record = record(handed, &loaded.names);
        edit(&mut record);
        recording.record((Entry::Evidence(Box::new(record)), None));
    }
    folder
}

fn local() -> Handed {
    accepted("qwen-local", "qwen3.6-35b-a3b")
}

/// Evidence for the pair that the policy of the log admits.
fn own() -> Handed {
    accepted("anthropic", A.0)
}

#[test]
fn every_verdict_is_derived_again_from_its_record_alone() {
    let mut all = Vec::new();
    for base in bases() {
        for (_, change, _) in CHANGES {
            let mut handed = base.clone();
            change(&mut handed);
            all.push(handed);
        }
    }
    let count = all.len();
    let folder = log(all, |_| {});
    let whole = entries(folder.path()).join("\n");
    assert!(!whole.contains(CANARY) && !whole.contains("spark-1") && !whole.contains("run-7"));
    // Neither names nor policies have a part in it.
    fs::remove_file(folder.path().join("names-key")).unwrap();
    let done = audit(folder.path(), "replay", &["--json"]).exits(0).json();
    assert_eq!(done["decisions"], 1);
    assert_eq!(done["evidence"], count);
    assert_eq!(done["same"], count + 1);
    let plain = audit(folder.path(), "replay", &NOTHING).exits(0);
    let expected = format!(
        "1 decision and {count} verdicts on evidence replayed: {} as recorded, 0 different, 0 not to be derived\n",
        count + 1
    );
    assert_eq!(plain.out, expected);
    audit(folder.path(), "verify", &NOTHING).exits(0);
}

#[test]
fn a_forged_verdict_is_reported() {
    let mut rejected = local();
    rejected
        .run
        .observed
        .push(seen("reviewer", "anthropic", "claude-sonnet-4-6"));
    let folder = log([rejected, local()], |_| {});
    let reasons = r#""reasons":["observed-model-mismatch","external-fallback-observed"]"#;
    // Somebody who can write the directory makes an acceptance of it, and every hash anew.
    rewrite_unsigned(folder.path(), |line| {
        line.replace(r#""verdict":"rejected""#, r#""verdict":"accepted""#)
            .replace(reasons, r#""reasons":[]"#)
    });
    audit(folder.path(), "verify", &NOTHING).exits(0);
    let done = audit(folder.path(), "replay", &["--json"])
        .exits(1)
        .json_lines();
    let (summary, found) = done.split_last().unwrap();
    assert_eq!(summary["differing"], 1);
    assert_eq!(summary["same"], 2);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["type"], "evidence-difference");
    assert_eq!(found[0]["schema"], "admitd.audit.replay/1");
    assert_eq!(found[0]["seq"], 2);
    assert_eq!(
        found[0]["recorded"],
        json!({ "verdict": "accepted", "reasons": [] })
    );
    assert_eq!(
        found[0]["derived"],
        json!({
            "verdict": "rejected",
            "reasons": ["observed-model-mismatch", "external-fallback-observed"],
        })
    );
    let plain = audit(folder.path(), "replay", &NOTHING).exits(1);
    for text in [
        "DIFFERS entry 2 ",
        "evidence (closed)",
        "recorded  ACCEPTED\n",
        "derived   REJECTED observed-model-mismatch, external-fallback-observed\n",
    ] {
        assert!(plain.out.contains(text), "{text}: {}", plain.out);
    }
}

/// Makes a record another one.
type Edit = fn(&mut Evidence);

#[test]
fn every_part_of_a_record_is_derived_from() {
    let edits: [Edit; 22] = [
        |r| r.verdict = kept::EvidenceVerdict::Rejected,
        |r| r.reasons = vec!["pipeline-failed".into()],
        |r| r.host = "hmac:0".into(),
        |r| r.run = "hmac:0".into(),
        |r| r.start = None,
        |r| r.start = Some("2999-01-01T00:00:00Z".into()),
        |r| r.permit = None,
        |r| r.permit.as_mut().unwrap().lane = kept_lane(),
        |r| r.permit.as_mut().unwrap().model = "m".into(),
        |r| r.permit.as_mut().unwrap().expires = "2000-01-01T00:00:00Z".into(),
        |r| r.report.provider = "p".into(),
        |r| r.report.admission_status = kept::ReportedStatus::Other,
        |r| r.observed.state = kept::ObservationState::Unstated,
        |r| r.observed.models.clear(),
        |r| r.observed.models[1].model = "m".into(),
        |r| r.config.after = None,
        |r| r.config.adapter = kept::ChangeState::Changed,
        |r| r.pipeline = kept::PipelineOutcome::Incomplete,
        |r| r.baseline.as_mut().unwrap().is_same_run = false,
        |r| r.fixture = Some("hmac:0".into()),
        |r| r.secret_scan.as_mut().unwrap().covered.clear(),
        |r| r.has_secret = true,
    ];
    audit(log([own()], |_| {}).path(), "replay", &NOTHING).exits(0);
    for (at, edit) in edits.into_iter().enumerate() {
        let folder = log([own()], edit);
        let done = audit(folder.path(), "replay", &["--json"])
            .exits(1)
            .json_lines();
        assert_eq!(done.last().unwrap()["differing"], 1, "edit {at}");
    }
}

fn kept_lane() -> admit_server::audit::record::Lane {
    admit_server::audit::record::Lane::Fake
}

#[test]
fn what_cannot_be_read_is_named() {
    let edits: [(Edit, &str); 8] = [
        (|r| r.start = Some("x".into()), "start"),
        (
            |r| r.permit.as_mut().unwrap().issued = "x".into(),
            "permit.issued",
        ),
        (
            |r| r.permit.as_mut().unwrap().expires = String::new(),
            "permit.expires",
        ),
        (
            |r| r.permit.as_mut().unwrap().case_config = Some("x".into()),
            "permit.case_config",
        ),
        (|r| r.config.before = Some(String::new()), "config.before"),
        (|r| r.config.after = Some("x".into()), "config.after"),
        (|r| r.fixture = Some("x".into()), "fixture"),
        (
            |r| r.baseline.as_mut().unwrap().fixture = Some("x".into()),
            "baseline.fixture",
        ),
    ];
    for (edit, name) in edits {
        let folder = log([own()], edit);
        let done = audit(folder.path(), "replay", &["--json"])
            .exits(1)
            .json_lines();
        assert_eq!(done[0]["type"], "evidence-underivable");
        let fault = done[0]["fault"].as_str().unwrap();
        assert!(fault.contains(&format!("`{name}`")), "{fault}");
        assert_eq!(done.last().unwrap()["underivable"], 1);
        let plain = audit(folder.path(), "replay", &NOTHING).exits(1);
        assert!(
            plain.out.contains("CANNOT BE DERIVED entry 2 "),
            "{}",
            plain.out
        );
    }
}

#[test]
fn an_edit_of_documents_flips_no_evidence() {
    let folder = log([own()], |_| {});
    let documents = TempDir::new().unwrap();
    crate::policy::B.in_sot().write_to(documents.path());
    let against = documents.path().to_str().unwrap();
    let done = audit(folder.path(), "replay", &["--json", "--against", against])
        .exits(1)
        .json_lines();
    let summary = done.last().unwrap();
    assert_eq!(
        (&summary["decisions"], &summary["evidence"]),
        (&json!(1), &json!(0))
    );
}

#[test]
fn a_verdict_is_shown_with_everything_that_its_record_has() {
    let mut handed = own();
    handed.run.observed.push(seen("reviewer", "openai", CANARY));
    handed.run.pipeline = admit_policy::evidence::PipelineOutcome::Failed;
    let folder = log([handed], |r| r.caller = Some("ci-runner".into()));
    let line = &entries(folder.path())[1];
    let record: serde_json::Value = serde_json::from_str(line).unwrap();
    let by_id = record["id"].as_str().unwrap();
    let done = audit(folder.path(), "show", &[by_id]).exits(0);
    assert_eq!(audit(folder.path(), "show", &["2"]).exits(0).out, done.out);
    assert!(done.out.contains("REJECTED"), "{}", done.out);
    for code in [
        EvidenceCode::ObservedModelMismatch,
        EvidenceCode::PipelineFailed,
    ] {
        let explained = format!("{}: {}", code.as_str(), code.rejects());
        assert!(done.out.contains(&explained), "{}", done.out);
        assert!(done.out.contains(&format!("help: {}", code.help())));
    }
    let texts = [
        "/id",
        "/time",
        "/caller",
        "/decision",
        "/host",
        "/run",
        "/start",
        "/permit/provider",
        "/permit/model",
        "/permit/lane",
        "/permit/case_config",
        "/permit/issued",
        "/permit/expires",
        "/report/provider",
        "/report/model",
        "/report/admission_status",
        "/observed/state",
        "/observed/models/0/agent",
        "/observed/models/0/source",
        "/observed/models/2/provider",
        "/config/before",
        "/config/after",
        "/config/config",
        "/config/adapter",
        "/pipeline",
        "/fixture",
        "/baseline/fixture",
        "/baseline/pipeline",
        "/secret_scan/covered/2",
        "/prev",
        "/hash",
    ];
    for place in texts {
        let text = record.pointer(place).unwrap().as_str().unwrap();
        assert!(
            done.out.contains(text),
            "{place} is not shown:\n{}",
            done.out
        );
    }
    // By run and host as a decision is.
    for (option, name) in [("--run", "run-7"), ("--host", "spark-1")] {
        let found = audit(folder.path(), "show", &["--json", option, name]).exits(0);
        assert!(found.out.contains(by_id), "{option}: {}", found.out);
    }
}

#[test]
fn a_verdict_is_one_line_of_the_tail() {
    let mut rejected = own();
    rejected.permit = Permit::Invalid;
    rejected.run.start = None;
    let accepted = own();
    let folder = log([accepted.clone(), rejected, accepted], |r| {
        // Who handed it in stands there as far as it was recorded.
        r.caller = (r.permit.is_none()).then(|| "ci-runner".into());
    });
    let done = audit(folder.path(), "tail", &["-n", "3"]).exits(0);
    let lines: Vec<Vec<&str>> = done
        .out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let (time, pair) = ("2027-01-01T00:00:00.000Z", "anthropic/claude-alpha-1");
    let decision = DECISION.to_string();
    assert_eq!(
        lines,
        [
            vec![
                time, "2", "ACCEPTED", "evidence", pair, "decision", &decision
            ],
            vec![
                time,
                "3",
                "REJECTED",
                "evidence",
                "-",
                "permit-invalid",
                "+1",
                "caller",
                "ci-runner"
            ],
            vec![
                time, "4", "ACCEPTED", "evidence", pair, "decision", &decision
            ],
        ]
    );
}

/// As many observations as the contract allows, of names as long as it allows, all of which the policy
/// has, with everything else at its longest.
#[test]
fn the_longest_evidence_fits_into_a_line() {
    for (text, is_escaped) in [("m".to_owned(), false), ("\"".to_owned(), true)] {
        for length in [48_usize, 128] {
            let names: Vec<String> = (0..OBSERVED_MAX)
                .map(|number| format!("{number:03}{}", text.repeat(length - 3)))
                .collect();
            let pairs = names.iter().map(|name| {
                let pair = Pair {
                    provider: name.clone(),
                    model: name.clone(),
                };
                (pair, admit_policy::snapshot::Admitted::Conflict(vec![]))
            });
            let folder = folder();
            let recording = Recording::in_dir(folder.path(), ALL_IN_ONE);
            let snapshot = Snapshot::of_judgments(
                admit_policy::Digest::of(b"policy"),
                admit_policy::snapshot::RecordState::Missing,
                pairs,
                [],
            );
            let in_clear = Names::of(Some(&snapshot), recording.key());
            let mut handed = accepted(&names[0], &names[0]);
            handed.run.observed = names
                .iter()
                .map(|name| seen(&"a".repeat(64), name, name))
                .collect();
            let scan = handed.run.secret_scan.as_mut().unwrap();
            scan.covered = vec![admit_policy::evidence::EvidenceTarget::BackendLogs; 16];
            scan.findings = vec![admit_policy::evidence::EvidenceTarget::BackendLogs; 256];
            handed.run.report.admission_status = "x".into();
            handed.run.start = Timestamp::parse("2000-01-01T00:00:00.123456789Z");
            let mut record = record(handed, &in_clear);
            record.caller = Some("c".repeat(NAME_BYTES_MAX));
            let is_clear = record.observed.models[7].model == names[7];
            assert_eq!(is_clear, length == 48 && !is_escaped);
            recording.record((Entry::Evidence(Box::new(record)), None));
            let length = entries(folder.path())[0].len();
            assert!(length < LINE_BYTES_MAX, "{length} bytes");
            audit(folder.path(), "verify", &NOTHING).exits(0);
            audit(folder.path(), "replay", &NOTHING).exits(0);
        }
    }
}
