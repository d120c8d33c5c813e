//! Opening the log: the lock, the check of its last segment, and what a crash left behind.
//!
//! A torn tail (what stands behind the last line feed of the last segment) is saved aside, cut off
//! and noted in the log. Any other damage refuses the start and says where it is. The segments before
//! the last one are `admitd audit verify`'s to check; here they are bound by the first link of the
//! last one. Deliberately absent: any repair of an entry.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use admit_policy::{Digest, Timestamp};
use rustix::fs::Advice;

use super::{
    CURSOR_FILE, LogConfig,
    basis::BASES_FOLDER,
    chain::{self, GENESIS, LINE_BYTES_MAX},
    current::{Current, Unwritable, unwritable},
    keys::{KeyError, NAMES_KEY_FILE, NamesKey, SIGNING_KEY_FILE, SigningKey},
    log::{Draft, Log},
    pass::{Content, Passed, pass},
    private::{make_dir, make_folder, replace, sync_folder},
    record::{Cause, Entry, Recovered, Segment},
    segment::{self, SegmentFile},
    verify::{Checker, Damage, DamageKind, Head, VerifyError, torn},
};
use crate::clock;

/// What ends the name of a torn tail that no entry names yet.
const PENDING: &str = "pending";
/// The folder of torn tails that were set aside.
const TORN_FOLDER: &str = "torn";
/// Write access for others than the owner.
const OTHERS_WRITE_MODE: u32 = 0o022;

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be used.
    #[error("the audit directory `{}` cannot be used", dir.display())]
    Directory {
        /// The audit directory.
        dir: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process writes this log.
    #[error("another process writes the audit log in `{}`", dir.display())]
    InUse {
        /// The audit directory.
        dir: PathBuf,
    },
    /// The log is damaged, and not by a crash.
    #[error("the audit log in `{}` is damaged; keep it, see `admitd audit verify`, and start with another directory", dir.display())]
    Damaged {
        /// The audit directory.
        dir: PathBuf,
        /// Where, and how.
        source: Damage,
    },
    /// There is no segment, and there has been one.
    #[error("the audit log in `{}` has lost its segments; keep the rest, and start with another directory", dir.display())]
    SegmentsMissing {
        /// The audit directory.
        dir: PathBuf,
    },
    /// Others may write the directory.
    #[error("the audit directory `{}` may be written by others than its owner; `chmod go-w` it", dir.display())]
    OpenToOthers {
        /// The audit directory.
        dir: PathBuf,
    },
    /// A key is not to be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Nothing can be written.
    #[error(transparent)]
    Unwritable(#[from] Unwritable),
}

/// What the last segment was found to be.
struct Found {
    stream_id: String,
    head: Head,
    /// The segment to go on with; `None` when it is closed.
    current: Option<Current>,
    /// Its header and the hash that it follows, where it is not closed.
    header: Option<(Segment, String)>,
}

impl Log {
    /// Opens the log in the configured directory, or begins one there.
    ///
    /// # Errors
    ///
    /// When the directory or a key cannot be used, another process has the log, it is damaged, or
    /// nothing can be written.
    pub fn open(config: LogConfig) -> Result<Self, OpenError> {
        let dir = config.dir.clone();
        let directory = |source| OpenError::Directory {
            dir: dir.clone(),
            source,
        };
        make_dir(&dir).map_err(directory)?;
        let lock = lock(&dir)?;
        let key = match &config.signing_key {
            // A path that is mistyped must not become a key that nobody trusts.
            Some(path) => SigningKey::load(path)?,
            None => SigningKey::load_or_make(&dir.join(SIGNING_KEY_FILE))?,
        };
        let names_key = NamesKey::load_or_make(&dir.join(NAMES_KEY_FILE))?;
        let segments = segment::list(&dir).map_err(directory)?;
        let found = match segments.split_last() {
            None if has_traces(&dir) => {
                return Err(OpenError::SegmentsMissing { dir: dir.clone() });
            }
            None => Found {
                stream_id: uuid::Uuid::now_v7().hyphenated().to_string(),
                head: Head {
                    seq: 0,
                    hash: GENESIS.to_owned(),
                },
                current: None,
                header: None,
            },
            Some((last, before)) => last_segment(&dir, last, before.last())?,
        };
        let mut log = Self {
            config,
            key,
            names_key,
            stream_id: found.stream_id,
            head: found.head,
            current: found.current,
            retired_seq: None,
            lock,
        };
        if log.current.is_none() {
            log.open_next()?;
        }
        if let Some((header, prev)) = found.header {
            log.change_keys(&header, prev)?;
        }
        log.note_torn().map_err(directory)??;
        Ok(log)
    }
}

impl Log {
    /// Goes on under a header of the present keys, if the present header has others.
    fn change_keys(&mut self, header: &Segment, prev: String) -> Result<(), Unwritable> {
        if header.key == self.key.public() && header.names_key == self.names_key.identity() {
            return Ok(());
        }
        let Some(current) = &self.current else {
            return Ok(());
        };
        if current.has_entry {
            return self.rotate();
        }
        // Nothing is in it but the header.
        fs::remove_file(&current.segment.path).map_err(unwritable(Cause::CreateFailed))?;
        self.head.hash = prev;
        self.current = None;
        self.open_next()
    }

    /// Notes every torn tail that was set aside and is named by no entry yet.
    fn note_torn(&mut self) -> io::Result<Result<(), Unwritable>> {
        let folder = self.config.dir.join(TORN_FOLDER);
        if !folder.try_exists()? {
            return Ok(Ok(()));
        }
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path
                .extension()
                .is_none_or(|extension| extension != PENDING)
            {
                continue;
            }
            let tail = fs::read(&path)?;
            let torn_bytes = u64::try_from(tail.len()).unwrap_or(u64::MAX);
            tracing::warn!(torn_bytes, "a torn tail of the audit log was set aside");
            let recovered = Entry::Recovered(Recovered {
                time: clock::text(),
                torn_bytes,
                torn_digest: Digest::of(&tail).to_string(),
            });
            if let Err(error) = self.append(&[Draft::of(&recovered)]) {
                return Ok(Err(error));
            }
            fs::rename(&path, path.with_extension(""))?;
            sync_folder(&path)?;
        }
        Ok(Ok(()))
    }
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let directory = |source| OpenError::Directory {
        dir: dir.into(),
        source,
    };
    let file = File::open(dir).map_err(directory)?;
    let metadata = file.metadata().map_err(directory)?;
    if metadata.permissions().mode() & OTHERS_WRITE_MODE != 0 {
        return Err(OpenError::OpenToOthers { dir: dir.into() });
    }
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { dir: dir.into() }),
        Err(TryLockError::Error(source)) => Err(directory(source)),
    }
}

/// Checks the last segment, sets a torn tail aside, and opens it for what follows.
fn last_segment(
    dir: &Path,
    segment: &SegmentFile,
    before: Option<&SegmentFile>,
) -> Result<Found, OpenError> {
    let directory = |source| OpenError::Directory {
        dir: dir.into(),
        source,
    };
    let damaged = |source| OpenError::Damaged {
        dir: dir.into(),
        source,
    };
    // What a killed process left in the memory of the system is on the disk before it counts.
    make_durable(segment).map_err(directory)?;
    let mut checker = Checker::new();
    checker.begin_segment();
    let mut lines = LastLines {
        checker: &mut checker,
        before,
        segment,
        number: 0,
        end: 0,
        has_entry: false,
        torn_at: None,
        header_prev: String::new(),
    };
    pass(
        |_| (),
        |pass| pass.segment(segment, |line| lines.check(line)),
    )
    .map_err(|error| match error {
        VerifyError::Damage(source) => damaged(source),
        VerifyError::Read(source) => directory(source),
    })?;
    let LastLines {
        end,
        has_entry,
        torn_at,
        header_prev,
        ..
    } = lines;
    if checker.header().is_none() {
        // A segment gets its name only when its header is synced.
        return Err(damaged(Damage::whole(segment, DamageKind::NoHeader)));
    }
    if let Some(offset) = torn_at {
        set_aside(dir, segment, offset).map_err(directory)?;
    }
    let synced = torn_at.unwrap_or(end);
    let current = if checker.is_closed() {
        None
    } else {
        let opened = opened(checker.header());
        let current = Current::open(segment.clone(), synced, opened, has_entry);
        Some(current.map_err(directory)?)
    };
    Ok(Found {
        stream_id: checker.stream_id().to_owned(),
        head: checker.head().clone(),
        header: checker
            .header()
            .filter(|_| current.is_some())
            .map(|header| (header.clone(), header_prev)),
        current,
    })
}

/// The lines of the last segment, and what they come to.
struct LastLines<'a> {
    checker: &'a mut Checker,
    /// The segment before it.
    before: Option<&'a SegmentFile>,
    segment: &'a SegmentFile,
    /// The number of the last line, from 1.
    number: u64,
    /// The end of the last line that is ended.
    end: u64,
    has_entry: bool,
    torn_at: Option<u64>,
    /// The hash that the header follows.
    header_prev: String,
}

impl LastLines<'_> {
    fn check(&mut self, line: &Passed<()>) -> Result<(), VerifyError> {
        let segment = self.segment;
        self.number = self.number.saturating_add(1);
        let number = self.number;
        let damaged = |kind| Damage::at(segment, number, line.offset, kind);
        let links = match &line.content {
            Content::Whole(links, entry, ()) => {
                let checked = self.checker.line(segment, Ok((links, entry)));
                checked.map_err(damaged)?;
                links
            }
            Content::Faulty(fault) => {
                let checked = self.checker.line(segment, Err(*fault));
                return Ok(checked.map_err(damaged)?);
            }
            Content::Unended(bytes) => {
                torn(bytes, true).map_err(damaged)?;
                self.torn_at = Some(line.offset);
                return Ok(());
            }
        };
        if number == 1 {
            self.header_prev.clone_from(&links.prev);
            follows(self.before, &links.prev, segment)??;
        }
        self.has_entry |= links.seq.is_some();
        self.end = line.end;
        Ok(())
    }
}

/// Whether something in the directory says that there was a segment.
fn has_traces(dir: &Path) -> bool {
    [BASES_FOLDER, TORN_FOLDER, CURSOR_FILE]
        .iter()
        .any(|trace| dir.join(trace).exists())
}

/// Syncs the segment, and has it read from the disk.
fn make_durable(segment: &SegmentFile) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(&segment.path)?;
    file.sync_all()?;
    // Where the system knows no such advice, its memory is believed.
    let _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
    Ok(())
}

/// When a segment with this header was opened, by this process's clock.
fn opened(header: Option<&Segment>) -> Instant {
    let seconds = |at: Timestamp| at.unix().0;
    let age = header
        .and_then(|header| Timestamp::parse(&header.time))
        .zip(clock::now())
        .and_then(|(then, now)| u64::try_from(seconds(now).saturating_sub(seconds(then))).ok());
    let now = Instant::now();
    now.checked_sub(Duration::from_secs(age.unwrap_or(0)))
        .unwrap_or(now)
}

/// Whether the segment after `before` begins with the hash of its last line. Without a segment
/// before it, it may be the first one, or what retention left.
fn follows(
    before: Option<&SegmentFile>,
    prev: &str,
    segment: &SegmentFile,
) -> io::Result<Result<(), Damage>> {
    let Some(before) = before else {
        return Ok(if segment.first_seq > 1 || prev == GENESIS {
            Ok(())
        } else {
            Err(Damage::whole(segment, DamageKind::NotNext))
        });
    };
    let mut file = File::open(&before.path)?;
    let length = file.metadata()?.len();
    // The last line and the line feed before it.
    let reach = u64::try_from(LINE_BYTES_MAX)
        .unwrap_or(u64::MAX)
        .saturating_add(2);
    file.seek(SeekFrom::Start(length.saturating_sub(reach)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let last = tail
        .strip_suffix(b"\n")
        .and_then(|tail| tail.rsplit(|byte| *byte == b'\n').next());
    let links = last.and_then(|line| Some((line, chain::check(line).ok()?)));
    Ok(match links {
        None => Err(Damage::whole(before, DamageKind::CutOff)),
        Some((_, links)) if links.hash != prev => Err(Damage::whole(segment, DamageKind::NotNext)),
        Some((line, _)) => match serde_json::from_slice(line) {
            Ok(Entry::Checkpoint(_)) => Ok(()),
            Ok(_) | Err(_) => Err(Damage::whole(before, DamageKind::NotClosed)),
        },
    })
}

/// Saves what stands behind `offset` in a file of its own, and cuts it off.
fn set_aside(dir: &Path, segment: &SegmentFile, offset: u64) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&segment.path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let folder = dir.join(TORN_FOLDER);
    make_folder(&folder)?;
    let digest = Digest::of(&tail);
    let aside = folder.join(format!("{}.{offset}.{digest}.{PENDING}", segment.name()));
    replace(&aside, &tail)?;
    file.set_len(offset)?;
    file.sync_all()
}
