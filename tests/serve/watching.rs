//! Many watches at a time: each is told everything once, and in order.

use std::fs;

use admit_proto::v1::{PairState, WatchPolicyRequest};
use rustix::process::Signal;

use crate::{
    daemon::{
        Client, Daemon, Settings, Watch, channel,
        policy::{A, B},
    },
    policy, reason,
};

/// How many rounds of [`requests`] there are: many times what is told in one go.
const ROUNDS: usize = 60;

/// One round: the policy alone, two pairs that all rounds follow, and one that no other round does.
fn requests(round: usize) -> [WatchPolicyRequest; 4] {
    let own = WatchPolicyRequest {
        model: format!("model-{round}"),
        ..A.follow()
    };
    [WatchPolicyRequest::default(), A.follow(), B.follow(), own]
}

/// Whoever follows this is told of that policy, and whether its pair is admitted under it.
async fn is_told(watch: &mut Watch, request: &WatchPolicyRequest, digest: &str, admits: bool) {
    assert_eq!(watch.policy_changed().await.digest, digest);
    if request.provider.is_empty() {
        return;
    }
    let pair = watch.pair_changed().await;
    assert_eq!(pair.policy_digest, digest);
    let is_admitted = pair.state() == PairState::Admitted;
    assert_eq!(is_admitted, admits && *request == A.follow(), "{request:?}");
}

#[tokio::test]
async fn everybody_is_told_once_and_in_order() {
    let policy = policy();
    let daemon = Daemon::start(&Settings::new(policy.path())).await;
    let mut watches = Vec::new();
    for round in 0..ROUNDS {
        let mut client = Client::new(channel(daemon.socket()).await.unwrap());
        for request in requests(round) {
            watches.push((client.watch(request.clone()).await.unwrap(), request));
        }
    }
    let record = policy.path().join(&A.in_sot().files[0].0);
    let mut without_record = A.in_sot();
    without_record.files.remove(0);
    for (watch, request) in &mut watches {
        is_told(watch, request, &A.in_sot().digest(), true).await;
    }
    for _ in 0..2 {
        fs::remove_file(&record).unwrap();
        for (watch, request) in &mut watches {
            is_told(watch, request, &without_record.digest(), false).await;
        }
        // In place in one step: half of it would be another policy.
        let aside = record.with_extension("aside");
        fs::write(&aside, A.record()).unwrap();
        fs::rename(&aside, &record).unwrap();
        for (watch, request) in &mut watches {
            is_told(watch, request, &A.in_sot().digest(), true).await;
        }
    }
    // Nothing was told twice: this is what comes next.
    daemon.signal(Signal::TERM);
    for (watch, _) in &mut watches {
        assert_eq!(reason(&watch.next().await.unwrap_err()), "SHUTTING_DOWN");
    }
}
