//! `replay --against`: which past decisions an edit of the documents would flip.

use std::{fs, path::Path, time::Duration};

use admit_policy::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    Done, audit,
    policy::{A, ADMISSION, B, Policy, RECORD},
    recording::{ALL_IN_ONE, Asked, Loaded, Recording, folder, numbered},
};

/// The documents of `policy` in a folder, edited.
fn edited(policy: &Policy, edit: impl FnOnce(&Path)) -> TempDir {
    let folder = TempDir::new().unwrap();
    policy.write_to(folder.path());
    edit(&folder.path().join("sot"));
    folder
}

fn replace(file: &Path, old: &str, new: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(old), "{text}");
    fs::write(file, text.replace(old, new)).unwrap();
}

fn against(dir: &Path, documents: &Path, arguments: &[&str]) -> Done {
    let documents = documents.to_str().unwrap();
    audit(
        dir,
        "replay",
        &[arguments, &["--against", documents]].concat(),
    )
}

/// The changes that were found, each with the entry, and the summary.
fn flips(done: &Done) -> (Vec<(u64, String)>, Value) {
    let mut lines = done.json_lines();
    let summary = lines.pop().unwrap();
    assert_eq!(summary["type"], "summary");
    let flips = lines.iter().map(|line| {
        assert_eq!(line["type"], "flip");
        (
            line["seq"].as_u64().unwrap(),
            line["change"].as_str().unwrap().to_owned(),
        )
    });
    (flips.collect(), summary)
}

/// Under the policy of `A`: 1 allowed; 2 denied for its own facts; 3 of `B`, which nothing admits; 4 in
/// the fake lane; 5 before any policy was read; 6 under a policy that was stale; 7 of a host that
/// insists on this very policy, allowed.
fn log() -> TempDir {
    let folder = folder();
    let recording = Recording::in_dir(folder.path(), ALL_IN_ONE);
    let loaded = Loaded::of(&A.in_sot(), recording.key());
    recording.record(Asked::now(numbered(A, 1)).entry(&loaded));
    recording.record(Asked::now(numbered(A, 2)).entry(&loaded));
    recording.record(Asked::now(numbered(B, 3)).entry(&loaded));
    let mut fake = numbered(A, 5);
    fake.lane = admit_proto::v1::Lane::Fake.into();
    fake.provider.clear();
    fake.model.clear();
    recording.record(Asked::now(fake).entry(&loaded));
    let unread = Asked::now(numbered(A, 5)).decided(Err(recording.key()));
    let unread = admit_server::audit::record::Entry::Decision(Box::new(unread));
    recording.record((unread, None));
    let mut stale = Asked::now(numbered(A, 7));
    stale.unverified_for = Duration::from_secs(3600);
    recording.record(stale.entry(&loaded));
    let mut insisting = numbered(A, 7);
    insisting.expected_policy_digest = A.in_sot().digest();
    recording.record(Asked::now(insisting).entry(&loaded));
    folder
}

#[test]
fn the_same_documents_flip_nothing() {
    let log = log();
    let same = edited(&A.in_sot(), |_| {});
    let done = against(log.path(), same.path(), &["--json"]).exits(0);
    let (found, summary) = flips(&done);
    assert_eq!(found, []);
    assert_eq!(summary["decisions"], 7);
    assert_eq!(summary["changes"], json!({ "none": 7 }));
    assert_eq!(summary["edited_policy"], A.in_sot().digest());
    assert_eq!(summary["edited_findings"], 0);
}

#[test]
fn documents_with_findings_are_remarked_on() {
    let log = log();
    let broken = edited(&A.in_sot(), |sot| {
        replace(&sot.join(RECORD), "`anthropic`", "anthropic is the one");
    });
    let done = against(log.path(), broken.path(), &["--json"]).exits(1);
    let (found, summary) = flips(&done);
    assert_eq!(found.len(), 2);
    assert!(summary["edited_findings"].as_u64().unwrap() > 0);
    let plain = against(log.path(), broken.path(), &[]).exits(1);
    assert!(plain.out.contains("see `admitd validate`"), "{}", plain.out);
    assert!(
        plain.out.contains("decision-record-invalid"),
        "{}",
        plain.out
    );
}

#[test]
fn an_edit_that_denies_names_what_was_allowed() {
    let log = log();
    let undecided = edited(&A.in_sot(), |sot| {
        replace(
            &sot.join(RECORD),
            "external_provider_approved",
            "not_decided",
        );
    });
    let done = against(log.path(), undecided.path(), &["--json"]).exits(1);
    let (found, summary) = flips(&done);
    assert_eq!(found, [(1, "denied".into()), (7, "denied".into())]);
    let line: Value = serde_json::from_str(done.out.lines().next().unwrap()).unwrap();
    assert_eq!(line["recorded"]["verdict"], "allow");
    assert_eq!(
        line["under_edit"],
        json!({
            "verdict": "deny",
            "reasons": ["decision-not-decided"],
            "admission_status": "not_admitted"
        })
    );
    // Denied for one more reason: what was denied for its facts, for its pair, and for being stale.
    assert_eq!(
        summary["changes"],
        json!({ "denied": 2, "reasons": 3, "none": 2 })
    );
    let plain = against(log.path(), undecided.path(), &[]).exits(1);
    for text in [
        "FLIPS entry 1 ",
        "FLIPS entry 7 ",
        "was       ALLOW (admitted)",
        "would be  DENY decision-not-decided (not_admitted)",
        "2 flips in 7 decisions under the policy ",
        "       2  allowed, and would be denied\n",
    ] {
        assert!(plain.out.contains(text), "{text}:\n{}", plain.out);
    }
}

#[test]
fn an_edit_that_allows_names_what_was_denied_and_opens_the_names_that_it_has() {
    let log = log();
    // The pair of `B` stands in the log as HMAC: no policy of that time named it.
    assert!(!log_text(log.path()).contains(B.0));
    let documents = edited(&B.in_sot(), |_| {});
    let done = against(log.path(), documents.path(), &["--json"]).exits(1);
    let (found, _) = flips(&done);
    let expected = [(1, "denied"), (3, "allowed"), (7, "denied")];
    assert_eq!(
        found,
        expected.map(|(seq, change)| (seq, change.to_owned()))
    );
}

fn log_text(dir: &Path) -> String {
    let segments = crate::recording::segments(dir);
    segments
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect()
}

#[test]
fn what_only_waits_for_the_hosts_is_told_apart() {
    let log = log();
    let reworded = edited(&A.in_sot(), |sot| {
        replace(&sot.join(ADMISSION), "\"a test\"", "\"another test\"");
    });
    let done = against(log.path(), reworded.path(), &["--json"]).exits(1);
    let (found, summary) = flips(&done);
    let until = "denied-until-host".to_owned();
    assert_eq!(found, [(1, until.clone()), (7, until)]);
    assert_eq!(summary["changes"]["denied-until-host"], 2);
    // A person sees how many there are, and not one by one: they say nothing about the rules.
    let plain = against(log.path(), reworded.path(), &[]).exits(1);
    assert!(!plain.out.contains("FLIPS"), "{}", plain.out);
    let count =
        "       2  allowed, and would be denied only until the host has the edited file too";
    assert!(plain.out.contains(count), "{}", plain.out);
    // A work item is no policy: not even the digest changes.
    let beside = edited(&A.in_sot(), |sot| {
        fs::write(sot.join("X-ISSUES.md"), "# Issues\n").unwrap();
    });
    against(log.path(), beside.path(), &[]).exits(0);
}

#[test]
fn what_would_be_allowed_once_the_host_follows_is_a_flip() {
    let folder = folder();
    let recording = Recording::in_dir(folder.path(), ALL_IN_ONE);
    let before = TempDir::new().unwrap();
    A.in_sot().write_to(before.path());
    let admission = before.path().join("sot").join(ADMISSION);
    replace(&admission, "\"admitted\"", "\"revoked\"");
    let loaded = Loaded::read(before.path(), crate::recording::terms(), recording.key());
    let revoked = fs::read_to_string(&admission).unwrap();
    let mut of_host = numbered(A, 1);
    of_host.admission_file_digest = Digest::of(revoked.as_bytes()).to_string();
    recording.record(Asked::now(of_host.clone()).entry(&loaded));
    // This host has another file than the policy, before the edit and after it.
    of_host.admission_file_digest = Digest::of(b"another file").to_string();
    recording.record(Asked::now(of_host).entry(&loaded));
    // This one has the edited file already.
    recording.record(Asked::now(numbered(A, 1)).entry(&loaded));
    let after = edited(&A.in_sot(), |_| {});
    let done = against(folder.path(), after.path(), &["--json"]).exits(1);
    let (found, summary) = flips(&done);
    assert_eq!(
        found,
        [
            (1, "allowed-with-host".to_owned()),
            (3, "allowed".to_owned())
        ]
    );
    assert_eq!(summary["changes"]["reasons"], 1);
    let plain = against(folder.path(), after.path(), &[]).exits(1);
    let hint = "ALLOW as soon as the host has the edited file too";
    assert!(plain.out.contains(hint), "{}", plain.out);
}

#[test]
fn without_the_key_or_the_documents_nothing_is_compared() {
    let log = log();
    let same = edited(&A.in_sot(), |_| {});
    let none = same.path().join("none");
    let done = against(log.path(), &none, &[]).exits(2);
    assert!(done.err.contains("policy directory"), "{}", done.err);
    let key = log.path().join("names-key");
    // What was closed with another key is not taken for what it is not.
    fs::write(&key, format!("{}\n", "7".repeat(64))).unwrap();
    let done = against(log.path(), same.path(), &["--json"]).exits(1);
    assert_eq!(flips(&done).1["other_key"], 7);
    fs::remove_file(&key).unwrap();
    let done = against(log.path(), same.path(), &[]).exits(2);
    assert!(done.err.contains("names-key"), "{}", done.err);
}
