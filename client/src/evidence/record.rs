//! What the launch wrapper wrote of a run: what was answered, when it started, how it ended.
//!
//! Deliberately absent: any judgment. What is missing stays missing, and rejects.

use admit_client::facts::bounded_file::read_unlinked;
use admit_policy::{Digest, Timestamp, bounds::Bound};

use super::{
    CollectError, Held,
    folder::{AnswerPart, EvidenceFolder, LaunchFile, RunFile, StartFile, VERSION},
    store::{self, StoreError},
};

/// Longest admission status that the contract allows, in bytes.
const STATUS_BYTES_MAX: usize = 64;
/// Length of a UUID, in bytes.
const UUID_BYTES: usize = 36;

/// The lane of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunLane {
    Fake,
    Real,
}

/// What is recorded of a run that was allowed.
#[derive(Clone, Debug)]
pub(crate) struct RunRecord {
    pub(crate) lane: RunLane,
    pub(crate) launch: LaunchFile,
    pub(crate) answer: AnswerPart,
    /// None: nothing says that the process was started.
    pub(crate) start_time: Option<Timestamp>,
    /// None: nothing says how it ended.
    pub(crate) run: Option<RunFile>,
    /// Empty: there is none that could be one.
    pub(crate) permit: String,
}

impl RunRecord {
    pub(crate) fn read(folder: &EvidenceFolder) -> Result<Self, CollectError> {
        const LAUNCH: &str = "launch.json";
        let launch: LaunchFile =
            store::read_json(&folder.launch(), LAUNCH)?.ok_or(CollectError::NoLaunch)?;
        let lane = match launch.lane.as_str() {
            "fake" => RunLane::Fake,
            "real" => RunLane::Real,
            _ => return Err(form(LAUNCH)),
        };
        let is_form = launch.version == VERSION
            && Bound::Host.holds(&launch.host)
            && Bound::RunId.holds(&launch.run_id)
            && Bound::Provider.holds(&launch.provider)
            && Bound::Model.holds(&launch.model);
        if !is_form {
            return Err(form(LAUNCH));
        }
        let answer = match (launch.verdict.as_str(), launch.answer.clone()) {
            ("allow", Some(answer)) if is_answer(&answer) => answer,
            ("allow", Some(_) | None) => return Err(form(LAUNCH)),
            _ => return Err(CollectError::NotAllowed),
        };
        Ok(Self {
            lane,
            start_time: read_start(folder, &answer)?,
            run: read_run(folder)?,
            permit: read_permit(folder)?,
            answer,
            launch,
        })
    }

    /// Whether the folder holds still what the wrapper wrote into it.
    pub(crate) fn confirm(&self, held: &Held<'_>) -> Result<(), CollectError> {
        for (name, is_held) in [
            ("launch.json", self.launch == *held.launch),
            (
                "case_process_started",
                self.start_time == Timestamp::parse(held.start_time),
            ),
            ("permit.jwt", self.permit == held.permit),
            ("run.json", self.run.as_ref() == Some(held.run)),
        ] {
            if !is_held {
                return Err(CollectError::Forged(name));
            }
        }
        Ok(())
    }

    /// The digest of the fixture before the run, if it is one.
    pub(crate) fn fixture(&self) -> Option<Digest> {
        parsed(self.launch.fixture.as_deref())
    }
}

/// Whether `log` is the standard error that the wrapper kept of `run`. Where nobody knows, it is not.
pub(crate) fn is_as_kept(run: Option<&RunFile>, log: &[u8]) -> bool {
    let kept = run.and_then(|run| parsed(run.stderr.as_deref()));
    kept == Some(Digest::of(log))
}

/// The digest that a file states, if it is one.
pub(crate) fn parsed(digest: Option<&str>) -> Option<Digest> {
    digest.and_then(Digest::parse)
}

/// Whether every text of an answer is what it says. They go into reports.
fn is_answer(answer: &AnswerPart) -> bool {
    let is_id = |id: &str| {
        id.len() == UUID_BYTES
            && id
                .bytes()
                .all(|byte| byte == b'-' || byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'))
    };
    is_id(&answer.decision_id)
        && is_id(&answer.stream_id)
        && Timestamp::parse(&answer.decide_time).is_some()
        && is_digest_or_none(answer.policy_digest.as_deref())
        && Digest::parse(&answer.record_hash).is_some()
        && is_status(&answer.case_model_admission_status)
}

/// Whether `text` can be stated as an admission status.
pub(crate) fn is_status(text: &str) -> bool {
    text.len() <= STATUS_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_digest_or_none(digest: Option<&str>) -> bool {
    digest.is_none_or(|digest| Digest::parse(digest).is_some())
}

/// Whether every text of a run is what it says. They go into reports.
fn is_run(run: &RunFile) -> bool {
    run.version == VERSION
        && [&run.start_time, &run.end_time]
            .into_iter()
            .all(|time| Timestamp::parse(time).is_some())
        && [&run.config, &run.adapter].into_iter().all(|file| {
            is_digest_or_none(file.digest_before.as_deref())
                && is_digest_or_none(file.digest_after.as_deref())
        })
        && is_digest_or_none(run.stderr.as_deref())
}

fn form(name: &'static str) -> CollectError {
    StoreError::Form { name }.into()
}

fn read_start(
    folder: &EvidenceFolder,
    answer: &AnswerPart,
) -> Result<Option<Timestamp>, CollectError> {
    const STARTED: &str = "case_process_started";
    let Some(start) = store::read_json::<StartFile>(&folder.started(), STARTED)? else {
        return Ok(None);
    };
    if start.version != VERSION {
        return Err(form(STARTED));
    }
    if start.decision_id != answer.decision_id {
        return Err(CollectError::OtherDecision);
    }
    Timestamp::parse(&start.start_time)
        .map(Some)
        .ok_or_else(|| form(STARTED))
}

fn read_run(folder: &EvidenceFolder) -> Result<Option<RunFile>, CollectError> {
    const RUN: &str = "run.json";
    let run = store::read_json::<RunFile>(&folder.run(), RUN)?;
    match run {
        Some(run) if !is_run(&run) => Err(form(RUN)),
        run => Ok(run),
    }
}

fn read_permit(folder: &EvidenceFolder) -> Result<String, CollectError> {
    let bytes = read_unlinked(&folder.permit(), store::JSON_BYTES_MAX).map_err(|fault| {
        StoreError::Read {
            name: "permit.jwt",
            fault,
        }
    })?;
    let text = String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default();
    let permit = text.strip_suffix('\n').unwrap_or(&text);
    Ok(if admit_permit::is_plausible(permit) {
        permit.to_owned()
    } else {
        String::new()
    })
}
