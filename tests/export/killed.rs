//! The daemon, killed again and again while it exports to a receiver that fails: every answer that
//! was given has a span, and every span is the same each time.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use tokio::{sync::watch, task::JoinSet};
use tonic::Code;

use crate::{
    daemon::{Client, Daemon, Settings, policy::A, within},
    receiver::{Fault, Receiver, attribute},
};

const KILLS: usize = 6;
const ANSWERS: usize = 40;
const CALLERS: usize = 4;

/// The hash that each answer stated, by its sequence number.
type Answers = BTreeMap<u64, String>;

/// Asks until there are so many more answers, and kills the daemon in the middle of the next ones.
async fn ask_and_kill(settings: &Settings, answers: &watch::Sender<Answers>) {
    let mut daemon = Daemon::spawn(settings);
    assert!(daemon.listens().await, "{}", daemon.log());
    let target = answers.borrow().len() + ANSWERS;
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let mut client = Client::new(daemon.connect().await);
        let answers = answers.clone();
        callers.spawn(async move {
            while let Ok(answer) = client.admit(A.launch()).await {
                answers.send_modify(|answers| {
                    assert_eq!(answers.insert(answer.seq, answer.record_hash), None);
                });
            }
        });
    }
    let mut enough = answers.subscribe();
    let enough = enough.wait_for(|answers| answers.len() >= target);
    drop(within("enough answers", enough).await.unwrap());
    daemon.kill().await;
    within("the end of all calls", callers.join_all()).await;
}

#[tokio::test]
async fn a_daemon_that_is_killed_in_the_middle_loses_no_span() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start());
    let policy = folder.path().join("policy");
    std::fs::create_dir(&policy).unwrap();
    A.in_sot().write_to(&policy);
    let settings = Settings {
        audit_dir: Some(folder.path().join("audit")),
        more_audit: format!("[export]\nendpoint = \"http://{}\"\n", receiver.address()),
        ..Settings::new(&policy)
    };
    let answers = watch::Sender::new(Answers::new());
    for _ in 0..KILLS {
        let faults = [
            Fault::TakenBut(Code::Unavailable),
            Fault::Code(Code::Unavailable),
            Fault::TakenInSilence,
        ];
        receiver.ledger(|ledger| ledger.faults = faults.into());
        ask_and_kill(&settings, &answers).await;
    }
    receiver.ledger(|ledger| ledger.faults.clear());
    let daemon = Daemon::start(&settings).await;
    let answers = answers.borrow().clone();
    let last = *answers.last_key_value().unwrap().0;
    receiver
        .until("every span", |ledger| ledger.has_all(1, last))
        .await;
    assert!(daemon.terminate().await.success());
    receiver.ledger(|ledger| {
        let spans = ledger.by_seq();
        for (seq, hash) in &answers {
            let stated = attribute(&spans[seq], "admit.record_hash");
            assert_eq!(stated, Some(Value::StringValue(hash.clone())), "seq {seq}");
        }
        // The kills did come between a delivery and its cursor.
        assert!(ledger.taken.len() > spans.len());
    });
}
