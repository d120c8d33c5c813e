//! The search for secrets in what a run left. It says where something was found, never what.
//!
//! A line that was withheld from the evidence counts as found: it was there, and it still is where
//! the run left it.

use std::{collections::BTreeSet, fs};

use admit_client::facts::{bounded_file::read_unlinked, has_secret};
use serde::Serialize;

use super::{
    folder::{EvidenceFolder, RunFile, TraceFile},
    trace::{LOG_BYTES_MAX, read_part},
    withholding::Endpoint,
};

/// Most files of the backend that are searched.
const BACKEND_FILES_MAX: usize = 64;

/// A place that is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Target {
    Report,
    Trace,
    BackendLogs,
}

/// The result of the search.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Scan {
    pub(crate) covered: BTreeSet<Target>,
    pub(crate) findings: BTreeSet<Target>,
}

/// Searches the places one after the other.
pub(crate) struct Search<'a> {
    endpoint: &'a Endpoint,
    scan: Scan,
}

impl<'a> Search<'a> {
    pub(crate) fn new(endpoint: &'a Endpoint) -> Self {
        Self {
            endpoint,
            scan: Scan::default(),
        }
    }

    pub(crate) fn into_scan(self) -> Scan {
        self.scan
    }

    /// Searches the texts of the report.
    pub(crate) fn report<'t>(&mut self, texts: impl IntoIterator<Item = &'t [u8]>) {
        self.scan.covered.insert(Target::Report);
        for text in texts {
            self.text(Target::Report, text);
        }
    }

    /// Searches the trace. Without event logs, or with a fault, it is not covered.
    pub(crate) fn trace(&mut self, folder: &EvidenceFolder, index: Option<&TraceFile>) {
        let Some((index, event_logs)) =
            index.and_then(|index| Some((index, index.event_logs.as_ref()?)))
        else {
            return;
        };
        let mut is_covered = index.faults.is_empty();
        for part in event_logs.iter().chain(index.sessions.iter().flatten()) {
            if part.withheld_lines > 0 {
                self.scan.findings.insert(Target::Trace);
            }
            match read_part(folder, part) {
                Some(text) => self.text(Target::Trace, &text),
                None => is_covered = false,
            }
        }
        if is_covered {
            self.scan.covered.insert(Target::Trace);
        }
    }

    /// Searches the logs of the backend. Without standard error, or without a word on what was
    /// withheld from it, they are not covered.
    pub(crate) fn backend(&mut self, folder: &EvidenceFolder, run: Option<&RunFile>) {
        if run.is_some_and(|run| run.withheld_lines > 0) {
            self.scan.findings.insert(Target::BackendLogs);
        }
        let has_stderr = fs::symlink_metadata(folder.stderr()).is_ok_and(|file| file.is_file());
        if self.backend_files(folder).is_some() && has_stderr && run.is_some() {
            self.scan.covered.insert(Target::BackendLogs);
        }
    }

    /// Searches every file of the backend; `None` when one was not searched.
    fn backend_files(&mut self, folder: &EvidenceFolder) -> Option<()> {
        let mut files: usize = 0;
        for entry in fs::read_dir(folder.backend()).ok()? {
            files = files.saturating_add(1);
            if files > BACKEND_FILES_MAX {
                return None;
            }
            let text = read_unlinked(&entry.ok()?.path(), LOG_BYTES_MAX).ok()??;
            self.text(Target::BackendLogs, &text);
        }
        Some(())
    }

    fn text(&mut self, target: Target, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        if has_secret(&text) || self.endpoint.is_in(&text) {
            self.scan.findings.insert(target);
        }
    }
}
