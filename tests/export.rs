//! The export of the audit log against a real OTLP server that fails in every way that it can.
//!
//! Deliberately absent: what the spans look like (unit tests of `export/span.rs`), and a receiver that
//! somebody else wrote (`interop/test_rotel.py`).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails loudly"
)]

mod authority;
mod daemon;

#[path = "export/certificates.rs"]
mod certificates;
#[path = "export/cursor.rs"]
mod cursor;
#[path = "export/delivery.rs"]
mod delivery;
#[path = "export/diagnostics.rs"]
mod diagnostics;
#[path = "export/killed.rs"]
mod killed;
#[path = "export/receiver.rs"]
mod receiver;
#[path = "export/refusal.rs"]
mod refusal;
#[path = "export/retention.rs"]
mod retention;
#[path = "export/secrecy.rs"]
mod secrecy;

use std::{fs, path::Path, time::Duration};

use admit_server::{
    audit::{
        CURSOR_FILE, CommitPath, LogConfig, Trail,
        metrics::TrailMetrics,
        record::{
            Adapter, AdmissionStatus, Baseline, Decision, Entry, Facts, Fixture, Lane,
            LocalProvider, Presence, Rejected, ServedModel, Trace, Verdict,
        },
        segment::{self, Lines},
        writer::TrailWriter,
    },
    export::{self, ExportConfig, ExportError, Exporter, cursor::NotAsSent},
};
use prometheus_client::registry::Registry;
use tempfile::TempDir;

use crate::receiver::Receiver;

/// Longest time that a test waits for one event.
const PATIENCE: Duration = Duration::from_secs(60);
/// A segment has some twenty entries.
const SEGMENT_BYTES: u64 = 32 * 1024;

/// A running log, in a folder of its own.
struct Audit {
    folder: TempDir,
    trail: Trail,
    _writer: TrailWriter,
}

impl Audit {
    fn open() -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), None)
    }

    fn in_folder(folder: TempDir, retention: Option<Duration>) -> Self {
        let metrics = TrailMetrics::register(&mut Registry::default());
        let config = LogConfig {
            dir: folder.path().join("audit"),
            segment_bytes: SEGMENT_BYTES,
            segment_age: Duration::from_secs(24 * 60 * 60),
            retention,
            free_space_min: 0,
            patience: Duration::from_secs(10),
            signing_key: None,
            commit_path: CommitPath::Adaptive,
        };
        let (trail, writer) = Trail::open(config, metrics).unwrap();
        Self {
            folder,
            trail,
            _writer: writer,
        }
    }

    /// The same log, as it is after `edit`, in a folder of its own.
    fn edited(&self, retention: Option<Duration>, edit: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("audit");
        fs::create_dir(&dir).unwrap();
        for file in fs::read_dir(self.dir()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), dir.join(file.file_name())).unwrap();
        }
        edit(&dir);
        Self::in_folder(folder, retention)
    }

    fn dir(&self) -> &Path {
        self.trail.dir()
    }

    /// Records so many decisions, all at once.
    async fn decide(&self, count: u64) {
        let recorded: Vec<_> = (0..count)
            .map(|_| {
                let trail = self.trail.clone();
                tokio::spawn(async move { trail.record(&decision(None), None).await })
            })
            .collect();
        for recorded in recorded {
            recorded.await.unwrap().unwrap();
        }
    }

    fn export_to(&self, receiver: &Receiver) -> Exporter {
        self.export(&plain(receiver))
    }

    fn export(&self, config: &ExportConfig) -> Exporter {
        export::start(config.clone(), self.trail.clone()).unwrap()
    }

    /// What the log lacks that a receiver has, by the refusal to export it.
    #[track_caller]
    fn not_as_sent(&self, receiver: &Receiver) -> NotAsSent {
        match export::start(plain(receiver), self.trail.clone()) {
            Ok(_) => panic!("the log is exported"),
            Err(ExportError::NotAsSent { source, .. }) => source,
            Err(other) => panic!("{other}"),
        }
    }

    fn last_seq(&self) -> u64 {
        self.trail.follow().borrow().head.seq
    }

    /// Every entry of the log that says that spans were refused, without its time.
    fn rejections(&self) -> Vec<Rejected> {
        let mut rejections = Vec::new();
        for segment in segment::list(self.dir()).unwrap() {
            let mut lines = Lines::open(&segment.path).unwrap();
            while let Some(line) = lines.next_line().unwrap() {
                if let Entry::Rejected(rejected) = serde_json::from_slice(&line.bytes).unwrap() {
                    rejections.push(Rejected {
                        time: String::new(),
                        ..rejected
                    });
                }
            }
        }
        rejections
    }

    /// The sequence number that the cursor says comes next.
    fn cursor(&self) -> Option<u64> {
        let json = fs::read(self.dir().join(CURSOR_FILE)).ok()?;
        // A test may have damaged it.
        let cursor: serde_json::Value = serde_json::from_slice(&json).ok()?;
        cursor.get("next_seq")?.as_u64()
    }

    /// Waits until the cursor says that everything before `next_seq` is settled.
    async fn settled(&self, next_seq: u64) {
        until(&format!("the cursor at {next_seq}"), || {
            self.cursor() == Some(next_seq)
        })
        .await;
    }
}

/// The way to `receiver` in plaintext.
fn plain(receiver: &Receiver) -> ExportConfig {
    ExportConfig {
        endpoint: format!("http://{}", receiver.address()),
        ca_file: None,
        headers_file: None,
    }
}

/// Waits for what tells nobody that it has happened.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}: not within {PATIENCE:?}");
}

fn decision(trace: Option<Trace>) -> Entry {
    Entry::Decision(Box::new(Decision {
        id: uuid::Uuid::now_v7().to_string(),
        time: "2026-06-01T12:00:00.5Z".into(),
        elapsed_us: 250,
        dry_run: false,
        verdict: Verdict::Deny,
        reasons: vec!["admission-revoked".into(), "case-agent-mode".into()],
        admission_status: AdmissionStatus::NotAdmitted,
        policy: Some("1".repeat(64)),
        basis: Some("2".repeat(64)),
        unverified_ns: Some(1_000),
        caller: None,
        trace,
        facts: Facts {
            host: "hmac:0123456789abcdef0123456789abcdef".into(),
            run: "hmac:fedcba9876543210fedcba9876543210".into(),
            lane: Lane::Real,
            stage: 2,
            expected_policy: None,
            provider: "openai-codex".into(),
            model: "gpt-5".into(),
            admission_file: Some("3".repeat(64)),
            credential_source_class: "hmac:00000000000000000000000000000000".into(),
            case_config: None,
            case_model_override: Presence::Absent,
            model_flag: Presence::Absent,
            agent_flag: Presence::Present,
            visible_credentials: None,
            target_repository: Presence::Absent,
            secret_scan: None,
            has_secret: false,
            fixture: Fixture::CopiedArtificial,
            fake_baseline: Baseline::SameRun,
            local_provider: LocalProvider {
                base_url: Presence::Absent,
                endpoint_scope: None,
                adapter: Adapter::Absent,
                served_model: ServedModel::Unstated,
            },
        },
    }))
}
