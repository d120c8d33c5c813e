//! What a verified permit is to the checks of evidence.
//!
//! Deliberately absent: whether the permit has expired. Evidence comes when the run is over; what
//! counts is whether the permit held when the process was started.

use admit_permit::{Claims, Lane};
use admit_policy::{Pair, Timestamp, evidence::PermitFacts, facts};

/// A permit that this server signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The decision that it states.
    pub decision_id: uuid::Uuid,
    /// What the checks need of it.
    pub facts: PermitFacts,
}

/// What these claims, which were verified, are to the checks; `None` when a time or an id in them is
/// none, which no permit of this server has.
#[must_use]
pub fn verified(claims: Claims) -> Option<Verified> {
    Some(Verified {
        decision_id: uuid::Uuid::try_parse(&claims.decision_id).ok()?,
        facts: PermitFacts {
            host: claims.host,
            run_id: claims.run_id,
            lane: match claims.lane {
                Lane::Fake => facts::Lane::Fake,
                Lane::Real => facts::Lane::Real,
            },
            pair: Pair {
                provider: claims.provider,
                model: claims.model,
            },
            case_config: claims.case_config,
            issued: Timestamp::from_unix(claims.issued_at, 0)?,
            expires: Timestamp::from_unix(claims.expires_at, 0)?,
        },
    })
}
