//! `kill -9` at random moments under load: whatever was acknowledged is in the log, once, and the
//! chain holds.
//!
//! The moments are random, and the seed is printed: `ADMIT_CRASH_SEED` repeats the choices, though not
//! the scheduler's. Deliberately absent: a power cut, which a test cannot make.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]
#![expect(clippy::print_stderr, reason = "the seed has to be known afterwards")]

mod daemon;

#[path = "crash/load.rs"]
mod load;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use admit_policy::Digest;
use admit_server::audit::{
    record::Entry,
    segment,
    verify::{Known, verify},
};
use daemon::{Daemon, Settings, policy::A, within};
use load::{Acknowledged, Load};
use rustix::process::Signal;

/// How often the daemon is killed.
const KILLS: u64 = 200;
/// One kill of so many comes while the daemon starts.
const EARLY_EVERY: u64 = 5;
/// After one kill of so many there is also half a line at the end, as a host's crash leaves it.
const TORN_EVERY: u64 = 8;
/// Most answers that are waited for before a kill.
const ANSWERS_MAX: u64 = 60;
/// Longest time from a start to an early kill, and from the last answer to any other.
const EARLY_MAX: Duration = Duration::from_millis(60);
const LATER_MAX: Duration = Duration::from_millis(3);

/// `SplitMix64`: small, seeded, and good enough to choose moments by.
struct Random(u64);

impl Random {
    fn seeded() -> Self {
        let seed = env::var("ADMIT_CRASH_SEED").map_or_else(
            |_| {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                u64::try_from(now.as_nanos() % u128::from(u64::MAX)).unwrap()
            },
            |seed| seed.parse().unwrap(),
        );
        eprintln!("ADMIT_CRASH_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn moment(&mut self, max: Duration) -> Duration {
        Duration::from_micros(self.below(u64::try_from(max.as_micros()).unwrap()))
    }
}

/// Starts the daemon, asks it, and kills it. Whether it listened by then.
async fn live_and_die(settings: &Settings, load: &Load, random: &mut Random, is_early: bool) {
    let mut daemon = Daemon::spawn(settings);
    if is_early {
        // No wait for anything: the moment itself is what is tried.
        tokio::time::sleep(random.moment(EARLY_MAX)).await;
    } else {
        assert!(daemon.listens().await, "{}", daemon.log());
        let target = load.count() + random.below(ANSWERS_MAX);
        let asking = load.begin(daemon.socket());
        load.answered(target).await;
        tokio::time::sleep(random.moment(LATER_MAX)).await;
        daemon.signal(Signal::KILL);
        within("the end of all calls", asking.join_all()).await;
    }
    daemon.signal(Signal::KILL);
    let ended = daemon.exited().await;
    let killed = Some(Signal::KILL.as_raw());
    assert_eq!(
        ended.signal(),
        killed,
        "it ended by itself:\n{}",
        daemon.log()
    );
}

/// Leaves the beginning of a line at the end of the log.
fn tear(audit: &Path, random: &mut Random) {
    let segment = segment::list(audit).unwrap().pop().unwrap();
    let mut content = fs::read(&segment.path).unwrap();
    let whole = content.split(|byte| *byte == b'\n').next().unwrap();
    let length = u64::try_from(whole.len()).unwrap() - 1;
    let kept = usize::try_from(1 + random.below(length)).unwrap();
    let torn = whole.get(..kept).unwrap().to_vec();
    content.extend_from_slice(&torn);
    fs::write(&segment.path, content).unwrap();
}

/// Every acknowledgment is in the log as it was given, and no number was given twice.
fn check_acknowledged(audit: &Path, given: &[Acknowledged]) -> Vec<String> {
    let mut hashes: BTreeMap<u64, String> = BTreeMap::new();
    for answer in given {
        let twice = hashes.insert(answer.seq, answer.hash.clone());
        assert_eq!(twice, None, "seq {} was given twice", answer.seq);
    }
    let known = Known {
        hashes,
        keys: Vec::new(),
    };
    let mut decisions: BTreeMap<u64, (String, String)> = BTreeMap::new();
    let mut recovered = Vec::new();
    let mut seqs = Vec::new();
    let verified = verify(audit, &known, |links, entry, _| {
        seqs.extend(links.seq);
        match entry {
            Entry::Decision(decision) => {
                let of = (decision.id.clone(), links.hash.clone());
                decisions.insert(links.seq.unwrap(), of);
            }
            Entry::Recovered(tail) => recovered.push(tail.torn_digest.clone()),
            Entry::Segment(_)
            | Entry::Evidence(_)
            | Entry::Refused(_)
            | Entry::Gap(_)
            | Entry::Rejected(_)
            | Entry::Retired(_)
            | Entry::Checkpoint(_) => {}
        }
    })
    .unwrap();
    assert_eq!(verified.torn_bytes, 0);
    assert!(seqs.into_iter().eq(1..=verified.head.seq));
    assert!(verified.segments > 3, "no segment was closed: {verified:?}");
    for answer in given {
        assert_eq!(answer.stream_id, verified.stream_id);
        let recorded = decisions.get(&answer.seq);
        let expected = (answer.decision_id.clone(), answer.hash.clone());
        assert_eq!(recorded, Some(&expected), "seq {}", answer.seq);
    }
    recovered
}

/// The digests of the torn tails that were set aside.
fn set_aside(audit: &Path) -> BTreeSet<String> {
    let files = fs::read_dir(audit.join("torn")).unwrap();
    let digests = files.map(|entry| {
        let path = entry.unwrap().path();
        let digest = Digest::of(&fs::read(&path).unwrap()).to_string();
        assert!(path.to_str().unwrap().ends_with(&digest), "{path:?}");
        digest
    });
    digests.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_acknowledged_is_lost() {
    let mut random = Random::seeded();
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy");
    A.in_sot().write_to(&policy);
    let audit: PathBuf = folder.path().join("audit");
    let settings = Settings {
        audit_dir: Some(audit.clone()),
        // The log has many segments, and the start reads a short one.
        more_audit: "segment_bytes = 131072\n".into(),
        ..Settings::new(&policy)
    };
    let load = Load::default();
    for kill in 0..KILLS {
        let is_early = kill % EARLY_EVERY == EARLY_EVERY - 1;
        live_and_die(&settings, &load, &mut random, is_early).await;
        if kill % TORN_EVERY == 0 {
            tear(&audit, &mut random);
        }
    }
    // The last start mends what the last kill left.
    let daemon = Daemon::start(&settings).await;
    assert_eq!(daemon.terminate().await.code(), Some(0));

    let given = load.given();
    let asked_kills = u64::try_from(given.len()).unwrap();
    assert!(asked_kills > KILLS, "hardly any answer: {asked_kills}");
    let recovered = check_acknowledged(&audit, &given);
    let aside = set_aside(&audit);
    let noted: BTreeSet<String> = recovered.iter().cloned().collect();
    assert_eq!(noted, aside, "what was set aside is what was noted");
    assert!(recovered.len() >= usize::try_from(KILLS / TORN_EVERY).unwrap());
    eprintln!(
        "{} kills, {} answers, {} torn tails",
        KILLS,
        given.len(),
        recovered.len()
    );
}
