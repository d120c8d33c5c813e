//! `admitd audit replay`: every recorded decision derived again, as it was or under edited documents,
//! and every verdict on evidence.
//!
//! The chain is checked on the way, so that what is derived is what was recorded. Deliberately
//! absent: the deriving itself ([`crate::audit::replay`]).

mod evidence;
mod findings;

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use admit_policy::Snapshot;

use self::findings::{Counts, Ended, Output, SCHEMA, answer_text, head};
use super::{AuditError, Log, Outcome, Place, damage::Before, json_line, progress::Progress};
use crate::{
    audit::{
        chain::Links,
        keys::NamesKey,
        record::{Decision, Entry},
        replay::{Answer, Change, Edited, Fault, Judgment, Replayer},
        verify::{Known, verify_deriving},
    },
    store::scan::{Limits, scan},
};

/// Derives decisions again.
#[derive(Debug, clap::Args)]
pub struct Replay {
    #[command(flatten)]
    place: Place,
    /// Edited documents: shows the past decisions that they would flip, all else as it was. Needs the
    /// key of the log's names.
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// Prints one versioned object a line, the last one with the counts.
    #[arg(long)]
    pub(super) json: bool,
}

/// The edit that past decisions are held against.
struct Against {
    edited: Edited,
    /// How many findings the documents have.
    findings: usize,
    key: NamesKey,
}

/// What an entry was derived to.
enum Derived {
    /// It is none that is derived.
    Nothing,
    Decision(Result<Answer, Fault>),
    Evidence(Result<Judgment, Fault>),
}

/// Derives an entry, or holds it against the edit.
fn derive(replayer: &Replayer, against: Option<&Against>, entry: &Entry) -> Derived {
    match (entry, against) {
        (Entry::Decision(decision), Some(against)) => {
            Derived::Decision(replayer.derive_under(&against.edited, decision))
        }
        (Entry::Decision(decision), None) => Derived::Decision(replayer.derive(decision)),
        (Entry::Evidence(evidence), None) => Derived::Evidence(Judgment::derive(evidence)),
        // No document has a part in a verdict on evidence, so an edit flips none.
        (Entry::Evidence(_), Some(_))
        | (
            Entry::Segment(_)
            | Entry::Refused(_)
            | Entry::Gap(_)
            | Entry::Recovered(_)
            | Entry::Rejected(_)
            | Entry::Retired(_)
            | Entry::Checkpoint(_),
            _,
        ) => Derived::Nothing,
    }
}

/// The work in progress.
struct Replaying<'a, W> {
    against: Option<&'a Against>,
    to: &'a mut W,
    progress: &'a Progress,
    is_json: bool,
    counts: Counts,
    last: Before,
    /// Whether the names of the segment are closed with the key at hand.
    is_own_key: bool,
    /// Why nothing more can be written; nothing is derived from then on.
    failed: Option<AuditError>,
}

impl Replay {
    pub(super) fn run(&self, to: &mut impl Write) -> Result<Outcome, AuditError> {
        let log = self.place.log()?;
        let against = self.against.as_deref().map(|dir| Against::read(&log, dir));
        let against = against.transpose()?;
        let doing = if against.is_some() {
            "comparing"
        } else {
            "replaying"
        };
        let progress = Progress::of_bytes(log.bytes(), doing);
        let replayer = Replayer::new(&log.dir, log.key()?);
        let mut replaying = Replaying {
            against: against.as_ref(),
            to,
            progress: &progress,
            is_json: self.json,
            counts: Counts::default(),
            last: None,
            is_own_key: true,
            failed: None,
        };
        let verified = verify_deriving(
            &log.dir,
            &Known::default(),
            |entry| derive(&replayer, against.as_ref(), entry),
            |links, entry, derived, bytes| {
                replaying.line(links, entry, derived);
                replaying.progress.at(bytes);
            },
        );
        let Replaying {
            to,
            counts,
            last,
            failed,
            ..
        } = replaying;
        progress.end();
        if let Some(error) = failed {
            return Err(error);
        }
        let damage = match verified {
            Ok(_) => None,
            Err(error) => Some(log.not_verified(error)?),
        };
        let ended = Ended {
            log: &log,
            counts: &counts,
            against: against.as_ref(),
            last: &last,
            damage: damage.as_ref(),
        };
        if self.json {
            ended.json(to)?;
        } else {
            ended.plain(to)?;
        }
        Ok(ended.outcome())
    }
}

impl Against {
    fn read(log: &Log, dir: &Path) -> Result<Self, AuditError> {
        let key = log.needed_key()?;
        let reading = scan(dir, &Limits::DEFAULT)?;
        let snapshot = Snapshot::build_with_strays(&reading.files, reading.strays);
        let edited = Edited::of(&snapshot, &key).ok_or(AuditError::Edited)?;
        Ok(Self {
            edited,
            findings: snapshot.findings().len(),
            key,
        })
    }
}

impl<W: Write> Replaying<'_, W> {
    fn line(&mut self, links: &Links, entry: &Entry, derived: &Derived) {
        if self.failed.is_some() {
            return;
        }
        if let Entry::Segment(header) = entry {
            let key = self.against.map(|against| against.key.identity());
            self.is_own_key = key.is_none_or(|key| key == header.names_key);
        }
        let seq = links.seq.unwrap_or_default();
        let written = match (entry, derived) {
            (Entry::Decision(decision), Derived::Decision(derived)) => {
                self.decision(seq, decision, derived)
            }
            (Entry::Evidence(evidence), Derived::Evidence(derived)) => {
                self.evidence(seq, evidence, derived)
            }
            (_, Derived::Nothing | Derived::Decision(_) | Derived::Evidence(_)) => Ok(()),
        };
        self.failed = written.err();
        if let Some(seq) = links.seq {
            self.last = Some((seq, links.hash.clone()));
        }
    }

    fn decision(
        &mut self,
        seq: u64,
        decision: &Decision,
        derived: &Result<Answer, Fault>,
    ) -> Result<(), AuditError> {
        let counts = &mut self.counts;
        counts.decisions = counts.decisions.saturating_add(1);
        if self.against.is_some() && !self.is_own_key {
            counts.other_key = counts.other_key.saturating_add(1);
            return Ok(());
        }
        let recorded = Answer::recorded(decision);
        let derived = match derived {
            Ok(derived) => derived,
            Err(fault) => {
                counts.underivable = counts.underivable.saturating_add(1);
                return self.underivable(seq, decision, &recorded, fault);
            }
        };
        if self.against.is_some() {
            let change = Change::between(&recorded, derived);
            let count = counts.changes.entry(change).or_default();
            *count = count.saturating_add(1);
            return self.flip(seq, decision, &recorded, derived, change);
        }
        if recorded == *derived {
            counts.same = counts.same.saturating_add(1);
            Ok(())
        } else {
            counts.differing = counts.differing.saturating_add(1);
            self.difference(seq, decision, &recorded, derived)
        }
    }

    fn underivable(
        &mut self,
        seq: u64,
        decision: &Decision,
        recorded: &Answer,
        fault: &Fault,
    ) -> Result<(), AuditError> {
        let fault = fault.to_string();
        if self.is_json {
            return self.json(&Output::Underivable {
                schema: SCHEMA,
                seq,
                id: &decision.id,
                caller: decision.caller.as_deref(),
                recorded,
                fault,
            });
        }
        let (to, progress) = (&mut *self.to, self.progress);
        progress.aside(|| {
            head(to, "CANNOT BE DERIVED", seq, decision)?;
            writeln!(to, "  recorded  {}", answer_text(recorded))?;
            writeln!(to, "  because   {fault}")?;
            Ok(())
        })
    }

    fn difference(
        &mut self,
        seq: u64,
        decision: &Decision,
        recorded: &Answer,
        derived: &Answer,
    ) -> Result<(), AuditError> {
        if self.is_json {
            return self.json(&Output::Difference {
                schema: SCHEMA,
                seq,
                id: &decision.id,
                caller: decision.caller.as_deref(),
                recorded,
                derived,
            });
        }
        let (to, progress) = (&mut *self.to, self.progress);
        progress.aside(|| {
            head(to, "DIFFERS", seq, decision)?;
            writeln!(to, "  recorded  {}", answer_text(recorded))?;
            writeln!(to, "  derived   {}", answer_text(derived))?;
            Ok(())
        })
    }

    /// Shows a flip. What only waits for the hosts is counted and not shown to a person: an edit of
    /// any file can bring up one for every launch.
    fn flip(
        &mut self,
        seq: u64,
        decision: &Decision,
        recorded: &Answer,
        under_edit: &Answer,
        change: Change,
    ) -> Result<(), AuditError> {
        if !change.is_flip() {
            return Ok(());
        }
        if self.is_json {
            return self.json(&Output::Flip {
                schema: SCHEMA,
                seq,
                id: &decision.id,
                caller: decision.caller.as_deref(),
                change,
                recorded,
                under_edit,
            });
        }
        if change == Change::DeniedUntilHost {
            return Ok(());
        }
        let (to, progress) = (&mut *self.to, self.progress);
        progress.aside(|| {
            head(to, "FLIPS", seq, decision)?;
            writeln!(to, "  was       {}", answer_text(recorded))?;
            writeln!(to, "  would be  {}", answer_text(under_edit))?;
            if change == Change::AllowedWithHost {
                writeln!(
                    to,
                    "            and ALLOW as soon as the host has the edited file too"
                )?;
            }
            Ok(())
        })
    }

    fn json(&mut self, output: &Output<'_>) -> Result<(), AuditError> {
        let (to, progress) = (&mut *self.to, self.progress);
        progress.aside(|| json_line(to, output))
    }
}
