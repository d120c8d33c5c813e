//! Many record at once: every receipt is one entry's own, and none is given twice.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use admit_server::audit::{
    CommitPath, LogConfig, Refused, Trail,
    metrics::TrailMetrics,
    record::{Cause, Entry},
    writer::TrailWriter,
};
use prometheus_client::registry::Registry;
use tokio::task::JoinSet;

use super::{config, entries, entry, folder, verified, verified_with};

const TASKS: u64 = 48;
const ENTRIES_EACH: u64 = 40;
/// Those that are measured beside the one that a daemon takes have to keep every promise but patience.
const COMMIT_PATHS: [CommitPath; 3] =
    [CommitPath::Adaptive, CommitPath::Writer, CommitPath::Inline];
/// Longest time that a test waits for one event.
const PATIENCE: Duration = Duration::from_secs(20);

fn trail(config: LogConfig) -> (Trail, TrailWriter) {
    Trail::open(config, TrailMetrics::register(&mut Registry::default())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_of_many_are_unique_and_consecutive() {
    for commit_path in COMMIT_PATHS {
        check_receipts_of_many(commit_path).await;
    }
}

#[tokio::test]
async fn receipts_of_many_are_so_on_one_thread_too() {
    for commit_path in COMMIT_PATHS {
        check_receipts_of_many(commit_path).await;
    }
}

async fn check_receipts_of_many(commit_path: CommitPath) {
    let folder = folder();
    let mut config = config(folder.path());
    config.segment_bytes = 64 * 1024;
    config.commit_path = commit_path;
    let (trail, writer) = trail(config);
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let trail = trail.clone();
        tasks.spawn(async move {
            let mut receipts = Vec::new();
            for at in 0..ENTRIES_EACH {
                let number = task * ENTRIES_EACH + at;
                let receipt = trail.record(&entry(number), None).await.unwrap();
                receipts.push((number, receipt));
            }
            receipts
        });
    }
    let given = tasks.join_all().await.concat();
    assert_eq!(trail.metrics().appended.get(), TASKS * ENTRIES_EACH);
    assert_eq!(trail.metrics().refused.get(), 0);
    let head = trail.follow().borrow().head.clone();
    drop(trail);
    drop(writer);

    let receipts: Vec<_> = given.iter().map(|(_, receipt)| receipt.clone()).collect();
    let verified = verified_with(folder.path(), &receipts).unwrap();
    assert_eq!(verified.head.seq, TASKS * ENTRIES_EACH);
    assert_eq!(head.seq, verified.head.seq);
    assert!(verified.segments > 1, "{verified:?}");
    let mut seqs: Vec<u64> = receipts.iter().map(|receipt| receipt.seq).collect();
    seqs.sort_unstable();
    assert!(seqs.into_iter().eq(1..=TASKS * ENTRIES_EACH));
    // Each receipt belongs to the entry that it was given for.
    let recorded: BTreeMap<u64, u64> = entries(folder.path())
        .into_iter()
        .filter_map(|(links, entry)| {
            let Entry::Gap(gap) = entry else { return None };
            Some((links.seq.unwrap(), gap.refused))
        })
        .collect();
    for (number, receipt) in &given {
        assert_eq!(recorded.get(&receipt.seq), Some(number));
    }
}

#[tokio::test]
async fn what_is_recorded_is_on_the_disk_before_its_receipt() {
    let folder = folder();
    let (trail, _writer) = trail(config(folder.path()));
    let mut receipts = Vec::new();
    for number in 0..50 {
        receipts.push(trail.record(&entry(number), None).await.unwrap());
        // Another process reads along.
        let verified = verified_with(folder.path(), &receipts).unwrap();
        assert_eq!(verified.head.seq, number + 1);
    }
}

#[tokio::test]
async fn who_goes_away_leaves_no_gap_in_the_numbers() {
    for commit_path in COMMIT_PATHS {
        check_going_away(commit_path).await;
    }
}

async fn check_going_away(commit_path: CommitPath) {
    let folder = folder();
    let mut config = config(folder.path());
    config.commit_path = commit_path;
    let (trail, writer) = trail(config);
    let trail = Arc::new(trail);
    let mut receipts = Vec::new();
    for round in 0..200 {
        let gone = {
            let trail = Arc::clone(&trail);
            tokio::spawn(async move { trail.record(&entry(1000), None).await.map(drop) })
        };
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
        gone.abort();
        receipts.push(trail.record(&entry(round), None).await.unwrap());
    }
    drop(trail);
    drop(writer);
    let verified = verified_with(folder.path(), &receipts).unwrap();
    let asked = u64::try_from(receipts.len()).unwrap();
    assert!(verified.entries >= asked && verified.entries <= 2 * asked);
    let seqs = entries(folder.path());
    let seqs = seqs.iter().filter_map(|(links, _)| links.seq);
    assert!(seqs.eq(1..=verified.head.seq));
}

#[tokio::test]
async fn what_is_refused_is_counted_exactly() {
    let folder = folder();
    let audit = folder.path().join("audit");
    let aside = folder.path().join("aside");
    let (trail, writer) = trail(config(&audit));
    trail.record(&entry(0), None).await.unwrap();
    std::fs::rename(&audit, &aside).unwrap();
    let mut refused = 0;
    while refused < 20 {
        match trail.record(&entry(1), None).await {
            Err(Refused(Cause::FileReplaced | Cause::CreateFailed)) => refused += 1,
            recorded => panic!("not refused as it should be: {recorded:?}"),
        }
    }
    let mut state = trail.follow();
    assert!(state.borrow().unwritable.is_some());
    std::fs::rename(&aside, &audit).unwrap();
    let writable = state.wait_for(|state| state.unwritable.is_none());
    drop(
        tokio::time::timeout(PATIENCE, writable)
            .await
            .unwrap()
            .unwrap(),
    );
    trail.record(&entry(2), None).await.unwrap();
    assert_eq!(trail.metrics().refused.get(), refused);
    drop(trail);
    drop(writer);
    let gaps: Vec<(u64, Cause)> = entries(&audit)
        .into_iter()
        .filter_map(|(_, entry)| {
            let Entry::Gap(gap) = entry else { return None };
            Some((gap.refused, gap.cause))
        })
        .collect();
    let [(0, Cause::Stalled), (counted, cause), (2, Cause::Stalled)] = gaps.as_slice() else {
        panic!("not one gap between the two entries: {gaps:?}");
    };
    assert_eq!(*counted, refused);
    assert_ne!(*cause, Cause::Stalled);
    assert_eq!(verified(&audit).unwrap().entries, 3);
}
