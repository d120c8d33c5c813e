//! A mixed load on the real daemon for a long time: it ends with the memory and the descriptors that it
//! began with, and nothing that was acknowledged or recorded is lost.
//!
//! `ADMIT_SOAK` says how long (`10m`; 20 s without it). Deliberately absent: how much it can bear
//! (`hostile.rs`), and faults (`faults.rs`).

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]
#![expect(clippy::print_stderr, reason = "the figures are what it is run for")]

mod authority;
#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "export/certificates.rs"]
mod certificates;
mod daemon;
#[path = "daemon/finished.rs"]
mod finished;
#[path = "soak/footprint.rs"]
mod footprint;
#[path = "soak/ledger.rs"]
mod ledger;
#[path = "soak/load.rs"]
mod load;
#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "export/receiver.rs"]
mod receiver;
#[path = "soak/surroundings.rs"]
mod surroundings;

use std::{
    collections::BTreeSet,
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use admit_server::audit::{
    record::{Entry, Verdict},
    verify::{Known, Verified, verify},
};
use daemon::{
    Daemon, Settings,
    policy::{A, B},
    within,
};
use footprint::{Footprint, Samples};
use ledger::Ledger;
use load::Load;
use receiver::Receiver;
use tokio::{sync::watch, task::JoinSet};

/// Longest time that a test waits for one event.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the load goes on when nobody says.
const LENGTH: Duration = Duration::from_secs(20);
/// Connections that ask, and watches, at any time.
const ASKERS: usize = 4;
const WATCHERS: usize = 4;
/// How often the process is looked at, in all.
const SAMPLES: u32 = 80;

/// A daemon under load, with what surrounds it.
struct Scene {
    _folder: tempfile::TempDir,
    audit: PathBuf,
    daemon: Daemon,
    receiver: Receiver,
    load: Load,
}

impl Scene {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let policy = folder.path().join("policy");
        A.in_sot().write_to(&policy);
        let staged = folder.path().join("staged");
        B.in_sot().write_to(&staged);
        let audit = folder.path().join("audit");
        let receiver = Receiver::start();
        let mut daemon = Daemon::start(&Settings {
            audit_dir: Some(audit.clone()),
            tcp: true,
            metrics: true,
            // The log has many segments.
            more_audit: format!(
                "segment_bytes = 1048576\n[export]\nendpoint = \"http://{}\"\n",
                receiver.address()
            ),
            ..Settings::new(&policy)
        })
        .await;
        let load = Load {
            socket: daemon.socket().to_owned(),
            tcp: daemon.tcp_address().await,
            metrics: daemon.metrics_address().await,
            policy,
            staged,
            ledger: Arc::new(Ledger::default()),
            stop: watch::Sender::new(false),
        };
        Self {
            _folder: folder,
            audit,
            daemon,
            receiver,
            load,
        }
    }

    /// The load of one length; what the process took of the host meanwhile.
    async fn bear(&mut self, length: Duration) -> Samples {
        let mut tasks = JoinSet::new();
        for at in 0..ASKERS {
            tasks.spawn(self.load.clone().ask(at));
        }
        for _ in 0..WATCHERS {
            tasks.spawn(self.load.clone().watch());
        }
        tasks.spawn(self.load.clone().rewrite());
        tasks.spawn(self.load.clone().scrape());
        let mut samples = Samples::default();
        let end = Instant::now() + length;
        let mut tick = tokio::time::interval(length / SAMPLES);
        while Instant::now() < end {
            tick.tick().await;
            samples.push(Footprint::of(self.daemon.id()));
            surroundings::come_and_go(&mut self.receiver, &self.load.ledger, samples.count());
            // A task that ends before it is told to has failed.
            if let Some(ended) = tasks.try_join_next() {
                ended.unwrap();
                panic!("a part of the load ended:\n{}", self.daemon.log());
            }
        }
        self.load.stop.send_replace(true);
        let ended = async {
            while let Some(ended) = tasks.join_next().await {
                ended.unwrap();
            }
        };
        within("the end of the load", ended).await;
        samples
    }

    /// Waits until the receiver has a span of every entry of the log.
    async fn every_span_arrives(&mut self) {
        surroundings::come_back(&mut self.receiver, &self.load.ledger);
        let last = verified(&self.audit, &Known::default(), |_, _| {}).head.seq;
        let ledger = &self.load.ledger;
        let missing = ledger.missing_spans(last);
        self.receiver
            .until("every span", |found| {
                let arrived: BTreeSet<u64> = found.taken.iter().map(receiver::seq).collect();
                missing.is_subset(&arrived)
            })
            .await;
    }
}

fn verified(audit: &Path, known: &Known, mut each: impl FnMut(u64, (&str, &Entry))) -> Verified {
    let verified = verify(audit, known, |links, entry, _| {
        if let Some(seq) = links.seq {
            each(seq, (&links.hash, entry));
        }
    });
    verified.unwrap()
}

fn is_allow(entry: &Entry) -> bool {
    matches!(entry, Entry::Decision(decision) if decision.verdict == Verdict::Allow)
}

/// Every acknowledgment is in the log as it was given, exactly once.
fn nothing_is_lost(audit: &Path, ledger: &Ledger) -> Verified {
    let known = Known {
        hashes: ledger.acknowledged(),
        keys: Vec::new(),
    };
    let mut next = 1;
    let mut left = known.hashes.clone();
    let verified = verified(audit, &known, |seq, (hash, entry)| {
        assert_eq!(seq, next, "a number is missing or twice there");
        next += 1;
        assert!(!matches!(entry, Entry::Gap(_)), "requests were refused");
        match left.remove(&seq) {
            Some(acknowledged) => assert_eq!(acknowledged, hash, "seq {seq}"),
            // An ALLOW that a rewrite overtook was not given; every other answer was.
            None => assert!(is_allow(entry), "nobody was told of seq {seq}: {entry:?}"),
        }
    });
    assert!(left.is_empty(), "not in the log: {left:?}");
    assert_eq!(verified.torn_bytes, 0);
    verified
}

/// What the log says decides the same again.
fn replay_agrees(audit: &Path) {
    let replayed = Command::new(env!("CARGO_BIN_EXE_admitd"))
        .args(["audit", "replay", "--audit-dir"])
        .arg(audit)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&replayed.stdout);
    let complaint = String::from_utf8_lossy(&replayed.stderr);
    assert!(replayed.status.success(), "{said}{complaint}");
    eprintln!("replay: {}", said.lines().last().unwrap_or_default());
}

/// Nothing is complained about but the receiver that was down.
fn nothing_else_is_complained_about(log: &str) {
    let complaints: Vec<&str> = log
        .lines()
        .filter(|line| line.contains(" ERROR ") || line.contains(" WARN "))
        .filter(|line| !line.contains("the receiver of spans fails"))
        .collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes as long as ADMIT_SOAK says, 20 s without it"]
async fn a_mixed_load_leaves_nothing_behind() {
    let length =
        env::var("ADMIT_SOAK").map_or(LENGTH, |length| humantime::parse_duration(&length).unwrap());
    let mut scene = Scene::start().await;
    let before = Footprint::of(scene.daemon.id());
    let samples = scene.bear(length).await;
    eprintln!("before: {before:?}");
    eprintln!("{samples}");
    eprintln!("{}", scene.load.ledger);
    samples.are_flat();
    scene.load.ledger.has_everything();
    // Whoever is gone leaves no descriptor behind.
    within("the descriptors of the start", async {
        while Footprint::of(scene.daemon.id()).files > before.files + footprint::FILES_TOLERANCE {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    scene.every_span_arrives().await;
    let Scene {
        _folder: folder,
        audit,
        mut daemon,
        receiver: _receiver,
        load,
    } = scene;
    daemon.signal(rustix::process::Signal::TERM);
    assert_eq!(daemon.exited().await.code(), Some(0));
    let verified = nothing_is_lost(&audit, &load.ledger);
    eprintln!("{verified:?}");
    replay_agrees(&audit);
    nothing_else_is_complained_about(&daemon.log());
    drop(folder);
}
