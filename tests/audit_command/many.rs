//! A log of 100,000 decisions: each of them is derived again, in bounded memory.

use std::{
    fs,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use admit_server::audit::record::Entry;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    admitd, audit,
    policy::{A, B},
    recording::{Asked, Loaded, Recording, folder, numbered, segments},
};

const COUNT: usize = 100_000;
/// How many decisions are on their way at once.
const CONCURRENT: usize = 4096;
/// Far below the size of the log, and far above what one line at a time needs.
const MEMORY_MAX: u64 = 64 * 1024 * 1024;
/// What a build without optimization needs on a slow machine, several times over.
const TIME_MAX: Duration = Duration::from_secs(120);

/// The most memory that a process has had, in bytes.
fn memory_max(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[test]
fn a_hundred_thousand_decisions_are_derived_again() {
    let folder = folder();
    let recording = Recording::in_dir(folder.path(), 32 * 1024 * 1024);
    let policies = [A.in_sot(), B.in_sot()].map(|policy| Loaded::of(&policy, recording.key()));
    // Decided once each and then recorded with ids of their own: allowed, denied, under two policies.
    let decisions: Vec<_> = (0..8)
        .map(|number| {
            let loaded = &policies[number / 4];
            let chosen = if number % 4 < 3 { A } else { B };
            let decision = Asked::now(numbered(chosen, number)).decided(Ok(loaded));
            (decision, Arc::clone(&loaded.basis))
        })
        .collect();
    recording.runtime.block_on(async {
        let mut recorded = JoinSet::new();
        for number in 0..COUNT {
            let (mut decision, basis) = decisions[number % decisions.len()].clone();
            decision.id = uuid::Uuid::now_v7().to_string();
            let trail = recording.trail.clone();
            recorded.spawn(async move {
                trail
                    .record(&Entry::Decision(Box::new(decision)), Some(basis))
                    .await
            });
            if recorded.len() >= CONCURRENT {
                recorded.join_next().await.unwrap().unwrap().unwrap();
            }
        }
        while let Some(receipt) = recorded.join_next().await {
            receipt.unwrap().unwrap();
        }
    });
    drop(recording);
    let size: u64 = segments(folder.path())
        .iter()
        .map(|path| fs::metadata(path).unwrap().len())
        .sum();
    assert!(size > MEMORY_MAX * 3 / 2, "{size} bytes are not much");

    let begun = Instant::now();
    let out = folder.path().join("out");
    let mut process = admitd(folder.path(), "replay", &["--json"])
        .stdout(fs::File::create(&out).unwrap())
        .spawn()
        .unwrap();
    let mut memory = 0;
    let status = loop {
        if let Some(status) = process.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < TIME_MAX, "it takes too long");
        memory = memory.max(memory_max(process.id()).unwrap_or(0));
        thread::sleep(Duration::from_millis(20));
    };
    let out = fs::read_to_string(&out).unwrap();
    assert_eq!(status.code(), Some(0), "{}", out.lines().next().unwrap());
    let done: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&done["decisions"], &done["same"]),
        (&json!(COUNT), &json!(COUNT))
    );
    assert!(memory > 0 && memory < MEMORY_MAX, "{memory} bytes");
    // The last entry is found without all that.
    let last = audit(folder.path(), "show", &["--json", "100000"]).exits(0);
    assert!(last.out.contains("\"seq\":100000,"));
}
