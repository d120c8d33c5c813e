//! What several commands print in the same way: reasons, places, times, failures; for people and as
//! JSON.

use std::io::{self, Write};

use admit_client::{AskError, PassedOver, Record, failure::code_name};
use admit_policy::Timestamp;
use admit_proto::v1::{Place, Reason};
use anstyle::{AnsiColor, Style};
use serde::Serialize;

/// The style of a good verdict.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// The style of a bad verdict.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// The style of a code.
pub(crate) const CODE: Style = Style::new().bold();
/// The style of places and of what stands beside the matter.
pub(crate) const FAINT: Style = Style::new().dimmed();

/// Prints `value` on one line, as JSON.
pub(crate) fn json_line(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string(value).map_err(io::Error::other)?;
    writeln!(out, "{text}")?;
    out.flush()
}

/// A place, as editors read it.
pub(crate) fn place_text(place: &Place) -> String {
    match (place.line, place.column) {
        (0, _) => place.path.clone(),
        (line, 0) => format!("{}:{line}", place.path),
        (line, column) => format!("{}:{line}:{column}", place.path),
    }
}

/// `count` of something, in words.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    }
}

/// Prints reasons, each with its places and its help, behind `indent`.
pub(crate) fn reasons(out: &mut dyn Write, reasons: &[Reason], indent: &str) -> io::Result<()> {
    for reason in reasons {
        writeln!(
            out,
            "{indent}{CODE}{}{CODE:#}: {}",
            reason.code, reason.message
        )?;
        for place in &reason.places {
            writeln!(out, "{indent}  {FAINT}at {}{FAINT:#}", place_text(place))?;
        }
        if !reason.help.is_empty() {
            writeln!(out, "{indent}  help: {}", reason.help)?;
        }
    }
    Ok(())
}

/// A time of a message, as RFC 3339; `None` when it is unset or no time.
pub(crate) fn time_text(time: Option<&prost_types::Timestamp>) -> Option<String> {
    let time = time?;
    let nanos = u32::try_from(time.nanos).ok()?;
    Timestamp::from_unix(time.seconds, nanos).map(|time| time.to_string())
}

/// A text, unless it is empty.
pub(crate) fn unless_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// Prints why there is no answer, and what follows from it.
pub(crate) fn no_answer(
    out: &mut dyn Write,
    error: &AskError,
    consequence: &str,
) -> io::Result<()> {
    writeln!(out, "{BAD}NO ANSWER{BAD:#}: {error}  {consequence}")?;
    help(out, error)
}

fn help(out: &mut dyn Write, error: &AskError) -> io::Result<()> {
    match error {
        AskError::Failed { violations, .. } => {
            for violation in violations {
                writeln!(
                    out,
                    "  {CODE}{}{CODE:#}: {}",
                    violation.field, violation.description
                )?;
            }
            Ok(())
        }
        AskError::Unreachable(_) => {
            writeln!(
                out,
                "  help: is admitd running, and is --server where it listens"
            )
        }
        AskError::TimedOut => writeln!(out, "  help: a longer --deadline-ms may help"),
        AskError::Malformed(_) => {
            writeln!(
                out,
                "  help: is it admitd that answers there, and of this version"
            )
        }
        AskError::NotServing => {
            writeln!(out, "  help: the log of admitd says why it is not serving")
        }
        AskError::NoneAnswered(passed_over) => {
            for PassedOver { endpoint, error } in passed_over {
                writeln!(out, "  {endpoint}")?;
                help(out, error)?;
            }
            Ok(())
        }
    }
}

/// A reason, as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct ReasonShape<'a> {
    code: &'a str,
    message: &'a str,
    help: &'a str,
    places: Vec<PlaceShape<'a>>,
}

impl<'a> ReasonShape<'a> {
    /// The shapes of `reasons`.
    pub(crate) fn all(reasons: &'a [Reason]) -> Vec<Self> {
        reasons
            .iter()
            .map(|reason| Self {
                code: &reason.code,
                message: &reason.message,
                help: &reason.help,
                places: PlaceShape::all(&reason.places),
            })
            .collect()
    }
}

/// A place, as JSON; line and column count from 1, and 0 stands for the whole file or line.
#[derive(Debug, Serialize)]
pub(crate) struct PlaceShape<'a> {
    path: &'a str,
    line: u32,
    column: u32,
}

impl<'a> PlaceShape<'a> {
    /// The shape of `place`.
    pub(crate) fn of(place: &'a Place) -> Self {
        Self {
            path: &place.path,
            line: place.line,
            column: place.column,
        }
    }

    /// The shapes of `places`.
    pub(crate) fn all(places: &'a [Place]) -> Vec<Self> {
        places.iter().map(Self::of).collect()
    }
}

/// Where an answer is recorded, as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct RecordShape<'a> {
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

/// Why there is no answer, as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorShape<'a> {
    kind: &'static str,
    message: String,
    code: Option<&'static str>,
    reason: Option<&'a str>,
    violations: Vec<ViolationShape<'a>>,
    passed_over: Vec<PassedOverShape>,
}

#[derive(Debug, Serialize)]
struct PassedOverShape {
    server: String,
    kind: &'static str,
    message: String,
}

#[derive(Debug, Serialize)]
struct ViolationShape<'a> {
    field: &'a str,
    description: &'a str,
}

impl<'a> ErrorShape<'a> {
    /// An error of another kind than those of asking.
    pub(crate) fn plain(kind: &'static str, message: String) -> Self {
        Self {
            kind,
            message,
            code: None,
            reason: None,
            violations: Vec::new(),
            passed_over: Vec::new(),
        }
    }
}

fn kind(error: &AskError) -> &'static str {
    match error {
        AskError::Unreachable(_) => "unreachable",
        AskError::TimedOut => "timed_out",
        AskError::Failed { .. } => "failed",
        AskError::Malformed(_) => "malformed",
        AskError::NotServing => "not_serving",
        AskError::NoneAnswered(_) => "none_answered",
    }
}

impl<'a> From<&'a AskError> for ErrorShape<'a> {
    fn from(error: &'a AskError) -> Self {
        let plain = Self::plain(kind(error), error.to_string());
        match error {
            AskError::Unreachable(_)
            | AskError::TimedOut
            | AskError::Malformed(_)
            | AskError::NotServing => plain,
            AskError::NoneAnswered(passed_over) => Self {
                passed_over: passed_over
                    .iter()
                    .map(|PassedOver { endpoint, error }| PassedOverShape {
                        server: endpoint.to_string(),
                        kind: kind(error),
                        message: error.to_string(),
                    })
                    .collect(),
                ..plain
            },
            AskError::Failed {
                code,
                reason,
                violations,
                ..
            } => Self {
                code: Some(code_name(*code)),
                reason: reason.as_deref(),
                violations: violations
                    .iter()
                    .map(|violation| ViolationShape {
                        field: &violation.field,
                        description: &violation.description,
                    })
                    .collect(),
                ..plain
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_as_editors_read_it() {
        for (line, column, text) in [(0, 0, "a.md"), (3, 0, "a.md:3"), (3, 7, "a.md:3:7")] {
            let place = Place {
                path: "a.md".into(),
                line,
                column,
            };
            assert_eq!(place_text(&place), text);
        }
    }

    #[test]
    fn a_reason_has_its_code_its_places_and_its_help() {
        let reason = Reason {
            code: "review-due".into(),
            message: "the admission is due for review".into(),
            help: "review it".into(),
            places: vec![Place {
                path: "sot/a.json".into(),
                line: 12,
                column: 5,
            }],
        };
        let mut out = anstream::StripStream::new(Vec::new());
        reasons(&mut out, &[reason], "  ").unwrap();
        assert_eq!(
            String::from_utf8(out.into_inner()).unwrap(),
            "  review-due: the admission is due for review\n    at sot/a.json:12:5\n    help: review it\n"
        );
    }
}
