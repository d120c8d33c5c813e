//! The ways in which editors, deployments and version control write a policy directory.
//!
//! Each does what its namesake does to the file system, call by call, and no more.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use crate::daemon::policy::Policy;

/// Puts `content` into the file, or deletes it: one step either way, so that one change is seen.
pub(crate) fn write(file: &Path, content: Option<&[u8]>) {
    match content {
        Some(content) => {
            let beside = file.with_extension("swp");
            fs::write(&beside, content).unwrap();
            fs::rename(&beside, file).unwrap();
        }
        None => fs::remove_file(file).unwrap(),
    }
}

/// Truncates each file and writes it anew, one right after the other.
pub(crate) fn in_place(folder: &Path, policy: &Policy) {
    for (path, text) in &policy.files {
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .truncate(true)
            .open(folder.join(path))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }
}

/// Writes each file anew and rests in between, as a copy over a slow line does; but not so long that
/// the rest could be taken for the end.
pub(crate) fn slowly(folder: &Path, policy: &Policy) {
    const REST: Duration = Duration::from_millis(40);
    for (number, (path, text)) in policy.files.iter().enumerate() {
        if number > 0 {
            thread::sleep(REST);
        }
        fs::write(folder.join(path), text).unwrap();
    }
}

/// Writes each file beside its place and renames it into it, as most editors do.
pub(crate) fn renamed(folder: &Path, policy: &Policy) {
    for (path, text) in &policy.files {
        let path = folder.join(path);
        let beside = path.with_extension("swp");
        fs::write(&beside, text).unwrap();
        fs::rename(&beside, &path).unwrap();
    }
}

/// Deletes every file, then creates every file.
pub(crate) fn recreated(folder: &Path, policy: &Policy) {
    for (path, _) in &policy.files {
        fs::remove_file(folder.join(path)).unwrap();
    }
    for (path, text) in &policy.files {
        fs::write(folder.join(path), text).unwrap();
    }
}

/// Prepares a folder beside `folder`, renames `folder` away and the new one in. The former one stays
/// where it is then: its removal would tell of the change once more.
pub(crate) fn folder_swapped(folder: &Path, policy: &Policy) {
    let new = folder.with_extension("new");
    policy.write_to(&new);
    let old = (0..).map(|number| folder.with_extension(format!("old-{number}")));
    let old = old.into_iter().find(|old| !old.exists()).unwrap();
    fs::rename(folder, old).unwrap();
    fs::rename(new, folder).unwrap();
}

/// Removes `folder` with all that is in it, and creates it again.
pub(crate) fn folder_recreated(folder: &Path, policy: &Policy) {
    fs::remove_dir_all(folder).unwrap();
    policy.write_to(folder);
}

/// Lets the link at `link` lead to `target`, in one step.
pub(crate) fn relinked(link: &Path, target: &Path) {
    let beside = link.with_extension("tmp");
    symlink(target, &beside).unwrap();
    fs::rename(&beside, link).unwrap();
}

/// The volume of a Kubernetes ConfigMap, written as the kubelet's `AtomicWriter` writes it.
pub(crate) struct ConfigMap {
    volume: PathBuf,
    writes: u32,
}

impl ConfigMap {
    /// A volume with its first content.
    pub(crate) fn mount(volume: PathBuf, policy: &Policy) -> Self {
        fs::create_dir_all(&volume).unwrap();
        let mut config_map = Self { volume, writes: 0 };
        config_map.write(policy);
        config_map
    }

    /// Replaces the whole content.
    pub(crate) fn write(&mut self, policy: &Policy) {
        let data = self.volume.join("..data");
        let former = fs::read_link(&data).ok();
        self.writes += 1;
        let stamped = format!("..2026_06_01_12_00_{:02}.{}", self.writes, 1_234_567);
        // A new folder with a time in its name, then the content.
        policy.write_to(&self.volume.join(&stamped));
        // `..data` moves to the new folder in one step.
        let data_tmp = self.volume.join("..data_tmp");
        symlink(&stamped, &data_tmp).unwrap();
        fs::rename(&data_tmp, &data).unwrap();
        // The links that users see: new ones appear, those of files that are gone disappear.
        for (path, _) in &policy.files {
            let link = self.volume.join(path);
            if fs::symlink_metadata(&link).is_err() {
                symlink(Path::new("..data").join(path), &link).unwrap();
            }
        }
        for entry in fs::read_dir(&self.volume).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if !name.starts_with("..") && !policy.files.iter().any(|(path, _)| *path == name) {
                fs::remove_file(entry.path()).unwrap();
            }
        }
        if let Some(former) = former {
            fs::remove_dir_all(self.volume.join(former)).unwrap();
        }
    }
}

/// A git repository with one branch for each of several policies.
pub(crate) struct Repository {
    pub(crate) work_tree: PathBuf,
}

impl Repository {
    /// Commits each policy to the branch named after its pair, and checks the first one out.
    pub(crate) fn with_branches(work_tree: PathBuf, policies: &[&Policy]) -> Self {
        fs::create_dir_all(&work_tree).unwrap();
        let repository = Self { work_tree };
        repository.git(&["init", "--quiet", "--initial-branch", "empty"]);
        repository.git(&["commit", "--quiet", "--allow-empty", "--message", "empty"]);
        for policy in policies {
            repository.git(&["checkout", "--quiet", "-b", policy.chosen.0, "empty"]);
            policy.write_to(&repository.work_tree);
            repository.git(&["add", "--all"]);
            repository.git(&["commit", "--quiet", "--message", "policy"]);
        }
        repository.checkout(policies[0]);
        repository
    }

    /// Switches to the branch of `policy`.
    pub(crate) fn checkout(&self, policy: &Policy) {
        self.git(&["checkout", "--quiet", policy.chosen.0]);
    }

    fn git(&self, arguments: &[&str]) {
        let output = Command::new("git")
            .args(["-c", "user.name=Test", "-c", "user.email=test@example.com"])
            .args([
                "-c",
                "commit.gpgsign=false",
                "-c",
                "core.hooksPath=/dev/null",
            ])
            .args(arguments)
            .current_dir(&self.work_tree)
            // Neither the account's configuration nor a surrounding repository has a say.
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
    }
}
