//! The identity of a snapshot: what it depends on, and what it does not.
//!
//! Deliberately absent: what the documents mean, and how the files are found.

#![expect(clippy::expect_used, reason = "tests fail loudly")]

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use admit_policy::{
    FindingCode, Judged, Snapshot, SourceFile, document::Kind, snapshot::RecordState,
    source_file::ContentFault,
};
use proptest::{prelude::*, sample::select};
use sha2::{Digest as _, Sha256};

const RECORD: &str = include_str!("../../deploy/example/sot/CTO-CASE-PROVIDER-DECISION-RECORD.md");
const LOCAL: &str = include_str!(
    "../../deploy/example/sot/CTO-CASE-MODEL-PROVIDER-ADMISSION.qwen-local-qwen3.6-35b-a3b.json"
);
const CODEX: &str = include_str!(
    "../../deploy/example/sot/CTO-CASE-MODEL-PROVIDER-ADMISSION.openai-codex-gpt-5.5.json"
);
const ITEMS: &str =
    include_str!("../../deploy/example/sot/CTO-CASE-MODEL-PROVIDER-ADMISSION-ISSUES.md");

fn file(path: &str, kind: Kind, text: &str) -> SourceFile {
    SourceFile {
        path: Arc::from(path),
        kind,
        content: Ok(Arc::from(text.as_bytes())),
    }
}

/// SHA-256 over one line for each record and admission, sorted by path, as `sha256sum` prints it.
fn digest_by_hand(files: &[SourceFile]) -> String {
    let lines: BTreeMap<&str, String> = files
        .iter()
        .filter(|file| file.kind != Kind::WorkItems)
        .map(|file| {
            let content = file.content.as_ref().expect("a file that was read");
            let line = format!("{}  {}\n", hexadecimal(&Sha256::digest(content)), file.path);
            (&*file.path, line)
        })
        .collect();
    let all: String = lines.into_values().collect();
    hexadecimal(&Sha256::digest(all.as_bytes()))
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Checks that two snapshots say the same.
fn check_same(a: &Snapshot, b: &Snapshot) {
    assert_eq!(a.digest(), b.digest());
    assert_eq!(a.record(), b.record());
    assert_eq!(a.findings(), b.findings());
    assert_eq!(a.work_items(), b.work_items());
    assert_eq!(a.pairs(), b.pairs());
    let admitted = |snapshot: &Snapshot| -> Vec<_> {
        let pairs = snapshot.admitted_pairs();
        pairs
            .map(|(pair, admitted)| (pair, admitted.clone()))
            .collect()
    };
    assert_eq!(admitted(a), admitted(b));
}

/// The contents that a file may have: valid, of another pair, of another role, and broken ones.
fn contents(kind: Kind) -> Vec<String> {
    let text = |text: &str| text.to_owned();
    match kind {
        Kind::DecisionRecord => vec![
            text(RECORD),
            RECORD.replace("local_provider_required", "not_decided"),
            RECORD.replace("`qwen-local`", "`anthropic`"),
            text(""),
        ],
        Kind::Admission => vec![
            text(LOCAL),
            text(CODEX),
            LOCAL.replace("admitted", "revoked"),
            LOCAL.replace("qwen3.6-35b-a3b", "other"),
            LOCAL.replace("\"role\"", "\"rule\""),
            text("{}"),
        ],
        Kind::WorkItems => vec![
            text(ITEMS),
            ITEMS.replace("blocked", "validated"),
            ITEMS.replace("CTO-WORK-020", "CTO-WORK-022"),
            ITEMS.replace("Status:", "State:"),
        ],
    }
}

fn source_file() -> impl Strategy<Value = SourceFile> {
    let kind = select(
        &[
            Kind::DecisionRecord,
            Kind::Admission,
            Kind::Admission,
            Kind::WorkItems,
        ][..],
    );
    kind.prop_flat_map(|kind| {
        let content = select(contents(kind)).prop_map(|text| Ok(Arc::from(text.into_bytes())));
        let fault = select(&[ContentFault::Unreadable, ContentFault::LinkNotFollowed][..]);
        let content = prop_oneof![8 => content, 1 => fault.prop_map(Err)];
        (Just(kind), content)
    })
    .prop_map(
        |(kind, content): (Kind, Result<Arc<[u8]>, ContentFault>)| SourceFile {
            path: Arc::from(""),
            kind,
            content,
        },
    )
}

/// Up to eight files, each at its own path.
fn directory() -> impl Strategy<Value = Vec<SourceFile>> {
    let path = prop_oneof!["[a-c]{1,3}", "[a-c]/[A-C.]{1,3}", "\\.s/[é 𝔸~-]{1,3}"];
    prop::collection::btree_map(path, source_file(), 0..8).prop_map(|files| {
        let with_path = |(path, file): (String, SourceFile)| SourceFile {
            path: Arc::from(path),
            ..file
        };
        files.into_iter().map(with_path).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_judged_step_by_step_is_as_judged_at_once(
        steps in prop::collection::vec((directory(), any::<prop::sample::Index>()), 1..5)
    ) {
        let mut files: Vec<SourceFile> = Vec::new();
        let mut judged: Vec<Arc<Judged>> = Vec::new();
        for (changed, at) in steps {
            // Some files stay, some change, some go, some come.
            files.truncate(at.index(files.len() + 1));
            files.retain(|file| changed.iter().all(|other| other.path != file.path));
            files.extend(changed);
            files.sort_by(|a, b| a.path.cmp(&b.path));
            let former = judged;
            judged = Judged::all(&files, &former);
            check_same(&Snapshot::of_judged(&judged, Vec::new()), &Snapshot::build(&files));
            for one in &judged {
                let same = former.iter().find(|other| other.file() == one.file());
                prop_assert!(same.is_none_or(|same| Arc::ptr_eq(same, one)));
            }
        }
    }

    #[test]
    fn the_order_of_the_files_does_not_matter(
        (files, shuffled) in directory().prop_flat_map(|files| {
            (Just(files.clone()), Just(files).prop_shuffle())
        })
    ) {
        check_same(&Snapshot::build(&files), &Snapshot::build(&shuffled));
    }

    #[test]
    fn the_digest_is_that_of_sha256sum(mut files in directory()) {
        files.retain(|file| file.content.is_ok());
        let digest = Snapshot::build(&files).digest().to_string();
        prop_assert_eq!(digest, digest_by_hand(&files));
    }

    #[test]
    fn work_items_are_not_in_the_digest(files in directory(), more in source_file()) {
        let mut without = files.clone();
        without.retain(|file| file.kind != Kind::WorkItems);
        let digest = Snapshot::build(&without).digest();
        prop_assert_eq!(Snapshot::build(&files).digest(), digest);
        let mut with = files;
        with.push(SourceFile { path: Arc::from("zz-ISSUES.md"), kind: Kind::WorkItems, ..more });
        prop_assert_eq!(Snapshot::build(&with).digest(), digest);
    }

    #[test]
    fn any_changed_byte_changes_the_digest(
        is_record: bool, at: prop::sample::Index, xor in 1..=u8::MAX, is_added: bool,
    ) {
        let files = [
            file("a.md", Kind::DecisionRecord, RECORD),
            file("b.json", Kind::Admission, LOCAL),
        ];
        let before = Snapshot::build(&files).digest();
        let mut changed = files;
        let index = usize::from(!is_record);
        let mut bytes = changed[index].content.clone().unwrap().to_vec();
        let at = at.index(bytes.len());
        if is_added {
            bytes.insert(at, xor);
        } else {
            bytes[at] ^= xor;
        }
        changed[index].content = Ok(Arc::from(bytes));
        prop_assert_ne!(Snapshot::build(&changed).digest(), before);
    }

    #[test]
    fn any_file_that_comes_goes_or_moves_changes_the_digest(
        files in directory(), more in source_file(), picked: prop::sample::Index,
    ) {
        let digest = Snapshot::build(&files).digest();
        let mut policy = files;
        policy.retain(|file| file.kind != Kind::WorkItems);
        if more.kind != Kind::WorkItems {
            let mut with = policy.clone();
            with.push(SourceFile { path: Arc::from("z"), ..more });
            prop_assert_ne!(Snapshot::build(&with).digest(), digest);
        }
        if !policy.is_empty() {
            let at = picked.index(policy.len());
            let mut moved = policy.clone();
            moved[at].path = Arc::from("z");
            prop_assert_ne!(Snapshot::build(&moved).digest(), digest);
            policy.remove(at);
            prop_assert_ne!(Snapshot::build(&policy).digest(), digest);
        }
    }

    #[test]
    fn an_invalid_file_takes_no_other_file_down(files in directory()) {
        // A pair is admitted exactly by the valid files that name it, whatever stands beside them.
        let snapshot = Snapshot::build(&files);
        let valid = |wanted: &str| {
            let named = |file: &&SourceFile| {
                file.kind == Kind::Admission
                    && file.content.as_ref().is_ok_and(|bytes| {
                        let text = std::str::from_utf8(bytes).unwrap();
                        text.contains(wanted) && !text.contains("\"rule\"")
                    })
            };
            files.iter().filter(named).count()
        };
        for (provider, model) in [("qwen-local", "qwen3.6-35b-a3b"), ("qwen-local", "other"), ("openai-codex", "gpt-5.5")] {
            let count = valid(&format!("\"model\": \"{model}\""));
            prop_assert_eq!(snapshot.admitted(provider, model).is_some(), count > 0);
            prop_assert_eq!(snapshot.admission(provider, model).is_some(), count == 1);
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_in_the_digest() {
    let digests: Vec<_> = [
        Ok(Arc::from(RECORD.as_bytes())),
        Err(ContentFault::Unreadable),
        Err(ContentFault::TooLarge),
        Err(ContentFault::NotAFile),
        Err(ContentFault::LinkNotFollowed),
    ]
    .into_iter()
    .map(|content| {
        let snapshot = Snapshot::build(&[SourceFile {
            path: Arc::from("a.md"),
            kind: Kind::DecisionRecord,
            content,
        }]);
        snapshot.digest()
    })
    .collect();
    for (index, digest) in digests.iter().enumerate() {
        assert!(!digests[index + 1..].contains(digest), "{index}");
        assert_ne!(*digest, Snapshot::build(&[]).digest());
    }
}

#[test]
fn the_record_is_the_only_one_or_none() {
    let record = |path: &str, text: &str| file(path, Kind::DecisionRecord, text);
    let build = |files: &[SourceFile]| Snapshot::build(files);
    assert!(matches!(build(&[]).record(), RecordState::Missing));
    assert!(matches!(
        build(&[record("a", RECORD)]).record(),
        RecordState::Valid(_)
    ));
    assert!(matches!(
        build(&[record("a", "")]).record(),
        RecordState::Invalid(_)
    ));
    for second in [RECORD, ""] {
        let snapshot = build(&[record("a", RECORD), record("b", second)]);
        assert!(matches!(snapshot.record(), RecordState::Conflict(_)));
        let conflicts = snapshot.findings().iter();
        let conflicts = conflicts.filter(|f| f.code == FindingCode::DecisionRecordConflict);
        assert_eq!(conflicts.count(), 2);
    }
}
