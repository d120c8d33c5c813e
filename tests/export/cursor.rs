//! Where the export goes on after an end of any kind: never behind what a receiver has.

use std::{
    fs,
    path::{Path, PathBuf},
};

use admit_server::{
    audit::{
        CURSOR_FILE,
        segment::{self, Lines},
    },
    export::{self, cursor::NotAsSent},
};
use serde_json::{Value, json};

use crate::{
    Audit, plain,
    receiver::{Fault, Receiver},
};

#[tokio::test]
async fn a_restart_goes_on_behind_what_was_acknowledged() {
    let (audit, receiver) = (Audit::open(), Receiver::start());
    let exporter = audit.export_to(&receiver);
    audit.decide(100).await;
    receiver.until("all", |ledger| ledger.has_all(1, 100)).await;
    audit.settled(101).await;
    drop(exporter);
    audit.decide(50).await;
    let _exporter = audit.export_to(&receiver);
    receiver
        .until("more", |ledger| ledger.has_all(1, 150))
        .await;
    receiver.ledger(|ledger| assert_eq!(ledger.taken.len(), 150));
}

#[tokio::test]
async fn what_was_taken_without_an_answer_is_sent_again() {
    let (audit, receiver) = (Audit::open(), Receiver::start());
    audit.decide(20).await;
    receiver.ledger(|ledger| ledger.faults.push_back(Fault::TakenInSilence));
    let exporter = audit.export_to(&receiver);
    receiver
        .until("taken", |ledger| ledger.has_all(1, 20))
        .await;
    drop(exporter);
    let _exporter = audit.export_to(&receiver);
    audit.settled(21).await;
    receiver.ledger(|ledger| {
        assert_eq!((ledger.times(1), ledger.times(20)), (2, 2));
        assert_eq!(ledger.by_seq().len(), 20);
    });
}

#[tokio::test]
async fn a_cursor_of_before_the_acknowledgment_sends_again() {
    let (audit, receiver) = (Audit::open(), Receiver::start());
    let exporter = audit.export_to(&receiver);
    audit.decide(30).await;
    audit.settled(31).await;
    let path = audit.dir().join(CURSOR_FILE);
    let before = fs::read(&path).unwrap();
    audit.decide(30).await;
    audit.settled(61).await;
    drop(exporter);
    // A crash between the acknowledgment and the new cursor.
    fs::write(&path, before).unwrap();
    let _exporter = audit.export_to(&receiver);
    audit.settled(61).await;
    receiver
        .until("again", |ledger| ledger.times(60) == 2)
        .await;
    receiver.ledger(|ledger| {
        assert_eq!((ledger.times(30), ledger.times(31)), (1, 2));
        assert_eq!(ledger.by_seq().len(), 60);
    });
}

#[tokio::test]
async fn a_cursor_of_no_use_sends_everything_again() {
    let (audit, receiver) = (Audit::open(), Receiver::start());
    let exporter = audit.export_to(&receiver);
    audit.decide(60).await;
    audit.settled(61).await;
    drop(exporter);
    let path = audit.dir().join(CURSOR_FILE);
    let good: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let with = |key: &str, value: Value| {
        let mut changed = good.clone();
        changed[key] = value;
        changed.to_string()
    };
    let number = |key: &str| good[key].as_u64().unwrap();
    let useless = [
        String::new(),
        "{".into(),
        good.to_string().chars().take(20).collect(),
        with("stream_id", json!("another")),
        with("segment", json!(2)),
        with("offset", json!(number("offset") - 1)),
        with("offset", json!(number("offset") + 1)),
    ];
    for (at, useless) in useless.iter().enumerate() {
        fs::write(&path, useless).unwrap();
        let exporter = audit.export_to(&receiver);
        let times = at + 2;
        let is_again = |seq| move |ledger: &crate::receiver::Ledger| ledger.times(seq) == times;
        receiver.until(useless, is_again(60)).await;
        receiver.until(useless, is_again(1)).await;
        audit.settled(61).await;
        drop(exporter);
    }
    receiver.ledger(|ledger| assert_eq!(ledger.by_seq().len(), 60));
}

#[tokio::test]
async fn a_cursor_in_the_middle_is_held_to_the_entry_behind_it() {
    let (audit, receiver) = (Audit::open(), Receiver::start());
    let exporter = audit.export_to(&receiver);
    audit.decide(10).await;
    audit.settled(11).await;
    let path = audit.dir().join(CURSOR_FILE);
    let mut cursor: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    audit.decide(10).await;
    audit.settled(21).await;
    drop(exporter);
    // It would pass over the entry 11, whose hash it even has.
    cursor["next_seq"] = json!(12);
    cursor["hash"] = entries(audit.dir())[10].2["hash"].clone();
    fs::write(&path, cursor.to_string()).unwrap();
    let _exporter = audit.export_to(&receiver);
    receiver
        .until("all again", |ledger| {
            ledger.times(1) == 2 && ledger.times(11) == 2
        })
        .await;
}

/// Every line of the log that is an entry: its segment, where it begins, and what it says.
fn entries(dir: &Path) -> Vec<(PathBuf, u64, Value)> {
    let mut entries = Vec::new();
    for segment in segment::list(dir).unwrap() {
        let mut lines = Lines::open(&segment.path).unwrap();
        while let Some(line) = lines.next_line().unwrap() {
            let entry: Value = serde_json::from_slice(&line.bytes).unwrap();
            if entry["seq"].is_u64() {
                entries.push((segment.path.clone(), line.offset, entry));
            }
        }
    }
    entries
}

/// Cuts the log off before the entry `seq`.
fn cut(dir: &Path, seq: u64) {
    let of_seq = |(_, _, entry): &(PathBuf, u64, Value)| entry["seq"] == seq;
    let (path, offset, _) = entries(dir).into_iter().find(of_seq).unwrap();
    for segment in segment::list(dir).unwrap() {
        if segment.path > path {
            fs::remove_file(&segment.path).unwrap();
        }
    }
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(offset).unwrap();
}

/// A log of 60 entries that a receiver has.
async fn sent() -> (Audit, Receiver) {
    let (audit, receiver) = (Audit::open(), Receiver::start());
    let exporter = audit.export_to(&receiver);
    audit.decide(60).await;
    audit.settled(61).await;
    drop(exporter);
    (audit, receiver)
}

#[tokio::test]
async fn a_log_whose_tail_was_cut_is_not_exported() {
    let (audit, receiver) = sent().await;
    let calls = receiver.ledger(|ledger| ledger.calls.len());
    let cursor = fs::read(audit.dir().join(CURSOR_FILE)).unwrap();
    for first_gone in [60, 30, 1] {
        let left = audit.edited(None, |dir| cut(dir, first_gone));
        let last = first_gone - 1;
        let lack = left.not_as_sent(&receiver);
        assert_eq!(lack, NotAsSent::TailCut { last, sent: 60 });
        assert_eq!(
            lack.to_string(),
            format!("the log ends with {last}, and a receiver has 60: its tail was cut")
        );
        // Nor when it has grown to one entry less than the receiver has.
        left.decide(59 - last).await;
        let lack = left.not_as_sent(&receiver);
        assert_eq!(lack, NotAsSent::TailCut { last: 59, sent: 60 });
        // Nor when every sequence number was used again, or more than these.
        for more in [1, 5] {
            left.decide(more).await;
            let lack = left.not_as_sent(&receiver);
            assert_eq!(lack, NotAsSent::Another(60));
            assert_eq!(
                lack.to_string(),
                "entry 60 is another one than the receiver has"
            );
        }
        // What tells of it stays.
        assert_eq!(fs::read(left.dir().join(CURSOR_FILE)).unwrap(), cursor);
    }
    receiver.ledger(|ledger| assert_eq!(ledger.calls.len(), calls));
    audit.decide(10).await;
    let _exporter = audit.export_to(&receiver);
    audit.settled(71).await;
    receiver.ledger(|ledger| assert_eq!((ledger.times(60), ledger.times(61)), (1, 1)));
}

#[tokio::test]
async fn the_refusal_of_a_cut_log_says_what_to_do() {
    let (audit, receiver) = sent().await;
    let left = audit.edited(None, |dir| cut(dir, 40));
    let error = export::start(plain(&receiver), left.trail.clone()).unwrap_err();
    let told = error.to_string();
    assert!(told.contains(&left.dir().display().to_string()), "{told}");
    assert!(
        told.ends_with("keep it, and start with another directory"),
        "{told}"
    );
}

#[tokio::test]
async fn an_entry_that_was_taken_out_or_changed_is_missed() {
    let (audit, receiver) = sent().await;
    // The last entry that the receiver has is to be in a closed segment. How many entries that takes
    // hangs on how many came at once.
    audit.decide(40).await;
    while segment::list(audit.dir()).unwrap().pop().unwrap().path == entries(audit.dir())[59].0 {
        audit.decide(1).await;
    }
    let last = entries(audit.dir()).pop().unwrap().2["seq"]
        .as_u64()
        .unwrap();
    let (path, offset, _) = entries(audit.dir()).swap_remove(59);
    let edit = |edit: &dyn Fn(&mut Vec<u8>)| {
        audit.edited(None, |dir| {
            let path = dir.join(path.file_name().unwrap());
            let mut bytes = fs::read(&path).unwrap();
            edit(&mut bytes);
            fs::write(path, bytes).unwrap();
        })
    };
    let start = usize::try_from(offset).unwrap();
    let changed = edit(&|bytes| bytes[start + 100] ^= 1);
    assert_eq!(changed.not_as_sent(&receiver), NotAsSent::Another(60));
    let taken_out = edit(&|bytes| {
        let tail = bytes.split_off(start);
        let end = tail.iter().position(|byte| *byte == b'\n').unwrap();
        bytes.extend_from_slice(&tail[end + 1..]);
    });
    assert_eq!(taken_out.not_as_sent(&receiver), NotAsSent::Another(60));
    // What a retention took away is not missed.
    let retired = audit.edited(None, |dir| {
        for segment in segment::list(dir).unwrap() {
            if segment.path.file_name() <= path.file_name() {
                fs::remove_file(segment.path).unwrap();
            }
        }
    });
    let first = entries(retired.dir())[0].2["seq"].as_u64().unwrap();
    assert!(first > 60, "{first}");
    let _exporter = retired.export_to(&receiver);
    retired.settled(last + 1).await;
    receiver.ledger(|ledger| assert_eq!((ledger.times(60), ledger.times(first)), (1, 1)));
}
