//! Finding lines of the log: by sequence number in the one segment that can have it, by what stands
//! in them in all segments, and the last ones from the end.
//!
//! Constant memory throughout. Deliberately absent: any judgment of what was found; a damaged line
//! is found as any other.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use super::{Log, progress::Progress, size};
use crate::audit::{
    record::Entry,
    segment::{Line, Lines, SegmentFile},
};

/// Within how many bytes of a line its type and its sequence number stand.
const LINKS_BYTES_MAX: usize = 64;
const SEQ: &[u8] = b"\",\"seq\":";
/// How much is read at once from the end of a segment.
const CHUNK_BYTES: usize = 64 * 1024;

/// A line and the segment that it stands in.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) segment: SegmentFile,
    pub(super) line: Line,
}

/// The sequence number that a line begins with; headers and checkpoints have none.
pub(super) fn seq_of(line: &[u8]) -> Option<u64> {
    let start = line.get(..LINKS_BYTES_MAX).unwrap_or(line);
    let at = start.windows(SEQ.len()).position(|window| window == SEQ)?;
    let rest = start.get(at.checked_add(SEQ.len())?..)?;
    let end = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(rest.get(..end)?).ok()?.parse().ok()
}

/// Whether `text` stands in the line.
fn has(line: &[u8], text: &str) -> bool {
    std::str::from_utf8(line).is_ok_and(|line| line.contains(text))
}

/// The entry `seq`. Only the segment that can have it is read; its name says which one that is.
pub(super) fn by_seq(log: &Log, seq: u64) -> io::Result<Option<Found>> {
    let after = log
        .segments
        .partition_point(|segment| segment.first_seq <= seq);
    let Some(segment) = after.checked_sub(1).and_then(|at| log.segments.get(at)) else {
        return Ok(None);
    };
    first_in(segment, |line| seq_of(line) == Some(seq))
}

/// The first line that has `text` in the newest segment that has one: whoever asks, asks mostly for
/// what happened just now.
pub(super) fn newest(log: &Log, text: &str) -> io::Result<Option<Found>> {
    let progress = Progress::of_bytes(log.bytes(), "searching");
    let mut bytes = 0_u64;
    for segment in log.segments.iter().rev() {
        if let Some(found) = first_in(segment, |line| has(line, text))? {
            return Ok(Some(found));
        }
        bytes = bytes.saturating_add(size(segment));
        progress.at(bytes);
    }
    Ok(None)
}

fn first_in(segment: &SegmentFile, is_it: impl Fn(&[u8]) -> bool) -> io::Result<Option<Found>> {
    let mut lines = Lines::open(&segment.path)?;
    while let Some(line) = lines.next_line()? {
        if line.is_ended && is_it(&line.bytes) {
            let segment = segment.clone();
            return Ok(Some(Found { segment, line }));
        }
    }
    Ok(None)
}

/// Shows `visit` every line that has all of `texts`, closed with the key of this identity. How many
/// segments were written with another key, so that nothing can be found in them.
pub(super) fn all<E: From<io::Error>>(
    log: &Log,
    key: &str,
    texts: &[String],
    mut visit: impl FnMut(Found, &Progress) -> Result<(), E>,
) -> Result<u64, E> {
    let progress = Progress::of_bytes(log.bytes(), "searching");
    let mut before = 0_u64;
    let mut others = 0_u64;
    for segment in &log.segments {
        let mut lines = Lines::open(&segment.path)?;
        while let Some(line) = lines.next_line()? {
            progress.at(before.saturating_add(lines.offset()));
            if line.number == 1 && is_of_other_key(&line, key) {
                others = others.saturating_add(1);
                break;
            }
            if line.is_ended && texts.iter().all(|text| has(&line.bytes, text)) {
                let segment = segment.clone();
                visit(Found { segment, line }, &progress)?;
            }
        }
        before = before.saturating_add(size(segment));
    }
    Ok(others)
}

fn is_of_other_key(header: &Line, key: &str) -> bool {
    match serde_json::from_slice(&header.bytes) {
        Ok(Entry::Segment(header)) => header.names_key != key,
        Ok(_) | Err(_) => false,
    }
}

/// Where the last `count` entries begin: the place of a segment in the log and an offset in it. The
/// segments are read from the end, and no more of them than these entries need.
pub(super) fn last_entries(log: &Log, count: u64) -> io::Result<Option<(usize, u64)>> {
    let mut left = count;
    let mut start = None;
    for (at, segment) in log.segments.iter().enumerate().rev() {
        let file = File::open(&segment.path)?;
        let offset = entries_from_end(&file, &mut left)?;
        start = Some((at, offset));
        if left == 0 {
            break;
        }
    }
    Ok(start)
}

/// The sequence number of the last entry that is whole.
pub(super) fn last_seq(log: &Log) -> io::Result<Option<u64>> {
    let Some((at, offset)) = last_entries(log, 1)? else {
        return Ok(None);
    };
    let Some(segment) = log.segments.get(at) else {
        return Ok(None);
    };
    let line = Lines::open_at(&segment.path, offset)?.next_line()?;
    Ok(line.and_then(|line| seq_of(&line.bytes)))
}

/// The offset of the entry that is the `left`-th from the end of the file, or 0; `left` is what remains
/// to be found before the file.
fn entries_from_end(file: &File, left: &mut u64) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let mut chunk = vec![0_u8; CHUNK_BYTES];
    // The end of the lines that are whole; what stands behind it is torn, or being written.
    let mut end = None;
    let mut chunk_end = length;
    while chunk_end > 0 {
        let chunk_length = usize::try_from(chunk_end).map_or(CHUNK_BYTES, |n| n.min(CHUNK_BYTES));
        let chunk_start = chunk_end.saturating_sub(u64::try_from(chunk_length).unwrap_or(0));
        let bytes = chunk.get_mut(..chunk_length).unwrap_or_default();
        file.read_exact_at(bytes, chunk_start)?;
        for (at, byte) in bytes.iter().enumerate().rev() {
            if *byte != b'\n' {
                continue;
            }
            let behind = u64::try_from(at).unwrap_or(0).saturating_add(1);
            let line_start = chunk_start.saturating_add(behind);
            if *left == 0 {
                // Every entry was found: the file ends where they would begin.
                return Ok(line_start);
            }
            if end.is_none() {
                end = Some(line_start);
            } else if is_entry_at(file, line_start)? {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    return Ok(line_start);
                }
            }
        }
        chunk_end = chunk_start;
    }
    // A segment begins with its header, which is no entry.
    Ok(0)
}

fn is_entry_at(file: &File, offset: u64) -> io::Result<bool> {
    let mut start = [0_u8; LINKS_BYTES_MAX];
    let length = file.read_at(&mut start, offset)?;
    let start = start.get(..length).unwrap_or_default();
    Ok(seq_of(start).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_entries_have_a_sequence_number() {
        let entry = br#"{"type":"recovered","seq":18446744073709551615,"prev":"00"}"#;
        assert_eq!(seq_of(entry), Some(u64::MAX));
        for line in [
            &br#"{"type":"segment","prev":"00","version":1,"x":{"seq":7,"y":1}}"#[..],
            br#"{"type":"gap","seq":"7","prev":"00"}"#,
            br#"{"type":"gap","seq":7"#,
            b"",
        ] {
            assert_eq!(seq_of(line), None, "{}", String::from_utf8_lossy(line));
        }
    }
}
