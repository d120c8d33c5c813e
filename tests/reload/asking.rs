//! Callers that never stop asking while the policy changes under them.
//!
//! Each caller asks about one pair, one launch after the other, and judges every answer by itself:
//! it has the digest of one whole policy, and it allows the pair exactly when that policy does. Any
//! other answer is kept for the test, which knows how long the change took to write.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use admit_proto::v1::{AdmitResponse, Verdict};
use tokio::{sync::watch, task::JoinSet};

use crate::daemon::{
    Client, Daemon, codes,
    policy::{Chosen, Policy},
    within,
};

/// How long a caller rests between two launches: short beside the 100 ms that half of a change would
/// have to stand, and long enough to leave two cores to the daemon.
const REST: Duration = Duration::from_millis(3);
/// Callers of each pair.
const CALLERS: usize = 2;

/// The policy that a caller saw last, and since when.
type Seen = Option<(String, Instant)>;

/// The answers that were wrong, shared by the callers.
type Wrong = Arc<Mutex<Vec<String>>>;

/// The callers of both pairs. They fall silent when this is dropped.
pub(crate) struct Asking {
    seen: Vec<watch::Receiver<Seen>>,
    /// Each ends with the number of its answers, and with their digests in the order of their coming.
    callers: JoinSet<(usize, Vec<String>)>,
    wrong: Wrong,
    stop: Arc<AtomicBool>,
}

impl Asking {
    /// Starts to ask about the pairs of `policies`, the only ones that there will be.
    pub(crate) async fn start(daemon: &Daemon, policies: &[&Policy]) -> Self {
        let of_digest = |policy: &&Policy| (policy.digest(), policy.chosen);
        let allowed: Arc<BTreeMap<String, Chosen>> =
            Arc::new(policies.iter().map(of_digest).collect());
        let mut asking = Self {
            seen: Vec::new(),
            callers: JoinSet::new(),
            wrong: Wrong::default(),
            stop: Arc::new(AtomicBool::new(false)),
        };
        for policy in policies {
            for _ in 0..CALLERS {
                let (sender, seen) = watch::channel(None);
                asking.seen.push(seen);
                let client = daemon.client().await;
                let caller = Caller {
                    client,
                    chosen: policy.chosen,
                    allowed: Arc::clone(&allowed),
                    wrong: Arc::clone(&asking.wrong),
                    stop: Arc::clone(&asking.stop),
                };
                asking.callers.spawn(caller.ask(sender));
            }
        }
        asking
    }

    /// Waits until every caller is answered under `policy`; how long after `last_write` the last of
    /// them was so for the first time.
    pub(crate) async fn in_force(&mut self, policy: &Policy, last_write: Instant) -> Duration {
        let digest = policy.digest();
        let what = format!("an answer under the policy of {:?}", policy.chosen);
        let mut longest = Duration::ZERO;
        for seen in &mut self.seen {
            let seen = seen.wait_for(|seen| seen.as_ref().is_some_and(|(seen, _)| *seen == digest));
            let seen = within(&what, seen).await.unwrap();
            let (_, since) = seen.as_ref().unwrap();
            longest = longest.max(since.saturating_duration_since(last_write));
        }
        longest
    }

    /// The wrong answers since this was asked before.
    pub(crate) fn wrong(&self) -> Vec<String> {
        std::mem::take(&mut *self.wrong.lock().unwrap())
    }

    /// Stops asking. Every caller saw just these policies in just this order.
    pub(crate) async fn finish(self, order: &[&Policy]) {
        self.stop.store(true, Ordering::Relaxed);
        let order: Vec<String> = order.iter().map(|policy| policy.digest()).collect();
        let callers = within("the last answers", self.callers.join_all()).await;
        for (answers, digests) in callers {
            assert_eq!(digests, order, "the policies in force, one after the other");
            assert!(answers > order.len(), "only {answers} answers");
        }
    }
}

/// One caller.
struct Caller {
    client: Client,
    chosen: Chosen,
    allowed: Arc<BTreeMap<String, Chosen>>,
    wrong: Wrong,
    stop: Arc<AtomicBool>,
}

impl Caller {
    async fn ask(mut self, seen: watch::Sender<Seen>) -> (usize, Vec<String>) {
        let mut answers = 0;
        let mut digests: Vec<String> = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            let answer = self.client.admit(self.chosen.launch()).await.unwrap();
            answers += 1;
            if !self.is_right(&answer) {
                self.wrong.lock().unwrap().push(format!("{answer:?}"));
            } else if digests.last() != Some(&answer.policy_digest) {
                digests.push(answer.policy_digest.clone());
                seen.send_replace(Some((answer.policy_digest, Instant::now())));
            }
            tokio::time::sleep(REST).await;
        }
        (answers, digests)
    }

    /// Whether the answer was made under one whole policy, and as that policy has it.
    fn is_right(&self, answer: &AdmitResponse) -> bool {
        let said = (answer.verdict(), codes(&answer.reasons));
        match self.allowed.get(&answer.policy_digest) {
            // It is that of neither policy: half of a change is in force.
            None => false,
            Some(allowed) if *allowed == self.chosen => said == (Verdict::Allow, vec![]),
            Some(_) => said == (Verdict::Deny, vec!["provider-model-not-admitted"]),
        }
    }
}
