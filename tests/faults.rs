//! Faults of the host under the running daemon: its disk, clock, descriptors, memory and policy
//! directory. While nothing can be recorded or decided, nothing is answered and health says so;
//! afterwards it goes on by itself, and the log says how many were refused.
//!
//! File systems are mounted for some of the tests and users changed, so they have to run as root. Deliberately absent:
//! crashes (`crash.rs`) and what a damaged log looks like (`trail.rs`).

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

mod daemon;

#[path = "faults/clock.rs"]
mod clock;
#[path = "faults/descriptors.rs"]
mod descriptors;
#[path = "faults/files.rs"]
mod files;
#[path = "faults/mount.rs"]
mod mount;
#[path = "faults/policy_gone.rs"]
mod policy_gone;
#[path = "faults/read_only.rs"]
mod read_only;
#[path = "supervision/service_manager.rs"]
mod service_manager;
#[path = "faults/shim.rs"]
mod shim;
#[path = "faults/space.rs"]
mod space;
#[path = "faults/sync.rs"]
mod sync;
#[path = "faults/withdrawn.rs"]
mod withdrawn;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use admit_proto::v1::Verdict;
use admit_server::audit::{
    record::{Cause, Entry, Gap},
    segment,
    verify::{Known, Verified, verify},
};
use daemon::{Client, Daemon, HealthWatch, Settings, policy::A};
use tempfile::TempDir;
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_types::StatusExt as _;

/// A daemon that is asked, with everything that its callers were told.
struct Scene {
    folder: TempDir,
    audit: PathBuf,
    daemon: Daemon,
    client: Client,
    health: HealthWatch,
    /// The hash of every record that an answer named.
    known: BTreeMap<u64, String>,
    /// How many were refused.
    refused: u64,
}

impl Scene {
    /// Starts a daemon on a log in `audit`, which `change` may configure further.
    async fn start(folder: TempDir, change: impl FnOnce(&mut Settings)) -> Self {
        let policy = folder.path().join("policy");
        A.in_sot().write_to(&policy);
        let audit = folder.path().join("audit");
        let mut settings = Settings {
            audit_dir: Some(audit.clone()),
            ..Settings::new(policy)
        };
        change(&mut settings);
        let daemon = Daemon::start(&settings).await;
        let mut client = daemon.client().await;
        let mut health = client.health("").await;
        health.until(ServingStatus::Serving).await;
        Self {
            folder,
            audit,
            daemon,
            client,
            health,
            known: BTreeMap::new(),
            refused: 0,
        }
    }

    /// A daemon on an ordinary file system.
    async fn plain() -> Self {
        Self::start(tempfile::tempdir().unwrap(), |_| {}).await
    }

    /// Asks; the answer has to be there.
    async fn is_answered(&mut self) {
        assert!(self.ask().await, "refused:\n{}", self.daemon.log());
    }

    /// Asks so often; each has to be refused.
    async fn is_refused(&mut self, times: u64) {
        for _ in 0..times {
            assert!(!self.ask().await, "answered:\n{}", self.daemon.log());
        }
    }

    /// Asks; whether there was an answer. There is an allowance, or the one failure that is due.
    async fn ask(&mut self) -> bool {
        match self.client.admit(A.launch()).await {
            Ok(answer) => {
                assert_eq!(answer.verdict(), Verdict::Allow, "{answer:?}");
                let twice = self.known.insert(answer.seq, answer.record_hash);
                assert_eq!(twice, None, "seq {} was given twice", answer.seq);
                true
            }
            Err(status) => {
                is_unrecorded(&status);
                self.refused += 1;
                false
            }
        }
    }

    async fn serves(&mut self) {
        self.health.until(ServingStatus::Serving).await;
    }

    async fn serves_not(&mut self) {
        self.health.until(ServingStatus::NotServing).await;
    }

    /// The segments of the log.
    fn segments(&self) -> Vec<PathBuf> {
        let segments = segment::list(&self.audit).unwrap();
        segments.into_iter().map(|segment| segment.path).collect()
    }

    /// The segment that is written to.
    fn current(&self) -> PathBuf {
        self.segments().pop().unwrap()
    }

    /// The log is whole, has all that was acknowledged, and its gaps have exactly the refused.
    fn is_whole(&self) -> (Verified, Vec<Gap>) {
        let (verified, gaps) = checked(&self.audit, &self.known);
        assert_eq!(verified.torn_bytes, 0);
        let counted: u64 = gaps.iter().map(|gap| gap.refused).sum();
        assert_eq!(counted, self.refused, "{gaps:?}");
        (verified, gaps)
    }

    /// The same, with every gap for this cause.
    fn is_whole_after(&self, cause: Cause) -> Verified {
        let (verified, gaps) = self.is_whole();
        assert!(
            self.refused > 0 && gaps.iter().all(|gap| gap.cause == cause),
            "{gaps:?}"
        );
        verified
    }
}

/// The log in `audit`, which has to have what is known of it, and its gaps.
fn checked(audit: &Path, known: &BTreeMap<u64, String>) -> (Verified, Vec<Gap>) {
    let checked = Known {
        hashes: known.clone(),
        keys: Vec::new(),
    };
    let mut gaps = Vec::new();
    let mut found = BTreeMap::new();
    let verified = verify(audit, &checked, |links, entry, _| {
        if let Some(seq) = links.seq {
            found.insert(seq, links.hash.clone());
        }
        if let Entry::Gap(gap) = entry {
            gaps.push(gap.clone());
        }
    })
    .unwrap();
    for (seq, hash) in known {
        assert_eq!(found.get(seq), Some(hash), "seq {seq}");
    }
    (verified, gaps)
}

/// The failure of a request that could not be recorded.
fn is_unrecorded(status: &Status) {
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let details = status.get_error_details();
    let info = details
        .error_info()
        .unwrap_or_else(|| panic!("no reason: {status:?}"));
    assert_eq!(
        (info.reason.as_str(), info.domain.as_str()),
        ("AUDIT_UNAVAILABLE", "admit.v1")
    );
}

/// The size of what is free for others than the reserve of the daemon.
fn free_bytes(dir: &Path) -> u64 {
    let space = rustix::fs::statvfs(dir).unwrap();
    space.f_bavail * space.f_frsize
}

/// A file with so many bytes.
fn fill(path: &Path, bytes: u64) -> std::io::Result<()> {
    fs::write(path, vec![b'x'; usize::try_from(bytes).unwrap()])
}
