//! What a finished run hands in, as the checks look at it.
//!
//! Every value set has a place for what was not stated, and no check takes it for the good value.
//! Deliberately absent: the permit's own text, and any bound on the texts; the border checks those.

use alloc::{string::String, vec::Vec};

use crate::{digest::Digest, facts::Lane, pair::Pair, secret, timestamp::Timestamp};

/// Most pairs that were seen at work, in one request.
pub const OBSERVED_MAX: usize = 256;

/// What a permit states, once it has been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermitFacts {
    /// The harness host that it is for.
    pub host: String,
    /// The harness run that it is for.
    pub run_id: String,
    /// The lane that it admits.
    pub lane: Lane,
    /// The pair that it admits.
    pub pair: Pair,
    /// The digest of the `config.json` that was decided on; `None` when there was none.
    pub case_config: Option<Digest>,
    /// When it was issued, by the server's clock.
    pub issued: Timestamp,
    /// From when on it admits nothing.
    pub expires: Timestamp,
}

/// The permit that a run was started under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permit {
    /// None, or none that this server signed.
    Invalid,
    /// One that this server signed.
    Valid(PermitFacts),
}

/// What the harness's report states; a field that it leaves out is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// `case_model_provider`.
    pub provider: String,
    /// `case_model`.
    pub model: String,
    /// `case_model_admission_status`.
    pub admission_status: String,
}

/// Whether everything that could tell of a model was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObservationState {
    /// Not stated, or not known.
    Unstated,
    /// It was.
    Complete,
    /// It was not, or not all of it was understood.
    Incomplete,
}

/// Where a model was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObservationSource {
    /// Not stated, or not known.
    Unstated,
    /// Case's events on standard error.
    CaseStderr,
    /// A session log of Pi.
    PiSession,
}

/// A pair that was seen at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedModel {
    /// The agent that used it.
    pub agent: String,
    /// The pair.
    pub pair: Pair,
    /// Where it was seen.
    pub source: ObservationSource,
}

/// Whether a file was touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeState {
    /// Not stated, or not known.
    Unstated,
    /// It was not.
    Unchanged,
    /// It was.
    Changed,
}

/// What became of the configuration while the process ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigStates {
    /// The digest of `config.json` before the start.
    pub before: Option<Digest>,
    /// The digest of `config.json` after the end.
    pub after: Option<Digest>,
    /// Whether `config.json` was touched.
    pub config: ChangeState,
    /// Whether Pi's `models.json` was touched.
    pub adapter: ChangeState,
}

impl ConfigStates {
    /// What a caller that says nothing has said.
    pub const UNSTATED: Self = Self {
        before: None,
        after: None,
        config: ChangeState::Unstated,
        adapter: ChangeState::Unstated,
    };
}

/// How a pipeline ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipelineOutcome {
    /// Not stated, or not known.
    Unstated,
    /// Its event log has no end.
    Incomplete,
    /// It failed.
    Failed,
    /// It succeeded.
    Passed,
}

/// The fake run that a real run is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeRun {
    /// The harness run that it belongs to; empty when it is not stated.
    pub run_id: String,
    /// The digest of its fixture before it ran.
    pub fixture: Option<Digest>,
    /// How its pipeline ended.
    pub pipeline: PipelineOutcome,
}

/// A place that is searched for secrets after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EvidenceTarget {
    /// Not stated, or not known.
    Unstated,
    /// The report.
    Report,
    /// Case's event log.
    Trace,
    /// The logs of the backend.
    BackendLogs,
}

/// The result of the caller's search for secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceScan {
    /// What was searched.
    pub covered: Vec<EvidenceTarget>,
    /// Where something was found.
    pub findings: Vec<EvidenceTarget>,
}

/// Everything that a caller states about a finished run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedRun {
    /// The harness host.
    pub host: String,
    /// The harness run.
    pub run_id: String,
    /// When the process was started, by the host's clock; `None` when it was not stated.
    pub start: Option<Timestamp>,
    /// What the report states.
    pub report: Report,
    /// Whether everything that could tell of a model was read.
    pub observation: ObservationState,
    /// The pairs that were seen at work.
    pub observed: Vec<ObservedModel>,
    /// What became of the configuration.
    pub config: ConfigStates,
    /// How the pipeline ended.
    pub pipeline: PipelineOutcome,
    /// The digest of the fixture before the run.
    pub fixture: Option<Digest>,
    /// The fake run; `None` when there is none.
    pub baseline: Option<FakeRun>,
    /// The caller's search for secrets; `None` when there was none.
    pub secret_scan: Option<EvidenceScan>,
}

/// The evidence of a finished run: everything that a check looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// What the caller states.
    pub run: FinishedRun,
    /// The permit.
    pub permit: Permit,
    /// Whether something in the request itself looks like a secret. The permit is one by its form, and
    /// does not count.
    pub has_secret: bool,
}

impl FinishedRun {
    /// The evidence of this run under `permit`.
    #[must_use]
    pub fn under(self, permit: Permit) -> Evidence {
        Evidence {
            has_secret: self.has_secret(),
            run: self,
            permit,
        }
    }

    /// Searches every text that the caller sent, the permit apart.
    fn has_secret(&self) -> bool {
        let report = &self.report;
        let texts = [
            &self.host,
            &self.run_id,
            &report.provider,
            &report.model,
            &report.admission_status,
        ];
        let observed = self
            .observed
            .iter()
            .flat_map(|seen| [&seen.agent, &seen.pair.provider, &seen.pair.model]);
        texts
            .into_iter()
            .chain(observed)
            .chain(self.baseline.iter().map(|baseline| &baseline.run_id))
            .any(|text| secret::is_present(text))
    }
}
