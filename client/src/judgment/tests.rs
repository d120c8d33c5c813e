//! Every way in which a judgment can be out of its form is an error.

use admit_proto::v1::{
    Baseline, ConfigEvidence, EvidenceScan, EvidenceTarget, ObservedModel, ObservedModels, Report,
};
use prost_types::Timestamp as WireTimestamp;

use super::*;

const ID: &str = "0197f0a4-5c00-7abc-8def-0123456789ab";
const DECISION_ID: &str = "0197f0a4-5c00-7abc-8def-0123456789ac";

/// Evidence that can be accepted.
fn asked() -> CheckEvidenceRequest {
    CheckEvidenceRequest {
        permit: "a.b.c".into(),
        report: Some(Report::default()),
        observed_models: Some(ObservedModels {
            state: ObservationState::Complete.into(),
            models: vec![ObservedModel::default()],
        }),
        config: Some(ConfigEvidence::default()),
        pipeline: PipelineOutcome::Passed.into(),
        baseline: Some(Baseline::default()),
        secret_scan: Some(EvidenceScan::default()),
        ..CheckEvidenceRequest::default()
    }
}

fn accepted() -> CheckEvidenceResponse {
    CheckEvidenceResponse {
        verdict: EvidenceVerdict::Accepted.into(),
        reasons: Vec::new(),
        evidence_id: ID.into(),
        check_time: Some(WireTimestamp {
            seconds: 1_780_315_200,
            nanos: 0,
        }),
        decision_id: DECISION_ID.into(),
        stream_id: ID.into(),
        seq: 8,
        record_hash: "0b".repeat(32),
    }
}

fn rejected() -> CheckEvidenceResponse {
    CheckEvidenceResponse {
        verdict: EvidenceVerdict::Rejected.into(),
        reasons: vec![Reason {
            code: "pipeline-failed".into(),
            message: "it\u{1b}[2J failed".into(),
            ..Reason::default()
        }],
        ..accepted()
    }
}

#[test]
fn a_well_formed_acceptance_is_accepted() {
    let judgment = Judgment::verify(&asked(), accepted()).unwrap();
    assert_eq!(judgment.evidence_id(), ID);
    assert_eq!(judgment.decision_id(), Some(DECISION_ID));
    assert_eq!(judgment.check_time().to_string(), "2026-06-01T12:00:00Z");
    assert_eq!(judgment.record().seq, 8);
    assert!(judgment.reasons().is_empty());
    let Judgment::Accepted(accepted) = judgment else {
        panic!("{judgment:?}")
    };
    assert_eq!(accepted.decision_id(), DECISION_ID);
}

#[test]
fn a_rejection_is_printable_and_needs_no_decision() {
    let mut response = rejected();
    response.decision_id.clear();
    // Whatever was handed in.
    let judgment = Judgment::verify(&CheckEvidenceRequest::default(), response).unwrap();
    assert_eq!(judgment.decision_id(), None);
    let Judgment::Rejected(rejected) = judgment else {
        panic!("{judgment:?}")
    };
    let reason = rejected.reasons().first().unwrap();
    assert_eq!(reason.code, "pipeline-failed");
    assert_eq!(reason.message, "it\\u{1b}[2J failed");
}

/// A change that takes a judgment out of its form.
type Damage = fn(&mut CheckEvidenceResponse);

const DAMAGES: [(&str, Damage); 16] = [
    ("no verdict", |a| a.verdict = 0),
    ("an unknown verdict", |a| a.verdict = 3),
    ("a negative verdict", |a| a.verdict = -1),
    ("no id", |a| a.evidence_id.clear()),
    ("an uppercase id", |a| a.evidence_id.make_ascii_uppercase()),
    ("a version 4 id", |a| {
        a.evidence_id.replace_range(14..15, "4");
    }),
    ("a decision that is none", |a| a.decision_id = "d".into()),
    ("a version 4 decision", |a| {
        a.decision_id.replace_range(14..15, "4");
    }),
    ("no time", |a| a.check_time = None),
    ("the time zero", |a| {
        a.check_time = Some(WireTimestamp::default());
    }),
    ("a time past all years", |a| {
        a.check_time = Some(WireTimestamp {
            seconds: i64::MAX,
            nanos: 0,
        });
    }),
    ("no log", |a| a.stream_id.clear()),
    ("a log that is none", |a| a.stream_id.push('0')),
    ("no place in the log", |a| a.seq = 0),
    ("no hash", |a| a.record_hash.clear()),
    ("an uppercase hash", |a| {
        a.record_hash.make_ascii_uppercase();
    }),
];

#[test]
fn whatever_is_out_of_form_is_an_error() {
    for (name, damage) in DAMAGES {
        for mut response in [accepted(), rejected()] {
            damage(&mut response);
            let verified = Judgment::verify(&asked(), response);
            assert!(matches!(verified, Err(AskError::Malformed(_))), "{name}");
        }
    }
}

#[test]
fn verdict_and_reasons_agree() {
    let with_reasons = CheckEvidenceResponse {
        reasons: rejected().reasons,
        ..accepted()
    };
    let without_decision = CheckEvidenceResponse {
        decision_id: String::new(),
        ..accepted()
    };
    let without_reasons = CheckEvidenceResponse {
        reasons: Vec::new(),
        ..rejected()
    };
    let with_a_reason_twice = CheckEvidenceResponse {
        reasons: [rejected().reasons, rejected().reasons].concat(),
        ..rejected()
    };
    let with_a_nameless_reason = CheckEvidenceResponse {
        reasons: vec![Reason::default()],
        ..rejected()
    };
    for response in [
        with_reasons,
        without_decision,
        without_reasons,
        with_a_reason_twice,
        with_a_nameless_reason,
    ] {
        let verified = Judgment::verify(&asked(), response);
        assert!(
            matches!(verified, Err(AskError::Malformed(_))),
            "{verified:?}"
        );
    }
}

#[test]
fn what_states_its_own_failure_is_never_accepted() {
    type Change = fn(&mut CheckEvidenceRequest);
    let changes: [(&str, Change); 11] = [
        ("no permit", |e| e.permit.clear()),
        ("no report", |e| e.report = None),
        ("no configuration", |e| e.config = None),
        ("no baseline", |e| e.baseline = None),
        ("no pipeline", |e| e.pipeline = 0),
        ("a failed pipeline", |e| {
            e.pipeline = PipelineOutcome::Failed.into();
        }),
        ("no observation", |e| e.observed_models = None),
        ("no model", |e| {
            e.observed_models.as_mut().unwrap().models.clear();
        }),
        ("an incomplete observation", |e| {
            e.observed_models.as_mut().unwrap().state = ObservationState::Incomplete.into();
        }),
        ("no search", |e| e.secret_scan = None),
        ("a finding", |e| {
            e.secret_scan.as_mut().unwrap().findings = vec![EvidenceTarget::Trace.into()];
        }),
    ];
    for (name, change) in changes {
        let mut asked = asked();
        change(&mut asked);
        let verified = Judgment::verify(&asked, accepted());
        assert!(matches!(verified, Err(AskError::Malformed(_))), "{name}");
        assert!(Judgment::verify(&asked, rejected()).is_ok(), "{name}");
    }
}
