//! What `admit drill` prints: a line for each launch and the verdict at the end, for people; one object
//! for the harness.

use std::io::{self, Write};

use serde::Serialize;

use crate::{
    command::{
        policy::branch_name,
        render::{BAD, CODE, ErrorShape, FAINT, GOOD, counted, json_line, no_answer},
    },
    drill::{Drilled, Ending, Fault, Finding, Launched},
};

/// The shape of every ending. Each key is always there.
#[derive(Debug, Serialize)]
struct DrillShape<'a> {
    schema: &'static str,
    /// `passed`, `failed` or `no_answer`.
    outcome: &'static str,
    serving: Option<bool>,
    policy_digest: Option<&'a str>,
    branch: Option<&'static str>,
    control: Option<ControlShape<'a>>,
    counts: Counts,
    launches: Vec<LaunchShape<'a>>,
    error: Option<ErrorShape<'a>>,
}

#[derive(Debug, Serialize)]
struct ControlShape<'a> {
    allowed: bool,
    reasons: &'a [String],
}

#[derive(Debug, Default, Serialize)]
struct Counts {
    closed: usize,
    open: usize,
    unproven: usize,
    not_applicable: usize,
}

#[derive(Debug, Serialize)]
struct LaunchShape<'a> {
    name: &'a str,
    /// `closed`, `open`, `unproven` or `not_applicable`.
    result: &'static str,
    expected: &'a [String],
    reasons: &'a [String],
    decision_id: Option<&'a str>,
    /// Why the gate cannot be shown.
    obstacle: Option<&'static str>,
}

impl<'a> LaunchShape<'a> {
    fn of(launched: &'a Launched) -> Self {
        let (result, reasons, decision_id, obstacle): (_, &[String], _, _) = match &launched.result
        {
            Finding::Closed(denial) => (
                "closed",
                &denial.reasons,
                Some(denial.decision_id.as_str()),
                None,
            ),
            Finding::Unproven(denial) => (
                "unproven",
                &denial.reasons,
                Some(denial.decision_id.as_str()),
                None,
            ),
            Finding::Open { decision_id } => ("open", &[], Some(decision_id.as_str()), None),
            Finding::NotApplicable(obstacle) => ("not_applicable", &[], None, Some(*obstacle)),
        };
        Self {
            name: &launched.name,
            result,
            expected: &launched.expected,
            reasons,
            decision_id,
            obstacle,
        }
    }
}

impl Counts {
    fn of(launches: &[Launched]) -> Self {
        let mut counts = Self::default();
        for launched in launches {
            let count = match launched.result {
                Finding::Closed(_) => &mut counts.closed,
                Finding::Open { .. } => &mut counts.open,
                Finding::Unproven(_) => &mut counts.unproven,
                Finding::NotApplicable(_) => &mut counts.not_applicable,
            };
            *count = count.saturating_add(1);
        }
        counts
    }
}

/// Prints what a drill found out.
pub(super) fn drilled(json: bool, drilled: &Drilled) -> io::Result<()> {
    if json {
        return json_line(&mut anstream::stdout(), &shape(drilled));
    }
    let mut out = anstream::stdout();
    print(&mut out, drilled)?;
    out.flush()?;
    match &drilled.fault {
        None => Ok(()),
        Some(fault) => print_fault(&mut anstream::stderr(), fault),
    }
}

fn shape(drilled: &Drilled) -> DrillShape<'_> {
    DrillShape {
        schema: "admit.drill/1",
        outcome: match drilled.ending() {
            Ending::Passed => "passed",
            Ending::Failed => "failed",
            Ending::NoAnswer => "no_answer",
        },
        serving: drilled.is_serving,
        policy_digest: drilled.policy_digest.as_deref(),
        branch: drilled.branch.and_then(branch_name),
        control: drilled.control.as_ref().map(|control| ControlShape {
            allowed: control.is_allowed,
            reasons: &control.reasons,
        }),
        counts: Counts::of(&drilled.launches),
        launches: drilled.launches.iter().map(LaunchShape::of).collect(),
        error: drilled.fault.as_ref().map(|fault| match fault {
            Fault::NoAnswer(error) => error.into(),
            Fault::PolicyChanged => ErrorShape::plain("policy_changed", fault.to_string()),
        }),
    }
}

fn print(out: &mut dyn Write, drilled: &Drilled) -> io::Result<()> {
    for launched in &drilled.launches {
        print_launch(out, launched)?;
    }
    if !drilled.launches.is_empty() {
        writeln!(out)?;
    }
    match drilled.ending() {
        Ending::Passed => writeln!(
            out,
            "{GOOD}PASSED{GOOD:#}  every gate that can be shown is closed"
        )?,
        Ending::Failed => writeln!(
            out,
            "{BAD}FAILED{BAD:#}  a gate is open, or not proven closed"
        )?,
        Ending::NoAnswer => writeln!(out, "{BAD}NOT PROVEN{BAD:#}  answers are missing")?,
    }
    let counts = Counts::of(&drilled.launches);
    writeln!(
        out,
        "  {} closed, {} open, {} unproven, {} not applicable",
        counts.closed, counts.open, counts.unproven, counts.not_applicable
    )?;
    let policy = drilled.policy_digest.as_deref().unwrap_or("not read");
    let branch = drilled
        .branch
        .and_then(branch_name)
        .unwrap_or("no valid decision record");
    writeln!(out, "  {FAINT}policy{FAINT:#}   {policy}, {branch}")?;
    let serving = match drilled.is_serving {
        Some(true) => "serving",
        Some(false) => "NOT SERVING",
        None => "unknown",
    };
    writeln!(out, "  {FAINT}health{FAINT:#}   {serving}")?;
    match &drilled.control {
        None => Ok(()),
        Some(control) if control.is_allowed => writeln!(
            out,
            "  {FAINT}control{FAINT:#}  allowed: each launch differs from an allowed one by what it is named after"
        ),
        Some(control) => writeln!(
            out,
            "  {FAINT}control{FAINT:#}  denied with {}: {}",
            counted(control.reasons.len(), "reason", "reasons"),
            control.reasons.join(", ")
        ),
    }
}

fn print_launch(out: &mut dyn Write, launched: &Launched) -> io::Result<()> {
    let name = &launched.name;
    let expected = launched.expected.join(" or ");
    match &launched.result {
        Finding::Closed(_) => writeln!(
            out,
            "{GOOD}closed{GOOD:#}    {CODE}{name}{CODE:#}  {FAINT}{expected}{FAINT:#}"
        ),
        Finding::Open { decision_id } => writeln!(
            out,
            "{BAD}OPEN{BAD:#}      {CODE}{name}{CODE:#}  allowed by {decision_id}, and has to be denied with {expected}"
        ),
        Finding::Unproven(denial) => writeln!(
            out,
            "{BAD}unproven{BAD:#}  {CODE}{name}{CODE:#}  denied with {}, and not with {expected}",
            denial.reasons.join(", ")
        ),
        Finding::NotApplicable(obstacle) => {
            writeln!(out, "{FAINT}n/a       {name}  {obstacle}{FAINT:#}")
        }
    }
}

fn print_fault(out: &mut dyn Write, fault: &Fault) -> io::Result<()> {
    const CONSEQUENCE: &str = "nothing is proven";
    match fault {
        Fault::NoAnswer(error) => no_answer(out, error, CONSEQUENCE),
        Fault::PolicyChanged => writeln!(out, "{BAD}NO ANSWER{BAD:#}: {fault}  {CONSEQUENCE}"),
    }
}
