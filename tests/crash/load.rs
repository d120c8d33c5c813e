//! Many callers at once, and what each of them was told.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use admit_proto::v1::Verdict;
use tokio::{sync::watch, task::JoinSet};

use crate::daemon::{Client, channel, policy::A, within};

/// Connections, and calls that are open on each at any time.
const CONNECTIONS: usize = 3;
const CALLS_EACH: usize = 12;

/// What one caller was told about the record of its answer.
#[derive(Clone, Debug)]
pub(crate) struct Acknowledged {
    pub(crate) stream_id: String,
    pub(crate) seq: u64,
    pub(crate) hash: String,
    pub(crate) decision_id: String,
}

/// Every answer of every caller so far.
#[derive(Clone, Default)]
pub(crate) struct Load {
    given: Arc<Mutex<Vec<Acknowledged>>>,
    count: Arc<watch::Sender<u64>>,
}

impl Load {
    pub(crate) fn count(&self) -> u64 {
        *self.count.borrow()
    }

    pub(crate) fn given(&self) -> Vec<Acknowledged> {
        self.given.lock().unwrap().clone()
    }

    /// Waits until there are more than `target` answers.
    pub(crate) async fn answered(&self, target: u64) {
        let mut count = self.count.subscribe();
        let enough = count.wait_for(|count| *count > target);
        drop(within("enough answers", enough).await.unwrap());
    }

    /// Calls without end, until the daemon at `socket` is gone.
    pub(crate) fn begin(&self, socket: &Path) -> JoinSet<()> {
        let mut callers = JoinSet::new();
        for _ in 0..CONNECTIONS {
            callers.spawn(self.clone().connection(socket.to_owned()));
        }
        callers
    }

    async fn connection(self, socket: PathBuf) {
        let Ok(channel) = channel(&socket).await else {
            return;
        };
        let client = Client::new(channel);
        let mut calls = JoinSet::new();
        for _ in 0..CALLS_EACH {
            calls.spawn(self.clone().calls(client.clone()));
        }
        calls.join_all().await;
    }

    async fn calls(self, mut client: Client) {
        while let Ok(answer) = client.admit(A.launch()).await {
            assert_eq!(answer.verdict(), Verdict::Allow, "{answer:?}");
            self.given.lock().unwrap().push(Acknowledged {
                stream_id: answer.stream_id,
                seq: answer.seq,
                hash: answer.record_hash,
                decision_id: answer.decision_id,
            });
            self.count.send_modify(|count| *count += 1);
        }
    }
}
