//! A log whose files are taken away while it is written to.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
};

use admit_server::audit::{
    basis,
    record::{Cause, Entry},
    segment,
    verify::{Known, verify},
};
use tonic_health::pb::health_check_response::ServingStatus;

use crate::{Daemon, Scene, Settings, checked};

#[tokio::test]
async fn a_file_that_is_deleted_is_restored() {
    let mut scene = Scene::plain().await;
    scene.is_answered().await;
    fs::remove_file(scene.current()).unwrap();
    // Whether or not anybody asks.
    scene.daemon.logged("was restored").await;
    scene.is_whole();
    scene.is_answered().await;
    fs::remove_file(scene.current()).unwrap();
    scene.is_answered().await;
    scene.is_whole();
    // What was restored is what the next start goes on with.
    let settings = Settings {
        audit_dir: Some(scene.audit.clone()),
        ..Settings::new(scene.folder.path().join("policy"))
    };
    let Scene {
        daemon,
        audit,
        mut known,
        folder: _folder,
        ..
    } = scene;
    assert_eq!(daemon.terminate().await.code(), Some(0));
    let daemon = Daemon::start(&settings).await;
    let mut client = daemon.client().await;
    let answer = client.admit(crate::A.launch()).await.unwrap();
    assert_eq!(known.insert(answer.seq, answer.record_hash), None);
    checked(&audit, &known);
}

#[tokio::test]
async fn a_file_that_is_deleted_is_restored_before_the_end() {
    let mut scene = Scene::plain().await;
    scene.is_answered().await;
    fs::remove_file(scene.current()).unwrap();
    let Scene {
        daemon,
        audit,
        known,
        folder: _folder,
        ..
    } = scene;
    assert_eq!(daemon.terminate().await.code(), Some(0));
    checked(&audit, &known);
    // It has no other name, so that its space is free when it is deleted one day.
    for segment in segment::list(&audit).unwrap() {
        assert_eq!(fs::metadata(&segment.path).unwrap().nlink(), 1);
    }
}

#[tokio::test]
async fn a_file_that_is_cut_short_ends_the_answers() {
    let mut scene = Scene::plain().await;
    scene.is_answered().await;
    let segment = fs::OpenOptions::new()
        .write(true)
        .open(scene.current())
        .unwrap();
    segment.set_len(0).unwrap();
    // Whether or not anybody asks.
    scene.serves_not().await;
    scene.is_refused(3).await;
    // Nothing is written behind what is gone.
    assert_eq!(segment.metadata().unwrap().len(), 0);
}

#[tokio::test]
async fn a_basis_that_is_deleted_is_kept_again() {
    let mut scene = Scene::plain().await;
    scene.is_answered().await;
    let bases = scene.audit.join("bases");
    fs::remove_dir_all(&bases).unwrap();
    scene.is_answered().await;
    let mut decisions = 0;
    verify(&scene.audit, &Known::default(), |_, entry, _| {
        if let Entry::Decision(decision) = entry {
            let basis = decision.basis.as_ref().unwrap();
            basis::read(&scene.audit, basis).unwrap();
            decisions += 1;
        }
    })
    .unwrap();
    assert_eq!(decisions, 2);
}

#[tokio::test]
async fn a_file_that_is_renamed_is_restored() {
    let mut scene = Scene::plain().await;
    for _ in 0..3 {
        scene.is_answered().await;
        fs::rename(scene.current(), scene.audit.join("elsewhere")).unwrap();
        scene.is_answered().await;
    }
    scene.is_whole();
}

#[tokio::test]
async fn a_file_in_the_place_of_the_log_is_not_touched() {
    let mut scene = Scene::plain().await;
    scene.is_answered().await;
    let path = scene.current();
    let foreign = scene.folder.path().join("foreign");
    let elsewhere = scene.folder.path().join("elsewhere");
    for is_link in [false, true] {
        if is_link {
            fs::write(&elsewhere, "not a log\n").unwrap();
            symlink(&elsewhere, &foreign).unwrap();
        } else {
            fs::write(&foreign, "not a log\n").unwrap();
        }
        // In one step: there is no moment without a file.
        fs::rename(&foreign, &path).unwrap();
        scene.is_refused(4).await;
        scene.serves_not().await;
        scene.is_refused(4).await;
        assert_eq!(fs::read_to_string(&path).unwrap(), "not a log\n");
        fs::remove_file(&path).unwrap();
        scene.serves().await;
        scene.is_answered().await;
        scene.is_whole_after(Cause::FileReplaced);
    }
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "not a log\n");
}

#[tokio::test]
async fn a_directory_that_is_moved_away_and_back() {
    let mut scene = Scene::plain().await;
    scene.is_answered().await;
    let aside = scene.folder.path().join("aside");
    fs::rename(&scene.audit, &aside).unwrap();
    scene.is_refused(3).await;
    scene.serves_not().await;
    assert!(!scene.audit.exists());
    fs::rename(&aside, &scene.audit).unwrap();
    scene.serves().await;
    scene.is_answered().await;
    scene.is_whole_after(Cause::FileReplaced);
}

#[tokio::test]
async fn a_directory_that_is_deleted_ends_the_answers() {
    let mut scene = Scene::plain().await;
    scene.is_answered().await;
    fs::remove_dir_all(&scene.audit).unwrap();
    scene.is_refused(3).await;
    scene.serves_not().await;
    // Another directory of that name may be another process's.
    fs::create_dir(&scene.audit).unwrap();
    scene.is_refused(3).await;
    assert_eq!(fs::read_dir(&scene.audit).unwrap().count(), 0);
    let settings = Settings {
        audit_dir: Some(scene.audit.clone()),
        ..Settings::new(scene.folder.path().join("policy"))
    };
    let ended = scene.daemon.terminate().await;
    assert_eq!(ended.code(), Some(0));
    // A start begins another log.
    let daemon = Daemon::start(&settings).await;
    let mut client = daemon.client().await;
    client.health("").await.until(ServingStatus::Serving).await;
    let answer = client.admit(crate::A.launch()).await.unwrap();
    assert_eq!(answer.seq, 1);
}
