//! The report for machines: everything that the evidence rests on, in one closed shape.
//!
//! Deliberately absent: any path, any argument, any text that an agent wrote.

use std::path::Path;

use admit_client::facts::{bounded_file::read_unlinked, has_secret};
use admit_policy::{
    Digest,
    bounds::Bound,
    json::{self, Node, Value},
};
use admit_proto::v1::PipelineOutcome;
use serde::Serialize;

use super::{
    CollectError,
    baseline::Baseline,
    folder::{AnswerPart, EndedBy, FileState, RunFile, VERSION},
    observed::{Observed, SeenModel},
    pipeline::Pipeline,
    record::{RunRecord, is_status},
    scan::Scan,
    withholding::Endpoint,
};

/// Largest report of a harness, in bytes.
const HARNESS_REPORT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The three fields that evidence rests on. Empty: missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) status: String,
}

/// Where the three fields come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stated {
    pub(crate) fields: Fields,
    /// The report of a harness.
    pub(crate) harness: Option<Vec<u8>>,
}

impl Stated {
    /// What the harness's own report states, or else what was answered.
    pub(crate) fn read(
        record: &RunRecord,
        report: Option<&Path>,
        endpoint: &Endpoint,
    ) -> Result<Self, CollectError> {
        let Some(path) = report else {
            return Ok(Self {
                fields: Fields {
                    provider: record.launch.provider.clone(),
                    model: record.launch.model.clone(),
                    status: record.answer.case_model_admission_status.clone(),
                },
                harness: None,
            });
        };
        let bytes = read_unlinked(path, HARNESS_REPORT_BYTES_MAX)
            .map_err(|fault| CollectError::Report(fault.describe()))?
            .ok_or(CollectError::Report("is not there"))?;
        let root = std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| json::parse(text).ok())
            .filter(|root| matches!(root.value, Value::Object(_)))
            .ok_or(CollectError::Report(
                "is not one object of strict JSON, each key once",
            ))?;
        let field = |key: &str, is_form: &dyn Fn(&str) -> bool| {
            root.get(key)
                .and_then(Node::as_str)
                .filter(|text| is_form(text) && !has_secret(text) && !endpoint.is_in(text))
                .unwrap_or_default()
                .to_owned()
        };
        Ok(Self {
            fields: Fields {
                provider: field("case_model_provider", &|text| Bound::Provider.holds(text)),
                model: field("case_model", &|text| Bound::Model.holds(text)),
                status: field("case_model_admission_status", &is_status),
            },
            harness: Some(bytes),
        })
    }
}

/// `report.json`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ReportFile {
    pub(crate) version: u32,
    pub(crate) case_model_provider: String,
    pub(crate) case_model: String,
    pub(crate) case_model_admission_status: String,
    /// The digest of the harness's report that the three fields come from.
    pub(crate) harness_report: Option<String>,
    pub(crate) lane: String,
    pub(crate) stage: u32,
    pub(crate) host: String,
    pub(crate) run_id: String,
    /// The decision that the run was allowed by.
    pub(crate) decision: AnswerPart,
    pub(crate) start_time: Option<String>,
    pub(crate) process: Option<ProcessPart>,
    pub(crate) observed_models: ObservedPart,
    pub(crate) pipeline: PipelinePart,
    pub(crate) config: Option<FileState>,
    pub(crate) adapter: Option<FileState>,
    pub(crate) fixture: Option<String>,
    pub(crate) baseline: Option<BaselinePart>,
    pub(crate) secret_scan: Scan,
    /// None: not judged.
    pub(crate) verdict: Option<VerdictPart>,
}

/// How the process ran.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ProcessPart {
    pub(crate) end_time: String,
    pub(crate) exit_code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) ended_by: EndedBy,
    pub(crate) lost_contact_ms: Option<u64>,
    pub(crate) withheld_lines: u64,
    pub(crate) is_stderr_whole: bool,
    pub(crate) has_survivors: bool,
}

/// What was seen at work.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ObservedPart {
    pub(crate) is_complete: bool,
    pub(crate) models: Vec<SeenModel>,
    /// Why it is not complete.
    pub(crate) faults: Vec<&'static str>,
}

/// How the pipeline ended.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PipelinePart {
    pub(crate) outcome: &'static str,
    /// Why it is no pass.
    pub(crate) fault: Option<&'static str>,
}

/// The fake run that the run is compared with.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BaselinePart {
    pub(crate) run_id: String,
    pub(crate) fixture: Option<String>,
    pub(crate) pipeline: PipelinePart,
    /// Why it is none of this run, and was not handed in.
    pub(crate) fault: Option<&'static str>,
}

/// The server's judgment, in short; `verdict.json` has it whole.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct VerdictPart {
    pub(crate) verdict: &'static str,
    pub(crate) evidence_id: String,
    pub(crate) reasons: Vec<String>,
    pub(crate) seq: u64,
    pub(crate) record_hash: String,
}

/// Everything that a report is made of.
pub(crate) struct Findings<'a> {
    pub(crate) record: &'a RunRecord,
    pub(crate) stated: &'a Stated,
    pub(crate) observed: &'a Observed,
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) baseline: Option<&'a Baseline>,
}

impl ReportFile {
    /// The report before the search for secrets.
    pub(crate) fn new(findings: &Findings<'_>) -> Self {
        let Findings { record, stated, .. } = findings;
        let run = record.run.as_ref();
        Self {
            version: VERSION,
            case_model_provider: stated.fields.provider.clone(),
            case_model: stated.fields.model.clone(),
            case_model_admission_status: stated.fields.status.clone(),
            harness_report: stated
                .harness
                .as_ref()
                .map(|bytes| Digest::of(bytes).to_string()),
            lane: record.launch.lane.clone(),
            stage: record.launch.stage,
            host: record.launch.host.clone(),
            run_id: record.launch.run_id.clone(),
            decision: record.answer.clone(),
            start_time: record.start_time.map(|time| time.to_string()),
            process: run.map(ProcessPart::of),
            observed_models: ObservedPart {
                is_complete: findings.observed.faults().is_empty(),
                models: findings.observed.models().iter().cloned().collect(),
                faults: findings.observed.faults().iter().copied().collect(),
            },
            pipeline: PipelinePart::of(findings.pipeline),
            config: run.map(|run| run.config.clone()),
            adapter: run.map(|run| run.adapter.clone()),
            fixture: record.fixture().map(|digest| digest.to_string()),
            baseline: findings.baseline.map(|baseline| BaselinePart {
                run_id: baseline.run_id.clone(),
                fixture: baseline.fixture.map(|digest| digest.to_string()),
                pipeline: PipelinePart::of(&baseline.pipeline),
                fault: baseline.fault,
            }),
            secret_scan: Scan::default(),
            verdict: None,
        }
    }
}

impl ReportFile {
    /// What was missing or not understood, in words of this program.
    pub(crate) fn faults(&self) -> impl Iterator<Item = &'static str> {
        let baseline = self.baseline.as_ref();
        self.observed_models
            .faults
            .iter()
            .copied()
            .chain(self.pipeline.fault)
            .chain(baseline.and_then(|baseline| baseline.pipeline.fault))
            .chain(baseline.and_then(|baseline| baseline.fault))
    }
}

impl ProcessPart {
    fn of(run: &RunFile) -> Self {
        Self {
            end_time: run.end_time.clone(),
            exit_code: run.exit_code,
            signal: run.signal,
            ended_by: run.ended_by,
            lost_contact_ms: run.lost_contact_ms,
            withheld_lines: run.withheld_lines,
            is_stderr_whole: run.is_stderr_whole,
            has_survivors: run.has_survivors,
        }
    }
}

impl PipelinePart {
    fn of(pipeline: &Pipeline) -> Self {
        Self {
            outcome: match pipeline.outcome {
                PipelineOutcome::Passed => "passed",
                PipelineOutcome::Failed => "failed",
                PipelineOutcome::Incomplete | PipelineOutcome::Unspecified => "incomplete",
            },
            fault: pipeline.fault,
        }
    }
}
