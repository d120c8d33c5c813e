//! Files and folders of the audit directory: for their owner only, durable under their names, and never in
//! another directory nor where there is no room for them. Those of permit keys are made in the same way.
//!
//! Deliberately absent: what stands in them.

use std::{
    fs::{self, DirBuilder},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::StatVfsMountFlags;

use crate::pause::paused;

const DIR_MODE: u32 = 0o700;
/// Who may read a file: its owner.
const FILE_MODE: u32 = 0o600;
/// What is handed to the system at a time, in bytes: it keeps the core until it has copied all of that.
const CHUNK_BYTES: usize = 64 * 1024;

/// Makes the audit directory and what is above it, for their owner only, unless it is there.
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    make(dir, DirBuilder::new().recursive(true))
}

/// Makes a folder within the audit directory, unless it is there. The audit directory itself is not
/// made again: this process has not locked that one.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    make(folder, &mut DirBuilder::new())
}

fn make(dir: &Path, builder: &mut DirBuilder) -> io::Result<()> {
    if dir.try_exists()? {
        return Ok(());
    }
    builder.mode(DIR_MODE).create(dir)?;
    sync_folder(dir)
}

/// Looks whether `own` is still what stands at `path`.
pub(super) fn keeps_place(own: &fs::File, path: &Path) -> io::Result<()> {
    let (own, found) = (own.metadata()?, fs::metadata(path)?);
    if (found.dev(), found.ino()) == (own.dev(), own.ino()) {
        Ok(())
    } else {
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

/// Looks whether the file system of `file` takes `more` bytes and leaves `free_space_min` free.
pub(super) fn has_room(file: &fs::File, more: u64, free_space_min: u64) -> io::Result<()> {
    let space = rustix::fs::fstatvfs(file)?;
    if space.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err(io::ErrorKind::ReadOnlyFilesystem.into());
    }
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    if free >= free_space_min.saturating_add(more) {
        Ok(())
    } else {
        Err(io::ErrorKind::StorageFull.into())
    }
}

/// A new private file beside `path`, to be given that name when it is whole.
///
/// # Errors
///
/// When it cannot be made.
pub fn temporary_beside(path: &Path) -> io::Result<(PathBuf, fs::File)> {
    let temporary = path.with_extension("new");
    // What a crash left behind may be another name of a file that is in use: it is not truncated.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(&temporary)?;
    Ok((temporary, file))
}

/// Puts `bytes` into a private file at `path` in one step, durably: whoever reads it finds the former
/// file or this one, whole.
///
/// # Errors
///
/// When it cannot be written; what was there before is still there then.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (temporary, mut file) = temporary_beside(path)?;
    for chunk in paused(bytes.chunks(CHUNK_BYTES)) {
        file.write_all(chunk)?;
    }
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_folder(path)
}

/// Makes the name of the file at `path` durable.
///
/// # Errors
///
/// When its folder cannot be synced.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    fs::File::open(folder)?.sync_all()
}
