//! The counting of refused calls, on a clock that stands still while anything can be done: so it is known
//! when an entry is written, and that none is lost or written twice.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::{
    sync::{RwLock, oneshot},
    task::JoinHandle,
    time::timeout,
};

use super::*;
use crate::audit::record::Cause;

/// A log in memory.
#[derive(Default)]
struct Kept {
    entries: Mutex<Vec<Refusal>>,
    is_failing: AtomicBool,
    attempts: AtomicUsize,
    /// How many entries wait to be kept.
    waiting: AtomicUsize,
    /// Whoever holds it lets no entry be kept.
    hold: RwLock<()>,
}

impl Notes for Kept {
    async fn note(&self, entry: &Entry) -> Result<(), Refused> {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        assert_eq!(self.waiting.fetch_add(1, Ordering::Relaxed), 0);
        drop(self.hold.read().await);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        if self.is_failing.load(Ordering::Relaxed) {
            return Err(Refused(Cause::NoSpace));
        }
        let Entry::Refused(refusal) = entry else {
            panic!("{entry:?}");
        };
        self.entries.lock().unwrap().push(refusal.clone());
        Ok(())
    }
}

impl Kept {
    fn counts(&self) -> Vec<u64> {
        let entries = self.entries.lock().unwrap();
        entries.iter().map(|entry| entry.count).collect()
    }

    fn attempts(&self) -> usize {
        self.attempts.load(Ordering::Relaxed)
    }
}

fn key(caller: Option<&str>) -> RefusalKey {
    RefusalKey {
        caller: caller.map(Into::into),
        via: Via::Tls,
        rpc: Some(Rpc::Admit),
        cause: RefusalCause::HostNotGranted,
    }
}

/// Refusals that are recorded in a log in memory.
struct Recorded {
    refusals: Refusals,
    log: Arc<Kept>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Recorded {
    fn start() -> Self {
        let refusals = Refusals::default();
        let log = Arc::new(Kept::default());
        let (stop, stopped) = oneshot::channel();
        let recording = (refusals.clone(), Arc::clone(&log));
        let task = tokio::spawn(async move {
            let (refusals, log) = recording;
            let stopped = async { stopped.await.unwrap() };
            refusals.record_in(&*log, stopped).await;
        });
        Self {
            refusals,
            log,
            stop,
            task,
        }
    }

    fn count(&self, times: u64) {
        for _ in 0..times {
            self.refusals.count(key(Some("ci-runner")));
        }
    }

    /// The counts of all entries in the end.
    async fn stopped(self) -> Vec<u64> {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
        self.log.counts()
    }
}

/// Lets this time pass. The clock stands still until nothing else can be done.
async fn pass(time: Duration) {
    sleep(time).await;
}

const MOMENT: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn the_first_is_recorded_at_once_and_a_flood_in_one_entry_an_interval() {
    let recorded = Recorded::start();
    recorded.count(1);
    pass(MOMENT).await;
    assert_eq!(recorded.log.counts(), [1]);
    for second in 1..10 {
        recorded.count(100_000);
        pass(Duration::from_secs(1)).await;
        assert_eq!(recorded.log.counts(), [1], "after {second} s");
    }
    pass(Duration::from_secs(1)).await;
    assert_eq!(recorded.log.counts(), [1, 900_000]);
    recorded.count(5);
    pass(REFUSAL_INTERVAL - 2 * MOMENT).await;
    assert_eq!(recorded.log.counts(), [1, 900_000]);
    pass(2 * MOMENT).await;
    assert_eq!(recorded.log.counts(), [1, 900_000, 5]);
    // After a quiet time the first is recorded at once again, and the rest at the end.
    pass(2 * REFUSAL_INTERVAL).await;
    recorded.count(1);
    pass(MOMENT).await;
    recorded.count(7);
    assert_eq!(recorded.log.counts(), [1, 900_000, 5, 1]);
    assert_eq!(recorded.stopped().await, [1, 900_000, 5, 1, 7]);
}

#[tokio::test(start_paused = true)]
async fn one_key_brings_up_no_entry_of_another() {
    let recorded = Recorded::start();
    recorded.count(1);
    pass(MOMENT).await;
    for round in 1..=20 {
        recorded.count(3);
        recorded.refusals.count(key(Some(&format!("c-{round}"))));
        pass(MOMENT).await;
        assert_eq!(recorded.log.counts().len(), 1 + round);
    }
    assert_eq!(recorded.log.counts(), [1; 21]);
    pass(REFUSAL_INTERVAL).await;
    assert_eq!(recorded.log.counts().last(), Some(&60));
    assert_eq!(recorded.stopped().await.len(), 22);
}

#[tokio::test(start_paused = true)]
async fn every_part_of_a_key_is_counted_apart_and_stands_in_its_entry() {
    let recorded = Recorded::start();
    let mut keys = vec![key(None), key(Some("ci-runner")), key(Some("gone"))];
    keys.extend(Via::ALL.map(|via| RefusalKey { via, ..key(None) }));
    let rpcs = Rpc::ALL.into_iter().map(Some).chain([None]);
    keys.extend(rpcs.map(|rpc| RefusalKey { rpc, ..key(None) }));
    keys.extend(RefusalCause::ALL.map(|cause| RefusalKey { cause, ..key(None) }));
    keys.sort();
    keys.dedup();
    for (at, key) in keys.iter().enumerate() {
        for _ in 0..=at {
            recorded.refusals.count(key.clone());
        }
    }
    pass(MOMENT).await;
    let log = Arc::clone(&recorded.log);
    recorded.stopped().await;
    let entries = log.entries.lock().unwrap();
    assert_eq!(entries.len(), keys.len());
    for (at, (entry, key)) in entries.iter().zip(&keys).enumerate() {
        let expected = Refusal {
            since: entry.since.clone(),
            until: entry.until.clone(),
            caller: key.caller.as_deref().map(Into::into),
            via: key.via.into(),
            rpc: key.rpc.map(Into::into),
            cause: key.cause.into(),
            count: u64::try_from(at).unwrap() + 1,
        };
        assert_eq!(*entry, expected);
        let [since, until] = [&entry.since, &entry.until].map(|time| Timestamp::parse(time));
        assert!(since.is_some() && since <= until, "{entry:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_log_does_not_take_is_recorded_later() {
    let recorded = Recorded::start();
    recorded.log.is_failing.store(true, Ordering::Relaxed);
    for _ in 0..60 {
        recorded.count(10);
        pass(Duration::from_secs(1)).await;
    }
    assert!(recorded.log.counts().is_empty());
    // It is tried again, and not all the time.
    let attempts = recorded.log.attempts();
    assert!((30..=61).contains(&attempts), "{attempts}");
    recorded.log.is_failing.store(false, Ordering::Relaxed);
    pass(RETRY_INTERVAL).await;
    assert_eq!(recorded.log.counts(), [600]);
    assert_eq!(recorded.stopped().await, [600]);
}

#[tokio::test(start_paused = true)]
async fn counting_waits_for_no_log_that_hangs() {
    let recorded = Recorded::start();
    let log = Arc::clone(&recorded.log);
    let held = log.hold.write().await;
    for round in 0..5 {
        recorded.count(2);
        recorded.refusals.count(key(None));
        pass(REFUSAL_INTERVAL).await;
        // One entry waits, and no other behind it.
        assert_eq!(log.attempts(), 1, "round {round}");
    }
    drop(held);
    pass(MOMENT).await;
    // The entry that hung is the first round's; the other key comes with all of its calls.
    assert_eq!(log.counts(), [1, 10]);
    assert_eq!(recorded.stopped().await, [1, 10, 4]);
}

#[tokio::test(start_paused = true)]
async fn the_end_comes_with_a_log_that_cannot_be_written_too() {
    let recorded = Recorded::start();
    recorded.log.is_failing.store(true, Ordering::Relaxed);
    recorded.count(3);
    pass(MOMENT).await;
    recorded.refusals.count(key(None));
    let log = Arc::clone(&recorded.log);
    let ended = timeout(RETRY_INTERVAL / 2, recorded.stopped()).await;
    assert_eq!(ended, Ok(vec![]));
    // At once, and without trying each of them.
    assert_eq!(log.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_flushed_is_recorded_once() {
    let refusals = Refusals::default();
    let log = Kept::default();
    let all = |_: &Tally| true;
    assert_eq!(refusals.write(&log, all).await, Ok(()));
    assert_eq!(log.attempts(), 0);
    refusals.count(key(None));
    log.is_failing.store(true, Ordering::Relaxed);
    let failed = refusals.write(&log, all).await;
    assert_eq!(failed, Err(Refused(Cause::NoSpace)));
    refusals.count(key(None));
    log.is_failing.store(false, Ordering::Relaxed);
    for _ in 0..2 {
        assert_eq!(refusals.write(&log, all).await, Ok(()));
        assert_eq!(log.counts(), [2]);
    }
    // Two at once record each call once, and who gives up in the middle loses none.
    refusals.count(key(None));
    let held = log.hold.write().await;
    assert!(timeout(MOMENT, refusals.write(&log, all)).await.is_err());
    log.waiting.store(0, Ordering::Relaxed);
    refusals.count(key(None));
    let release = async {
        pass(MOMENT).await;
        drop(held);
    };
    let (one, other) = (refusals.write(&log, all), refusals.write(&log, all));
    let (one, other, ()) = tokio::join!(one, other, release);
    assert_eq!((one, other), (Ok(()), Ok(())));
    assert_eq!(log.counts(), [2, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_forgotten_when_nothing_of_it_is_left() {
    let recorded = Recorded::start();
    for number in 0..1000 {
        recorded.refusals.count(key(Some(&format!("c-{number}"))));
    }
    pass(MOMENT).await;
    assert_eq!(recorded.refusals.tallies().len(), 1000);
    pass(REFUSAL_INTERVAL).await;
    recorded.count(1);
    pass(MOMENT).await;
    assert_eq!(recorded.refusals.tallies().len(), 1);
}

#[test]
fn a_clock_that_is_set_back_ends_no_time_before_it_begins() {
    let at = |text| Timestamp::parse(text);
    let calls = |time| Calls {
        count: 1,
        since: time,
        until: time,
    };
    let (early, late) = (at("2027-01-01T00:00:00Z"), at("2027-01-01T00:00:01Z"));
    let forward = calls(early).and(calls(late));
    assert_eq!(
        (forward.count, forward.since, forward.until),
        (2, early, late)
    );
    let back = calls(late).and(calls(early));
    assert_eq!((back.count, back.since, back.until), (2, late, late));
}
