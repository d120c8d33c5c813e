//! Everything that was collected, as the contract states it.

use admit_policy::{Digest, Timestamp};
use admit_proto::v1::{
    self, ChangeState, CheckEvidenceRequest, ConfigEvidence, EvidenceScan, EvidenceTarget,
    ObservationSource, ObservationState, ObservedModel, ObservedModels, Report,
};

use super::{
    baseline::Baseline,
    folder::{FileState, RunFile},
    observed::{Observed, SeenModel, Source},
    record::{RunRecord, parsed},
    report::{Fields, Findings},
    scan::{Scan, Target},
};

/// The request that hands everything in.
pub(crate) fn request(findings: &Findings<'_>, scan: &Scan) -> CheckEvidenceRequest {
    let record = findings.record;
    CheckEvidenceRequest {
        host: record.launch.host.clone(),
        run_id: record.launch.run_id.clone(),
        permit: record.permit.clone(),
        start_time: record.start_time.map(wire_time),
        report: Some(report(&findings.stated.fields)),
        observed_models: Some(observed_models(findings.observed)),
        config: record.run.as_ref().map(|run| config(record, run)),
        pipeline: findings.pipeline.outcome.into(),
        fixture_digest: text(record.fixture()),
        baseline: findings
            .baseline
            .filter(|baseline| baseline.fault.is_none())
            .map(baseline),
        secret_scan: Some(EvidenceScan {
            covered: scan.covered.iter().copied().map(wire_target).collect(),
            findings: scan.findings.iter().copied().map(wire_target).collect(),
        }),
    }
}

fn report(fields: &Fields) -> Report {
    Report {
        case_model_provider: fields.provider.clone(),
        case_model: fields.model.clone(),
        case_model_admission_status: fields.status.clone(),
    }
}

fn observed_models(observed: &Observed) -> ObservedModels {
    let state = if observed.faults().is_empty() {
        ObservationState::Complete
    } else {
        ObservationState::Incomplete
    };
    ObservedModels {
        state: state.into(),
        models: observed.models().iter().map(observed_model).collect(),
    }
}

fn observed_model(seen: &SeenModel) -> ObservedModel {
    ObservedModel {
        agent: seen.agent.clone(),
        provider: seen.provider.clone(),
        model: seen.model.clone(),
        source: match seen.source {
            Source::CaseStderr => ObservationSource::CaseStderr,
            Source::PiSession => ObservationSource::PiSession,
        }
        .into(),
    }
}

fn config(record: &RunRecord, run: &RunFile) -> ConfigEvidence {
    let stated = parsed(record.launch.case_config.as_deref());
    let before = parsed(run.config.digest_before.as_deref());
    // Case without a config.json is never admitted, so there is one, and it is the stated one.
    let is_stated = before.is_some() && before == stated;
    ConfigEvidence {
        digest_before: text(before),
        digest_after: text(parsed(run.config.digest_after.as_deref())),
        config: change(is_unchanged(&run.config) && is_stated).into(),
        adapter: change(is_unchanged(&run.adapter)).into(),
    }
}

fn is_unchanged(state: &FileState) -> bool {
    !state.is_touched && state.digest_before == state.digest_after
}

fn change(is_unchanged: bool) -> ChangeState {
    if is_unchanged {
        ChangeState::Unchanged
    } else {
        ChangeState::Changed
    }
}

fn baseline(baseline: &Baseline) -> v1::Baseline {
    v1::Baseline {
        run_id: baseline.run_id.clone(),
        fixture_digest: text(baseline.fixture),
        pipeline: baseline.pipeline.outcome.into(),
    }
}

fn wire_target(target: Target) -> i32 {
    match target {
        Target::Report => EvidenceTarget::Report,
        Target::Trace => EvidenceTarget::Trace,
        Target::BackendLogs => EvidenceTarget::BackendLogs,
    }
    .into()
}

fn text(digest: Option<Digest>) -> String {
    digest.map(|digest| digest.to_string()).unwrap_or_default()
}

fn wire_time(time: Timestamp) -> prost_types::Timestamp {
    let (seconds, nanos) = time.unix();
    prost_types::Timestamp {
        seconds,
        // Always below a thousand million.
        nanos: i32::try_from(nanos).unwrap_or_default(),
    }
}
