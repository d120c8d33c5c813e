//! Reports: findings, rendered for people, editors and CI.
//!
//! Deliberately absent: any judgment. A renderer shows every finding that the snapshot has.

mod github;
mod json;
mod plain;
mod sarif;

use std::{
    io::{self, Write},
    path::Path,
};

use admit_policy::{Place, Snapshot};

/// The form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people: each finding under its line.
    Plain,
    /// For programs: one versioned object.
    Json,
    /// For code scanning: SARIF 2.1.0.
    Sarif,
    /// For GitHub Actions: one annotation a line.
    Github,
}

/// What is reported on.
#[derive(Debug)]
pub struct Report<'a> {
    /// The policy directory, as the user named it.
    pub directory: &'a Path,
    /// How many files are policy.
    pub files: usize,
    /// What they say.
    pub snapshot: &'a Snapshot,
}

impl Report<'_> {
    /// The path of a place as the user would write it: starting at the named directory.
    fn path(&self, place: &Place) -> String {
        match &*place.path {
            "." => self.directory.display().to_string(),
            path => self.directory.join(path).display().to_string(),
        }
    }
}

/// Writes the report.
///
/// # Errors
///
/// When `to` cannot be written to.
pub fn write(report: &Report<'_>, format: Format, to: &mut impl Write) -> io::Result<()> {
    match format {
        Format::Plain => plain::write(report, to),
        Format::Json => json::write(report, to),
        Format::Sarif => sarif::write(report, to),
        Format::Github => github::write(report, to),
    }
}
