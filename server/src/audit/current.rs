//! The segment that is written to: one file, its end, and what was undone when a write failed.
//!
//! Deliberately absent: what is written, and when; see [`super::log`].

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::Path,
    time::Instant,
};

use super::{
    private::{has_room, sync_folder, temporary_beside},
    record::Cause,
    segment::SegmentFile,
};

/// Why a batch could not be appended. Nothing of it is in the log.
#[derive(Debug, thiserror::Error)]
#[error("nothing can be recorded: {}", describe(*cause))]
pub struct Unwritable {
    /// The cause, as it stands in the log.
    pub cause: Cause,
    /// What the system says.
    pub source: io::Error,
}

/// The cause, for a person.
#[must_use]
pub fn describe(cause: Cause) -> &'static str {
    match cause {
        Cause::NoSpace => "the file system has less free space than the reserve",
        Cause::WriteFailed => "a write failed",
        Cause::SyncFailed => "a sync failed",
        Cause::FileReplaced => "the file of the log was deleted, replaced or changed",
        Cause::CreateFailed => "a file cannot be made in the audit directory",
        Cause::Stalled => "the disk does not answer",
        Cause::QueueFull => "too many requests are waiting",
    }
}

/// The failure that a call of the system means; `cause` unless the file system is full.
pub(super) fn unwritable(cause: Cause) -> impl Fn(io::Error) -> Unwritable {
    move |source| {
        let is_full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        Unwritable {
            cause: if is_full.contains(&source.kind()) {
                Cause::NoSpace
            } else {
                cause
            },
            source,
        }
    }
}

/// The segment that is written to.
#[derive(Debug)]
pub(super) struct Current {
    file: File,
    pub(super) segment: SegmentFile,
    /// The end of what is synced, in bytes.
    synced: u64,
    pub(super) opened: Instant,
    /// Whether it has an entry.
    pub(super) has_entry: bool,
    /// Whether a sync failed, so that this descriptor tells nothing about the disk any more.
    is_poisoned: bool,
    /// Whether its name is durable, and its only one.
    is_named: bool,
}

impl Current {
    /// The segment with `synced` bytes, opened for what follows them.
    pub(super) fn open(
        segment: SegmentFile,
        synced: u64,
        opened: Instant,
        has_entry: bool,
    ) -> io::Result<Self> {
        Ok(Self {
            file: open_segment(&segment.path)?,
            segment,
            synced,
            opened,
            has_entry,
            is_poisoned: false,
            // A crash may have come between the name and its sync.
            is_named: false,
        })
    }

    /// A new segment that begins with `header`. Under its own name it is whole: the name comes last,
    /// and takes nobody's place.
    pub(super) fn create(
        segment: SegmentFile,
        header: &[u8],
        free_space_min: u64,
    ) -> Result<Self, Unwritable> {
        let failed = unwritable(Cause::CreateFailed);
        let (temporary, file) = temporary_beside(&segment.path).map_err(&failed)?;
        has_room(&file, length(header), free_space_min).map_err(&failed)?;
        file.write_all_at(header, 0).map_err(&failed)?;
        file.sync_all().map_err(&failed)?;
        fs::hard_link(&temporary, &segment.path).map_err(&failed)?;
        Ok(Self {
            file,
            segment,
            synced: length(header),
            opened: Instant::now(),
            has_entry: false,
            is_poisoned: false,
            is_named: false,
        })
    }

    /// The end of what is synced, in bytes.
    pub(super) fn synced(&self) -> u64 {
        self.synced
    }

    /// Writes `bytes` behind what is synced, and syncs them. What fails is cut back.
    pub(super) fn write(&mut self, bytes: &[u8], free_space_min: u64) -> Result<(), Unwritable> {
        let failed = unwritable(Cause::WriteFailed);
        has_room(&self.file, length(bytes), free_space_min).map_err(&failed)?;
        if let Err(error) = self.file.write_all_at(bytes, self.synced) {
            let cut_back = self.file.set_len(self.synced);
            self.is_poisoned = cut_back.and_then(|()| self.file.sync_data()).is_err();
            return Err(failed(error));
        }
        if let Err(error) = self.file.sync_data() {
            self.is_poisoned = true;
            return Err(unwritable(Cause::SyncFailed)(error));
        }
        self.synced = self.synced.saturating_add(length(bytes));
        Ok(())
    }

    /// Makes the segment ready for the next write; whether a failed sync has to end it.
    pub(super) fn mend(&mut self) -> Result<bool, Unwritable> {
        self.keep_place()?;
        if !self.is_poisoned {
            return Ok(false);
        }
        // Never again by the same descriptor: it may take for clean what never reached the disk. What
        // was not synced is cut off, so nothing that is kept depends on that.
        let failed = unwritable(Cause::SyncFailed);
        let file = open_segment(&self.segment.path).map_err(&failed)?;
        file.set_len(self.synced).map_err(&failed)?;
        file.sync_all().map_err(&failed)?;
        self.file = file;
        self.is_poisoned = false;
        Ok(true)
    }

    /// Whether entries could be written now, as far as can be told without writing.
    pub(super) fn has_room(&self, free_space_min: u64) -> Result<(), Unwritable> {
        has_room(&self.file, 0, free_space_min).map_err(unwritable(Cause::WriteFailed))
    }

    /// Sees to it that the file is durably where it should be.
    pub(super) fn keep_place(&mut self) -> Result<(), Unwritable> {
        self.restore()?;
        if self.is_named {
            return Ok(());
        }
        self.settle_name().map_err(unwritable(Cause::CreateFailed))
    }

    /// Puts the file back that was deleted or moved away: its content is still there behind the
    /// descriptor. A file that took its place is somebody's, and is not touched.
    fn restore(&mut self) -> Result<(), Unwritable> {
        let failed = unwritable(Cause::FileReplaced);
        let own = self.file.metadata().map_err(&failed)?;
        match fs::symlink_metadata(&self.segment.path) {
            Ok(found) if (found.dev(), found.ino()) == (own.dev(), own.ino()) => {
                // Behind a failed write anything may stand, until it is cut back.
                return if own.len() == self.synced || self.is_poisoned {
                    Ok(())
                } else {
                    Err(failed(io::ErrorKind::InvalidData.into()))
                };
            }
            Ok(_) => return Err(failed(io::ErrorKind::AlreadyExists.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let path = &self.segment.path;
        let (temporary, file) = temporary_beside(path).map_err(&failed)?;
        copy(&self.file, self.synced, &file).map_err(&failed)?;
        // A hard link fails where a file has come up in the meantime.
        fs::hard_link(&temporary, path).map_err(&failed)?;
        self.file = file;
        self.is_named = false;
        tracing::warn!("the file of the audit log was gone, and was restored");
        Ok(())
    }

    /// Takes the temporary name away and makes the segment's own durable.
    fn settle_name(&mut self) -> io::Result<()> {
        match fs::remove_file(self.segment.path.with_extension("new")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        sync_folder(&self.segment.path)?;
        self.is_named = true;
        Ok(())
    }
}

fn open_segment(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// Copies the first `length` bytes of `from` into `to`, durably.
fn copy(from: &File, length: u64, to: &File) -> io::Result<()> {
    const CHUNK_BYTES: usize = 1024 * 1024;
    let mut chunk = vec![0_u8; CHUNK_BYTES];
    let mut offset = 0;
    while offset < length {
        let left = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let part = chunk.get_mut(..left.min(CHUNK_BYTES)).unwrap_or_default();
        from.read_exact_at(part, offset)?;
        to.write_all_at(part, offset)?;
        offset = offset.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
    }
    to.sync_all()
}
