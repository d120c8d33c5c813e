//! Reload: every kind of write reaches every caller within a second, and never by halves.
//!
//! The daemon is the real process and runs with a rescan interval of an hour, so that what it finds
//! in time it was told of; where nothing can tell it, the interval is short instead. All the while
//! callers ask about both pairs, and judge each answer; see `reload/asking.rs`.
//!
//! Deliberately absent: what is wrong with a document, which is the policy core's business. Of broken
//! policies, only that they close at once and say where.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails loudly, and says what it measured"
)]

mod daemon;

#[path = "reload/asking.rs"]
mod asking;
#[path = "reload/closing.rs"]
mod closing;
#[path = "reload/early.rs"]
mod early;
#[path = "reload/standing.rs"]
mod standing;
#[path = "reload/unsettled.rs"]
mod unsettled;
#[path = "reload/writes.rs"]
mod writes;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use asking::Asking;
use daemon::{
    Daemon, Settings,
    policy::{A, ADMISSION, B, Policy, RECORD},
};
use writes::{ConfigMap, Repository};

/// The promise: a change is in force within this time of its last write. What it takes is two
/// readings 100 ms apart.
const IN_FORCE_MAX: Duration = Duration::from_secs(1);
/// What the tests add to the promise: tests, callers and daemons share the few cores of a build
/// machine, and every one of them may have to wait for its turn. Still far below what it would take
/// to find the change any other way.
const TURN_MAX: Duration = Duration::from_millis(1500);

/// How far apart the daemon takes the two readings that have to be the same. A change that takes longer
/// to write than this may be seen by halves, and then says nothing about the daemon: only about a
/// machine that was busy elsewhere.
const SETTLE: Duration = Duration::from_millis(100);

/// What was waited for is there within the promise.
fn assert_in_time(last_write: Instant) {
    assert_took(last_write.elapsed());
}

fn assert_took(took: Duration) {
    assert!(
        took <= IN_FORCE_MAX + TURN_MAX,
        "in force only {took:?} after the last write"
    );
}

/// Starts a daemon on `settings`, whose directory holds policy A, and lets `change` put B, A and B
/// in force, one after the other; more than once, because a change can take a watch with it.
async fn follows(settings: &Settings, policies: [&Policy; 2], mut change: impl FnMut(&Policy)) {
    let [a, b] = policies;
    let daemon = Daemon::start(settings).await;
    let mut asking = Asking::start(&daemon, &policies).await;
    asking.in_force(a, Instant::now()).await;
    for next in [b, a, b] {
        let started = Instant::now();
        change(next);
        let last_write = Instant::now();
        let took = asking.in_force(next, last_write).await;
        let wrote = last_write - started;
        println!(
            "{:?}: written in {wrote:?}, in force {took:?} later",
            next.chosen
        );
        assert_took(took);
        let wrong = asking.wrong();
        assert!(wrong.is_empty() || wrote >= SETTLE, "{wrong:#?}");
    }
    asking.finish(&[a, b, a, b]).await;
}

/// The same for a change within a directory that is there already.
async fn follows_within(change: fn(&Path, &Policy)) {
    let (a, b) = (A.in_sot(), B.in_sot());
    let folder = tempfile::tempdir().unwrap();
    let policy_dir = folder.path().join("policy");
    a.write_to(&policy_dir);
    follows(&Settings::new(&policy_dir), [&a, &b], |next| {
        change(&policy_dir, next);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_in_place() {
    follows_within(writes::in_place).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_one_file_after_the_other() {
    follows_within(writes::slowly).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_and_rename() {
    follows_within(writes::renamed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_and_creation() {
    follows_within(writes::recreated).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_directory_renamed_away_and_another_one_in() {
    follows_within(writes::folder_swapped).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_directory_removed_and_created() {
    follows_within(writes::folder_recreated).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_the_directory_renamed_away_and_another_one_in() {
    follows_within(|policy_dir, next| {
        let sot = policy_dir.join("sot");
        let fresh = policy_dir.with_extension("fresh");
        next.write_to(&fresh);
        fs::rename(&sot, policy_dir.with_extension("gone")).unwrap();
        fs::rename(fresh.join("sot"), &sot).unwrap();
        fs::remove_dir_all(policy_dir.with_extension("gone")).unwrap();
        fs::remove_dir_all(&fresh).unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_the_directory_removed_and_created() {
    follows_within(|policy_dir, next| {
        fs::remove_dir_all(policy_dir.join("sot")).unwrap();
        next.write_to(policy_dir);
    })
    .await;
}

/// Puts both policies side by side below `folder`, and lets a link lead to that of A.
fn released(folder: &Path, link: &Path) -> [Policy; 2] {
    let policies = [A.in_sot(), B.in_sot()];
    for policy in &policies {
        policy.write_to(&folder.join(policy.chosen.0));
    }
    symlink(folder.join(A.0), link).unwrap();
    policies
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_is_a_link_led_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("policy");
    let [a, b] = released(folder.path(), &link);
    follows(&Settings::new(&link), [&a, &b], |next| {
        writes::relinked(&link, &folder.path().join(next.chosen.0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_above_the_directory_led_elsewhere() {
    // So does a sidecar that keeps a checkout current: `current` leads to a checkout, and the policy
    // directory is a folder of it.
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("current");
    let [a, b] = released(folder.path(), &link);
    follows(
        &Settings::new(link.join("sot")),
        [&at_root(&a), &at_root(&b)],
        |next| {
            writes::relinked(&link, &folder.path().join(next.chosen.0));
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_behind_a_link_led_elsewhere() {
    // `policy` leads to `latest` in another folder, and that to a release in a third one.
    let (here, there, releases) = (
        tempfile::tempdir(),
        tempfile::tempdir(),
        tempfile::tempdir(),
    );
    let (here, there, releases) = (here.unwrap(), there.unwrap(), releases.unwrap());
    let (policy_dir, latest) = (here.path().join("policy"), there.path().join("latest"));
    let [a, b] = released(releases.path(), &latest);
    symlink(&latest, &policy_dir).unwrap();
    follows(&Settings::new(&policy_dir), [&a, &b], |next| {
        writes::relinked(&latest, &releases.path().join(next.chosen.0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_above_the_directory_renamed_away_and_another_one_in() {
    let folder = tempfile::tempdir().unwrap();
    let above = folder.path().join("checkout");
    let (a, b) = (A.in_sot(), B.in_sot());
    a.write_to(&above);
    follows(
        &Settings::new(above.join("sot")),
        [&at_root(&a), &at_root(&b)],
        |next| {
            let next = if next.chosen == A { &a } else { &b };
            writes::folder_swapped(&above, next);
        },
    )
    .await;
}

/// The policy as it is seen from its folder `sot`.
fn at_root(policy: &Policy) -> Policy {
    policy.chosen.at([RECORD, ADMISSION])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_config_map() {
    let (a, b) = (A.at([RECORD, ADMISSION]), B.at([RECORD, ADMISSION]));
    let folder = tempfile::tempdir().unwrap();
    let volume = folder.path().join("policy");
    let mut config_map = ConfigMap::mount(volume.clone(), &a);
    follows(&Settings::new(volume), [&a, &b], |next| {
        config_map.write(next);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_config_map_whose_keys_change() {
    let a = A.at([RECORD, "CTO-CASE-MODEL-PROVIDER-ADMISSION.alpha.json"]);
    let b = B.at([RECORD, "CTO-CASE-MODEL-PROVIDER-ADMISSION.beta.json"]);
    let folder = tempfile::tempdir().unwrap();
    let volume = folder.path().join("policy");
    let mut config_map = ConfigMap::mount(volume.clone(), &a);
    follows(&Settings::new(volume), [&a, &b], |next| {
        config_map.write(next);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_git_checkout() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (A.in_sot(), B.in_sot());
    let repository = Repository::with_branches(folder.path().join("policy"), &[&a, &b]);
    let settings = Settings::new(&repository.work_tree);
    follows(&settings, [&a, &b], |next| repository.checkout(next)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_git_checkout_that_moves_every_file_into_new_folders() {
    let folder = tempfile::tempdir().unwrap();
    let deep = format!(".sot/admissions/2026/06/{ADMISSION}");
    let (a, b) = (A.in_sot(), B.at([&format!(".sot/record/{RECORD}"), &deep]));
    let repository = Repository::with_branches(folder.path().join("policy"), &[&a, &b]);
    let settings = Settings::new(&repository.work_tree);
    follows(&settings, [&a, &b], |next| repository.checkout(next)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_a_directory_that_was_created_anew() {
    // The new directory may well get the number of the old one, whose watch went with it.
    follows_within(|policy_dir, next| match next.chosen {
        A => writes::in_place(policy_dir, next),
        _ => {
            writes::in_place(policy_dir, next);
            writes::folder_recreated(policy_dir, next);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_a_folder_after_a_link_to_it_was_removed() {
    let (a, b) = (A.in_sot(), B.in_sot());
    let folder = tempfile::tempdir().unwrap();
    let (policy_dir, link) = (
        folder.path().join("policy"),
        folder.path().join("policy/current"),
    );
    a.write_to(&policy_dir);
    symlink("sot", &link).unwrap();
    follows(&Settings::new(&policy_dir), [&a, &b], |next| {
        writes::in_place(&policy_dir, next);
        if next.chosen == B && link.is_symlink() {
            fs::remove_file(&link).unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_beside_a_link_that_leads_out() {
    // Whatever stands behind that link, nothing of it is policy; so nothing of it may get in the way
    // of following the policy.
    let (a, b) = (A.in_sot(), B.in_sot());
    let folder = tempfile::tempdir().unwrap();
    a.write_to(folder.path());
    symlink("/proc", folder.path().join("out")).unwrap();
    let settings = Settings::new(folder.path());
    follows(&settings, [&a, &b], |next| {
        writes::in_place(folder.path(), next);
    })
    .await;
}

/// A rescan interval that finds a change in time all by itself.
const RESCAN_OFTEN: &str = "200ms";
/// Starts a command in a user namespace of its own, in which it may have no inotify instance.
const WITHOUT_INOTIFY: &[&str] = &[
    "unshare",
    "--user",
    "--map-root-user",
    "sh",
    "-c",
    "echo 0 > /proc/sys/user/max_inotify_instances && exec \"$0\" \"$@\"",
];

/// A policy directory whose files have a second name in another folder: the two folders. What is written
/// under that name, the folder that is watched is not told of.
fn hard_linked(folder: &Path, policy: &Policy) -> (PathBuf, PathBuf) {
    let (policy_dir, elsewhere) = (folder.join("policy"), folder.join("elsewhere"));
    policy.write_to(&elsewhere);
    fs::create_dir_all(policy_dir.join("sot")).unwrap();
    for (path, _) in &policy.files {
        fs::hard_link(elsewhere.join(path), policy_dir.join(path)).unwrap();
    }
    (policy_dir, elsewhere)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_nothing_tells_of() {
    // So it is with network file systems, where another host writes.
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (A.in_sot(), B.in_sot());
    let (policy_dir, elsewhere) = hard_linked(folder.path(), &a);
    let settings = Settings {
        rescan_interval: RESCAN_OFTEN,
        ..Settings::new(&policy_dir)
    };
    follows(&settings, [&a, &b], |next| {
        writes::in_place(&elsewhere, next);
    })
    .await;
}

/// Whether a command can be run here at all.
fn can_run(command: &[&str]) -> bool {
    let [program, arguments @ ..] = command else {
        return false;
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let status = command.status();
    status.is_ok_and(|status| status.success())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_refuses_notification() {
    let mut probe = WITHOUT_INOTIFY.to_vec();
    probe.push("true");
    if !can_run(&probe) {
        println!("skipped: user namespaces are not to be had here");
        return;
    }
    let (a, b) = (A.in_sot(), B.in_sot());
    let folder = tempfile::tempdir().unwrap();
    a.write_to(folder.path());
    let settings = Settings {
        rescan_interval: RESCAN_OFTEN,
        through: WITHOUT_INOTIFY,
        ..Settings::new(folder.path())
    };
    Daemon::start(&settings)
        .await
        .logged("no change notification")
        .await;
    follows(&settings, [&a, &b], |next| {
        writes::in_place(folder.path(), next);
    })
    .await;
}
