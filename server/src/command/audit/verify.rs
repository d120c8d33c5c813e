//! `admitd audit verify`: is the log whole, and if not, where is it damaged.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
};

use serde::Serialize;

use super::{
    AuditError, Log, Outcome, Place,
    damage::{self, Before, DamageShape},
    json_line,
    progress::Progress,
    render::{FAINT, GOOD, WARNING, counted},
};
use crate::audit::{
    chain::Links,
    record::Entry,
    verify::{Known, Verified, verify},
};

/// Most keys that are remembered; a log whose keys are replaced as they should be has few.
const KEYS_MAX: usize = 64;

/// Checks the log.
#[derive(Debug, clap::Args)]
pub struct Verify {
    #[command(flatten)]
    place: Place,
    /// An entry that is known to have been there, from a reply, a span or an earlier check. With one,
    /// a cut tail and a log that was rewritten as a whole are found. May be given several times.
    #[arg(long, value_name = "SEQ:HASH", value_parser = known)]
    known: Vec<(u64, String)>,
    /// A public key that checkpoints have to be signed with, as 64 hexadecimal digits. With none, every
    /// checkpoint's own key will do. May be given several times.
    #[arg(long, value_name = "HEX", value_parser = key)]
    key: Vec<String>,
    /// Prints one versioned object.
    #[arg(long)]
    pub(super) json: bool,
}

const HASH_CHARS: usize = 64;

fn is_hash(text: &str) -> bool {
    text.len() == HASH_CHARS
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn known(text: &str) -> Result<(u64, String), String> {
    let parsed = text.split_once(':').and_then(|(seq, hash)| {
        let seq = seq.parse().ok().filter(|seq| *seq > 0)?;
        is_hash(hash).then(|| (seq, hash.to_owned()))
    });
    parsed.ok_or_else(|| {
        "is not a sequence number, a colon and 64 lowercase hexadecimal digits".into()
    })
}

fn key(text: &str) -> Result<String, String> {
    if is_hash(text) {
        Ok(text.to_owned())
    } else {
        Err("is not 64 lowercase hexadecimal digits".into())
    }
}

/// What the check passed on its way.
#[derive(Debug, Default)]
struct Seen {
    /// The last entry, as a reply would state it.
    last: Before,
    /// The last entry that a checkpoint signs.
    signed_seq: Option<u64>,
    keys: BTreeSet<String>,
    /// Whether the last line is a checkpoint.
    ends_closed: bool,
}

impl Seen {
    fn line(&mut self, links: &Links, entry: &Entry) {
        self.ends_closed = false;
        if let Entry::Checkpoint(checkpoint) = entry {
            self.signed_seq = Some(checkpoint.last_seq);
            self.ends_closed = true;
            if self.keys.len() < KEYS_MAX {
                self.keys.insert(checkpoint.key.clone());
            }
        }
        if let Some(seq) = links.seq {
            self.last = Some((seq, links.hash.clone()));
        }
    }
}

#[derive(Serialize)]
struct Output {
    schema: &'static str,
    is_whole: bool,
    /// Null in a damaged log.
    log: Option<LogShape>,
    /// The last entry, or the last one before the damage; null when there is none.
    last_entry: Option<EntryShape>,
    /// The last entry that a checkpoint signs.
    signed_seq: Option<u64>,
    /// The keys of all checkpoints.
    keys: BTreeSet<String>,
    /// Null in a whole log.
    damage: Option<DamageShape>,
}

#[derive(Serialize)]
struct LogShape {
    stream_id: String,
    first_seq: u64,
    entries: u64,
    segments: u64,
    checkpoints: u64,
    torn_bytes: u64,
    ends_with_checkpoint: bool,
}

#[derive(Serialize)]
struct EntryShape {
    seq: u64,
    hash: String,
}

impl Verify {
    pub(super) fn run(&self, to: &mut impl Write) -> Result<Outcome, AuditError> {
        let mut hashes = BTreeMap::new();
        for (seq, hash) in &self.known {
            if hashes
                .insert(*seq, hash.clone())
                .is_some_and(|former| former != *hash)
            {
                return Err(AuditError::KnownTwice(*seq));
            }
        }
        let log = self.place.log_or_none()?;
        if log.segments.is_empty() && hashes.is_empty() {
            return Err(AuditError::NoLog { dir: log.dir });
        }
        let known = Known {
            hashes,
            keys: self.key.clone(),
        };
        let mut seen = Seen::default();
        let progress = Progress::of_bytes(log.bytes(), "checking");
        let verified = verify(&log.dir, &known, |links, entry, bytes| {
            seen.line(links, entry);
            progress.at(bytes);
        });
        progress.end();
        let (verified, damage) = match verified {
            Ok(verified) => (Some(verified), None),
            Err(error) => (None, Some(log.not_verified(error)?)),
        };
        let outcome = match &damage {
            None => Outcome::Good,
            Some(_) => Outcome::Bad,
        };
        if self.json {
            let damage = damage.as_ref().map(DamageShape::of);
            json_line(to, &Output::of(verified, seen, damage))?;
        } else {
            if let Some(verified) = &verified {
                whole(to, &log, verified, &seen)?;
            }
            if let Some(damage) = &damage {
                damage::write(to, &log.dir, damage, &seen.last)?;
            }
        }
        Ok(outcome)
    }
}

impl Output {
    fn of(verified: Option<Verified>, seen: Seen, damage: Option<DamageShape>) -> Self {
        Self {
            schema: "admitd.audit.verify/1",
            is_whole: damage.is_none(),
            log: verified.map(|verified| LogShape {
                stream_id: verified.stream_id,
                first_seq: verified.first_seq,
                entries: verified.entries,
                segments: verified.segments,
                checkpoints: verified.checkpoints,
                torn_bytes: verified.torn_bytes,
                ends_with_checkpoint: seen.ends_closed,
            }),
            last_entry: seen.last.map(|(seq, hash)| EntryShape { seq, hash }),
            signed_seq: seen.signed_seq,
            keys: seen.keys,
            damage,
        }
    }
}

fn whole(
    to: &mut impl Write,
    log: &Log,
    verified: &Verified,
    seen: &Seen,
) -> Result<(), AuditError> {
    let entries = counted(verified.entries, "entry", "entries");
    let segments = counted(verified.segments, "segment", "segments");
    writeln!(to, "{GOOD}whole{GOOD:#}: {entries} in {segments}")?;
    writeln!(to, "  log        {}", verified.stream_id)?;
    writeln!(to, "  directory  {}", log.dir.display())?;
    if let Some((seq, hash)) = &seen.last {
        writeln!(to, "  entries    {} to {seq}", verified.first_seq)?;
        writeln!(to, "  hash       {hash} {FAINT}(of entry {seq}){FAINT:#}")?;
    }
    match seen.signed_seq {
        Some(seq) => {
            let checkpoints = counted(verified.checkpoints, "checkpoint", "checkpoints");
            writeln!(to, "  signed     up to entry {seq}, by {checkpoints}")?;
        }
        None => writeln!(to, "  signed     nothing yet: no segment was closed")?,
    }
    for key in &seen.keys {
        writeln!(to, "  key        {key}")?;
    }
    if verified.torn_bytes > 0 {
        writeln!(
            to,
            "  {WARNING}torn{WARNING:#}       {} behind the last line feed: an entry that is being \
             written right now, or what a crash left; the next start sets it aside",
            counted(verified.torn_bytes, "byte", "bytes")
        )?;
    }
    if seen.ends_closed {
        writeln!(
            to,
            "  {WARNING}note{WARNING:#}       the log ends with a closed segment; unless admitd ended \
             just there, the segment after it is gone"
        )?;
    }
    if let Some((seq, hash)) = &seen.last {
        writeln!(
            to,
            "{FAINT}Keep this to find a cut tail later: --known {seq}:{hash}{FAINT:#}"
        )?;
    }
    Ok(())
}
