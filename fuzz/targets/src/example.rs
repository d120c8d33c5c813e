//! The example policy of `deploy/example`, and what decisions under it need besides.
//!
//! Deliberately absent: any clock and any random number, so that an input does the same each time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock},
    time::Duration,
};

use admit_policy::{Snapshot, SourceFile, Terms, Timestamp, document::Kind, facts::EndpointScope};
use admit_server::audit::{chain, keys::NamesKey, record::Entry};
use uuid::Uuid;

/// The identity of every decision and judgment.
pub(crate) const ID: Uuid = Uuid::from_u128(0x0197_f0a4_5c00_7abc_8def_0123_4567_89ab);
/// The identity of the log.
pub(crate) const STREAM_ID: &str = "0197f0a4-5c00-7abc-8def-ba9876543210";

macro_rules! sot {
    ($name:literal) => {
        (
            $name,
            include_bytes!(concat!("../../../deploy/example/sot/", $name)).as_slice(),
        )
    };
}

/// The documents.
pub(crate) const DOCUMENTS: [(&str, &[u8]); 5] = [
    sot!("CTO-CASE-PROVIDER-DECISION-RECORD.md"),
    sot!("CTO-CASE-MODEL-PROVIDER-ADMISSION.qwen-local-qwen3.6-35b-a3b.json"),
    sot!("CTO-CASE-MODEL-PROVIDER-ADMISSION.openai-codex-gpt-5.5.json"),
    sot!("CTO-CASE-MODEL-PROVIDER-ADMISSION-ISSUES.md"),
    sot!("CTO-CASE-LOCAL-PROVIDER-ROUTE-ISSUES.md"),
];

/// The files among `named` that are policy.
pub(crate) fn source_files(named: &[(&str, &[u8])]) -> Vec<SourceFile> {
    named
        .iter()
        .filter_map(|(name, bytes)| {
            let file_name = name.rsplit('/').next()?;
            Some(SourceFile {
                path: Arc::from(*name),
                kind: Kind::of(file_name)?,
                content: Ok(Arc::from(*bytes)),
            })
        })
        .collect()
}

/// The snapshot of the example.
pub(crate) static SNAPSHOT: LazyLock<Snapshot> =
    LazyLock::new(|| Snapshot::build(&source_files(&DOCUMENTS)));

/// The operator's terms.
pub(crate) static TERMS: LazyLock<Terms> = LazyLock::new(|| Terms {
    staleness_max: Duration::from_secs(300),
    network_classes: BTreeMap::from([(
        "spark-tailnet".to_owned(),
        BTreeSet::from([EndpointScope::Loopback, EndpointScope::Tailnet]),
    )]),
});

/// The key behind every closed name.
pub(crate) fn names_key() -> NamesKey {
    NamesKey::new(&[7; 32])
}

/// When everything is decided.
pub(crate) fn now() -> Timestamp {
    Timestamp::parse("2027-01-01T00:00:00Z").unwrap()
}

/// The line of `entry` as the log has it, without its line feed: the first entry behind a header.
pub(crate) fn line(entry: &Entry) -> Vec<u8> {
    let json = serde_json::to_string(entry).unwrap();
    let (entry_type, members) = json
        .strip_prefix("{\"type\":\"")
        .and_then(|json| json.strip_suffix('}'))
        .and_then(|json| json.split_once("\","))
        .unwrap();
    let mut line = Vec::new();
    chain::compose(
        &mut line,
        entry_type,
        entry.is_numbered().then_some(1),
        chain::GENESIS,
        members.as_bytes(),
    );
    line.pop();
    line
}
