//! Everything arrives: across outages, failures of every kind, restarts, in bounded batches.

use std::time::{Duration, Instant};

use admit_server::{
    audit::record::{Entry, Trace},
    export::{
        again::send_again,
        reader::{BATCH_BYTES_MAX, BATCH_SPANS_MAX},
    },
};
use tonic::Code;

use crate::{
    Audit, decision, plain,
    receiver::{Fault, Receiver},
};

#[tokio::test]
async fn every_entry_arrives_across_an_outage_and_many_segments() {
    let (audit, mut receiver) = (Audit::open(), Receiver::start());
    let _exporter = audit.export_to(&receiver);
    audit.decide(300).await;
    receiver
        .until("before", |ledger| ledger.has_all(1, 300))
        .await;
    receiver.crash();
    audit.decide(300).await;
    let failures = &audit.trail.metrics().export_failures;
    crate::until("a failure", || failures.get() > 0).await;
    let lag = &audit.trail.metrics().export_lag_records;
    crate::until("the lag", || lag.get() == 300).await;
    crate::until("the age", || {
        audit.trail.metrics().export_lag_seconds.get() > 0.0
    })
    .await;
    receiver.come_back();
    audit.decide(100).await;
    receiver
        .until("after", |ledger| ledger.has_all(1, 700))
        .await;
    audit.settled(701).await;
    assert_eq!(lag.get(), 0);
    assert_eq!(audit.trail.metrics().exported.get(), 700);
    assert_eq!(receiver.ledger(|ledger| ledger.by_seq().len()), 700);
}

#[tokio::test]
async fn what_fails_is_sent_again_and_de_duplicates() {
    let (audit, receiver) = (Audit::open(), Receiver::start());
    let faults = [
        Fault::Code(Code::Unavailable),
        Fault::TakenBut(Code::Unavailable),
        Fault::Code(Code::Cancelled),
        Fault::Code(Code::Aborted),
        Fault::Code(Code::DataLoss),
        Fault::Code(Code::DeadlineExceeded),
    ];
    receiver.ledger(|ledger| ledger.faults.extend(faults));
    audit.decide(100).await;
    let _exporter = audit.export_to(&receiver);
    audit.settled(101).await;
    receiver.ledger(|ledger| {
        assert_eq!(ledger.by_seq().len(), 100);
        assert_eq!((ledger.times(1), ledger.times(100)), (2, 2));
        assert_eq!(ledger.calls.len(), faults.len() + 1);
    });
    assert_eq!(audit.trail.metrics().exported.get(), 100);
    assert_eq!(audit.last_seq(), 100);
}

#[tokio::test]
async fn a_receiver_that_is_set_up_wrongly_costs_no_span() {
    let (audit, receiver) = (Audit::open(), Receiver::start());
    let faults = [
        Fault::Code(Code::Unauthenticated),
        Fault::Code(Code::PermissionDenied),
        Fault::Code(Code::Unimplemented),
    ];
    receiver.ledger(|ledger| ledger.faults.extend(faults));
    audit.decide(10).await;
    let _exporter = audit.export_to(&receiver);
    audit.settled(11).await;
    receiver.ledger(|ledger| {
        assert_eq!(ledger.by_seq().len(), 10);
        // None of them was taken for a refusal and halved.
        let sizes: Vec<_> = ledger.calls.iter().map(|call| call.spans.len()).collect();
        assert_eq!(sizes, [10; 4]);
    });
    assert_eq!((audit.last_seq(), audit.rejections()), (10, vec![]));
}

#[tokio::test]
async fn what_no_grpc_server_said_is_no_refusal() {
    let (audit, receiver) = (Audit::open(), Receiver::start());
    let faults = [Fault::HttpError, Fault::CutShort, Fault::MalformedDetails];
    receiver.ledger(|ledger| ledger.faults.extend(faults));
    audit.decide(10).await;
    let _exporter = audit.export_to(&receiver);
    audit.settled(11).await;
    receiver.ledger(|ledger| {
        assert_eq!(ledger.by_seq().len(), 10);
        // None of them was taken for a refusal and halved.
        let sizes: Vec<_> = ledger.calls.iter().map(|call| call.spans.len()).collect();
        assert_eq!(sizes, [10; 4]);
    });
    assert_eq!((audit.last_seq(), audit.rejections()), (10, vec![]));
}

#[tokio::test]
async fn a_receiver_that_asks_for_a_pause_gets_it() {
    const PAUSE: Duration = Duration::from_secs(2);
    let (audit, receiver) = (Audit::open(), Receiver::start());
    receiver.ledger(|ledger| ledger.faults.push_back(Fault::Throttled(PAUSE)));
    audit.decide(4).await;
    let _exporter = audit.export_to(&receiver);
    receiver
        .until("the first try", |ledger| !ledger.calls.is_empty())
        .await;
    let asked = Instant::now();
    receiver
        .until("the second", |ledger| ledger.has_all(1, 4))
        .await;
    // The receiver notes a call before it answers, so the pause is measured a little longer.
    assert!(
        asked.elapsed() >= PAUSE.mul_f64(0.9),
        "{:?}",
        asked.elapsed()
    );
    receiver.ledger(|ledger| assert_eq!(ledger.calls[1].spans.len(), 4));
}

#[tokio::test]
async fn a_receiver_that_hangs_is_asked_again() {
    let (audit, receiver) = (Audit::open(), Receiver::start());
    receiver.ledger(|ledger| ledger.faults.push_back(Fault::Silence));
    audit.decide(3).await;
    let _exporter = audit.export_to(&receiver);
    receiver
        .until("the spans", |ledger| ledger.has_all(1, 3))
        .await;
}

#[tokio::test]
async fn batches_are_bounded() {
    let (audit, receiver) = (Audit::open(), Receiver::start());
    audit.decide(1_200).await;
    let Entry::Decision(mut long) = decision(None) else {
        panic!("no decision");
    };
    long.reasons = vec!["x".repeat(1_000); 50];
    for _ in 0..100 {
        let long = Entry::Decision(long.clone());
        audit.trail.record(&long, None).await.unwrap();
    }
    let _exporter = audit.export_to(&receiver);
    receiver
        .until("all", |ledger| ledger.has_all(1, 1_300))
        .await;
    receiver.ledger(|ledger| {
        let most = ledger.calls.iter().map(|call| call.spans.len()).max();
        let largest = ledger.calls.iter().map(|call| call.bytes).max().unwrap();
        assert_eq!(most, Some(BATCH_SPANS_MAX));
        assert!(largest <= BATCH_BYTES_MAX, "{largest}");
        assert!(largest > BATCH_BYTES_MAX / 2, "{largest}");
        assert_eq!(ledger.taken.len(), 1_300);
    });
}

#[tokio::test]
async fn a_batch_that_is_too_much_is_divided() {
    let (audit, receiver) = (Audit::open(), Receiver::start());
    receiver.ledger(|ledger| ledger.spans_max = Some(30));
    audit.decide(100).await;
    let _exporter = audit.export_to(&receiver);
    audit.settled(101).await;
    receiver.ledger(|ledger| assert_eq!(ledger.taken.len(), 100));
    assert_eq!(audit.rejections(), []);
}

#[tokio::test]
async fn a_caller_cannot_switch_its_own_audit_off() {
    let (audit, receiver) = (Audit::open(), Receiver::start());
    let _exporter = audit.export_to(&receiver);
    let trace = Trace {
        id: "4bf92f3577b34da6a3ce929d0e0e4736".into(),
        parent: "00f067aa0ba902b7".into(),
        flags: "00".into(),
    };
    let entry = decision(Some(trace));
    audit.trail.record(&entry, None).await.unwrap();
    receiver
        .until("the span", |ledger| ledger.has_all(1, 1))
        .await;
    let span = receiver.ledger(|ledger| ledger.taken[0].clone());
    assert_eq!(
        span.trace_id,
        0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes()
    );
    assert_eq!(span.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
}

#[tokio::test]
async fn the_end_waits_for_no_receiver() {
    let (audit, receiver) = (Audit::open(), Receiver::start());
    receiver.ledger(|ledger| ledger.faults.push_back(Fault::Silence));
    let exporter = audit.export_to(&receiver);
    audit.decide(1).await;
    receiver
        .until("the call", |ledger| !ledger.calls.is_empty())
        .await;
    let began = Instant::now();
    drop(exporter);
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_part_is_sent_again_on_demand() {
    let (audit, receiver) = (Audit::open(), Receiver::start());
    audit.decide(100).await;
    let (config, dir) = (plain(&receiver), audit.dir().to_owned());
    let mut progress = Vec::new();
    let (sent, progress) = tokio::task::spawn_blocking(move || {
        let sent = send_again(&config, &dir, 61, |seq| progress.push(seq)).unwrap();
        (sent, progress)
    })
    .await
    .unwrap();
    assert_eq!((sent.first_seq, sent.last_seq), (61, 100));
    assert_eq!((sent.accepted, sent.refused), (40, 0));
    assert_eq!(progress.last(), Some(&100));
    let seqs = receiver.ledger(|ledger| ledger.by_seq().into_keys().collect::<Vec<_>>());
    assert_eq!(seqs, (61..=100).collect::<Vec<_>>());
    assert_eq!(audit.cursor(), None);
}

#[tokio::test]
async fn sending_again_gives_up_when_nobody_is_there() {
    let (audit, mut receiver) = (Audit::open(), Receiver::start());
    audit.decide(3).await;
    receiver.crash();
    let (config, dir) = (plain(&receiver), audit.dir().to_owned());
    let sent = tokio::task::spawn_blocking(move || send_again(&config, &dir, 1, |_| {}));
    let error = sent.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("takes no spans"), "{error}");
}
