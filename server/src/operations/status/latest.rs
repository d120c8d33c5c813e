//! The latest entries of the audit log, read from the log itself: what is not in it did not happen.
//!
//! A bounded part of its end is read. Deliberately absent: whether the log is whole, which takes all of it
//! (`admitd audit verify`); a line that is no whole link of a chain is only counted.

use std::{collections::VecDeque, fs, io, path::Path};

use admit_policy::Timestamp;

use super::{ROWS_MAX, moment::Moment, safe};
use crate::{
    audit::{
        current::describe,
        names::HMAC_PREFIX,
        record::{Decision, Entry, Evidence, Lane, Refusal, Verdict, evidence::EvidenceVerdict},
        segment::{self, Lines, SegmentFile},
    },
    caller::{RefusalCause, Rpc, Via},
};

/// Most bytes of each segment that are read, from its end.
const TAIL_BYTES_MAX: u64 = 512 * 1024;
/// Most segments that are read: the newest may have just begun.
const SEGMENTS_MAX: usize = 3;
/// Most reasons of one entry; there are fewer codes.
const REASONS_MAX: usize = 64;

/// The latest entries, the newest first.
#[derive(Debug, Default)]
pub(super) struct Latest {
    pub(super) rows: Vec<LatestRow>,
    /// Lines that cannot be read as entries.
    pub(super) damaged: usize,
    /// Whether the log could not be read at all.
    pub(super) is_unreadable: bool,
}

/// An entry.
#[derive(Debug)]
pub(super) struct LatestRow {
    pub(super) seq: u64,
    /// None when the log has no time there.
    pub(super) at: Option<Moment>,
    /// The class of the badge.
    pub(super) class: &'static str,
    pub(super) badge: &'static str,
    pub(super) lane: &'static str,
    pub(super) is_dry_run: bool,
    /// The operator's name for who asked; none when the log does not tell.
    pub(super) asked_by: Option<String>,
    /// The provider and the model; none for an entry that is about none.
    pub(super) pair: Option<[String; 2]>,
    pub(super) reasons: Vec<String>,
    /// What an entry says that is no verdict.
    pub(super) note: Option<String>,
}

impl Latest {
    /// The latest entries of the log in `dir`.
    pub(super) fn read(dir: &Path, now: Timestamp) -> Self {
        let mut latest = Self::default();
        if latest.read_segments(dir, now).is_err() {
            latest.is_unreadable = true;
        }
        latest
    }

    fn read_segments(&mut self, dir: &Path, now: Timestamp) -> io::Result<()> {
        for segment in segment::list(dir)?.iter().rev().take(SEGMENTS_MAX) {
            let lines = match last_lines(segment) {
                Ok(lines) => lines,
                // It was retired in the meantime.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            for line in lines.iter().rev() {
                match Entry::read(line) {
                    Ok((links, entry)) => {
                        let seq = links.seq.unwrap_or_default();
                        self.rows.extend(LatestRow::of(seq, &entry, now));
                    }
                    Err(_) => self.damaged = self.damaged.saturating_add(1),
                }
                if self.rows.len() >= ROWS_MAX {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Every code that stands in a row.
    pub(super) fn codes(&self) -> impl Iterator<Item = &str> {
        let rows = self.rows.iter();
        rows.flat_map(|row| row.reasons.iter().map(String::as_str))
    }
}

/// The last whole lines of a segment: some more than are shown, as headers and checkpoints are no entries.
fn last_lines(segment: &SegmentFile) -> io::Result<VecDeque<Vec<u8>>> {
    const LINES_MAX: usize = ROWS_MAX + 2;
    let length = fs::metadata(&segment.path)?.len();
    let start = length.saturating_sub(TAIL_BYTES_MAX);
    let mut lines = Lines::open_at(&segment.path, start)?;
    if start > 0 {
        // What is left of the line in which the tail begins.
        lines.next_line()?;
    }
    let mut last = VecDeque::with_capacity(LINES_MAX);
    // What is appended meanwhile is for the next look.
    while lines.offset() < length {
        match lines.next_line()? {
            Some(line) if line.is_ended => {
                if last.len() == LINES_MAX {
                    last.pop_front();
                }
                last.push_back(line.bytes);
            }
            // It is being written.
            Some(_) | None => break,
        }
    }
    Ok(last)
}

impl LatestRow {
    /// `None` for what is no entry.
    fn of(seq: u64, entry: &Entry, now: Timestamp) -> Option<Self> {
        let (time, badge, note) = match entry {
            Entry::Decision(decision) => return Some(Self::decision(seq, decision, now)),
            Entry::Evidence(evidence) => return Some(Self::evidence(seq, evidence, now)),
            Entry::Refused(refusal) => return Some(Self::refusal(seq, refusal, now)),
            Entry::Segment(_) | Entry::Checkpoint(_) => return None,
            Entry::Gap(gap) => {
                let (refused, why) = (gap.refused, describe(gap.cause));
                let note = format!("{refused} requests got no answer before this: {why}");
                (&gap.time, "GAP", note)
            }
            Entry::Recovered(recovered) => {
                let bytes = recovered.torn_bytes;
                let note = format!("a torn tail of {bytes} bytes was set aside after a crash");
                (&recovered.time, "RECOVERED", note)
            }
            Entry::Rejected(rejected) => {
                let (spans, first, last) =
                    (rejected.rejected, rejected.first_seq, rejected.last_seq);
                let note =
                    format!("the receiver refused {spans} spans of entries {first} to {last}");
                (&rejected.time, "SPANS REFUSED", note)
            }
            Entry::Retired(retired) => {
                let last = retired.last_seq;
                let note =
                    format!("entries up to {last} were deleted at the end of their retention");
                (&retired.time, "RETIRED", note)
            }
        };
        Some(Self {
            note: Some(note),
            ..Self::new(seq, time, now, ("warn", badge))
        })
    }

    fn new(seq: u64, time: &str, now: Timestamp, badge: (&'static str, &'static str)) -> Self {
        let (class, badge) = badge;
        Self {
            seq,
            at: Timestamp::parse(time).map(|at| Moment::new(at, now)),
            class,
            badge,
            lane: "",
            is_dry_run: false,
            asked_by: None,
            pair: None,
            reasons: Vec::new(),
            note: None,
        }
    }

    fn decision(seq: u64, decision: &Decision, now: Timestamp) -> Self {
        let badge = match decision.verdict {
            Verdict::Allow => ("good", "ALLOW"),
            Verdict::Deny => ("bad", "DENY"),
        };
        Self {
            lane: lane(decision.facts.lane),
            is_dry_run: decision.dry_run,
            asked_by: decision.caller.as_deref().map(safe),
            pair: Some([&decision.facts.provider, &decision.facts.model].map(|text| name(text))),
            reasons: reasons(&decision.reasons),
            ..Self::new(seq, &decision.time, now, badge)
        }
    }

    fn evidence(seq: u64, evidence: &Evidence, now: Timestamp) -> Self {
        let badge = match evidence.verdict {
            EvidenceVerdict::Accepted => ("good", "ACCEPTED"),
            EvidenceVerdict::Rejected => ("bad", "REJECTED"),
        };
        let permit = evidence.permit.as_ref();
        Self {
            lane: permit.map_or("", |permit| lane(permit.lane)),
            pair: permit.map(|permit| [&permit.provider, &permit.model].map(|text| name(text))),
            reasons: reasons(&evidence.reasons),
            asked_by: evidence.caller.as_deref().map(safe),
            note: Some("evidence of a run".into()),
            ..Self::new(seq, &evidence.time, now, badge)
        }
    }

    fn refusal(seq: u64, refusal: &Refusal, now: Timestamp) -> Self {
        let count = refusal.count;
        let calls = if count == 1 { "call" } else { "calls" };
        let rpc = refusal.rpc.map(Rpc::from);
        let called = rpc.map_or("none of the contract", Rpc::as_str);
        let via = Via::from(refusal.via).as_str();
        let note = format!("{count} {calls} of {called} over {via}");
        Self {
            asked_by: refusal.caller.as_deref().map(safe),
            reasons: vec![RefusalCause::from(refusal.cause).as_str().to_owned()],
            note: Some(note),
            ..Self::new(seq, &refusal.until, now, ("warn", "REFUSED"))
        }
    }
}

fn reasons(reasons: &[String]) -> Vec<String> {
    let first = reasons.iter().take(REASONS_MAX);
    first.map(|code| safe(code)).collect()
}

fn lane(lane: Lane) -> &'static str {
    match lane {
        Lane::Unspecified => "no lane",
        Lane::Fake => "fake",
        Lane::Real => "real",
    }
}

/// A provider or a model; of one that the policy does not name, the log knows only that it was there.
fn name(recorded: &str) -> String {
    if recorded.is_empty() {
        "(none)".into()
    } else if recorded.starts_with(HMAC_PREFIX) {
        "(not in the policy)".into()
    } else {
        safe(recorded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_who_called_what_and_why_it_was_refused() {
        for (rpc, called) in [
            ("\"check-evidence\"", "CheckEvidence"),
            ("null", "none of the contract"),
        ] {
            let line = format!(
                r#"{{"type":"refused","since":"2027-01-01T00:00:00Z","until":"2027-01-01T00:00:09Z","caller":"hermes","via":"tls","rpc":{rpc},"cause":"rpc-not-granted","count":7}}"#
            );
            let entry: Entry = serde_json::from_str(&line).unwrap();
            let now = Timestamp::parse("2027-01-01T00:00:19Z").unwrap();
            let row = LatestRow::of(3, &entry, now).unwrap();
            assert_eq!((row.seq, row.badge, row.class), (3, "REFUSED", "warn"));
            assert_eq!(row.asked_by.as_deref(), Some("hermes"));
            assert_eq!(row.note, Some(format!("7 calls of {called} over tls")));
            assert_eq!(row.reasons, ["rpc-not-granted"]);
            assert_eq!(row.at.unwrap().relative, "10 s ago");
        }
    }
}
