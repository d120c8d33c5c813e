//! Who asked, and what was refused because of who asked: recorded, checked, shown and sent; and logs of
//! before, which know nothing of it.

use std::{fs, path::Path};

use admit_server::{
    audit::record::{Entry, Refusal},
    caller::{RefusalCause, Rpc, Via},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    audit,
    forging::rewrite_unsigned,
    policy::A,
    receiver::Receiver,
    recording::{
        ALL_IN_ONE, Asked, Loaded, ONE_EACH, Recording, entries, folder, numbered, segments,
    },
};

const NOTHING: [&str; 0] = [];
/// A log as it was before callers had names: a segment with one decision and one verdict on evidence.
const BEFORE_CALLERS: &str = include_str!("before_callers.jsonl");

fn refusal(caller: Option<&str>, via: Via, rpc: Option<Rpc>, cause: RefusalCause) -> Entry {
    Entry::Refused(Refusal {
        since: "2027-01-01T00:00:01.25Z".into(),
        until: "2027-01-01T00:00:09.5Z".into(),
        caller: caller.map(Into::into),
        via: via.into(),
        rpc: rpc.map(Into::into),
        cause: cause.into(),
        count: 14,
    })
}

/// Every way to refuse a call: one of each word at least, a call of none, and a caller that has a name and
/// none.
fn refusals() -> Vec<Entry> {
    let causes = RefusalCause::ALL.into_iter().enumerate();
    causes
        .map(|(at, cause)| {
            let caller = (at >= 3).then_some("ci-runner");
            // The last one is of no call.
            refusal(caller, Via::ALL[at % 3], Rpc::ALL.get(at).copied(), cause)
        })
        .collect()
}

/// A log with a decision for `ci-runner` before and behind all refusals.
fn log(segment_bytes: u64) -> TempDir {
    let folder = folder();
    let recording = Recording::in_dir(folder.path(), segment_bytes);
    let loaded = Loaded::of(&A.in_sot(), recording.key());
    let decision = || {
        let mut decision = Asked::now(numbered(A, 2)).decided(Ok(&loaded));
        decision.caller = Some("ci-runner".into());
        let basis = std::sync::Arc::clone(&loaded.basis);
        (Entry::Decision(Box::new(decision)), Some(basis))
    };
    recording.record(decision());
    for entry in refusals() {
        recording.record((entry, None));
    }
    recording.record(decision());
    folder
}

#[test]
fn refused_calls_are_in_the_chain_and_a_replay_passes_over_them() {
    for segment_bytes in [ALL_IN_ONE, ONE_EACH] {
        let folder = log(segment_bytes);
        let done = audit(folder.path(), "verify", &["--json"]).exits(0).json();
        assert_eq!(done["log"]["entries"], 8);
        let done = audit(folder.path(), "replay", &["--json"]).exits(0).json();
        assert_eq!((&done["decisions"], &done["same"]), (&json!(2), &json!(2)));
        // An edit of one is a damage as of any entry.
        let segment = segments(folder.path()).into_iter().find(|segment| {
            let text = fs::read_to_string(segment).unwrap();
            text.contains("\"count\":14")
        });
        let segment = segment.unwrap();
        let text = fs::read_to_string(&segment).unwrap();
        fs::write(&segment, text.replacen("\"count\":14", "\"count\":13", 1)).unwrap();
        audit(folder.path(), "verify", &NOTHING).exits(1);
    }
}

#[test]
fn a_refused_call_is_shown() {
    let folder = log(ALL_IN_ONE);
    let all = entries(folder.path());
    let tail = audit(folder.path(), "tail", &NOTHING).exits(0).out;
    let tail: Vec<&str> = tail.lines().collect();
    let json = audit(folder.path(), "tail", &["--json", "-n", "8"]).exits(0);
    assert_eq!(json.out.lines().collect::<Vec<_>>(), all);
    for (seq, line) in (2..=7).zip(&all[1..7]) {
        let json = audit(folder.path(), "show", &["--json", &seq.to_string()]).exits(0);
        assert_eq!(json.out.trim_end(), line);
        let entry: Value = json.json();
        let plain = audit(folder.path(), "show", &[seq.to_string()])
            .exits(0)
            .out;
        for member in ["since", "until", "via", "cause", "prev", "hash"] {
            let value = entry[member].as_str().unwrap();
            assert!(plain.contains(value), "{member}: {plain}");
        }
        assert!(plain.contains(" 14\n"), "{plain}");
        let called = entry["rpc"].as_str().unwrap_or("none of the contract");
        assert!(plain.contains(called), "{plain}");
        let who = entry["caller"].as_str().unwrap_or("none that is known");
        assert!(plain.contains(who), "{plain}");
    }
    assert_eq!(
        [tail[1], tail[6]],
        [
            "2027-01-01T00:00:09.500Z        2 REFUSED: 14 calls of admit over plaintext, no known \
             caller: unknown-caller, since 2027-01-01T00:00:01.250Z",
            "2027-01-01T00:00:09.500Z        7 REFUSED: 14 calls of none of the contract over tls, caller \
             ci-runner: host-not-granted, since 2027-01-01T00:00:01.250Z",
        ]
    );
}

#[test]
fn who_asked_is_shown_beside_the_answer() {
    let folder = log(ALL_IN_ONE);
    let tail = audit(folder.path(), "tail", &["-n", "1"]).exits(0).out;
    assert!(tail.ends_with(", caller ci-runner\n"), "{tail}");
    let show = audit(folder.path(), "show", &["1"]).exits(0).out;
    let row = show.lines().find(|row| row.trim().starts_with("caller "));
    assert!(row.unwrap().ends_with(" ci-runner"), "{show}");
    let done = audit(folder.path(), "show", &["--json", "1"]).exits(0);
    assert_eq!(done.json()["caller"], "ci-runner");
    // A replay says of whose launch it is that the answer differs.
    rewrite_unsigned(folder.path(), |line| {
        line.replace("stage-not-admitted", "pair-not-selected")
    });
    let done = audit(folder.path(), "replay", &["--json"]).exits(1);
    for finding in &done.json_lines()[..2] {
        assert_eq!(finding["type"], "difference");
        assert_eq!(finding["caller"], "ci-runner");
    }
    let plain = audit(folder.path(), "replay", &NOTHING).exits(1).out;
    let pair = "anthropic/claude-alpha-1, caller ci-runner\n";
    assert!(plain.contains(pair), "{plain}");
    // Nobody's terminal obeys what somebody wrote into the log.
    rewrite_unsigned(folder.path(), |line| {
        line.replace("\"ci-runner\"", "\"\\u001b[2J\u{202e}\"")
    });
    for (command, arguments) in [
        ("tail", &[][..]),
        ("show", &["1"]),
        ("show", &["7"]),
        ("replay", &[]),
    ] {
        let done = audit(folder.path(), command, arguments);
        assert!(done.out.contains("202e"), "{command}: {}", done.out);
        assert!(!done.out.contains(['\u{1b}', '\u{202e}']), "{}", done.out);
    }
}

#[test]
fn a_refused_call_is_sent_as_a_span_of_its_own() {
    let folder = log(ALL_IN_ONE);
    let receiver = Receiver::start();
    let config = folder.path().join("admitd.toml");
    let (dir, address) = (folder.path(), receiver.address());
    let text = format!("[audit]\ndir = {dir:?}\n[export]\nendpoint = \"http://{address}\"\n");
    fs::write(&config, text).unwrap();
    let arguments = ["--config", config.to_str().unwrap(), "--from-seq", "1"];
    audit(dir, "export", &arguments).exits(0);
    let spans = receiver.ledger(|ledger| ledger.by_seq());
    let names: Vec<&str> = spans.values().map(|span| span.name.as_str()).collect();
    let mut expected = ["admit.audit.refused"; 8];
    expected[0] = "admit.decision";
    expected[7] = "admit.decision";
    assert_eq!(names, expected);
    for (seq, span) in &spans {
        let caller = span
            .attributes
            .iter()
            .find(|attribute| attribute.key == "admit.caller");
        assert_eq!(caller.is_some(), !(2..=4).contains(seq), "entry {seq}");
    }
}

/// Writes the log of before into a folder.
fn before() -> TempDir {
    let folder = folder();
    let segment = folder.path().join("segment-00000000000000000001.jsonl");
    fs::write(segment, BEFORE_CALLERS).unwrap();
    folder
}

fn replayed(dir: &Path) -> Value {
    audit(dir, "verify", &NOTHING).exits(0);
    audit(dir, "replay", &["--json"]).exits(0).json()
}

#[test]
fn a_log_of_before_is_read_as_ever_and_goes_on() {
    assert!(!BEFORE_CALLERS.contains("\"caller\""));
    let folder = before();
    let done = replayed(folder.path());
    assert_eq!((&done["same"], &done["evidence"]), (&json!(2), &json!(1)));
    for seq in ["1", "2"] {
        let show = audit(folder.path(), "show", &[seq]).exits(0).out;
        let is_row = |row: &str| row.trim().starts_with("caller ");
        assert!(!show.lines().any(is_row), "{show}");
    }
    let tail = audit(folder.path(), "tail", &NOTHING).exits(0).out;
    assert_eq!(tail.lines().count(), 2);
    assert!(
        !tail.contains("caller") && !tail.contains("DAMAGED"),
        "{tail}"
    );
    let recording = Recording::in_dir(folder.path(), ALL_IN_ONE);
    let loaded = Loaded::of(&A.in_sot(), recording.key());
    recording.record(Asked::now(numbered(A, 1)).entry(&loaded));
    for entry in refusals() {
        recording.record((entry, None));
    }
    drop(recording);
    let done = replayed(folder.path());
    assert_eq!((&done["same"], &done["last_seq"]), (&json!(3), &json!(9)));
}
