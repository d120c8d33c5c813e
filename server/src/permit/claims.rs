//! What a permit states of an answer.
//!
//! Deliberately absent: any claim that the audit record of the answer does not have or lead to.

use std::time::Duration;

use admit_permit::{Claims, Lane};
use admit_policy::{Digest, Facts, facts};

use crate::wire::answer::Decided;

/// The claims of the permit for `decided`, which was asked with these facts and a config with this
/// digest; `None` when the answer is one that has no permit.
#[must_use]
pub fn claims(
    decided: &Decided,
    facts: &Facts,
    case_config: Option<Digest>,
    lifetime: Duration,
) -> Option<Claims> {
    if !decided.has_permit() {
        return None;
    }
    let lane = match facts.lane {
        facts::Lane::Real => Lane::Real,
        facts::Lane::Fake => Lane::Fake,
        facts::Lane::Unspecified => return None,
    };
    let (issued_at, _) = decided.at.unix();
    let lifetime = i64::try_from(lifetime.as_secs()).ok()?;
    Some(Claims {
        host: facts.host.clone(),
        run_id: facts.run_id.clone(),
        decision_id: decided.decision_id.hyphenated().to_string(),
        issued_at,
        expires_at: issued_at.checked_add(lifetime)?,
        lane,
        provider: facts.provider.clone(),
        model: facts.model.clone(),
        admission_file: facts.admission_file,
        policy: decided.policy,
        case_config,
        stream_id: decided.stream_id.clone(),
        seq: decided.recorded.seq,
        record_hash: Digest::parse(&decided.recorded.hash)?,
    })
}
