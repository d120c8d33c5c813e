//! The check of a log: every line, every link between lines and segments, every checkpoint.
//!
//! In constant memory, so that a log of any size can be checked, by the command and by the daemon at its
//! start. What a line says by itself is found out on every core (`pass.rs`); here is what lines say
//! together, in their order. Deliberately absent: any change of the log.

use std::{collections::BTreeMap, io, path::Path};

use super::{
    chain::{self, GENESIS, LinkFault, Links},
    pass::{Content, Pass, pass},
    record::Entry,
    segment::{self, SegmentFile},
};

pub use super::{
    checker::{Checker, Head, checkpoint_message},
    damage::{Damage, DamageKind},
};

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
    let visit = |links: &Links, entry: &Entry, (): &(), bytes| visit(links, entry, bytes);
    verify_deriving(dir, known, |_| (), visit)
}

/// The same; `visit` sees besides what `derive` made of the entry. That is called on any thread, in no
/// order, and for entries behind a damage too.
///
/// # Errors
///
/// At the first damage, or when the log cannot be read.
pub fn verify_deriving<T: Send>(
    dir: &Path,
    known: &Known,
    derive: impl Fn(&Entry) -> T + Sync,
    visit: impl FnMut(&Links, &Entry, &T, u64),
) -> Result<Verified, VerifyError> {
    let segments = segment::list(dir)?;
    let verifying = Verifying {
        known,
        visit,
        checker: Checker::new(),
        verified: Verified {
            stream_id: String::new(),
            first_seq: segments.first().map_or(1, |segment| segment.first_seq),
            head: Checker::new().head().clone(),
            segments: 0,
            checkpoints: 0,
            entries: 0,
            torn_bytes: 0,
        },
        begin: None,
        is_retired: false,
        bytes: 0,
    };
    pass(derive, |pass| verifying.segments(pass, &segments))
}

/// A check under way.
struct Verifying<'a, V> {
    known: &'a Known,
    visit: V,
    checker: Checker,
    verified: Verified,
    /// The hash that the first line follows.
    begin: Option<String>,
    /// Whether an entry says that what came before the first line was retired.
    is_retired: bool,
    /// The bytes of the segments that are done.
    bytes: u64,
}

impl<V> Verifying<'_, V> {
    fn segments<T: Send>(
        mut self,
        pass: &mut Pass<'_, '_, T>,
        segments: &[SegmentFile],
    ) -> Result<Verified, VerifyError>
    where
        V: FnMut(&Links, &Entry, &T, u64),
    {
        for (at, segment) in segments.iter().enumerate() {
            let is_last = at.saturating_add(1) == segments.len();
            self.segment(pass, segment, is_last)?;
        }
        let Self {
            known,
            checker,
            mut verified,
            begin,
            is_retired,
            ..
        } = self;
        verified.stream_id = checker.stream_id().to_owned();
        verified.head = checker.head().clone();
        let is_whole = verified.first_seq == 1 && begin.is_none_or(|prev| prev == GENESIS);
        check_ends(segments, &verified, is_whole || is_retired, known)?;
        Ok(verified)
    }

    fn segment<T: Send>(
        &mut self,
        pass: &mut Pass<'_, '_, T>,
        segment: &SegmentFile,
        is_last: bool,
    ) -> Result<(), VerifyError>
    where
        V: FnMut(&Links, &Entry, &T, u64),
    {
        self.checker.begin_segment();
        let mut number = 0_u64;
        let mut length = 0;
        pass.segment(segment, |line| {
            number = number.saturating_add(1);
            let damaged = |kind| Damage::at(segment, number, line.offset, kind);
            let (links, entry, derived) = match &line.content {
                Content::Whole(links, entry, derived) => (links, entry, derived),
                Content::Faulty(fault) => {
                    let checked = self.checker.line(segment, Err(*fault));
                    return Ok(checked.map_err(damaged)?);
                }
                Content::Unended(bytes) => {
                    self.verified.torn_bytes = torn(bytes, is_last).map_err(damaged)?;
                    return Ok(());
                }
            };
            let read = Ok((links, entry));
            self.checker.line(segment, read).map_err(damaged)?;
            self.entry(links, entry).map_err(damaged)?;
            length = line.end;
            (self.visit)(links, entry, derived, self.bytes.saturating_add(length));
            Ok::<(), VerifyError>(())
        })?;
        if self.checker.header().is_none() {
            // A segment gets its name only when its header is synced.
            return Err(Damage::whole(segment, DamageKind::NoHeader).into());
        }
        if !is_last && !self.checker.is_closed() {
            return Err(Damage::whole(segment, DamageKind::NotClosed).into());
        }
        self.bytes = self.bytes.saturating_add(length);
        self.verified.segments = self.verified.segments.saturating_add(1);
        Ok(())
    }

    /// Counts an entry that is where it should be.
    fn entry(&mut self, links: &Links, entry: &Entry) -> Result<(), DamageKind> {
        let begin = self.begin.get_or_insert_with(|| links.prev.clone());
        self.known.agrees(links, entry)?;
        let verified = &mut self.verified;
        verified.entries = verified
            .entries
            .saturating_add(u64::from(links.seq.is_some()));
        match entry {
            Entry::Checkpoint(_) => {
                verified.checkpoints = verified.checkpoints.saturating_add(1);
            }
            Entry::Retired(retired) => {
                self.is_retired |= retired.last_seq.saturating_add(1) == verified.first_seq
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
        Ok(())
    }
}

/// The length of what stands behind the last line feed, if it can be what a crash left: it is in the
/// last segment, and no whole entry with something behind it.
pub(super) fn torn(bytes: &[u8], is_last: bool) -> Result<u64, DamageKind> {
    if !is_last {
        Err(DamageKind::CutOff)
    } else if bytes.len() > chain::LINE_BYTES_MAX {
        Err(DamageKind::Line(LinkFault::TooLong))
    } else if chain::begins_with_whole_line(bytes) && chain::check(bytes).is_err() {
        Err(DamageKind::NotTorn)
    } else {
        Ok(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
    }
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
