//! The record of a verdict on evidence, with everything that it can be derived from again.
//!
//! It needs no basis: what a permit stated stands in it, and the checks compare nothing but what
//! stands in it. Names and digests are closed as in a decision, so that equal ones stay equal.
//! Deliberately absent: the permit itself, and the text of any report, log or trace.

use serde::{Deserialize, Serialize};

use super::{Lane, Trace};
pub use crate::audit::words::{
    ChangeState, EvidenceTarget, EvidenceVerdict, ObservationSource, ObservationState,
    PipelineOutcome, ReportedStatus,
};

/// A verdict on the evidence of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The identity of the verdict, a UUID.
    pub id: String,
    /// When it was judged, RFC 3339.
    pub time: String,
    /// From the arrival of the request until the record was ready, in microseconds.
    pub elapsed_us: u64,
    /// The verdict.
    pub verdict: EvidenceVerdict,
    /// The code of every reason, in the order of the checks.
    pub reasons: Vec<String>,
    /// The decision that the permit states, a UUID, be it for this run or not; none when this server
    /// did not sign it.
    pub decision: Option<String>,
    /// The operator's name for who asked; none in entries of versions that did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// Where the caller's trace stands, if it stated one.
    pub trace: Option<Trace>,
    /// The host, as HMAC.
    pub host: String,
    /// The run, as HMAC.
    pub run: String,
    /// When the process was started, RFC 3339; none when it was not stated.
    pub start: Option<String>,
    /// What the permit states; none without a valid one.
    pub permit: Option<Permit>,
    /// What the report states.
    pub report: Report,
    /// The models that were seen at work.
    pub observed: Observed,
    /// What became of the configuration.
    pub config: Config,
    /// How the pipeline ended.
    pub pipeline: PipelineOutcome,
    /// The digest of the fixture before the run.
    pub fixture: Option<String>,
    /// The fake run; none when there was none.
    pub baseline: Option<FakeRun>,
    /// The search for secrets; none when there was none.
    pub secret_scan: Option<Scan>,
    /// Whether something in the request looked like a secret.
    pub has_secret: bool,
}

/// What a permit states.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permit {
    /// The host, as HMAC.
    pub host: String,
    /// The run, as HMAC.
    pub run: String,
    /// The lane.
    pub lane: Lane,
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The digest of the `config.json` that was decided on.
    pub case_config: Option<String>,
    /// When it was issued, RFC 3339.
    pub issued: String,
    /// From when on it admits nothing, RFC 3339.
    pub expires: String,
}

/// What a report states; a name that it leaves out is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// `case_model_provider`.
    pub provider: String,
    /// `case_model`.
    pub model: String,
    /// `case_model_admission_status`.
    pub admission_status: ReportedStatus,
}

/// The models that were seen at work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Whether everything that could tell was read.
    pub state: ObservationState,
    /// Every pair that was seen.
    pub models: Vec<ObservedModel>,
}

/// A pair that was seen at work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedModel {
    /// The agent: a role of Case in clear, any other one as HMAC.
    pub agent: String,
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// Where it was seen.
    pub source: ObservationSource,
}

/// What became of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The digest of `config.json` before the start.
    pub before: Option<String>,
    /// The digest of `config.json` after the end.
    pub after: Option<String>,
    /// Whether `config.json` was touched.
    pub config: ChangeState,
    /// Whether Pi's `models.json` was touched.
    pub adapter: ChangeState,
}

/// The fake run that a real run is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FakeRun {
    /// Whether it belongs to the same harness run.
    pub is_same_run: bool,
    /// The digest of its fixture.
    pub fixture: Option<String>,
    /// How its pipeline ended.
    pub pipeline: PipelineOutcome,
}

/// The result of a search for secrets after a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// What was searched.
    pub covered: Vec<EvidenceTarget>,
    /// Where something was found.
    pub findings: Vec<EvidenceTarget>,
}
