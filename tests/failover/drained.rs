//! A daemon that is told to stop in the middle of a storm: what it took it answers, and what it did not
//! take fails in a way that makes a client try elsewhere.

use std::{
    error::Error as _,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use admit_server::audit::{
    record::Entry,
    verify::{Known, verify},
};
use rustix::process::Signal;
use tokio::{sync::watch, task::JoinSet};
use tonic::{Code, Status};

use crate::{
    LOOPBACK, Server,
    daemon::{Client, policy::A, within},
};

const CONNECTIONS: usize = 4;
const CALLS_EACH: usize = 16;
/// Answers before the daemon is told to stop.
const ANSWERS: usize = 200;
/// The default of `limits.drain`, and what else a stop may take on a host that has other things to do.
const DRAIN: Duration = Duration::from_secs(5);
const MARGIN: Duration = Duration::from_secs(5);

type Answers = Arc<Mutex<Vec<(u64, String)>>>;

/// Asks until there is no answer; the failure.
async fn ask(mut client: Client, answers: Answers, count: watch::Sender<usize>) -> Status {
    loop {
        match client.admit(A.launch()).await {
            Ok(answer) => {
                answers
                    .lock()
                    .unwrap()
                    .push((answer.seq, answer.record_hash));
                count.send_modify(|count| *count += 1);
            }
            Err(status) => return status,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_in_a_storm_loses_no_call_that_was_taken() {
    let folder = tempfile::tempdir().unwrap();
    A.in_sot().write_to(&folder.path().join("policy"));
    let mut server = Server::start(folder.path(), LOOPBACK[0], "").await;
    let answers = Answers::default();
    let count = watch::Sender::new(0);
    let mut callers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let client = server.client().await;
        for _ in 0..CALLS_EACH {
            callers.spawn(ask(client.clone(), Arc::clone(&answers), count.clone()));
        }
    }
    let mut enough = count.subscribe();
    let enough = enough.wait_for(|count| *count >= ANSWERS);
    drop(within("answers", enough).await.unwrap());
    let told = Instant::now();
    server.daemon.signal(Signal::TERM);
    let failures = within("the end of every call", callers.join_all()).await;
    assert_eq!(server.daemon.exited().await.code(), Some(0));
    let took = told.elapsed();
    assert!(took < DRAIN + MARGIN, "{took:?}");
    assert_eq!(failures.len(), CONNECTIONS * CALLS_EACH);
    for status in failures {
        // A status with a source was made on this side, of a connection that is gone: to a client that
        // says the same as the server's own words, to try elsewhere.
        let is_of_connection = status.source().is_some();
        let is_elsewhere = is_of_connection || status.code() == Code::Unavailable;
        assert!(is_elsewhere, "{status:?}");
    }
    // Each answer has its record, and each record its answer: nothing was decided for nobody.
    let answers = answers.lock().unwrap();
    let known = Known {
        hashes: answers.iter().cloned().collect(),
        keys: Vec::new(),
    };
    let mut decisions = 0;
    verify(&server.audit, &known, |_, entry, _| {
        decisions += usize::from(matches!(entry, Entry::Decision(_)));
    })
    .unwrap();
    assert_eq!(decisions, answers.len());
}
