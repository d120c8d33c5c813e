//! `admit policy`, `admit watch` and `admit health` as processes.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use admit_proto::v1::{Policy, PolicyChanged, WatchPolicyResponse, watch_policy_response::Event};
use serde_json::Value;
use tonic::Status;

use crate::{
    scene::{Scene, code, json, run, text},
    stub::Script,
};

#[tokio::test]
async fn the_server_comes_from_the_environment_too() {
    let scene = Scene::new();
    let socket = scene.0.path().join("admit.sock");
    let (endpoint, _) = Script::default().serve_unix(&socket).await;
    let mut command = scene.admit(&["health", "--json"]);
    command.env("ADMIT_SERVER", &endpoint);
    let output = run(command).await;
    assert_eq!(code(&output), Some(0), "{}", text(&output));
    assert_eq!(json(&output)["serving"], true);
}

#[tokio::test]
async fn health_has_its_exit_codes() {
    let scene = Scene::new();
    let (up, _) = Script::default().serve_tcp().await;
    let (down, _) = Script {
        serves: false,
        ..Script::default()
    }
    .serve_tcp()
    .await;
    for (endpoint, service, due, word) in [
        (&up, "", 0, "SERVING"),
        (&down, "", 1, "NOT SERVING"),
        (&up, "nothing", 3, "NO ANSWER"),
    ] {
        let output = run(scene.admit(&[
            "health",
            "--server",
            endpoint,
            "--service",
            service,
            "--deadline-ms",
            "20000",
        ]))
        .await;
        assert_eq!(code(&output), Some(due));
        assert!(text(&output).starts_with(word), "{}", text(&output));
    }
}

#[tokio::test]
async fn the_policy_is_shown() {
    let scene = Scene::new();
    let (endpoint, _) = Script {
        policy: Some(Policy {
            digest: "0a".repeat(32),
            ..Policy::default()
        }),
        ..Script::default()
    }
    .serve_tcp()
    .await;
    let plain = run(scene.admit(&["policy", "--server", &endpoint])).await;
    assert_eq!(code(&plain), Some(0));
    assert!(text(&plain).starts_with(&format!("policy {}\n", "0a".repeat(32))));
    let as_json = run(scene.admit(&["policy", "--server", &endpoint, "--json"])).await;
    let shape = json(&as_json);
    assert_eq!(shape["schema"], "admit.policy/1");
    assert_eq!(shape["policy"]["digest"], "0a".repeat(32));
    assert_eq!(shape["error"], Value::Null);
}

fn one_event() -> Vec<Result<WatchPolicyResponse, Status>> {
    vec![Ok(WatchPolicyResponse {
        event: Some(Event::PolicyChanged(PolicyChanged::default())),
    })]
}

#[tokio::test]
async fn a_watch_that_ends_exits_with_3() {
    let scene = Scene::new();
    let (endpoint, _) = Script {
        events: Box::new(one_event),
        ends: true,
        ..Script::default()
    }
    .serve_tcp()
    .await;
    let output = run(scene.admit(&["watch", "--server", &endpoint, "--json"])).await;
    assert_eq!(code(&output), Some(3));
    let lines: Vec<Value> = output
        .stdout
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["event"], "policy_changed");
    assert_eq!(lines[1]["event"], "ended");
    assert_eq!(lines[1]["schema"], "admit.watch/1");
}

#[tokio::test]
async fn a_watch_ends_with_0_on_an_interrupt() {
    let scene = Scene::new();
    let (endpoint, _) = Script {
        events: Box::new(one_event),
        ..Script::default()
    }
    .serve_tcp()
    .await;
    let mut command = scene.admit(&["watch", "--server", &endpoint]);
    command.stdout(Stdio::piped());
    let status = tokio::task::spawn_blocking(move || {
        let mut watch = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(watch.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(line.starts_with("policy not read yet"), "{line}");
        interrupt(watch.id());
        watch.wait().unwrap()
    })
    .await
    .unwrap();
    assert_eq!(status.code(), Some(0));
}

fn interrupt(process: u32) {
    let kill = ["/bin/kill", "/usr/bin/kill"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .unwrap();
    let status = Command::new(kill)
        .args(["-INT", &process.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}
