//! What a replay writes: its findings one by one, and what they come to in the end.

use std::{collections::BTreeMap, io::Write};

use serde::Serialize;

use super::Against;
use crate::{
    audit::{
        record::Decision,
        replay::{Answer, Change, Judgment},
        verify::Damage,
    },
    command::audit::{
        AuditError, Log, Outcome,
        damage::{self, Before, DamageShape},
        json_line,
        render::{
            BAD, FAINT, GOOD, STRONG, WARNING, asked_by, counted, pair, status, text, time, verdict,
        },
    },
};

/// The version of every object that is written as JSON.
pub(super) const SCHEMA: &str = "admitd.audit.replay/1";

/// What came out.
#[derive(Default, Serialize)]
pub(super) struct Counts {
    pub(super) decisions: u64,
    /// Verdicts on evidence.
    pub(super) evidence: u64,
    /// Of decisions and verdicts on evidence alike, as the next two.
    pub(super) same: u64,
    pub(super) differing: u64,
    pub(super) underivable: u64,
    /// Decisions whose names were closed with another key than the one at hand, so that they cannot be
    /// compared with edited documents.
    pub(super) other_key: u64,
    /// Changes under the edited documents, by their kind.
    pub(super) changes: BTreeMap<Change, u64>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum Output<'a> {
    Difference {
        schema: &'static str,
        seq: u64,
        id: &'a str,
        /// Who asked; none where the entry does not tell.
        #[serde(skip_serializing_if = "Option::is_none")]
        caller: Option<&'a str>,
        recorded: &'a Answer,
        derived: &'a Answer,
    },
    Underivable {
        schema: &'static str,
        seq: u64,
        id: &'a str,
        /// Who asked; none where the entry does not tell.
        #[serde(skip_serializing_if = "Option::is_none")]
        caller: Option<&'a str>,
        recorded: &'a Answer,
        fault: String,
    },
    EvidenceDifference {
        schema: &'static str,
        seq: u64,
        id: &'a str,
        /// Who asked; none where the entry does not tell.
        #[serde(skip_serializing_if = "Option::is_none")]
        caller: Option<&'a str>,
        recorded: &'a Judgment,
        derived: &'a Judgment,
    },
    EvidenceUnderivable {
        schema: &'static str,
        seq: u64,
        id: &'a str,
        /// Who asked; none where the entry does not tell.
        #[serde(skip_serializing_if = "Option::is_none")]
        caller: Option<&'a str>,
        recorded: &'a Judgment,
        fault: String,
    },
    Flip {
        schema: &'static str,
        seq: u64,
        id: &'a str,
        /// Who asked; none where the entry does not tell.
        #[serde(skip_serializing_if = "Option::is_none")]
        caller: Option<&'a str>,
        change: Change,
        recorded: &'a Answer,
        under_edit: &'a Answer,
    },
    Summary {
        schema: &'static str,
        #[serde(flatten)]
        counts: &'a Counts,
        edited_policy: Option<String>,
        /// What is wrong with the edited documents, as `admitd validate` counts it.
        edited_findings: Option<usize>,
        last_seq: Option<u64>,
        last_hash: Option<&'a str>,
        damage: Option<DamageShape>,
    },
}

pub(super) fn head(
    to: &mut impl Write,
    what: &str,
    seq: u64,
    decision: &Decision,
) -> Result<(), AuditError> {
    let stated = (decision.time.as_str(), decision.id.as_str());
    let caller = asked_by(decision.caller.as_deref());
    let about = format!("{}{caller}", pair(decision));
    headline(to, what, seq, stated, &about)
}

/// The first line of a finding about an entry that states this time and this id.
pub(super) fn headline(
    to: &mut impl Write,
    what: &str,
    seq: u64,
    (at, id): (&str, &str),
    about: &str,
) -> Result<(), AuditError> {
    writeln!(
        to,
        "{BAD}{what}{BAD:#} entry {STRONG}{seq}{STRONG:#} {FAINT}{} {}{FAINT:#} {about}",
        time(at),
        text(id),
    )?;
    Ok(())
}

pub(super) fn answer_text(answer: &Answer) -> String {
    let codes = answer.reasons.iter().map(|code| format!(" {}", text(code)));
    format!(
        "{}{} ({})",
        verdict(answer.verdict),
        codes.collect::<Vec<_>>().join(","),
        status(answer.admission_status)
    )
}

/// The log has been read to its end, or to a damage.
pub(super) struct Ended<'a> {
    pub(super) log: &'a Log,
    pub(super) counts: &'a Counts,
    pub(super) against: Option<&'a Against>,
    pub(super) last: &'a Before,
    pub(super) damage: Option<&'a Damage>,
}

impl Ended<'_> {
    fn flips(&self) -> u64 {
        let flips = self
            .counts
            .changes
            .iter()
            .filter(|(change, _)| change.is_flip());
        flips.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    pub(super) fn outcome(&self) -> Outcome {
        let counts = self.counts;
        let bad = [
            counts.differing,
            counts.underivable,
            counts.other_key,
            self.flips(),
        ];
        if self.damage.is_none() && bad.iter().all(|count| *count == 0) {
            Outcome::Good
        } else {
            Outcome::Bad
        }
    }

    pub(super) fn json(&self, to: &mut impl Write) -> Result<(), AuditError> {
        let summary = Output::Summary {
            schema: SCHEMA,
            counts: self.counts,
            edited_policy: self
                .against
                .map(|against| against.edited.digest().to_string()),
            edited_findings: self.against.map(|against| against.findings),
            last_seq: self.last.as_ref().map(|(seq, _)| *seq),
            last_hash: self.last.as_ref().map(|(_, hash)| hash.as_str()),
            damage: self.damage.map(DamageShape::of),
        };
        json_line(to, &summary)
    }

    pub(super) fn plain(&self, to: &mut impl Write) -> Result<(), AuditError> {
        let counts = self.counts;
        if let Some(damage) = self.damage {
            damage::write(to, &self.log.dir, damage, self.last)?;
        }
        let decisions = counted(counts.decisions, "decision", "decisions");
        let style = match self.outcome() {
            Outcome::Good => GOOD,
            Outcome::Bad => BAD,
        };
        let evidence = match counts.evidence {
            0 => String::new(),
            count => format!(
                " and {}",
                counted(count, "verdict on evidence", "verdicts on evidence")
            ),
        };
        match self.against {
            None => writeln!(
                to,
                "{style}{decisions}{evidence} replayed{style:#}: {} as recorded, {} different, {} not to be derived",
                counts.same, counts.differing, counts.underivable
            )?,
            Some(against) => {
                let flips = counted(self.flips(), "flip", "flips");
                let policy = against.edited.digest();
                writeln!(
                    to,
                    "{style}{flips}{style:#} in {decisions} under the policy {policy}"
                )?;
                if against.findings > 0 {
                    let findings = u64::try_from(against.findings).unwrap_or(u64::MAX);
                    let findings = counted(findings, "finding", "findings");
                    writeln!(
                        to,
                        "  {WARNING}the documents have {findings}{WARNING:#}: see `admitd validate`"
                    )?;
                }
                for change in Change::ALL {
                    let count = counts.changes.get(&change).copied().unwrap_or_default();
                    writeln!(to, "  {count:>8}  {}", describe(change))?;
                }
                for (count, what) in [
                    (counts.underivable, "cannot be derived"),
                    (
                        counts.other_key,
                        "recorded with another names key, and not compared",
                    ),
                ] {
                    if count > 0 {
                        writeln!(to, "  {count:>8}  {what}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A change, for a person.
fn describe(change: Change) -> &'static str {
    match change {
        Change::Allowed => "denied, and would be allowed",
        Change::AllowedWithHost => {
            "denied, and would be allowed as soon as the host has the edited file too"
        }
        Change::Denied => "allowed, and would be denied",
        Change::DeniedUntilHost => {
            "allowed, and would be denied only until the host has the edited file too (not listed)"
        }
        Change::Reasons => "denied for other reasons",
        Change::None => "as recorded",
    }
}
