//! What `admit run` prints of an ending: one object for machines, or lines for people.
//!
//! Deliberately absent: any path, and any output of the command.

use std::io::{self, Write};

use admit_client::Judgment;
use serde::Serialize;

use super::exit_code;
use crate::{
    command::render::{BAD, CODE, FAINT, GOOD, json_line},
    evidence::{self, folder::EndedBy},
    run::{
        denial::Line,
        launch::{Ending, Ran},
    },
};

/// The shape of every ending. Each key is always there.
#[derive(Debug, Serialize)]
struct RunShape {
    schema: &'static str,
    /// `ran` or `not-started`.
    outcome: &'static str,
    exit_code: u8,
    /// The last decision on the launch, be it an ALLOW that did not become a start.
    decision_id: Option<String>,
    /// Why the command was not started.
    reasons: Vec<Line>,
    ended_by: Option<EndedBy>,
    /// `accepted`, `rejected`, `unjudged` or, in the fake lane, `baseline`.
    evidence: Option<&'static str>,
    evidence_reasons: Vec<String>,
}

impl RunShape {
    fn of(ending: &Ending) -> Self {
        let exit_code = exit_code(ending);
        match ending {
            Ending::NotStarted {
                denial,
                decision_id,
                ..
            } => Self {
                schema: "admit.run/1",
                outcome: "not-started",
                exit_code,
                decision_id: decision_id.clone(),
                reasons: denial.lines(),
                ended_by: None,
                evidence: None,
                evidence_reasons: Vec::new(),
            },
            Ending::Ran(ran) => {
                let (evidence, evidence_reasons) = judged(ran);
                Self {
                    schema: "admit.run/1",
                    outcome: "ran",
                    exit_code,
                    decision_id: Some(ran.decision_id.clone()),
                    reasons: Vec::new(),
                    ended_by: Some(ran.finished.ended_by),
                    evidence: Some(evidence),
                    evidence_reasons,
                }
            }
        }
    }
}

/// The judgment on the evidence in a word, and its reasons.
fn judged(ran: &Ran) -> (&'static str, Vec<String>) {
    match &ran.evidence {
        Ok(Some(evidence::Ending::Judged(Judgment::Accepted(_)))) => ("accepted", Vec::new()),
        Ok(Some(evidence::Ending::Judged(Judgment::Rejected(rejected)))) => {
            let codes = rejected.reasons().iter().map(|reason| reason.code.clone());
            ("rejected", codes.collect())
        }
        Ok(Some(evidence::Ending::NoAnswer(error))) => ("unjudged", vec![error.to_string()]),
        Ok(None) => ("baseline", Vec::new()),
        Err(error) => ("unjudged", vec![error.to_string()]),
    }
}

/// Prints the ending: with `json` as the last line of standard output, else on standard error. The command
/// had both to itself until now.
pub(super) fn ending(json: bool, ending: &Ending) -> io::Result<()> {
    let shape = RunShape::of(ending);
    if json {
        return print_json(&mut anstream::stdout(), &shape);
    }
    let mut out = anstream::stderr();
    match ending {
        Ending::NotStarted { is_written, .. } => {
            writeln!(out, "admit: {BAD}NOT STARTED{BAD:#}")?;
            for reason in &shape.reasons {
                writeln!(out, "  {CODE}{}{CODE:#}: {}", reason.code, reason.message)?;
                writeln!(out, "    {FAINT}{}{FAINT:#}", reason.help)?;
            }
            if !is_written {
                writeln!(out, "  the evidence folder could not be written")?;
            }
        }
        Ending::Ran(ran) => {
            if ran.finished.has_survivors {
                writeln!(
                    out,
                    "admit: {BAD}something that the command started could not be ended{BAD:#}"
                )?;
            }
            let evidence = shape.evidence.unwrap_or_default();
            let style = if evidence == "accepted" { GOOD } else { BAD };
            writeln!(out, "admit: the evidence is {style}{evidence}{style:#}")?;
            for reason in &shape.evidence_reasons {
                writeln!(out, "  {CODE}{reason}{CODE:#}")?;
            }
        }
    }
    out.flush()
}

/// Prints the shape on a line of its own. Whether the output of a command that ran ends with a line feed
/// is not known here: it went past this process.
fn print_json(out: &mut dyn Write, shape: &RunShape) -> io::Result<()> {
    if shape.ended_by.is_some() {
        writeln!(out)?;
    }
    json_line(out, shape)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::run::denial::Denial;

    fn not_started(decision_id: Option<&str>) -> RunShape {
        RunShape::of(&Ending::NotStarted {
            denial: Denial::Changed,
            decision_id: decision_id.map(str::to_owned),
            is_written: true,
        })
    }

    fn printed(shape: &RunShape) -> String {
        let mut out = Vec::new();
        print_json(&mut out, shape).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_denial_after_an_allow_has_its_decision() {
        for decision_id in [None, Some("d-1")] {
            let shape: Value = serde_json::from_str(&printed(&not_started(decision_id))).unwrap();
            assert_eq!(shape["decision_id"].as_str(), decision_id);
            assert_eq!(shape["outcome"], "not-started");
            assert_eq!(shape["reasons"][0]["code"], "changed-before-start");
        }
    }

    #[test]
    fn the_object_has_a_line_of_its_own_behind_the_output_of_the_command() {
        let mut shape = not_started(None);
        let alone = printed(&shape);
        assert!(alone.starts_with('{') && alone.ends_with("}\n"));
        shape.ended_by = Some(EndedBy::Itself);
        let behind = format!("output without an end{}", printed(&shape));
        let last = behind.lines().last().unwrap();
        let object: Value = serde_json::from_str(last).unwrap();
        assert_eq!(object["ended_by"], "itself");
    }

    #[test]
    fn the_documentation_lists_every_key_in_order() {
        let page = include_str!("../../../../docs/launch.md");
        let (_, table) = page.split_once("<!-- keys:").unwrap();
        let (table, _) = table.split_once("<!-- /keys -->").unwrap();
        let printed = printed(&not_started(None));
        let keys = serde_json::from_str::<Value>(&printed).unwrap();
        let listed: Vec<&str> = table
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .collect();
        let mut sorted = listed.clone();
        sorted.sort_unstable();
        let mut due: Vec<&str> = keys
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        due.sort_unstable();
        assert_eq!(sorted, due);
        assert!(
            listed
                .iter()
                .is_sorted_by_key(|key| printed.find(&format!("\"{key}\":")))
        );
    }
}
