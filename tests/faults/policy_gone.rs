//! A policy directory that is not there any more, or is something else, or is closed to the daemon.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown, symlink},
    path::Path,
    process::Command,
};

use admit_proto::v1::{PairState, Verdict, watch_policy_response::Event};

use crate::{
    Scene, Settings,
    daemon::{
        Watch, codes,
        policy::{A, ADMISSION},
    },
    mount::Mount,
};

/// A user without rights.
const NOBODY: u32 = 65534;
/// Starts the daemon as that user, who may read its configuration.
const AS_NOBODY: &[&str] = &[
    "sh",
    "-c",
    "chown -R 65534:65534 \"${4%/*}\" && exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$@\"",
    "sh",
];

fn soon_stale(settings: &mut Settings) {
    settings.rescan_interval = "100ms";
    settings.staleness_max = "1s";
}

/// Asks; the reasons against it, of which there are some.
async fn denied(scene: &mut Scene) -> Vec<String> {
    let answer = scene.client.admit(A.launch()).await.unwrap();
    assert_eq!(answer.verdict(), Verdict::Deny, "{answer:?}");
    scene.known.insert(answer.seq, answer.record_hash);
    let found = codes(&answer.reasons).into_iter();
    found.map(str::to_owned).collect()
}

/// The policy is gone until it is back: denied as stale meanwhile, and allowed again by itself.
async fn is_stale_until(scene: &mut Scene, back: impl FnOnce()) {
    scene.serves_not().await;
    assert_eq!(denied(scene).await, ["policy-stale"]);
    back();
    scene.serves().await;
    scene.is_answered().await;
    scene.is_whole();
}

#[tokio::test]
async fn a_policy_directory_that_is_something_else_is_stale_until_it_is_back() {
    type Replace = fn(&Path);
    let replacements: [Replace; 4] = [
        |_| {},
        |path| fs::write(path, "").unwrap(),
        |path| {
            assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
        },
        |path| symlink(path, path).unwrap(),
    ];
    let mut scene = Scene::start(tempfile::tempdir().unwrap(), soon_stale).await;
    let policy = scene.folder.path().join("policy");
    let aside = scene.folder.path().join("aside");
    for replace in replacements {
        scene.is_answered().await;
        fs::rename(&policy, &aside).unwrap();
        replace(&policy);
        is_stale_until(&mut scene, || {
            let _ = fs::remove_file(&policy);
            fs::rename(&aside, &policy).unwrap();
        })
        .await;
    }
}

#[tokio::test]
#[ignore = "mounts a file system, which needs root"]
async fn a_policy_directory_that_is_unmounted_revokes_until_it_is_mounted() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy");
    let mount = Mount::memory(&policy, "size=1m");
    let mut scene = Scene::start(folder, soon_stale).await;
    let mut watch = scene.client.watch(A.follow()).await.unwrap();
    until(&mut watch, PairState::Admitted).await;
    scene.is_answered().await;
    drop(mount);
    // The empty folder below it is a policy that admits nothing.
    until(&mut watch, PairState::Revoked).await;
    denied(&mut scene).await;
    let _mount = Mount::memory(&policy, "size=1m");
    A.in_sot().write_to(&policy);
    until(&mut watch, PairState::Admitted).await;
    scene.is_answered().await;
    scene.is_whole();
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A daemon without rights, on folders of its own.
async fn without_rights() -> Scene {
    let folder = tempfile::tempdir().unwrap();
    mode(folder.path(), 0o755);
    let audit = folder.path().join("audit");
    fs::create_dir(&audit).unwrap();
    mode(&audit, 0o700);
    chown(&audit, Some(NOBODY), Some(NOBODY)).unwrap();
    Scene::start(folder, |settings| {
        soon_stale(settings);
        settings.through = AS_NOBODY;
    })
    .await
}

#[tokio::test]
#[ignore = "starts the daemon as another user, which needs root"]
async fn a_policy_directory_that_is_closed_is_stale_until_it_is_open() {
    let mut scene = without_rights().await;
    let policy = scene.folder.path().join("policy");
    for closed in [policy.clone(), policy.join("sot")] {
        scene.is_answered().await;
        mode(&closed, 0);
        is_stale_until(&mut scene, || mode(&closed, 0o755)).await;
    }
}

#[tokio::test]
#[ignore = "starts the daemon as another user, which needs root"]
async fn a_policy_file_that_is_closed_denies_until_it_is_open() {
    let mut scene = without_rights().await;
    let path = format!("policy/sot/{}", ADMISSION);
    let file = scene.folder.path().join(path);
    let mut watch = scene.client.watch(A.follow()).await.unwrap();
    until(&mut watch, PairState::Admitted).await;
    mode(&file, 0);
    until(&mut watch, PairState::Revoked).await;
    denied(&mut scene).await;
    mode(&file, 0o644);
    until(&mut watch, PairState::Admitted).await;
    scene.is_answered().await;
    scene.is_whole();
}

#[tokio::test]
#[ignore = "starts the daemon as another user, which needs root"]
async fn an_audit_directory_that_is_closed_refuses_until_it_is_open() {
    let mut scene = without_rights().await;
    scene.is_answered().await;
    mode(&scene.audit, 0);
    scene.serves_not().await;
    scene.is_refused(3).await;
    mode(&scene.audit, 0o700);
    scene.serves().await;
    scene.is_answered().await;
    scene.is_whole();
}

/// Waits until the followed pair is in this state.
async fn until(watch: &mut Watch, state: PairState) {
    loop {
        match watch.next().await.unwrap() {
            Event::PairChanged(changed) if changed.state() == state => return,
            Event::PairChanged(_) | Event::PolicyChanged(_) => {}
        }
    }
}
