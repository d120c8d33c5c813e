//! The evidence of a run: from a message to what is judged, with every bound of the contract
//! enforced, and from a verdict to a message.

use admit_policy::{
    EvidenceVerdict, Pair, Timestamp,
    bounds::Bound,
    evidence::{
        ChangeState, ConfigStates, EvidenceReason, EvidenceScan, EvidenceTarget, FakeRun,
        FinishedRun, OBSERVED_MAX, ObservationSource, ObservationState, ObservedModel,
        PipelineOutcome, Report,
    },
};
use admit_proto::v1;

use super::{
    answer::TEXT_CHARS_MAX,
    bounded,
    request::{Bounds, SCAN_COVERED_MAX, SCAN_FINDINGS_MAX, Violation},
    timestamp,
};
use crate::audit::log::Receipt;

/// The years 1 to 9999, in seconds since the Unix epoch: what a timestamp of the wire can be.
const SECONDS_MIN: i64 = -62_135_596_800;
const SECONDS_MAX: i64 = 253_402_300_799;

/// What a request hands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// The permit as it was given; nobody has looked at it yet.
    pub permit: String,
    /// Everything else.
    pub run: FinishedRun,
}

/// Evidence that was judged. The verdict was recorded: there is no answer without a receipt.
#[derive(Debug)]
pub struct Judged {
    /// The identity of the verdict.
    pub evidence_id: uuid::Uuid,
    /// When it was judged.
    pub at: Timestamp,
    /// The decision that the permit states, be it for this run or not; `None` when this server did not
    /// sign it.
    pub decision_id: Option<uuid::Uuid>,
    /// The verdict.
    pub verdict: EvidenceVerdict,
    /// The audit log that it is recorded in.
    pub stream_id: String,
    /// Where it stands there.
    pub recorded: Receipt,
}

/// What a request hands in.
///
/// # Errors
///
/// Every field that is out of its bounds.
pub fn handed(request: v1::CheckEvidenceRequest) -> Result<Handed, Vec<Violation>> {
    let mut bounds = Bounds::default();
    bounds.required("host", &request.host, Bound::Host);
    bounds.required("run_id", &request.run_id, Bound::RunId);
    bounds.text("permit", &request.permit, Bound::Permit);
    let start = start(&mut bounds, request.start_time);
    let pipeline = pipeline(request.pipeline());
    let fixture = bounds.digest("fixture_digest", &request.fixture_digest);
    let report = report(&mut bounds, request.report.unwrap_or_default());
    let (observation, observed) = observed(&mut bounds, request.observed_models);
    let config = config(&mut bounds, request.config.as_ref());
    let baseline = request.baseline.map(|fake| fake_run(&mut bounds, fake));
    let secret_scan = request.secret_scan.map(|scan| search(&mut bounds, &scan));
    bounds.finish()?;
    Ok(Handed {
        permit: request.permit,
        run: FinishedRun {
            host: request.host,
            run_id: request.run_id,
            start,
            report,
            observation,
            observed,
            config,
            pipeline,
            fixture,
            baseline,
            secret_scan,
        },
    })
}

fn start(bounds: &mut Bounds, at: Option<prost_types::Timestamp>) -> Option<Timestamp> {
    let at = at?;
    let start = u32::try_from(at.nanos)
        .ok()
        .filter(|_| (SECONDS_MIN..=SECONDS_MAX).contains(&at.seconds))
        .and_then(|nanos| Timestamp::from_unix(at.seconds, nanos));
    if start.is_none() {
        let description = "is no time of the years 1 to 9999";
        bounds.violation("start_time", description.into());
    }
    start
}

fn report(bounds: &mut Bounds, report: v1::Report) -> Report {
    for (field, text, bound) in [
        (
            "report.case_model_provider",
            &report.case_model_provider,
            Bound::Provider,
        ),
        ("report.case_model", &report.case_model, Bound::Model),
        (
            "report.case_model_admission_status",
            &report.case_model_admission_status,
            Bound::AdmissionStatus,
        ),
    ] {
        bounds.text(field, text, bound);
    }
    Report {
        provider: report.case_model_provider,
        model: report.case_model,
        admission_status: report.case_model_admission_status,
    }
}

fn observed(
    bounds: &mut Bounds,
    observed: Option<v1::ObservedModels>,
) -> (ObservationState, Vec<ObservedModel>) {
    let Some(observed) = observed else {
        return (ObservationState::Unstated, Vec::new());
    };
    let field = "observed_models.models";
    let state = match observed.state() {
        v1::ObservationState::Unspecified => ObservationState::Unstated,
        v1::ObservationState::Complete => ObservationState::Complete,
        v1::ObservationState::Incomplete => ObservationState::Incomplete,
    };
    bounds.length(field, observed.models.len(), OBSERVED_MAX, "entries");
    let agents = observed.models.iter().map(|seen| &seen.agent);
    bounds.all(field, "an agent", agents, Bound::Agent);
    let providers = observed.models.iter().map(|seen| &seen.provider);
    bounds.all(field, "a provider", providers, Bound::Provider);
    let models = observed.models.iter().map(|seen| &seen.model);
    bounds.all(field, "a model", models, Bound::Model);
    let models = observed.models.into_iter().map(|seen| ObservedModel {
        source: match seen.source() {
            v1::ObservationSource::Unspecified => ObservationSource::Unstated,
            v1::ObservationSource::CaseStderr => ObservationSource::CaseStderr,
            v1::ObservationSource::PiSession => ObservationSource::PiSession,
        },
        agent: seen.agent,
        pair: Pair {
            provider: seen.provider,
            model: seen.model,
        },
    });
    (state, models.collect())
}

fn config(bounds: &mut Bounds, config: Option<&v1::ConfigEvidence>) -> ConfigStates {
    let Some(config) = config else {
        return ConfigStates::UNSTATED;
    };
    ConfigStates {
        before: bounds.digest("config.digest_before", &config.digest_before),
        after: bounds.digest("config.digest_after", &config.digest_after),
        config: change(config.config()),
        adapter: change(config.adapter()),
    }
}

fn change(change: v1::ChangeState) -> ChangeState {
    match change {
        v1::ChangeState::Unspecified => ChangeState::Unstated,
        v1::ChangeState::Unchanged => ChangeState::Unchanged,
        v1::ChangeState::Changed => ChangeState::Changed,
    }
}

fn pipeline(outcome: v1::PipelineOutcome) -> PipelineOutcome {
    match outcome {
        v1::PipelineOutcome::Unspecified => PipelineOutcome::Unstated,
        v1::PipelineOutcome::Incomplete => PipelineOutcome::Incomplete,
        v1::PipelineOutcome::Failed => PipelineOutcome::Failed,
        v1::PipelineOutcome::Passed => PipelineOutcome::Passed,
    }
}

fn fake_run(bounds: &mut Bounds, fake: v1::Baseline) -> FakeRun {
    bounds.text("baseline.run_id", &fake.run_id, Bound::RunId);
    FakeRun {
        fixture: bounds.digest("baseline.fixture_digest", &fake.fixture_digest),
        pipeline: pipeline(fake.pipeline()),
        run_id: fake.run_id,
    }
}

fn search(bounds: &mut Bounds, scan: &v1::EvidenceScan) -> EvidenceScan {
    let (covered, findings) = (scan.covered.len(), scan.findings.len());
    bounds.length("secret_scan.covered", covered, SCAN_COVERED_MAX, "entries");
    bounds.length(
        "secret_scan.findings",
        findings,
        SCAN_FINDINGS_MAX,
        "entries",
    );
    EvidenceScan {
        covered: scan.covered().map(target).collect(),
        // An entry that is not known is a finding all the same.
        findings: scan
            .findings
            .iter()
            .map(|at| v1::EvidenceTarget::try_from(*at).map_or(EvidenceTarget::Unstated, target))
            .collect(),
    }
}

fn target(target: v1::EvidenceTarget) -> EvidenceTarget {
    match target {
        v1::EvidenceTarget::Unspecified => EvidenceTarget::Unstated,
        v1::EvidenceTarget::Report => EvidenceTarget::Report,
        v1::EvidenceTarget::Trace => EvidenceTarget::Trace,
        v1::EvidenceTarget::BackendLogs => EvidenceTarget::BackendLogs,
    }
}

/// The answer to evidence.
#[must_use]
pub fn response(judged: Judged) -> v1::CheckEvidenceResponse {
    let (verdict, reasons) = match judged.verdict {
        EvidenceVerdict::Accepted => (v1::EvidenceVerdict::Accepted, Vec::new()),
        EvidenceVerdict::Rejected(reasons) => (
            v1::EvidenceVerdict::Rejected,
            reasons.iter().map(reason).collect(),
        ),
    };
    v1::CheckEvidenceResponse {
        verdict: verdict.into(),
        reasons,
        evidence_id: judged.evidence_id.hyphenated().to_string(),
        check_time: Some(timestamp(judged.at)),
        decision_id: judged
            .decision_id
            .map(|id| id.hyphenated().to_string())
            .unwrap_or_default(),
        stream_id: judged.stream_id,
        seq: judged.recorded.seq,
        record_hash: judged.recorded.hash,
    }
}

fn reason(reason: &EvidenceReason) -> v1::Reason {
    v1::Reason {
        code: reason.code.as_str().into(),
        message: bounded(&reason.message, TEXT_CHARS_MAX),
        help: bounded(reason.code.help(), TEXT_CHARS_MAX),
        places: Vec::new(),
    }
}
