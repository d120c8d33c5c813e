//! `admit run` under a permit that was obtained elsewhere, as a process.

use std::{
    process::Output,
    time::{SystemTime, UNIX_EPOCH},
};

use admit_client::permit::{Claims, KeySet, Lane, SigningKey};
use admit_policy::Digest;
use admit_proto::v1::Reason;

use crate::{
    scene::{Scene, code, run, text},
    stub::{Asked, DECISION_ID, Script, allow, deny},
};

const STARTED: &str = "work/evidence/case_process_started";

/// A permit for the launch of the scene, from now on.
fn claims() -> Claims {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_secs()).unwrap();
    Claims {
        host: "spark-1".into(),
        run_id: "run-1".into(),
        decision_id: DECISION_ID.into(),
        issued_at: now,
        expires_at: now + 600,
        lane: Lane::Fake,
        provider: String::new(),
        model: String::new(),
        admission_file: None,
        policy: None,
        case_config: Some(Digest::of(b"{}")),
        stream_id: DECISION_ID.into(),
        seq: 7,
        record_hash: Digest::of(b"record"),
    }
}

/// Launches under a permit, with a server that denies or allows; gives what it was asked.
async fn launch(is_denied: bool, flags: &[&str]) -> (Scene, Output, Asked) {
    let scene = Scene::new();
    let key = SigningKey::from_pkcs8(&SigningKey::generate_pkcs8().unwrap()).unwrap();
    let jwks = KeySet::new(vec![key.public().clone()]).unwrap().to_json();
    scene.write("work/permit", &key.sign(&claims()).unwrap());
    scene.write("work/keys", &jwks);
    let script = Script {
        jwks: Some(jwks),
        ..Script::answering(move |request| {
            Ok(if is_denied {
                let reason = Reason {
                    code: "network-class-not-allowed".into(),
                    message: "not there".into(),
                    help: "go elsewhere".into(),
                    ..Reason::default()
                };
                deny(request, vec![reason])
            } else {
                allow(request)
            })
        })
    };
    let (endpoint, asked) = script.serve_tcp().await;
    let mut command = scene.admit(&["run", "--server", &endpoint, "--run-id", "run-1"]);
    command
        .args(["--host", "spark-1", "--no-target-repository"])
        .args(["--deadline-ms", "20000", "--evidence", "evidence"])
        .args(["--fixture", "copied-artificial", "--permit", "permit"])
        .args(flags)
        .args(["--", "/bin/echo", "run", "--task", "t1.task.json"]);
    let output = run(command).await;
    (scene, output, asked)
}

#[tokio::test]
async fn the_server_judges_a_launch_under_a_permit_besides() {
    let (scene, output, asked) = launch(true, &[]).await;
    assert_eq!(code(&output), Some(80), "{}", text(&output));
    assert!(text(&output).contains("network-class-not-allowed"));
    assert!(!scene.0.path().join(STARTED).exists());
    let asked = asked.requests();
    assert_eq!(asked.len(), 1);
    assert!(asked.iter().all(|request| request.dry_run));

    let (scene, output, asked) = launch(false, &[]).await;
    assert_eq!(code(&output), Some(0), "{}", text(&output));
    assert!(scene.0.path().join(STARTED).exists());
    assert_eq!(asked.requests().len(), 1);
}

#[tokio::test]
async fn with_saved_keys_no_server_is_asked() {
    let (scene, output, asked) = launch(true, &["--jwks", "keys", "--json"]).await;
    assert_eq!(code(&output), Some(0), "{}", text(&output));
    assert!(scene.0.path().join(STARTED).exists());
    assert!(asked.requests().is_empty());
    let printed = String::from_utf8(output.stdout).unwrap();
    let last: serde_json::Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
    assert_eq!(last["schema"], "admit.run/1");
    assert_eq!(last["decision_id"], DECISION_ID);
}
