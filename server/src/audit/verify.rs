//! The check of a log: every line, every link between lines and segments, every checkpoint.
//!
//! One line at a time in constant memory, so that a log of any size can be checked, by the command
//! and by the daemon at its start. Deliberately absent: any change of the log.

use std::{collections::BTreeMap, io, path::Path};

use super::{
    chain::{self, GENESIS, LinkFault, Links},
    keys,
    record::{Checkpoint, Entry, Segment, VERSION},
    segment::{self, Line, Lines, SegmentFile},
};

pub use super::damage::{Damage, DamageKind};

/// The last entry of a log, or of a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The sequence number of the last entry; 0 when there is none.
    pub seq: u64,
    /// The hash of the last line.
    pub hash: String,
}

/// Why a check did not end.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The log is damaged.
    #[error(transparent)]
    Damage(#[from] Damage),
    /// It cannot be read.
    #[error("the log cannot be read")]
    Read(#[from] io::Error),
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

    /// Checks the next line of `segment`; the entry that it has.
    ///
    /// # Errors
    ///
    /// When the line is not the next one of an undamaged log.
    pub fn line(&mut self, segment: &SegmentFile, line: &Line) -> Result<(Links, Entry), Damage> {
        self.check(segment, &line.bytes)
            .map_err(|kind| Damage::at(segment, line, kind))
    }

    fn check(&mut self, segment: &SegmentFile, bytes: &[u8]) -> Result<(Links, Entry), DamageKind> {
        if self.is_closed {
            return Err(DamageKind::AfterCheckpoint);
        }
        let (links, entry) = Entry::read(bytes)?;
        self.check_header(segment, &entry, &links)?;
        self.check_links(&links)?;
        if let Entry::Checkpoint(checkpoint) = &entry {
            self.check_checkpoint(checkpoint)?;
            self.is_closed = true;
        }
        self.head.seq = links.seq.unwrap_or(self.head.seq);
        self.head.hash.clone_from(&links.hash);
        Ok((links, entry))
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

/// What the caller of a check knows already.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Entries that it has seen, by their sequence numbers: from replies, spans or checkpoints.
    pub hashes: BTreeMap<u64, String>,
    /// The public keys that it trusts; with none, every checkpoint's own key will do.
    pub keys: Vec<String>,
}

impl Known {
    /// Whether an entry is as it is known, and a checkpoint by a key that is trusted.
    fn agrees(&self, links: &Links, entry: &Entry) -> Result<(), DamageKind> {
        let known = links
            .seq
            .and_then(|seq| Some((seq, self.hashes.get(&seq)?)));
        if let Some((seq, hash)) = known
            && *hash != links.hash
        {
            return Err(DamageKind::NotAsKnown(seq));
        }
        match entry {
            Entry::Checkpoint(checkpoint)
                if !self.keys.is_empty() && !self.keys.contains(&checkpoint.key) =>
            {
                Err(DamageKind::KeyNotTrusted)
            }
            Entry::Segment(_)
            | Entry::Decision(_)
            | Entry::Evidence(_)
            | Entry::Refused(_)
            | Entry::Gap(_)
            | Entry::Recovered(_)
            | Entry::Rejected(_)
            | Entry::Retired(_)
            | Entry::Checkpoint(_) => Ok(()),
        }
    }
}

/// A log that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The identity of the log; empty when it has no line.
    pub stream_id: String,
    /// The first sequence number that is there.
    pub first_seq: u64,
    /// The last entry.
    pub head: Head,
    /// How many segments there are.
    pub segments: u64,
    /// How many checkpoints there are, each with a right signature.
    pub checkpoints: u64,
    /// How many entries there are.
    pub entries: u64,
    /// The bytes behind the last line feed: a crash's, or being written right now.
    pub torn_bytes: u64,
}

/// Checks the log in `dir`; `visit` sees every entry, and how many bytes have been read.
///
/// # Errors
///
/// At the first damage, or when the log cannot be read.
pub fn verify(
    dir: &Path,
    known: &Known,
    mut visit: impl FnMut(&Links, &Entry, u64),
) -> Result<Verified, VerifyError> {
    let segments = segment::list(dir)?;
    let mut checker = Checker::new();
    let mut verified = Verified {
        stream_id: String::new(),
        first_seq: segments.first().map_or(1, |segment| segment.first_seq),
        head: checker.head().clone(),
        segments: 0,
        checkpoints: 0,
        entries: 0,
        torn_bytes: 0,
    };
    let mut begin = None;
    let mut is_retired = false;
    let mut bytes = 0_u64;
    for (at, segment) in segments.iter().enumerate() {
        let is_last = at.saturating_add(1) == segments.len();
        checker.begin_segment();
        let mut lines = Lines::open(&segment.path)?;
        while let Some(line) = lines.next_line()? {
            if !line.is_ended {
                verified.torn_bytes = torn(segment, &line, is_last)?;
                break;
            }
            let (links, entry) = checker.line(segment, &line)?;
            let begin = begin.get_or_insert_with(|| links.prev.clone());
            known
                .agrees(&links, &entry)
                .map_err(|kind| Damage::at(segment, &line, kind))?;
            verified.entries = verified
                .entries
                .saturating_add(u64::from(links.seq.is_some()));
            match &entry {
                Entry::Checkpoint(_) => {
                    verified.checkpoints = verified.checkpoints.saturating_add(1);
                }
                Entry::Retired(retired) => {
                    is_retired |= retired.last_seq.saturating_add(1) == verified.first_seq
                        && retired.last_hash == *begin;
                }
                Entry::Segment(_)
                | Entry::Decision(_)
                | Entry::Evidence(_)
                | Entry::Refused(_)
                | Entry::Gap(_)
                | Entry::Recovered(_)
                | Entry::Rejected(_) => {}
            }
            visit(&links, &entry, bytes.saturating_add(lines.offset()));
        }
        if checker.header().is_none() {
            // A segment gets its name only when its header is synced.
            return Err(Damage::whole(segment, DamageKind::NoHeader).into());
        }
        if !is_last && !checker.is_closed() {
            return Err(Damage::whole(segment, DamageKind::NotClosed).into());
        }
        bytes = bytes.saturating_add(lines.offset());
        verified.segments = verified.segments.saturating_add(1);
    }
    verified.stream_id = checker.stream_id().to_owned();
    verified.head = checker.head().clone();
    let is_whole = verified.first_seq == 1 && begin.is_none_or(|prev| prev == GENESIS);
    check_ends(&segments, &verified, is_whole || is_retired, known)?;
    Ok(verified)
}

/// The length of what stands behind the last line feed, if it can be what a crash left: it is in the
/// last segment, and no whole entry with something behind it.
pub(super) fn torn(segment: &SegmentFile, line: &Line, is_last: bool) -> Result<u64, Damage> {
    let kind = if !is_last {
        DamageKind::CutOff
    } else if line.bytes.len() > chain::LINE_BYTES_MAX {
        DamageKind::Line(LinkFault::TooLong)
    } else if chain::begins_with_whole_line(&line.bytes) && chain::check(&line.bytes).is_err() {
        DamageKind::NotTorn
    } else {
        return Ok(u64::try_from(line.bytes.len()).unwrap_or(u64::MAX));
    };
    Err(Damage::at(segment, line, kind))
}

/// Whether the log begins and ends where it should.
fn check_ends(
    segments: &[SegmentFile],
    verified: &Verified,
    begin_is_right: bool,
    known: &Known,
) -> Result<(), Damage> {
    let damage = |segment: Option<&SegmentFile>, kind| {
        let nowhere = SegmentFile::new(Path::new(""), verified.first_seq);
        Err(Damage::whole(segment.unwrap_or(&nowhere), kind))
    };
    if !begin_is_right {
        return damage(
            segments.first(),
            DamageKind::BeginMissing(verified.first_seq),
        );
    }
    let last = verified.head.seq;
    match known.hashes.last_key_value() {
        Some((known, _)) if *known > last => {
            let known = *known;
            return damage(segments.last(), DamageKind::TailCut { last, known });
        }
        Some(_) | None => {}
    }
    match known.hashes.first_key_value() {
        Some((first, _)) if *first < verified.first_seq => {
            damage(segments.first(), DamageKind::KnownRetired(*first))
        }
        Some(_) | None => Ok(()),
    }
}
