//! What `admit check` prints: the verdict first, then everything that it rests on. A note goes to
//! stderr; with `--json` everything is one object on stdout.

use std::io::{self, Write};

use admit_client::{
    Answer, AskError, Record,
    facts::{GatherError, Gathered, Note, Refusal},
};
use admit_proto::v1::{AdmitRequest, Lane};
use serde::Serialize;

use crate::command::render::{
    self, BAD, CODE, ErrorShape, FAINT, GOOD, ReasonShape, RecordShape, counted, json_line,
};

/// What follows from everything but an ALLOW.
const CONSEQUENCE: &str = "the launch does not start";

/// What was asked, and who answered.
pub(super) struct Asked<'a> {
    pub(super) gathered: &'a Gathered,
    /// The endpoint that the call ended with.
    pub(super) server: Option<String>,
}

/// The shape of every ending. Each key is always there.
#[derive(Debug, Serialize)]
struct CheckShape<'a> {
    schema: &'static str,
    outcome: &'static str,
    server: Option<&'a str>,
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
    refusals: Vec<RefusalShape<'a>>,
    notes: Vec<NoteShape<'a>>,
    error: Option<ErrorShape<'a>>,
}

#[derive(Debug, Serialize)]
struct RefusalShape<'a> {
    code: &'static str,
    about: &'a str,
    message: &'static str,
    help: &'static str,
}

impl<'a> From<&'a Refusal> for RefusalShape<'a> {
    fn from(refusal: &'a Refusal) -> Self {
        Self {
            code: refusal.code.as_str(),
            about: &refusal.about,
            message: refusal.code.refuses(),
            help: refusal.code.help(),
        }
    }
}

#[derive(Debug, Serialize)]
struct NoteShape<'a> {
    about: &'static str,
    message: &'a str,
}

impl<'a> CheckShape<'a> {
    fn new(outcome: &'static str) -> Self {
        Self {
            schema: "admit.check/1",
            outcome,
            server: None,
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
            refusals: Vec::new(),
            notes: Vec::new(),
            error: None,
        }
    }

    fn asked(outcome: &'static str, asked: &'a Asked<'_>) -> Self {
        let gathered = asked.gathered;
        let request = &gathered.request;
        Self {
            server: asked.server.as_deref(),
            lane: lane_name(request),
            dry_run: Some(request.dry_run),
            provider: render::unless_empty(&request.provider),
            model: render::unless_empty(&request.model),
            notes: gathered
                .notes
                .iter()
                .map(|note| NoteShape {
                    about: note.about,
                    message: &note.message,
                })
                .collect(),
            refusals: gathered.refusals.iter().map(RefusalShape::from).collect(),
            ..Self::new(outcome)
        }
    }

    fn answered(answer: &'a Answer, asked: &'a Asked<'_>) -> Self {
        // Whoever reads only the outcome must not take it for one that may start.
        let outcome = if asked.gathered.refusals.is_empty() {
            "allowed"
        } else {
            "refused"
        };
        match answer {
            Answer::Allowed(allowed) => Self {
                decision_id: Some(allowed.decision_id()),
                decide_time: Some(allowed.decide_time().to_string()),
                policy_digest: allowed.policy_digest().map(|digest| digest.to_string()),
                case_model_admission_status: Some(allowed.case_model_admission_status()),
                record: Some(allowed.record().into()),
                permit: allowed.permit(),
                ..Self::asked(outcome, asked)
            },
            Answer::Denied(denied) => Self {
                decision_id: Some(denied.decision_id()),
                decide_time: Some(denied.decide_time().to_string()),
                policy_digest: denied.policy_digest().map(|digest| digest.to_string()),
                case_model_admission_status: Some(denied.case_model_admission_status()),
                record: Some(denied.record().into()),
                reasons: ReasonShape::all(denied.reasons()),
                ..Self::asked("denied", asked)
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

/// Prints an answer, and what is refused whatever it says.
pub(super) fn answer(json: bool, asked: &Asked<'_>, answer: &Answer) -> io::Result<()> {
    let mut out = anstream::stdout();
    if json {
        return json_line(&mut out, &CheckShape::answered(answer, asked));
    }
    let Gathered {
        request, refusals, ..
    } = asked.gathered;
    print_notes(&mut anstream::stderr(), &asked.gathered.notes)?;
    match answer {
        Answer::Allowed(allowed) => {
            let verdict = if refusals.is_empty() {
                format!("{GOOD}ALLOW{GOOD:#}")
            } else {
                let count = counted(refusals.len(), "refusal", "refusals");
                format!("{BAD}REFUSED{BAD:#}  {count} here, though the server says ALLOW")
            };
            let head = Head {
                verdict,
                decision_id: allowed.decision_id(),
                decide_time: allowed.decide_time().to_string(),
                policy_digest: allowed.policy_digest().map(|digest| digest.to_string()),
                record: allowed.record(),
            };
            head.print(&mut out, request)?;
            print_refusals(&mut out, refusals)?;
            if !refusals.is_empty() {
                writeln!(out, "  {CONSEQUENCE}")?;
            }
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
            render::reasons(&mut out, denied.reasons(), "  ")?;
            print_refusals(&mut out, refusals)?;
            writeln!(out, "  {CONSEQUENCE}")?;
        }
    }
    out.flush()
}

fn print_refusals(out: &mut dyn Write, refusals: &[Refusal]) -> io::Result<()> {
    for Refusal { code, about } in refusals {
        writeln!(
            out,
            "  {CODE}{}{CODE:#}: {} {FAINT}({about}){FAINT:#}",
            code.as_str(),
            code.refuses()
        )?;
        writeln!(out, "    help: {}", code.help())?;
    }
    Ok(())
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

/// Prints that there is no answer.
pub(super) fn no_answer(json: bool, asked: &Asked<'_>, error: &AskError) -> io::Result<()> {
    if json {
        let shape = CheckShape {
            error: Some(error.into()),
            ..CheckShape::asked("no_answer", asked)
        };
        return json_line(&mut anstream::stdout(), &shape);
    }
    let mut out = anstream::stderr();
    print_notes(&mut out, &asked.gathered.notes)?;
    render::no_answer(&mut out, error, CONSEQUENCE)?;
    print_refusals(&mut out, &asked.gathered.refusals)
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
