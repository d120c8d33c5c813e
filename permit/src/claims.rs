//! What a permit states, and whether that is the launch at hand.
//!
//! The claims are closed: each is there once, within its bounds, and there is no other. Deliberately
//! absent: the clock; who asks says what time it is.

use admit_policy::{Digest, bounds::Bound};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::{is_uuid, is_uuid_v7};

/// Who issues permits.
pub const ISSUER: &str = "admit";
/// Longest time from the decision to the end of a permit, in seconds.
pub const LIFETIME_SECONDS_MAX: i64 = 600;
/// How far the clock of a host may be behind the server's, in seconds. A permit that is newer than
/// that comes from a future in which it may well have expired.
pub const SKEW_SECONDS_MAX: i64 = 30;
/// The first second of the year 10000.
const YEAR_10000_SECONDS: i64 = 253_402_300_800;

/// The lane of a launch that was allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// No model is used.
    Fake,
    /// Case runs with a model.
    Real,
}

impl Lane {
    /// The lane, as a claim states it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fake => "fake",
            Self::Real => "real",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Fake, Self::Real]
            .into_iter()
            .find(|lane| lane.as_str() == text)
    }
}

/// What a permit states: this launch was allowed, then, on these grounds. As JSON it has the form
/// that it has in the permit, `iss` included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The harness host that the launch is for (`aud`). Bounds: [`Bound::Host`].
    pub host: String,
    /// The harness run that the launch belongs to (`sub`). Bounds: [`Bound::RunId`].
    pub run_id: String,
    /// The decision that the permit states (`jti`): a version 7 UUID in its canonical lowercase form.
    pub decision_id: String,
    /// When it was decided (`iat`), in seconds since the Unix epoch.
    pub issued_at: i64,
    /// When the permit ends (`exp`), in seconds since the Unix epoch; it does not hold in that second
    /// any more. At most [`LIFETIME_SECONDS_MAX`] after `issued_at`.
    pub expires_at: i64,
    /// The lane of the launch.
    pub lane: Lane,
    /// The provider of the pair. Bounds: [`Bound::Provider`]; empty or `fake` in the fake lane, never
    /// empty in the real one.
    pub provider: String,
    /// The model of the pair. Bounds: [`Bound::Model`]; empty beside an empty provider, never empty in
    /// the real lane.
    pub model: String,
    /// SHA-256 of the admission file that the request stated; never absent in the real lane.
    pub admission_file: Option<Digest>,
    /// The digest of the policy that it was decided under; never absent in the real lane.
    pub policy: Option<Digest>,
    /// SHA-256 of the bytes of Case's config that the request stated; never absent in the real lane.
    pub case_config: Option<Digest>,
    /// The audit log that the decision is recorded in: a UUID in its canonical lowercase form.
    pub stream_id: String,
    /// The place of the record in that log, from 1.
    pub seq: u64,
    /// SHA-256 of the record.
    pub record_hash: Digest,
}

/// What is wrong with claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the claim `{claim}` {fault}")]
pub struct ClaimsFault {
    /// The claim.
    pub claim: &'static str,
    /// What is wrong with it.
    pub fault: &'static str,
}

/// Why a permit, good by itself, is not one for the launch at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// It is for another host.
    #[error("the permit is for another host")]
    OtherHost,
    /// It is for another run.
    #[error("the permit is for another run")]
    OtherRun,
    /// It has expired.
    #[error("the permit has expired")]
    Expired,
    /// It was issued in the future.
    #[error("the permit was issued in the future; is the clock of this host right")]
    IssuedInFuture,
}

impl Mismatch {
    /// A stable code, in kebab-case.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::OtherHost => "permit-host-mismatch",
            Self::OtherRun => "permit-run-mismatch",
            Self::Expired => "permit-expired",
            Self::IssuedInFuture => "permit-issued-in-future",
        }
    }
}

impl Claims {
    /// Whether the permit has expired at `now`, in seconds since the Unix epoch.
    #[must_use]
    pub fn is_expired(&self, now: i64) -> bool {
        now >= self.expires_at
    }

    /// Whether the permit holds at `now`, in seconds since the Unix epoch.
    ///
    /// # Errors
    ///
    /// [`Mismatch::Expired`] and [`Mismatch::IssuedInFuture`].
    pub fn holds_at(&self, now: i64) -> Result<(), Mismatch> {
        if self.is_expired(now) {
            return Err(Mismatch::Expired);
        }
        if self.issued_at.saturating_sub(now) > SKEW_SECONDS_MAX {
            return Err(Mismatch::IssuedInFuture);
        }
        Ok(())
    }

    /// Whether the permit is for `run_id` on `host`, byte for byte, and holds at `now`, in seconds
    /// since the Unix epoch.
    ///
    /// # Errors
    ///
    /// The first thing that does not fit.
    pub fn holds_for(&self, host: &str, run_id: &str, now: i64) -> Result<(), Mismatch> {
        if self.host != host {
            return Err(Mismatch::OtherHost);
        }
        if self.run_id != run_id {
            return Err(Mismatch::OtherRun);
        }
        self.holds_at(now)
    }

    /// Whether every claim is within its bounds.
    ///
    /// # Errors
    ///
    /// The first claim that is not.
    pub fn check(&self) -> Result<(), ClaimsFault> {
        let rules = [
            ("aud", Bound::Host.holds(&self.host), "is not a host"),
            ("sub", Bound::RunId.holds(&self.run_id), "is not a run id"),
            (
                "jti",
                is_uuid_v7(&self.decision_id),
                "is not a version 7 UUID",
            ),
            (
                "iat",
                (1..YEAR_10000_SECONDS).contains(&self.issued_at),
                "is not a time from 1970 to 9999",
            ),
            (
                "exp",
                (1..=LIFETIME_SECONDS_MAX)
                    .contains(&self.expires_at.saturating_sub(self.issued_at)),
                "is not 1 to 600 seconds after `iat`",
            ),
            ("provider", self.has_due_provider(), "is not of its lane"),
            ("model", self.has_due_model(), "is not of its lane"),
            (
                "admission_file",
                self.admission_file.is_some() || self.lane == Lane::Fake,
                "is null in the real lane",
            ),
            (
                "policy",
                self.policy.is_some() || self.lane == Lane::Fake,
                "is null in the real lane",
            ),
            (
                "case_config",
                self.case_config.is_some() || self.lane == Lane::Fake,
                "is null in the real lane",
            ),
            ("stream_id", is_uuid(&self.stream_id), "is not a UUID"),
            ("seq", self.seq > 0, "is not a place in a log"),
        ];
        match rules.into_iter().find(|(_, holds, _)| !holds) {
            None => Ok(()),
            Some((claim, _, fault)) => Err(ClaimsFault { claim, fault }),
        }
    }

    fn has_due_provider(&self) -> bool {
        match self.lane {
            Lane::Fake => matches!(self.provider.as_str(), "" | "fake"),
            Lane::Real => !self.provider.is_empty() && Bound::Provider.holds(&self.provider),
        }
    }

    fn has_due_model(&self) -> bool {
        match self.lane {
            // Beside the provider `fake` a model may be named; it is never used.
            Lane::Fake if self.provider.is_empty() => self.model.is_empty(),
            Lane::Fake => Bound::Model.holds(&self.model),
            Lane::Real => !self.model.is_empty() && Bound::Model.holds(&self.model),
        }
    }
}

/// The claims as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClaimsShape {
    iss: String,
    aud: String,
    sub: String,
    jti: String,
    iat: i64,
    exp: i64,
    lane: String,
    provider: String,
    model: String,
    // What is null has to say so: a claim that is left out is an error.
    #[serde(deserialize_with = "stated")]
    admission_file: Option<String>,
    #[serde(deserialize_with = "stated")]
    policy: Option<String>,
    #[serde(deserialize_with = "stated")]
    case_config: Option<String>,
    stream_id: String,
    seq: u64,
    record_hash: String,
}

fn stated<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}

impl From<&Claims> for ClaimsShape {
    fn from(claims: &Claims) -> Self {
        let text = |digest: Option<Digest>| digest.map(|digest| digest.to_string());
        Self {
            iss: ISSUER.to_owned(),
            aud: claims.host.clone(),
            sub: claims.run_id.clone(),
            jti: claims.decision_id.clone(),
            iat: claims.issued_at,
            exp: claims.expires_at,
            lane: claims.lane.as_str().to_owned(),
            provider: claims.provider.clone(),
            model: claims.model.clone(),
            admission_file: text(claims.admission_file),
            policy: text(claims.policy),
            case_config: text(claims.case_config),
            stream_id: claims.stream_id.clone(),
            seq: claims.seq,
            record_hash: claims.record_hash.to_string(),
        }
    }
}

impl TryFrom<ClaimsShape> for Claims {
    type Error = ClaimsFault;

    fn try_from(shape: ClaimsShape) -> Result<Self, ClaimsFault> {
        if shape.iss != ISSUER {
            return Err(ClaimsFault {
                claim: "iss",
                fault: "is not `admit`",
            });
        }
        let optional =
            |claim, text: Option<String>| text.map(|text| parsed_digest(claim, &text)).transpose();
        let claims = Self {
            host: shape.aud,
            run_id: shape.sub,
            decision_id: shape.jti,
            issued_at: shape.iat,
            expires_at: shape.exp,
            lane: Lane::parse(&shape.lane).ok_or(ClaimsFault {
                claim: "lane",
                fault: "is neither `real` nor `fake`",
            })?,
            provider: shape.provider,
            model: shape.model,
            admission_file: optional("admission_file", shape.admission_file)?,
            policy: optional("policy", shape.policy)?,
            case_config: optional("case_config", shape.case_config)?,
            stream_id: shape.stream_id,
            seq: shape.seq,
            record_hash: parsed_digest("record_hash", &shape.record_hash)?,
        };
        claims.check()?;
        Ok(claims)
    }
}

impl Serialize for Claims {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ClaimsShape::from(self).serialize(serializer)
    }
}

fn parsed_digest(claim: &'static str, text: &str) -> Result<Digest, ClaimsFault> {
    Digest::parse(text).ok_or(ClaimsFault {
        claim,
        fault: "is not 64 lowercase hexadecimal digits",
    })
}
