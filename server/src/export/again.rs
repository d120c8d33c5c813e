//! Sending a part of the log once more, for a receiver that lost it or never had it.
//!
//! The log is read without its lock, up to the end that it has at the start; the cursor and the log
//! stay as they are. A receiver that has the spans already de-duplicates them.

use std::{fs::File, path::Path, time::Duration};

use super::{
    ExportConfig, ExportError,
    delivery::{Delivery, GaveUp, Patience},
    reader::{self, Position, ReadError},
    receiver::{Receiver, Route},
};
use crate::audit::{
    chain,
    record::Entry,
    segment::{self, Lines, SegmentFile},
};

const PATIENCE: Patience = Patience {
    tries: 6,
    time: Duration::from_secs(30),
};

/// What was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The first sequence number that was due: the asked one, or the first that is still in the log.
    pub first_seq: u64,
    /// The last one in the log.
    pub last_seq: u64,
    /// How many spans the receiver took.
    pub accepted: u64,
    /// How many it refused for good.
    pub refused: u64,
}

/// Why not everything was sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The receiver cannot be reached as it is configured.
    #[error(transparent)]
    Start(#[from] ExportError),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The receiver takes nothing.
    #[error(transparent)]
    GaveUp(#[from] GaveUp),
}

/// Sends the entries of the log in `dir` from `from_seq` to its present end; `progress` is told the
/// last sequence number that is settled.
///
/// # Errors
///
/// When the receiver cannot be used, takes nothing for 30 seconds or six times in a row, or the log
/// cannot be read.
pub fn send_again(
    config: &ExportConfig,
    dir: &Path,
    from_seq: u64,
    progress: impl FnMut(u64),
) -> Result<Sent, SendError> {
    let route = Route::new(config).map_err(ExportError::from)?;
    let segments = segment::list(dir).map_err(ReadError::from)?;
    let is_before = |segment: &&SegmentFile| segment.first_seq <= from_seq;
    let first = segments.iter().rev().find(is_before).or(segments.first());
    let (Some(first), Some(last)) = (first, segments.last()) else {
        return Err(ReadError::Missing(from_seq).into());
    };
    let (stream_id, last_seq) = end(last)?;
    let part = Part {
        stream_id,
        from: Position {
            next_seq: first.first_seq,
            hash: None,
            segment: first.first_seq,
            offset: 0,
        },
        first_seq: from_seq.max(first.first_seq),
        last_seq,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ExportError::Thread)?;
    let sent = runtime.block_on(part.send(dir, route, progress));
    // A name that is being looked up must not hold up the end.
    runtime.shutdown_background();
    sent
}

/// A part of a log.
struct Part {
    stream_id: String,
    /// Where to begin reading: the beginning of a segment.
    from: Position,
    first_seq: u64,
    last_seq: u64,
}

impl Part {
    async fn send(
        self,
        dir: &Path,
        route: Route,
        mut progress: impl FnMut(u64),
    ) -> Result<Sent, SendError> {
        let mut delivery = Delivery::new(Receiver::new(route), Some(PATIENCE));
        let mut sent = Sent {
            first_seq: self.first_seq,
            last_seq: self.last_seq,
            accepted: 0,
            refused: 0,
        };
        let mut position = self.from;
        while position.next_seq <= self.last_seq {
            let batch = reader::read(dir, &self.stream_id, &position, self.last_seq)?;
            let pieces = batch.pieces.into_iter();
            let due = pieces.filter(|piece| piece.seq >= self.first_seq);
            let settled = delivery.deliver(due.collect(), || {}).await?;
            sent.accepted = sent.accepted.saturating_add(settled.accepted);
            for refusal in settled.refusals {
                sent.refused = sent.refused.saturating_add(refusal.spans);
            }
            position = batch.end;
            progress(position.next_seq.saturating_sub(1));
        }
        Ok(sent)
    }
}

/// The identity of the log whose last segment is `segment`, and its last entry that is whole.
fn end(segment: &SegmentFile) -> Result<(String, u64), ReadError> {
    // What a running daemon has just written is made durable before it is shown to anybody.
    File::open(&segment.path)?.sync_data()?;
    let mut lines = Lines::open(&segment.path)?;
    let mut stream_id = None;
    let mut last_seq = segment.first_seq.saturating_sub(1);
    while let Some(line) = lines.next_line()? {
        if !line.is_ended {
            break;
        }
        let damaged = |source| ReadError::Damaged {
            segment: segment.name(),
            offset: line.offset,
            source,
        };
        let links = chain::check(&line.bytes).map_err(damaged)?;
        if let Some(seq) = links.seq {
            last_seq = seq;
        } else if let Ok(Entry::Segment(header)) = serde_json::from_slice(&line.bytes) {
            stream_id = Some(header.stream_id);
        }
    }
    let stream_id = stream_id.ok_or(ReadError::Missing(segment.first_seq))?;
    Ok((stream_id, last_seq))
}
