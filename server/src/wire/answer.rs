//! Answers: from decisions to messages.

use admit_policy::{Decision, Digest, Reason, Timestamp, Verdict, decide::AdmissionStatus};
use admit_proto::v1;

use super::{bounded, place, timestamp};
use crate::audit::log::Receipt;

/// Longest message or help of a reason, in characters.
pub(super) const TEXT_CHARS_MAX: usize = 1024;

/// A decision with what identifies it. It was recorded: there is no answer without a receipt.
#[derive(Debug)]
pub struct Decided {
    /// The identity of the decision.
    pub decision_id: uuid::Uuid,
    /// When it was decided.
    pub at: Timestamp,
    /// The snapshot that it was decided under.
    pub policy: Option<Digest>,
    /// The request's own `dry_run`.
    pub dry_run: bool,
    /// The decision.
    pub decision: Decision,
    /// The audit log that it is recorded in.
    pub stream_id: String,
    /// Where it stands there.
    pub recorded: Receipt,
}

impl Decided {
    /// Whether the launch may start.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        match self.decision.verdict {
            Verdict::Allow => true,
            Verdict::Deny(_) => false,
        }
    }

    /// Whether the answer has a permit: it allows, and something may be started on it.
    #[must_use]
    pub fn has_permit(&self) -> bool {
        self.is_allowed() && !self.dry_run
    }
}

/// The answer to a launch, with its permit where it has one.
#[must_use]
pub fn response(decided: Decided, permit: Option<String>) -> v1::AdmitResponse {
    let (verdict, reasons) = match decided.decision.verdict {
        Verdict::Allow => (v1::Verdict::Allow, Vec::new()),
        Verdict::Deny(reasons) => (v1::Verdict::Deny, reasons.iter().map(reason).collect()),
    };
    let status = match decided.decision.admission_status {
        AdmissionStatus::Admitted => v1::AdmissionStatus::Admitted,
        AdmissionStatus::NotAdmitted => v1::AdmissionStatus::NotAdmitted,
        AdmissionStatus::NotRequired => v1::AdmissionStatus::NotRequired,
    };
    v1::AdmitResponse {
        verdict: verdict.into(),
        reasons,
        decision_id: decided.decision_id.hyphenated().to_string(),
        decide_time: Some(timestamp(decided.at)),
        policy_digest: decided
            .policy
            .map(|digest| digest.to_string())
            .unwrap_or_default(),
        case_model_admission_status: status.into(),
        dry_run: decided.dry_run,
        stream_id: decided.stream_id,
        seq: decided.recorded.seq,
        record_hash: decided.recorded.hash,
        permit: permit.unwrap_or_default(),
    }
}

/// A reason on the wire.
#[must_use]
pub fn reason(reason: &Reason) -> v1::Reason {
    v1::Reason {
        code: reason.code.as_str().into(),
        message: bounded(&reason.message, TEXT_CHARS_MAX),
        help: bounded(reason.code.help(), TEXT_CHARS_MAX),
        places: reason.places.iter().map(place).collect(),
    }
}
