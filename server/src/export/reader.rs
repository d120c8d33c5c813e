//! The log, read for export: from one position on, in batches, as far as it is durable.
//!
//! A segment is opened anew for every batch. What stands behind the durable end of the log can still
//! be cut back and written anew, so nothing of it may stay in a buffer. Deliberately absent: any way
//! to pass over what cannot be read.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use prost::bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::span;
use crate::{
    audit::{
        chain::{self, LINE_BYTES_MAX, LinkFault, Links},
        record::Entry,
        segment::{self, Line, Lines, SegmentFile},
    },
    pause::Pause,
};

/// Most spans of one batch; while it is sent, each of them stands in memory several times.
pub const BATCH_SPANS_MAX: usize = 128;
/// Largest batch, in bytes. Receivers take 4 MiB unless they are told otherwise.
pub const BATCH_BYTES_MAX: usize = 3 * 1024 * 1024;
/// What a span needs around it in a message, in bytes.
const SPAN_FRAME_BYTES: usize = 8;
/// What the rest of a message needs, in bytes.
const MESSAGE_FRAME_BYTES: usize = 1024;

/// A place between two entries of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The sequence number of the entry behind it.
    pub next_seq: u64,
    /// The hash of the entry before it; none where no entry was read up to here.
    pub hash: Option<String>,
    /// The segment that it is in, by its first sequence number.
    pub segment: u64,
    /// The offset in that segment, in bytes.
    pub offset: u64,
}

/// One entry to send.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Its sequence number.
    pub seq: u64,
    /// Whether it says that spans were refused.
    pub is_rejection: bool,
    /// Its span, encoded.
    pub span: Bytes,
}

/// Entries to send in one call.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The entries, in their order.
    pub pieces: Vec<Piece>,
    /// The time of the first of them, in nanoseconds since the Unix epoch.
    pub oldest_unix_nano: u64,
    /// The position behind the last of them.
    pub end: Position,
}

/// Why the log cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system does not let it be read.
    #[error("the audit log cannot be read")]
    Io(#[from] io::Error),
    /// An entry is not where it has to be.
    #[error("entry {0} is missing in the audit log; see `admitd audit verify`")]
    Missing(u64),
    /// A line is damaged.
    #[error("the audit log is damaged in `{segment}`, byte {offset}; see `admitd audit verify`")]
    Damaged {
        /// The name of the segment's file.
        segment: String,
        /// The offset of the line, in bytes.
        offset: u64,
        /// What is wrong there.
        source: LinkFault,
    },
    /// A segment is one of another log.
    #[error("`{0}` belongs to another log")]
    OtherLog(String),
}

/// The oldest position of the log in `dir`.
///
/// # Errors
///
/// When the directory cannot be listed or has no segment.
pub fn oldest(dir: &Path) -> Result<Position, ReadError> {
    let segments = segment::list(dir)?;
    let oldest = segments.first().ok_or(ReadError::Missing(1))?;
    Ok(Position {
        next_seq: oldest.first_seq,
        hash: None,
        segment: oldest.first_seq,
        offset: 0,
    })
}

/// Whether `position` is one of the log in `dir`: between two lines, with the right entry behind it.
///
/// # Errors
///
/// When the log cannot be read.
pub fn is_in_log(dir: &Path, position: &Position) -> io::Result<bool> {
    let segment = SegmentFile::new(dir, position.segment);
    // Beginning one byte earlier, there has to be the line feed of the line before.
    let mut lines = match Lines::open_at(&segment.path, position.offset.saturating_sub(1)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    if position.offset > 0 {
        let end = lines.next_line()?;
        if end.is_none_or(|end| !end.bytes.is_empty() || !end.is_ended) {
            return Ok(false);
        }
    }
    let Some(next) = lines.next_line()? else {
        return Ok(true);
    };
    let links = chain::check(&next.bytes).ok();
    Ok(links.is_some_and(|links| links.seq.is_none_or(|seq| seq == position.next_seq)))
}

/// What the log has under a sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// An entry, with this hash.
    Entry(String),
    /// It is older than the oldest segment.
    Retired,
    /// No whole entry is where it should be.
    Nothing,
}

/// The links of the line that ends at `position`; `None` if there is no line, or one that is damaged.
///
/// # Errors
///
/// When the log cannot be read.
pub fn links_before(dir: &Path, position: &Position) -> io::Result<Option<Links>> {
    let mut file = match File::open(SegmentFile::new(dir, position.segment).path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    // A line, and the line feeds around it.
    let reach = u64::try_from(LINE_BYTES_MAX)
        .unwrap_or(u64::MAX)
        .saturating_add(2);
    let start = position.offset.saturating_sub(reach);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(position.offset.saturating_sub(start))
        .read_to_end(&mut bytes)?;
    let mut lines = bytes.rsplit(|byte| *byte == b'\n');
    let is_ended = lines.next().is_some_and(<[u8]>::is_empty);
    let last = lines.next().filter(|_| is_ended);
    Ok(last.and_then(|line| chain::check(line).ok()))
}

/// What the log in `dir` has under `seq`.
///
/// # Errors
///
/// When the log cannot be read.
pub fn hash_of(dir: &Path, seq: u64) -> io::Result<Found> {
    let segments = segment::list(dir)?;
    let Some(segment) = segments.iter().rfind(|segment| segment.first_seq <= seq) else {
        return Ok(Found::Retired);
    };
    let mut lines = Lines::open(&segment.path)?;
    while let Some(line) = lines.next_line()? {
        match chain::check(&line.bytes) {
            Ok(links) if links.seq == Some(seq) => return Ok(Found::Entry(links.hash)),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(Found::Nothing)
}

/// The next entries of the log `stream_id` in `dir` behind `from`, up to the entry `last`, which has
/// to be there.
///
/// # Errors
///
/// When what is due cannot be read.
pub fn read(dir: &Path, stream_id: &str, from: &Position, last: u64) -> Result<Batch, ReadError> {
    let mut batch = Batch {
        pieces: Vec::new(),
        oldest_unix_nano: 0,
        end: from.clone(),
    };
    let mut bytes = MESSAGE_FRAME_BYTES;
    let mut pause = Pause::new();
    while batch.end.next_seq <= last {
        let segment = SegmentFile::new(dir, batch.end.segment);
        let mut lines = open(&segment, &batch.end)?;
        while batch.end.next_seq <= last {
            if batch.pieces.len() >= BATCH_SPANS_MAX {
                return Ok(batch);
            }
            let Some(line) = lines.next_line()? else {
                break;
            };
            pause.step();
            let (links, entry) = parse(stream_id, &segment, &line)?;
            if let Some(span) = span::encoded(stream_id, &links, &entry) {
                let seq = batch.end.next_seq;
                if links.seq != Some(seq) {
                    return Err(ReadError::Missing(seq));
                }
                let length = span.len().saturating_add(SPAN_FRAME_BYTES);
                bytes = bytes.saturating_add(length);
                if bytes > BATCH_BYTES_MAX && !batch.pieces.is_empty() {
                    return Ok(batch);
                }
                if batch.pieces.is_empty() {
                    batch.oldest_unix_nano = span::time_unix_nano(&entry);
                }
                batch.pieces.push(Piece {
                    seq,
                    is_rejection: matches!(entry, Entry::Rejected(_)),
                    span,
                });
                batch.end.next_seq = seq.saturating_add(1);
                batch.end.hash = Some(links.hash);
            }
            batch.end.offset = lines.offset();
        }
        if batch.end.next_seq <= last {
            // A segment is named for the entry that it begins with.
            if batch.end.segment == batch.end.next_seq {
                return Err(ReadError::Missing(batch.end.next_seq));
            }
            batch.end.segment = batch.end.next_seq;
            batch.end.offset = 0;
        }
    }
    Ok(batch)
}

fn open(segment: &SegmentFile, at: &Position) -> Result<Lines, ReadError> {
    match Lines::open_at(&segment.path, at.offset) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(ReadError::Missing(at.next_seq))
        }
        opened => Ok(opened?),
    }
}

fn parse(stream_id: &str, segment: &SegmentFile, line: &Line) -> Result<(Links, Entry), ReadError> {
    let damaged = |source| ReadError::Damaged {
        segment: segment.name(),
        offset: line.offset,
        source,
    };
    let (links, entry) = Entry::read(&line.bytes).map_err(damaged)?;
    if let Entry::Segment(header) = &entry
        && header.stream_id != stream_id
    {
        return Err(ReadError::OtherLog(segment.name()));
    }
    Ok((links, entry))
}
