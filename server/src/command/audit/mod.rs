//! `admitd audit`: the log, checked, shown, followed, derived again and sent again.
//!
//! Every command reads, one line at a time, while the daemon may be writing: a last line that no
//! line feed ends yet is no damage. Deliberately absent: any change of the log.

mod damage;
mod export;
mod find;
mod progress;
mod render;
mod replay;
mod show;
mod tail;
mod verify;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    audit::{
        keys::{KeyError, NAMES_KEY_FILE, NamesKey},
        segment::{self, SegmentFile},
        verify::{Damage, DamageKind, VerifyError},
    },
    config::{Config, ConfigError},
    export::{ExportConfig, SendError},
    store::scan::ScanError,
};

/// What can be done with the audit log.
#[derive(Debug, clap::Subcommand)]
pub enum Audit {
    /// Checks every line, every link and every signature of the log.
    ///
    /// Exit code 0: it is whole; 1: it is damaged, and the place is named; 2: it could not be checked.
    Verify(verify::Verify),
    /// Shows the last entries.
    Tail(tail::Tail),
    /// Shows everything about one entry, or about the entries of a run or a host.
    ///
    /// Exit code 0: there is one; 1: there is none; 2: the log could not be read.
    Show(show::Show),
    /// Derives every recorded decision and verdict on evidence again, or the decisions under edited
    /// documents.
    ///
    /// Exit code 0: every one is as recorded, and the edit would flip none; 1: one differs, cannot be
    /// derived or would be flipped, or the log is damaged; 2: it could not be done.
    Replay(replay::Replay),
    /// Sends entries to the configured receiver of spans again.
    ///
    /// Exit code 0: it took all of them; 1: it refused some for good, or there is none to send; 2: they
    /// could not be sent.
    Export(export::Export),
}

impl Audit {
    /// Whether the output is for programs, and has to be written as it is.
    #[must_use]
    pub fn is_json(&self) -> bool {
        match self {
            Self::Verify(verify) => verify.json,
            Self::Tail(tail) => tail.json,
            Self::Show(show) => show.json,
            Self::Replay(replay) => replay.json,
            Self::Export(export) => export.json,
        }
    }
}

/// What a command found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What was hoped for.
    Good,
    /// Something that somebody has to look at.
    Bad,
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The configuration cannot be used.
    #[error("the configuration cannot be used")]
    Config(#[from] ConfigError),
    /// There is nothing that could be read.
    #[error("there is no audit log in `{}`", dir.display())]
    NoLog {
        /// The audit directory.
        dir: PathBuf,
    },
    /// The log cannot be read.
    #[error("the audit log in `{}` cannot be read", dir.display())]
    Unreadable {
        /// The audit directory.
        dir: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The log was written by a later version.
    #[error(
        "the log has version {0}, which this admitd does not read; take the admitd that wrote it"
    )]
    Version(u32),
    /// The key of the names cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key of the names is needed and not there.
    #[error("there is no `{NAMES_KEY_FILE}` in `{}`, and names cannot be compared without it", dir.display())]
    NoKey {
        /// The audit directory.
        dir: PathBuf,
    },
    /// The edited documents cannot be read.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The edited documents have a time that cannot be kept.
    #[error("a time in the edited documents cannot be kept")]
    Edited,
    /// Two of `--known` state different hashes.
    #[error("`--known` states two hashes for entry {0}")]
    KnownTwice(u64),
    /// No receiver is configured.
    #[error("the configuration has no `export.endpoint`, so there is nobody to send to")]
    NoReceiver,
    /// Sending again failed.
    #[error("the entries could not be sent")]
    Export(#[from] SendError),
    /// What was found cannot be written.
    #[error("the output cannot be written")]
    Write(#[from] io::Error),
}

/// Where the log is.
#[derive(Debug, clap::Args)]
struct Place {
    /// The configuration file that names the audit directory. Without it the built-in one is in force.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The audit directory, in place of the configured one.
    #[arg(long, value_name = "DIR")]
    audit_dir: Option<PathBuf>,
}

/// A log that is there, with its segments, the oldest first.
#[derive(Debug)]
struct Log {
    dir: PathBuf,
    segments: Vec<SegmentFile>,
}

impl Place {
    fn dir(&self) -> Result<PathBuf, AuditError> {
        match &self.audit_dir {
            Some(dir) => Ok(dir.clone()),
            None => Ok(Config::load(self.config.as_deref())?.audit.dir),
        }
    }

    fn receiver(&self) -> Result<ExportConfig, AuditError> {
        let config = Config::load(self.config.as_deref())?;
        config.export.ok_or(AuditError::NoReceiver)
    }

    fn log(&self) -> Result<Log, AuditError> {
        let log = self.log_or_none()?;
        if log.segments.is_empty() {
            return Err(AuditError::NoLog { dir: log.dir });
        }
        Ok(log)
    }

    /// The same, be it without a segment.
    fn log_or_none(&self) -> Result<Log, AuditError> {
        let dir = self.dir()?;
        let segments = segment::list(&dir).map_err(unreadable(&dir))?;
        Ok(Log { dir, segments })
    }
}

impl Log {
    /// The size of all segments, in bytes. One that was retired in the meantime has none.
    fn bytes(&self) -> u64 {
        let sizes = self.segments.iter().map(size);
        sizes.fold(0, u64::saturating_add)
    }

    fn key(&self) -> Result<Option<NamesKey>, AuditError> {
        Ok(NamesKey::load(&self.dir.join(NAMES_KEY_FILE))?)
    }

    fn needed_key(&self) -> Result<NamesKey, AuditError> {
        let dir = self.dir.clone();
        self.key()?.ok_or(AuditError::NoKey { dir })
    }

    fn unreadable(&self) -> impl Fn(io::Error) -> AuditError {
        unreadable(&self.dir)
    }

    /// Why the check of this log did not end, unless it is for a damage.
    fn not_verified(&self, error: VerifyError) -> Result<Damage, AuditError> {
        match error {
            VerifyError::Damage(damage) => {
                if let DamageKind::Version(version) = damage.kind {
                    Err(AuditError::Version(version))
                } else {
                    Ok(damage)
                }
            }
            VerifyError::Read(source) => Err(self.unreadable()(source)),
        }
    }
}

fn size(segment: &SegmentFile) -> u64 {
    std::fs::metadata(&segment.path).map_or(0, |metadata| metadata.len())
}

fn unreadable(dir: &Path) -> impl Fn(io::Error) -> AuditError {
    let dir = dir.to_path_buf();
    move |source| AuditError::Unreadable {
        dir: dir.clone(),
        source,
    }
}

/// Runs the command; its findings go to `to`.
///
/// # Errors
///
/// When it could not do its work.
pub fn run(command: &Audit, to: &mut impl Write) -> Result<Outcome, AuditError> {
    let outcome = match command {
        Audit::Verify(verify) => verify.run(to),
        Audit::Tail(tail) => tail.run(to),
        Audit::Show(show) => show.run(to),
        Audit::Replay(replay) => replay.run(to),
        Audit::Export(export) => export.run(to),
    }?;
    to.flush()?;
    Ok(outcome)
}

/// Prints `value` on one line, as JSON.
fn json_line(to: &mut impl Write, value: &impl Serialize) -> Result<(), AuditError> {
    let text = serde_json::to_string(value).map_err(io::Error::other)?;
    writeln!(to, "{text}")?;
    Ok(())
}
