//! What lines say together: every link between lines and segments, and every checkpoint.
//!
//! One line after the other, in constant memory. Deliberately absent: reading ([`super::pass`]), and the
//! two ends of a log ([`super::verify`]).

use super::{
    chain::{GENESIS, LinkFault, Links},
    damage::DamageKind,
    keys,
    record::{Checkpoint, Entry, Segment, VERSION},
    segment::SegmentFile,
};

/// The last entry of a log, or of a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The sequence number of the last entry; 0 when there is none.
    pub seq: u64,
    /// The hash of the last line.
    pub hash: String,
}

/// Checks lines in their order, across segments.
#[derive(Clone, Debug)]
pub struct Checker {
    stream_id: Option<String>,
    head: Head,
    is_begun: bool,
    header: Option<Segment>,
    is_closed: bool,
}

impl Checker {
    /// A checker for a log from its oldest segment on.
    #[must_use]
    pub fn new() -> Self {
        Self {
            stream_id: None,
            head: Head {
                seq: 0,
                hash: GENESIS.to_owned(),
            },
            is_begun: false,
            header: None,
            is_closed: false,
        }
    }

    /// The last entry so far, and the hash of the last line.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The identity of the log; empty before its first line.
    #[must_use]
    pub fn stream_id(&self) -> &str {
        self.stream_id.as_deref().unwrap_or_default()
    }

    /// Whether a checkpoint has closed the segment.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// The header of the segment, once it was read.
    #[must_use]
    pub fn header(&self) -> Option<&Segment> {
        self.header.as_ref()
    }

    /// The next segment begins.
    pub fn begin_segment(&mut self) {
        self.header = None;
        self.is_closed = false;
    }

    /// Checks the next line of a segment, which was read by itself.
    pub(super) fn line(
        &mut self,
        segment: &SegmentFile,
        read: Result<(&Links, &Entry), LinkFault>,
    ) -> Result<(), DamageKind> {
        if self.is_closed {
            return Err(DamageKind::AfterCheckpoint);
        }
        let (links, entry) = read?;
        self.check_header(segment, entry, links)?;
        self.check_links(links)?;
        if let Entry::Checkpoint(checkpoint) = entry {
            self.check_checkpoint(checkpoint)?;
            self.is_closed = true;
        }
        self.head.seq = links.seq.unwrap_or(self.head.seq);
        self.head.hash.clone_from(&links.hash);
        Ok(())
    }

    /// A segment begins with a header that belongs to it, and has no other.
    fn check_header(
        &mut self,
        segment: &SegmentFile,
        entry: &Entry,
        links: &Links,
    ) -> Result<(), DamageKind> {
        match (entry, &self.header) {
            (Entry::Segment(_), Some(_)) => return Err(DamageKind::HeaderMisplaced),
            (Entry::Segment(_), None) => {}
            (
                Entry::Decision(_)
                | Entry::Evidence(_)
                | Entry::Refused(_)
                | Entry::Gap(_)
                | Entry::Recovered(_)
                | Entry::Rejected(_)
                | Entry::Retired(_)
                | Entry::Checkpoint(_),
                found,
            ) => {
                if found.is_none() {
                    return Err(DamageKind::NoHeader);
                }
            }
        }
        if links.seq.is_some() != entry.is_numbered() {
            return Err(DamageKind::SeqMisplaced);
        }
        let Entry::Segment(header) = entry else {
            return Ok(());
        };
        if header.version != VERSION {
            return Err(DamageKind::Version(header.version));
        }
        if header.first_seq != segment.first_seq {
            return Err(DamageKind::HeaderForeign("file"));
        }
        match &self.stream_id {
            None => self.stream_id = Some(header.stream_id.clone()),
            Some(stream_id) if *stream_id == header.stream_id => {}
            Some(_) => return Err(DamageKind::HeaderForeign("log")),
        }
        if !self.is_begun {
            // What came before the oldest segment is judged at the end, by what was retired.
            self.is_begun = true;
            self.head = Head {
                seq: header.first_seq.saturating_sub(1),
                hash: links.prev.clone(),
            };
        }
        let expected = self.head.seq.saturating_add(1);
        if header.first_seq != expected {
            let found = header.first_seq;
            return Err(DamageKind::Missing { expected, found });
        }
        self.header = Some(header.clone());
        Ok(())
    }

    fn check_links(&self, links: &Links) -> Result<(), DamageKind> {
        let expected = self.head.seq.saturating_add(1);
        match links.seq {
            Some(found) if found > expected => Err(DamageKind::Missing { expected, found }),
            Some(found) if found < expected => Err(DamageKind::OutOfOrder { expected, found }),
            Some(_) | None if links.prev != self.head.hash => Err(DamageKind::NotNext),
            Some(_) | None => Ok(()),
        }
    }

    fn check_checkpoint(&self, checkpoint: &Checkpoint) -> Result<(), DamageKind> {
        let message =
            checkpoint_message(&checkpoint.stream_id, checkpoint.last_seq, &self.head.hash);
        let is_signed = keys::is_signed(&checkpoint.key, &message, &checkpoint.signature);
        let is_of_this_log = checkpoint.stream_id == self.stream_id();
        if is_signed && is_of_this_log && checkpoint.last_seq == self.head.seq {
            Ok(())
        } else {
            Err(DamageKind::Signature)
        }
    }
}

impl Default for Checker {
    fn default() -> Self {
        Self::new()
    }
}

/// What a checkpoint signs.
#[must_use]
pub fn checkpoint_message(stream_id: &str, last_seq: u64, hash: &str) -> Vec<u8> {
    format!("admit checkpoint 1\n{stream_id}\n{last_seq}\n{hash}\n").into_bytes()
}
