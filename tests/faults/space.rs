//! A file system that fills up, and the reserve that is left free on it.

use std::fs;

use admit_server::audit::record::Cause;

use crate::{Scene, fill, free_bytes, mount::Mount};

/// What the tests' configuration leaves free.
const RESERVE_BYTES: u64 = 64 * 1024;
/// More than a few records need, and less than what a test fills with.
const ROOM_BYTES: u64 = 128 * 1024;

/// A daemon whose log is alone on a file system of 4 MiB.
async fn scene() -> (Scene, Mount) {
    let folder = tempfile::tempdir().unwrap();
    let mount = Mount::memory(&folder.path().join("audit"), "size=4m,mode=0700");
    (Scene::start(folder, |_| {}).await, mount)
}

#[tokio::test]
#[ignore = "mounts a file system, which needs root"]
async fn a_full_disk_refuses_until_there_is_space() {
    let (mut scene, _mount) = scene().await;
    let filler = scene.audit.join("filler");
    for round in 1..=3_u64 {
        scene.is_answered().await;
        let full = fill(&filler, 8 * 1024 * 1024).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        scene.is_refused(1).await;
        scene.serves_not().await;
        scene.is_refused(10 * round).await;
        fs::remove_file(&filler).unwrap();
        scene.serves().await;
        scene.is_answered().await;
    }
    assert_eq!(scene.refused, 63);
    scene.is_whole_after(Cause::NoSpace);
}

#[tokio::test]
#[ignore = "mounts a file system, which needs root"]
async fn a_full_disk_is_told_before_anybody_asks() {
    let (mut scene, _mount) = scene().await;
    scene.is_answered().await;
    let filler = scene.audit.join("filler");
    fill(&filler, 8 * 1024 * 1024).unwrap_err();
    scene.serves_not().await;
    fs::remove_file(&filler).unwrap();
    scene.serves().await;
    scene.is_answered().await;
    let (_, gaps) = scene.is_whole();
    assert_eq!(gaps, [], "nobody was refused");
}

#[tokio::test]
#[ignore = "mounts a file system, which needs root"]
async fn the_reserve_has_two_sides() {
    let (mut scene, _mount) = scene().await;
    let filler = scene.audit.join("filler");
    scene.is_answered().await;
    let free = free_bytes(&scene.audit);
    fill(&filler, free - RESERVE_BYTES - ROOM_BYTES).unwrap();
    for _ in 0..5 {
        scene.is_answered().await;
    }
    // One page less than the reserve is left, and any other program could still write.
    let free = free_bytes(&scene.audit);
    let other = scene.audit.join("other");
    fill(&other, free - RESERVE_BYTES + 4096).unwrap();
    assert!(free_bytes(&scene.audit) > RESERVE_BYTES / 2);
    scene.is_refused(3).await;
    scene.serves_not().await;
    fs::remove_file(&other).unwrap();
    scene.serves().await;
    scene.is_answered().await;
    scene.is_whole_after(Cause::NoSpace);
}

#[tokio::test]
#[ignore = "mounts a file system, which needs root"]
async fn a_full_disk_refuses_the_start() {
    let (scene, _mount) = scene().await;
    let audit = scene.audit.clone();
    let settings = crate::Settings {
        audit_dir: Some(audit.clone()),
        ..crate::Settings::new(scene.folder.path().join("policy"))
    };
    assert_eq!(scene.daemon.terminate().await.code(), Some(0));
    // The next start has something to record: what a crash left.
    let segment = admit_server::audit::segment::list(&audit)
        .unwrap()
        .remove(0);
    let mut content = fs::read(&segment.path).unwrap();
    content.extend_from_slice(b"{\"type\":");
    fs::write(&segment.path, content).unwrap();
    let filler = audit.join("filler");
    let free = free_bytes(&audit);
    fill(&filler, free - RESERVE_BYTES / 2).unwrap();
    let mut refused = crate::Daemon::spawn(&settings);
    let status = refused.exited().await;
    assert!(!status.success());
    let said = refused.log();
    assert!(said.contains("free space"), "{said}");
    assert!(!said.contains("listening"), "{said}");
    fs::remove_file(&filler).unwrap();
    let daemon = crate::Daemon::start(&settings).await;
    assert_eq!(daemon.terminate().await.code(), Some(0));
    let (verified, _) = crate::checked(&audit, &scene.known);
    assert_eq!((verified.entries, verified.torn_bytes), (1, 0));
}
