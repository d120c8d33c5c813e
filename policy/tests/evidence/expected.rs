//! Section 9 once more, in other words than the product's: each code with the condition for it.

use admit_policy::{
    evidence::{
        ChangeState, EvidenceTarget, ObservationState, Permit, PermitFacts, PipelineOutcome,
    },
    facts::Lane,
};

use crate::base::{CANARY, Handed};

type Judged = Vec<(&'static str, bool)>;

/// The codes that `handed` deserves, in order.
pub(crate) fn codes(handed: &Handed) -> Vec<&'static str> {
    let permit = permit(handed);
    [
        of_permit_and_report(handed, permit),
        of_models_and_config(handed, permit),
        of_outcomes(handed),
        of_secrets(handed),
    ]
    .concat()
    .into_iter()
    .filter_map(|(code, rejects)| rejects.then_some(code))
    .collect()
}

fn permit(handed: &Handed) -> Option<&PermitFacts> {
    let run = &handed.run;
    let Permit::Valid(permit) = &handed.permit else {
        return None;
    };
    let is_ours = permit.host == run.host && permit.run_id == run.run_id;
    let earliest = permit.issued.unix().0 - 300;
    let is_before = run.start.is_some_and(|start| start.unix().0 < earliest);
    (is_ours && permit.lane == Lane::Real && !is_before).then_some(permit)
}

fn of_permit_and_report(handed: &Handed, permit: Option<&PermitFacts>) -> Judged {
    let report = &handed.run.report;
    let named = [&report.provider, &report.model];
    let status = report.admission_status.as_str();
    let has_both = !named.iter().any(|name| name.is_empty());
    let is_late = permit.is_some_and(|permit| handed.run.start >= Some(permit.expires));
    let differs = permit.is_some_and(|p| [&p.pair.provider, &p.pair.model] != named);
    vec![
        ("permit-invalid", permit.is_none()),
        (
            "permit-expired-before-start",
            handed.run.start.is_none() || is_late,
        ),
        ("report-field-missing", !has_both || status.is_empty()),
        ("report-pair-mismatch", has_both && differs),
        (
            "admission-status-mismatch",
            !["", "admitted"].contains(&status),
        ),
    ]
}

fn of_models_and_config(handed: &Handed, permit: Option<&PermitFacts>) -> Judged {
    let (run, config) = (&handed.run, &handed.run.config);
    let others = || {
        let pairs = run.observed.iter().map(|seen| &seen.pair);
        pairs.filter(|pair| permit.is_some_and(|permit| permit.pair != **pair))
    };
    let digests = [config.before, config.after];
    let decided = permit.map_or(config.before, |permit| permit.case_config);
    let is_same = decided.is_some() && digests == [decided; 2];
    let is_untouched = [config.config, config.adapter] == [ChangeState::Unchanged; 2];
    let is_complete = run.observation == ObservationState::Complete;
    vec![
        (
            "observed-model-missing",
            !is_complete || run.observed.is_empty(),
        ),
        ("observed-model-mismatch", others().count() > 0),
        (
            "external-fallback-observed",
            others().any(|pair| pair.provider == "anthropic"),
        ),
        ("config-changed-during-run", !(is_same && is_untouched)),
    ]
}

fn of_outcomes(handed: &Handed) -> Judged {
    use PipelineOutcome::{Failed, Incomplete, Passed, Unstated};
    let run = &handed.run;
    let with_baseline = |is_wrong: &dyn Fn(&admit_policy::evidence::FakeRun) -> bool| {
        run.baseline.as_ref().is_some_and(is_wrong)
    };
    vec![
        (
            "pipeline-incomplete",
            [Unstated, Incomplete].contains(&run.pipeline),
        ),
        ("pipeline-failed", run.pipeline == Failed),
        ("baseline-missing", run.baseline.is_none()),
        (
            "baseline-not-same-run",
            with_baseline(&|fake| fake.run_id != run.run_id),
        ),
        (
            "baseline-fixture-mismatch",
            run.fixture.is_none() || with_baseline(&|fake| fake.fixture != run.fixture),
        ),
        (
            "baseline-failed",
            with_baseline(&|fake| fake.pipeline != Passed),
        ),
    ]
}

fn of_secrets(handed: &Handed) -> Judged {
    use EvidenceTarget::{BackendLogs, Report, Trace};
    let scan = handed.run.secret_scan.as_ref();
    let covers = |target| scan.is_some_and(|scan| scan.covered.contains(&target));
    let is_found = scan.is_some_and(|scan| !scan.findings.is_empty());
    // Every text of the run, wherever it stands.
    let texts = format!("{:?}", handed.run);
    vec![
        (
            "secret-scan-missing",
            ![Report, Trace, BackendLogs].into_iter().all(covers),
        ),
        (
            "secret-detected",
            is_found || texts.contains(&format!("sk-{CANARY}")),
        ),
    ]
}
