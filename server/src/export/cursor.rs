//! The cursor: how far a receiver has acknowledged, durably.
//!
//! It is replaced whole, and only after an acknowledgment, so that a crash sends again and never
//! passes anything over. A cursor that is of no use is as good as none: everything that is still in
//! the log is sent again, and receivers de-duplicate.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::reader::{self, Position, ReadError};
use crate::audit::keys::sync_folder;

/// The file of the cursor, within the audit directory.
pub const CURSOR_FILE: &str = "export-cursor.json";
const CURSOR_BYTES_MAX: u64 = 4096;
const CURSOR_MODE: u32 = 0o600;

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
    /// It is ahead of the log.
    #[error("it is ahead of the log")]
    Ahead,
    /// Its place is not one of the log.
    #[error("the log has no such place")]
    NotInLog,
}

/// Where to go on in the log `stream_id` in `dir`, whose last entry is `head`: at the cursor, or from
/// the oldest segment.
///
/// # Errors
///
/// When the log itself cannot be read.
pub fn load(dir: &Path, stream_id: &str, head: u64) -> Result<Position, ReadError> {
    match read(dir, stream_id, head) {
        Ok(Some(position)) => Ok(position),
        Ok(None) => reader::oldest(dir),
        Err(fault) => {
            tracing::warn!(%fault, "the export cursor is of no use; everything in the audit log is sent again");
            reader::oldest(dir)
        }
    }
}

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
        Err(CursorFault::OtherLog)
    } else if position.next_seq > head.saturating_add(1) {
        Err(CursorFault::Ahead)
    } else if !reader::is_in_log(dir, &position)? {
        Err(CursorFault::NotInLog)
    } else {
        Ok(Some(position))
    }
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
        position: *position,
    })?;
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(CURSOR_MODE)
        .open(&temporary)?;
    file.write_all(&json)?;
    file.sync_all()?;
    fs::rename(&temporary, &path)?;
    sync_folder(&path)
}
