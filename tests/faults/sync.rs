//! Writes and syncs that fail or hang.

use std::{fs, time::Duration, time::Instant};

use admit_proto::v1::admission_service_client::AdmissionServiceClient;
use admit_server::{audit::record::Cause, supervision::STANDSTILL_MIN};
use rustix::process::Signal;
use tokio::task::JoinSet;
use tonic::{Code, Request};

use crate::{
    checked,
    daemon::{policy::A, within},
    is_unrecorded,
    service_manager::Manager,
    shim::{Fault, scene},
};

/// The patience of the daemon where a sync hangs, and one that no test lives to see the end of.
const SHORT_PATIENCE: Duration = Duration::from_millis(400);
const SHORT: &str = "patience = \"400ms\"\n";
const LONG: &str = "patience = \"1m\"\n\n[limits]\nrequest_time = \"2m\"";
/// What an answer may take beyond the patience on a host that has other things to do.
const SLACK: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_sync_that_fails_loses_nothing_that_was_acknowledged() {
    let (mut scene, faults) = scene(|_| {}).await;
    for round in 1..=3_usize {
        scene.is_answered().await;
        scene.is_answered().await;
        faults.on(Fault::SyncFails);
        scene.is_refused(1).await;
        scene.serves_not().await;
        scene.is_refused(4).await;
        faults.off(Fault::SyncFails);
        scene.serves().await;
        scene.is_answered().await;
        // The file whose sync failed is closed, and another one is begun.
        assert_eq!(scene.segments().len(), round + 1);
    }
    assert_eq!(scene.refused, 15);
    let verified = scene.is_whole_after(Cause::SyncFailed);
    assert_eq!(verified.checkpoints, 3);
}

#[tokio::test]
async fn what_was_not_synced_is_cut_off_and_survives_a_kill() {
    let (mut scene, faults) = scene(|_| {}).await;
    scene.is_answered().await;
    faults.on(Fault::SyncFails);
    scene.is_refused(3).await;
    let crate::Scene {
        daemon,
        audit,
        known,
        folder,
        ..
    } = scene;
    daemon.kill().await;
    let settings = crate::Settings {
        audit_dir: Some(audit.clone()),
        ..crate::Settings::new(folder.path().join("policy"))
    };
    let daemon = crate::Daemon::start(&settings).await;
    let mut client = daemon.client().await;
    let answer = client.admit(A.launch()).await.unwrap();
    assert!(!known.contains_key(&answer.seq), "{} again", answer.seq);
    let mut known = known;
    known.insert(answer.seq, answer.record_hash);
    checked(&audit, &known);
}

#[tokio::test]
async fn a_write_that_is_torn_leaves_nothing_behind() {
    let (mut scene, faults) = scene(|_| {}).await;
    for round in 1..=3 {
        scene.is_answered().await;
        let before = fs::read(scene.current()).unwrap();
        faults.on(Fault::WriteIsTorn);
        scene.is_refused(1).await;
        scene.serves_not().await;
        scene.is_refused(2).await;
        faults.off(Fault::WriteIsTorn);
        scene.serves().await;
        // The gap that was written by now is shorter than the half of a record.
        scene.is_whole();
        scene.is_answered().await;
        assert!(fs::read(scene.current()).unwrap().starts_with(&before));
        assert_eq!(scene.refused, 3 * round);
    }
    scene.is_whole_after(Cause::NoSpace);
}

#[tokio::test]
async fn a_name_that_cannot_be_synced_is_synced_later() {
    let (mut scene, faults) = scene(|_| {}).await;
    scene.is_answered().await;
    // A new segment is due, and its name cannot be made durable.
    faults.on(Fault::SyncFails);
    scene.is_refused(1).await;
    faults.on(Fault::FolderFails);
    faults.off(Fault::SyncFails);
    scene.serves_not().await;
    scene.daemon.logged("cannot be made").await;
    scene.is_refused(3).await;
    faults.off(Fault::FolderFails);
    scene.serves().await;
    scene.is_answered().await;
    scene.is_whole();
    // The same where a file that was deleted is restored.
    faults.on(Fault::FolderFails);
    fs::remove_file(scene.current()).unwrap();
    scene.serves_not().await;
    scene.is_refused(3).await;
    faults.off(Fault::FolderFails);
    scene.serves().await;
    scene.is_answered().await;
    scene.is_whole();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_hangs_refuses_within_the_patience() {
    let (mut scene, faults) = scene(|settings| settings.more_audit = SHORT.into()).await;
    scene.is_answered().await;
    faults.on(Fault::SyncHangs);
    let mut callers = JoinSet::new();
    for _ in 0..20 {
        let mut client = scene.client.clone();
        callers.spawn(async move {
            let asked = Instant::now();
            let status = client.admit(A.launch()).await.unwrap_err();
            is_unrecorded(&status);
            asked.elapsed()
        });
    }
    let waits = within("every failure", callers.join_all()).await;
    scene.refused += 20;
    let longest = waits.iter().max().unwrap();
    assert!(*longest < SHORT_PATIENCE + SLACK, "{longest:?}");
    assert!(*longest >= SHORT_PATIENCE, "{longest:?}");
    scene.serves_not().await;
    // By now it is known, and nobody waits for it again.
    let asked = Instant::now();
    scene.is_refused(20).await;
    let all = asked.elapsed();
    assert!(all < 10 * SHORT_PATIENCE, "each waited again: {all:?}");
    faults.off(Fault::SyncHangs);
    scene.serves().await;
    scene.is_answered().await;
    scene.is_whole_after(Cause::Stalled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_with_a_shorter_deadline_gets_no_answer_at_it() {
    let (mut scene, faults) = scene(|settings| settings.more_audit = LONG.into()).await;
    scene.is_answered().await;
    faults.on(Fault::SyncHangs);
    let mut client = AdmissionServiceClient::new(scene.client.channel.clone());
    for _ in 0..3 {
        let mut request = Request::new(A.launch());
        request.set_timeout(Duration::from_millis(300));
        let asked = Instant::now();
        let status = within("a failure", client.admit(request))
            .await
            .unwrap_err();
        let waited = asked.elapsed();
        assert!(waited < SLACK, "{waited:?}");
        let in_time = [Code::Unavailable, Code::DeadlineExceeded, Code::Cancelled];
        assert!(in_time.contains(&status.code()), "{status:?}");
    }
    faults.off(Fault::SyncHangs);
    scene.is_answered().await;
    // Who gave up was not answered, and counts as refused. In the end all of that is written.
    scene.refused = 3;
    scene.daemon.signal(Signal::TERM);
    assert_eq!(scene.daemon.exited().await.code(), Some(0));
    scene.is_whole_after(Cause::Stalled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_hangs_does_not_hold_up_the_end() {
    let (mut scene, faults) = scene(|settings| settings.more_audit = SHORT.into()).await;
    scene.is_answered().await;
    faults.on(Fault::SyncHangs);
    scene.is_refused(1).await;
    let ended = within("the end", scene.daemon.terminate()).await;
    assert!(ended.code().is_some(), "{ended:?}");
}

#[tokio::test]
#[ignore = "takes the minute that counts as a standstill"]
async fn a_sync_that_hangs_silences_the_watchdog() {
    let manager = Manager::start();
    let (mut scene, faults) = scene(|settings| {
        settings.env.extend(manager.env(Duration::from_secs(1)));
    })
    .await;
    manager.told("WATCHDOG=1").await;
    faults.on(Fault::SyncHangs);
    scene.is_refused(1).await;
    let stuck = "STATUS=no progress: audit-writer-stuck";
    manager.told_within(2 * STANDSTILL_MIN, stuck).await;
    // Each reload takes two readings and the pause between them, so all of them several beats.
    for _ in 0..20 {
        scene.daemon.signal(Signal::HUP);
        loop {
            let said = manager.next().await;
            assert!(!said.contains("WATCHDOG=1"), "{said}");
            if said.contains("READY=1") {
                break;
            }
        }
    }
    faults.off(Fault::SyncHangs);
    manager.told("WATCHDOG=1").await;
    scene.is_answered().await;
}
