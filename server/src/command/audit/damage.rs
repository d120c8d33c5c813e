//! A damage of the log in words: where it is, what it means, and what to do.

use std::{
    io::{self, Write},
    path::Path,
};

use serde::Serialize;

use super::render::{BAD, STRONG};
use crate::audit::{
    chain::LinkFault,
    verify::{Damage, DamageKind},
};

/// What to do about most damages.
const KEEP: &str = "keep the directory as it is: it is evidence; compare it with a copy or with the \
                    receiver of its spans, and let admitd begin a new log in another audit directory";

/// A kind of damage: its name for programs, what it means, and what to do.
struct Words {
    code: &'static str,
    means: &'static str,
    help: &'static str,
}

/// The last entry before a damage, by its sequence number and hash.
pub(super) type Before = Option<(u64, String)>;

/// A damage, as JSON; `line` counts from 1 and is null where the damage is about a whole file.
#[derive(Debug, Serialize)]
pub(super) struct DamageShape {
    code: &'static str,
    file: String,
    line: Option<u64>,
    byte: Option<u64>,
    message: String,
    means: &'static str,
    help: &'static str,
}

impl DamageShape {
    pub(super) fn of(damage: &Damage) -> Self {
        let words = words(&damage.kind);
        let in_line = damage.line > 0;
        Self {
            code: words.code,
            file: damage.segment.clone(),
            line: in_line.then_some(damage.line),
            byte: in_line.then_some(damage.offset),
            message: damage.kind.to_string(),
            means: words.means,
            help: words.help,
        }
    }
}

/// Prints the damage for a person.
pub(super) fn write(
    to: &mut impl Write,
    dir: &Path,
    damage: &Damage,
    before: &Before,
) -> io::Result<()> {
    let words = words(&damage.kind);
    let path = dir.join(&damage.segment);
    writeln!(
        to,
        "{BAD}DAMAGED{BAD:#} {STRONG}{}{STRONG:#}: {}",
        words.code, damage.kind
    )?;
    if damage.line > 0 {
        let Damage { line, offset, .. } = damage;
        writeln!(
            to,
            "  at      {}, line {line}, byte {offset}",
            path.display()
        )?;
    } else {
        writeln!(to, "  at      {}", path.display())?;
    }
    match before {
        Some((seq, hash)) => writeln!(to, "  before  whole up to entry {seq}, hash {hash}")?,
        None => writeln!(to, "  before  no entry")?,
    }
    writeln!(to, "  means   {}", words.means)?;
    writeln!(to, "  help    {}", words.help)
}

fn words(kind: &DamageKind) -> Words {
    let (code, means, help) = match kind {
        DamageKind::Line(fault) => line_words(*fault),
        DamageKind::Missing { .. } => (
            "entries-missing",
            "entries were deleted here, or whole lines or files were moved behind this place",
            KEEP,
        ),
        DamageKind::OutOfOrder { .. } => (
            "out-of-order",
            "this line stands somewhere else too, or was moved here",
            KEEP,
        ),
        DamageKind::NotNext => (
            "not-next",
            "this line is whole by itself and was written behind another line than this one",
            KEEP,
        ),
        DamageKind::SeqMisplaced
        | DamageKind::NoHeader
        | DamageKind::HeaderMisplaced
        | DamageKind::AfterCheckpoint => (
            "line-misplaced",
            "a line of this kind is never written in this place",
            KEEP,
        ),
        DamageKind::HeaderForeign(_) => (
            "segment-foreign",
            "a file of another log, or of another place of this one, was put here",
            KEEP,
        ),
        DamageKind::Version(_) => (
            "version-unknown",
            "a later version of admitd wrote this",
            "take the admitd that wrote it",
        ),
        DamageKind::Signature => (
            "signature-wrong",
            "the entries before it are not those that the key signed: somebody wrote this who did \
             not have the key",
            KEEP,
        ),
        DamageKind::KeyNotTrusted => (
            "key-not-trusted",
            "the log may be whole, and somebody else's key signed it: whoever can write the \
             directory could have written all of it",
            "if the signing key was replaced on purpose, give the former one with `--key` too",
        ),
        DamageKind::CutOff => (
            "cut-off",
            "the end of a segment that was closed is gone",
            KEEP,
        ),
        DamageKind::NotTorn => (
            "not-torn",
            "a crash leaves a part of one entry, and this is more",
            KEEP,
        ),
        DamageKind::BeginMissing(_) => (
            "beginning-missing",
            "the oldest segments were deleted, and not by admitd at the end of their retention",
            KEEP,
        ),
        DamageKind::TailCut { .. } => (
            "tail-cut",
            "the last entries were deleted; what is left is whole by itself",
            KEEP,
        ),
        DamageKind::NotAsKnown(_) => (
            "not-as-known",
            "the log was rewritten from here or from before on, with every hash made anew; or \
             `--known` is of another log",
            KEEP,
        ),
        DamageKind::KnownRetired(_) => (
            "known-retired",
            "the log is whole from its beginning on, and the entry was deleted at the end of its \
             retention",
            "leave that `--known` out; the receiver of the spans may have the entry",
        ),
    };
    Words { code, means, help }
}

fn line_words(fault: LinkFault) -> (&'static str, &'static str, &'static str) {
    match fault {
        LinkFault::TooLong => ("line-too-long", "admitd writes no such line", KEEP),
        LinkFault::NoHash => ("line-cut", "the line's end was edited or cut off", KEEP),
        LinkFault::Changed => (
            "line-changed",
            "a byte of this line was edited, or the disk lost one",
            KEEP,
        ),
        LinkFault::NoEntry => (
            "line-foreign",
            "the line was not written by admitd, though its hash is right",
            KEEP,
        ),
    }
}
