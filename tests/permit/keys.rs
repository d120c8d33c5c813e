//! The directory of the keys: rotated by hand and by age, tidied up, broken, and refused.

use std::{os::unix::fs::chown, time::Duration};

use admit_permit::key_set::KEYS_MAX;
use admit_server::permit::directory::{self, ENTRIES_MAX};

use super::*;

const DAY_SECONDS: i64 = 24 * 60 * 60;

fn now() -> i64 {
    admit_server::clock::now().unwrap().unix().0
}

/// A scene whose directory of keys is there, and empty.
fn with_folder() -> Scene {
    let scene = Scene::new();
    fs::create_dir_all(scene.keys()).unwrap();
    scene
}

/// Makes a key that says it is so many days old.
fn make(scene: &Scene, age_days: i64) -> String {
    let created = now() - age_days * DAY_SECONDS;
    directory::make(&scene.keys(), &[], created).unwrap()
}

/// The content of a file, with spaces behind it.
fn padded(path: &Path, length: usize) -> Vec<u8> {
    let mut content = fs::read(path).unwrap();
    content.resize(length, b' ');
    content
}

/// What a daemon says that refuses to start.
async fn refusal(scene: &Scene) -> String {
    let mut daemon = Daemon::spawn(&scene.settings());
    let status = daemon.exited().await;
    assert_eq!(status.code(), Some(2), "{}", daemon.log());
    daemon.log()
}

#[tokio::test]
async fn a_key_that_is_made_by_hand_is_taken_up_while_running() {
    let scene = Scene::new();
    let mut daemon = scene.daemon().await;
    let former = kids(&daemon).await;
    let old_permit = permit(&daemon).await;
    let done = scene.rotate(&["--json"]);
    assert!(done.status.success(), "{done:?}");
    let said: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(said["schema"], "admitd.permit.rotate/1");
    assert_eq!(said["former"], former[0]);
    let kid = said["kid"].as_str().unwrap().to_owned();
    assert_ne!(kid, former[0]);
    daemon.logged("permits are signed with other keys").await;

    assert_eq!(kids(&daemon).await, [kid.clone(), former[0].clone()]);
    let keys = served(&daemon).await;
    assert!(keys.verify(&old_permit).is_ok());
    let new_permit = permit(&daemon).await;
    assert!(keys.verify(&new_permit).is_ok());
    let signing = KeySet::new(vec![keys.keys()[0].clone()]).unwrap();
    assert!(signing.verify(&new_permit).is_ok());
    assert!(signing.verify(&old_permit).is_err());
    // The former private half is gone.
    assert_eq!(names(&scene.keys(), ".pem"), [kid]);
    assert_eq!(names(&scene.keys(), ".json").len(), 2);
    assert_eq!(daemon.terminate().await.code(), Some(0));

    let daemon = scene.daemon().await;
    assert_eq!(served(&daemon).await, keys);
}

#[tokio::test]
async fn a_key_that_is_too_old_is_superseded() {
    let scene = with_folder();
    let young = make(&scene, 29);
    let daemon = scene.daemon().await;
    assert_eq!(kids(&daemon).await, [young]);
    drop(daemon);

    let scene = with_folder();
    let gone = make(&scene, 200);
    let kept = make(&scene, 95);
    let old = make(&scene, 31);
    let daemon = scene.daemon().await;
    let served = kids(&daemon).await;
    // `gone` was superseded 95 days ago, `kept` 31.
    assert_eq!(served[1..], [old, kept]);
    assert!(!served.contains(&gone));
    assert_eq!(names(&scene.keys(), ".pem"), served[..1]);
    assert_eq!(names(&scene.keys(), ".json").len(), 3);
}

#[tokio::test]
async fn a_directory_that_breaks_while_running_takes_no_key_away() {
    let scene = Scene::new();
    let mut daemon = scene.daemon().await;
    let before = kids(&daemon).await;
    let aside = scene.folder.path().join("aside");
    fs::rename(scene.keys(), &aside).unwrap();
    fs::create_dir(scene.keys()).unwrap();
    daemon.logged("cannot be read any more").await;
    assert_eq!(kids(&daemon).await, before);
    assert!(served(&daemon).await.verify(&permit(&daemon).await).is_ok());
    assert_eq!(fs::read_dir(scene.keys()).unwrap().count(), 0);
    fs::remove_dir(scene.keys()).unwrap();
    fs::rename(&aside, scene.keys()).unwrap();
    daemon.logged("can be read again").await;
}

#[tokio::test]
async fn keys_that_cannot_be_trusted_are_refused_at_the_start() {
    let scene = with_folder();
    let kid = make(&scene, 0);
    let other = directory::make(&scene.keys(), &[], now()).unwrap();
    let file = |ending: &str| scene.keys().join(format!("{kid}.{ending}"));
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    let (private, public) = (file("pem"), file("json"));
    for (path, open, right) in [
        (private.clone(), 0o640, 0o600),
        (public.clone(), 0o620, 0o600),
        (scene.keys(), 0o770, 0o700),
    ] {
        mode(&path, open).unwrap();
        let said = refusal(&scene).await;
        assert!(said.contains(path.to_str().unwrap()), "{said}");
        assert!(said.contains("others than its owner"), "{said}");
        mode(&path, right).unwrap();
    }
    let contents = |path: &Path| fs::read(path).unwrap();
    for (path, wrong) in [
        (&private, b"no key".to_vec()),
        (
            &private,
            contents(&scene.keys().join(format!("{other}.pem"))),
        ),
        (&public, b"{}".to_vec()),
        (
            &public,
            contents(&scene.keys().join(format!("{other}.json"))),
        ),
        (&public, padded(&public, 16 * 1024 + 1)),
    ] {
        let right = contents(path);
        fs::write(path, wrong).unwrap();
        let said = refusal(&scene).await;
        assert!(said.contains(path.to_str().unwrap()), "{said}");
        fs::write(path, right).unwrap();
    }
    let aside = scene.folder.path().join("aside");
    fs::rename(&public, &aside).unwrap();
    let said = refusal(&scene).await;
    assert!(said.contains("lacks the `.json` beside it"), "{said}");
    fs::rename(&aside, &public).unwrap();
    fs::write(&public, padded(&public, 16 * 1024)).unwrap();
    drop(scene.daemon().await);
}

#[tokio::test]
async fn a_directory_that_is_configured_has_to_be_there() {
    let mut scene = Scene::new();
    let keys = scene.folder.path().join("keys");
    scene.more = format!("[permit]\nkeys = {keys:?}\n");
    let said = refusal(&scene).await;
    assert!(said.contains(keys.to_str().unwrap()), "{said}");
    fs::create_dir(&keys).unwrap();
    let daemon = scene.daemon().await;
    assert_eq!(names(&keys, ".pem"), kids(&daemon).await);
    assert!(!scene.keys().exists());
}

#[test]
fn a_new_key_is_the_newest_whatever_the_clock_says() {
    let scene = with_folder();
    let future = make(&scene, -10);
    let done = scene.rotate(&[]);
    assert!(done.status.success(), "{done:?}");
    let entries = directory::read(&scene.keys()).unwrap();
    assert_eq!(entries.len(), 2);
    assert_ne!(entries[0].public.kid(), future);
    assert_eq!(entries[0].created, entries[1].created + 1);
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(said.starts_with(entries[0].public.kid()), "{said}");
    assert!(entries[0].private.is_some() && entries[1].private.is_none());
}

#[test]
fn a_key_is_not_made_for_another_user() {
    let scene = with_folder();
    make(&scene, 0);
    let before = fs::read_dir(scene.keys()).unwrap().count();
    if chown(scene.keys(), Some(1), None).is_err() {
        // Only root can give a directory away.
        return;
    }
    let done = scene.rotate(&[]);
    assert_eq!(done.status.code(), Some(2));
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(said.contains("belongs to another user"), "{said}");
    assert_eq!(fs::read_dir(scene.keys()).unwrap().count(), before);
    // Nor where there is no directory.
    fs::remove_dir_all(scene.keys()).unwrap();
    assert_eq!(scene.rotate(&[]).status.code(), Some(2));
}

#[test]
fn a_superseded_key_is_kept_for_just_so_long() {
    let scene = with_folder();
    let old = make(&scene, 2);
    let new = make(&scene, 1);
    let superseded = now() - DAY_SECONDS;
    let tidied = |after: i64| {
        let entries = directory::read(&scene.keys()).unwrap();
        let superseded = entries[0].created.min(superseded);
        let hour = Duration::from_secs(3600);
        let kept = directory::tidy(&scene.keys(), entries, superseded + after, hour).unwrap();
        let kids = kept.iter().map(|entry| entry.public.kid().to_owned());
        kids.collect::<Vec<String>>()
    };
    assert_eq!(tidied(3599), [new.clone(), old]);
    assert_eq!(tidied(3600), std::slice::from_ref(&new));
    assert_eq!(names(&scene.keys(), ".json"), [new]);
}

#[tokio::test]
async fn only_so_many_keys_are_shown() {
    let scene = with_folder();
    let mut made: Vec<String> = (1..=KEYS_MAX + 1)
        .map(|at| {
            let created = now() - 100 + i64::try_from(at).unwrap();
            directory::make(&scene.keys(), &[], created).unwrap()
        })
        .collect();
    made.reverse();
    let mut daemon = scene.daemon().await;
    daemon.logged("more permit keys than can be shown").await;
    assert_eq!(kids(&daemon).await, made[..KEYS_MAX]);
}

#[test]
fn a_directory_has_so_many_entries() {
    let scene = with_folder();
    make(&scene, 0);
    for at in 2..ENTRIES_MAX {
        fs::write(scene.keys().join(format!("{at}.txt")), "").unwrap();
    }
    assert_eq!(directory::read(&scene.keys()).unwrap().len(), 1);
    fs::write(scene.keys().join("more"), "").unwrap();
    assert!(directory::read(&scene.keys()).is_err());
}
