//! Where the export goes on after an end of any kind: never behind what a receiver has.

use std::fs;

use admit_server::export::cursor::CURSOR_FILE;
use serde_json::json;

use crate::{
    Audit,
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
    let good: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let with = |key: &str, value: serde_json::Value| {
        let mut changed = good.clone();
        changed[key] = value;
        changed.to_string()
    };
    let number = |key: &str| good[key].as_u64().unwrap();
    let useless = [
        String::new(),
        "{".into(),
        good.to_string()[..20].to_owned(),
        with("stream_id", json!("another")),
        with("next_seq", json!(1_000)),
        with("next_seq", json!(62)),
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
    let cursor = fs::read_to_string(&path).unwrap();
    audit.decide(10).await;
    audit.settled(21).await;
    drop(exporter);
    // It would pass over the entry 11.
    fs::write(&path, cursor.replace(":11", ":12")).unwrap();
    let _exporter = audit.export_to(&receiver);
    receiver
        .until("all again", |ledger| {
            ledger.times(1) == 2 && ledger.times(11) == 2
        })
        .await;
}
