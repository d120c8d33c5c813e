//! The checks of evidence against an independent statement of them: from one accepted run, every
//! change gives exactly the codes that the specification says, alone and with every other change.

#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

mod changes;
mod expected;

use std::collections::BTreeSet;

use admit_policy::{
    Digest, EvidenceCode, EvidenceVerdict, Pair, Timestamp,
    evidence::{
        ChangeState, ConfigStates, EvidenceScan, EvidenceTarget, FakeRun, FinishedRun,
        ObservationSource, ObservationState, ObservedModel, Permit, PermitFacts, PipelineOutcome,
        Report,
    },
    facts::Lane,
    judge,
};
use changes::CHANGES;

/// When the permit was issued, in seconds since the Unix epoch.
pub(crate) const ISSUED: i64 = 1_780_315_200;
/// How long the permit admits a start, in seconds.
pub(crate) const LIFE_S: i64 = 600;
/// What no message may repeat.
pub(crate) const CANARY: &str = "zq7canary";

/// What is handed in, before its texts were searched.
#[derive(Clone, Debug)]
pub(crate) struct Handed {
    pub(crate) run: FinishedRun,
    pub(crate) permit: Permit,
}

pub(crate) fn at(seconds: i64) -> Option<Timestamp> {
    Timestamp::from_unix(seconds, 0)
}

pub(crate) fn digest(text: &str) -> Option<Digest> {
    Some(Digest::of(text.as_bytes()))
}

pub(crate) fn pair(provider: &str, model: &str) -> Pair {
    Pair {
        provider: provider.into(),
        model: model.into(),
    }
}

pub(crate) fn seen(agent: &str, provider: &str, model: &str) -> ObservedModel {
    ObservedModel {
        agent: agent.into(),
        pair: pair(provider, model),
        source: ObservationSource::CaseStderr,
    }
}

/// Evidence that is accepted, for a run with this pair.
fn accepted(provider: &str, model: &str) -> Handed {
    Handed {
        run: FinishedRun {
            host: "spark-1".into(),
            run_id: "run-7".into(),
            start: at(ISSUED + 5),
            report: Report {
                provider: provider.into(),
                model: model.into(),
                admission_status: "admitted".into(),
            },
            observation: ObservationState::Complete,
            observed: vec![
                seen("implementer", provider, model),
                seen("verifier", provider, model),
            ],
            config: ConfigStates {
                before: digest("config"),
                after: digest("config"),
                config: ChangeState::Unchanged,
                adapter: ChangeState::Unchanged,
            },
            pipeline: PipelineOutcome::Passed,
            fixture: digest("fixture"),
            baseline: Some(FakeRun {
                run_id: "run-7".into(),
                fixture: digest("fixture"),
                pipeline: PipelineOutcome::Passed,
            }),
            secret_scan: Some(EvidenceScan {
                covered: vec![
                    EvidenceTarget::Report,
                    EvidenceTarget::Trace,
                    EvidenceTarget::BackendLogs,
                ],
                findings: vec![],
            }),
        },
        permit: Permit::Valid(PermitFacts {
            host: "spark-1".into(),
            run_id: "run-7".into(),
            lane: Lane::Real,
            pair: pair(provider, model),
            case_config: digest("config"),
            issued: at(ISSUED).unwrap(),
            expires: at(ISSUED + LIFE_S).unwrap(),
        }),
    }
}

/// The evidence that every search starts from: one local, and two whose own pair is external.
fn bases() -> [Handed; 3] {
    [
        accepted("qwen-local", "qwen3.6-35b-a3b"),
        accepted("anthropic", "claude-opus-4-5"),
        accepted("anthropic", "claude-sonnet-4-6"),
    ]
}

/// The codes that the product gives, checked for their own consistency.
fn judged(handed: &Handed) -> Vec<&'static str> {
    let evidence = handed.run.clone().under(handed.permit.clone());
    match judge(&evidence) {
        EvidenceVerdict::Accepted => vec![],
        EvidenceVerdict::Rejected(reasons) => {
            assert!(!reasons.is_empty(), "{handed:?}");
            for reason in &reasons {
                assert!(!reason.message.is_empty() && !reason.message.contains(CANARY));
            }
            let codes: Vec<EvidenceCode> = reasons.iter().map(|reason| reason.code).collect();
            assert!(codes.is_sorted(), "{codes:?}");
            codes.into_iter().map(EvidenceCode::as_str).collect()
        }
    }
}

#[test]
fn every_base_is_accepted() {
    for base in bases() {
        assert_eq!(judged(&base), Vec::<&str>::new());
    }
}

#[test]
fn every_single_change_is_judged_as_it_is_written_here() {
    let mut alone = BTreeSet::new();
    for (name, change, codes) in CHANGES {
        let mut handed = accepted("qwen-local", "qwen3.6-35b-a3b");
        change(&mut handed);
        assert_eq!(judged(&handed), *codes, "{name}");
        if let [code] = codes {
            alone.insert(*code);
        }
    }
    // A check that never speaks alone could go unnoticed; this one speaks beside a broader one.
    alone.insert("external-fallback-observed");
    let all: BTreeSet<&str> = EvidenceCode::ALL.map(EvidenceCode::as_str).into();
    assert_eq!(alone, all);
}

#[test]
fn every_two_changes_are_judged_as_the_specification_says() {
    let mut count = 0;
    for base in bases() {
        for (first, one, _) in CHANGES {
            for (second, other, _) in CHANGES {
                let mut handed = base.clone();
                one(&mut handed);
                other(&mut handed);
                let expected = expected::codes(&handed);
                assert_eq!(judged(&handed), expected, "{first}, then {second}");
                count += usize::from(!expected.is_empty());
            }
        }
    }
    assert!(count > 10_000, "{count} rejections");
}

#[test]
fn everything_at_once_gives_every_code_that_goes_together() {
    let mut handed = accepted("qwen-local", "qwen3.6-35b-a3b");
    for (_, change, _) in CHANGES.iter().filter(|(_, _, codes)| {
        // What leaves nothing to look at hides what would be wrong with it.
        !codes
            .iter()
            .any(|code| ["permit-invalid", "baseline-missing"].contains(code))
    }) {
        change(&mut handed);
    }
    assert_eq!(judged(&handed), expected::codes(&handed));
    assert!(judged(&handed).len() > 8);
}
