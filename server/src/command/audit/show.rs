//! `admitd audit show`: everything about one entry, for whoever asks "why".

mod evidence;
mod refusal;

use std::io::Write;

use serde::Serialize;
use uuid::Uuid;

use super::{
    AuditError, Log, Outcome, Place,
    find::{self, Found},
    render::{
        BAD, FAINT, STRONG, WARNING, gate, lane, line, name, pair, status, text, verdict, word,
    },
};
use crate::audit::{
    chain::{self, Links},
    names::Names,
    record::{CaseConfig, Decision, Entry, Facts, ModelEntry, Trace},
    segment::{Lines, SegmentFile},
};

/// Shows entries.
#[derive(Debug, clap::Args)]
pub struct Show {
    #[command(flatten)]
    place: Place,
    /// A sequence number, or the id of a decision or of a verdict on evidence.
    #[arg(value_name = "SEQ|ID", value_parser = wanted,
          required_unless_present_any = ["run", "host"], conflicts_with_all = ["run", "host"])]
    entry: Option<Wanted>,
    /// The decisions and the evidence of the run with this id. Needs the key of the log's names.
    #[arg(long, value_name = "RUN_ID")]
    run: Option<String>,
    /// The decisions about launches on this host, and their evidence. Needs the key of the log's names.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Prints the lines of the log as they are.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Copy, Debug)]
enum Wanted {
    Seq(u64),
    Id(Uuid),
}

fn wanted(text: &str) -> Result<Wanted, String> {
    if let Ok(seq) = text.parse() {
        return Ok(Wanted::Seq(seq));
    }
    let id = Uuid::try_parse(text).map_err(|_| "is no sequence number and no UUID".to_owned());
    id.map(Wanted::Id)
}

impl Show {
    pub(super) fn run(&self, to: &mut impl Write) -> Result<Outcome, AuditError> {
        let log = self.place.log()?;
        match self.entry {
            Some(wanted) => self.one(&log, wanted, to),
            None => self.of_names(&log, to),
        }
    }

    fn one(&self, log: &Log, wanted: Wanted, to: &mut impl Write) -> Result<Outcome, AuditError> {
        let found = match wanted {
            Wanted::Seq(seq) => find::by_seq(log, seq),
            Wanted::Id(id) => find::newest(log, &format!("\"id\":\"{}\"", id.hyphenated())),
        };
        match found.map_err(log.unreadable())? {
            Some(found) => self.show(&found, to),
            None => {
                let what = match wanted {
                    Wanted::Seq(seq) => format!("no entry {seq}"),
                    Wanted::Id(id) => format!("no decision `{id}`"),
                };
                writeln!(anstream::stderr(), "admitd: the log has {what}")?;
                Ok(Outcome::Bad)
            }
        }
    }

    fn of_names(&self, log: &Log, to: &mut impl Write) -> Result<Outcome, AuditError> {
        let key = log.needed_key()?;
        let names = Names::of(None, key.clone());
        let closed = |kind: &str, closed: String| format!("\"{kind}\":\"{closed}\"");
        let run = self
            .run
            .as_deref()
            .map(|run| closed("run", names.close_run(run)));
        let host = self
            .host
            .as_deref()
            .map(|host| closed("host", names.close_host(host)));
        let texts: Vec<String> = run.into_iter().chain(host).collect();
        let mut outcome = Outcome::Bad;
        let mut shown = 0_u64;
        let others = find::all(log, key.identity(), &texts, |found, progress| {
            shown = shown.saturating_add(1);
            outcome = progress.aside(|| {
                if shown > 1 && !self.json {
                    writeln!(to)?;
                }
                self.show(&found, to)
            })?;
            Ok::<_, AuditError>(())
        })?;
        if others > 0 {
            writeln!(
                anstream::stderr(),
                "admitd: segments that could not be searched, because another names key was in \
                 force then: {others}"
            )?;
        }
        if shown == 0 {
            writeln!(anstream::stderr(), "admitd: the log has no such decision")?;
        }
        Ok(outcome)
    }

    /// Shows one line; whether it is whole.
    fn show(&self, found: &Found, to: &mut impl Write) -> Result<Outcome, AuditError> {
        let Found { segment, line } = found;
        let links = chain::check(&line.bytes);
        if self.json {
            to.write_all(&line.bytes)?;
            writeln!(to)?;
        } else if let Ok(entry) = serde_json::from_slice::<Entry>(&line.bytes) {
            let seq = find::seq_of(&line.bytes).unwrap_or_default();
            writeln!(
                to,
                "{STRONG}entry {seq}{STRONG:#} of log {}",
                stream_id(segment)
            )?;
            let (name, number, offset) = (segment.name(), line.number, line.offset);
            row(to, "file", &format!("{name}, line {number}, byte {offset}"))?;
            print(to, seq, &entry, links.as_ref().ok())?;
        }
        match links {
            Ok(_) => Ok(Outcome::Good),
            Err(fault) => {
                writeln!(
                    anstream::stderr(),
                    "{BAD}damaged{BAD:#}: `{}`, line {} (byte {}): {fault}; see `admitd audit verify`",
                    segment.name(),
                    line.number,
                    line.offset,
                )?;
                Ok(Outcome::Bad)
            }
        }
    }
}

/// The identity of the log, as the segment's header states it.
fn stream_id(segment: &SegmentFile) -> String {
    let first = Lines::open(&segment.path).and_then(|mut lines| lines.next_line());
    let header = first.ok().flatten();
    match header.map(|line| serde_json::from_slice(&line.bytes)) {
        Some(Ok(Entry::Segment(header))) => text(&header.stream_id),
        Some(_) | None => "(unknown)".into(),
    }
}

fn row(to: &mut impl Write, label: &str, value: &str) -> Result<(), AuditError> {
    writeln!(to, "  {FAINT}{label:<24}{FAINT:#} {value}")?;
    Ok(())
}

fn print(
    to: &mut impl Write,
    seq: u64,
    entry: &Entry,
    links: Option<&Links>,
) -> Result<(), AuditError> {
    match entry {
        Entry::Decision(decision) => print_decision(to, decision)?,
        Entry::Evidence(evidence) => evidence::print(to, evidence)?,
        Entry::Refused(refusal) => refusal::print(to, refusal)?,
        Entry::Segment(_)
        | Entry::Gap(_)
        | Entry::Recovered(_)
        | Entry::Rejected(_)
        | Entry::Retired(_)
        | Entry::Checkpoint(_) => line(to, seq, entry)?,
    }
    if let Some(links) = links {
        row(to, "prev", &links.prev)?;
        row(to, "hash", &links.hash)?;
    }
    Ok(())
}

fn print_decision(to: &mut impl Write, decision: &Decision) -> Result<(), AuditError> {
    row(to, "decision", &text(&decision.id))?;
    let elapsed_us = decision.elapsed_us;
    row(
        to,
        "time",
        &format!("{}, ready after {elapsed_us} µs", text(&decision.time)),
    )?;
    let dry_run = if decision.dry_run {
        format!(" {WARNING}dry run: nothing is started on it{WARNING:#}")
    } else {
        String::new()
    };
    row(
        to,
        "verdict",
        &format!("{}{dry_run}", verdict(decision.verdict)),
    )?;
    row(to, "admission status", status(decision.admission_status))?;
    match (&decision.policy, &decision.basis) {
        (None, _) => row(to, "policy", "none had been read yet")?,
        (Some(policy), basis) => {
            let verified = decision.unverified_ns.unwrap_or_default() / 1_000_000;
            row(to, "policy", &text(policy))?;
            row(to, "policy verified", &format!("{verified} ms before"))?;
            row(to, "basis", &text(basis.as_deref().unwrap_or("none")))?;
        }
    }
    print_caller(to, decision.caller.as_deref())?;
    print_trace(to, decision.trace.as_ref())?;
    print_reasons(to, &decision.reasons, "gate", |code| {
        gate(code).map(|gate| (gate.denies(), gate.help()))
    })?;
    row(to, "pair", &pair(decision))?;
    print_facts(to, &decision.facts)
}

/// Entries of versions that did not record who asked do not tell.
fn print_caller(to: &mut impl Write, caller: Option<&str>) -> Result<(), AuditError> {
    caller.map_or(Ok(()), |caller| row(to, "caller", &text(caller)))
}

fn print_trace(to: &mut impl Write, trace: Option<&Trace>) -> Result<(), AuditError> {
    if let Some(trace) = trace {
        row(to, "trace", &text(&trace.id))?;
        row(to, "parent span", &text(&trace.parent))?;
        row(to, "trace flags", &text(&trace.flags))?;
    }
    Ok(())
}

/// Prints every code with its meaning and its help, as far as this version has the rule.
fn print_reasons(
    to: &mut impl Write,
    reasons: &[String],
    rule: &str,
    explained: impl Fn(&str) -> Option<(&'static str, &'static str)>,
) -> Result<(), AuditError> {
    for (at, code) in reasons.iter().enumerate() {
        let rank = if at == 0 { "because" } else { "and" };
        match explained(code) {
            Some((when, help)) => {
                row(to, rank, &format!("{STRONG}{code}{STRONG:#}: {when}"))?;
                row(to, "", &format!("help: {help}"))?;
            }
            None => row(
                to,
                rank,
                &format!("{} (no {rule} of this version)", text(code)),
            )?,
        }
    }
    Ok(())
}

fn words(values: &[impl Serialize]) -> String {
    if values.is_empty() {
        "none".into()
    } else {
        values.iter().map(word).collect::<Vec<_>>().join(", ")
    }
}

/// A text that may be missing, with what it means then.
fn or<'a>(value: Option<&'a str>, missing: &'a str) -> String {
    text(value.unwrap_or(missing))
}

fn print_facts(to: &mut impl Write, facts: &Facts) -> Result<(), AuditError> {
    row(to, "lane", lane(facts.lane))?;
    row(to, "stage", &facts.stage.to_string())?;
    row(to, "host", &text(&facts.host))?;
    row(to, "run", &text(&facts.run))?;
    row(to, "provider", &named(&facts.provider))?;
    row(to, "model", &named(&facts.model))?;
    row(
        to,
        "expected policy",
        &or(facts.expected_policy.as_deref(), "any"),
    )?;
    row(
        to,
        "host's admission file",
        &or(facts.admission_file.as_deref(), "none"),
    )?;
    row(
        to,
        "credential source class",
        &named(&facts.credential_source_class),
    )?;
    print_case_config(to, facts.case_config.as_ref())?;
    row(to, "CASE_MODEL_OVERRIDE", &word(&facts.case_model_override))?;
    row(to, "--model", &word(&facts.model_flag))?;
    row(to, "--agent", &word(&facts.agent_flag))?;
    let credentials = facts.visible_credentials.as_deref();
    row(
        to,
        "visible credentials",
        &credentials.map_or("nobody looked".into(), words),
    )?;
    row(to, "target repository", &word(&facts.target_repository))?;
    match &facts.secret_scan {
        None => row(to, "search for secrets", "none")?,
        Some(scan) => {
            row(
                to,
                "search for secrets",
                &format!("covered {}", words(&scan.covered)),
            )?;
            row(to, "secrets found", &words(&scan.findings))?;
        }
    }
    row(
        to,
        "secret in the request",
        if facts.has_secret { "yes" } else { "no" },
    )?;
    row(to, "fixture", &word(&facts.fixture))?;
    row(to, "fake baseline", &word(&facts.fake_baseline))?;
    let local = &facts.local_provider;
    row(to, "local base URL", &word(&local.base_url))?;
    let scope = local
        .endpoint_scope
        .map_or("unstated".into(), |scope| word(&scope));
    row(to, "endpoint scope", &scope)?;
    row(to, "Pi's models.json", &word(&local.adapter))?;
    row(to, "served model", &word(&local.served_model))
}

fn print_case_config(to: &mut impl Write, config: Option<&CaseConfig>) -> Result<(), AuditError> {
    match config {
        None => row(to, "case config", "none")?,
        Some(CaseConfig::Fault(fault)) => row(to, "case config", &word(fault))?,
        Some(CaseConfig::Models(models)) => {
            for (role, entry) in models {
                let entry = match entry {
                    ModelEntry::Falsy => "falsy".into(),
                    ModelEntry::Malformed => "malformed".into(),
                    ModelEntry::Pair(provider, model) => {
                        format!("{}/{}", name(provider), name(model))
                    }
                };
                row(to, "case config", &format!("{}: {entry}", text(role)))?;
            }
        }
    }
    Ok(())
}

/// A name with its closed form, which equal names share.
fn named(recorded: &str) -> String {
    if recorded.is_empty() {
        "-".into()
    } else {
        text(recorded)
    }
}
