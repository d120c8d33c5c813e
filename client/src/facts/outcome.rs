//! What a gathering ends in: a request with all that goes with it, or an error. Neither holds a secret,
//! and a path only where a file is to be looked at again.

use admit_proto::v1::AdmitRequest;

use super::{BASE_URL, Bound, ReadFile, Refusal, STAGE_MAX};

/// The gathered facts.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// The request to ask.
    pub request: AdmitRequest,
    /// What could not be looked at, and so stayed unstated.
    pub notes: Vec<Note>,
    /// The files that the facts rest on. Each has to be [unchanged](ReadFile::is_unchanged) still when
    /// the command is started.
    pub files: Vec<ReadFile>,
    /// Why the wrapper does not start the command, whatever the answer is.
    pub refusals: Vec<Refusal>,
    /// The id of the one task, by which Case names its event log; `None` when there is no such task.
    pub task_id: Option<String>,
}

/// Why a fact stayed unstated. Holds no value and no path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The variable or the flag that it is about.
    pub about: &'static str,
    /// What is the matter with it.
    pub message: String,
}

/// Why there is no request to ask. None of these repeats a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatherError {
    /// A text cannot be stated.
    #[error("{about} cannot be stated: it is not {}", bound.describe())]
    OutOfBounds {
        /// The variable or the flag that holds it.
        about: &'static str,
        /// Its bounds.
        bound: Bound,
    },
    /// The stage is larger than [`STAGE_MAX`].
    #[error("the stage cannot be stated: it is larger than {STAGE_MAX}")]
    StageOutOfBounds,
    /// A text looks like a secret.
    #[error("{about} holds something that looks like a secret, which is never sent")]
    Secret {
        /// The variable or the flag that holds it.
        about: &'static str,
    },
    /// A text holds the base URL.
    #[error("{about} holds the value of {BASE_URL}, which is never sent")]
    BaseUrl {
        /// What holds it.
        about: &'static str,
    },
    /// Case's `config.json` is too large to be sent.
    #[error("{variable} leads to a config.json that is larger than 256 KiB")]
    ConfigTooLarge {
        /// The variable that leads to it.
        variable: &'static str,
    },
    /// There is no working directory.
    #[error("the working directory cannot be told")]
    WorkingDirectory,
    /// It took too long.
    #[error("the facts were not gathered within the deadline")]
    TimedOut,
    /// The gathering broke off.
    #[error("the gathering broke off")]
    BrokeOff,
}
