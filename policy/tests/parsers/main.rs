//! Every parser is total: whatever the bytes are, it returns, and every place that it names exists.
//!
//! `noise` makes the inputs: arbitrary bytes, soups of tokens, and the example documents with
//! pieces cut, moved, doubled and put in. `checks` says what has to hold for any of them. `json`
//! compares the JSON reader with another one. Deliberately absent: what a document means.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests fail loudly"
)]

mod checks;
mod json;
mod noise;
mod small_texts;

use std::sync::Arc;

use admit_policy::{
    Snapshot, SourceFile,
    document::{Kind, admission, decision_record, work_item},
};
use proptest::prelude::*;

use checks::{check_findings, check_place};
use noise::{Bytes, CANARIES, DOCUMENTS, Document, dirty_documents, planted_documents, token_soup};

/// Reads `bytes` as every kind of document, and checks all that is found.
fn read_as_every_kind(bytes: &[u8]) {
    let path: Arc<str> = Arc::from("a/b.md");
    match decision_record::parse(&path, bytes) {
        Ok(record) => {
            check_place(bytes, &record.place);
            for named in [&record.primary, &record.fallback].into_iter().flatten() {
                check_place(bytes, &named.place);
            }
        }
        Err(findings) => {
            assert!(!findings.is_empty());
            check_findings(bytes, &findings);
        }
    }
    match admission::parse(&path, bytes) {
        Ok(admission) => {
            for place in [
                &admission.pair.place,
                &admission.status.place,
                &admission.provider_class.place,
                &admission.role.place,
                &admission.auth_bridge.place,
            ] {
                check_place(bytes, place);
            }
        }
        Err(findings) => {
            assert!(!findings.is_empty());
            check_findings(bytes, &findings);
        }
    }
    let (items, findings) = work_item::parse(&path, bytes);
    check_findings(bytes, &findings);
    for item in items {
        check_place(bytes, &item.place);
        check_place(bytes, &item.status_place);
    }
}

/// Builds a snapshot of the example documents with `bytes` in place of one.
fn build_with(replaced: usize, bytes: &[u8]) {
    let files: Vec<SourceFile> = DOCUMENTS
        .iter()
        .enumerate()
        .map(|(index, document)| SourceFile {
            path: Arc::from(document.name),
            kind: document.kind,
            content: Ok(Arc::from(if index == replaced {
                bytes
            } else {
                document.bytes
            })),
        })
        .collect();
    let snapshot = Snapshot::build(&files);
    let path = DOCUMENTS[replaced].name;
    let (of_it, of_others): (Vec<_>, Vec<_>) = snapshot
        .findings()
        .iter()
        .cloned()
        .partition(|finding| &*finding.place.path == path);
    check_findings(bytes, &of_it);
    for finding in of_others {
        assert_ne!(&*finding.place.path, path);
    }
    let sorted = snapshot
        .findings()
        .is_sorted_by_key(|finding| &finding.place);
    assert!(sorted, "{:?}", snapshot.findings());
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn arbitrary_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        read_as_every_kind(&bytes);
    }

    #[test]
    fn arbitrary_text_is_read(text in prop::collection::vec(any::<char>(), 0..300)) {
        let text: String = text.into_iter().collect();
        read_as_every_kind(text.as_bytes());
    }

    #[test]
    fn a_soup_of_tokens_is_read(text in token_soup()) {
        read_as_every_kind(text.as_bytes());
    }

    #[test]
    fn a_soup_after_front_matter_is_read(text in token_soup()) {
        let text = format!("---\nlifecycle_classification: sot\n---\n## Current Decision State\n{text}");
        read_as_every_kind(text.as_bytes());
    }

    #[test]
    fn a_dirty_document_is_read((_, Bytes(bytes)) in dirty_documents()) {
        read_as_every_kind(&bytes);
    }

    #[test]
    fn a_snapshot_of_a_dirty_document_is_built((index, Bytes(bytes)) in dirty_documents()) {
        build_with(index, &bytes);
    }

    #[test]
    fn findings_stand_in_the_order_of_the_document((index, Bytes(bytes)) in planted_documents()) {
        let path: Arc<str> = Arc::from("a/b.md");
        let findings = match DOCUMENTS[index].kind {
            Kind::DecisionRecord => decision_record::parse(&path, &bytes).unwrap_err(),
            Kind::Admission => admission::parse(&path, &bytes).unwrap_err(),
            Kind::WorkItems => work_item::parse(&path, &bytes).1,
        };
        let sorted = findings.is_sorted_by_key(|finding| &finding.place);
        prop_assert!(sorted, "{:?}", findings);
    }

    #[test]
    fn a_planted_secret_is_never_shown((index, Bytes(bytes)) in planted_documents()) {
        read_as_every_kind(&bytes);
        build_with(index, &bytes);
    }
}

#[test]
fn the_example_documents_are_valid() {
    let files: Vec<SourceFile> = DOCUMENTS.iter().map(Document::file).collect();
    let snapshot = Snapshot::build(&files);
    assert_eq!(snapshot.findings(), []);
    assert!(snapshot.valid_record().is_some());
    assert_eq!(snapshot.admissions().count(), 2);
    assert_eq!(snapshot.work_items().len(), 3);
}

#[test]
fn a_planted_secret_is_found_wherever_a_word_may_start() {
    for document in DOCUMENTS {
        let text = std::str::from_utf8(document.bytes).unwrap();
        for canary in CANARIES {
            for (at, _) in text.match_indices([' ', '\n']) {
                let (before, after) = text.split_at(at + 1);
                let planted = format!("{before}{canary} {after}");
                let path: Arc<str> = Arc::from(document.name);
                let findings = match document.kind {
                    Kind::DecisionRecord => {
                        decision_record::parse(&path, planted.as_bytes()).unwrap_err()
                    }
                    Kind::Admission => admission::parse(&path, planted.as_bytes()).unwrap_err(),
                    Kind::WorkItems => work_item::parse(&path, planted.as_bytes()).1,
                };
                let found = findings
                    .iter()
                    .any(|finding| finding.code.as_str().ends_with("-found"));
                assert!(found, "{canary} at {at} of {}: {findings:?}", document.name);
                check_findings(planted.as_bytes(), &findings);
            }
        }
    }
}
