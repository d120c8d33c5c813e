//! Segments: the files of a log, by name, and their lines, one at a time.
//!
//! Reading needs no lock and takes constant memory. Deliberately absent: any judgment of the chain
//! ([`super::verify`]) and any writing ([`super::log`]).

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use super::chain::LINE_BYTES_MAX;

const NAME_START: &str = "segment-";
const NAME_END: &str = ".jsonl";
const READ_BUFFER_BYTES: usize = 256 * 1024;
/// Largest block of lines, in bytes.
const BLOCK_BYTES: usize = 256 * 1024;

/// A segment's file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentFile {
    /// The first sequence number that can stand in it; its name says so.
    pub first_seq: u64,
    /// Where it is.
    pub path: PathBuf,
}

impl SegmentFile {
    /// The segment of the log in `dir` that begins with `first_seq`.
    #[must_use]
    pub fn new(dir: &Path, first_seq: u64) -> Self {
        Self {
            first_seq,
            path: dir.join(format!("{NAME_START}{first_seq:020}{NAME_END}")),
        }
    }

    /// The name of the file.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{NAME_START}{:020}{NAME_END}", self.first_seq)
    }
}

/// Every segment of the log in `dir`, the oldest first.
///
/// # Errors
///
/// When the folder cannot be listed.
pub fn list(dir: &Path) -> io::Result<Vec<SegmentFile>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let first_seq = name
            .to_str()
            .and_then(|name| name.strip_prefix(NAME_START)?.strip_suffix(NAME_END))
            .filter(|digits| digits.len() == 20)
            .and_then(|digits| digits.parse().ok());
        if let Some(first_seq) = first_seq {
            segments.push(SegmentFile::new(dir, first_seq));
        }
    }
    segments.sort();
    Ok(segments)
}

/// Where a line stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its bytes, without the line feed.
    pub bytes: Vec<u8>,
    /// The offset of its first byte in the segment.
    pub offset: u64,
    /// Its number in the segment, from 1.
    pub number: u64,
    /// Whether a line feed ends it. Only the last line of a log can be without.
    pub is_ended: bool,
}

/// Reads a segment line by line.
#[derive(Debug)]
pub struct Lines {
    reader: BufReader<File>,
    offset: u64,
    number: u64,
}

impl Lines {
    /// Opens the segment at `path`.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            reader: BufReader::with_capacity(READ_BUFFER_BYTES, File::open(path)?),
            offset: 0,
            number: 0,
        })
    }

    /// Opens the segment at `path` at the first byte of a line. Line numbers then count from there.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub fn open_at(path: &Path, offset: u64) -> io::Result<Self> {
        let mut lines = Self::open(path)?;
        lines.reader.seek(SeekFrom::Start(offset))?;
        lines.offset = offset;
        Ok(lines)
    }

    /// The offset of the next line.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next line; `None` at the end of the file. A line that is longer than a line can be ends
    /// after [`LINE_BYTES_MAX`] and one byte, so that memory stays bounded; it passes no check.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn next_line(&mut self) -> io::Result<Option<Line>> {
        let mut bytes = Vec::new();
        let length_max = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
        // A line and its line feed; of one that is longer, so many bytes that it can be told.
        let mut reader = self.reader.by_ref().take(length_max.saturating_add(1));
        reader.read_until(b'\n', &mut bytes)?;
        let is_ended = bytes.pop_if(|last| *last == b'\n').is_some();
        if bytes.is_empty() && !is_ended {
            return Ok(None);
        }
        let offset = self.offset;
        let length = bytes.len().saturating_add(usize::from(is_ended));
        self.offset = offset.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        self.number = self.number.saturating_add(1);
        Ok(Some(Line {
            bytes,
            offset,
            number: self.number,
            is_ended,
        }))
    }
}

/// Lines that were read at once.
#[derive(Debug)]
pub(super) struct Block {
    /// Their bytes. A line feed ends the last one too, unless it is the last one of the segment or longer
    /// than a line can be.
    pub(super) bytes: Vec<u8>,
    /// The offset of the first of them in the segment.
    pub(super) offset: u64,
    /// Whether the segment ends with it, as far as it has been written.
    pub(super) is_last: bool,
}

/// Reads a segment in blocks of lines.
#[derive(Debug)]
pub(super) struct Blocks {
    file: File,
    /// What was read of the line that the next block begins with.
    begun: Vec<u8>,
    offset: u64,
}

impl Blocks {
    /// Opens the segment at `path`.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: File::open(path)?,
            begun: Vec::new(),
            offset: 0,
        })
    }

    /// The next block, in `memory`; `None` at the end of the file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub(super) fn next_block(&mut self, memory: Vec<u8>) -> io::Result<Option<Block>> {
        let mut bytes = memory;
        bytes.clear();
        bytes.append(&mut self.begun);
        bytes.reserve_exact(BLOCK_BYTES.saturating_sub(bytes.len()));
        let room = BLOCK_BYTES.saturating_sub(bytes.len());
        let limit = u64::try_from(room).unwrap_or(u64::MAX);
        let is_last = self.file.by_ref().take(limit).read_to_end(&mut bytes)? < room;
        if bytes.is_empty() {
            return Ok(None);
        }
        let end = bytes.iter().rposition(|byte| *byte == b'\n');
        if let Some(end) = end.filter(|_| !is_last) {
            self.begun = bytes.split_off(end.saturating_add(1));
        }
        let offset = self.offset;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.offset = offset.saturating_add(length);
        Ok(Some(Block {
            bytes,
            offset,
            is_last,
        }))
    }
}
