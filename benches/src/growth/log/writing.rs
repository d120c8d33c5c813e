//! Writing a log of any length: real decisions of the example policy, each with a time and ids of its
//! own, appended in large batches.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use admit_policy::{Digest, Snapshot, Standing, Terms, Timestamp, decide, facts::EndpointScope};
use admit_proto::v1::AdmitRequest;
use admit_server::{
    audit::{
        CommitPath, LogConfig,
        basis::Basis,
        closed::{self, Decided},
        keys::NamesKey,
        log::{Draft, Log},
        names::Names,
        record::{Decision, Entry, Trace},
        segment,
    },
    export::reader::Position,
    store::scan::{Limits, scan},
    wire::request,
};
use anyhow::Context as _;

use crate::launch;

/// How many entries are synced at once.
const BATCH: u64 = 4096;
/// As the daemon does it unless it is told otherwise.
const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// When the first launch is decided.
const BEGIN: &str = "2027-01-01T00:00:00Z";
const ADMISSION: &str = "CTO-CASE-MODEL-PROVIDER-ADMISSION.qwen-local-qwen3.6-35b-a3b.json";
const MODELS: &str =
    r#"{"models":{"default":{"provider":"qwen-local","model":"qwen3.6-35b-a3b"}}}"#;
const OTHER_MODELS: &str = r#"{"models":{"default":{"provider":"qwen-local","model":"qwen3.6-35b-a3b"},
    "reviewer":{"provider":"anthropic","model":"claude-sonnet-4-6"}}}"#;

/// A log that was written.
pub(super) struct Written {
    pub(super) stream_id: String,
    pub(super) records: u64,
    /// Behind its last entry, as a receiver that has everything would leave the cursor.
    pub(super) end: Position,
}

/// The documents of the example.
pub(super) fn policy_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/example/sot")
}

/// Writes a log of `records` decisions in `dir`.
pub(super) fn write(dir: &Path, records: u64) -> anyhow::Result<Written> {
    let mut log = Log::open(LogConfig {
        dir: dir.to_owned(),
        segment_bytes: SEGMENT_BYTES,
        segment_age: DAY,
        retention: None,
        free_space_min: 0,
        patience: Duration::from_secs(60),
        signing_key: None,
        commit_path: CommitPath::Adaptive,
    })?;
    let decisions = decisions(dir, log.names_key().clone())?;
    let mut written = 0_u64;
    while written < records {
        let last = written.saturating_add(BATCH).min(records);
        let drafts = (written..last)
            .map(|number| draft(&decisions, number))
            .collect::<anyhow::Result<Vec<_>>>()?;
        log.append(&drafts)?;
        written = last;
    }
    let head = log.head().clone();
    let segments = segment::list(dir)?;
    let last = segments.last().context("a log without a segment")?;
    Ok(Written {
        stream_id: log.stream_id().to_owned(),
        records,
        end: Position {
            next_seq: head.seq.saturating_add(1),
            hash: Some(head.hash),
            segment: last.first_seq,
            offset: fs::metadata(&last.path)?.len(),
        },
    })
}

/// The entry `number`: of four launches three are allowed.
fn draft(decisions: &[Decision], number: u64) -> anyhow::Result<Draft> {
    let at = usize::try_from(number)?.checked_rem(decisions.len());
    let mut decision = at
        .and_then(|at| decisions.get(at))
        .context("no decision")?
        .clone();
    decision.id = format!("0197f0a4-5c00-7abc-8def-{number:012x}");
    decision.facts.host = format!("hmac:{:032x}", u128::from(number % 32).wrapping_mul(GOLDEN));
    decision.facts.run = format!("hmac:{:032x}", u128::from(number / 4).wrapping_mul(GOLDEN));
    decision.trace = Some(Trace {
        id: format!("{:032x}", u128::from(number / 4 + 1).wrapping_mul(GOLDEN)),
        parent: format!("{:016x}", number + 1),
        flags: "01".into(),
    });
    decision.elapsed_us = 20 + number % 50;
    Ok(Draft::of(&Entry::Decision(Box::new(decision))))
}

/// Spreads numbers over all digits.
const GOLDEN: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

/// The launches as they were decided, and their basis beside the log.
fn decisions(dir: &Path, key: NamesKey) -> anyhow::Result<Vec<Decision>> {
    let reading = scan(&policy_dir(), &Limits::DEFAULT)?;
    let snapshot = Snapshot::build_with_strays(&reading.files, reading.strays);
    let terms = Terms {
        staleness_max: Duration::from_secs(300),
        network_classes: [(
            "spark-tailnet".to_owned(),
            [EndpointScope::Loopback, EndpointScope::Tailnet].into(),
        )]
        .into(),
    };
    let names = Names::of(Some(&snapshot), key);
    let basis = Basis::of(&snapshot, &terms, &names);
    basis.keep(dir)?;
    let at = Timestamp::parse(BEGIN).context("no time")?;
    let admission = fs::read(policy_dir().join(ADMISSION))?;
    let configs = [MODELS, MODELS, MODELS, OTHER_MODELS];
    let decided = configs.map(|config| {
        let request = AdmitRequest {
            admission_file_digest: Digest::of(&admission).to_string(),
            case_config: Some(config.to_owned().into()),
            ..launch::request("run")
        };
        let launch =
            request::launch(request).map_err(|_| anyhow::anyhow!("a launch is out of bounds"))?;
        let facts = launch.observe();
        let standing = Standing {
            snapshot: Some(&snapshot),
            unverified_for: Duration::from_millis(3),
            terms: &terms,
        };
        let decision = decide(&standing, &facts, at);
        let decided = Decided {
            id: "0197f0a4-5c00-7abc-8def-000000000000".parse()?,
            at,
            elapsed: Duration::from_micros(40),
            dry_run: false,
            facts: &facts,
            decision: &decision,
            policy: Some((snapshot.digest(), basis.digest)),
            unverified_for: Duration::from_millis(3),
            caller: Some("hermes"),
            trace: None,
        };
        Ok(closed::decision(decided, &names))
    });
    decided.into_iter().collect()
}
