//! The documents of a policy, each alone and several as a snapshot.

use std::{path::Path, sync::Arc, time::Duration};

use admit_policy::{
    Digest, Pair, Snapshot, SourceFile, Standing, Terms, Verdict, decide,
    document::{Kind, admission, decision_record, work_item},
    endpoint, pair_objections, secret,
    snapshot::{Admitted, RecordState},
};
use admit_server::{
    audit::{
        basis::{self, Basis},
        closed::{self, Decided},
        names::Names,
    },
    report::{self, Format, Report},
    store::{Loaded, State},
    wire::{policy, request},
};
use prost::Message as _;
use serde_json::Value;

use crate::{
    bundle,
    example::{self, ID, TERMS},
    held::{check_findings, check_place, check_shown, check_visible},
};

/// Largest policy on the wire, in bytes: what a client takes.
const POLICY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What no document may have.
const SECRET: &str = "\n\nsk-ant-canary0123456789abcd\n";

fn path() -> Arc<str> {
    Arc::from("a/b.md")
}

/// A decision record: valid or full of findings, each in its place and without a secret.
pub fn decision_record(data: &[u8]) {
    let parsed = decision_record::parse(&path(), data);
    assert_eq!(parsed, decision_record::parse(&path(), data));
    match parsed {
        Ok(record) => {
            check_place(data, &record.place);
            let named = || [&record.primary, &record.fallback].into_iter().flatten();
            for named in named() {
                check_place(data, &named.place);
                check_name(&named.pair);
            }
            let with_secret = [data, SECRET.as_bytes()].concat();
            let findings = decision_record::parse(&path(), &with_secret).unwrap_err();
            check_findings(&with_secret, &findings);
        }
        Err(findings) => {
            assert!(!findings.is_empty());
            check_findings(data, &findings);
        }
    }
}

fn check_name(pair: &Pair) {
    for name in [&pair.provider, &pair.model] {
        assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(!name.contains(['*', '?']), "a pair is exact");
    }
}

/// An admission file: what is valid says the same to another JSON reader, and still does when that one
/// writes it.
pub fn admission(data: &[u8]) {
    let read = |bytes: &[u8]| admission::parse(&path(), bytes);
    let admission = match read(data) {
        Ok(admission) => admission,
        Err(findings) => {
            assert!(!findings.is_empty());
            check_findings(data, &findings);
            return;
        }
    };
    check_name(&admission.pair.value);
    for place in [
        &admission.pair.place,
        &admission.status.place,
        &admission.role.place,
        &admission.auth_bridge.place,
    ] {
        check_place(data, place);
    }
    assert_eq!(admission.digest, Digest::of(data));
    let text = std::str::from_utf8(data).unwrap();
    assert!(!secret::is_present(text) && !endpoint::is_present(text));
    let other: Value = serde_json::from_slice(data).unwrap();
    let pair = &admission.pair.value;
    assert_eq!(other["provider"], *pair.provider);
    assert_eq!(other["model"], *pair.model);
    let again = read(other.to_string().as_bytes()).unwrap();
    assert_eq!(again.pair.value, admission.pair.value);
    assert_eq!(again.status.value, admission.status.value);
    assert_eq!(again.role.value, admission.role.value);
    assert_eq!(again.provider_class.value, admission.provider_class.value);
    assert_eq!(again.auth_bridge.value, admission.auth_bridge.value);
    assert_eq!(
        again.expires_at.map(|at| at.value),
        admission.expires_at.map(|at| at.value)
    );
}

/// Work items.
pub fn work_items(data: &[u8]) {
    let (items, findings) = work_item::parse(&path(), data);
    check_findings(data, &findings);
    for item in items {
        check_place(data, &item.place);
        check_place(data, &item.status_place);
        check_visible(&item.title);
    }
}

/// A whole policy: the order of the files does not matter, nothing is admitted but by documents
/// that are valid by themselves, a decision can be derived again from its record, and whatever is said
/// about it can be shown.
pub fn snapshot(data: &[u8]) {
    let named = bundle::files(data);
    let files = example::source_files(&named);
    let snapshot = Snapshot::build(&files);
    let reversed: Vec<SourceFile> = files.iter().rev().cloned().collect();
    let paths: std::collections::BTreeSet<&str> = files.iter().map(|file| &*file.path).collect();
    if paths.len() == files.len() {
        let other = Snapshot::build(&reversed);
        assert_eq!(other.digest(), snapshot.digest());
        assert_eq!(other.findings(), snapshot.findings());
        for (name, bytes) in &named {
            let of_it = |finding: &&admit_policy::Finding| &*finding.place.path == *name;
            check_findings(bytes, snapshot.findings().iter().filter(of_it));
        }
    }
    let names = Names::of(Some(&snapshot), example::names_key());
    for pair in snapshot.pairs() {
        check_pair(&files, &snapshot, &names, &pair);
    }
    check_reports(&snapshot, files.len());
    check_message(snapshot, names);
}

/// Decides a launch in order with this pair, and holds the verdict against the documents alone.
fn check_pair(files: &[SourceFile], snapshot: &Snapshot, names: &Names, pair: &Pair) {
    let admission = snapshot.admission(&pair.provider, &pair.model);
    let request = crate::wire::launch_of(pair, admission);
    let facts = request::launch(request).unwrap().observe();
    let standing = standing(snapshot, &TERMS);
    let decision = decide(&standing, &facts, example::now());
    if decision.verdict == Verdict::Allow {
        check_allowed(files, snapshot, pair);
        assert_eq!(
            pair_objections(&standing, &pair.provider, &pair.model, example::now()),
            []
        );
    }
    let basis = Basis::of(snapshot, &TERMS, names);
    let record = closed::decision(
        Decided {
            id: ID,
            at: example::now(),
            elapsed: Duration::ZERO,
            dry_run: false,
            facts: &facts,
            decision: &decision,
            policy: Some((snapshot.digest(), basis.digest)),
            unverified_for: Duration::ZERO,
            caller: Some("hermes"),
            trace: None,
        },
        names,
    );
    let opened = basis::closed(snapshot, &TERMS, names).unwrap();
    let by_hmac = Names::of(Some(&opened.snapshot), example::names_key()).by_hmac();
    let again = decide(
        &self::standing(&opened.snapshot, &opened.terms),
        &closed::open_facts(&record.facts, &by_hmac),
        example::now(),
    );
    assert_eq!(
        closed::outcome(&again.verdict),
        (record.verdict, record.reasons)
    );
}

fn standing<'a>(snapshot: &'a Snapshot, terms: &'a Terms) -> Standing<'a> {
    Standing {
        snapshot: Some(snapshot),
        unverified_for: Duration::ZERO,
        terms,
    }
}

/// What has to be in the documents when a pair is allowed, without the snapshot's own judgment.
fn check_allowed(files: &[SourceFile], snapshot: &Snapshot, pair: &Pair) {
    let bytes = |file: &SourceFile| file.content.clone().unwrap();
    let of_kind = |kind| files.iter().filter(move |file| file.kind == kind);
    let records: Vec<&SourceFile> = of_kind(Kind::DecisionRecord).collect();
    assert_eq!(records.len(), 1, "an ALLOW without one decision record");
    let record = decision_record::parse(&records[0].path, &bytes(records[0])).unwrap();
    let is_named = [record.primary, record.fallback]
        .into_iter()
        .flatten()
        .any(|named| named.pair == *pair);
    assert!(is_named, "an ALLOW that the record does not name");
    let admitting = of_kind(Kind::Admission)
        .filter_map(|file| admission::parse(&file.path, &bytes(file)).ok())
        .filter(|admission| admission.pair.value == *pair)
        .collect::<Vec<_>>();
    assert_eq!(admitting.len(), 1, "an ALLOW without one admission");
    assert_eq!(admitting[0].status.value, admission::Status::Admitted);
    assert!(matches!(snapshot.record(), RecordState::Valid(_)));
    assert!(matches!(
        snapshot.admitted(&pair.provider, &pair.model),
        Some(Admitted::One(_))
    ));
}

fn check_reports(snapshot: &Snapshot, files: usize) {
    let shown = |format| {
        let mut text = Vec::new();
        let report = Report {
            directory: Path::new("sot"),
            files,
            snapshot,
        };
        report::write(&report, format, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    };
    // Its styles are for a terminal, and are taken out for everything else.
    check_shown(&anstream::adapter::strip_str(&shown(Format::Plain)).to_string());
    check_visible(&shown(Format::Github));
    for format in [Format::Json, Format::Sarif] {
        let _: Value = serde_json::from_str(&shown(format)).unwrap();
    }
}

/// The policy as a client gets it.
fn check_message(snapshot: Snapshot, names: Names) {
    let basis = Arc::new(Basis::of(&snapshot, &TERMS, &names));
    let mut state = State::default();
    state.loaded = Some(Arc::new(Loaded {
        snapshot,
        read_time: example::now(),
        names,
        basis,
    }));
    let message = policy::policy(&state, &state.standing(&TERMS), example::now());
    assert!(message.encoded_len() <= POLICY_BYTES_MAX);
    for finding in &message.findings {
        check_shown(&finding.message);
    }
}
