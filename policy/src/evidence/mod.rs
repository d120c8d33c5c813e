//! Evidence: what a finished run hands in, and the one function that judges it.
//!
//! The checks are one table, one row per code, every row asked; ACCEPTED is what remains when none
//! objects. [`judge`] is pure, total and deterministic, and needs no policy: the permit says what was
//! admitted. Deliberately absent: verifying a permit, which takes keys; and any effect of a verdict.

mod checks;
mod code;
mod stated;

use alloc::{borrow::Cow, vec::Vec};

pub use checks::{ADMITTED, CLOCK_DIFFERENCE_MAX_S};
use checks::{Objection, permit_of};
pub use code::EvidenceCode;
pub use stated::{
    ChangeState, ConfigStates, Evidence, EvidenceScan, EvidenceTarget, FakeRun, FinishedRun,
    OBSERVED_MAX, ObservationSource, ObservationState, ObservedModel, Permit, PermitFacts,
    PipelineOutcome, Report,
};

/// Why one check objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceReason {
    /// The check.
    pub code: EvidenceCode,
    /// What is wrong. It repeats nothing that the caller sent.
    pub message: Cow<'static, str>,
}

/// The verdict on the evidence of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvidenceVerdict {
    /// No check objected.
    Accepted,
    /// Every reason of those that did; never empty, the first is the primary one.
    Rejected(Vec<EvidenceReason>),
}

/// Evidence before the checks.
struct View<'a> {
    evidence: &'a Evidence,
    /// The permit, if this run could have been started under it; why not. A check that needs what the
    /// permit says is skipped without: the evidence is rejected anyway.
    permit: Result<&'a PermitFacts, &'static str>,
}

impl<'a> View<'a> {
    fn run(&self) -> &'a FinishedRun {
        &self.evidence.run
    }
}

struct Check {
    code: EvidenceCode,
    objects: fn(&View<'_>) -> Objection,
}

impl Check {
    const fn new(code: EvidenceCode, objects: fn(&View<'_>) -> Objection) -> Self {
        Self { code, objects }
    }
}

/// Every check, in the order in which reasons are given.
#[rustfmt::skip] // one row per line, so that the table reads as one
const CHECKS: [Check; EvidenceCode::ALL.len()] = [
    Check::new(EvidenceCode::PermitInvalid, checks::permit_invalid),
    Check::new(EvidenceCode::PermitExpiredBeforeStart, checks::permit_expired),
    Check::new(EvidenceCode::ReportFieldMissing, checks::report_field_missing),
    Check::new(EvidenceCode::ReportPairMismatch, checks::report_pair_mismatch),
    Check::new(EvidenceCode::AdmissionStatusMismatch, checks::admission_status_mismatch),
    Check::new(EvidenceCode::ObservedModelMissing, checks::observed_missing),
    Check::new(EvidenceCode::ObservedModelMismatch, checks::observed_mismatch),
    Check::new(EvidenceCode::ExternalFallbackObserved, checks::external_fallback),
    Check::new(EvidenceCode::ConfigChangedDuringRun, checks::config_changed),
    Check::new(EvidenceCode::PipelineIncomplete, checks::pipeline_incomplete),
    Check::new(EvidenceCode::PipelineFailed, checks::pipeline_failed),
    Check::new(EvidenceCode::BaselineMissing, checks::baseline_missing),
    Check::new(EvidenceCode::BaselineNotSameRun, checks::baseline_not_same_run),
    Check::new(EvidenceCode::BaselineFixtureMismatch, checks::baseline_fixture_mismatch),
    Check::new(EvidenceCode::BaselineFailed, checks::baseline_failed),
    Check::new(EvidenceCode::SecretScanMissing, checks::scan_missing),
    Check::new(EvidenceCode::SecretDetected, checks::secret_detected),
];

/// Judges the evidence of one run.
#[must_use]
pub fn judge(evidence: &Evidence) -> EvidenceVerdict {
    let view = View {
        evidence,
        permit: permit_of(evidence),
    };
    let reasons: Vec<EvidenceReason> = CHECKS
        .iter()
        .filter_map(|check| {
            let message = (check.objects)(&view)?;
            let code = check.code;
            Some(EvidenceReason { code, message })
        })
        .collect();
    // INVARIANT: the one place where ACCEPTED is made, and only from "no check objected".
    if reasons.is_empty() {
        EvidenceVerdict::Accepted
    } else {
        EvidenceVerdict::Rejected(reasons)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_code_once_and_in_order() {
        let codes: Vec<EvidenceCode> = CHECKS.iter().map(|check| check.code).collect();
        assert_eq!(codes, EvidenceCode::ALL);
    }
}
