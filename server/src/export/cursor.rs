//! The cursor: how far a receiver has acknowledged, durably.
//!
//! It is replaced whole, and only after an acknowledgment, so that a crash sends again and never
//! passes anything over. A cursor that is of no use is as good as none: everything that is still in
//! the log is sent again, and receivers de-duplicate. A cursor of the same log that knows what the log
//! lacks is a finding: the log was cut or rewritten, and what it has now is sent to nobody.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{
    ExportError,
    reader::{self, Found, Position},
};
use crate::audit::{CURSOR_FILE, private::replace};

const CURSOR_BYTES_MAX: u64 = 4096;

/// The file as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct Cursor {
    /// The identity of the log.
    stream_id: String,
    #[serde(flatten)]
    position: Position,
}

/// Why a cursor is of no use.
#[derive(Debug, thiserror::Error)]
pub enum CursorFault {
    /// It cannot be read.
    #[error("it cannot be read")]
    Unreadable(#[from] io::Error),
    /// It is not a cursor.
    #[error("it is damaged")]
    Damaged,
    /// It is one of another log.
    #[error("it belongs to another log")]
    OtherLog,
    /// Its place is not one of the log.
    #[error("the log has no such place")]
    NotInLog,
    /// It is good, and the log is not.
    #[error(transparent)]
    NotAsSent(#[from] NotAsSent),
}

/// What a receiver has and the log lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAsSent {
    /// The last entries are not there.
    #[error("the log ends with {last}, and a receiver has {sent}: its tail was cut")]
    TailCut {
        /// The last sequence number that is there.
        last: u64,
        /// The last one that the receiver has.
        sent: u64,
    },
    /// The last entry that the receiver has is another one here, or was taken out.
    #[error("entry {0} is another one than the receiver has")]
    Another(u64),
}

/// Where to go on in the log `stream_id` in `dir`, whose last entry is `head`: at the cursor, or from
/// the oldest segment.
///
/// # Errors
///
/// When the log itself cannot be read, or lacks what a receiver has.
pub fn load(dir: &Path, stream_id: &str, head: u64) -> Result<Position, ExportError> {
    let in_log = |position: Option<Position>| match position {
        Some(position) if !reader::is_in_log(dir, &position)? => Err(CursorFault::NotInLog),
        other => Ok(other),
    };
    match read(dir, stream_id, head).and_then(in_log) {
        Ok(Some(position)) => return Ok(position),
        Ok(None) => {}
        Err(CursorFault::NotAsSent(source)) => {
            let dir = dir.into();
            return Err(ExportError::NotAsSent { dir, source });
        }
        Err(fault) => {
            tracing::warn!(%fault, "the export cursor is of no use; everything in the audit log is sent again");
        }
    }
    Ok(reader::oldest(dir)?)
}

/// The last entry of the log `stream_id` in `dir` that a receiver has, when the log ends with `head`: 0
/// when that is not known, and `None` without a cursor of this log.
#[must_use]
pub fn acknowledged(dir: &Path, stream_id: &str, head: u64) -> Option<u64> {
    match read(dir, stream_id, head) {
        Ok(position) => position.map(|position| position.next_seq.saturating_sub(1)),
        Err(CursorFault::OtherLog) => None,
        Err(fault) => {
            tracing::warn!(%fault, "what a receiver has is not known; no segment of the audit log is retired");
            Some(0)
        }
    }
}

/// The cursor of the log `stream_id` in `dir`, whose last entry is `head`; `None` if there is none. Its
/// place is not looked at: a log that was cut and has grown again may not have it either.
fn read(dir: &Path, stream_id: &str, head: u64) -> Result<Option<Position>, CursorFault> {
    let file = match File::open(dir.join(CURSOR_FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut json = Vec::new();
    file.take(CURSOR_BYTES_MAX).read_to_end(&mut json)?;
    let cursor: Cursor = serde_json::from_slice(&json).map_err(|_| CursorFault::Damaged)?;
    let position = cursor.position;
    if cursor.stream_id != stream_id {
        return Err(CursorFault::OtherLog);
    }
    is_as_sent(dir, &position, head)??;
    Ok(Some(position))
}

/// Whether the log in `dir`, whose last entry is `head`, has the entry before `position`, and as it
/// was sent. An entry that was retired is not missed.
fn is_as_sent(dir: &Path, position: &Position, head: u64) -> io::Result<Result<(), NotAsSent>> {
    let sent = position.next_seq.saturating_sub(1);
    if sent > head {
        return Ok(Err(NotAsSent::TailCut { last: head, sent }));
    }
    let Some(sent_hash) = &position.hash else {
        return Ok(Ok(()));
    };
    // It ends where the position is, unless a segment ends there too.
    let before = reader::links_before(dir, position)?;
    if before.is_some_and(|links| links.seq == Some(sent) && links.hash == *sent_hash) {
        return Ok(Ok(()));
    }
    Ok(match reader::hash_of(dir, sent)? {
        Found::Retired => Ok(()),
        Found::Entry(hash) if hash == *sent_hash => Ok(()),
        Found::Entry(_) | Found::Nothing => Err(NotAsSent::Another(sent)),
    })
}

/// Keeps `position` of the log `stream_id` in `dir`, durably.
///
/// # Errors
///
/// When it cannot be written; the cursor before it is still there then.
pub fn save(dir: &Path, stream_id: &str, position: &Position) -> io::Result<()> {
    let path = dir.join(CURSOR_FILE);
    let json = serde_json::to_vec(&Cursor {
        stream_id: stream_id.to_owned(),
        position: position.clone(),
    })?;
    replace(&path, &json)
}
