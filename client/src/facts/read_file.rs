//! The files that the facts rest on, and whether they are still what they were.
//!
//! A launch is decided on what was read here, and the command reads its files again by itself. Whoever
//! starts it looks at every one of these once more in between.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use admit_policy::{Digest, case_config::CONFIG_BYTES_MAX};

use super::bounded_file;

/// What a file is to a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileRole {
    /// Case's `config.json`.
    CaseConfig,
    /// Pi's `models.json`.
    Models,
    /// Pi's `auth.json`.
    PiAuth,
    /// The manifest of the folder that Case gives Pi for its own package.
    PiPackage,
    /// The admission file of the host.
    Admission,
    /// A task file.
    Task,
    /// The Markdown beside a task file.
    TaskProse,
    /// A `.env` file of the working directory; only its absence is ever relied on.
    Environment,
    /// The `bunfig.toml` of the working directory; only its absence is ever relied on.
    BunConfig,
}

impl FileRole {
    /// What the file is called, for a person.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::CaseConfig => "config.json",
            Self::Models => "models.json",
            Self::PiAuth => "auth.json",
            Self::PiPackage => "pi-package/package.json",
            Self::Admission => "the admission file",
            Self::Task => "the task file",
            Self::TaskProse => "the Markdown beside the task file",
            Self::Environment => "a .env file in the working directory",
            Self::BunConfig => "bunfig.toml in the working directory",
        }
    }

    /// The largest file that is read in this role, in bytes.
    pub(super) fn bytes_max(self) -> u64 {
        const KIB: u64 = 1024;
        match self {
            Self::CaseConfig => u64::try_from(CONFIG_BYTES_MAX).unwrap_or(u64::MAX),
            Self::Models | Self::Task | Self::TaskProse => 1024 * KIB,
            Self::PiAuth | Self::PiPackage | Self::Admission => 64 * KIB,
            // No content of these is ever taken.
            Self::Environment | Self::BunConfig => 0,
        }
    }
}

/// A file that a fact rests on: its content, or that it was not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadFile {
    /// Where it is, as it was opened: links are followed anew each time. Never leaves this host.
    pub path: PathBuf,
    /// What it is to the launch.
    pub role: FileRole,
    /// The digest of the very bytes that the facts were taken from; `None` when there was no file.
    pub digest: Option<Digest>,
}

impl ReadFile {
    /// Whether the file is what it was. One that cannot be read, or that grew over its bound, has
    /// changed; so has an absent one as soon as anything is there, a link that leads nowhere included.
    ///
    /// Waits for the file system.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        match self.digest {
            None => is_absent(&self.path),
            Some(digest) => matches!(
                bounded_file::read(&self.path, self.role.bytes_max()),
                Ok(Some(bytes)) if Digest::of(&bytes) == digest
            ),
        }
    }
}

/// Whether there is certainly nothing at `path`.
pub(super) fn is_absent(path: &Path) -> bool {
    path.symlink_metadata()
        .is_err_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn at(path: &Path, content: Option<&[u8]>) -> ReadFile {
        ReadFile {
            path: path.into(),
            role: FileRole::Admission,
            digest: content.map(Digest::of),
        }
    }

    #[test]
    fn a_file_is_unchanged_while_its_bytes_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let link = folder.path().join("link");
        fs::write(&path, b"abc").unwrap();
        symlink(&path, &link).unwrap();
        for path in [&path, &link] {
            assert!(at(path, Some(b"abc")).is_unchanged());
            assert!(!at(path, Some(b"abd")).is_unchanged());
            assert!(!at(path, None).is_unchanged());
        }
        fs::write(folder.path().join("b"), b"abd").unwrap();
        fs::remove_file(&link).unwrap();
        symlink(folder.path().join("b"), &link).unwrap();
        assert!(!at(&link, Some(b"abc")).is_unchanged());
    }

    #[test]
    fn what_cannot_be_read_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        assert!(!at(&path, Some(b"abc")).is_unchanged());
        assert!(!at(folder.path(), Some(b"")).is_unchanged());
        let limit = usize::try_from(FileRole::Admission.bytes_max()).unwrap();
        for (length, unchanged) in [(limit, true), (limit + 1, false)] {
            let content = vec![b' '; length];
            fs::write(&path, &content).unwrap();
            assert_eq!(at(&path, Some(&content)).is_unchanged(), unchanged);
        }
    }

    #[test]
    fn an_absent_file_has_changed_as_soon_as_anything_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        assert!(at(&path, None).is_unchanged());
        assert!(at(&path.join("below"), None).is_unchanged());
        symlink(folder.path().join("nowhere"), &path).unwrap();
        assert!(!at(&path, None).is_unchanged());
        fs::remove_file(&path).unwrap();
        fs::write(&path, b"").unwrap();
        assert!(!at(&path, None).is_unchanged());
        assert!(at(&path.join("below"), None).is_unchanged());
    }
}
