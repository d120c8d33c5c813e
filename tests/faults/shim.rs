//! The faults that are switched on and off in a running daemon, through a library that is preloaded.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::{Scene, daemon::Settings};

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/faults/shim.c");

/// Something that fails while it is on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    SyncFails,
    SyncHangs,
    FolderFails,
    WriteIsTorn,
    ClockJumps,
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Self::SyncFails => "sync-fails",
            Self::SyncHangs => "sync-hangs",
            Self::FolderFails => "folder-fails",
            Self::WriteIsTorn => "write-is-torn",
            Self::ClockJumps => "clock-jumps",
        }
    }
}

/// Where faults are switched.
pub(crate) struct Switches(PathBuf);

impl Switches {
    pub(crate) fn on(&self, fault: Fault) {
        fs::write(self.0.join(fault.name()), "").unwrap();
    }

    /// The clock is so many seconds off.
    pub(crate) fn jump(&self, seconds: i64) {
        // In one step: half of a number is another number.
        let whole = self.0.join("whole");
        fs::write(&whole, seconds.to_string()).unwrap();
        fs::rename(whole, self.0.join(Fault::ClockJumps.name())).unwrap();
    }

    /// Waits until it strikes.
    pub(crate) async fn struck(&self, fault: Fault) {
        let struck = self.0.join(format!("{}.struck", fault.name()));
        while !struck.exists() {
            tokio::task::yield_now().await;
        }
    }

    /// Switches it off; it has to have struck by then.
    pub(crate) fn off(&self, fault: Fault) {
        let struck = self.0.join(format!("{}.struck", fault.name()));
        assert!(struck.exists(), "{fault:?} never struck: not intercepted?");
        fs::remove_file(self.0.join(fault.name())).unwrap();
        fs::remove_file(struck).unwrap();
    }
}

/// A daemon with the library before its C library.
pub(crate) async fn scene(change: impl FnOnce(&mut Settings)) -> (Scene, Switches) {
    let folder = tempfile::tempdir().unwrap();
    let switches = folder.path().join("faults");
    fs::create_dir(&switches).unwrap();
    let env = [
        ("LD_PRELOAD", library()),
        ("ADMIT_FAULTS", switches.as_path()),
    ];
    let env = env.map(|(name, path)| (name.to_owned(), path.to_str().unwrap().to_owned()));
    let scene = Scene::start(folder, |settings| {
        settings.env = env.to_vec();
        change(settings);
    });
    (scene.await, Switches(switches))
}

/// The library, compiled once for all tests of this process.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults.so");
        // Another run may use the one that is there.
        let made = library.with_extension(std::process::id().to_string());
        let output = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(&made)
            .args([SOURCE, "-ldl"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "NOT TESTED: {said}");
        fs::rename(made, &library).unwrap();
        library
    })
}
