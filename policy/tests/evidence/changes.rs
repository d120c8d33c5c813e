//! Single changes of accepted evidence for a local pair, each with exactly the codes that it leads to.

use admit_policy::{
    evidence::{
        ChangeState, EvidenceTarget, FakeRun, ObservationSource, ObservationState, ObservedModel,
        Permit, PermitFacts, PipelineOutcome, Report,
    },
    facts::Lane,
};

use super::base::{CANARY, Handed, ISSUED, LIFE_S, at, digest, pair, seen};

/// A change, by its name, and the codes that it leads to.
type Change = (&'static str, fn(&mut Handed), &'static [&'static str]);

fn permit(handed: &mut Handed) -> Option<&mut PermitFacts> {
    match &mut handed.permit {
        Permit::Invalid => None,
        Permit::Valid(permit) => Some(permit),
    }
}

fn of_permit(handed: &mut Handed, change: impl FnOnce(&mut PermitFacts)) {
    permit(handed).map(change);
}

fn of_baseline(handed: &mut Handed, change: impl FnOnce(&mut FakeRun)) {
    handed.run.baseline.as_mut().map(change);
}

fn observed(handed: &mut Handed, at: usize, change: impl FnOnce(&mut ObservedModel)) {
    handed.run.observed.get_mut(at).map(change);
}

fn covered(handed: &mut Handed, covered: Vec<EvidenceTarget>) {
    if let Some(scan) = &mut handed.run.secret_scan {
        scan.covered = covered;
    }
}

fn found(handed: &mut Handed, target: EvidenceTarget) {
    if let Some(scan) = &mut handed.run.secret_scan {
        scan.findings.push(target);
    }
}

fn secret() -> String {
    format!("sk-{CANARY}0123456789")
}

#[rustfmt::skip] // one change per line, so that the table reads as one
pub(crate) const CHANGES: &[Change] = &[
    ("nothing", |_| {}, &[]),
    ("no permit", |h| h.permit = Permit::Invalid, &["permit-invalid"]),
    ("a permit for another host", |h| of_permit(h, |p| p.host = CANARY.into()), &["permit-invalid"]),
    ("a host in capitals", |h| h.run.host = "SPARK-1".into(), &["permit-invalid"]),
    ("a permit for another run", |h| of_permit(h, |p| p.run_id = CANARY.into()), &["permit-invalid"]),
    ("a permit for the fake lane", |h| of_permit(h, |p| p.lane = Lane::Fake), &["permit-invalid"]),
    ("a permit for no lane", |h| of_permit(h, |p| p.lane = Lane::Unspecified), &["permit-invalid"]),
    ("a start just as early as clocks may differ", |h| h.run.start = at(ISSUED - 300), &[]),
    ("a start before the permit", |h| h.run.start = at(ISSUED - 301), &["permit-invalid"]),
    ("a start long ago", |h| h.run.start = at(-62_167_219_200), &["permit-invalid"]),
    ("no start", |h| h.run.start = None, &["permit-expired-before-start"]),
    ("a start in the last second", |h| h.run.start = at(ISSUED + LIFE_S - 1), &[]),
    ("a start at the end", |h| h.run.start = at(ISSUED + LIFE_S), &["permit-expired-before-start"]),
    ("a start in the far future", |h| h.run.start = at(253_402_300_799), &["permit-expired-before-start"]),
    ("a permit that never held", |h| of_permit(h, |p| p.expires = p.issued), &["permit-expired-before-start"]),
    ("no report", |h| h.run.report = Report::default(), &["report-field-missing"]),
    ("no provider in the report", |h| h.run.report.provider.clear(), &["report-field-missing"]),
    ("no model in the report", |h| h.run.report.model.clear(), &["report-field-missing"]),
    ("no status in the report", |h| h.run.report.admission_status.clear(), &["report-field-missing"]),
    ("another provider in the report", |h| h.run.report.provider = CANARY.into(), &["report-pair-mismatch"]),
    ("another model in the report", |h| h.run.report.model = CANARY.into(), &["report-pair-mismatch"]),
    ("a model in capitals in the report", |h| h.run.report.model = h.run.report.model.to_uppercase(), &["report-pair-mismatch"]),
    ("`not_admitted`", |h| h.run.report.admission_status = "not_admitted".into(), &["admission-status-mismatch"]),
    ("`Admitted`", |h| h.run.report.admission_status = "Admitted".into(), &["admission-status-mismatch"]),
    ("an incomplete observation", |h| h.run.observation = ObservationState::Incomplete, &["observed-model-missing"]),
    ("an unstated observation", |h| h.run.observation = ObservationState::Unstated, &["observed-model-missing"]),
    ("nothing observed", |h| h.run.observed.clear(), &["observed-model-missing"]),
    ("an observation from nowhere", |h| observed(h, 0, |o| o.source = ObservationSource::Unstated), &[]),
    ("an observation from a session", |h| observed(h, 0, |o| o.source = ObservationSource::PiSession), &[]),
    ("an unknown agent", |h| observed(h, 0, |o| o.agent = CANARY.into()), &[]),
    ("another model observed", |h| observed(h, 1, |o| o.pair.model = CANARY.into()), &["observed-model-mismatch"]),
    ("one observation more", |h| h.run.observed.push(seen("closer", "openai", CANARY)), &["observed-model-mismatch"]),
    ("a provider in capitals observed", |h| h.run.observed.push(seen("closer", "ANTHROPIC", "m")), &["observed-model-mismatch"]),
    ("no names observed", |h| h.run.observed.push(seen("closer", "", "")), &["observed-model-mismatch"]),
    ("the silent model of another provider", |h| h.run.observed.push(seen("closer", "router", "claude-sonnet-4-6")), &["observed-model-mismatch"]),
    ("the silent default observed", |h| h.run.observed.push(seen("reviewer", "anthropic", "claude-sonnet-4-6")), &["observed-model-mismatch", "external-fallback-observed"]),
    ("another external model observed", |h| observed(h, 0, |o| o.pair = pair("anthropic", CANARY)), &["observed-model-mismatch", "external-fallback-observed"]),
    ("no digest before", |h| h.run.config.before = None, &["config-changed-during-run"]),
    ("no digest after", |h| h.run.config.after = None, &["config-changed-during-run"]),
    ("no digests", |h| (h.run.config.before, h.run.config.after) = (None, None), &["config-changed-during-run"]),
    ("another config after", |h| h.run.config.after = digest("other"), &["config-changed-during-run"]),
    ("another config before", |h| h.run.config.before = digest("other"), &["config-changed-during-run"]),
    ("another config all along", |h| (h.run.config.before, h.run.config.after) = (digest("other"), digest("other")), &["config-changed-during-run"]),
    ("a permit without a config", |h| of_permit(h, |p| p.case_config = None), &["config-changed-during-run"]),
    ("config touched", |h| h.run.config.config = ChangeState::Changed, &["config-changed-during-run"]),
    ("config unstated", |h| h.run.config.config = ChangeState::Unstated, &["config-changed-during-run"]),
    ("adapter touched", |h| h.run.config.adapter = ChangeState::Changed, &["config-changed-during-run"]),
    ("adapter unstated", |h| h.run.config.adapter = ChangeState::Unstated, &["config-changed-during-run"]),
    ("pipeline unstated", |h| h.run.pipeline = PipelineOutcome::Unstated, &["pipeline-incomplete"]),
    ("pipeline incomplete", |h| h.run.pipeline = PipelineOutcome::Incomplete, &["pipeline-incomplete"]),
    ("pipeline failed", |h| h.run.pipeline = PipelineOutcome::Failed, &["pipeline-failed"]),
    ("no baseline", |h| h.run.baseline = None, &["baseline-missing"]),
    ("a baseline of another run", |h| of_baseline(h, |b| b.run_id = CANARY.into()), &["baseline-not-same-run"]),
    ("a baseline of no run", |h| of_baseline(h, |b| b.run_id.clear()), &["baseline-not-same-run"]),
    ("no fixture", |h| h.run.fixture = None, &["baseline-fixture-mismatch"]),
    ("another fixture", |h| h.run.fixture = digest("other"), &["baseline-fixture-mismatch"]),
    ("a baseline without a fixture", |h| of_baseline(h, |b| b.fixture = None), &["baseline-fixture-mismatch"]),
    ("a baseline of another fixture", |h| of_baseline(h, |b| b.fixture = digest("another")), &["baseline-fixture-mismatch"]),
    ("a baseline that failed", |h| of_baseline(h, |b| b.pipeline = PipelineOutcome::Failed), &["baseline-failed"]),
    ("a baseline without an end", |h| of_baseline(h, |b| b.pipeline = PipelineOutcome::Incomplete), &["baseline-failed"]),
    ("a baseline whose end is unstated", |h| of_baseline(h, |b| b.pipeline = PipelineOutcome::Unstated), &["baseline-failed"]),
    ("no scan", |h| h.run.secret_scan = None, &["secret-scan-missing"]),
    ("nothing covered", |h| covered(h, vec![]), &["secret-scan-missing"]),
    ("no report covered", |h| covered(h, vec![EvidenceTarget::Trace, EvidenceTarget::BackendLogs]), &["secret-scan-missing"]),
    ("no trace covered", |h| covered(h, vec![EvidenceTarget::Report, EvidenceTarget::BackendLogs]), &["secret-scan-missing"]),
    ("no logs covered", |h| covered(h, vec![EvidenceTarget::Report, EvidenceTarget::Trace, EvidenceTarget::Unstated]), &["secret-scan-missing"]),
    ("a secret in the report", |h| found(h, EvidenceTarget::Report), &["secret-detected"]),
    ("a secret in the trace", |h| found(h, EvidenceTarget::Trace), &["secret-detected"]),
    ("a secret in the logs", |h| found(h, EvidenceTarget::BackendLogs), &["secret-detected"]),
    ("a secret somewhere", |h| found(h, EvidenceTarget::Unstated), &["secret-detected"]),
    ("a secret as agent", |h| observed(h, 1, |o| o.agent = secret()), &["secret-detected"]),
    ("a secret as status", |h| h.run.report.admission_status = secret(), &["admission-status-mismatch", "secret-detected"]),
    ("a secret as provider", |h| h.run.report.provider = secret(), &["report-pair-mismatch", "secret-detected"]),
    ("a secret as model", |h| h.run.report.model = secret(), &["report-pair-mismatch", "secret-detected"]),
    ("a secret as observed provider", |h| observed(h, 1, |o| o.pair.provider = secret()), &["observed-model-mismatch", "secret-detected"]),
    ("a secret as observed model", |h| observed(h, 1, |o| o.pair.model = secret()), &["observed-model-mismatch", "secret-detected"]),
    ("a secret as the baseline's run", |h| of_baseline(h, |b| b.run_id = secret()), &["baseline-not-same-run", "secret-detected"]),
    ("a secret as host", |h| h.run.host = secret(), &["permit-invalid", "secret-detected"]),
    ("a secret as run", |h| h.run.run_id = secret(), &["permit-invalid", "baseline-not-same-run", "secret-detected"]),
    ("a secret in the permit", |h| of_permit(h, |p| p.host = secret()), &["permit-invalid"]),
];
