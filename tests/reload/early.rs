//! A notification that comes too early: the daemon is woken and reads before the change is there, and
//! of the change itself nothing tells. So it is with a file that is written into a folder which is too
//! new to be watched.

use std::{
    fs,
    time::{Duration, Instant},
};

use admit_proto::v1::WatchPolicyRequest;

use crate::{
    SETTLE, assert_took,
    daemon::{
        Daemon, Settings,
        policy::{A, B},
    },
    hard_linked, writes,
};

/// Most attempts to change the policy while the daemon pauses; only a machine that is busy elsewhere
/// needs more than one.
const ATTEMPTS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_just_after_the_reading_that_it_should_have_caused() {
    for _ in 0..ATTEMPTS {
        if let Some(took) = changed_after_the_reading().await {
            return assert_took(took);
        }
    }
    panic!("no change came in time in {ATTEMPTS} attempts");
}

/// How long after its last write the change was in force; none, if it came too late to say anything.
async fn changed_after_the_reading() -> Option<Duration> {
    let folder = tempfile::tempdir().unwrap();
    let (policy_dir, elsewhere) = hard_linked(folder.path(), &A.in_sot());
    let daemon = Daemon::start(&Settings::new(&policy_dir)).await;
    let mut client = daemon.client().await;
    let mut watch = client.watch(WatchPolicyRequest::default()).await.unwrap();
    assert_eq!(watch.policy_changed().await.digest, A.in_sot().digest());

    let verified = client.policy().await.verify_time;
    let woken = Instant::now();
    fs::create_dir(policy_dir.join("new")).unwrap();
    while client.policy().await.verify_time == verified {}
    writes::in_place(&elsewhere, &B.in_sot());
    let last_write = Instant::now();
    if last_write - woken >= SETTLE {
        return None;
    }
    assert_eq!(watch.policy_changed().await.digest, B.in_sot().digest());
    Some(last_write.elapsed())
}
