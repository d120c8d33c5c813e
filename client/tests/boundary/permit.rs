//! `admit permit` as a process, with and without a server, and the keys in the library.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use admit_client::{
    AskError, Client, Endpoint,
    permit::{Claims, KeySet, Lane, SigningKey},
};
use admit_policy::Digest;
use serde_json::Value;

use crate::{
    scene::{Scene, code, json, run, text},
    stub::{DECISION_ID, Script},
};

const ISSUED: &str = "2026-06-01T12:00:00Z";
const LAST: &str = "2026-06-01T12:00:59.999Z";
const EXPIRED: &str = "2026-06-01T12:01:00Z";
const BEFORE: &str = "2026-06-01T11:59:29Z";
const NOWHERE: &str = "http://127.0.0.1:1";

fn key() -> SigningKey {
    SigningKey::from_pkcs8(&SigningKey::generate_pkcs8().unwrap()).unwrap()
}

fn jwks(key: &SigningKey) -> String {
    KeySet::new(vec![key.public().clone()]).unwrap().to_json()
}

fn claims() -> Claims {
    Claims {
        host: "spark-1".into(),
        run_id: "run-1".into(),
        decision_id: DECISION_ID.into(),
        issued_at: 1_780_315_200,
        expires_at: 1_780_315_260,
        lane: Lane::Real,
        provider: "qwen-local".into(),
        model: "qwen3".into(),
        admission_file: Some(Digest::of(b"admission")),
        policy: Some(Digest::of(b"policy")),
        case_config: Some(Digest::of(b"config")),
        stream_id: DECISION_ID.into(),
        seq: 7,
        record_hash: Digest::of(b"record"),
    }
}

/// A scene with a permit and its keys in files, and a stranger's.
fn scene() -> Scene {
    let scene = Scene::new();
    let (ours, theirs) = (key(), key());
    let permit = ours.sign(&claims()).unwrap();
    scene.write("work/permit", &format!("{permit}\n"));
    scene.write("work/keys", &jwks(&ours));
    scene.write("work/other-permit", &theirs.sign(&claims()).unwrap());
    scene.write("work/other-keys", &jwks(&theirs));
    scene.write("work/empty", "");
    scene.write("work/long", &"a".repeat(100_000));
    scene
}

/// `admit permit verify` far from any server.
fn verify(scene: &Scene, arguments: &[&str]) -> Command {
    let mut command = scene.admit(&["permit", "verify"]);
    command.env("ADMIT_SERVER", NOWHERE).args(arguments);
    command
}

#[tokio::test]
async fn a_permit_is_verified_without_the_server() {
    let scene = scene();
    for (arguments, due, reason) in [
        (["permit", ISSUED, "spark-1", "run-1"], 0, ""),
        (["permit", LAST, "spark-1", "run-1"], 0, ""),
        (["permit", EXPIRED, "spark-1", "run-1"], 1, "permit-expired"),
        (
            ["permit", BEFORE, "spark-1", "run-1"],
            1,
            "permit-issued-in-future",
        ),
        (
            ["permit", ISSUED, "spark-2", "run-1"],
            1,
            "permit-host-mismatch",
        ),
        (
            ["permit", ISSUED, "spark-1", "run-2"],
            1,
            "permit-run-mismatch",
        ),
        (
            ["other-permit", ISSUED, "spark-1", "run-1"],
            1,
            "permit-key-unknown",
        ),
        (["empty", ISSUED, "spark-1", "run-1"], 1, "permit-malformed"),
        (["long", ISSUED, "spark-1", "run-1"], 1, "permit-malformed"),
    ] {
        let [permit, at, host, run_id] = arguments;
        let flags = ["--jwks", "keys", "--at", at, "--host", host, "--run-id"];
        let with = |more: &[&str]| {
            let mut command = verify(&scene, &flags);
            command.args([run_id, permit]).args(more);
            command
        };
        let output = run(with(&["--json"])).await;
        assert_eq!(code(&output), Some(due), "{}", text(&output));
        let shape = json(&output);
        assert_eq!(shape["schema"], "admit.permit.verify/1");
        assert_eq!(shape["valid"], due == 0);
        assert_eq!(shape["error"], Value::Null);
        if due == 0 {
            assert_eq!(shape["reason"], Value::Null);
            assert_eq!(shape["claims"], serde_json::to_value(claims()).unwrap());
        } else {
            assert_eq!(shape["reason"]["code"], reason);
        }
        let output = run(with(&[])).await;
        assert_eq!(code(&output), Some(due), "{}", text(&output));
        assert!(output.stderr.is_empty());
        let first = if due == 0 { "VALID\n" } else { "NOT VALID  " };
        assert!(text(&output).starts_with(first), "{}", text(&output));
        assert!(text(&output).contains(reason), "{}", text(&output));
    }
}

#[tokio::test]
async fn what_a_permit_states_is_shown_even_when_it_has_expired() {
    let scene = scene();
    let output = run(verify(&scene, &["--jwks", "keys", "permit"])).await;
    // Its time is long over, or has not come.
    assert_eq!(code(&output), Some(1));
    let shown = text(&output);
    for part in [
        "  host       spark-1\n",
        "  run        run-1\n",
        "  provider   qwen-local\n",
        "  expires    2026-06-01T12:01:00Z\n",
        &format!("  record     7:{}\n", Digest::of(b"record")),
    ] {
        assert!(shown.contains(part), "{shown}");
    }
}

#[tokio::test]
async fn a_permit_comes_through_standard_input_too() {
    let scene = scene();
    let permit = std::fs::read(scene.0.path().join("work/permit")).unwrap();
    let mut command = verify(&scene, &["--jwks", "keys", "--at", ISSUED, "-"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&permit).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), Some(0), "{}", text(&output));
}

#[tokio::test]
async fn without_keys_there_is_no_verdict() {
    let scene = scene();
    for keys in ["missing", "empty", "permit", "long"] {
        let arguments = ["--jwks", keys, "--at", ISSUED, "permit", "--json"];
        let output = run(verify(&scene, &arguments)).await;
        assert_eq!(code(&output), Some(3), "{keys}: {}", text(&output));
        let shape = json(&output);
        assert_eq!(shape["valid"], Value::Null);
        assert_eq!(shape["error"]["kind"], "no_keys");
    }
    let output = run(verify(&scene, &["--at", ISSUED, "permit", "--json"])).await;
    assert_eq!(code(&output), Some(3), "{}", text(&output));
    assert_eq!(json(&output)["error"]["kind"], "unreachable");
    let output = run(verify(&scene, &["--at", ISSUED, "permit"])).await;
    assert_eq!(code(&output), Some(3));
    assert!(text(&output).starts_with("NO ANSWER"), "{}", text(&output));
}

#[tokio::test]
async fn a_wrong_command_line_verifies_nothing() {
    let scene = scene();
    for arguments in [
        ["--jwks", "keys", "--at", "tomorrow", "permit"],
        ["--jwks", "keys", "--at", ISSUED, "missing"],
        ["--jwks", "keys", "--at", ISSUED, "."],
        ["--jwks", "keys", "--at", ISSUED, "--help"],
    ] {
        let output = run(verify(&scene, &arguments)).await;
        assert_eq!(code(&output), Some(2), "{}", text(&output));
    }
}

#[tokio::test]
async fn the_keys_of_the_server_are_asked_for_and_can_be_saved() {
    let scene = scene();
    let saved = std::fs::read_to_string(scene.0.path().join("work/keys")).unwrap();
    let (endpoint, _) = Script {
        jwks: Some(saved.clone()),
        ..Script::default()
    }
    .serve_tcp()
    .await;
    let keys = run(scene.admit(&["permit", "keys", "--server", &endpoint])).await;
    assert_eq!(code(&keys), Some(0), "{}", text(&keys));
    assert_eq!(text(&keys), format!("{saved}\n"));
    let shape = json(&run(scene.admit(&["permit", "keys", "--server", &endpoint, "--json"])).await);
    assert_eq!(shape["schema"], "admit.permit.keys/1");
    assert_eq!(
        shape["jwks"],
        serde_json::from_str::<Value>(&saved).unwrap()
    );
    for (permit, due) in [("permit", 0), ("other-permit", 1)] {
        let mut command = scene.admit(&["permit", "verify", "--server", &endpoint]);
        command.args(["--at", ISSUED, permit]);
        let output = run(command).await;
        assert_eq!(code(&output), Some(due), "{}", text(&output));
    }
    // A file of keys is believed before the server is.
    let mut command = scene.admit(&["permit", "verify", "--server", &endpoint]);
    command.args(["--at", ISSUED, "--jwks", "other-keys", "other-permit"]);
    assert_eq!(code(&run(command).await), Some(0));
}

#[tokio::test]
async fn keys_that_are_none_are_an_error() {
    for jwks in [
        None,
        Some(String::new()),
        Some(r#"{"keys":[]}"#.to_owned()),
        Some(jwks(&key()).replace("Ed25519", "X25519")),
    ] {
        let (endpoint, _) = Script {
            jwks: jwks.clone(),
            ..Script::default()
        }
        .serve_tcp()
        .await;
        let endpoint: Endpoint = endpoint.parse().unwrap();
        let keys = Client::new(&endpoint, Duration::from_secs(30))
            .permit_keys()
            .await;
        match jwks {
            None => assert!(matches!(keys, Err(AskError::Failed { .. })), "{keys:?}"),
            Some(_) => assert!(matches!(keys, Err(AskError::Malformed(_))), "{keys:?}"),
        }
    }
}
