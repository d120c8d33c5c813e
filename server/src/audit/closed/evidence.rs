//! Evidence ⇄ its record.
//!
//! The checks compare texts of the evidence with each other and with names of the product, which
//! stand in clear. Closed texts are equal where the texts were, so the way back leaves them closed.

use std::{collections::BTreeMap, time::Duration};

use admit_policy::{
    Digest, Evidence, EvidenceVerdict, Pair, Timestamp,
    evidence::{self as domain, ADMITTED, FinishedRun, Permit, PermitFacts},
};

use super::super::{
    names::{self, HMAC_PREFIX, Names},
    record::{
        self,
        evidence::{self as kept, ReportedStatus},
    },
    words::same_words,
};

/// The statuses that a report can state and that stand in the log; what else it states is `other`.
const STATUSES: [(&str, ReportedStatus); 4] = [
    ("", ReportedStatus::Unstated),
    (ADMITTED, ReportedStatus::Admitted),
    ("not_admitted", ReportedStatus::NotAdmitted),
    ("not_required", ReportedStatus::NotRequired),
];
/// What an unknown status is opened to: it is none that is known, and not empty.
const STATUS_OTHER: &str = "other";

/// Evidence that was judged, with everything that its record needs.
#[derive(Debug)]
pub struct Judged<'a> {
    /// The identity of the verdict.
    pub id: uuid::Uuid,
    /// When it was judged.
    pub at: Timestamp,
    /// From the arrival of the request until now.
    pub elapsed: Duration,
    /// The decision that the permit states.
    pub decision_id: Option<uuid::Uuid>,
    /// The evidence.
    pub evidence: &'a Evidence,
    /// The verdict.
    pub verdict: &'a EvidenceVerdict,
    /// The operator's name for who asked.
    pub caller: Option<&'a str>,
    /// The caller's trace.
    pub trace: Option<record::Trace>,
}

/// A value of a record that this version does not read, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread(pub &'static str);

same_words! {
    domain::ObservationState => kept::ObservationState { Unstated, Complete, Incomplete, }
    domain::ObservationSource => kept::ObservationSource { Unstated, CaseStderr, PiSession, }
    domain::ChangeState => kept::ChangeState { Unstated, Unchanged, Changed, }
    domain::PipelineOutcome => kept::PipelineOutcome { Unstated, Incomplete, Failed, Passed, }
    domain::EvidenceTarget => kept::EvidenceTarget { Unstated, Report, Trace, BackendLogs, }
}

/// A verdict and the codes of its reasons, as they stand in a record.
#[must_use]
pub fn outcome(verdict: &EvidenceVerdict) -> (kept::EvidenceVerdict, Vec<String>) {
    match verdict {
        EvidenceVerdict::Accepted => (kept::EvidenceVerdict::Accepted, Vec::new()),
        EvidenceVerdict::Rejected(reasons) => {
            let codes = reasons.iter().map(|reason| reason.code.as_str().to_owned());
            (kept::EvidenceVerdict::Rejected, codes.collect())
        }
    }
}

/// The record of a verdict.
#[must_use]
pub fn evidence(judged: Judged<'_>, names: &Names) -> record::Evidence {
    let (verdict, reasons) = outcome(judged.verdict);
    let run = &judged.evidence.run;
    let digest = |digest: Option<Digest>| digest.map(|digest| names.close_digest(digest));
    let observed = run.observed.iter().map(|seen| kept::ObservedModel {
        agent: names.close_agent(&seen.agent),
        provider: names.close_listed(&seen.pair.provider),
        model: names.close_listed(&seen.pair.model),
        source: seen.source.into(),
    });
    record::Evidence {
        id: judged.id.hyphenated().to_string(),
        time: judged.at.to_string(),
        elapsed_us: u64::try_from(judged.elapsed.as_micros()).unwrap_or(u64::MAX),
        verdict,
        reasons,
        decision: judged.decision_id.map(|id| id.hyphenated().to_string()),
        caller: judged.caller.map(ToOwned::to_owned),
        trace: judged.trace,
        host: names.close_host(&run.host),
        run: names.close_run(&run.run_id),
        start: run.start.map(|start| start.to_string()),
        permit: match &judged.evidence.permit {
            Permit::Invalid => None,
            Permit::Valid(facts) => Some(permit(facts, names)),
        },
        report: kept::Report {
            provider: names.close_listed(&run.report.provider),
            model: names.close_listed(&run.report.model),
            admission_status: status(&run.report.admission_status),
        },
        observed: kept::Observed {
            state: run.observation.into(),
            models: observed.collect(),
        },
        config: kept::Config {
            before: digest(run.config.before),
            after: digest(run.config.after),
            config: run.config.config.into(),
            adapter: run.config.adapter.into(),
        },
        pipeline: run.pipeline.into(),
        fixture: digest(run.fixture),
        baseline: run.baseline.as_ref().map(|fake| kept::FakeRun {
            is_same_run: fake.run_id == run.run_id,
            fixture: digest(fake.fixture),
            pipeline: fake.pipeline.into(),
        }),
        secret_scan: run.secret_scan.as_ref().map(|scan| kept::Scan {
            covered: scan.covered.iter().map(|at| (*at).into()).collect(),
            findings: scan.findings.iter().map(|at| (*at).into()).collect(),
        }),
        has_secret: judged.evidence.has_secret,
    }
}

fn permit(facts: &PermitFacts, names: &Names) -> kept::Permit {
    kept::Permit {
        host: names.close_host(&facts.host),
        run: names.close_run(&facts.run_id),
        lane: facts.lane.into(),
        provider: names.close_listed(&facts.pair.provider),
        model: names.close_listed(&facts.pair.model),
        case_config: facts.case_config.map(|digest| names.close_digest(digest)),
        issued: facts.issued.to_string(),
        expires: facts.expires.to_string(),
    }
}

fn status(stated: &str) -> ReportedStatus {
    let known = STATUSES.into_iter().find(|(text, _)| *text == stated);
    known.map_or(ReportedStatus::Other, |(_, status)| status)
}

/// The evidence of a record.
///
/// # Errors
///
/// When a time or a digest in it is of no form that this version reads: it must not decide as one.
pub fn open_evidence(record: &record::Evidence) -> Result<Evidence, Unread> {
    let time = |name, text: &str| Timestamp::parse(text).ok_or(Unread(name));
    let permit = match &record.permit {
        None => Permit::Invalid,
        Some(permit) => Permit::Valid(PermitFacts {
            host: permit.host.clone(),
            run_id: permit.run.clone(),
            lane: permit.lane.into(),
            pair: pair(&permit.provider, &permit.model),
            case_config: digest("permit.case_config", permit.case_config.as_deref())?,
            issued: time("permit.issued", &permit.issued)?,
            expires: time("permit.expires", &permit.expires)?,
        }),
    };
    let start = record.start.as_deref();
    let status = STATUSES
        .into_iter()
        .find(|(_, status)| *status == record.report.admission_status);
    let baseline = record.baseline.as_ref();
    let run = FinishedRun {
        host: record.host.clone(),
        run_id: record.run.clone(),
        start: start.map(|start| time("start", start)).transpose()?,
        report: domain::Report {
            provider: record.report.provider.clone(),
            model: record.report.model.clone(),
            admission_status: status.map_or(STATUS_OTHER, |(text, _)| text).into(),
        },
        observation: record.observed.state.into(),
        observed: record.observed.models.iter().map(observed).collect(),
        config: domain::ConfigStates {
            before: digest("config.before", record.config.before.as_deref())?,
            after: digest("config.after", record.config.after.as_deref())?,
            config: record.config.config.into(),
            adapter: record.config.adapter.into(),
        },
        pipeline: record.pipeline.into(),
        fixture: digest("fixture", record.fixture.as_deref())?,
        baseline: baseline.map(|fake| fake_run(record, fake)).transpose()?,
        secret_scan: record
            .secret_scan
            .as_ref()
            .map(|scan| domain::EvidenceScan {
                covered: scan.covered.iter().map(|at| (*at).into()).collect(),
                findings: scan.findings.iter().map(|at| (*at).into()).collect(),
            }),
    };
    Ok(Evidence {
        run,
        permit,
        has_secret: record.has_secret,
    })
}

fn observed(seen: &kept::ObservedModel) -> domain::ObservedModel {
    domain::ObservedModel {
        agent: seen.agent.clone(),
        pair: pair(&seen.provider, &seen.model),
        source: seen.source.into(),
    }
}

fn fake_run(record: &record::Evidence, fake: &kept::FakeRun) -> Result<domain::FakeRun, Unread> {
    Ok(domain::FakeRun {
        run_id: if fake.is_same_run {
            record.run.clone()
        } else {
            String::new()
        },
        fixture: digest("baseline.fixture", fake.fixture.as_deref())?,
        pipeline: fake.pipeline.into(),
    })
}

fn pair(provider: &str, model: &str) -> Pair {
    Pair {
        provider: provider.to_owned(),
        model: model.to_owned(),
    }
}

/// A digest, or one that stands for a closed one: equal where those were.
fn digest(name: &'static str, recorded: Option<&str>) -> Result<Option<Digest>, Unread> {
    let Some(text) = recorded else {
        return Ok(None);
    };
    if Digest::parse(text).is_none() && !text.starts_with(HMAC_PREFIX) {
        return Err(Unread(name));
    }
    Ok(Some(names::open_digest(text, &BTreeMap::new())))
}
