//! Case's `config.json` during a run: read-only, claimed by one run, and watched for any touch.
//!
//! Case reads it again whenever it starts an agent, and whoever runs as the same user can make it
//! writable again. So the seal prevents accidents, and the comparison afterwards finds the rest: also
//! a file that was changed and changed back, because the time of its last change tells.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use admit_client::facts::{FileRole, ReadFile, bounded_file};
use admit_policy::Digest;
use rustix::fs::{Access, FlockOperation, access, flock};

use crate::evidence::folder::FileState;

/// Largest configuration that is looked at after a run, in bytes.
const BYTES_MAX: u64 = 1024 * 1024;
/// Every permission to write.
const WRITE_MODE: u32 = 0o222;

/// Why a configuration cannot be sealed. Holds no path.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    /// Another run has it.
    #[error("config.json is in use by another run; give each run a CASE_DATA_DIR of its own")]
    InUse,
    /// It stays writable.
    #[error("config.json cannot be made read-only: {0}")]
    Writable(io::Error),
    /// It cannot be looked at.
    #[error("config.json cannot be looked at: {0}")]
    Unreadable(io::Error),
}

/// A file that is watched for any touch.
#[derive(Debug)]
pub(super) struct Watched {
    stated: Option<ReadFile>,
    identity: Option<Identity>,
}

/// What changes with every touch of a file, whoever does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    changed: (i64, i64),
}

impl Identity {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

impl Watched {
    /// Watches the file with this role. One that no fact was stated from was not looked for, and is
    /// then taken as touched.
    pub(super) fn new(files: &[ReadFile], role: FileRole) -> Self {
        let stated = files.iter().find(|file| file.role == role).cloned();
        let identity = stated.as_ref().and_then(|file| Identity::of(&file.path));
        Self { stated, identity }
    }

    /// What became of it.
    pub(super) fn state(&self) -> FileState {
        let Some(stated) = &self.stated else {
            return FileState {
                digest_before: None,
                digest_after: None,
                is_touched: true,
            };
        };
        let is_unchanged = stated.is_unchanged();
        let before = stated.digest.map(|digest| digest.to_string());
        FileState {
            digest_after: digest_now(stated),
            digest_before: before,
            is_touched: !is_unchanged || Identity::of(&stated.path) != self.identity,
        }
    }
}

/// The digest that the file has now; `None` if it is not there, or is not what it was to be.
fn digest_now(file: &ReadFile) -> Option<String> {
    let bytes = bounded_file::read(&file.path, BYTES_MAX).ok().flatten()?;
    Some(Digest::of(&bytes).to_string())
}

/// A configuration that is read-only as long as this lives.
#[derive(Debug)]
pub(super) struct Sealed {
    /// Held open for its lock, which marks the run that the file belongs to.
    file: File,
    path: PathBuf,
    former_mode: Option<u32>,
}

impl Sealed {
    /// Claims the `config.json` among `files` and makes it read-only; `None` if there is none.
    pub(super) fn seal(files: &[ReadFile]) -> Result<Option<Self>, SealError> {
        let Some(path) = files
            .iter()
            .find(|file| file.role == FileRole::CaseConfig && file.digest.is_some())
            .map(|file| file.path.clone())
        else {
            return Ok(None);
        };
        let file = File::open(&path).map_err(SealError::Unreadable)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| SealError::InUse)?;
        let mode = file.metadata().map_err(SealError::Unreadable)?.mode();
        let mut sealed = Self {
            file,
            path,
            former_mode: None,
        };
        if mode & WRITE_MODE != 0 {
            let read_only = Permissions::from_mode(mode & !WRITE_MODE);
            match sealed.file.set_permissions(read_only) {
                Ok(()) => sealed.former_mode = Some(mode),
                // Somebody else's file, or a read-only file system: it is sealed for whoever runs as
                // this user.
                Err(_) if access(&sealed.path, Access::WRITE_OK).is_err() => {}
                Err(error) => return Err(SealError::Writable(error)),
            }
        }
        Ok(Some(sealed))
    }
}

/// The file gets its former mode back, and only this very file: its place may be another's by now.
impl Drop for Sealed {
    fn drop(&mut self) {
        if let Some(mode) = self.former_mode
            && self.path.exists()
        {
            // A file that is gone needs no mode.
            let _ = self.file.set_permissions(Permissions::from_mode(mode));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(folder: &Path) -> ReadFile {
        let path = folder.join("config.json");
        fs::write(&path, b"{}").unwrap();
        ReadFile {
            path,
            role: FileRole::CaseConfig,
            digest: Some(Digest::of(b"{}")),
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_sealed_config_is_read_only_until_the_end_and_belongs_to_one_run() {
        let folder = tempfile::tempdir().unwrap();
        let files = [config(folder.path())];
        fs::set_permissions(&files[0].path, Permissions::from_mode(0o640)).unwrap();
        let sealed = Sealed::seal(&files).unwrap();
        assert_eq!(mode(&files[0].path), 0o440);
        assert!(matches!(Sealed::seal(&files), Err(SealError::InUse)));
        drop(sealed);
        assert_eq!(mode(&files[0].path), 0o640);
        assert!(Sealed::seal(&files).unwrap().is_some());
    }

    #[test]
    fn a_config_that_is_not_there_is_not_sealed() {
        assert!(Sealed::seal(&[]).unwrap().is_none());
    }

    #[test]
    fn every_touch_is_found() {
        let touches: [fn(&Path); 4] = [
            |path| fs::write(path, b"{ }").unwrap(),
            |path| {
                fs::write(path, b"[]").unwrap();
                fs::write(path, b"{}").unwrap();
            },
            |path| {
                fs::write(path.with_extension("new"), b"{}").unwrap();
                fs::rename(path.with_extension("new"), path).unwrap();
            },
            |path| fs::remove_file(path).unwrap(),
        ];
        for touch in touches {
            let folder = tempfile::tempdir().unwrap();
            let files = [config(folder.path())];
            let watched = Watched::new(&files, FileRole::CaseConfig);
            assert!(!watched.state().is_touched);
            touch(&files[0].path);
            assert!(watched.state().is_touched);
        }
    }

    #[test]
    fn a_file_that_was_and_is_absent_is_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let files = [ReadFile {
            path: folder.path().join("models.json"),
            role: FileRole::Models,
            digest: None,
        }];
        let watched = Watched::new(&files, FileRole::Models);
        assert!(!watched.state().is_touched);
        fs::write(&files[0].path, b"{}").unwrap();
        assert!(watched.state().is_touched);
        assert!(Watched::new(&[], FileRole::Models).state().is_touched);
    }
}
