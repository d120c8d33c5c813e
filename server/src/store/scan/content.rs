//! The bytes of one file.
//!
//! Deliberately absent: what the bytes mean, and which files are read.

use std::{fs, io, io::Read as _, path::Path, sync::Arc, time::Instant};

use admit_policy::source_file::ContentFault;
use rustix::fs::{Mode, OFlags};

use super::{memory::Memory, stamp::Stamp};

/// Why the bytes are not there.
pub(super) enum ReadFault {
    /// The file is gone.
    Vanished,
    /// Something is wrong with it.
    Content(ContentFault),
}

/// The bytes of a regular file of at most `bytes_max` bytes, which `memory` keeps.
pub(super) fn read(
    path: &Path,
    bytes_max: usize,
    memory: &mut Memory,
) -> Result<Arc<[u8]>, ReadFault> {
    memory.count_read();
    let started = Instant::now();
    let fault = |error: &io::Error| {
        if error.kind() == io::ErrorKind::NotFound {
            ReadFault::Vanished
        } else {
            ReadFault::Content(ContentFault::Unreadable)
        }
    };
    // Without NONBLOCK the opening of a named pipe would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let mut file = rustix::fs::open(path, flags, Mode::empty())
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
    (&mut file)
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| fault(&error))?;
    if bytes.len() > bytes_max {
        return Err(ReadFault::Content(ContentFault::TooLarge));
    }
    let bytes = bytes.into();
    // What changed while it was being read has a stamp that stands for more than was read.
    let [before, after] = [Some(metadata), file.metadata().ok()]
        .map(|metadata| metadata.as_ref().and_then(Stamp::of));
    Ok(match before {
        Some(stamp) if before == after => memory.keep(&file, stamp, started, bytes),
        Some(_) | None => bytes,
    })
}
