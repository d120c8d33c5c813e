//! A writer that hangs: the daemon goes on to answer, and does not beat any more.
//!
//! Each of these takes the minute that counts as a standstill. The policy hangs in a file system that nobody
//! serves, so the tests have to run as root.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use admit_proto::v1::Verdict;
use admit_server::supervision::STANDSTILL_MIN;
use rustix::process::Signal;

use crate::{
    daemon::{Daemon, Settings, policy::A},
    service_manager::Manager,
};

const WATCHDOG: Duration = Duration::from_secs(1);

/// A file system in which everything hangs until it is released, and fails from then on.
struct Hanging {
    path: PathBuf,
    device: Option<File>,
}

impl Hanging {
    fn over(path: &Path) -> Self {
        let device = File::options().read(true).write(true).open("/dev/fuse");
        let device = device.unwrap_or_else(|error| panic!("NOT TESTED: /dev/fuse: {error}"));
        let options = "fd=0,rootmode=40000,user_id=0,group_id=0";
        let output = Command::new("mount")
            .args(["-i", "-t", "fuse", "-o", options, "hanging"])
            .arg(path)
            .stdin(device.try_clone().unwrap())
            .output()
            .unwrap();
        assert!(output.status.success(), "NOT TESTED: {output:?}");
        Self {
            path: path.to_owned(),
            device: Some(device),
        }
    }

    /// Whoever waits for it gets an error.
    fn release(&mut self) {
        self.device = None;
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.release();
        // The test has its result; a mount that is left behind is the next one's to stumble over.
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(&self.path)
            .status();
    }
}

#[tokio::test]
#[ignore = "takes a minute, and has to be root to mount a file system"]
async fn a_reading_that_hangs_silences_the_watchdog() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy");
    A.in_sot().write_to(&policy);
    let manager = Manager::start();
    let mut settings = Settings::new(&policy);
    settings.rescan_interval = "100ms";
    settings.env = manager.env(WATCHDOG);
    let daemon = Daemon::start(&settings).await;
    manager.told("WATCHDOG=1").await;

    let mut hanging = Hanging::over(&policy);
    let stuck = "STATUS=no progress: policy-writer-stuck";
    manager.told_within(2 * STANDSTILL_MIN, stuck).await;
    let mut client = daemon.client().await;
    let answer = client.admit(A.launch()).await.unwrap();
    assert_eq!(answer.verdict(), Verdict::Allow, "{answer:?}");
    // The reload hangs as well and is given up after many times the interval of the watchdog.
    daemon.signal(Signal::HUP);
    loop {
        let said = manager.next().await;
        assert!(!said.contains("WATCHDOG=1"), "{said}");
        if said.contains("READY=1") {
            assert!(said.contains("no progress"), "{said}");
            break;
        }
    }
    assert!(
        daemon.log().contains("policy-writer-stuck"),
        "{}",
        daemon.log()
    );
    // The reading fails, which is an end too.
    hanging.release();
    manager.told("WATCHDOG=1").await;
    assert!(daemon.terminate().await.success());
}
