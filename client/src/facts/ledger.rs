//! What one gathering comes across besides the facts: notes, the files that the facts rest on, and
//! reasons to refuse.

use std::path::Path;

use admit_policy::Digest;

use super::{
    FileRole, Note, ReadFile, Refusal, RefusalCode,
    bounded_file::{self, FileFault},
    read_file,
};

/// The ledger of one gathering.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) notes: Vec<Note>,
    pub(super) files: Vec<ReadFile>,
    pub(super) refusals: Vec<Refusal>,
}

impl Ledger {
    pub(super) fn note(&mut self, about: &'static str, message: impl Into<String>) {
        self.notes.push(Note {
            about,
            message: message.into(),
        });
    }

    /// Refuses, once for each code and what it is about.
    pub(super) fn refuse(&mut self, code: RefusalCode, about: impl Into<String>) {
        let refusal = Refusal {
            code,
            about: about.into(),
        };
        if !self.refusals.contains(&refusal) {
            self.refusals.push(refusal);
        }
    }

    /// Reads a file, and enters what was read, or that there is none. What could not be read is not
    /// entered: no fact rests on it.
    pub(super) fn read(
        &mut self,
        path: &Path,
        role: FileRole,
    ) -> Result<Option<Vec<u8>>, FileFault> {
        let content = bounded_file::read(path, role.bytes_max())?;
        self.enter(path, role, content.as_deref().map(Digest::of));
        Ok(content)
    }

    /// Whether there is certainly nothing at `path`; enters it then.
    pub(super) fn is_absent(&mut self, path: &Path, role: FileRole) -> bool {
        let is_absent = read_file::is_absent(path);
        if is_absent {
            self.enter(path, role, None);
        }
        is_absent
    }

    fn enter(&mut self, path: &Path, role: FileRole, digest: Option<Digest>) {
        self.files.push(ReadFile {
            path: path.to_path_buf(),
            role,
            digest,
        });
    }
}
