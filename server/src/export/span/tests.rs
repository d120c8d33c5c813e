//! Tests of the projection: ids, parents, times, attributes, and that nothing else is in a span.

mod evidence;

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value};
use prost::Message as _;

use super::*;
use crate::audit::record::{
    Adapter, AdmissionStatus, Baseline, Cause, Fixture, Lane, LocalProvider, Presence, Refusal,
    RefusalCause, Rpc, Segment, ServedModel, Verdict, Via,
};

const STREAM: &str = "0197a6e2-6d6e-7c4b-9f5b-0d3a5f8d2c11";
const DECISION_ID: &str = "0197a6e3-0000-7000-8000-000000000001";

fn decision() -> Decision {
    Decision {
        id: DECISION_ID.into(),
        time: "2026-06-01T12:00:00.000000001Z".into(),
        elapsed_us: 250,
        dry_run: true,
        verdict: Verdict::Deny,
        reasons: vec!["admission-revoked".into(), "case-agent-mode".into()],
        admission_status: AdmissionStatus::NotAdmitted,
        policy: Some("1".repeat(64)),
        basis: Some("2".repeat(64)),
        unverified_ns: Some(7),
        caller: Some("ci-runner".into()),
        trace: None,
        facts: Facts {
            host: "hmac:0123456789abcdef0123456789abcdef".into(),
            run: "hmac:fedcba9876543210fedcba9876543210".into(),
            lane: Lane::Real,
            stage: 2,
            expected_policy: None,
            provider: "openai-codex".into(),
            model: "hmac:00000000000000000000000000000000".into(),
            admission_file: Some("3".repeat(64)),
            credential_source_class: String::new(),
            case_config: None,
            case_model_override: Presence::Absent,
            model_flag: Presence::Absent,
            agent_flag: Presence::Present,
            visible_credentials: None,
            target_repository: Presence::Absent,
            secret_scan: None,
            has_secret: false,
            fixture: Fixture::Unstated,
            fake_baseline: Baseline::Absent,
            local_provider: LocalProvider {
                base_url: Presence::Absent,
                endpoint_scope: None,
                adapter: Adapter::Absent,
                served_model: ServedModel::Unstated,
            },
        },
    }
}

fn trace(id: &str, parent: &str) -> Option<Trace> {
    Some(Trace {
        id: id.into(),
        parent: parent.into(),
        flags: "00".into(),
    })
}

fn links(seq: Option<u64>) -> Links {
    Links {
        seq,
        prev: "a".repeat(64),
        hash: "b".repeat(64),
    }
}

fn span_of(entry: &Entry) -> Span {
    span(STREAM, &links(Some(42)), entry).unwrap()
}

fn span_of_decision(decision: Decision) -> Span {
    span_of(&Entry::Decision(Box::new(decision)))
}

/// The attributes as they are read, each key once.
fn attributes(span: &Span) -> BTreeMap<&str, String> {
    let shown = |value: &AnyValue| match value.value.as_ref().unwrap() {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(truth) => truth.to_string(),
        Value::ArrayValue(array) => format!("{} values", array.values.len()),
        Value::DoubleValue(_)
        | Value::KvlistValue(_)
        | Value::BytesValue(_)
        | Value::StringValueStrindex(_) => panic!("{value:?}"),
    };
    let mut attributes = BTreeMap::new();
    for entry in &span.attributes {
        let value = shown(entry.value.as_ref().unwrap());
        assert_eq!(attributes.insert(entry.key.as_str(), value), None);
    }
    attributes
}

#[test]
fn a_decision_is_a_span_of_its_own_trace() {
    let span = span_of_decision(decision());
    assert_eq!(span.name, "admit.decision");
    assert_eq!(span.kind(), SpanKind::Server);
    assert_eq!(span.status, None);
    assert_eq!(span.trace_state, "");
    assert_eq!(
        span.trace_id,
        0x0197_a6e3_0000_7000_8000_0000_0000_0001_u128.to_be_bytes()
    );
    let digest = admit_policy::Digest::of(DECISION_ID.as_bytes()).to_string();
    let span_id = crate::audit::keys::hex(&span.span_id);
    assert!(span_id.len() == 16 && digest.starts_with(&span_id));
    assert!(span.parent_span_id.is_empty());
    assert_eq!(span.flags, 0x101);
    assert_eq!(span.start_time_unix_nano, 1_780_315_200_000_000_001);
    assert_eq!(span.end_time_unix_nano, 1_780_315_200_000_250_001);
}

#[test]
fn a_decision_has_these_attributes_and_no_other() {
    let span = span_of_decision(decision());
    let (ones, twos, threes) = ("1".repeat(64), "2".repeat(64), "3".repeat(64));
    let hash = "b".repeat(64);
    let expected = BTreeMap::from([
        ("admit.stream_id", STREAM),
        ("admit.seq", "42"),
        ("admit.record_hash", &hash),
        ("admit.decision_id", DECISION_ID),
        ("admit.caller", "ci-runner"),
        ("admit.verdict", "deny"),
        ("admit.reasons", "2 values"),
        ("admit.primary_reason", "admission-revoked"),
        ("admit.admission_status", "not_admitted"),
        ("admit.dry_run", "true"),
        ("admit.policy_digest", &ones),
        ("admit.basis", &twos),
        ("admit.policy_unverified_ns", "7"),
        ("admit.lane", "real"),
        ("admit.stage", "2"),
        ("admit.host", "hmac:0123456789abcdef0123456789abcdef"),
        ("admit.run", "hmac:fedcba9876543210fedcba9876543210"),
        ("admit.has_secret", "false"),
        ("admit.admission_file_digest", &threes),
        ("rpc.system.name", "grpc"),
        ("rpc.method", "admit.v1.AdmissionService/Admit"),
        ("rpc.response.status_code", "OK"),
        ("gen_ai.provider.name", "openai-codex"),
    ]);
    let found = attributes(&span);
    let found: BTreeMap<&str, &str> = found.iter().map(|(k, v)| (*k, v.as_str())).collect();
    assert_eq!(found, expected);
}

#[test]
fn what_was_not_stated_is_no_attribute() {
    let mut allowed = decision();
    allowed.verdict = Verdict::Allow;
    allowed.reasons = vec![];
    allowed.policy = None;
    allowed.basis = None;
    allowed.unverified_ns = None;
    allowed.caller = None;
    allowed.facts.provider = String::new();
    allowed.facts.model = "gpt-5".into();
    let span = span_of_decision(allowed);
    let attributes = attributes(&span);
    let value = |key: &str| attributes.get(key).map(String::as_str);
    assert_eq!(value("admit.verdict"), Some("allow"));
    assert_eq!(value("admit.reasons"), Some("0 values"));
    assert_eq!(value("gen_ai.request.model"), Some("gpt-5"));
    for key in [
        "admit.primary_reason",
        "admit.policy_digest",
        "admit.basis",
        "admit.policy_unverified_ns",
        "admit.caller",
        "gen_ai.provider.name",
    ] {
        assert_eq!(value(key), None, "{key}");
    }
    assert_eq!(span.status, None);
}

#[test]
fn a_callers_trace_is_the_parent_whatever_its_flags_say() {
    let mut called = decision();
    called.trace = trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let span = span_of_decision(called);
    assert_eq!(
        span.trace_id,
        0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes()
    );
    assert_eq!(span.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
    assert_eq!(span.flags, 0x301);
    assert_eq!(span.span_id, span_of_decision(decision()).span_id);
}

#[test]
fn what_is_no_id_is_not_passed_on() {
    let own = span_of_decision(decision());
    for (id, parent) in [
        (&*"0".repeat(32), &*"0".repeat(16)),
        ("", ""),
        ("4bf9", "00f0"),
        (&*"g".repeat(32), &*"G".repeat(16)),
    ] {
        let mut called = decision();
        called.trace = trace(id, parent);
        assert_eq!(span_of_decision(called), own);
    }
    assert_eq!(never_zero(vec![0; 8]), [0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(never_zero(vec![0, 1, 0]), [0, 1, 0]);
}

#[test]
fn the_same_record_is_the_same_span_and_another_is_another() {
    let first = span_of_decision(decision());
    let second = span_of_decision(decision());
    assert_eq!(first.encode_to_vec(), second.encode_to_vec());
    let mut other = decision();
    other.id = "0197a6e3-0000-7000-8000-000000000002".into();
    let other = span_of_decision(other);
    assert_ne!(first.span_id, other.span_id);
    assert_ne!(first.trace_id, other.trace_id);
}

/// An entry, and the name and the own attributes of its span.
type Note = (Entry, &'static str, Vec<(&'static str, &'static str)>);

/// Each entry that the log has about itself.
fn notes() -> [Note; 4] {
    let time = || "2026-06-01T12:00:00Z".to_owned();
    [
        (
            Entry::Gap(Gap {
                time: time(),
                refused: 3,
                cause: Cause::NoSpace,
            }),
            "admit.audit.gap",
            vec![("admit.gap.cause", "no-space"), ("admit.gap.refused", "3")],
        ),
        (
            Entry::Recovered(Recovered {
                time: time(),
                torn_bytes: 9,
                torn_digest: "d".into(),
            }),
            "admit.audit.recovered",
            vec![
                ("admit.recovered.torn_bytes", "9"),
                ("admit.recovered.torn_digest", "d"),
            ],
        ),
        (
            Entry::Rejected(Rejected {
                time: time(),
                first_seq: 1,
                last_seq: 4,
                rejected: 2,
                grpc_code: 3,
            }),
            "admit.audit.rejected",
            vec![
                ("admit.rejected.first_seq", "1"),
                ("admit.rejected.grpc_code", "3"),
                ("admit.rejected.last_seq", "4"),
                ("admit.rejected.spans", "2"),
            ],
        ),
        (
            Entry::Retired(Retired {
                time: time(),
                last_seq: 8,
                last_hash: "h".into(),
            }),
            "admit.audit.retired",
            vec![
                ("admit.retired.last_hash", "h"),
                ("admit.retired.last_seq", "8"),
            ],
        ),
    ]
}

#[test]
fn what_the_log_says_about_itself_is_a_span_too() {
    for (entry, name, own) in notes() {
        let span = span_of(&entry);
        assert_eq!(span.name, name);
        assert_eq!(span.kind(), SpanKind::Internal);
        assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
        assert_eq!(span.start_time_unix_nano, 1_780_315_200_000_000_000);
        assert_eq!(span.end_time_unix_nano, span.start_time_unix_nano);
        let attributes = attributes(&span);
        assert_eq!(attributes["admit.seq"], "42");
        assert_eq!(attributes["admit.stream_id"], STREAM);
        let others = attributes
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .filter(|(key, _)| key.matches('.').count() > 1);
        assert_eq!(others.collect::<Vec<_>>(), own);
        let elsewhere = super::span(STREAM, &links(Some(43)), &entry).unwrap();
        assert_ne!(span.span_id, elsewhere.span_id);
        assert_ne!(span.trace_id, elsewhere.trace_id);
    }
}

#[test]
fn refused_calls_are_a_span_from_the_first_to_the_last() {
    let mut refusal = Refusal {
        since: "2026-06-01T12:00:00Z".into(),
        until: "2026-06-01T12:00:09.5Z".into(),
        caller: Some("ci-runner".into()),
        via: Via::Tls,
        rpc: Some(Rpc::CheckEvidence),
        cause: RefusalCause::HostNotGranted,
        count: 7,
    };
    let span = span_of(&Entry::Refused(refusal.clone()));
    assert_eq!(span.name, "admit.audit.refused");
    assert_eq!(span.kind(), SpanKind::Internal);
    assert_eq!(span.status, None);
    assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
    assert_eq!(span.start_time_unix_nano, 1_780_315_200_000_000_000);
    assert_eq!(span.end_time_unix_nano, 1_780_315_209_500_000_000);
    let hash = "b".repeat(64);
    let mut expected = BTreeMap::from([
        ("admit.stream_id", STREAM),
        ("admit.seq", "42"),
        ("admit.record_hash", &hash),
        ("admit.caller", "ci-runner"),
        ("admit.refused.via", "tls"),
        ("admit.refused.rpc", "check-evidence"),
        ("admit.refused.cause", "host-not-granted"),
        ("admit.refused.count", "7"),
    ]);
    let found = attributes(&span);
    let found: BTreeMap<&str, &str> = found.iter().map(|(k, v)| (*k, v.as_str())).collect();
    assert_eq!(found, expected);
    refusal.caller = None;
    refusal.rpc = None;
    let span = span_of(&Entry::Refused(refusal.clone()));
    let found = attributes(&span);
    expected.remove("admit.caller");
    expected.remove("admit.refused.rpc");
    assert!(found.keys().eq(expected.keys()));
    // It is as old as its last call.
    assert_eq!(
        time_unix_nano(&Entry::Refused(refusal)),
        span.end_time_unix_nano
    );
}

#[test]
fn what_has_no_sequence_number_is_no_span() {
    let header = Entry::Segment(Segment {
        version: 1,
        stream_id: STREAM.into(),
        first_seq: 1,
        time: String::new(),
        admitd: String::new(),
        key: String::new(),
        names_key: String::new(),
    });
    assert_eq!(span(STREAM, &links(None), &header), None);
    assert_eq!(span(STREAM, &links(Some(1)), &header), None);
}
