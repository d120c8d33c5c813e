//! What `admit evidence` prints: the verdict first, then everything that it rests on.

use std::io::{self, Write as _};

use admit_client::Judgment;
use serde::Serialize;

use crate::{
    command::render::{
        self, BAD, CODE, ErrorShape, FAINT, GOOD, ReasonShape, RecordShape, counted, json_line,
    },
    evidence::{CollectError, Ending, report::ReportFile},
};

/// What follows from everything but an acceptance.
const CONSEQUENCE: &str = "the run is no pass evidence";

/// The shape of every ending. Each key is always there.
#[derive(Debug, Serialize)]
struct EvidenceShape<'a> {
    schema: &'static str,
    /// `collected`, `accepted`, `rejected`, `no_answer` or `not_collected`.
    outcome: &'static str,
    evidence_id: Option<&'a str>,
    check_time: Option<String>,
    decision_id: Option<&'a str>,
    record: Option<RecordShape<'a>>,
    reasons: Vec<ReasonShape<'a>>,
    report: Option<&'a ReportFile>,
    error: Option<ErrorShape<'a>>,
}

impl EvidenceShape<'_> {
    fn new(outcome: &'static str) -> Self {
        Self {
            schema: "admit.evidence/1",
            outcome,
            evidence_id: None,
            check_time: None,
            decision_id: None,
            record: None,
            reasons: Vec::new(),
            report: None,
            error: None,
        }
    }
}

/// Prints that the evidence was collected, and what in it already speaks against it.
pub(super) fn collected(json: bool, report: &ReportFile) -> io::Result<()> {
    let mut out = anstream::stdout();
    if json {
        let shape = EvidenceShape {
            decision_id: Some(&report.decision.decision_id),
            report: Some(report),
            ..EvidenceShape::new("collected")
        };
        return json_line(&mut out, &shape);
    }
    writeln!(
        out,
        "collected  decision {CODE}{}{CODE:#}",
        report.decision.decision_id
    )?;
    let models = counted(report.observed_models.models.len(), "model", "models");
    writeln!(out, "  {FAINT}seen{FAINT:#}      {models}")?;
    writeln!(
        out,
        "  {FAINT}pipeline{FAINT:#}  {}",
        report.pipeline.outcome
    )?;
    for fault in report.faults() {
        writeln!(out, "  note: {fault}")?;
    }
    if !report.secret_scan.findings.is_empty() {
        writeln!(
            out,
            "  note: the run left something that looks like a secret, or the endpoint"
        )?;
    }
    out.flush()
}

/// Prints the judgment, or that there is none.
pub(super) fn ending(json: bool, ending: &Ending) -> io::Result<()> {
    match ending {
        Ending::Judged(judgment) => judged(json, judgment),
        Ending::NoAnswer(error) if json => json_line(
            &mut anstream::stdout(),
            &EvidenceShape {
                error: Some(error.into()),
                ..EvidenceShape::new("no_answer")
            },
        ),
        Ending::NoAnswer(error) => render::no_answer(&mut anstream::stderr(), error, CONSEQUENCE),
    }
}

fn judged(json: bool, judgment: &Judgment) -> io::Result<()> {
    let mut out = anstream::stdout();
    let outcome = match judgment {
        Judgment::Accepted(_) => "accepted",
        Judgment::Rejected(_) => "rejected",
    };
    if json {
        let shape = EvidenceShape {
            evidence_id: Some(judgment.evidence_id()),
            check_time: Some(judgment.check_time().to_string()),
            decision_id: judgment.decision_id(),
            record: Some(judgment.record().into()),
            reasons: ReasonShape::all(judgment.reasons()),
            ..EvidenceShape::new(outcome)
        };
        return json_line(&mut out, &shape);
    }
    match judgment {
        Judgment::Accepted(_) => write!(out, "{GOOD}ACCEPTED{GOOD:#}")?,
        Judgment::Rejected(rejected) => {
            let count = counted(rejected.reasons().len(), "reason", "reasons");
            write!(out, "{BAD}REJECTED{BAD:#}  {count}")?;
        }
    }
    writeln!(out, "  evidence {CODE}{}{CODE:#}", judgment.evidence_id())?;
    if let Some(decision_id) = judgment.decision_id() {
        writeln!(out, "  {FAINT}decision{FAINT:#} {decision_id}")?;
    }
    writeln!(out, "  {FAINT}judged{FAINT:#}   {}", judgment.check_time())?;
    let record = judgment.record();
    writeln!(
        out,
        "  {FAINT}record{FAINT:#}   {}:{}",
        record.seq, record.hash
    )?;
    render::reasons(&mut out, judgment.reasons(), "  ")?;
    match judgment {
        Judgment::Accepted(_) => {}
        Judgment::Rejected(_) => writeln!(out, "  {CONSEQUENCE}")?,
    }
    out.flush()
}

/// Prints that there is nothing to hand in.
pub(super) fn not_collected(json: bool, error: &CollectError) -> io::Result<()> {
    if json {
        let shape = EvidenceShape {
            error: Some(ErrorShape::plain("evidence", error.to_string())),
            ..EvidenceShape::new("not_collected")
        };
        return json_line(&mut anstream::stdout(), &shape);
    }
    writeln!(
        anstream::stderr(),
        "{BAD}NOT COLLECTED{BAD:#}: {error}  {CONSEQUENCE}"
    )
}
