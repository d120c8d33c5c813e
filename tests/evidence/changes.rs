//! Single changes of evidence that is accepted, as they come over the wire, each with exactly the
//! codes that it leads to.

use admit_proto::v1::{
    CheckEvidenceRequest, ConfigEvidence, EvidenceScan, ObservedModel, ObservedModels,
    PipelineOutcome, Report,
};

/// A change, by its name, and the codes that it leads to.
type Change = (
    &'static str,
    fn(&mut CheckEvidenceRequest),
    &'static [&'static str],
);

fn report(request: &mut CheckEvidenceRequest) -> &mut Report {
    request.report.as_mut().unwrap()
}

fn observed(request: &mut CheckEvidenceRequest) -> &mut ObservedModels {
    request.observed_models.as_mut().unwrap()
}

fn also_seen(request: &mut CheckEvidenceRequest, provider: &str, model: &str) {
    observed(request).models.push(ObservedModel {
        agent: "reviewer".into(),
        provider: provider.into(),
        model: model.into(),
        source: 0,
    });
}

fn config(request: &mut CheckEvidenceRequest) -> &mut ConfigEvidence {
    request.config.as_mut().unwrap()
}

fn scan(request: &mut CheckEvidenceRequest) -> &mut EvidenceScan {
    request.secret_scan.as_mut().unwrap()
}

#[rustfmt::skip] // one change per line, so that the table reads as one
pub(crate) const CHANGES: &[Change] = &[
    ("no permit", |r| r.permit.clear(), &["permit-invalid"]),
    ("another host", |r| r.host = "spark-2".into(), &["permit-invalid"]),
    ("another run", |r| { r.run_id = "run-8".into(); r.baseline.as_mut().unwrap().run_id = "run-8".into(); }, &["permit-invalid"]),
    ("a start before the permit", |r| r.start_time.as_mut().unwrap().seconds -= 3600, &["permit-invalid"]),
    ("no start", |r| r.start_time = None, &["permit-expired-before-start"]),
    ("a late start", |r| r.start_time.as_mut().unwrap().seconds += 61, &["permit-expired-before-start"]),
    ("no report", |r| r.report = None, &["report-field-missing"]),
    ("no model in the report", |r| report(r).case_model.clear(), &["report-field-missing"]),
    ("another model in the report", |r| report(r).case_model = "claude-beta-2".into(), &["report-pair-mismatch"]),
    ("`not_admitted`", |r| report(r).case_model_admission_status = "not_admitted".into(), &["admission-status-mismatch"]),
    ("no observation", |r| r.observed_models = None, &["observed-model-missing"]),
    ("an incomplete observation", |r| observed(r).state = 2, &["observed-model-missing"]),
    ("an observation of no known state", |r| observed(r).state = 99, &["observed-model-missing"]),
    ("another model observed", |r| also_seen(r, "openai", "gpt-5"), &["observed-model-mismatch"]),
    ("the silent default observed", |r| also_seen(r, "anthropic", "claude-sonnet-4-6"), &["observed-model-mismatch", "external-fallback-observed"]),
    ("no config", |r| r.config = None, &["config-changed-during-run"]),
    ("another config", |r| config(r).digest_after = "0".repeat(64), &["config-changed-during-run"]),
    ("config touched", |r| config(r).config = 2, &["config-changed-during-run"]),
    ("adapter of no known state", |r| config(r).adapter = 99, &["config-changed-during-run"]),
    ("pipeline unstated", |r| r.pipeline = 0, &["pipeline-incomplete"]),
    ("pipeline of no known outcome", |r| r.pipeline = -1, &["pipeline-incomplete"]),
    ("pipeline failed", |r| r.set_pipeline(PipelineOutcome::Failed), &["pipeline-failed"]),
    ("no baseline", |r| r.baseline = None, &["baseline-missing"]),
    ("a baseline of another run", |r| r.baseline.as_mut().unwrap().run_id = "run-8".into(), &["baseline-not-same-run"]),
    ("no fixture", |r| r.fixture_digest.clear(), &["baseline-fixture-mismatch"]),
    ("a baseline of another fixture", |r| r.baseline.as_mut().unwrap().fixture_digest = "0".repeat(64), &["baseline-fixture-mismatch"]),
    ("a baseline that failed", |r| r.baseline.as_mut().unwrap().set_pipeline(PipelineOutcome::Failed), &["baseline-failed"]),
    ("a baseline of no known outcome", |r| r.baseline.as_mut().unwrap().pipeline = 99, &["baseline-failed"]),
    ("no scan", |r| r.secret_scan = None, &["secret-scan-missing"]),
    ("logs left out", |r| scan(r).covered.truncate(2), &["secret-scan-missing"]),
    ("logs covered by an unknown number", |r| scan(r).covered[2] = 99, &["secret-scan-missing"]),
    ("a secret in the trace", |r| scan(r).findings.push(2), &["secret-detected"]),
    ("a secret in an unknown place", |r| scan(r).findings.push(99), &["secret-detected"]),
];
