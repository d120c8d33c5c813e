//! The bytes of one file.
//!
//! Deliberately absent: what the bytes mean, and which files are read.

use std::{fs, io, io::Read as _, path::Path, sync::Arc};

use admit_policy::source_file::ContentFault;
use rustix::fs::{Mode, OFlags};

/// Why the bytes are not there.
pub(super) enum ReadFault {
    /// The file is gone.
    Vanished,
    /// Something is wrong with it.
    Content(ContentFault),
}

/// The bytes of a regular file of at most `bytes_max` bytes.
pub(super) fn read(path: &Path, bytes_max: usize) -> Result<Arc<[u8]>, ReadFault> {
    let fault = |error: &io::Error| {
        if error.kind() == io::ErrorKind::NotFound {
            ReadFault::Vanished
        } else {
            ReadFault::Content(ContentFault::Unreadable)
        }
    };
    // Without NONBLOCK the opening of a named pipe would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())
        .map(fs::File::from)
        .map_err(|errno| fault(&errno.into()))?;
    let metadata = file.metadata().map_err(|error| fault(&error))?;
    if !metadata.is_file() {
        return Err(ReadFault::Content(ContentFault::NotAFile));
    }
    let limit = u64::try_from(bytes_max)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(limit)).unwrap_or(0));
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| fault(&error))?;
    if bytes.len() > bytes_max {
        return Err(ReadFault::Content(ContentFault::TooLarge));
    }
    Ok(bytes.into())
}
