//! Damage of a log: where, and how. Deliberately absent: how it is found; see [`super::verify`].

use std::fmt;

use super::{chain::LinkFault, record::VERSION, segment::SegmentFile};

/// Where a log is damaged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The name of the segment's file.
    pub segment: String,
    /// The number of the line in it, from 1; 0 stands for the whole file.
    pub line: u64,
    /// The offset of the line in it, in bytes.
    pub offset: u64,
    /// What is wrong there.
    pub kind: DamageKind,
}

impl Damage {
    /// Damage of the line `number`, from 1, at `offset`.
    pub(super) fn at(segment: &SegmentFile, number: u64, offset: u64, kind: DamageKind) -> Self {
        Self {
            segment: segment.name(),
            line: number,
            offset,
            kind,
        }
    }

    /// Damage of a whole segment.
    #[must_use]
    pub fn whole(segment: &SegmentFile, kind: DamageKind) -> Self {
        Self {
            segment: segment.name(),
            line: 0,
            offset: 0,
            kind,
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            segment,
            line,
            offset,
            kind,
        } = self;
        if *line == 0 {
            write!(f, "`{segment}`: {kind}")
        } else {
            write!(f, "`{segment}`, line {line} (byte {offset}): {kind}")
        }
    }
}

impl std::error::Error for Damage {}

/// What is wrong at one place of a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DamageKind {
    /// The line itself is not whole.
    #[error(transparent)]
    Line(#[from] LinkFault),
    /// Entries were deleted before this line.
    #[error("entries are missing before this line: {expected} was due, this is {found}")]
    Missing {
        /// The sequence number that was due.
        expected: u64,
        /// The one that stands there.
        found: u64,
    },
    /// The line stands in a place that it does not belong to.
    #[error("this line does not belong here: {expected} was due, this is {found}")]
    OutOfOrder {
        /// The sequence number that was due.
        expected: u64,
        /// The one that stands there.
        found: u64,
    },
    /// The line does not follow the line before it.
    #[error(
        "this line does not follow the line before it: one of them was inserted, replaced or moved, or one between them was deleted"
    )]
    NotNext,
    /// An entry has no sequence number, or a line that has none is expected to.
    #[error("this line has a sequence number that its type has not, or lacks one")]
    SeqMisplaced,
    /// A segment begins with something else than its header.
    #[error("a segment begins with its header, and this is none")]
    NoHeader,
    /// A header stands in the middle of a segment.
    #[error("a header stands in the middle of a segment")]
    HeaderMisplaced,
    /// The header does not belong to the file or to the log.
    #[error("the header belongs to another {0}")]
    HeaderForeign(&'static str),
    /// The version of the schema is not known.
    #[error("the log has version {0}, and this admitd reads version {VERSION}")]
    Version(u32),
    /// A line follows the checkpoint that closes a segment.
    #[error("a line follows the checkpoint that closes the segment")]
    AfterCheckpoint,
    /// A segment ends without a checkpoint, and another one follows it.
    #[error("the segment was not closed with a checkpoint, and is not the last one")]
    NotClosed,
    /// A checkpoint is not signed by the key that it states.
    #[error("the checkpoint's signature is not by the key that it states")]
    Signature,
    /// A checkpoint is signed by a key that is not trusted.
    #[error("the checkpoint is signed by a key that was not given as trusted")]
    KeyNotTrusted,
    /// A line is cut off in the middle of the log.
    #[error("the line is cut off, and it is not the last one of the log")]
    CutOff,
    /// A whole line is followed by something that no line feed ends.
    #[error(
        "what stands behind the last line feed begins with a whole entry; that is no torn tail"
    )]
    NotTorn,
    /// The log begins later than it should.
    #[error("the log begins with {0}, and no entry says that the entries before were retired")]
    BeginMissing(u64),
    /// An entry that is known is not there: the tail was cut.
    #[error("the log ends with {last}, and {known} is known: its tail was cut")]
    TailCut {
        /// The last sequence number that is there.
        last: u64,
        /// The one that is known.
        known: u64,
    },
    /// An entry that is known is another one.
    #[error("entry {0} has another hash than the one that is known")]
    NotAsKnown(u64),
    /// An entry that is known was retired.
    #[error("entry {0} is known and was retired; it cannot be checked")]
    KnownRetired(u64),
}
