//! The one function that decides.
//!
//! It is pure, total and deterministic: the same standing, facts and time give the same decision.

use alloc::vec::Vec;

use crate::{
    facts::{Facts, Lane},
    gate::{self, LaunchView, PairView, Reason},
    standing::Standing,
    timestamp::Timestamp,
};

/// The verdict on a launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No gate objected.
    Allow,
    /// Every reason of those that did; never empty, the first is the primary one.
    Deny(Vec<Reason>),
}

/// What a report states about the admission of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdmissionStatus {
    /// The launch was allowed in the real lane.
    Admitted,
    /// The launch was denied.
    NotAdmitted,
    /// The fake lane uses no model.
    NotRequired,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// What a report states about the admission of the model.
    pub admission_status: AdmissionStatus,
}

/// Decides one launch.
#[must_use]
pub fn decide(standing: &Standing<'_>, facts: &Facts, now: Timestamp) -> Decision {
    let reasons = gate::launch_reasons(&LaunchView {
        pair: PairView::of(standing, &facts.provider, &facts.model, now),
        facts,
    });
    // INVARIANT: the one place where ALLOW is made, and only from "no gate objected".
    let verdict = if reasons.is_empty() {
        Verdict::Allow
    } else {
        Verdict::Deny(reasons)
    };
    Decision {
        admission_status: admission_status(facts.lane, &verdict),
        verdict,
    }
}

/// Every reason that the policy itself has against a pair in the real lane. A launch of the pair has
/// to state its facts besides.
#[must_use]
pub fn pair_objections(
    standing: &Standing<'_>,
    provider: &str,
    model: &str,
    now: Timestamp,
) -> Vec<Reason> {
    gate::pair_reasons(&PairView::of(standing, provider, model, now))
}

fn admission_status(lane: Lane, verdict: &Verdict) -> AdmissionStatus {
    match (lane, verdict) {
        (Lane::Fake, Verdict::Allow | Verdict::Deny(_)) => AdmissionStatus::NotRequired,
        (Lane::Real, Verdict::Allow) => AdmissionStatus::Admitted,
        (Lane::Real, Verdict::Deny(_)) | (Lane::Unspecified, Verdict::Allow | Verdict::Deny(_)) => {
            AdmissionStatus::NotAdmitted
        }
    }
}
