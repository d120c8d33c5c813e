//! The audit trail: every answer is recorded durably before it is given.
//!
//! # What holds
//!
//! - An entry whose receipt was given is on the disk (`fdatasync`), and stays in the chain.
//! - What cannot be recorded is not answered. The refused are counted, and a gap entry says how many.
//! - Sequence numbers have no gap and are never used twice.
//! - One process writes: the audit directory itself is locked, and one thread has the file.
//! - No text of a caller is in it: [`record`] has no place for one. The ids of a well-formed
//!   `traceparent` are the one thing that a caller chooses. Its name is the operator's for it.
//! - Calls that are refused because of who made them are counted, and not recorded one by one: no flood
//!   of them fills the log.
//!
//! # On the disk
//!
//! ```text
//! segment-00000000000000000001.jsonl one JSON object a line; the name is its first sequence number
//! bases/<sha256>.json               what decisions were based on, content-addressed
//! torn/                             what crashes left behind the last line feed
//! signing-key.pem, names-key        made on the first start, 0600
//! permit-keys/                      the keys of permits, no part of the log: see `crate::permit`
//! export-cursor.json                how far a receiver has acknowledged
//! ```
//!
//! A segment is a header, entries, and, once it is closed (64 MiB or a day), a signed checkpoint.
//! Every line has `prev`, the hash of the line before it across segments, and ends with `hash`, the
//! SHA-256 of its own bytes before `,"hash":`. Entries are numbered by `seq`; headers and
//! checkpoints are not.
//!
//! Limits: a line has at most 64 KiB; a batch at most [`writer::BATCH_MAX`] entries; at most
//! [`inbox::WAITING_MAX`] entries wait.
//!
//! In reading order: [`record`], [`chain`], `linked`, [`segment`], [`damage`], `pass`, `checker`, [`verify`]; [`private`], [`keys`], [`names`], [`closed`],
//! [`basis`], [`shelf`]; [`current`], [`log`], [`recovery`], [`queue`], [`inbox`], [`writer`],
//! [`trail`], [`refusals`]; [`replay`]. Deliberately absent: spans. They are a
//! projection of this log, made by `crate::export`.

pub mod basis;
pub mod chain;
mod checker;
pub mod closed;
pub mod current;
pub mod damage;
pub mod inbox;
pub mod keys;
mod linked;
pub mod log;
pub mod metrics;
pub mod names;
mod pass;
pub mod private;
pub mod queue;
pub mod record;
pub mod recovery;
pub mod refusals;
pub mod replay;
pub mod segment;
pub mod shelf;
pub mod trail;
pub mod verify;
mod words;
pub mod writer;

use std::{path::PathBuf, time::Duration};

pub use inbox::Refused;
pub use queue::TrailState;
pub use refusals::{RefusalKey, Refusals};
pub use trail::Trail;

/// The file that says how far a receiver has acknowledged, within the audit directory.
pub const CURSOR_FILE: &str = "export-cursor.json";

/// Who puts entries on the disk. No configuration file can say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CommitPath {
    /// Whatever is best at the moment; what a daemon does.
    #[default]
    Adaptive,
    /// Always the writer's thread: woken for each entry, and waking each that waits. For measurements.
    Writer,
    /// One of those who wait, on its own thread, for all who are ready. For measurements only: a disk that
    /// hangs holds up the runtime, and nobody is refused in time.
    Inline,
}

/// What the log needs to know.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// The audit directory.
    pub dir: PathBuf,
    /// From which size on a segment is closed, in bytes.
    pub segment_bytes: u64,
    /// From which age on a segment is closed.
    pub segment_age: Duration,
    /// How long a closed segment is kept at least; `None`: for ever.
    pub retention: Option<Duration>,
    /// How much of the file system is left free, in bytes.
    pub free_space_min: u64,
    /// The longest time that an answer waits for its record.
    pub patience: Duration,
    /// The file of the signing key, when it is not in the audit directory.
    pub signing_key: Option<PathBuf>,
    /// Who puts entries on the disk.
    pub commit_path: CommitPath,
}
