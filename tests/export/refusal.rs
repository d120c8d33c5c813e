//! What a receiver refuses for good: narrowed down, recorded, counted, and not sent again.

use std::fs;

use admit_server::audit::{record::Rejected, segment};
use tonic::Code;

use crate::{
    Audit,
    receiver::{Fault, Receiver},
};

fn rejected(first_seq: u64, last_seq: u64, rejected: u64, code: Code) -> Rejected {
    Rejected {
        time: String::new(),
        first_seq,
        last_seq,
        rejected,
        grpc_code: u32::try_from(i32::from(code)).unwrap(),
    }
}

#[tokio::test]
async fn a_partial_success_is_recorded_and_not_sent_again() {
    let (audit, receiver) = (Audit::open(), Receiver::start());
    receiver.ledger(|ledger| ledger.faults.push_back(Fault::Partial(2)));
    audit.decide(10).await;
    let _exporter = audit.export_to(&receiver);
    audit.settled(12).await;
    receiver.ledger(|ledger| {
        assert_eq!(ledger.calls[0].seqs(), (1..=10).collect::<Vec<_>>());
        assert_eq!(ledger.calls[1].seqs(), [11]);
        assert_eq!(ledger.calls.len(), 2);
        assert_eq!(ledger.taken[8].name, "admit.audit.rejected");
    });
    assert_eq!(audit.rejections(), [rejected(1, 10, 2, Code::Ok)]);
    let metrics = audit.trail.metrics();
    assert_eq!((metrics.rejected.get(), metrics.exported.get()), (2, 9));
}

#[tokio::test]
async fn a_poisoned_span_is_recorded_and_its_neighbors_arrive() {
    let (audit, receiver) = (Audit::open(), Receiver::start());
    receiver.ledger(|ledger| ledger.poisoned.extend([7, 14, 15]));
    audit.decide(20).await;
    let _exporter = audit.export_to(&receiver);
    audit.settled(23).await;
    assert_eq!(
        audit.rejections(),
        [
            rejected(7, 7, 1, Code::InvalidArgument),
            rejected(14, 15, 2, Code::InvalidArgument),
        ]
    );
    receiver.ledger(|ledger| {
        let taken: Vec<_> = ledger.by_seq().into_keys().collect();
        let good: Vec<_> = (1..=22).filter(|seq| ![7, 14, 15].contains(seq)).collect();
        assert_eq!(taken, good);
        assert_eq!(ledger.taken.len(), good.len());
    });
    let metrics = audit.trail.metrics();
    assert_eq!((metrics.rejected.get(), metrics.exported.get()), (3, 19));
}

#[tokio::test]
async fn a_receiver_that_refuses_everything_is_not_told_for_ever() {
    let (audit, receiver) = (Audit::open(), Receiver::start());
    receiver.ledger(|ledger| ledger.refuses_all = true);
    audit.decide(10).await;
    let _exporter = audit.export_to(&receiver);
    // The cursor moves behind an entry only when the refusal of its span is recorded.
    audit.settled(12).await;
    assert_eq!(audit.last_seq(), 11);
    let all = rejected(1, 10, 10, Code::InvalidArgument);
    assert_eq!(audit.rejections(), [all]);
    assert_eq!(audit.trail.metrics().rejected.get(), 11);
    assert_eq!(audit.trail.metrics().exported.get(), 0);
}

#[tokio::test]
async fn nothing_is_passed_over_while_a_refusal_cannot_be_recorded() {
    let (audit, receiver) = (Audit::open(), Receiver::start());
    receiver.ledger(|ledger| ledger.poisoned.extend([2]));
    audit.decide(3).await;
    // A file of the same content in the place of the log's: it can be read, and not written.
    let path = segment::list(audit.dir()).unwrap()[0].path.clone();
    let (own, copy) = (path.with_extension("own"), path.with_extension("copy"));
    fs::copy(&path, &copy).unwrap();
    fs::rename(&path, &own).unwrap();
    fs::rename(&copy, &path).unwrap();
    let mut state = audit.trail.follow();
    let _exporter = audit.export_to(&receiver);
    let unwritable = state.wait_for(|state| state.unwritable.is_some());
    tokio::time::timeout(crate::PATIENCE, unwritable)
        .await
        .unwrap()
        .unwrap();
    receiver
        .until("the neighbors", |ledger| {
            ledger.times(1) == 1 && ledger.times(3) == 1
        })
        .await;
    assert_eq!((audit.cursor(), audit.last_seq()), (None, 3));
    fs::rename(&own, &path).unwrap();
    crate::until("the rejection", || {
        audit.rejections() == [rejected(2, 2, 1, Code::InvalidArgument)]
    })
    .await;
    receiver
        .until("the rejection", |ledger| ledger.has_all(3, 4))
        .await;
    audit.settled(5).await;
    // No request was refused, and no gap says so.
    assert_eq!(audit.last_seq(), 4);
    assert_eq!(audit.trail.metrics().refused.get(), 0);
}
