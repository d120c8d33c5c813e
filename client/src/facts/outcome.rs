//! What a gathering ends in: a request with notes, or an error. Neither holds a secret or a path.

use admit_proto::v1::AdmitRequest;

use super::{BASE_URL, Bound, STAGE_MAX};

/// The gathered facts.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// The request to ask.
    pub request: AdmitRequest,
    /// What could not be looked at, and so stayed unstated.
    pub notes: Vec<Note>,
}

/// Why a fact stayed unstated. Holds no value and no path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The variable or the flag that it is about.
    pub about: &'static str,
    /// What is the matter with it.
    pub message: String,
}

/// The notes of one gathering.
#[derive(Debug, Default)]
pub(super) struct Notes(Vec<Note>);

impl Notes {
    pub(super) fn add(&mut self, about: &'static str, message: impl Into<String>) {
        self.0.push(Note {
            about,
            message: message.into(),
        });
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_vec(self) -> Vec<Note> {
        self.0
    }
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
