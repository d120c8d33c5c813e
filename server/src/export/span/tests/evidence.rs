//! Tests of the span of a verdict on evidence.

use std::collections::BTreeMap;

use super::{DECISION_ID, Entry, Lane, STREAM, SpanKind, attributes, span_of, trace};
use crate::audit::record::{Evidence, evidence as kept};

const EVIDENCE_ID: &str = "0197a6e3-0000-7000-8000-000000000009";

fn evidence() -> Evidence {
    let seen = |agent: &str, provider: &str, model: &str| kept::ObservedModel {
        agent: agent.into(),
        provider: provider.into(),
        model: model.into(),
        source: kept::ObservationSource::CaseStderr,
    };
    Evidence {
        id: EVIDENCE_ID.into(),
        time: "2026-06-01T12:00:00.000000001Z".into(),
        elapsed_us: 250,
        verdict: kept::EvidenceVerdict::Rejected,
        reasons: vec!["observed-model-mismatch".into(), "pipeline-failed".into()],
        decision: Some(DECISION_ID.into()),
        caller: Some("ci-runner".into()),
        trace: trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"),
        host: "hmac:0123456789abcdef0123456789abcdef".into(),
        run: "hmac:fedcba9876543210fedcba9876543210".into(),
        start: Some("2026-06-01T11:00:00Z".into()),
        permit: Some(kept::Permit {
            host: "hmac:0123456789abcdef0123456789abcdef".into(),
            run: "hmac:fedcba9876543210fedcba9876543210".into(),
            lane: Lane::Real,
            provider: "openai-codex".into(),
            model: "hmac:00000000000000000000000000000000".into(),
            case_config: None,
            issued: "2026-06-01T10:59:59Z".into(),
            expires: "2026-06-01T11:00:59Z".into(),
        }),
        report: kept::Report {
            provider: String::new(),
            model: String::new(),
            admission_status: kept::ReportedStatus::Unstated,
        },
        observed: kept::Observed {
            state: kept::ObservationState::Complete,
            models: vec![
                seen("implementer", "openai-codex", "hmac:0"),
                seen("reviewer", "anthropic", "claude-sonnet-4-6"),
                seen("verifier", "openai-codex", "hmac:0"),
            ],
        },
        config: kept::Config {
            before: None,
            after: None,
            config: kept::ChangeState::Unstated,
            adapter: kept::ChangeState::Unstated,
        },
        pipeline: kept::PipelineOutcome::Failed,
        fixture: None,
        baseline: None,
        secret_scan: None,
        has_secret: false,
    }
}

#[test]
fn a_verdict_on_evidence_is_a_span_in_the_callers_trace() {
    let span = span_of(&Entry::Evidence(Box::new(evidence())));
    assert_eq!(span.name, "admit.evidence");
    assert_eq!(span.kind(), SpanKind::Server);
    assert_eq!(span.status, None);
    assert_eq!(
        span.trace_id,
        0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes()
    );
    assert_eq!(span.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
    assert_eq!(span.flags, 0x301);
    let digest = admit_policy::Digest::of(EVIDENCE_ID.as_bytes()).to_string();
    assert!(digest.starts_with(&crate::audit::keys::hex(&span.span_id)));
    assert_eq!(span.start_time_unix_nano, 1_780_315_200_000_000_001);
    assert_eq!(span.end_time_unix_nano, 1_780_315_200_000_250_001);
}

#[test]
fn a_verdict_on_evidence_has_these_attributes_and_no_other() {
    let entry = |evidence| Entry::Evidence(Box::new(evidence));
    let span = span_of(&entry(evidence()));
    let hash = "b".repeat(64);
    let expected = BTreeMap::from([
        ("admit.stream_id", STREAM),
        ("admit.seq", "42"),
        ("admit.record_hash", &hash),
        ("admit.evidence_id", EVIDENCE_ID),
        ("admit.decision_id", DECISION_ID),
        ("admit.caller", "ci-runner"),
        ("admit.verdict", "rejected"),
        ("admit.reasons", "2 values"),
        ("admit.primary_reason", "observed-model-mismatch"),
        ("admit.host", "hmac:0123456789abcdef0123456789abcdef"),
        ("admit.run", "hmac:fedcba9876543210fedcba9876543210"),
        ("admit.has_secret", "false"),
        ("admit.pipeline", "failed"),
        // Each pair once.
        ("admit.observed_models", "2 values"),
        ("admit.lane", "real"),
        ("rpc.system.name", "grpc"),
        ("rpc.method", "admit.v1.AdmissionService/CheckEvidence"),
        ("rpc.response.status_code", "OK"),
        ("gen_ai.provider.name", "openai-codex"),
    ]);
    let found = attributes(&span);
    let found: BTreeMap<&str, &str> = found.iter().map(|(k, v)| (*k, v.as_str())).collect();
    assert_eq!(found, expected);
    let mut bare = evidence();
    bare.permit = None;
    bare.decision = None;
    bare.caller = None;
    bare.reasons = vec![];
    let span = span_of(&entry(bare));
    let found = attributes(&span);
    for key in [
        "admit.decision_id",
        "admit.caller",
        "admit.primary_reason",
        "admit.lane",
        "gen_ai.provider.name",
    ] {
        assert!(!found.contains_key(key), "{key}");
    }
}
