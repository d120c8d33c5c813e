//! The closed schema of the log: every line that can stand in it, and nothing else.
//!
//! A value is an enum, a number, a time, an id, a digest, a code, a name that the policy or the product
//! itself names ([`super::names`]), the name that the operator gave to a caller, or a keyed HMAC.
//! Deliberately absent: any text of a caller (the ids of its trace are all that it chooses), any path,
//! any endpoint, any byte of a config; there is no field that could hold one.

pub mod evidence;
mod refusal;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use super::words::{
    Adapter, Baseline, Cause, ConfigFault, EndpointScope, Fixture, Lane, Presence, RefusalCause,
    Rpc, ScanTarget, ServedModel, Via,
};
use super::{
    chain::{self, LinkFault, Links},
    linked::Linked,
};
pub use evidence::Evidence;
pub use refusal::Refusal;

/// The version of this schema. A log with another one is not read.
pub const VERSION: u32 = 1;

/// How the lines begin that a log is full of; they are read in one pass.
const BEGIN_DECISION: &[u8] = b"{\"type\":\"decision\",";
const BEGIN_EVIDENCE: &[u8] = b"{\"type\":\"evidence\",";

fn linked<'a, T: Deserialize<'a>>(
    line: &'a [u8],
    entry: impl FnOnce(T) -> Entry,
) -> Option<(Links, Entry)> {
    let read: Linked<T> = serde_json::from_str(std::str::from_utf8(line).ok()?).ok()?;
    Some((read.links, entry(read.entry)))
}

/// One line of the log, without its links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Entry {
    /// Opens a segment; has no sequence number.
    Segment(Segment),
    /// A decision.
    Decision(Box<Decision>),
    /// A verdict on evidence.
    Evidence(Box<Evidence>),
    /// Calls were refused because of who made them.
    Refused(Refusal),
    /// Requests were refused because nothing could be recorded.
    Gap(Gap),
    /// A torn tail was set aside after a crash.
    Recovered(Recovered),
    /// A receiver refused spans for good.
    Rejected(Rejected),
    /// The oldest segments were deleted at the end of their retention.
    Retired(Retired),
    /// Closes a segment; has no sequence number.
    Checkpoint(Checkpoint),
}

impl Entry {
    /// The links and the entry of `line`, which has the hash that it states.
    ///
    /// # Errors
    ///
    /// When it is no whole link of a chain, or no entry.
    pub fn read(line: &[u8]) -> Result<(Links, Self), LinkFault> {
        let stated = chain::check_hash(line)?;
        let read = if line.starts_with(BEGIN_DECISION) {
            linked(line, |decision| Self::Decision(Box::new(decision)))
        } else if line.starts_with(BEGIN_EVIDENCE) {
            linked(line, |evidence| Self::Evidence(Box::new(evidence)))
        } else {
            None
        };
        if let Some((links, entry)) = read {
            return Ok((links.state(stated)?, entry));
        }
        let links: Links = serde_json::from_slice(line).map_err(|_| LinkFault::NoEntry)?;
        let entry = serde_json::from_slice(line).map_err(|_| LinkFault::NoEntry)?;
        Ok((links.state(stated)?, entry))
    }

    /// Whether it has a sequence number.
    #[must_use]
    pub fn is_numbered(&self) -> bool {
        match self {
            Self::Decision(_)
            | Self::Evidence(_)
            | Self::Refused(_)
            | Self::Gap(_)
            | Self::Recovered(_)
            | Self::Rejected(_)
            | Self::Retired(_) => true,
            Self::Segment(_) | Self::Checkpoint(_) => false,
        }
    }
}

/// The first line of every segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// [`VERSION`].
    pub version: u32,
    /// The identity of the log, a UUID.
    pub stream_id: String,
    /// The first sequence number that can stand in this segment.
    pub first_seq: u64,
    /// When it was opened, RFC 3339.
    pub time: String,
    /// The version of admitd that opened it.
    pub admitd: String,
    /// The Ed25519 public key that its checkpoint will be signed with, as 64 hexadecimal digits.
    pub key: String,
    /// The identity of the key behind every `hmac:` in it.
    pub names_key: String,
}

/// The last line of every segment that was closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The identity of the log.
    pub stream_id: String,
    /// When it was signed, RFC 3339.
    pub time: String,
    /// The last sequence number before it.
    pub last_seq: u64,
    /// The Ed25519 public key, as 64 hexadecimal digits.
    pub key: String,
    /// The signature over stream, sequence number and the hash of the line before, as 128
    /// hexadecimal digits.
    pub signature: String,
}

/// A decision with everything that it can be derived from again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The identity of the decision, a UUID.
    pub id: String,
    /// The time that it was decided by, RFC 3339.
    pub time: String,
    /// From the arrival of the request until the record was ready, in microseconds.
    pub elapsed_us: u64,
    /// Whether nothing will be started on it.
    pub dry_run: bool,
    /// The verdict.
    pub verdict: Verdict,
    /// The code of every reason, in the order of the gates.
    pub reasons: Vec<String>,
    /// What a report states as `case_model_admission_status`.
    pub admission_status: AdmissionStatus,
    /// The digest of the policy; none while no policy had been read.
    pub policy: Option<String>,
    /// The digest of the [`super::basis`] that it was decided on; none while there was no policy.
    pub basis: Option<String>,
    /// How long the policy had not been verified, in nanoseconds; none while there was no policy.
    pub unverified_ns: Option<u64>,
    /// The operator's name for who asked; none in entries of versions that did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// Where the caller's trace stands, if it stated one.
    pub trace: Option<Trace>,
    /// The facts of the launch.
    pub facts: Facts,
}

/// The verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The launch may start.
    Allow,
    /// It may not.
    Deny,
}

/// What a report states as `case_model_admission_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdmissionStatus {
    /// Allowed in the real lane.
    Admitted,
    /// Denied.
    NotAdmitted,
    /// The fake lane.
    NotRequired,
}

/// The caller's place in its trace, from `traceparent`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The trace id, 32 hexadecimal digits.
    pub id: String,
    /// The caller's span id, 16 hexadecimal digits.
    pub parent: String,
    /// The flags, 2 hexadecimal digits. They never decide whether a span is exported.
    pub flags: String,
}

/// The facts of a launch. A name or a digest is in clear when the policy or the product has it, and
/// `hmac:` with 32 hexadecimal digits otherwise; a name that was not stated is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The host, as HMAC.
    pub host: String,
    /// The run, as HMAC.
    pub run: String,
    /// The lane.
    pub lane: Lane,
    /// The stage.
    pub stage: u32,
    /// The digest that the policy was expected to have.
    pub expected_policy: Option<String>,
    /// The requested provider.
    pub provider: String,
    /// The requested model.
    pub model: String,
    /// The digest of the host's admission file.
    pub admission_file: Option<String>,
    /// The class of the credential source, as HMAC.
    pub credential_source_class: String,
    /// What Case would use of its config; none when there is none.
    pub case_config: Option<CaseConfig>,
    /// Whether `CASE_MODEL_OVERRIDE` is set.
    pub case_model_override: Presence,
    /// Whether a `--model` flag is present.
    pub model_flag: Presence,
    /// Whether an `--agent` flag is present.
    pub agent_flag: Presence,
    /// The credential variables in sight: known names in clear, `AWS_*` and `*` for others; none
    /// when nobody looked.
    pub visible_credentials: Option<Vec<String>>,
    /// Whether a Target Repository path is visible.
    pub target_repository: Presence,
    /// The search for secrets; none when there was none.
    pub secret_scan: Option<SecretScan>,
    /// Whether something in the request looked like a secret.
    pub has_secret: bool,
    /// The kind of the fixture.
    pub fixture: Fixture,
    /// The fake baseline.
    pub fake_baseline: Baseline,
    /// What is known of the local provider.
    pub local_provider: LocalProvider,
}

/// The result of a search for secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretScan {
    /// What was searched.
    pub covered: Vec<ScanTarget>,
    /// Where something was found.
    pub findings: Vec<ScanTarget>,
}

/// What Case would use of its config.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CaseConfig {
    /// Nothing: it cannot be used at all.
    Fault(ConfigFault),
    /// These entries of `models`; what is not here is absent.
    Models(BTreeMap<String, ModelEntry>),
}

/// One entry of `models`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelEntry {
    /// What JavaScript takes for false.
    Falsy,
    /// No pair.
    Malformed,
    /// A pair of names: provider and model.
    Pair(String, String),
}

/// What is known of the local provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalProvider {
    /// Whether its base URL is supplied.
    pub base_url: Presence,
    /// The scope of its endpoint; none when it was not stated.
    pub endpoint_scope: Option<EndpointScope>,
    /// What Pi's `models.json` holds.
    pub adapter: Adapter,
    /// Whether the endpoint serves the model.
    pub served_model: ServedModel,
}

/// Requests were refused because nothing could be recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// When recording went on, RFC 3339.
    pub time: String,
    /// How many requests got no answer.
    pub refused: u64,
    /// Why, as far as is known; the latest cause if there were several.
    pub cause: Cause,
}

/// A torn tail was set aside after a crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// When, RFC 3339.
    pub time: String,
    /// How long the tail was, in bytes.
    pub torn_bytes: u64,
    /// SHA-256 of the tail.
    pub torn_digest: String,
}

/// A receiver refused spans for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// When, RFC 3339.
    pub time: String,
    /// The first sequence number of the batch.
    pub first_seq: u64,
    /// The last sequence number of the batch.
    pub last_seq: u64,
    /// How many spans of the batch were refused.
    pub rejected: u64,
    /// The gRPC code by its number; 0 for a partial success.
    pub grpc_code: u32,
}

/// The oldest segments were deleted at the end of their retention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// When, RFC 3339.
    pub time: String,
    /// The last sequence number that is gone.
    pub last_seq: u64,
    /// The hash of the last line that is gone: the first remaining segment follows it.
    pub last_hash: String,
}
