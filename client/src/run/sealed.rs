//! Case's `config.json` during a run: read-only, claimed by one run, and watched for any touch.
//!
//! Case reads it again whenever it starts an agent, and whoever runs as the same user can make it
//! writable again. So the seal prevents accidents, and the comparison afterwards finds the rest: also
//! a file that was changed and changed back, because the time of its last change tells, and one that
//! was exchanged by way of a folder or link that leads to it.

use std::{
    fs::{File, Metadata, Permissions},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::PathBuf,
};

use admit_client::facts::{FileRole, ReadFile, bounded_file};
use admit_policy::Digest;
use rustix::{
    fs::{Access, FlockOperation, Mode, OFlags, access, flock, open},
    io::Errno,
};

use super::trail::{Folders, Trail};
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
    /// Nobody can claim it.
    #[error("config.json cannot be claimed for this run: {0}")]
    Unclaimable(io::Error),
    /// It stays writable.
    #[error("config.json cannot be made read-only: {0}")]
    Writable(io::Error),
    /// It cannot be looked at.
    #[error("config.json cannot be looked at: {0}")]
    Unreadable(io::Error),
    /// It is not what was stated.
    #[error("config.json was changed after its content had been stated")]
    Changed,
}

impl SealError {
    /// Why the lock was not given. Only one fault says that another run holds it; a file system that
    /// knows no locks, or wants them on files open for writing, has others.
    fn of_lock(fault: Errno) -> Self {
        if fault == Errno::WOULDBLOCK {
            Self::InUse
        } else {
            Self::Unclaimable(fault.into())
        }
    }
}

/// A file that is watched for any touch.
#[derive(Debug)]
pub(super) struct Watched {
    stated: Option<ReadFile>,
    trail: Option<Trail>,
    folders: Folders,
}

impl Watched {
    /// Watches the file with this role. One that no fact was stated from was not looked for, and is
    /// then taken as touched.
    pub(super) fn new(files: &[ReadFile], role: FileRole) -> Self {
        let stated = files.iter().find(|file| file.role == role).cloned();
        // Case only reads the folder of its configuration; Pi makes and locks files in its own.
        let folders = if role == FileRole::CaseConfig {
            Folders::Still
        } else {
            Folders::Busy
        };
        let trail = stated
            .as_ref()
            .and_then(|file| Trail::of(&file.path, folders));
        Self {
            stated,
            trail,
            folders,
        }
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
        let before = stated.digest.map(|digest| digest.to_string());
        let is_as_it_was = stated.is_unchanged() && self.is_trail_still(stated);
        FileState {
            digest_after: digest_now(stated),
            digest_before: before,
            is_touched: !is_as_it_was,
        }
    }

    /// Whether the way to it is as it was; one that cannot be looked at is not.
    fn is_trail_still(&self, stated: &ReadFile) -> bool {
        self.trail
            .as_ref()
            .zip(Trail::of(&stated.path, self.folders).as_ref())
            .is_some_and(|(before, now)| before.is_still(now))
    }
}

/// The digest that the file has now; `None` if it is not there, or is not what it was to be.
fn digest_now(file: &ReadFile) -> Option<String> {
    let bytes = bounded_file::read(&file.path, BYTES_MAX).ok().flatten()?;
    Some(Digest::of(&bytes).to_string())
}

/// The digest of an open file; `None` of one that is too large to have been stated.
fn digest_of(file: &File, metadata: &Metadata) -> Result<Option<Digest>, SealError> {
    if metadata.len() > BYTES_MAX {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(SealError::Unreadable)?;
    Ok(Some(Digest::of(&bytes)))
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
        let stated = files
            .iter()
            .find(|file| file.role == FileRole::CaseConfig)
            .and_then(|file| Some((file.path.clone(), file.digest?)));
        let Some((path, digest)) = stated else {
            return Ok(None);
        };
        // What stands there by now may be anything: a pipe would be waited for forever.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file: File = match open(&path, flags, Mode::empty()) {
            Ok(file) => file.into(),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::NXIO) => return Err(SealError::Changed),
            Err(fault) => return Err(SealError::Unreadable(fault.into())),
        };
        let metadata = file.metadata().map_err(SealError::Unreadable)?;
        if !metadata.is_file() {
            return Err(SealError::Changed);
        }
        // The lock is that of the inode: whoever puts another file in this place takes the claim away.
        // That is found afterwards, as any other touch of it.
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(SealError::of_lock)?;
        if digest_of(&file, &metadata)? != Some(digest) {
            return Err(SealError::Changed);
        }
        let mode = metadata.mode();
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
mod tests;
