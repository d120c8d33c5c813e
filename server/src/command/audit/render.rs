//! Entries for a person: one on a line, or everything about one.
//!
//! A text of the log is made safe to show, because a log may have been edited. Deliberately absent:
//! JSON, which is the raw line.

use std::io::{self, Write};

use admit_policy::{Code, EvidenceCode, Timestamp, text::shown};
use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::audit::{
    current::describe,
    names::HMAC_PREFIX,
    record::{
        AdmissionStatus, Decision, Entry, Evidence, Lane, Refusal, Verdict,
        evidence::EvidenceVerdict,
    },
};

/// The style of what is good.
pub(super) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// The style of what is bad.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// The style of what stands out.
pub(super) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// The style of what a line is about.
pub(super) const STRONG: Style = Style::new().bold();
/// The style of what stands beside the matter.
pub(super) const FAINT: Style = Style::new().dimmed();

/// Longest text of the log that is shown, in characters; whatever admitd writes is shorter.
const TEXT_CHARS_MAX: usize = 512;
/// How much of a digest tells two policies apart for a person.
const SHORT_DIGEST_CHARS: usize = 8;

/// `count` of something, in words.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A text of the log, safe to show.
pub(super) fn text(text: &str) -> String {
    shown(text, TEXT_CHARS_MAX)
}

/// A time as it stands in every line: to the millisecond, so that the columns stand still.
pub(super) fn time(recorded: &str) -> String {
    const SECONDS_CHARS: usize = "2026-01-01T00:00:00".len();
    let columns = Timestamp::parse(recorded).and_then(|time| {
        let (_, nanos) = time.unix();
        let written = time.to_string();
        let seconds = written.get(..SECONDS_CHARS)?;
        Some(format!("{seconds}.{:03}Z", nanos / 1_000_000))
    });
    columns.unwrap_or_else(|| text(recorded))
}

/// A provider or a model; a name that nobody could guess from the log is only known to be there.
pub(super) fn name(recorded: &str) -> String {
    if recorded.is_empty() {
        "-".into()
    } else if recorded.starts_with(HMAC_PREFIX) {
        "(closed)".into()
    } else {
        text(recorded)
    }
}

/// A provider and a model.
pub(super) fn names(provider: &str, model: &str) -> String {
    match (name(provider), name(model)) {
        (provider, model) if provider == model => provider,
        (provider, model) => format!("{provider}/{model}"),
    }
}

/// The pair that a launch asked for.
pub(super) fn pair(decision: &Decision) -> String {
    names(&decision.facts.provider, &decision.facts.model)
}

/// The pair that the permit of a run admits.
pub(super) fn permit_pair(evidence: &Evidence) -> String {
    match &evidence.permit {
        None => "-".into(),
        Some(permit) => names(&permit.provider, &permit.model),
    }
}

/// A verdict in its color.
pub(super) fn verdict(verdict: Verdict) -> String {
    match verdict {
        Verdict::Allow => format!("{GOOD}ALLOW{GOOD:#}"),
        Verdict::Deny => format!("{BAD}DENY{BAD:#}"),
    }
}

/// A verdict on evidence in its color.
pub(super) fn evidence_verdict(verdict: EvidenceVerdict) -> String {
    match verdict {
        EvidenceVerdict::Accepted => format!("{GOOD}ACCEPTED{GOOD:#}"),
        EvidenceVerdict::Rejected => format!("{BAD}REJECTED{BAD:#}"),
    }
}

/// The primary reason, and how many more there are.
pub(super) fn reasons(reasons: &[String]) -> String {
    match reasons {
        [] => String::new(),
        [primary] => text(primary),
        [primary, others @ ..] => format!("{} +{}", text(primary), others.len()),
    }
}

/// The name of a lane.
pub(super) fn lane(lane: Lane) -> &'static str {
    match lane {
        Lane::Unspecified => "-",
        Lane::Fake => "fake",
        Lane::Real => "real",
    }
}

/// What a report states as `case_model_admission_status`.
pub(super) fn status(status: AdmissionStatus) -> &'static str {
    match status {
        AdmissionStatus::Admitted => "admitted",
        AdmissionStatus::NotAdmitted => "not_admitted",
        AdmissionStatus::NotRequired => "not_required",
    }
}

/// A word of the closed schema, as it stands in the log.
pub(super) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => text(&word),
        Ok(other) => text(&other.to_string()),
        Err(_) => String::new(),
    }
}

/// Who asked, behind what else a line says; nothing when the entry does not tell.
pub(super) fn asked_by(caller: Option<&str>) -> String {
    caller.map_or_else(String::new, |caller| format!(", caller {}", text(caller)))
}

/// The gate of a recorded code.
pub(super) fn gate(code: &str) -> Option<Code> {
    Code::ALL.into_iter().find(|known| known.as_str() == code)
}

/// The check of a recorded code.
pub(super) fn check(code: &str) -> Option<EvidenceCode> {
    EvidenceCode::ALL
        .into_iter()
        .find(|known| known.as_str() == code)
}

/// Prints the entry `seq` on one line. Headers and checkpoints are no entries and are not printed.
pub(super) fn line(to: &mut impl Write, seq: u64, entry: &Entry) -> io::Result<()> {
    let (at, what) = match entry {
        Entry::Decision(decision) => return decision_line(to, seq, decision),
        Entry::Evidence(evidence) => return evidence_line(to, seq, evidence),
        Entry::Segment(_) | Entry::Checkpoint(_) => return Ok(()),
        Entry::Refused(refusal) => (&refusal.until, refused(refusal)),
        Entry::Gap(gap) => {
            let requests = counted(gap.refused, "request was", "requests were");
            let why = describe(gap.cause);
            let what = format!("GAP: {requests} refused unrecorded before this: {why}");
            (&gap.time, what)
        }
        Entry::Recovered(recovered) => {
            let bytes = counted(recovered.torn_bytes, "byte", "bytes");
            let what = format!("RECOVERED: a torn tail of {bytes} was set aside after a crash");
            (&recovered.time, what)
        }
        Entry::Rejected(rejected) => {
            let spans = counted(rejected.rejected, "span", "spans");
            let (first, last) = (rejected.first_seq, rejected.last_seq);
            let what = format!(
                "REJECTED: the receiver refused {spans} of entries {first} to {last} for good (gRPC code {})",
                rejected.grpc_code
            );
            (&rejected.time, what)
        }
        Entry::Retired(retired) => {
            let last = retired.last_seq;
            let what =
                format!("RETIRED: entries up to {last} were deleted at the end of their retention");
            (&retired.time, what)
        }
    };
    writeln!(
        to,
        "{FAINT}{}{FAINT:#} {seq:>8} {WARNING}{what}{WARNING:#}",
        time(at)
    )
}

/// What was called; server reflection, for one, is none of the contract.
pub(super) fn called(refusal: &Refusal) -> String {
    match &refusal.rpc {
        Some(rpc) => word(rpc),
        None => "none of the contract".into(),
    }
}

fn refused(refusal: &Refusal) -> String {
    let calls = counted(refusal.count, "call", "calls");
    let (called, via) = (called(refusal), word(&refusal.via));
    let who = match &refusal.caller {
        Some(caller) => format!("caller {}", text(caller)),
        None => "no known caller".into(),
    };
    let (cause, since) = (word(&refusal.cause), time(&refusal.since));
    format!("REFUSED: {calls} of {called} over {via}, {who}: {cause}, since {since}")
}

fn decision_line(to: &mut impl Write, seq: u64, decision: &Decision) -> io::Result<()> {
    let policy = match &decision.policy {
        Some(digest) => digest.chars().take(SHORT_DIGEST_CHARS).collect(),
        None => "none".to_owned(),
    };
    let column = match decision.verdict {
        Verdict::Allow => "",
        Verdict::Deny => " ",
    };
    write!(
        to,
        "{FAINT}{}{FAINT:#} {seq:>8} {}{column} {:<4} {}",
        time(&decision.time),
        verdict(decision.verdict),
        lane(decision.facts.lane),
        pair(decision),
    )?;
    if !decision.reasons.is_empty() {
        write!(to, " {STRONG}{}{STRONG:#}", reasons(&decision.reasons))?;
    }
    let dry_run = if decision.dry_run { ", dry run" } else { "" };
    let caller = asked_by(decision.caller.as_deref());
    let policy = text(&policy);
    writeln!(to, " {FAINT}policy {policy}{dry_run}{caller}{FAINT:#}")
}

fn evidence_line(to: &mut impl Write, seq: u64, evidence: &Evidence) -> io::Result<()> {
    write!(
        to,
        "{FAINT}{}{FAINT:#} {seq:>8} {} evidence {}",
        time(&evidence.time),
        evidence_verdict(evidence.verdict),
        permit_pair(evidence),
    )?;
    if !evidence.reasons.is_empty() {
        write!(to, " {STRONG}{}{STRONG:#}", reasons(&evidence.reasons))?;
    }
    let beside = [
        ("decision", evidence.decision.as_deref()),
        ("caller", evidence.caller.as_deref()),
    ];
    let beside: Vec<String> = beside
        .into_iter()
        .filter_map(|(what, value)| Some(format!("{what} {}", text(value?))))
        .collect();
    if beside.is_empty() {
        return writeln!(to);
    }
    writeln!(to, " {FAINT}{}{FAINT:#}", beside.join(", "))
}
