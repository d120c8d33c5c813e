//! `show`: one entry by its number or its id, and the entries of a run or a host.

use std::fs;

use admit_policy::Code;
use serde_json::Value;

use crate::{
    audit,
    policy::{A, B},
    recording::{
        ALL_IN_ONE, Asked, Loaded, Recording, THREE_EACH, Written, entries, folder, lines,
        numbered, segments,
    },
};

#[test]
fn an_entry_is_found_by_its_number_and_by_its_id() {
    let written = Written::with(10, THREE_EACH);
    let all = entries(written.dir());
    for (at, line) in all.iter().enumerate() {
        let seq = (at + 1).to_string();
        let by_seq = audit(written.dir(), "show", &["--json", &seq]).exits(0);
        assert_eq!(by_seq.out.trim_end(), line);
        let by_id = audit(written.dir(), "show", &["--json", &written.ids[at]]).exits(0);
        assert_eq!(by_id.out.trim_end(), line);
    }
    for missing in ["0", "11", "018f0000-0000-7000-8000-000000000000"] {
        let done = audit(written.dir(), "show", &[missing]).exits(1);
        assert_eq!(done.out, "");
        assert!(done.err.contains(missing), "{}", done.err);
    }
    for senseless in [&["x"][..], &[], &["1", "--run", "run-1"]] {
        audit(written.dir(), "show", senseless).exits(2);
    }
}

#[test]
fn everything_about_an_entry_is_shown_and_its_reasons_are_explained() {
    let written = Written::with(10, THREE_EACH);
    let done = audit(written.dir(), "show", &["4"]).exits(0);
    let record: Value = serde_json::from_str(&entries(written.dir())[3]).unwrap();
    let mut texts = Vec::new();
    collect(&record, &mut texts);
    // Every value that the record has is there, the names of its members aside.
    for text in &texts {
        let is_shown =
            done.out.contains(text.as_str()) || ["deny", "decision"].contains(&text.as_str());
        assert!(is_shown, "{text} is not shown:\n{}", done.out);
    }
    assert!(done.out.contains("DENY"), "{}", done.out);
    for code in [Code::StageNotAdmitted, Code::CaseConfigMissing] {
        assert!(
            done.out
                .contains(&format!("{}: {}", code.as_str(), code.denies()))
        );
        assert!(done.out.contains(&format!("help: {}", code.help())));
    }
    // Where it stands: the first entry of the second segment.
    let segment = &segments(written.dir())[1];
    let name = segment.file_name().unwrap().to_str().unwrap();
    let (_, byte) = &lines(segment)[1];
    assert!(
        done.out.contains(&format!("{name}, line 2, byte {byte}\n")),
        "{}",
        done.out
    );
}

/// Every text and number of the value.
fn collect(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(number) => {
            // Nanoseconds are shown as milliseconds.
            if number.as_u64() != Some(12_000_000) {
                texts.push(number.to_string());
            }
        }
        Value::String(text) => texts.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
        Value::Object(members) => members.values().for_each(|value| collect(value, texts)),
    }
}

#[test]
fn entries_are_found_by_what_the_log_has_as_hmac_only() {
    let folder = folder();
    let recording = Recording::in_dir(folder.path(), THREE_EACH);
    let loaded = Loaded::of(&A.in_sot(), recording.key());
    // Five runs on two hosts, twice.
    for round in 0..2 {
        for run in 1..=5 {
            let mut request = numbered(if round == 0 { A } else { B }, run);
            request.host = format!("host-{}", run % 2);
            recording.record(Asked::now(request).entry(&loaded));
        }
    }
    let all = entries(folder.path());
    assert!(
        all.iter()
            .all(|line| !line.contains("run-") && !line.contains("host-"))
    );
    for (arguments, found) in [
        (&["--run", "run-3"][..], &[3, 8][..]),
        (&["--host", "host-0"], &[2, 4, 7, 9]),
        (&["--host", "host-0", "--run", "run-4"], &[4, 9]),
    ] {
        let json = [&["--json"][..], arguments].concat();
        let done = audit(folder.path(), "show", &json).exits(0);
        let lines: Vec<&str> = done.out.lines().collect();
        let expected: Vec<&String> = found.iter().map(|seq| &all[seq - 1]).collect();
        assert_eq!(lines, expected, "{arguments:?}");
        let plain = audit(folder.path(), "show", arguments).exits(0);
        for seq in found {
            assert!(
                plain.out.contains(&format!("entry {seq} of log ")),
                "{}",
                plain.out
            );
        }
    }
    // A run is no host, a part of its name is not it, and one that was closed twice is none.
    for arguments in [
        &["--run", "host-0"][..],
        &["--run", "run-"],
        &["--host", "host-0", "--run", "run-3"],
    ] {
        let done = audit(folder.path(), "show", arguments).exits(1);
        assert_eq!(done.out, "");
    }
}

#[test]
fn without_the_key_no_name_can_be_looked_for() {
    let written = Written::with(4, ALL_IN_ONE);
    let key = written.dir().join("names-key");
    let own = fs::read(&key).unwrap();
    // With another key it is said that nothing could be found there.
    fs::write(&key, format!("{}\n", "7".repeat(64))).unwrap();
    let done = audit(written.dir(), "show", &["--run", "run-1"]).exits(1);
    assert!(
        done.err.contains("another names key was in force then: 1"),
        "{}",
        done.err
    );
    fs::remove_file(&key).unwrap();
    let done = audit(written.dir(), "show", &["--run", "run-1"]).exits(2);
    assert!(done.err.contains("names-key"), "{}", done.err);
    assert!(!key.exists(), "no key is made by who only reads");
    audit(written.dir(), "show", &["1"]).exits(0);
    let mut file = fs::OpenOptions::new();
    std::io::Write::write_all(
        &mut std::os::unix::fs::OpenOptionsExt::mode(file.write(true).create_new(true), 0o600)
            .open(&key)
            .unwrap(),
        &own,
    )
    .unwrap();
    audit(written.dir(), "show", &["--run", "run-1"]).exits(0);
}
