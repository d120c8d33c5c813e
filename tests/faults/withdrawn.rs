//! A caller whose right ends while its answer is on the way to the disk.

use std::fs;

use rustix::process::{Signal, getuid};
use tonic::Code;

use crate::{
    daemon::{policy::A, within},
    shim::{Fault, scene},
};

/// The sections that name this caller, and what a hanging disk needs.
fn sections(uid: u32, lanes: &str, hosts: &str) -> String {
    format!(
        "patience = \"1m\"\n[limits]\nrequest_time = \"2m\"\n[[callers]]\nname = \"one\"\nuids = [{uid}]\n\
         rpcs = [\"Admit\"]\nlanes = [{lanes:?}]\nhosts = [{hosts:?}]\n"
    )
}

#[tokio::test]
async fn a_right_that_ends_meanwhile_takes_the_answer_with_it() {
    let uid = getuid().as_raw();
    let before = sections(uid, "real", "*");
    for after in [
        sections(uid + 1, "real", "*"),
        sections(uid, "fake", "*"),
        sections(uid, "real", "another-host"),
    ] {
        let (mut scene, faults) = scene(|settings| settings.more_audit = before.clone()).await;
        scene.is_answered().await;
        faults.on(Fault::SyncHangs);
        let mut client = scene.client.clone();
        let asked = tokio::spawn(async move { client.admit(A.launch()).await });
        within("a sync that hangs", faults.struck(Fault::SyncHangs)).await;
        let path = scene.daemon.config();
        let config = fs::read_to_string(&path).unwrap();
        assert!(config.contains(&before), "{config}");
        fs::write(&path, config.replace(&before, &after)).unwrap();
        scene.daemon.signal(Signal::HUP);
        scene.daemon.logged("the callers were changed").await;
        faults.off(Fault::SyncHangs);
        let refused = asked.await.unwrap().unwrap_err();
        assert_eq!(
            refused.code(),
            Code::PermissionDenied,
            "{after}: {refused:?}"
        );
        // The decision is in the log all the same, perhaps with the refusal by now; nobody was told of it.
        let (verified, _) = scene.is_whole();
        assert!((2..=3).contains(&verified.entries), "{after}");
    }
}
