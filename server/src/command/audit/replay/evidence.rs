//! Verdicts on evidence in a replay. No document has a part in them, so an edit flips none: under
//! edited documents they are left out.

use std::io::Write;

use super::{
    Replaying,
    findings::{Output, SCHEMA, headline},
};
use crate::{
    audit::{
        record::Evidence,
        replay::{Fault, Judgment},
    },
    command::audit::{
        AuditError,
        render::{asked_by, evidence_verdict, permit_pair, text},
    },
};

impl<W: Write> Replaying<'_, W> {
    pub(super) fn evidence(
        &mut self,
        seq: u64,
        evidence: &Evidence,
        derived: &Result<Judgment, Fault>,
    ) -> Result<(), AuditError> {
        let counts = &mut self.counts;
        counts.evidence = counts.evidence.saturating_add(1);
        let recorded = Judgment::recorded(evidence);
        match derived {
            Ok(derived) if *derived == recorded => {
                counts.same = counts.same.saturating_add(1);
                Ok(())
            }
            Ok(derived) => {
                counts.differing = counts.differing.saturating_add(1);
                self.other_judgment(seq, evidence, &recorded, derived)
            }
            Err(fault) => {
                counts.underivable = counts.underivable.saturating_add(1);
                self.no_judgment(seq, evidence, &recorded, fault)
            }
        }
    }

    fn other_judgment(
        &mut self,
        seq: u64,
        evidence: &Evidence,
        recorded: &Judgment,
        derived: &Judgment,
    ) -> Result<(), AuditError> {
        if self.is_json {
            return self.json(&Output::EvidenceDifference {
                schema: SCHEMA,
                seq,
                id: &evidence.id,
                caller: evidence.caller.as_deref(),
                recorded,
                derived,
            });
        }
        let (to, progress) = (&mut *self.to, self.progress);
        progress.aside(|| {
            head(to, "DIFFERS", seq, evidence)?;
            writeln!(to, "  recorded  {}", judgment_text(recorded))?;
            writeln!(to, "  derived   {}", judgment_text(derived))?;
            Ok(())
        })
    }

    fn no_judgment(
        &mut self,
        seq: u64,
        evidence: &Evidence,
        recorded: &Judgment,
        fault: &Fault,
    ) -> Result<(), AuditError> {
        let fault = fault.to_string();
        if self.is_json {
            return self.json(&Output::EvidenceUnderivable {
                schema: SCHEMA,
                seq,
                id: &evidence.id,
                caller: evidence.caller.as_deref(),
                recorded,
                fault,
            });
        }
        let (to, progress) = (&mut *self.to, self.progress);
        progress.aside(|| {
            head(to, "CANNOT BE DERIVED", seq, evidence)?;
            writeln!(to, "  recorded  {}", judgment_text(recorded))?;
            writeln!(to, "  because   {fault}")?;
            Ok(())
        })
    }
}

fn head(to: &mut impl Write, what: &str, seq: u64, evidence: &Evidence) -> Result<(), AuditError> {
    let caller = asked_by(evidence.caller.as_deref());
    let about = format!("evidence {}{caller}", permit_pair(evidence));
    headline(to, what, seq, (&evidence.time, &evidence.id), &about)
}

fn judgment_text(judgment: &Judgment) -> String {
    let codes = judgment
        .reasons
        .iter()
        .map(|code| format!(" {}", text(code)));
    let codes = codes.collect::<Vec<_>>().join(",");
    format!("{}{codes}", evidence_verdict(judgment.verdict))
}
