//! The log on disk, as its one writer has it: entries are appended in batches, each with one write
//! and one `fdatasync`, and a batch is there whole or it failed.
//!
//! What can fail is undone ([`super::current`]). Deliberately absent: when to write
//! ([`super::writer`]) and what opening finds ([`super::recovery`]).

use std::{
    fs::{self, File},
    io,
    path::PathBuf,
    time::Duration,
};

use super::{
    LogConfig,
    chain::{self, LINE_BYTES_MAX},
    current::{Current, unwritable},
    keys::{NamesKey, SigningKey},
    private::keeps_place,
    record::{Cause, Checkpoint, Entry, Retired, Segment, VERSION},
    segment::{self, SegmentFile},
    verify::{Head, checkpoint_message},
};
use crate::clock;

pub use super::current::{Unwritable, describe};

/// What most entries fit into, in bytes.
const DRAFT_BYTES: usize = 2048;

/// An entry that has no place in the chain yet.
#[derive(Debug)]
pub struct Draft {
    entry_type: &'static str,
    members: Vec<u8>,
}

impl Draft {
    /// The draft itself, leaving an empty one behind.
    pub(super) fn take(&mut self) -> Self {
        Self {
            entry_type: self.entry_type,
            members: std::mem::take(&mut self.members),
        }
    }

    /// The draft of `entry`.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        let entry_type = match entry {
            Entry::Segment(_) => "segment",
            Entry::Decision(_) => "decision",
            Entry::Evidence(_) => "evidence",
            Entry::Refused(_) => "refused",
            Entry::Gap(_) => "gap",
            Entry::Recovered(_) => "recovered",
            Entry::Rejected(_) => "rejected",
            Entry::Retired(_) => "retired",
            Entry::Checkpoint(_) => "checkpoint",
        };
        let mut members = Vec::with_capacity(DRAFT_BYTES);
        // An entry has texts, numbers and lists only, all of which JSON can hold.
        if serde_json::to_writer(&mut members, entry).is_err() {
            members.clear();
        }
        // `{"type":"x",…}`: the links stand between the type and the rest.
        let start = "{\"type\":\"\",".len().saturating_add(entry_type.len());
        members.pop();
        members.drain(..start.min(members.len()));
        Self {
            entry_type,
            members,
        }
    }
}

impl Draft {
    /// Appends the line of this draft to `to`, behind the line with the hash `prev`; its own hash.
    fn link(&self, to: &mut Vec<u8>, seq: Option<u64>, prev: &str) -> String {
        chain::compose(to, self.entry_type, seq, prev, &self.members)
    }
}

/// Where an entry stands in the log, durably.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its sequence number.
    pub seq: u64,
    /// The hash of its line.
    pub hash: String,
}

/// The log, held by its one writer.
#[derive(Debug)]
pub struct Log {
    pub(super) config: LogConfig,
    pub(super) key: SigningKey,
    pub(super) names_key: NamesKey,
    pub(super) stream_id: String,
    pub(super) head: Head,
    /// `None` between the checkpoint of a segment and the header of the next one.
    pub(super) current: Option<Current>,
    /// What the last entry about retention says is gone, by this process.
    pub(super) retired_seq: Option<u64>,
    /// The audit directory itself, locked as long as the log is open.
    pub(super) lock: File,
}

impl Log {
    /// The identity of the log.
    #[must_use]
    pub fn stream_id(&self) -> &str {
        &self.stream_id
    }

    /// The key behind every `hmac:` of the log.
    #[must_use]
    pub fn names_key(&self) -> &NamesKey {
        &self.names_key
    }

    /// The last entry.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The audit directory.
    #[must_use]
    pub fn dir(&self) -> &PathBuf {
        &self.config.dir
    }

    /// Appends `drafts` and syncs them; where they stand, in their order.
    ///
    /// # Errors
    ///
    /// When they could not be made durable. None of them is in the log then, and the next call mends
    /// what can be mended before it writes.
    pub fn append(&mut self, drafts: &[Draft]) -> Result<Vec<Receipt>, Unwritable> {
        self.mend()?;
        let mut bytes = Vec::new();
        let mut head = self.head.clone();
        let mut receipts = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let seq = head.seq.saturating_add(1);
            let start = bytes.len();
            let hash = draft.link(&mut bytes, Some(seq), &head.hash);
            let line_bytes = bytes.len().saturating_sub(start).saturating_sub(1);
            if draft.members.is_empty() || line_bytes > LINE_BYTES_MAX {
                // No entry is like that; one that were could not be read again.
                return Err(unwritable(Cause::WriteFailed)(
                    io::ErrorKind::InvalidData.into(),
                ));
            }
            head = Head {
                seq,
                hash: hash.clone(),
            };
            receipts.push(Receipt { seq, hash });
        }
        self.write(&bytes)?;
        self.head = head;
        if let Some(current) = &mut self.current {
            current.has_entry |= !drafts.is_empty();
        }
        Ok(receipts)
    }

    /// Deletes the oldest segment if it is beyond its retention, after an entry that says so; whether
    /// it did. `exported` is the last entry that a receiver has; nothing behind it is deleted.
    ///
    /// # Errors
    ///
    /// When the entry could not be made durable or the file cannot be deleted.
    pub fn retire(&mut self, exported: Option<u64>) -> Result<bool, Unwritable> {
        let failed = unwritable(Cause::WriteFailed);
        let Some(retention) = self.config.retention else {
            return Ok(false);
        };
        let segments = segment::list(&self.config.dir).map_err(&failed)?;
        let [segment, next, ..] = segments.as_slice() else {
            return Ok(false);
        };
        let last_seq = next.first_seq.saturating_sub(1);
        let is_exported = exported.is_none_or(|exported| last_seq <= exported);
        // Its last write was its checkpoint. A clock that was set back keeps it longer.
        let written = fs::metadata(&segment.path).and_then(|metadata| metadata.modified());
        let age = written.map_err(&failed)?.elapsed();
        if !is_exported || age.unwrap_or(Duration::ZERO) < retention {
            return Ok(false);
        }
        if self.retired_seq != Some(last_seq) {
            let last_hash = first_links(next).map_err(&failed)?.prev;
            self.append(&[Draft::of(&Entry::Retired(Retired {
                time: clock::text(),
                last_seq,
                last_hash,
            }))])?;
            // It is said once, however often it takes to delete the file.
            self.retired_seq = Some(last_seq);
        }
        fs::remove_file(&segment.path).map_err(&failed)?;
        tracing::info!(last_seq, "a segment of the audit log was retired");
        Ok(true)
    }

    /// Makes the log ready for the next write, whatever the last one left behind.
    fn mend(&mut self) -> Result<(), Unwritable> {
        self.own_directory()?;
        let Some(current) = &mut self.current else {
            return self.open_next();
        };
        let is_due = current.mend()?
            || current.synced() >= self.config.segment_bytes
            || current.opened.elapsed() >= self.config.segment_age;
        // A segment without an entry would have the name of the next one.
        if is_due && current.has_entry {
            self.rotate()
        } else {
            Ok(())
        }
    }

    /// Looks whether the log is still where it should be, and puts its file back if that is gone.
    ///
    /// # Errors
    ///
    /// When the directory or the file was replaced, or the file cannot be restored.
    pub fn look(&mut self) -> Result<(), Unwritable> {
        self.own_directory()?;
        match &mut self.current {
            Some(current) => {
                current.keep_place()?;
                current.has_room(self.config.free_space_min)
            }
            None => Ok(()),
        }
    }

    /// Whether the audit directory is still the one that this process has locked. Another one may have
    /// another writer.
    fn own_directory(&self) -> Result<(), Unwritable> {
        keeps_place(&self.lock, &self.config.dir).map_err(unwritable(Cause::FileReplaced))
    }

    /// Closes the current segment with a signed checkpoint and opens the next one.
    pub(super) fn rotate(&mut self) -> Result<(), Unwritable> {
        let message = checkpoint_message(&self.stream_id, self.head.seq, &self.head.hash);
        let checkpoint = Draft::of(&Entry::Checkpoint(Checkpoint {
            stream_id: self.stream_id.clone(),
            time: clock::text(),
            last_seq: self.head.seq,
            key: self.key.public(),
            signature: self.key.sign(&message),
        }));
        self.append_unnumbered(&checkpoint)?;
        self.current = None;
        self.open_next()
    }

    /// Opens the segment that follows what is there.
    pub(super) fn open_next(&mut self) -> Result<(), Unwritable> {
        let segment = SegmentFile::new(&self.config.dir, self.head.seq.saturating_add(1));
        let header = Draft::of(&Entry::Segment(Segment {
            version: VERSION,
            stream_id: self.stream_id.clone(),
            first_seq: segment.first_seq,
            time: clock::text(),
            admitd: env!("CARGO_PKG_VERSION").to_owned(),
            key: self.key.public(),
            names_key: self.names_key.identity().to_owned(),
        }));
        let mut bytes = Vec::new();
        let hash = header.link(&mut bytes, None, &self.head.hash);
        let current = Current::create(segment, &bytes, self.config.free_space_min)?;
        self.head.hash = hash;
        self.current.insert(current).mend().map(|_| ())
    }

    fn append_unnumbered(&mut self, draft: &Draft) -> Result<(), Unwritable> {
        let mut bytes = Vec::new();
        let hash = draft.link(&mut bytes, None, &self.head.hash);
        self.write(&bytes)?;
        self.head.hash = hash;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Unwritable> {
        match &mut self.current {
            Some(current) => current.write(bytes, self.config.free_space_min),
            None => Err(unwritable(Cause::CreateFailed)(
                io::ErrorKind::NotFound.into(),
            )),
        }
    }
}

/// The links of a segment's first line.
fn first_links(segment: &SegmentFile) -> io::Result<chain::Links> {
    let line = segment::Lines::open(&segment.path)?.next_line()?;
    line.and_then(|line| chain::check(&line.bytes).ok())
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}
