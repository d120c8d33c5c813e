//! Why a reading failed as a whole.
//!
//! Deliberately absent: what is wrong with one file, which is part of the reading.

use std::io;

/// Why a reading failed.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The directory itself cannot be used.
    #[error("the policy directory cannot be read: {0}")]
    Root(io::Error),
    /// A folder cannot be listed.
    #[error("the folder {folder} cannot be read: {error}")]
    Folder {
        /// Its path within the policy directory.
        folder: String,
        /// What the system says.
        error: io::Error,
    },
    /// What an entry is, or where it leads, cannot be found out.
    #[error("the entry {entry} cannot be looked up: {error}")]
    Entry {
        /// Its path within the policy directory.
        entry: String,
        /// What the system says.
        error: io::Error,
    },
    /// A folder is too deep.
    #[error("the folder {folder} is more than {max} levels deep")]
    TooDeep {
        /// Its path within the policy directory.
        folder: String,
        /// The limit.
        max: usize,
    },
    /// There are too many entries.
    #[error("the policy directory has more than {max} entries")]
    TooManyEntries {
        /// The limit.
        max: usize,
    },
    /// There are too many files.
    #[error("the policy directory has more than {max} policy files")]
    TooManyFiles {
        /// The limit.
        max: usize,
    },
    /// The files are too large together.
    #[error("the policy files have more than {max} bytes together")]
    TooManyBytes {
        /// The limit.
        max: usize,
    },
    /// The host's clock is of no use.
    #[error("the clock of the host is before 1970 or after 9999")]
    Clock,
}
