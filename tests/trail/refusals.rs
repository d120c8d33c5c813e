//! Refused calls in a real log: counted exactly, whatever becomes of the log, and few entries of them.

use std::{path::Path, sync::Arc, time::Duration};

use admit_server::{
    audit::{
        Refused, Trail,
        metrics::TrailMetrics,
        record::{Cause, Entry, Refusal},
        refusals::{REFUSAL_INTERVAL, RefusalKey, Refusals},
        writer::TrailWriter,
    },
    caller::{RefusalCause, Rpc, Via},
};
use prometheus_client::registry::Registry;
use tokio::{sync::oneshot, task::JoinSet, time::timeout};

use super::{config, entries, entry, folder, verified};

/// Longest time that a test waits for one event.
const PATIENCE: Duration = Duration::from_secs(20);
const TASKS: u64 = 8;
const CALLS_EACH: u64 = 5000;

fn trail(dir: &Path) -> (Trail, TrailWriter) {
    let metrics = TrailMetrics::register(&mut Registry::default());
    Trail::open(config(dir), metrics).unwrap()
}

fn key(caller: Option<&str>) -> RefusalKey {
    RefusalKey {
        caller: caller.map(Into::into),
        via: Via::Plaintext,
        rpc: Some(Rpc::WatchPolicy),
        cause: RefusalCause::RpcNotGranted,
    }
}

/// Every entry about refused calls.
fn refused(dir: &Path) -> Vec<Refusal> {
    let all = entries(dir).into_iter();
    all.filter_map(|(_, entry)| match entry {
        Entry::Refused(refusal) => Some(refusal),
        Entry::Segment(_)
        | Entry::Decision(_)
        | Entry::Evidence(_)
        | Entry::Gap(_)
        | Entry::Recovered(_)
        | Entry::Rejected(_)
        | Entry::Retired(_)
        | Entry::Checkpoint(_) => None,
    })
    .collect()
}

fn sum(refused: &[Refusal]) -> u64 {
    refused.iter().map(|refusal| refusal.count).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_counted_exactly_in_few_entries() {
    let folder = folder();
    let (trail, writer) = trail(folder.path());
    let refusals = Refusals::default();
    let (stop, stopped) = oneshot::channel::<()>();
    let begun = std::time::Instant::now();
    let following = tokio::spawn(refusals.clone().follow(trail.clone(), async {
        stopped.await.unwrap();
    }));
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (refusals, trail) = (refusals.clone(), trail.clone());
        tasks.spawn(async move {
            for number in 0..CALLS_EACH {
                refusals.count(key(Some("ci-runner")));
                if number % 500 == 0 {
                    // Decisions go on meanwhile.
                    trail.record(&entry(number), None).await.unwrap();
                }
            }
        });
    }
    tasks.join_all().await;
    stop.send(()).unwrap();
    timeout(PATIENCE, following).await.unwrap().unwrap();
    let intervals = begun.elapsed().as_secs() / REFUSAL_INTERVAL.as_secs();
    drop(trail);
    drop(writer);
    let refused = refused(folder.path());
    assert_eq!(sum(&refused), TASKS * CALLS_EACH);
    // The first, the rest, and one for each interval in between.
    let most = usize::try_from(intervals).unwrap() + 2;
    assert!(refused.len() <= most, "{refused:?}");
    for refusal in &refused {
        assert_eq!(refusal.caller.as_deref(), Some("ci-runner"));
    }
    let decided = TASKS * CALLS_EACH / 500;
    let count = u64::try_from(refused.len()).unwrap();
    assert_eq!(verified(folder.path()).unwrap().entries, decided + count);
}

#[tokio::test]
async fn what_a_log_that_is_away_does_not_take_is_in_it_later() {
    let folder = folder();
    let audit = folder.path().join("audit");
    let aside = folder.path().join("aside");
    let (trail, writer) = trail(&audit);
    let refusals = Refusals::default();
    refusals.count(key(None));
    refusals.flush(&trail).await.unwrap();
    std::fs::rename(&audit, &aside).unwrap();
    for _ in 0..20 {
        refusals.count(key(None));
        match refusals.flush(&trail).await {
            Err(Refused(Cause::FileReplaced | Cause::CreateFailed)) => {}
            flushed => panic!("not refused as it should be: {flushed:?}"),
        }
    }
    std::fs::rename(&aside, &audit).unwrap();
    let mut state = trail.follow();
    let writable = state.wait_for(|state| state.unwritable.is_none());
    drop(timeout(PATIENCE, writable).await.unwrap().unwrap());
    refusals.count(key(None));
    refusals.flush(&trail).await.unwrap();
    refusals.flush(&trail).await.unwrap();
    // They were refused because of who called: nobody was refused for want of a log.
    assert_eq!(trail.metrics().refused.get(), 0);
    drop(trail);
    drop(writer);
    let counts: Vec<u64> = refused(&audit).iter().map(|entry| entry.count).collect();
    assert_eq!(counts, [1, 21]);
    assert_eq!(verified(&audit).unwrap().entries, 2);
}

#[tokio::test]
async fn the_first_refusal_is_in_the_log_before_anything_ends() {
    let folder = folder();
    let (trail, writer) = trail(folder.path());
    let refusals = Refusals::default();
    let following = tokio::spawn(
        refusals
            .clone()
            .follow(trail.clone(), std::future::pending()),
    );
    let caller: Arc<str> = "ci-runner".into();
    for seq in 1..=3 {
        refusals.count(RefusalKey {
            caller: (seq > 1).then(|| Arc::clone(&caller)),
            rpc: Rpc::ALL.get(usize::try_from(seq).unwrap()).copied(),
            ..key(None)
        });
        let mut state = trail.follow();
        let written = state.wait_for(|state| state.head.seq == seq);
        drop(timeout(PATIENCE, written).await.unwrap().unwrap());
    }
    following.abort();
    drop(following.await);
    drop(trail);
    drop(writer);
    let refused = refused(folder.path());
    assert_eq!(refused.len(), 3);
    assert_eq!(sum(&refused), 3);
}
