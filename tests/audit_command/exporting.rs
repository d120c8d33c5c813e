//! `export`: a part of the log, sent to a receiver again.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::{
    Done, audit,
    receiver::{Fault, Receiver},
    recording::{THREE_EACH, Written, segments},
};

/// A configuration that names the log and a receiver.
fn config(written: &Written, endpoint: &str) -> PathBuf {
    let path = written.dir().join("admitd.toml");
    let dir = written.dir();
    let text = format!("[audit]\ndir = {dir:?}\n[export]\nendpoint = {endpoint:?}\n");
    fs::write(&path, text).unwrap();
    path
}

fn export(written: &Written, receiver: &Receiver, arguments: &[&str]) -> Done {
    let config = config(written, &format!("http://{}", receiver.address()));
    let config = ["--config", config.to_str().unwrap()];
    audit(written.dir(), "export", &[&config[..], arguments].concat())
}

fn taken(receiver: &Receiver) -> Vec<u64> {
    receiver.ledger(|ledger| ledger.by_seq().into_keys().collect())
}

#[test]
fn the_entries_from_one_on_are_sent_again() {
    let written = Written::with(10, THREE_EACH);
    let receiver = Receiver::start();
    let done = export(&written, &receiver, &["--from-seq", "4", "--json"]).exits(0);
    assert_eq!(
        done.json(),
        json!({
            "schema": "admitd.audit.export/1",
            "first_seq": 4,
            "last_seq": 10,
            "accepted": 7,
            "refused": 0
        })
    );
    assert_eq!(taken(&receiver), [4, 5, 6, 7, 8, 9, 10]);
    let done = export(&written, &receiver, &["--from-seq", "10"]).exits(0);
    assert_eq!(
        done.out,
        "sent entries 10 to 10: the receiver took 1 span and refused 0\n"
    );
    let done = export(&written, &receiver, &["--from-seq", "11"]).exits(1);
    assert_eq!(done.out, "nothing to send: the last entry is 10\n");
    // Of what was retired the rest is sent, and it is said so.
    fs::remove_file(&segments(written.dir())[0]).unwrap();
    let done = export(&written, &receiver, &["--from-seq", "2"]).exits(0);
    assert!(
        done.out.contains("the log begins with entry 4"),
        "{}",
        done.out
    );
}

#[test]
fn what_the_receiver_refuses_for_good_is_counted() {
    let written = Written::with(4, THREE_EACH);
    let receiver = Receiver::start();
    receiver.ledger(|ledger| ledger.faults.push_back(Fault::Partial(1)));
    let done = export(&written, &receiver, &["--from-seq", "1", "--json"]).exits(1);
    let done: Value = done.json();
    assert_eq!(
        (&done["accepted"], &done["refused"]),
        (&json!(3), &json!(1))
    );
}

#[test]
fn without_a_receiver_nothing_is_sent() {
    let written = Written::with(1, THREE_EACH);
    let config = config(&written, "");
    let done = audit(
        written.dir(),
        "export",
        &["--config", config.to_str().unwrap(), "--from-seq", "1"],
    )
    .exits(2);
    assert!(done.err.contains("export.endpoint"), "{}", done.err);
    // Nobody listens where a receiver was.
    let mut receiver = Receiver::start();
    receiver.crash();
    let done = export(&written, &receiver, &["--from-seq", "1"]).exits(2);
    assert!(done.err.contains("could not be sent"), "{}", done.err);
}
