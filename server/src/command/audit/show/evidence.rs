//! Everything about one verdict on evidence.

use std::io::Write;

use super::{named, or, print_caller, print_reasons, print_trace, row, words};
use crate::{
    audit::record::evidence::{Evidence, FakeRun, Permit, Scan},
    command::audit::{
        AuditError,
        render::{check, evidence_verdict, lane, name, permit_pair, text, word},
    },
};

pub(super) fn print(to: &mut impl Write, evidence: &Evidence) -> Result<(), AuditError> {
    row(to, "evidence", &text(&evidence.id))?;
    let elapsed_us = evidence.elapsed_us;
    let time = format!("{}, ready after {elapsed_us} µs", text(&evidence.time));
    row(to, "time", &time)?;
    row(to, "verdict", &evidence_verdict(evidence.verdict))?;
    print_caller(to, evidence.caller.as_deref())?;
    print_trace(to, evidence.trace.as_ref())?;
    print_reasons(to, &evidence.reasons, "check", |code| {
        check(code).map(|check| (check.rejects(), check.help()))
    })?;
    row(to, "pair", &permit_pair(evidence))?;
    row(to, "host", &text(&evidence.host))?;
    row(to, "run", &text(&evidence.run))?;
    row(to, "start", &or(evidence.start.as_deref(), "not stated"))?;
    print_permit(to, evidence.permit.as_ref(), evidence.decision.as_deref())?;
    let report = &evidence.report;
    row(to, "reported provider", &named(&report.provider))?;
    row(to, "reported model", &named(&report.model))?;
    row(to, "reported status", &word(&report.admission_status))?;
    row(to, "observation", &word(&evidence.observed.state))?;
    for seen in &evidence.observed.models {
        let (agent, provider, model) = (name(&seen.agent), name(&seen.provider), name(&seen.model));
        let source = word(&seen.source);
        let what = format!("{agent}: {provider}/{model} ({source})");
        row(to, "observed model", &what)?;
    }
    let config = &evidence.config;
    row(to, "config before", &or(config.before.as_deref(), "none"))?;
    row(to, "config after", &or(config.after.as_deref(), "none"))?;
    row(to, "config.json", &word(&config.config))?;
    row(to, "Pi's models.json", &word(&config.adapter))?;
    row(to, "pipeline", &word(&evidence.pipeline))?;
    row(to, "fixture", &or(evidence.fixture.as_deref(), "none"))?;
    print_baseline(to, evidence.baseline.as_ref())?;
    print_scan(to, evidence.secret_scan.as_ref())?;
    let has_secret = if evidence.has_secret { "yes" } else { "no" };
    row(to, "secret in the request", has_secret)
}

fn print_permit(
    to: &mut impl Write,
    permit: Option<&Permit>,
    decision: Option<&str>,
) -> Result<(), AuditError> {
    let Some(permit) = permit else {
        return row(to, "permit", "not valid");
    };
    row(to, "permit of decision", &or(decision, "none"))?;
    row(to, "permit of host", &text(&permit.host))?;
    row(to, "permit of run", &text(&permit.run))?;
    row(to, "permit of lane", lane(permit.lane))?;
    row(to, "permit of provider", &named(&permit.provider))?;
    row(to, "permit of model", &named(&permit.model))?;
    let config = or(permit.case_config.as_deref(), "none");
    row(to, "permit of config", &config)?;
    let (issued, expires) = (text(&permit.issued), text(&permit.expires));
    row(to, "permit of time", &format!("{issued} to {expires}"))
}

fn print_baseline(to: &mut impl Write, baseline: Option<&FakeRun>) -> Result<(), AuditError> {
    let Some(baseline) = baseline else {
        return row(to, "fake run", "none");
    };
    let run = if baseline.is_same_run {
        "of the same run"
    } else {
        "of another run"
    };
    row(to, "fake run", run)?;
    row(to, "its fixture", &or(baseline.fixture.as_deref(), "none"))?;
    row(to, "its pipeline", &word(&baseline.pipeline))
}

fn print_scan(to: &mut impl Write, scan: Option<&Scan>) -> Result<(), AuditError> {
    let Some(scan) = scan else {
        return row(to, "search for secrets", "none");
    };
    let covered = format!("covered {}", words(&scan.covered));
    row(to, "search for secrets", &covered)?;
    row(to, "secrets found", &words(&scan.findings))
}
