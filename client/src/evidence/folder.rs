//! The evidence folder: the names of its files, and the shapes of those that Admit itself writes.
//!
//! Deliberately absent: any path, any argument, any value of a variable. What stands here goes into
//! reviews.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The version of every shape in here.
pub(crate) const VERSION: u32 = 1;

/// A folder of evidence.
#[derive(Clone, Debug)]
pub(crate) struct EvidenceFolder(PathBuf);

impl EvidenceFolder {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// What was asked and answered: [`LaunchFile`].
    pub(crate) fn launch(&self) -> PathBuf {
        self.0.join("launch.json")
    }

    /// The permit, as it was given.
    pub(crate) fn permit(&self) -> PathBuf {
        self.0.join("permit.jwt")
    }

    /// Written when the process starts: [`StartFile`].
    pub(crate) fn started(&self) -> PathBuf {
        self.0.join("case_process_started")
    }

    /// Written when the process does not start.
    pub(crate) fn not_admitted(&self) -> PathBuf {
        self.0.join("backend/provider-model-not-admitted.txt")
    }

    /// The standard error of the process, without the lines that look as if they held a secret.
    pub(crate) fn stderr(&self) -> PathBuf {
        self.0.join("backend/case.stderr.log")
    }

    /// The event logs and session logs of the run, without such lines.
    pub(crate) fn trace(&self) -> PathBuf {
        self.0.join("trace")
    }

    /// What the trace consists of: [`TraceFile`].
    pub(crate) fn trace_index(&self) -> PathBuf {
        self.0.join("trace/trace.json")
    }

    /// The logs of the backend.
    pub(crate) fn backend(&self) -> PathBuf {
        self.0.join("backend")
    }

    /// How the process ran: [`RunFile`].
    pub(crate) fn run(&self) -> PathBuf {
        self.0.join("run.json")
    }

    /// The report for machines.
    pub(crate) fn report(&self) -> PathBuf {
        self.0.join("report.json")
    }

    /// The report for people.
    pub(crate) fn summary(&self) -> PathBuf {
        self.0.join("summary.md")
    }

    /// The server's judgment on the evidence.
    pub(crate) fn verdict(&self) -> PathBuf {
        self.0.join("verdict.json")
    }
}

/// `launch.json`: what was asked and answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LaunchFile {
    /// [`VERSION`].
    pub(crate) version: u32,
    /// `fake` or `real`.
    pub(crate) lane: String,
    pub(crate) stage: u32,
    pub(crate) host: String,
    pub(crate) run_id: String,
    /// The requested pair; both empty when none is.
    pub(crate) provider: String,
    pub(crate) model: String,
    /// `allow`, `deny`, `refused` (by the wrapper itself) or `no-answer`.
    pub(crate) verdict: String,
    /// The codes of the reasons; the wrapper's own ones for `refused`.
    pub(crate) reasons: Vec<String>,
    /// The digest of the `config.json` that was stated.
    pub(crate) case_config: Option<String>,
    /// The digest of the fixture before the run.
    pub(crate) fixture: Option<String>,
    /// What the answer says; none without an answer.
    pub(crate) answer: Option<AnswerPart>,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswerPart {
    pub(crate) decision_id: String,
    /// RFC 3339, by the server's clock.
    pub(crate) decide_time: String,
    pub(crate) policy_digest: Option<String>,
    pub(crate) case_model_admission_status: String,
    pub(crate) stream_id: String,
    pub(crate) seq: u64,
    pub(crate) record_hash: String,
}

/// `case_process_started`: that the process was started, and on which decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartFile {
    pub(crate) version: u32,
    pub(crate) decision_id: String,
    /// RFC 3339, by the host's clock.
    pub(crate) start_time: String,
}

/// `run.json`: how the process ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunFile {
    pub(crate) version: u32,
    /// RFC 3339, by the host's clock.
    pub(crate) start_time: String,
    pub(crate) end_time: String,
    /// How the process ended: one of both.
    pub(crate) exit_code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) ended_by: EndedBy,
    pub(crate) config: FileState,
    pub(crate) adapter: FileState,
    /// The longest time without contact to the server, in milliseconds, if that was longer than the
    /// time after which contact counts as lost.
    pub(crate) lost_contact_ms: Option<u64>,
    /// Lines of standard error that are not in the log because they looked as if they held a secret.
    /// Any such line makes the observation incomplete, and counts as a secret that was found.
    pub(crate) withheld_lines: u64,
    /// Whether everything else of standard error is in the log. False, as when the log was full: the
    /// observation is incomplete, and nothing is said of secrets.
    pub(crate) is_stderr_whole: bool,
    /// The digest of the log of standard error, as the wrapper wrote it. None: not known.
    pub(crate) stderr: Option<String>,
    /// Whether something that the process started could not be ended. It may work on, so the pipeline
    /// has not come to its end.
    pub(crate) has_survivors: bool,
}

/// What ended the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EndedBy {
    /// Nothing but itself.
    Itself,
    /// The pair was revoked.
    Revocation,
    /// The server was out of reach for too long, and `--on-lost-contact` said so.
    LostContact,
    /// The wrapper was told to end.
    Signal,
}

/// What became of a file while the process ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileState {
    /// None: the file was absent.
    pub(crate) digest_before: Option<String>,
    pub(crate) digest_after: Option<String>,
    /// Whether it was touched, even if its content is the same again.
    pub(crate) is_touched: bool,
}

/// `trace/trace.json`: what the trace consists of. Written last: without it there is no trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TraceFile {
    pub(crate) version: u32,
    /// The event logs of Case that are new since the start. None: nobody looked.
    pub(crate) event_logs: Option<Vec<TracePart>>,
    /// The session logs of Pi that are new since the start. None: nobody looked.
    pub(crate) sessions: Option<Vec<TracePart>>,
    /// What could not be read, in words of this program. Empty: everything was read.
    pub(crate) faults: Vec<String>,
}

/// A copied log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TracePart {
    /// The name of the copy within `trace/`. The name of the original is not kept.
    pub(crate) file: String,
    /// Lines that are not in the copy because they looked as if they held a secret.
    pub(crate) withheld_lines: u64,
}
