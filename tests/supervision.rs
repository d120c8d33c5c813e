//! The daemon and its service manager: what the daemon says over the notification socket, when it stops
//! to beat, and which sockets it takes over. The test stands in for the service manager.
//!
//! Deliberately absent: the clock of the watchdog; the manager's own business.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

mod daemon;

#[path = "supervision/inherited.rs"]
mod inherited;
#[path = "supervision/service_manager.rs"]
mod service_manager;
#[path = "supervision/standstill.rs"]
mod standstill;

use std::{fs, io::Write as _, time::Duration};

use daemon::{Daemon, Settings, policy::A};
use rustix::process::Signal;
use service_manager::Manager;

/// A watchdog so slow that no test lives to see its second beat.
const WATCHDOG_SLOW: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn the_manager_is_told_of_start_reload_and_stop() {
    let policy = tempfile::tempdir().unwrap();
    A.in_sot().write_to(policy.path());
    let manager = Manager::start();
    let mut settings = Settings::new(policy.path());
    settings.env = manager.env(WATCHDOG_SLOW);
    let daemon = Daemon::start(&settings).await;

    let ready = manager.told("READY=1").await;
    // The first reading is done by then.
    assert!(ready.contains("STATUS=serving policy "), "{ready}");
    manager.told("WATCHDOG=1").await;

    for _ in 0..2 {
        daemon.signal(Signal::HUP);
        let reloading = manager.told("RELOADING=1").await;
        let moment = reloading
            .lines()
            .find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
        assert!(moment.unwrap().parse::<u64>().unwrap() > 0, "{reloading}");
        manager.told("READY=1").await;
    }

    daemon.signal(Signal::TERM);
    manager.told("STOPPING=1").await;
    let mut daemon = daemon;
    assert!(daemon.exited().await.success());
}

#[tokio::test]
async fn a_hangup_brings_a_change_into_force_before_it_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy");
    A.in_sot().write_to(&policy);
    let manager = Manager::start();
    let mut settings = Settings::new(&policy);
    settings.env = manager.env(WATCHDOG_SLOW);
    let daemon = Daemon::start(&settings).await;
    let status = |told: &str| {
        let line = told.lines().find(|line| line.starts_with("STATUS="));
        line.unwrap().to_owned()
    };
    let mut before = status(&manager.told("READY=1").await);
    for round in 0..5 {
        for file in fs::read_dir(policy.join("sot")).unwrap() {
            let mut file = fs::File::options()
                .append(true)
                .open(file.unwrap().path())
                .unwrap();
            writeln!(file).unwrap();
        }
        daemon.signal(Signal::HUP);
        manager.told("RELOADING=1").await;
        let after = status(&manager.told("READY=1").await);
        assert!(after.contains("serving policy "), "{after}");
        assert_ne!(after, before, "round {round}");
        before = after;
    }
}

#[tokio::test]
async fn without_a_manager_a_hangup_is_followed_all_the_same() {
    let policy = tempfile::tempdir().unwrap();
    A.in_sot().write_to(policy.path());
    let mut daemon = Daemon::start(&Settings::new(policy.path())).await;
    daemon.signal(Signal::HUP);
    daemon.logged("everything was read again").await;
    assert!(daemon.terminate().await.success());
}
