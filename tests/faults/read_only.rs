//! A directory that cannot be written to, at the start and when the next segment is due.

use std::fs;

use admit_server::audit::record::Cause;

use crate::{
    Daemon, Scene, Settings,
    daemon::{policy::A, within},
    mount::Mount,
};

#[tokio::test]
#[ignore = "mounts a file system, which needs root"]
async fn a_read_only_directory_refuses_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy");
    A.in_sot().write_to(&policy);
    let audit = folder.path().join("audit");
    let settings = Settings {
        audit_dir: Some(audit.clone()),
        ..Settings::new(policy)
    };
    let refused = async || {
        let mut daemon = Daemon::spawn(&settings);
        assert!(!daemon.exited().await.success());
        let said = daemon.log();
        assert!(said.contains(audit.to_str().unwrap()), "{said}");
        assert!(said.contains("Read-only file system"), "{said}");
        assert!(!said.contains("listening"), "{said}");
    };
    // A new log.
    let mount = Mount::memory(&audit, "size=1m,mode=0700,ro");
    refused().await;
    drop(mount);
    // One that is there.
    assert_eq!(
        Daemon::start(&settings).await.terminate().await.code(),
        Some(0)
    );
    let mount = Mount::read_only_over(&audit);
    refused().await;
    drop(mount);
    assert!(!fs::metadata(&audit).unwrap().permissions().readonly());
    assert_eq!(
        Daemon::start(&settings).await.terminate().await.code(),
        Some(0)
    );
}

#[tokio::test]
#[ignore = "mounts a file system, which needs root"]
async fn a_segment_that_cannot_be_made_refuses_until_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let mut scene = Scene::start(folder, |settings| {
        settings.more_audit = "segment_age = \"1s\"\n".into();
    })
    .await;
    scene.is_answered().await;
    let before = scene.segments().len();
    let mount = Mount::read_only_over(&scene.audit);
    // The file that is open can be written to; it is closed when its second is over.
    within("a refusal", async { while scene.ask().await {} }).await;
    scene.serves_not().await;
    scene.is_refused(5).await;
    assert_eq!(scene.segments().len(), before);
    drop(mount);
    scene.serves().await;
    scene.is_answered().await;
    assert!(scene.segments().len() > before);
    scene.is_whole_after(Cause::CreateFailed);
}
