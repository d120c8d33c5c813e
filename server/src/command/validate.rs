//! `admitd validate`: what is wrong with a policy directory, found as the daemon would find it.

use std::{
    io::{self, Write},
    path::Path,
};

use admit_policy::Snapshot;

use crate::{
    report::{self, Format, Report},
    store::scan::{Limits, ScanError, scan},
};

/// Why a directory could not be validated.
#[derive(Debug, thiserror::Error)]
pub enum ValidateError {
    /// The directory could not be read.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The report could not be written.
    #[error("the report could not be written")]
    Write(#[from] io::Error),
}

/// Writes a report on `directory`; whether it is clean.
///
/// # Errors
///
/// When the directory cannot be read or the report cannot be written.
pub fn run(directory: &Path, format: Format, to: &mut impl Write) -> Result<bool, ValidateError> {
    let reading = scan(directory, &Limits::DEFAULT)?;
    let snapshot = Snapshot::build_with_strays(&reading.files, reading.strays);
    let report = Report {
        directory,
        files: reading.files.len(),
        snapshot: &snapshot,
    };
    report::write(&report, format, to)?;
    Ok(snapshot.findings().is_empty())
}
