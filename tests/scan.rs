//! One reading of the policy directory, against real directories: what is found, what is passed over,
//! and what makes a reading fail.
//!
//! Deliberately absent: what stands in the files; see the policy core. How changes are found is in
//! `reload.rs`.

#![expect(clippy::unwrap_used, reason = "a test fails loudly")]

#[path = "scan/again.rs"]
mod again;
#[path = "scan/bounds.rs"]
mod bounds;
#[path = "scan/links.rs"]
mod links;

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt as _, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use admit_policy::{Digest, Snapshot, source_file::ContentFault};
use admit_server::store::scan::{Limits, Reading, ScanError, scan};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

const RECORD: &str = "CTO-CASE-PROVIDER-DECISION-RECORD.md";
const ADMISSION: &str = "CTO-CASE-MODEL-PROVIDER-ADMISSION.a.json";

/// Longest time that a test waits for what ought to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A policy directory in the making.
struct Tree {
    folder: TempDir,
    root: PathBuf,
}

impl Tree {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("policy");
        fs::create_dir(&root).unwrap();
        Self { folder, root }
    }

    fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn file(&self, path: impl AsRef<Path>, content: &str) -> &Self {
        fs::write(self.path(path), content).unwrap();
        self
    }

    fn folder(&self, path: impl AsRef<Path>) -> &Self {
        fs::create_dir_all(self.path(path)).unwrap();
        self
    }

    fn link(&self, path: impl AsRef<Path>, target: impl AsRef<Path>) -> &Self {
        symlink(target, self.path(path)).unwrap();
        self
    }

    /// Something outside of the policy directory.
    fn outside(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join("outside").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn scan(&self, limits: &Limits) -> Result<Reading, ScanError> {
        scan(&self.root, limits)
    }

    fn read(&self) -> Reading {
        self.scan(&Limits::DEFAULT).unwrap()
    }

    /// The paths that count as policy, each with its content or with what is wrong with it.
    fn found(&self) -> Vec<(String, Result<String, ContentFault>)> {
        let files = self.read().files;
        let content = |content: &[u8]| String::from_utf8_lossy(content).into_owned();
        files
            .iter()
            .map(|file| {
                let found = file.content.as_deref().map(content);
                (file.path.to_string(), found.map_err(|fault| *fault))
            })
            .collect()
    }
}

/// A file that was read.
fn read(path: &str, content: &str) -> (String, Result<String, ContentFault>) {
    (path.into(), Ok(content.into()))
}

/// A file with something wrong about it.
fn fault(path: &str, fault: ContentFault) -> (String, Result<String, ContentFault>) {
    (path.into(), Err(fault))
}

#[test]
fn policy_is_found_at_any_depth_and_in_hidden_folders() {
    let tree = Tree::new();
    tree.file(RECORD, "top")
        .file(format!(".sot/{RECORD}"), "hidden")
        .file(format!("a/.b/c/{ADMISSION}"), "deep")
        .file("a/X-ISSUES.md", "items")
        .file("a/README.md", "prose")
        .file(format!("a/{ADMISSION}.bak"), "prose");
    assert_eq!(
        tree.found(),
        [
            read(&format!(".sot/{RECORD}"), "hidden"),
            read(RECORD, "top"),
            read(&format!("a/.b/c/{ADMISSION}"), "deep"),
            read("a/X-ISSUES.md", "items"),
        ]
    );
    assert_eq!(tree.read().strays, []);
}

#[test]
fn the_databases_of_git_and_the_kubelet_are_passed_over() {
    let tree = Tree::new();
    tree.file(format!(".git/{RECORD}"), "git's")
        .file(format!("a/.git/worktrees/{RECORD}"), "git's")
        .file(format!("..data/{RECORD}"), "the kubelet's")
        .file(format!("a/..data_tmp/{RECORD}"), "the kubelet's")
        .file(format!("..2026_06_01/{RECORD}"), "the kubelet's")
        // Names that only look similar hide nothing.
        .file(format!(".github/{RECORD}"), "ours")
        .file(format!(".git-crypt/{RECORD}"), "ours")
        .file(format!(".../{RECORD}"), "ours")
        .file(format!("..policy/{RECORD}"), "ours")
        .file(format!("data/{RECORD}"), "ours");
    let folders = ["...", "..policy", ".git-crypt", ".github", "data"];
    let expected = folders.map(|folder| read(&format!("{folder}/{RECORD}"), "ours"));
    assert_eq!(tree.found(), expected);
}

#[test]
fn the_volume_of_a_config_map_is_read_once_under_the_names_of_its_links() {
    let tree = Tree::new();
    tree.file(format!("..2026_06_01/{RECORD}"), "new")
        .file(format!("..2026_05_31/{RECORD}"), "old")
        .link("..data", "..2026_06_01")
        .link(RECORD, format!("..data/{RECORD}"));
    assert_eq!(tree.found(), [read(RECORD, "new")]);
}

#[test]
fn a_reading_is_the_same_wherever_and_however_the_files_came_there() {
    let files = [(format!("b/{RECORD}"), "r"), (ADMISSION.to_owned(), "a")];
    let (forth, back) = (Tree::new(), Tree::new());
    for (path, content) in &files {
        forth.file(path, content);
    }
    for (path, content) in files.iter().rev() {
        back.file(path, content);
    }
    assert_eq!(forth.read(), back.read());
    // What `sha256sum FILES… | sha256sum` shows too.
    let line = |content: &str, path: &str| format!("{}  {path}\n", Digest::of(content.as_bytes()));
    let lines = line("a", ADMISSION) + &line("r", &format!("b/{RECORD}"));
    let digest = Snapshot::build(&forth.read().files).digest();
    assert_eq!(digest, Digest::of(lines.as_bytes()));
}

#[test]
fn what_is_no_regular_file_does_not_hang_and_is_a_finding() {
    let tree = Tree::new();
    tree.folder(format!("folder/{RECORD}"))
        .folder("pipe")
        .folder("socket");
    let pipe = tree.path(format!("pipe/{RECORD}"));
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    tree.link(format!("link/{RECORD}"), &pipe);
    let _socket = UnixListener::bind(tree.path(format!("socket/{RECORD}"))).unwrap();
    let (sender, scanned) = mpsc::channel();
    thread::spawn(move || sender.send(tree.found()));
    let found = scanned.recv_timeout(PATIENCE).unwrap();
    let expected = [
        // The pipe counts once. The socket cannot even be opened, and the folder is just a folder.
        fault(&format!("pipe/{RECORD}"), ContentFault::NotAFile),
        fault(&format!("socket/{RECORD}"), ContentFault::Unreadable),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_directory_that_is_none_fails() {
    let tree = Tree::new();
    tree.file("file", "")
        .link("dangling", "nowhere")
        .link("loop", "loop");
    for path in ["gone", "file", "file/below", "dangling", "loop"] {
        let error = scan(&tree.root.join(path), &Limits::DEFAULT).unwrap_err();
        assert!(matches!(error, ScanError::Root(_)), "{path}: {error}");
    }
    assert_eq!(tree.found(), []);
}

/// Ends what goes on beside a test, however the test ends.
struct StopWhenDropped<'a>(&'a AtomicBool);

impl Drop for StopWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

#[test]
fn files_that_come_and_go_never_fail_a_reading() {
    let tree = Tree::new();
    tree.file(RECORD, "record");
    let going = AtomicBool::new(true);
    thread::scope(|scope| {
        scope.spawn(|| {
            let (folder, target) = (tree.path("a"), tree.path("t"));
            while going.load(Ordering::Relaxed) {
                fs::create_dir_all(folder.join("b")).unwrap();
                fs::write(folder.join("b").join(ADMISSION), "admission").unwrap();
                fs::write(&target, "target").unwrap();
                symlink("b", folder.join("link")).unwrap();
                symlink(&target, folder.join("X-ISSUES.md")).unwrap();
                fs::remove_file(&target).unwrap();
                fs::remove_dir_all(&folder).unwrap();
            }
        });
        let _stop = StopWhenDropped(&going);
        let started = Instant::now();
        let mut different = Vec::new();
        let mut readings = 0;
        // Few readings are different until the other thread has had its turn.
        while readings < 500 || (different.len() < 4 && started.elapsed() < PATIENCE) {
            readings += 1;
            let reading = tree.read();
            let record = reading.files.iter().find(|file| &*file.path == RECORD);
            assert_eq!(record.unwrap().content.as_deref(), Ok(&b"record"[..]));
            if !different.contains(&reading) {
                different.push(reading);
            }
        }
        assert!(different.len() >= 4, "{different:?}");
    });
}

/// A command that runs `admitd validate` under an account that permissions bind; none, if there is no
/// way to have one.
fn bound_by_permissions() -> Option<Command> {
    let admitd = env!("CARGO_BIN_EXE_admitd");
    if !rustix::process::geteuid().is_root() {
        return Some(Command::new(admitd));
    }
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        admitd,
    ]);
    // The build may stand where that account cannot reach it.
    let mut probe = Command::new("setpriv");
    probe.args([
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        admitd,
        "--version",
    ]);
    let probed = probe.stdout(Stdio::null()).stderr(Stdio::null()).status();
    probed
        .is_ok_and(|status| status.success())
        .then_some(command)
}

#[test]
fn what_the_account_may_not_read_fails_a_reading_or_is_a_finding() {
    let Some(mut validate) = bound_by_permissions() else {
        println!("skipped: there is no account here that permissions bind");
        return;
    };
    let tree = Tree::new();
    let permit = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    permit(tree.folder.path(), 0o755).unwrap();
    tree.file(format!("open/{RECORD}"), "record")
        .file(format!("locked/{ADMISSION}"), "{}");
    validate.arg("validate").arg(&tree.root);

    permit(&tree.path(format!("open/{RECORD}")), 0o000).unwrap();
    let output = validate.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("error[file-unreadable]"), "{said}");

    for mode in [0o000, 0o111] {
        permit(&tree.root.join("locked"), mode).unwrap();
        let output = validate.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{mode:o}: {said}");
        assert!(
            said.contains("the folder `locked` cannot be read"),
            "{mode:o}: {said}"
        );
    }
    permit(&tree.root.join("locked"), 0o755).unwrap();
    permit(&tree.root, 0o000).unwrap();
    let output = validate.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    permit(&tree.root, 0o755).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("the policy directory cannot be read"),
        "{said}"
    );
}

#[test]
fn thousands_of_admissions_are_read_and_judged() {
    const ADMISSIONS: usize = 5_000;
    let tree = Tree::new();
    let example = include_str!(
        "../deploy/example/sot/CTO-CASE-MODEL-PROVIDER-ADMISSION.qwen-local-qwen3.6-35b-a3b.json"
    );
    for number in 0..ADMISSIONS {
        let admission = example.replace("qwen3.6-35b-a3b", &format!("model-{number}"));
        let name = ADMISSION.replace(".a.", &format!(".{number}."));
        tree.file(format!("{}/{name}", number % 50), &admission);
    }
    let started = Instant::now();
    let reading = tree.read();
    let read = started.elapsed();
    let snapshot = Snapshot::build_with_strays(&reading.files, reading.strays);
    let judged = started.elapsed() - read;
    println!("{ADMISSIONS} admissions: read in {read:?}, judged in {judged:?}");
    assert_eq!(snapshot.admissions().count(), ADMISSIONS);
    // Even unoptimized, on a machine that does other things too.
    assert!(
        read + judged < Duration::from_secs(20),
        "{read:?} and {judged:?}"
    );
}
