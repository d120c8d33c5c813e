//! The judgment on the evidence of a run, which can say ACCEPTED only after every part of it was
//! verified.
//!
//! [`Accepted`] has no constructor but [`Judgment::verify`]. What is neither a well-formed ACCEPTED
//! nor a well-formed REJECTED is an error, and an error accepts nothing.

use admit_permit::is_uuid_v7;
use admit_policy::Timestamp;
use admit_proto::v1::{
    CheckEvidenceRequest, CheckEvidenceResponse, EvidenceVerdict, ObservationState,
    PipelineOutcome, Reason,
};

use crate::{
    answer::{Record, record, time, verified_reasons},
    failure::AskError,
};

/// The judgment on the evidence of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Judgment {
    /// It is pass evidence.
    Accepted(Accepted),
    /// It is not.
    Rejected(Rejected),
}

/// A well-formed ACCEPTED. Its existence is the acceptance.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Accepted {
    stamp: Stamp,
    decision_id: String,
}

/// A well-formed REJECTED.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejected {
    stamp: Stamp,
    decision_id: Option<String>,
    reasons: Vec<Reason>,
}

/// What every judgment states.
#[derive(Clone, Debug, PartialEq)]
struct Stamp {
    evidence_id: String,
    check_time: Timestamp,
    record: Record,
}

impl Accepted {
    /// The decision that the permit states.
    #[must_use]
    pub fn decision_id(&self) -> &str {
        &self.decision_id
    }
}

impl Rejected {
    /// The decision that the permit states, be it for this run or not; `None` when the server did not
    /// sign the permit.
    #[must_use]
    pub fn decision_id(&self) -> Option<&str> {
        self.decision_id.as_deref()
    }

    /// Every reason, never empty; the first is the primary one. The texts are safe to show.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }
}

impl Judgment {
    /// Verifies the judgment on `asked`.
    ///
    /// # Errors
    ///
    /// [`AskError::Malformed`] for anything but a well-formed ACCEPTED or a well-formed REJECTED.
    pub fn verify(
        asked: &CheckEvidenceRequest,
        response: CheckEvidenceResponse,
    ) -> Result<Self, AskError> {
        let stamp = Stamp::verify(&response)?;
        let decision_id = decision_id(&response.decision_id)?;
        match EvidenceVerdict::try_from(response.verdict) {
            // INVARIANT: the one place where `Accepted` is made.
            Ok(EvidenceVerdict::Accepted) => {
                if !response.reasons.is_empty() {
                    return Err(AskError::Malformed("it accepts and has reasons against it"));
                }
                verify_acceptable(asked)?;
                let decision_id =
                    decision_id.ok_or(AskError::Malformed("it accepts and names no decision"))?;
                Ok(Self::Accepted(Accepted { stamp, decision_id }))
            }
            Ok(EvidenceVerdict::Rejected) => {
                if response.reasons.is_empty() {
                    return Err(AskError::Malformed("it rejects without a reason"));
                }
                Ok(Self::Rejected(Rejected {
                    stamp,
                    decision_id,
                    reasons: verified_reasons(response.reasons)?,
                }))
            }
            Ok(EvidenceVerdict::Unspecified) | Err(_) => Err(AskError::Malformed(
                "its verdict is neither ACCEPTED nor REJECTED",
            )),
        }
    }

    /// The identity of the judgment, a version 7 UUID.
    #[must_use]
    pub fn evidence_id(&self) -> &str {
        &self.stamp().evidence_id
    }

    /// When it was judged, by the server's clock.
    #[must_use]
    pub fn check_time(&self) -> Timestamp {
        self.stamp().check_time
    }

    /// Where the judgment is recorded.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.stamp().record
    }

    /// The decision that the permit states, be it for this run or not; `None` when the server did not
    /// sign the permit.
    #[must_use]
    pub fn decision_id(&self) -> Option<&str> {
        match self {
            Self::Accepted(accepted) => Some(accepted.decision_id()),
            Self::Rejected(rejected) => rejected.decision_id(),
        }
    }

    /// Every reason of a rejection; empty when it was accepted. The texts are safe to show.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        match self {
            Self::Accepted(_) => &[],
            Self::Rejected(rejected) => rejected.reasons(),
        }
    }

    fn stamp(&self) -> &Stamp {
        match self {
            Self::Accepted(accepted) => &accepted.stamp,
            Self::Rejected(rejected) => &rejected.stamp,
        }
    }
}

impl Stamp {
    fn verify(response: &CheckEvidenceResponse) -> Result<Self, AskError> {
        if !is_uuid_v7(&response.evidence_id) {
            return Err(AskError::Malformed(
                "its evidence id is not a version 7 UUID",
            ));
        }
        Ok(Self {
            evidence_id: response.evidence_id.clone(),
            check_time: response
                .check_time
                .as_ref()
                .and_then(time)
                .ok_or(AskError::Malformed("its time of judgment is missing"))?,
            record: record(&response.stream_id, response.seq, &response.record_hash)?,
        })
    }
}

/// The identity of a decision; `None` when it is empty.
fn decision_id(text: &str) -> Result<Option<String>, AskError> {
    if text.is_empty() {
        Ok(None)
    } else if is_uuid_v7(text) {
        Ok(Some(text.to_owned()))
    } else {
        Err(AskError::Malformed(
            "its decision id is not a version 7 UUID",
        ))
    }
}

/// Whether evidence like this can be accepted at all. A server that accepts what states its own
/// failure has judged something else.
fn verify_acceptable(asked: &CheckEvidenceRequest) -> Result<(), AskError> {
    let observed = asked.observed_models.as_ref();
    let scan = asked.secret_scan.as_ref();
    let is_acceptable = !asked.permit.is_empty()
        && asked.pipeline() == PipelineOutcome::Passed
        && asked.report.is_some()
        && asked.config.is_some()
        && asked.baseline.is_some()
        && observed.is_some_and(|observed| {
            observed.state() == ObservationState::Complete && !observed.models.is_empty()
        })
        && scan.is_some_and(|scan| scan.findings.is_empty());
    is_acceptable
        .then_some(())
        .ok_or(AskError::Malformed("it accepts what cannot be accepted"))
}

#[cfg(test)]
mod tests;
