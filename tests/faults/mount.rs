//! File systems that a test mounts for itself.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A mounted file system; unmounted in the end, whoever still uses it.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// A file system in memory at `path`.
    pub(crate) fn memory(path: &Path, options: &str) -> Self {
        fs::create_dir_all(path).unwrap();
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(path));
        Self(path.to_owned())
    }

    /// The folder at `path` once more over itself, where nothing can be made or opened for writing.
    /// What is open already can still be written to.
    pub(crate) fn read_only_over(path: &Path) -> Self {
        run(Command::new("mount").arg("--bind").arg(path).arg(path));
        let mount = Self(path.to_owned());
        run(Command::new("mount")
            .args(["-o", "remount,bind,ro"])
            .arg(path));
        mount
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // The test has its result; a mount that is left behind is the next one's to stumble over.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "NOT TESTED: {command:?} failed; these tests mount file systems and have to run as root: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
