//! `admit policy`, `admit watch` and `admit health` as processes.

use std::{
    fs::{self, Permissions},
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use admit_proto::v1::{Policy, PolicyChanged, WatchPolicyResponse, watch_policy_response::Event};
use serde_json::Value;
use tonic::{
    Status,
    transport::{Certificate, Identity, ServerTlsConfig},
};

use crate::{
    authority::{Authority, FUTURE},
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
async fn tls_comes_from_flags_and_from_the_environment() {
    let scene = Scene::new();
    let (authority, folder) = (Authority::new(), scene.0.path());
    let server = authority.issue("admit.lan", FUTURE);
    let client = authority.issue("spark-1", FUTURE);
    scene.write("ca.pem", &authority.certificate);
    scene.write("client.pem", &client.certificate);
    scene.write("key.pem", &client.key);
    let private = Permissions::from_mode(0o600);
    fs::set_permissions(folder.join("key.pem"), private).unwrap();
    let identity = Identity::from_pem(&server.certificate, &server.key);
    let config = ServerTlsConfig::new()
        .identity(identity)
        .client_ca_root(Certificate::from_pem(&authority.certificate));
    let (port, _) = Script::default().serve_tls(config).await;
    let endpoint = format!("https://127.0.0.1:{port}");
    let files = ["ca.pem", "client.pem", "key.pem"].map(|name| folder.join(name));
    let [ca, certificate, key] = files.each_ref().map(|path| path.to_str().unwrap());
    let given = [
        ("--tls-ca", "ADMIT_TLS_CA", ca),
        ("--tls-cert", "ADMIT_TLS_CERT", certificate),
        ("--tls-key", "ADMIT_TLS_KEY", key),
        ("--tls-server-name", "ADMIT_TLS_SERVER_NAME", "admit.lan"),
    ];
    let health = || scene.admit(&["health", "--server", &endpoint, "--deadline-ms", "20000"]);
    let mut flags = health();
    flags.args(given.iter().flat_map(|(flag, _, value)| [flag, value]));
    let mut environment = health();
    environment.envs(given.iter().map(|(_, variable, value)| (variable, value)));
    for command in [flags, environment] {
        let output = run(command).await;
        assert_eq!(code(&output), Some(0), "{}", text(&output));
    }
    // Each of them matters.
    for left_out in [0, 3] {
        let mut command = health();
        let rest = given.iter().enumerate().filter(|(at, _)| *at != left_out);
        command.envs(rest.map(|(_, (_, variable, value))| (variable, value)));
        let output = run(command).await;
        assert_eq!(code(&output), Some(3), "{}", text(&output));
    }
    let output = run(health()).await;
    assert_eq!(code(&output), Some(3), "{}", text(&output));
}

#[tokio::test]
async fn an_authority_that_is_named_is_the_only_one() {
    let scene = Scene::new();
    let (system, other) = (Authority::new(), Authority::new());
    scene.write("system.pem", &system.certificate);
    scene.write("other.pem", &other.certificate);
    let server = system.issue("localhost", FUTURE);
    let identity = Identity::from_pem(&server.certificate, &server.key);
    let config = ServerTlsConfig::new().identity(identity);
    let (port, _) = Script::default().serve_tls(config).await;
    let endpoint = format!("https://localhost:{port}");
    for (ca, due) in [
        (None, 0),
        (Some("../system.pem"), 0),
        (Some("../other.pem"), 3),
    ] {
        let mut command = scene.admit(&["health", "--server", &endpoint]);
        command
            .args(["--deadline-ms", "20000"])
            .args(ca.iter().flat_map(|ca| ["--tls-ca", ca]))
            .env("SSL_CERT_FILE", scene.0.path().join("system.pem"));
        let output = run(command).await;
        assert_eq!(code(&output), Some(due), "{}", text(&output));
    }
}

#[tokio::test]
async fn plaintext_beyond_loopback_needs_its_flag() {
    let scene = Scene::new();
    // Nobody is there; the flag changes that it is tried.
    let arguments = [
        "health",
        "--server",
        "http://0.0.0.0:1",
        "--deadline-ms",
        "2000",
    ];
    let output = run(scene.admit(&arguments)).await;
    assert_eq!(code(&output), Some(2), "{}", text(&output));
    let mut insecure = scene.admit(&arguments);
    insecure.arg("--insecure-plaintext");
    let output = run(insecure).await;
    assert_eq!(code(&output), Some(3), "{}", text(&output));
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
