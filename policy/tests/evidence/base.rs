//! Evidence that is accepted, for changes to start from.

use admit_policy::{
    Digest, Pair, Timestamp,
    evidence::{
        ChangeState, ConfigStates, EvidenceScan, EvidenceTarget, FakeRun, FinishedRun,
        ObservationSource, ObservationState, ObservedModel, Permit, PermitFacts, PipelineOutcome,
        Report,
    },
    facts::Lane,
};

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
pub(crate) fn accepted(provider: &str, model: &str) -> Handed {
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
pub(crate) fn bases() -> [Handed; 3] {
    [
        accepted("qwen-local", "qwen3.6-35b-a3b"),
        accepted("anthropic", "claude-opus-4-5"),
        accepted("anthropic", "claude-sonnet-4-6"),
    ]
}
