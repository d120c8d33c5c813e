//! The answer to one launch, which can say ALLOW only after every part of it was verified.
//!
//! [`Allowed`] has no constructor but [`Answer::verify`]. What is neither a well-formed ALLOW nor a
//! well-formed DENY is an error, and an error starts nothing.

use std::collections::BTreeSet;

use admit_permit::{is_plausible, is_uuid, is_uuid_v7};
use admit_policy::{Digest, Timestamp};
use admit_proto::v1::{AdmissionStatus, AdmitRequest, AdmitResponse, Lane, Place, Reason, Verdict};
use prost_types::Timestamp as WireTimestamp;

use crate::{
    failure::AskError,
    shown::{TEXT_CHARS_MAX, is_code, shown},
};

/// Most reasons of a denial; there are fewer gates.
const REASONS_MAX: usize = 256;
/// Most places of a reason.
const PLACES_MAX: usize = 8;
/// Longest shown path, in characters.
const PATH_CHARS_MAX: usize = 4096;

/// The answer to one launch.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The launch may start.
    Allowed(Allowed),
    /// The launch does not start.
    Denied(Denied),
}

/// A well-formed ALLOW. Its existence is the permission.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Allowed {
    stamp: Stamp,
    permit: Option<String>,
}

/// A well-formed DENY.
#[derive(Clone, Debug, PartialEq)]
pub struct Denied {
    stamp: Stamp,
    reasons: Vec<Reason>,
}

/// What every answer states.
#[derive(Clone, Debug, PartialEq)]
struct Stamp {
    decision_id: String,
    decide_time: Timestamp,
    policy_digest: Option<Digest>,
    admission_status: &'static str,
    dry_run: bool,
    record: Record,
}

/// Where an answer stands in the server's audit log. Who keeps it can have it checked later that the
/// log still has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The identity of the log, a UUID.
    pub stream_id: String,
    /// The place in the log, from 1.
    pub seq: u64,
    /// The SHA-256 of the record.
    pub hash: Digest,
}

macro_rules! stamp_accessors {
    ($($name:ident),+) => {$(
        impl $name {
            /// The identity of the decision, a version 7 UUID.
            #[must_use]
            pub fn decision_id(&self) -> &str {
                &self.stamp.decision_id
            }

            /// When it was decided, by the server's clock.
            #[must_use]
            pub fn decide_time(&self) -> Timestamp {
                self.stamp.decide_time
            }

            /// The digest of the policy that it was decided under; `None` while the server has read
            /// none.
            #[must_use]
            pub fn policy_digest(&self) -> Option<Digest> {
                self.stamp.policy_digest
            }

            /// What a report states as `case_model_admission_status`.
            #[must_use]
            pub fn case_model_admission_status(&self) -> &'static str {
                self.stamp.admission_status
            }

            /// Whether the request said that nothing will be started on this answer.
            #[must_use]
            pub fn dry_run(&self) -> bool {
                self.stamp.dry_run
            }

            /// Where the answer is recorded.
            #[must_use]
            pub fn record(&self) -> &Record {
                &self.stamp.record
            }
        }
    )+};
}

stamp_accessors!(Allowed, Denied);

impl Allowed {
    /// The permit, which states this ALLOW to whoever has the keys; `None` for a dry run and only then.
    /// Its form is that of a permit; its signature was not verified.
    #[must_use]
    pub fn permit(&self) -> Option<&str> {
        self.permit.as_deref()
    }
}

impl Denied {
    /// Every reason, never empty; the first is the primary one. The texts are safe to show.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }
}

impl Answer {
    /// Verifies the answer to `asked`.
    ///
    /// # Errors
    ///
    /// [`AskError::Malformed`] for anything but a well-formed ALLOW or a well-formed DENY.
    pub fn verify(asked: &AdmitRequest, response: AdmitResponse) -> Result<Self, AskError> {
        let verdict = Verdict::try_from(response.verdict);
        let lane = Lane::try_from(asked.lane).unwrap_or(Lane::Unspecified);
        let stamp = Stamp::verify(asked, &response)?;
        let status = AdmissionStatus::try_from(response.case_model_admission_status);
        match verdict {
            // INVARIANT: the one place where `Allowed` is made.
            Ok(Verdict::Allow) => {
                verify_allow(asked, lane, status.ok(), &stamp, &response.reasons)?;
                let permit = permit_of_allow(asked, response.permit)?;
                Ok(Self::Allowed(Allowed { stamp, permit }))
            }
            Ok(Verdict::Deny) => {
                verify_denied_status(lane, status.ok())?;
                if !response.permit.is_empty() {
                    return Err(AskError::Malformed("it denies and has a permit"));
                }
                Ok(Self::Denied(Denied {
                    stamp,
                    reasons: verify_reasons(response.reasons)?,
                }))
            }
            Ok(Verdict::Unspecified) | Err(_) => {
                Err(AskError::Malformed("its verdict is neither ALLOW nor DENY"))
            }
        }
    }
}

impl Stamp {
    fn verify(asked: &AdmitRequest, response: &AdmitResponse) -> Result<Self, AskError> {
        if !is_uuid_v7(&response.decision_id) {
            return Err(AskError::Malformed(
                "its decision id is not a version 7 UUID",
            ));
        }
        if response.dry_run != asked.dry_run {
            return Err(AskError::Malformed(
                "its dry_run is not the one that was asked",
            ));
        }
        Ok(Self {
            decision_id: response.decision_id.clone(),
            decide_time: response
                .decide_time
                .as_ref()
                .and_then(time)
                .ok_or(AskError::Malformed("its time of decision is missing"))?,
            policy_digest: digest(&response.policy_digest)?,
            admission_status: match AdmissionStatus::try_from(response.case_model_admission_status)
            {
                Ok(AdmissionStatus::Admitted) => "admitted",
                Ok(AdmissionStatus::NotAdmitted) => "not_admitted",
                Ok(AdmissionStatus::NotRequired) => "not_required",
                Ok(AdmissionStatus::Unspecified) | Err(_) => {
                    return Err(AskError::Malformed("its admission status is not known"));
                }
            },
            dry_run: response.dry_run,
            record: record(&response.stream_id, response.seq, &response.record_hash)?,
        })
    }
}

fn verify_allow(
    asked: &AdmitRequest,
    lane: Lane,
    status: Option<AdmissionStatus>,
    stamp: &Stamp,
    reasons: &[Reason],
) -> Result<(), AskError> {
    if !reasons.is_empty() {
        return Err(AskError::Malformed("it allows and has reasons against it"));
    }
    let (due, is_real) = match lane {
        Lane::Real => (AdmissionStatus::Admitted, true),
        Lane::Fake => (AdmissionStatus::NotRequired, false),
        Lane::Unspecified => {
            return Err(AskError::Malformed("it allows a launch without a lane"));
        }
    };
    if status != Some(due) {
        return Err(AskError::Malformed(
            "it allows and its admission status is not that of the lane",
        ));
    }
    if is_real {
        let Some(digest) = stamp.policy_digest else {
            return Err(AskError::Malformed("it allows and names no policy"));
        };
        let expected = &asked.expected_policy_digest;
        if !expected.is_empty() && Digest::parse(expected) != Some(digest) {
            return Err(AskError::Malformed(
                "it allows under another policy than the expected one",
            ));
        }
    }
    Ok(())
}

/// The permit of an ALLOW, which is there unless nothing is to be started on it.
fn permit_of_allow(asked: &AdmitRequest, permit: String) -> Result<Option<String>, AskError> {
    match (asked.dry_run, permit.is_empty()) {
        (true, true) => Ok(None),
        (true, false) => Err(AskError::Malformed("it is for a dry run and has a permit")),
        (false, _) if is_plausible(&permit) => Ok(Some(permit)),
        (false, _) => Err(AskError::Malformed("it allows without a permit")),
    }
}

fn verify_denied_status(lane: Lane, status: Option<AdmissionStatus>) -> Result<(), AskError> {
    let due = match lane {
        Lane::Fake => AdmissionStatus::NotRequired,
        Lane::Real | Lane::Unspecified => AdmissionStatus::NotAdmitted,
    };
    (status == Some(due))
        .then_some(())
        .ok_or(AskError::Malformed(
            "it denies and its admission status is not that of a denial",
        ))
}

/// The reasons of a denial, safe to show.
fn verify_reasons(reasons: Vec<Reason>) -> Result<Vec<Reason>, AskError> {
    if reasons.is_empty() {
        return Err(AskError::Malformed("it denies without a reason"));
    }
    verified_reasons(reasons)
}

/// Any reasons, safe to show.
pub(crate) fn verified_reasons(reasons: Vec<Reason>) -> Result<Vec<Reason>, AskError> {
    if reasons.len() > REASONS_MAX {
        return Err(AskError::Malformed("it has too many reasons"));
    }
    let codes: BTreeSet<&str> = reasons.iter().map(|reason| reason.code.as_str()).collect();
    if codes.len() != reasons.len() {
        return Err(AskError::Malformed("it has a reason twice"));
    }
    reasons
        .into_iter()
        .map(|reason| {
            if !is_code(&reason.code) {
                return Err(AskError::Malformed("it has a reason without a code"));
            }
            Ok(Reason {
                code: reason.code,
                message: shown(&reason.message, TEXT_CHARS_MAX),
                help: shown(&reason.help, TEXT_CHARS_MAX),
                places: reason
                    .places
                    .iter()
                    .take(PLACES_MAX)
                    .map(shown_place)
                    .collect(),
            })
        })
        .collect()
}

/// `place`, safe to show.
pub(crate) fn shown_place(place: &Place) -> Place {
    Place {
        path: shown(&place.path, PATH_CHARS_MAX),
        line: place.line,
        column: place.column,
    }
}

/// The time of a message, if it is one.
pub(crate) fn time(time: &WireTimestamp) -> Option<Timestamp> {
    let nanos = u32::try_from(time.nanos).ok()?;
    // Zero is what a server sends that knows no time.
    (time.seconds > 0)
        .then(|| Timestamp::from_unix(time.seconds, nanos))
        .flatten()
}

/// Where an answer is recorded. One that is not was never given.
pub(crate) fn record(stream_id: &str, seq: u64, hash: &str) -> Result<Record, AskError> {
    match Digest::parse(hash) {
        Some(hash) if is_uuid(stream_id) && seq > 0 => Ok(Record {
            stream_id: stream_id.to_owned(),
            seq,
            hash,
        }),
        Some(_) | None => Err(AskError::Malformed("it was not recorded")),
    }
}

/// The digest of a message; `None` when it is empty.
pub(crate) fn digest(text: &str) -> Result<Option<Digest>, AskError> {
    if text.is_empty() {
        return Ok(None);
    }
    Digest::parse(text)
        .map(Some)
        .ok_or(AskError::Malformed("its policy digest is not a digest"))
}

#[cfg(test)]
mod tests;
