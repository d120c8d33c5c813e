//! Making logs: a trail of its own, policies that decide, and launches that are decided and recorded
//! as the daemon does it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use admit_policy::{Digest, Snapshot, Standing, Terms, Timestamp, decide};
use admit_proto::v1::AdmitRequest;
use admit_server::{
    audit::{
        CommitPath, LogConfig, Trail,
        basis::Basis,
        closed::{self, Decided},
        keys::NamesKey,
        log::Receipt,
        metrics::TrailMetrics,
        names::Names,
        record::{Decision, Entry},
        segment::{self, Lines},
        writer::TrailWriter,
    },
    store::scan::{Limits, scan},
    wire::request::launch,
};
use prometheus_client::registry::Registry;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::policy::{A, Chosen, Policy};

/// When everything is decided that does not say when.
pub(crate) const NOW: &str = "2027-01-01T00:00:00Z";

/// Every entry closes its segment, but for the entries of the last one.
pub(crate) const ONE_EACH: u64 = 1;
/// A segment is closed after three decisions: its header and two of them are shorter.
pub(crate) const THREE_EACH: u64 = 3700;
/// All entries are in one segment.
pub(crate) const ALL_IN_ONE: u64 = u64::MAX;

/// A folder in memory where there is one: many syncs are asked for here.
pub(crate) fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

/// A log that is being written.
pub(crate) struct Recording {
    pub(crate) trail: Trail,
    pub(crate) runtime: Runtime,
    // Dropped last: what was accepted is written then, and the log is free.
    _writer: TrailWriter,
}

impl Recording {
    pub(crate) fn in_dir(dir: &Path, segment_bytes: u64) -> Self {
        let config = LogConfig {
            dir: dir.to_owned(),
            segment_bytes,
            segment_age: Duration::from_secs(24 * 60 * 60),
            retention: None,
            free_space_min: 0,
            patience: Duration::from_secs(60),
            signing_key: None,
            commit_path: CommitPath::Adaptive,
        };
        let metrics = TrailMetrics::register(&mut Registry::default());
        let (trail, writer) = Trail::open(config, metrics).unwrap();
        Self {
            trail,
            runtime: Runtime::new().unwrap(),
            _writer: writer,
        }
    }

    pub(crate) fn key(&self) -> NamesKey {
        self.trail.names_key().clone()
    }

    pub(crate) fn record(&self, (entry, basis): (Entry, Option<Arc<Basis>>)) -> Receipt {
        self.runtime
            .block_on(self.trail.record(&entry, basis))
            .unwrap()
    }
}

/// A policy as the daemon has it.
pub(crate) struct Loaded {
    pub(crate) snapshot: Snapshot,
    pub(crate) terms: Terms,
    pub(crate) names: Names,
    pub(crate) basis: Arc<Basis>,
}

impl Loaded {
    pub(crate) fn read(policy_dir: &Path, terms: Terms, key: NamesKey) -> Self {
        let reading = scan(policy_dir, &Limits::DEFAULT).unwrap();
        let snapshot = Snapshot::build_with_strays(&reading.files, reading.strays);
        let names = Names::of(Some(&snapshot), key);
        Self {
            basis: Arc::new(Basis::of(&snapshot, &terms, &names)),
            snapshot,
            terms,
            names,
        }
    }

    pub(crate) fn of(policy: &Policy, key: NamesKey) -> Self {
        let folder = TempDir::new().unwrap();
        policy.write_to(folder.path());
        Self::read(folder.path(), terms(), key)
    }
}

/// What an operator configured who configured nothing.
pub(crate) fn terms() -> Terms {
    Terms {
        staleness_max: Duration::from_secs(30),
        network_classes: [].into(),
    }
}

/// What is decided about, beside the policy.
pub(crate) struct Asked {
    pub(crate) request: AdmitRequest,
    pub(crate) at: Timestamp,
    pub(crate) unverified_for: Duration,
}

impl Asked {
    pub(crate) fn now(request: AdmitRequest) -> Self {
        Self {
            request,
            at: Timestamp::parse(NOW).unwrap(),
            unverified_for: Duration::from_millis(12),
        }
    }

    /// Decides under `loaded`, or before any policy was read, and closes the decision for the log.
    pub(crate) fn decided(self, loaded: Result<&Loaded, NamesKey>) -> Decision {
        let dry_run = self.request.dry_run;
        let facts = launch(self.request).unwrap().observe();
        let unread = terms();
        let standing = Standing {
            snapshot: loaded.as_ref().ok().map(|loaded| &loaded.snapshot),
            unverified_for: self.unverified_for,
            terms: loaded.as_ref().map_or(&unread, |loaded| &loaded.terms),
        };
        let decision = decide(&standing, &facts, self.at);
        let digests: Option<(Digest, Digest)> = loaded
            .as_ref()
            .ok()
            .map(|loaded| (loaded.snapshot.digest(), loaded.basis.digest));
        let names = match loaded {
            Ok(loaded) => loaded.names.clone(),
            Err(key) => Names::of(None, key),
        };
        let decided = Decided {
            id: Uuid::now_v7(),
            at: self.at,
            elapsed: Duration::from_micros(412),
            dry_run,
            facts: &facts,
            decision: &decision,
            policy: digests,
            unverified_for: self.unverified_for,
            caller: None,
            trace: None,
        };
        closed::decision(decided, &names)
    }

    /// The entry of the decision under `loaded`, with its basis.
    pub(crate) fn entry(self, loaded: &Loaded) -> (Entry, Option<Arc<Basis>>) {
        let decision = self.decided(Ok(loaded));
        (
            Entry::Decision(Box::new(decision)),
            Some(Arc::clone(&loaded.basis)),
        )
    }
}

/// A finished log with `count` decisions about launches of `A` under its own policy, every other one
/// denied for two reasons.
pub(crate) struct Written {
    pub(crate) folder: TempDir,
    pub(crate) receipts: Vec<Receipt>,
    pub(crate) ids: Vec<String>,
}

impl Written {
    pub(crate) fn with(count: usize, segment_bytes: u64) -> Self {
        let folder = folder();
        let recording = Recording::in_dir(folder.path(), segment_bytes);
        let loaded = Loaded::of(&A.in_sot(), recording.key());
        let mut ids = Vec::new();
        let mut receipts = Vec::new();
        for number in 1..=count {
            let (entry, basis) = Asked::now(numbered(A, number)).entry(&loaded);
            if let Entry::Decision(decision) = &entry {
                ids.push(decision.id.clone());
            }
            receipts.push(recording.record((entry, basis)));
        }
        Self {
            folder,
            receipts,
            ids,
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// `--known` of the last entry.
    pub(crate) fn known(&self) -> String {
        let last = self.receipts.last().unwrap();
        format!("{}:{}", last.seq, last.hash)
    }
}

/// The launch of a run of its own; an even one is denied for two reasons.
pub(crate) fn numbered(chosen: Chosen, number: usize) -> AdmitRequest {
    let mut request = chosen.launch();
    request.run_id = format!("run-{number}");
    request.fake_baseline.as_mut().unwrap().run_id = request.run_id.clone();
    if number.is_multiple_of(2) {
        request.stage = 1;
        request.case_config = None;
    }
    request
}

/// The segments of a log, the oldest first.
pub(crate) fn segments(dir: &Path) -> Vec<PathBuf> {
    let segments = segment::list(dir).unwrap();
    segments.into_iter().map(|segment| segment.path).collect()
}

/// The whole lines of a segment, each without its line feed, and where each of them begins.
pub(crate) fn lines(segment: &Path) -> Vec<(String, u64)> {
    let mut reader = Lines::open(segment).unwrap();
    let mut lines = Vec::new();
    while let Some(line) = reader.next_line().unwrap() {
        if line.is_ended {
            lines.push((String::from_utf8(line.bytes).unwrap(), line.offset));
        }
    }
    lines
}

/// Replaces the lines of a segment.
pub(crate) fn rewrite(segment: &Path, lines: &[String]) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(segment, text).unwrap();
}

/// Every line of the log that is an entry, in order.
pub(crate) fn entries(dir: &Path) -> Vec<String> {
    let all = segments(dir).into_iter().flat_map(|path| lines(&path));
    all.map(|(line, _)| line)
        .filter(|line| line.contains("\",\"seq\":"))
        .collect()
}
