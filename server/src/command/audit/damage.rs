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
        let in_line = damage.line > 0;
        Self {
            code: code(&damage.kind),
            file: damage.segment.clone(),
            line: in_line.then_some(damage.line),
            byte: in_line.then_some(damage.offset),
            message: damage.kind.to_string(),
            means: means(&damage.kind),
            help: help(&damage.kind),
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
    let path = dir.join(&damage.segment);
    writeln!(
        to,
        "{BAD}DAMAGED{BAD:#} {STRONG}{}{STRONG:#}: {}",
        code(&damage.kind),
        damage.kind
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
    writeln!(to, "  means   {}", means(&damage.kind))?;
    writeln!(to, "  help    {}", help(&damage.kind))
}

/// The kind of damage, for programs.
fn code(kind: &DamageKind) -> &'static str {
    match kind {
        DamageKind::Line(LinkFault::TooLong) => "line-too-long",
        DamageKind::Line(LinkFault::NoHash) => "line-cut",
        DamageKind::Line(LinkFault::Changed) => "line-changed",
        DamageKind::Line(LinkFault::NoEntry) => "line-foreign",
        DamageKind::Missing { .. } => "entries-missing",
        DamageKind::OutOfOrder { .. } => "out-of-order",
        DamageKind::NotNext => "not-next",
        DamageKind::SeqMisplaced
        | DamageKind::NoHeader
        | DamageKind::HeaderMisplaced
        | DamageKind::AfterCheckpoint => "line-misplaced",
        DamageKind::HeaderForeign(_) => "segment-foreign",
        DamageKind::Version(_) => "version-unknown",
        DamageKind::NotClosed => "not-closed",
        DamageKind::Signature => "signature-wrong",
        DamageKind::KeyNotTrusted => "key-not-trusted",
        DamageKind::CutOff => "cut-off",
        DamageKind::NotTorn => "not-torn",
        DamageKind::BeginMissing(_) => "beginning-missing",
        DamageKind::TailCut { .. } => "tail-cut",
        DamageKind::NotAsKnown(_) => "not-as-known",
        DamageKind::KnownRetired(_) => "known-retired",
    }
}

/// What must have happened.
fn means(kind: &DamageKind) -> &'static str {
    match kind {
        DamageKind::Line(LinkFault::TooLong) => "admitd writes no such line",
        DamageKind::Line(LinkFault::NoHash) => "the line's end was edited or cut off",
        DamageKind::Line(LinkFault::Changed) => {
            "a byte of this line was edited, or the disk lost one"
        }
        DamageKind::Line(LinkFault::NoEntry) => {
            "the line was not written by this version of admitd, though its hash is right"
        }
        DamageKind::Missing { .. } => {
            "entries were deleted here, or whole lines or files were moved behind this place"
        }
        DamageKind::OutOfOrder { .. } => "this line stands somewhere else too, or was moved here",
        DamageKind::NotNext => {
            "this line is whole by itself and was written behind another line than this one"
        }
        DamageKind::SeqMisplaced
        | DamageKind::NoHeader
        | DamageKind::HeaderMisplaced
        | DamageKind::AfterCheckpoint => "a line of this kind is never written in this place",
        DamageKind::HeaderForeign(_) => {
            "a file of another log, or of another place of this one, was put here"
        }
        DamageKind::Version(_) => "a later version of admitd wrote this",
        DamageKind::NotClosed => {
            "its checkpoint was taken out: what stands in it may have been rewritten without the key"
        }
        DamageKind::Signature => {
            "the entries before it are not the ones that the key signed: whoever wrote this did \
             not have the key"
        }
        DamageKind::KeyNotTrusted => {
            "the log may be whole, and somebody else's key signed it: whoever can write the \
             directory could have written all of it"
        }
        DamageKind::CutOff => "the end of a segment that was closed is gone",
        DamageKind::NotTorn => "a crash leaves a part of one entry, and this is more",
        DamageKind::BeginMissing(_) => {
            "the oldest segments were deleted, and not by admitd at the end of their retention"
        }
        DamageKind::TailCut { .. } => {
            "the last entries were deleted; what is left is whole by itself"
        }
        DamageKind::NotAsKnown(_) => {
            "the log was rewritten from here or from before on, with every hash made anew; or \
             `--known` is of another log"
        }
        DamageKind::KnownRetired(_) => {
            "the log is whole from its beginning on, and the entry was deleted at the end of its \
             retention"
        }
    }
}

/// What to do.
fn help(kind: &DamageKind) -> &'static str {
    match kind {
        DamageKind::Version(_) => "take the admitd that wrote it",
        DamageKind::KeyNotTrusted => {
            "if the signing key was replaced on purpose, give the former one with `--key` too"
        }
        DamageKind::KnownRetired(_) => {
            "leave that `--known` out; the receiver of the spans may have the entry"
        }
        DamageKind::Line(_)
        | DamageKind::Missing { .. }
        | DamageKind::OutOfOrder { .. }
        | DamageKind::NotNext
        | DamageKind::SeqMisplaced
        | DamageKind::NoHeader
        | DamageKind::HeaderMisplaced
        | DamageKind::AfterCheckpoint
        | DamageKind::HeaderForeign(_)
        | DamageKind::NotClosed
        | DamageKind::Signature
        | DamageKind::CutOff
        | DamageKind::NotTorn
        | DamageKind::BeginMissing(_)
        | DamageKind::TailCut { .. }
        | DamageKind::NotAsKnown(_) => {
            "keep the directory as it is: it is evidence; compare it with a copy or with the \
             receiver of its spans, and let admitd begin a new log in another audit directory"
        }
    }
}
