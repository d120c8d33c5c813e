//! The audit log in process: what damage it finds, what it recovers, how it rotates, who may write.
//!
//! Deliberately absent: the daemon around it (`crash.rs`, `faults.rs`) and what stands in the records
//! (`canary.rs`).

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

#[path = "trail/damage.rs"]
mod damage;
#[path = "trail/keeping.rs"]
mod keeping;
#[path = "trail/recording.rs"]
mod recording;
#[path = "trail/recovering.rs"]
mod recovering;
#[path = "trail/refusals.rs"]
mod refusals;
#[path = "trail/sequences.rs"]
mod sequences;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use admit_server::audit::{
    CommitPath, LogConfig,
    chain::Links,
    log::{Draft, Log, Receipt},
    record::{Cause, Entry, Gap},
    recovery::OpenError,
    segment,
    verify::{Damage, Known, Verified, VerifyError, verify},
};
use tempfile::TempDir;

/// A folder in memory where there is one: thousands of syncs are asked for here.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

/// A log that closes no segment by itself.
fn config(dir: &Path) -> LogConfig {
    LogConfig {
        dir: dir.to_owned(),
        segment_bytes: u64::MAX,
        segment_age: Duration::from_secs(24 * 60 * 60),
        retention: None,
        free_space_min: 0,
        patience: Duration::from_secs(10),
        signing_key: None,
        commit_path: CommitPath::Adaptive,
    }
}

fn open(config: LogConfig) -> Result<Log, OpenError> {
    Log::open(config)
}

/// The shortest entry, told from others by its number.
fn entry(number: u64) -> Entry {
    Entry::Gap(Gap {
        time: "2026-01-01T00:00:00Z".into(),
        refused: number,
        cause: Cause::Stalled,
    })
}

/// Appends one entry for each number, in one batch.
fn append(log: &mut Log, numbers: impl IntoIterator<Item = u64>) -> Vec<Receipt> {
    let drafts: Vec<Draft> = numbers
        .into_iter()
        .map(|number| Draft::of(&entry(number)))
        .collect();
    log.append(&drafts).unwrap()
}

/// The log in `dir`, checked without knowing anything of it.
fn verified(dir: &Path) -> Result<Verified, VerifyError> {
    verify(dir, &Known::default(), |_, _, _| {})
}

/// The log in `dir`, checked by who has these receipts.
fn verified_with(dir: &Path, receipts: &[Receipt]) -> Result<Verified, VerifyError> {
    let known = Known {
        hashes: hashes(receipts),
        keys: Vec::new(),
    };
    verify(dir, &known, |_, _, _| {})
}

fn hashes(receipts: &[Receipt]) -> BTreeMap<u64, String> {
    let pairs = receipts
        .iter()
        .map(|receipt| (receipt.seq, receipt.hash.clone()));
    pairs.collect()
}

/// Every line of an undamaged log.
fn entries(dir: &Path) -> Vec<(Links, Entry)> {
    let mut found = Vec::new();
    verify(dir, &Known::default(), |links, entry, _| {
        found.push((links.clone(), entry.clone()));
    })
    .unwrap();
    found
}

/// The damage that a check found.
fn damage<T: std::fmt::Debug>(result: Result<T, VerifyError>) -> Damage {
    match result {
        Err(VerifyError::Damage(damage)) => damage,
        Err(VerifyError::Read(_)) | Ok(_) => panic!("no damage, but {result:?}"),
    }
}

/// The damage that refused a start.
fn refusal(result: Result<Log, OpenError>) -> Damage {
    match result {
        Err(OpenError::Damaged { source, .. }) => source,
        Err(_) | Ok(_) => panic!("no refusal for a damage, but {result:?}"),
    }
}

/// The segments of the log in `dir`, the oldest first.
fn segments(dir: &Path) -> Vec<PathBuf> {
    let segments = segment::list(dir).unwrap();
    segments.into_iter().map(|segment| segment.path).collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// What lies in the folder of torn tails.
fn torn_files(dir: &Path) -> Vec<PathBuf> {
    let Ok(listed) = fs::read_dir(dir.join("torn")) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = listed.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
