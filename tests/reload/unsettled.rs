//! What must not hold up a revocation: files that decide nothing, and a file that nobody can judge.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use admit_proto::v1::{PairState, watch_policy_response::Event};

use crate::{
    assert_in_time,
    closing::SOT_ADMISSION,
    daemon::{Daemon, Settings, Watch, policy::A, within},
};

async fn until_revoked(watch: &mut Watch) {
    within("the revocation", async {
        loop {
            if let Event::PairChanged(change) = watch.next().await.unwrap()
                && change.state() == PairState::Revoked
            {
                return;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_that_is_written_without_a_pause_holds_up_no_revocation() {
    let folder = tempfile::tempdir().unwrap();
    A.in_sot().write_to(folder.path());
    let daemon = Daemon::start(&Settings::new(folder.path())).await;
    let mut watch = daemon.client().await.watch(A.follow()).await.unwrap();
    watch.policy_changed().await;
    assert_eq!(watch.pair_changed().await.state(), PairState::Admitted);

    let busy = folder.path().join("sot/Z-ISSUES.md");
    let stop = Arc::new(AtomicBool::new(false));
    let writing = {
        let stop = Arc::clone(&stop);
        thread::spawn(move || {
            for number in 0_u64.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                fs::write(&busy, format!("# {number}\n")).unwrap();
            }
        })
    };
    let revoked = A.admission().replace("\"admitted\"", "\"revoked\"");
    fs::write(folder.path().join(SOT_ADMISSION), revoked).unwrap();
    let last_write = Instant::now();
    until_revoked(&mut watch).await;
    assert_in_time(last_write);
    stop.store(true, Ordering::Relaxed);
    writing.join().unwrap();
}

#[tokio::test]
async fn a_time_outside_of_the_calendar_takes_no_other_file_down() {
    let folder = tempfile::tempdir().unwrap();
    A.in_sot().write_to(folder.path());
    let daemon = Daemon::start(&Settings::new(folder.path())).await;
    let mut watch = daemon.client().await.watch(A.follow()).await.unwrap();
    watch.policy_changed().await;
    assert_eq!(watch.pair_changed().await.state(), PairState::Admitted);

    let beyond = A.admission_until("9999-12-31T23:59:59-01:00");
    let other = SOT_ADMISSION.replace("chosen", "beyond");
    fs::write(folder.path().join(other), beyond).unwrap();
    let revoked = A.admission().replace("\"admitted\"", "\"revoked\"");
    fs::write(folder.path().join(SOT_ADMISSION), revoked).unwrap();
    let last_write = Instant::now();
    until_revoked(&mut watch).await;
    assert_in_time(last_write);
}
