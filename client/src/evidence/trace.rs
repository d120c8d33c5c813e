//! The trace: the event logs of Case and the session logs of Pi that a run left, copied into the
//! evidence without the lines that must not stand there.
//!
//! What agents may have made is read with care: no link is followed, and every number has a bound.
//!
//! Deliberately absent: the names of the originals, which hold paths.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use admit_client::facts::bounded_file::read_unlinked;
use admit_policy::Timestamp;

use super::{
    folder::{EndedBy, EvidenceFolder, RunFile, TraceFile, TracePart, VERSION},
    pipeline::Pipeline,
    store::{self, StoreError},
    withholding::{Endpoint, Withholding},
};

/// Largest log of any kind, in bytes.
pub(crate) const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Most entries of one folder that are looked at.
const ENTRIES_MAX: usize = 4096;
/// Most new logs of one kind.
const LOGS_MAX: usize = 32;

/// The logs that were there before the start.
#[derive(Clone, Debug)]
pub(crate) struct Before {
    event_logs: Known,
    sessions: Known,
}

#[derive(Clone, Debug)]
enum Known {
    /// These, in this state.
    These(BTreeMap<PathBuf, State>),
    /// Those that were last written to before this time, in seconds and nanoseconds since the epoch.
    OlderThan(i64, i64),
    /// Nobody can tell.
    Nothing,
}

/// By what a changed log is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

/// What keeps a folder from being listed.
struct Unlisted;

impl Before {
    /// Lists the logs that are there now. What cannot be listed makes the trace incomplete.
    pub(crate) fn look(fixture_dir: Option<&Path>, agent_dir: Option<&Path>) -> Self {
        let known = |listed: Option<Result<BTreeMap<PathBuf, State>, Unlisted>>| match listed {
            Some(Ok(logs)) => Known::These(logs),
            Some(Err(Unlisted)) | None => Known::Nothing,
        };
        Self {
            event_logs: known(fixture_dir.map(list_event_logs)),
            sessions: known(agent_dir.map(list_sessions)),
        }
    }

    /// Takes every log that was written to at `start` or later for one of the run. A log of another
    /// run at the same time is not told apart.
    pub(crate) fn start(start: Timestamp) -> Self {
        let (seconds, nanos) = start.unix();
        let known = Known::OlderThan(seconds, nanos.into());
        Self {
            event_logs: known.clone(),
            sessions: known,
        }
    }

    /// Knows of nothing, so that no trace is complete.
    pub(crate) fn unknown() -> Self {
        Self {
            event_logs: Known::Nothing,
            sessions: Known::Nothing,
        }
    }
}

impl Known {
    /// Whether the log in this state is one of the run; `None` when nobody can tell.
    fn is_new(&self, path: &Path, state: State) -> Option<bool> {
        match self {
            Self::These(logs) => Some(logs.get(path) != Some(&state)),
            Self::OlderThan(seconds, nanos) => Some(state.modified >= (*seconds, *nanos)),
            Self::Nothing => None,
        }
    }
}

/// Where the logs of a run are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sources<'a> {
    /// The folder in which Case writes `.case/`. None: nobody looks.
    pub(crate) fixture_dir: Option<&'a Path>,
    /// Pi's agent folder. None: nobody looks.
    pub(crate) agent_dir: Option<&'a Path>,
    pub(crate) before: &'a Before,
}

/// Removes whatever stands in the place of the trace, and says whether something did.
pub(crate) fn remove(folder: &EvidenceFolder) -> Result<bool, StoreError> {
    let place = folder.trace();
    let removed = match fs::symlink_metadata(&place) {
        Ok(there) if there.is_dir() => fs::remove_dir_all(&place),
        Ok(_) => fs::remove_file(&place),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) => Ok(true),
        Err(error) => Err(StoreError::Write {
            name: "trace",
            error,
        }),
    }
}

/// Copies the logs of the run into the folder and writes the index of the trace. `faults` are those
/// that are known already.
pub(crate) fn copy(
    folder: &EvidenceFolder,
    sources: Sources<'_>,
    endpoint: &Endpoint,
    faults: Vec<String>,
) -> Result<TraceFile, StoreError> {
    let Sources {
        fixture_dir,
        agent_dir,
        before,
    } = sources;
    let mut copying = Copying {
        folder,
        endpoint,
        faults,
    };
    let event_logs = fixture_dir
        .map(|dir| copying.kind(list_event_logs(dir), &before.event_logs, "events"))
        .transpose()?;
    let sessions = agent_dir
        .map(|dir| copying.kind(list_sessions(dir), &before.sessions, "session"))
        .transpose()?;
    let index = TraceFile {
        version: VERSION,
        event_logs,
        sessions,
        faults: copying.faults,
    };
    store::write_json(&folder.trace_index(), INDEX, &index)?;
    Ok(index)
}

/// The index, as errors name it.
const INDEX: &str = "trace/trace.json";

/// The index of the trace; `None` when no trace was collected.
pub(crate) fn index(folder: &EvidenceFolder) -> Result<Option<TraceFile>, StoreError> {
    match store::read_json::<TraceFile>(&folder.trace_index(), INDEX)? {
        Some(index) if index.version != VERSION => Err(StoreError::Form { name: INDEX }),
        index => Ok(index),
    }
}

/// The content of a copied log; `None` when it cannot be read.
pub(crate) fn read_part(folder: &EvidenceFolder, part: &TracePart) -> Option<Vec<u8>> {
    let is_name = part
        .file
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    if !is_name {
        return None;
    }
    read_unlinked(&folder.trace().join(&part.file), LOG_BYTES_MAX).ok()?
}

/// How the pipeline of a run ended. Nothing but one whole event log of a process that ended by itself
/// tells of a pass.
pub(crate) fn pipeline(
    folder: &EvidenceFolder,
    index: Option<&TraceFile>,
    task_id: Option<&str>,
    run: Option<&RunFile>,
) -> Pipeline {
    let Some((index, logs)) = index.and_then(|index| Some((index, index.event_logs.as_ref()?)))
    else {
        return Pipeline::incomplete("nobody looked for an event log");
    };
    let part = match logs.as_slice() {
        [part] => part,
        [] => return Pipeline::incomplete("there is no event log"),
        [_, _, ..] => return Pipeline::incomplete("there are several event logs"),
    };
    if !index.faults.is_empty() {
        return Pipeline::incomplete("the trace is not complete");
    }
    if part.withheld_lines > 0 {
        return Pipeline::incomplete("lines of the event log are withheld");
    }
    let Some(log) = read_part(folder, part) else {
        return Pipeline::incomplete("the event log cannot be read");
    };
    let pipeline = Pipeline::read(&log, task_id);
    match run.map(cut) {
        Some(None) => pipeline,
        Some(Some(fault)) => pipeline.cut(fault),
        None => pipeline.cut("how the process ended is not known"),
    }
}

/// What may have cut the process short; `None` when nothing did.
fn cut(run: &RunFile) -> Option<&'static str> {
    match run.ended_by {
        EndedBy::Itself => {}
        EndedBy::Revocation | EndedBy::LostContact | EndedBy::Signal => {
            return Some("the process did not end by itself");
        }
    }
    // Whoever kills it from elsewhere leaves a signal, or nothing at all.
    if run.exit_code.is_none() || run.signal.is_some() {
        return Some("the process has no exit code");
    }
    if run.has_survivors {
        return Some("something that the process started was left");
    }
    None
}

struct Copying<'a> {
    folder: &'a EvidenceFolder,
    endpoint: &'a Endpoint,
    faults: Vec<String>,
}

impl Copying<'_> {
    fn kind(
        &mut self,
        listed: Result<BTreeMap<PathBuf, State>, Unlisted>,
        known: &Known,
        name: &str,
    ) -> Result<Vec<TracePart>, StoreError> {
        let Ok(listed) = listed else {
            self.faults
                .push(format!("the {name} logs cannot be listed"));
            return Ok(Vec::new());
        };
        let mut parts = Vec::new();
        for (path, state) in listed {
            match known.is_new(&path, state) {
                Some(false) => continue,
                Some(true) => {}
                None => {
                    self.faults.push(format!(
                        "which {name} logs were there before the start is not known"
                    ));
                    break;
                }
            }
            if parts.len() == LOGS_MAX {
                self.faults
                    .push(format!("there are more than {LOGS_MAX} new {name} logs"));
                break;
            }
            let number = parts.len().saturating_add(1);
            parts.extend(self.log(&path, format!("{name}-{number}.jsonl"))?);
        }
        Ok(parts)
    }

    /// Copies one log; `None` when it cannot be read.
    fn log(&mut self, path: &Path, file: String) -> Result<Option<TracePart>, StoreError> {
        let content = match read_unlinked(path, LOG_BYTES_MAX) {
            Ok(Some(content)) => content,
            Ok(None) => {
                self.faults.push(format!("the original of {file} is gone"));
                return Ok(None);
            }
            Err(fault) => {
                self.faults
                    .push(format!("the original of {file} {}", fault.describe()));
                return Ok(None);
            }
        };
        let (kept, withheld_lines) = sift(&content, self.endpoint);
        store::write(&self.folder.trace().join(&file), &kept).map_err(|error| {
            StoreError::Write {
                name: "a log of the trace",
                error,
            }
        })?;
        Ok(Some(TracePart {
            file,
            withheld_lines,
        }))
    }
}

/// The lines of `log` that may stand in the evidence, and how many may not.
fn sift(log: &[u8], endpoint: &Endpoint) -> (Vec<u8>, u64) {
    let mut withholding = Withholding::new(endpoint);
    let mut kept = Vec::with_capacity(log.len());
    let mut withheld_lines: u64 = 0;
    for line in log.split_inclusive(|byte| *byte == b'\n') {
        if withholding.withholds(line.strip_suffix(b"\n").unwrap_or(line)) {
            withheld_lines = withheld_lines.saturating_add(1);
        } else {
            kept.extend_from_slice(line);
        }
    }
    (kept, withheld_lines)
}

/// `<fixture>/.case/<task>/events/run-*.jsonl`.
fn list_event_logs(fixture_dir: &Path) -> Result<BTreeMap<PathBuf, State>, Unlisted> {
    let mut logs = BTreeMap::new();
    for task in list(&fixture_dir.join(".case"))?.unwrap_or_default() {
        // A link here would be followed on the way to what is below it.
        if fs::symlink_metadata(&task).is_ok_and(|entry| entry.is_symlink()) {
            return Err(Unlisted);
        }
        for name in list(&task.join("events"))?.unwrap_or_default() {
            let is_log = name.file_name().is_some_and(|name| {
                name.as_bytes().starts_with(b"run-") && name.as_bytes().ends_with(b".jsonl")
            });
            if is_log {
                logs.insert(name.clone(), state(&name)?);
            }
        }
    }
    Ok(logs)
}

/// `<agent folder>/sessions/<working directory>/*.jsonl`.
fn list_sessions(agent_dir: &Path) -> Result<BTreeMap<PathBuf, State>, Unlisted> {
    let mut logs = BTreeMap::new();
    for working_dir in list(&agent_dir.join("sessions"))?.unwrap_or_default() {
        for name in list(&working_dir)?.unwrap_or_default() {
            if name
                .extension()
                .is_some_and(|extension| extension == "jsonl")
            {
                logs.insert(name.clone(), state(&name)?);
            }
        }
    }
    Ok(logs)
}

/// What is in a folder; `None` when there is no such folder, as where it is a file. A link to a folder
/// cannot be listed: it leads to somewhere that nobody vouches for.
fn list(folder: &Path) -> Result<Option<Vec<PathBuf>>, Unlisted> {
    match fs::symlink_metadata(folder) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(metadata) if metadata.is_symlink() => return Err(Unlisted),
        Ok(_) => return Ok(None),
        Err(error) => {
            use std::io::ErrorKind::{NotADirectory, NotFound};
            return if matches!(error.kind(), NotFound | NotADirectory) {
                Ok(None)
            } else {
                Err(Unlisted)
            };
        }
    }
    let mut names: Vec<OsString> = Vec::new();
    for entry in fs::read_dir(folder).map_err(|_| Unlisted)? {
        if names.len() == ENTRIES_MAX {
            return Err(Unlisted);
        }
        names.push(entry.map_err(|_| Unlisted)?.file_name());
    }
    Ok(Some(
        names.into_iter().map(|name| folder.join(name)).collect(),
    ))
}

fn state(path: &Path) -> Result<State, Unlisted> {
    let metadata = fs::symlink_metadata(path).map_err(|_| Unlisted)?;
    Ok(State {
        inode: metadata.ino(),
        bytes: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
    })
}

#[cfg(test)]
mod tests;
