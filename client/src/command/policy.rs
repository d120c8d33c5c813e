//! `admit policy`: the policy in force, and what is wrong with its documents.

use std::io::{self, Write};

use admit_proto::v1::{Branch, Finding, Pair, PairState, Policy, WorkItem};
use serde::Serialize;

use super::{
    Break, Outcome, Server,
    render::{
        BAD, CODE, ErrorShape, FAINT, GOOD, PlaceShape, ReasonShape, counted, json_line, no_answer,
        place_text, reasons, time_text, unless_empty,
    },
};

/// Shows the policy in force.
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    #[command(flatten)]
    server: Server,
}

impl Show {
    pub(crate) async fn run(&self) -> Result<Outcome, Break> {
        let mut client = self.server.client(self.server.deadline())?;
        let answer = client.policy().await;
        let mut out = anstream::stdout();
        if self.server.json {
            let shape = AnswerShape {
                schema: "admit.policy/1",
                policy: answer.as_ref().ok().map(PolicyShape::of),
                error: answer.as_ref().err().map(ErrorShape::from),
            };
            json_line(&mut out, &shape)?;
        } else {
            match &answer {
                Ok(policy) => print(&mut out, policy)?,
                Err(error) => no_answer(
                    &mut anstream::stderr(),
                    error,
                    "take the policy for one that admits nothing",
                )?,
            }
        }
        out.flush()?;
        Ok(if answer.is_ok() {
            Outcome::Yes
        } else {
            Outcome::NoAnswer
        })
    }
}

/// The name of a branch, as the decision record writes it; `None` when there is no valid record.
pub(crate) fn branch_name(branch: Branch) -> Option<&'static str> {
    match branch {
        Branch::Unspecified => None,
        Branch::NotDecided => Some("not_decided"),
        Branch::ExternalProviderApproved => Some("external_provider_approved"),
        Branch::LocalProviderRequired => Some("local_provider_required"),
    }
}

fn print(out: &mut dyn Write, policy: &Policy) -> io::Result<()> {
    match unless_empty(&policy.digest) {
        Some(digest) => writeln!(out, "policy {CODE}{digest}{CODE:#}")?,
        None => writeln!(out, "{BAD}no policy has been read yet{BAD:#}")?,
    }
    let branch = branch_name(policy.branch()).unwrap_or("no valid decision record");
    writeln!(out, "  branch    {branch}")?;
    for (name, time) in [
        ("read", &policy.read_time),
        ("verified", &policy.verify_time),
        ("expires", &policy.next_expire_time),
    ] {
        if let Some(time) = time_text(time.as_ref()) {
            writeln!(out, "  {name:<9} {time}")?;
        }
    }
    if policy.stale {
        writeln!(
            out,
            "  {BAD}STALE{BAD:#}     the policy directory could not be read for too long; real launches are denied"
        )?;
    }
    if let Some(failure) = unless_empty(&policy.read_failure) {
        writeln!(out, "  {BAD}failure{BAD:#}   {failure}")?;
    }
    for pair in &policy.pairs {
        writeln!(out)?;
        print_pair(out, pair)?;
    }
    print_more(out, policy.pairs.len(), policy.pairs_count, "pairs")?;
    for finding in &policy.findings {
        writeln!(out)?;
        print_finding(out, finding)?;
    }
    print_more(
        out,
        policy.findings.len(),
        policy.findings_count,
        "findings",
    )?;
    if !policy.work_items.is_empty() {
        writeln!(out, "\nwork items, which decide no launch")?;
    }
    for item in &policy.work_items {
        print_work_item(out, item)?;
    }
    Ok(())
}

fn print_pair(out: &mut dyn Write, pair: &Pair) -> io::Result<()> {
    let verdict = if pair.state() == PairState::Admitted {
        format!("{GOOD}ADMITTED{GOOD:#}")
    } else {
        let count = counted(pair.reasons.len(), "reason", "reasons");
        format!("{BAD}NOT ADMITTED{BAD:#}  {count}")
    };
    writeln!(out, "{} / {}  {verdict}", pair.provider, pair.model)?;
    for place in &pair.places {
        writeln!(out, "  {FAINT}at {}{FAINT:#}", place_text(place))?;
    }
    if let Some(time) = time_text(pair.expire_time.as_ref()) {
        writeln!(out, "  due for review {time}")?;
    }
    reasons(out, &pair.reasons, "  ")
}

fn print_finding(out: &mut dyn Write, finding: &Finding) -> io::Result<()> {
    writeln!(out, "{BAD}{}{BAD:#}: {}", finding.code, finding.message)?;
    if let Some(place) = &finding.place {
        writeln!(out, "  {FAINT}at {}{FAINT:#}", place_text(place))?;
    }
    if let Some(excerpt) = unless_empty(&finding.excerpt) {
        writeln!(out, "  {FAINT}|{FAINT:#} {excerpt}")?;
        let (before, underline) = underline(finding);
        writeln!(out, "  {FAINT}|{FAINT:#} {before}{BAD}{underline}{BAD:#}")?;
    }
    if !finding.help.is_empty() {
        writeln!(out, "  help: {}", finding.help)?;
    }
    Ok(())
}

/// The line below an excerpt: what stands before the underline, and the underline, never empty and
/// never past the excerpt by more than one character.
fn underline(finding: &Finding) -> (String, String) {
    let chars = finding.excerpt.chars().count();
    let start = usize::try_from(finding.underline_start)
        .unwrap_or(usize::MAX)
        .min(chars);
    let length = usize::try_from(finding.underline_length)
        .unwrap_or(usize::MAX)
        .min(chars.saturating_sub(start))
        .max(1);
    (" ".repeat(start), "^".repeat(length))
}

fn print_work_item(out: &mut dyn Write, item: &WorkItem) -> io::Result<()> {
    let status = unless_empty(&item.status).unwrap_or("no status");
    write!(out, "  {}  {status}  {}", item.id, item.title)?;
    if !item.blocked_by.is_empty() {
        write!(out, "  (blocked by {})", item.blocked_by.join(", "))?;
    }
    writeln!(out)
}

/// Says that there are more entries than the server lists.
fn print_more(out: &mut dyn Write, listed: usize, count: u32, what: &str) -> io::Result<()> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    match count.checked_sub(listed) {
        Some(more) if more > 0 => writeln!(out, "\n… and {more} more {what}"),
        Some(_) | None => Ok(()),
    }
}

#[derive(Debug, Serialize)]
struct AnswerShape<'a> {
    schema: &'static str,
    policy: Option<PolicyShape<'a>>,
    error: Option<ErrorShape<'a>>,
}

#[derive(Debug, Serialize)]
struct PolicyShape<'a> {
    digest: Option<&'a str>,
    read_time: Option<String>,
    verify_time: Option<String>,
    stale: bool,
    read_failure: Option<&'a str>,
    branch: Option<&'static str>,
    pairs: Vec<PairShape<'a>>,
    pairs_count: u32,
    findings: Vec<FindingShape<'a>>,
    findings_count: u32,
    work_items: Vec<WorkItemShape<'a>>,
    next_expire_time: Option<String>,
}

#[derive(Debug, Serialize)]
struct PairShape<'a> {
    provider: &'a str,
    model: &'a str,
    admitted: bool,
    reasons: Vec<ReasonShape<'a>>,
    places: Vec<PlaceShape<'a>>,
    expire_time: Option<String>,
}

#[derive(Debug, Serialize)]
struct FindingShape<'a> {
    code: &'a str,
    message: &'a str,
    help: &'a str,
    place: Option<PlaceShape<'a>>,
    excerpt: Option<&'a str>,
    underline_start: u32,
    underline_length: u32,
}

#[derive(Debug, Serialize)]
struct WorkItemShape<'a> {
    id: &'a str,
    title: &'a str,
    status: Option<&'a str>,
    blocked_by: &'a [String],
    place: Option<PlaceShape<'a>>,
}

impl<'a> PolicyShape<'a> {
    fn of(policy: &'a Policy) -> Self {
        Self {
            digest: unless_empty(&policy.digest),
            read_time: time_text(policy.read_time.as_ref()),
            verify_time: time_text(policy.verify_time.as_ref()),
            stale: policy.stale,
            read_failure: unless_empty(&policy.read_failure),
            branch: branch_name(policy.branch()),
            pairs: policy.pairs.iter().map(PairShape::of).collect(),
            pairs_count: policy.pairs_count,
            findings: policy.findings.iter().map(FindingShape::of).collect(),
            findings_count: policy.findings_count,
            work_items: policy.work_items.iter().map(WorkItemShape::of).collect(),
            next_expire_time: time_text(policy.next_expire_time.as_ref()),
        }
    }
}

impl<'a> PairShape<'a> {
    fn of(pair: &'a Pair) -> Self {
        Self {
            provider: &pair.provider,
            model: &pair.model,
            admitted: pair.state() == PairState::Admitted,
            reasons: ReasonShape::all(&pair.reasons),
            places: PlaceShape::all(&pair.places),
            expire_time: time_text(pair.expire_time.as_ref()),
        }
    }
}

impl<'a> FindingShape<'a> {
    fn of(finding: &'a Finding) -> Self {
        Self {
            code: &finding.code,
            message: &finding.message,
            help: &finding.help,
            place: finding.place.as_ref().map(PlaceShape::of),
            excerpt: unless_empty(&finding.excerpt),
            underline_start: finding.underline_start,
            underline_length: finding.underline_length,
        }
    }
}

impl<'a> WorkItemShape<'a> {
    fn of(item: &'a WorkItem) -> Self {
        Self {
            id: &item.id,
            title: &item.title,
            status: unless_empty(&item.status),
            blocked_by: &item.blocked_by,
            place: item.place.as_ref().map(PlaceShape::of),
        }
    }
}

#[cfg(test)]
mod tests;
