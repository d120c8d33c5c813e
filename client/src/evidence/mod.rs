//! The evidence of a run: what it left, collected into one folder, and the server's judgment on it.
//!
//! In reading order:
//!
//! - [`folder`]: the names and shapes of the files; [`store`]: how they are written and read
//! - [`record`]: what the launch wrapper wrote of the run
//! - [`trace`], [`withholding`]: the logs that the run left, without the lines that must not stand
//!   there
//! - [`observed`], [`pi_session`], [`pipeline`], [`baseline`], [`scan`]: what they tell
//! - [`report`], [`request`]: everything in one shape, for people's machines and for the server
//! - [`verdict`], [`summary`]: the judgment, for machines and for people
//!
//! Deliberately absent: any judgment of its own. What is missing or not understood is stated as the
//! value that rejects.

mod baseline;
pub(crate) mod fixture;
pub(crate) mod folder;
pub(crate) mod observed;
mod pi_session;
pub(crate) mod pipeline;
mod record;
pub(crate) mod report;
mod request;
mod scan;
pub(crate) mod store;
mod summary;
pub(crate) mod trace;
mod verdict;
pub(crate) mod withholding;

use std::path::PathBuf;

use admit_client::{AskError, Client, Judgment, facts::bounded_file::read_unlinked};
use admit_proto::v1::CheckEvidenceRequest;

use baseline::Baseline;
use folder::{EvidenceFolder, LaunchFile, RunFile, TraceFile};
use observed::Observed;
use pipeline::Pipeline;
use record::{RunLane, RunRecord};
use report::{Findings, ReportFile, Stated};
use scan::Search;
use store::StoreError;
use trace::{Before, LOG_BYTES_MAX};
use withholding::Endpoint;

/// The report, as errors name it.
const REPORT: &str = "report.json";

/// Where the evidence comes from, besides the folder itself.
#[derive(Debug)]
pub(crate) struct Inputs<'a> {
    /// The folder of the fixture, in which Case writes `.case/`. None: nobody looks, unless the folder
    /// has a trace already.
    pub(crate) fixture_dir: Option<PathBuf>,
    /// The task that the event log has to be of. None: any.
    pub(crate) task_id: Option<String>,
    /// Pi's agent folder, in which sessions are. None: nobody looks.
    pub(crate) agent_dir: Option<PathBuf>,
    /// Whether a trace that is in the folder already may be the one that was collected before. Right
    /// after the run it is none: whoever wrote it is part of the run.
    pub(crate) may_have_trace: bool,
    /// What the folder has to hold still. None: nobody knows.
    pub(crate) held: Option<Held<'a>>,
    /// What was there before the start. None: whatever is older than the recorded start was.
    pub(crate) before: Option<&'a Before>,
    /// The evidence folder of the fake run of the same run.
    pub(crate) baseline: Option<PathBuf>,
    /// The harness's own report.
    pub(crate) report: Option<PathBuf>,
    /// The value of `CTO_HARNESS_CASE_LOCAL_BASE_URL`, which must not stand in the evidence.
    pub(crate) base_url: Option<String>,
}

/// What the launch wrapper wrote of a run, as it holds it itself. The command could write over it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held<'a> {
    pub(crate) launch: &'a LaunchFile,
    /// RFC 3339.
    pub(crate) start_time: &'a str,
    pub(crate) permit: &'a str,
    pub(crate) run: &'a RunFile,
}

/// What was collected.
#[derive(Clone, Debug)]
pub(crate) struct Collected {
    pub(crate) request: CheckEvidenceRequest,
    pub(crate) report: ReportFile,
    lane: RunLane,
}

/// What a handing in ends in.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The evidence was judged.
    Judged(Judgment),
    /// There is no judgment, so it is not accepted.
    NoAnswer(AskError),
}

/// Why there is no evidence to collect or to hand in. None of these holds a path or a value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CollectError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("launch.json is not in the folder, so it is no evidence folder")]
    NoLaunch,
    #[error("the launch was not allowed, so nothing ran")]
    NotAllowed,
    #[error("case_process_started is of another decision than launch.json")]
    OtherDecision,
    #[error("{0} is not what the wrapper wrote, so somebody else wrote into the folder")]
    Forged(&'static str),
    #[error("the run was one of the fake lane, which is a baseline and no pass evidence")]
    FakeLane,
    #[error("--baseline is not the folder of a collected run: {0}")]
    Baseline(Box<Self>),
    #[error("--baseline is the folder of a run of the real lane")]
    BaselineIsReal,
    #[error("the file of --report {0}")]
    Report(&'static str),
}

/// Collects what a run left into its folder: writes `trace/`, unless one may be there and is, and
/// `report.json`.
/// A judgment on what was collected before is removed.
///
/// # Errors
///
/// When there is no run that evidence could be of, or the folder cannot be read or written.
pub(crate) fn collect(
    folder: &EvidenceFolder,
    inputs: &Inputs<'_>,
) -> Result<Collected, CollectError> {
    let record = RunRecord::read(folder)?;
    if let Some(held) = &inputs.held {
        record.confirm(held)?;
    }
    let endpoint = Endpoint::new(inputs.base_url.as_deref());
    let host = &record.launch.host;
    let baseline = inputs.baseline.as_deref();
    let baseline = baseline
        .map(|path| Baseline::read(path, host))
        .transpose()?;
    let stated = Stated::read(&record, inputs.report.as_deref(), &endpoint)?;
    let index = trace_of(folder, inputs, &record, &endpoint)?;
    let run = record.run.as_ref();
    let pipeline = trace::pipeline(folder, index.as_ref(), inputs.task_id.as_deref(), run);
    let observed = observe(folder, index.as_ref(), run, &pipeline);
    let findings = Findings {
        record: &record,
        stated: &stated,
        observed: &observed,
        pipeline: &pipeline,
        baseline: baseline.as_ref(),
    };
    let mut report = ReportFile::new(&findings);
    let own = store::json(REPORT, &report)?;
    let mut search = Search::new(&endpoint);
    search.report(
        [own.as_slice()]
            .into_iter()
            .chain(stated.harness.as_deref()),
    );
    search.trace(folder, index.as_ref());
    search.backend(folder, run);
    report.secret_scan = search.into_scan();
    store::remove(&folder.verdict(), "verdict.json")?;
    store::remove(&folder.summary(), "summary.md")?;
    store::write_json(&folder.report(), REPORT, &report)?;
    Ok(Collected {
        request: request::request(&findings, &report.secret_scan),
        report,
        lane: record.lane,
    })
}

/// Hands in what was collected, and writes the judgment: `verdict.json`, `summary.md`, and the verdict
/// in `report.json`.
///
/// # Errors
///
/// When the run is one of the fake lane, or the folder cannot be written.
pub(crate) async fn hand_in(
    client: &mut Client,
    folder: &EvidenceFolder,
    collected: Collected,
) -> Result<Ending, CollectError> {
    match collected.lane {
        RunLane::Real => {}
        RunLane::Fake => return Err(CollectError::FakeLane),
    }
    let mut report = collected.report;
    let ending = match client.check_evidence(collected.request).await {
        Ok(judgment) => verdict::of_this_run(judgment, &report.decision.decision_id),
        Err(error) => Ending::NoAnswer(error),
    };
    report.verdict = verdict::part(&ending);
    let page = summary::page(&report, &ending);
    store::write_json(&folder.verdict(), "verdict.json", &verdict::file(&ending))?;
    store::write(&folder.summary(), page.as_bytes()).map_err(|error| StoreError::Write {
        name: "summary.md",
        error,
    })?;
    store::write_json(&folder.report(), REPORT, &report)?;
    Ok(ending)
}

/// The trace of the run: the one that may be there, or one that is copied now. `None` when there is
/// none and nobody says where the fixture is.
fn trace_of(
    folder: &EvidenceFolder,
    inputs: &Inputs<'_>,
    record: &RunRecord,
    endpoint: &Endpoint,
) -> Result<Option<TraceFile>, CollectError> {
    let mut faults = Vec::new();
    if inputs.may_have_trace {
        if let Some(there) = trace::index(folder)? {
            return Ok(Some(there));
        }
    } else if trace::remove(folder)? {
        faults.push("a trace was in the folder before it was collected".to_owned());
    }
    if inputs.fixture_dir.is_none() && faults.is_empty() {
        return Ok(None);
    }
    let by_start = record
        .start_time
        .map_or_else(Before::unknown, Before::start);
    let before = inputs.before.unwrap_or(&by_start);
    Ok(Some(trace::copy(
        folder,
        trace::Sources {
            fixture_dir: inputs.fixture_dir.as_deref(),
            agent_dir: inputs.agent_dir.as_deref(),
            before,
        },
        endpoint,
        faults,
    )?))
}

/// Every model that the run tells of.
fn observe(
    folder: &EvidenceFolder,
    index: Option<&TraceFile>,
    run: Option<&RunFile>,
    pipeline: &Pipeline,
) -> Observed {
    let mut observed = Observed::default();
    match read_unlinked(&folder.stderr(), LOG_BYTES_MAX) {
        Ok(Some(log)) => {
            if !record::is_as_kept(run, &log) {
                observed.miss("the log of standard error is not what the wrapper wrote");
            }
            observed.read_stderr(&log);
        }
        Ok(None) => observed.miss("standard error was not kept"),
        Err(_) => observed.miss("standard error cannot be read, or is larger than its limit"),
    }
    match run {
        Some(run) => {
            if run.withheld_lines > 0 {
                observed.miss("lines of standard error are withheld");
            }
            if !run.is_stderr_whole {
                observed.miss("standard error was not kept to its end");
            }
        }
        None => observed.miss("whether standard error is whole is not known"),
    }
    match index.and_then(|index| index.sessions.as_ref()) {
        None => observed.miss("nobody looked for sessions of Pi"),
        Some(sessions) => {
            for part in sessions {
                if part.withheld_lines > 0 {
                    observed.miss("lines of a session log are withheld");
                }
                match trace::read_part(folder, part) {
                    Some(log) => observed.read_session(&log),
                    None => observed.miss("a session log cannot be read"),
                }
            }
        }
    }
    if index.is_some_and(|index| !index.faults.is_empty()) {
        observed.miss("the trace is not complete");
    }
    // Case announces each start of an agent, unless it was told to be quiet. A phase may have several
    // (an implementer is started once more after a failure), and none has fewer than one.
    if pipeline
        .agents
        .iter()
        .any(|(agent, phases)| observed.spawns(agent) < *phases)
    {
        observed.miss("an agent of the event log is not on standard error for each of its phases");
    }
    observed
}

#[cfg(test)]
mod scene;
#[cfg(test)]
mod tests;
