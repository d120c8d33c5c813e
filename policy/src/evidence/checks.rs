//! The checks, one function each. An objection repeats nothing that the caller sent.

use alloc::{borrow::Cow, format, vec::Vec};

use super::{
    View,
    stated::{
        ChangeState, Evidence, EvidenceTarget, ObservationState, ObservedModel, Permit,
        PermitFacts, PipelineOutcome,
    },
};
use crate::{facts::Lane, pair::SILENT_PROVIDER};

/// How far the clocks of a host and of the server may be apart, in seconds: a process may seem to
/// have been started that long before its permit was issued.
pub const CLOCK_DIFFERENCE_MAX_S: i64 = 5 * 60;
/// What a report states about the model of an admitted launch.
pub const ADMITTED: &str = "admitted";

/// What a check says when it objects.
pub(super) type Objection = Option<Cow<'static, str>>;

fn objects(is_wrong: bool, message: &'static str) -> Objection {
    is_wrong.then_some(Cow::Borrowed(message))
}

/// The permit, if it is one that this very run could have been started under; why it is not.
pub(super) fn permit_of(evidence: &Evidence) -> Result<&PermitFacts, &'static str> {
    let run = &evidence.run;
    let permit = match &evidence.permit {
        Permit::Invalid => return Err("the permit is not one that this server signed"),
        Permit::Valid(permit) => permit,
    };
    let is_before_issue = run.start.is_some_and(|start| {
        let (seconds, nanos) = start.unix();
        (seconds.saturating_add(CLOCK_DIFFERENCE_MAX_S), nanos) < permit.issued.unix()
    });
    if permit.host != run.host {
        Err("the permit is for another host")
    } else if permit.run_id != run.run_id {
        Err("the permit is for another run")
    } else if permit.lane != Lane::Real {
        Err("the permit is not for the real lane")
    } else if is_before_issue {
        Err("the process was started before the permit was issued")
    } else {
        Ok(permit)
    }
}

pub(super) fn permit_invalid(view: &View<'_>) -> Objection {
    view.permit.err().map(Cow::Borrowed)
}

pub(super) fn permit_expired(view: &View<'_>) -> Objection {
    match (view.run().start, view.permit) {
        (None, Ok(_) | Err(_)) => objects(true, "the start of the process is not stated"),
        (Some(start), Ok(permit)) => objects(
            start >= permit.expires,
            "the permit had expired when the process was started",
        ),
        (Some(_), Err(_)) => None,
    }
}

pub(super) fn report_field_missing(view: &View<'_>) -> Objection {
    let report = &view.run().report;
    let missing = [
        (
            &report.provider,
            "the report states no `case_model_provider`",
        ),
        (&report.model, "the report states no `case_model`"),
        (
            &report.admission_status,
            "the report states no `case_model_admission_status`",
        ),
    ];
    let missing = missing.into_iter().find(|(field, _)| field.is_empty());
    missing.map(|(_, message)| Cow::Borrowed(message))
}

pub(super) fn report_pair_mismatch(view: &View<'_>) -> Objection {
    let report = &view.run().report;
    let permit = view.permit.ok()?;
    // What is missing is another check's.
    let is_stated = !report.provider.is_empty() && !report.model.is_empty();
    objects(
        is_stated && !permit.pair.is(&report.provider, &report.model),
        "the report names another pair than the permit",
    )
}

pub(super) fn admission_status_mismatch(view: &View<'_>) -> Objection {
    let status = &view.run().report.admission_status;
    objects(
        !status.is_empty() && status != ADMITTED,
        "the report does not say that the model was admitted",
    )
}

pub(super) fn observed_missing(view: &View<'_>) -> Objection {
    let run = view.run();
    match run.observation {
        ObservationState::Complete => objects(
            run.observed.is_empty(),
            "no model was seen at work although everything was read",
        ),
        ObservationState::Incomplete => objects(
            true,
            "not everything that could tell of a model was read and understood",
        ),
        ObservationState::Unstated => objects(
            true,
            "whether everything that could tell of a model was read is not stated",
        ),
    }
}

/// What was seen at work beside the permit's pair.
fn seen_elsewhere<'a>(view: &View<'a>) -> impl Iterator<Item = &'a ObservedModel> {
    let run = view.run();
    let permit = view.permit.ok();
    permit
        .into_iter()
        .flat_map(|permit| run.observed.iter().filter(|seen| seen.pair != permit.pair))
}

pub(super) fn observed_mismatch(view: &View<'_>) -> Objection {
    let count = seen_elsewhere(view).count();
    (count > 0).then(|| {
        let total = view.run().observed.len();
        format!("{count} of {total} observations are of another pair than the permit's").into()
    })
}

pub(super) fn external_fallback(view: &View<'_>) -> Objection {
    // The silent default is a pair of this provider.
    let external = seen_elsewhere(view).any(|seen| seen.pair.provider == SILENT_PROVIDER);
    objects(
        external,
        "a pair of `anthropic` was seen at work that is not the permit's",
    )
}

pub(super) fn config_changed(view: &View<'_>) -> Objection {
    let config = view.run().config;
    let (Some(before), Some(after)) = (config.before, config.after) else {
        return objects(true, "a digest of config.json is missing");
    };
    if before != after {
        return objects(true, "config.json is not what it was before the start");
    }
    if view
        .permit
        .is_ok_and(|permit| permit.case_config != Some(before))
    {
        return objects(true, "config.json is not the one that was decided on");
    }
    match (config.config, config.adapter) {
        (ChangeState::Unchanged, ChangeState::Unchanged) => None,
        (ChangeState::Changed, _) => objects(true, "config.json was touched during the run"),
        (_, ChangeState::Changed) => objects(true, "models.json was touched during the run"),
        (ChangeState::Unstated, _) | (_, ChangeState::Unstated) => objects(
            true,
            "whether a config was touched during the run is not stated",
        ),
    }
}

pub(super) fn pipeline_incomplete(view: &View<'_>) -> Objection {
    match view.run().pipeline {
        PipelineOutcome::Unstated => objects(true, "how the pipeline ended is not stated"),
        PipelineOutcome::Incomplete => objects(true, "the event log of the pipeline has no end"),
        PipelineOutcome::Failed | PipelineOutcome::Passed => None,
    }
}

pub(super) fn pipeline_failed(view: &View<'_>) -> Objection {
    match view.run().pipeline {
        PipelineOutcome::Failed => objects(true, "the pipeline failed"),
        PipelineOutcome::Unstated | PipelineOutcome::Incomplete | PipelineOutcome::Passed => None,
    }
}

pub(super) fn baseline_missing(view: &View<'_>) -> Objection {
    let is_missing = view.run().baseline.is_none();
    objects(is_missing, "there is no fake run to compare with")
}

pub(super) fn baseline_not_same_run(view: &View<'_>) -> Objection {
    let run = view.run();
    let baseline = run.baseline.as_ref()?;
    objects(
        baseline.run_id != run.run_id,
        "the fake run belongs to another harness run",
    )
}

pub(super) fn baseline_fixture_mismatch(view: &View<'_>) -> Objection {
    let run = view.run();
    let Some(fixture) = run.fixture else {
        return objects(true, "the digest of the run's fixture is missing");
    };
    match run.baseline.as_ref()?.fixture {
        None => objects(true, "the digest of the fake run's fixture is missing"),
        Some(other) => objects(
            other != fixture,
            "the fake run was started from another fixture",
        ),
    }
}

pub(super) fn baseline_failed(view: &View<'_>) -> Objection {
    match view.run().baseline.as_ref()?.pipeline {
        PipelineOutcome::Passed => None,
        PipelineOutcome::Failed => objects(true, "the pipeline of the fake run failed"),
        PipelineOutcome::Unstated | PipelineOutcome::Incomplete => {
            objects(true, "the pipeline of the fake run has no end")
        }
    }
}

pub(super) fn scan_missing(view: &View<'_>) -> Objection {
    let Some(scan) = &view.run().secret_scan else {
        return objects(true, "nobody searched for secrets");
    };
    let missing = [
        (
            EvidenceTarget::Report,
            "the search for secrets left out the report",
        ),
        (
            EvidenceTarget::Trace,
            "the search for secrets left out the trace",
        ),
        (
            EvidenceTarget::BackendLogs,
            "the search for secrets left out the backend logs",
        ),
    ]
    .into_iter()
    .find(|(target, _)| !scan.covered.contains(target));
    missing.map(|(_, message)| Cow::Borrowed(message))
}

pub(super) fn secret_detected(view: &View<'_>) -> Objection {
    let scan = view.run().secret_scan.iter();
    let found = scan.flat_map(|scan| &scan.findings);
    let mut places: Vec<&str> = found.map(|target| searched_place(*target)).collect();
    places.sort_unstable();
    places.dedup();
    if places.is_empty() {
        objects(
            view.evidence.has_secret,
            "the request itself has something that looks like a secret",
        )
    } else {
        let places = places.join(" and in ");
        Some(format!("the caller's search found a secret in {places}").into())
    }
}

fn searched_place(target: EvidenceTarget) -> &'static str {
    match target {
        EvidenceTarget::Unstated => "a place that is not known",
        EvidenceTarget::Report => "the report",
        EvidenceTarget::Trace => "the trace",
        EvidenceTarget::BackendLogs => "the backend logs",
    }
}
