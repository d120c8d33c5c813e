//! Replay of a verdict on evidence: from the record alone, with no basis, no key and no clock.

use admit_policy::judge;
use serde::Serialize;

use super::Fault;
use crate::audit::{
    closed::evidence::{Unread, open_evidence, outcome},
    record::{Evidence, evidence::EvidenceVerdict},
};

/// What a caller was told about its evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judgment {
    /// The verdict.
    pub verdict: EvidenceVerdict,
    /// The code of every reason, in the order of the checks.
    pub reasons: Vec<String>,
}

impl Judgment {
    /// The judgment that was recorded.
    #[must_use]
    pub fn recorded(evidence: &Evidence) -> Self {
        Self {
            verdict: evidence.verdict,
            reasons: evidence.reasons.clone(),
        }
    }

    /// The judgment that the record gives.
    ///
    /// # Errors
    ///
    /// When a value of the record cannot be read.
    pub fn derive(evidence: &Evidence) -> Result<Self, Fault> {
        let opened = open_evidence(evidence).map_err(|Unread(name)| Fault::Unread(name))?;
        let (verdict, reasons) = outcome(&judge(&opened));
        Ok(Self { verdict, reasons })
    }
}
