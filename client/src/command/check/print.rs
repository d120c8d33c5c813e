//! What `admit check` prints: the verdict first, then everything that it rests on. A note goes to
//! stderr; with `--json` everything is one object on stdout.

use std::io::{self, Write};

use admit_client::{
    Answer, AskError, Record,
    facts::{GatherError, Note},
};
use admit_proto::v1::{AdmitRequest, Lane, Reason};
use serde::Serialize;

use crate::command::render::{
    self, BAD, CODE, ErrorShape, FAINT, GOOD, ReasonShape, counted, json_line,
};

/// What follows from everything but an ALLOW.
const CONSEQUENCE: &str = "the launch does not start";

/// The shape of every ending. Each key is always there.
#[derive(Debug, Serialize)]
struct CheckShape<'a> {
    schema: &'static str,
    outcome: &'static str,
    lane: Option<&'static str>,
    dry_run: Option<bool>,
    provider: Option<&'a str>,
    model: Option<&'a str>,
    decision_id: Option<&'a str>,
    decide_time: Option<String>,
    policy_digest: Option<String>,
    case_model_admission_status: Option<&'static str>,
    record: Option<RecordShape<'a>>,
    permit: Option<&'a str>,
    reasons: Vec<ReasonShape<'a>>,
    notes: Vec<NoteShape<'a>>,
    error: Option<ErrorShape<'a>>,
}

#[derive(Debug, Serialize)]
struct NoteShape<'a> {
    about: &'static str,
    message: &'a str,
}

#[derive(Debug, Serialize)]
struct RecordShape<'a> {
    stream_id: &'a str,
    seq: u64,
    hash: String,
}

impl<'a> From<&'a Record> for RecordShape<'a> {
    fn from(record: &'a Record) -> Self {
        Self {
            stream_id: &record.stream_id,
            seq: record.seq,
            hash: record.hash.to_string(),
        }
    }
}

impl<'a> CheckShape<'a> {
    fn new(outcome: &'static str) -> Self {
        Self {
            schema: "admit.check/1",
            outcome,
            lane: None,
            dry_run: None,
            provider: None,
            model: None,
            decision_id: None,
            decide_time: None,
            policy_digest: None,
            case_model_admission_status: None,
            record: None,
            permit: None,
            reasons: Vec::new(),
            notes: Vec::new(),
            error: None,
        }
    }

    fn asked(outcome: &'static str, request: &'a AdmitRequest, notes: &'a [Note]) -> Self {
        Self {
            lane: lane_name(request),
            dry_run: Some(request.dry_run),
            provider: render::unless_empty(&request.provider),
            model: render::unless_empty(&request.model),
            notes: notes
                .iter()
                .map(|note| NoteShape {
                    about: note.about,
                    message: &note.message,
                })
                .collect(),
            ..Self::new(outcome)
        }
    }

    fn answered(answer: &'a Answer, request: &'a AdmitRequest, notes: &'a [Note]) -> Self {
        match answer {
            Answer::Allowed(allowed) => Self {
                decision_id: Some(allowed.decision_id()),
                decide_time: Some(allowed.decide_time().to_string()),
                policy_digest: allowed.policy_digest().map(|digest| digest.to_string()),
                case_model_admission_status: Some(allowed.case_model_admission_status()),
                record: Some(allowed.record().into()),
                permit: allowed.permit(),
                ..Self::asked("allowed", request, notes)
            },
            Answer::Denied(denied) => Self {
                decision_id: Some(denied.decision_id()),
                decide_time: Some(denied.decide_time().to_string()),
                policy_digest: denied.policy_digest().map(|digest| digest.to_string()),
                case_model_admission_status: Some(denied.case_model_admission_status()),
                record: Some(denied.record().into()),
                reasons: ReasonShape::all(denied.reasons()),
                ..Self::asked("denied", request, notes)
            },
        }
    }
}

fn lane_name(request: &AdmitRequest) -> Option<&'static str> {
    match request.lane() {
        Lane::Unspecified => None,
        Lane::Fake => Some("fake"),
        Lane::Real => Some("real"),
    }
}

/// Prints an answer.
pub(super) fn answer(
    json: bool,
    request: &AdmitRequest,
    notes: &[Note],
    answer: &Answer,
) -> io::Result<()> {
    let mut out = anstream::stdout();
    if json {
        return json_line(&mut out, &CheckShape::answered(answer, request, notes));
    }
    print_notes(&mut anstream::stderr(), notes)?;
    match answer {
        Answer::Allowed(allowed) => {
            let head = Head {
                verdict: format!("{GOOD}ALLOW{GOOD:#}"),
                decision_id: allowed.decision_id(),
                decide_time: allowed.decide_time().to_string(),
                policy_digest: allowed.policy_digest().map(|digest| digest.to_string()),
                record: allowed.record(),
            };
            head.print(&mut out, request)?;
        }
        Answer::Denied(denied) => {
            let count = counted(denied.reasons().len(), "reason", "reasons");
            let head = Head {
                verdict: format!("{BAD}DENY{BAD:#}  {count}"),
                decision_id: denied.decision_id(),
                decide_time: denied.decide_time().to_string(),
                policy_digest: denied.policy_digest().map(|digest| digest.to_string()),
                record: denied.record(),
            };
            head.print(&mut out, request)?;
            print_denial(&mut out, denied.reasons())?;
        }
    }
    out.flush()
}

/// What every answer shows before its reasons.
struct Head<'a> {
    verdict: String,
    decision_id: &'a str,
    decide_time: String,
    policy_digest: Option<String>,
    record: &'a Record,
}

impl Head<'_> {
    fn print(&self, out: &mut dyn Write, request: &AdmitRequest) -> io::Result<()> {
        writeln!(
            out,
            "{}  decision {CODE}{}{CODE:#}",
            self.verdict, self.decision_id
        )?;
        let lane = lane_name(request).unwrap_or("unstated");
        let dry_run = if request.dry_run { ", dry run" } else { "" };
        writeln!(out, "  {FAINT}lane{FAINT:#}    {lane}{dry_run}")?;
        if !request.provider.is_empty() || !request.model.is_empty() {
            writeln!(
                out,
                "  {FAINT}pair{FAINT:#}    {} / {}",
                request.provider, request.model
            )?;
        }
        let policy = self.policy_digest.as_deref().unwrap_or("not read yet");
        writeln!(out, "  {FAINT}policy{FAINT:#}  {policy}")?;
        writeln!(out, "  {FAINT}decided{FAINT:#} {}", self.decide_time)?;
        let Record { seq, hash, .. } = self.record;
        writeln!(out, "  {FAINT}record{FAINT:#}  {seq}:{hash}")
    }
}

fn print_denial(out: &mut dyn Write, reasons: &[Reason]) -> io::Result<()> {
    render::reasons(out, reasons, "  ")?;
    writeln!(out, "  {CONSEQUENCE}")
}

/// Prints that there is no answer.
pub(super) fn no_answer(
    json: bool,
    request: &AdmitRequest,
    notes: &[Note],
    error: &AskError,
) -> io::Result<()> {
    if json {
        let shape = CheckShape {
            error: Some(error.into()),
            ..CheckShape::asked("no_answer", request, notes)
        };
        return json_line(&mut anstream::stdout(), &shape);
    }
    let mut out = anstream::stderr();
    print_notes(&mut out, notes)?;
    render::no_answer(&mut out, error, CONSEQUENCE)
}

/// Prints that the facts could not be gathered.
pub(super) fn no_facts(json: bool, error: &GatherError) -> io::Result<()> {
    if json {
        let shape = CheckShape {
            error: Some(ErrorShape::plain("facts", error.to_string())),
            ..CheckShape::new("no_facts")
        };
        return json_line(&mut anstream::stdout(), &shape);
    }
    writeln!(
        anstream::stderr(),
        "{BAD}NOT ASKED{BAD:#}: {error}  {CONSEQUENCE}"
    )
}

fn print_notes(out: &mut dyn Write, notes: &[Note]) -> io::Result<()> {
    for note in notes {
        writeln!(out, "note: {} {}", note.about, note.message)?;
    }
    Ok(())
}
