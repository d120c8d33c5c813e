//! A run of the pair `A` that went well, as evidence for the permit that it was started under.

use std::time::SystemTime;

use admit_policy::Digest;
use admit_proto::v1::{
    Baseline, ChangeState, CheckEvidenceRequest, ConfigEvidence, EvidenceScan, EvidenceTarget,
    ObservationSource, ObservationState, ObservedModel, ObservedModels, PipelineOutcome, Report,
};

use crate::daemon::policy::A;

/// The evidence of the run of `A.launch()`, started now.
pub(crate) fn finished(permit: &str) -> CheckEvidenceRequest {
    let launch = A.launch();
    let config = launch.case_config.as_deref().map(Digest::of);
    let config = config.map(|digest| digest.to_string()).unwrap_or_default();
    let fixture = Digest::of(b"fixture").to_string();
    let seen = |agent: &str| ObservedModel {
        agent: agent.into(),
        provider: launch.provider.clone(),
        model: launch.model.clone(),
        source: ObservationSource::CaseStderr.into(),
    };
    CheckEvidenceRequest {
        host: launch.host.clone(),
        run_id: launch.run_id.clone(),
        permit: permit.into(),
        start_time: Some(SystemTime::now().into()),
        report: Some(Report {
            case_model_provider: launch.provider.clone(),
            case_model: launch.model.clone(),
            case_model_admission_status: "admitted".into(),
        }),
        observed_models: Some(ObservedModels {
            state: ObservationState::Complete.into(),
            models: vec![seen("implementer"), seen("verifier")],
        }),
        config: Some(ConfigEvidence {
            digest_before: config.clone(),
            digest_after: config,
            config: ChangeState::Unchanged.into(),
            adapter: ChangeState::Unchanged.into(),
        }),
        pipeline: PipelineOutcome::Passed.into(),
        fixture_digest: fixture.clone(),
        baseline: Some(Baseline {
            run_id: launch.run_id,
            fixture_digest: fixture,
            pipeline: PipelineOutcome::Passed.into(),
        }),
        secret_scan: Some(EvidenceScan {
            covered: vec![
                EvidenceTarget::Report.into(),
                EvidenceTarget::Trace.into(),
                EvidenceTarget::BackendLogs.into(),
            ],
            findings: Vec::new(),
        }),
    }
}
