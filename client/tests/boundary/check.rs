//! `admit check` as a process: its exit codes, its JSON, and that nothing leaks from it.

use std::fs;

use admit_proto::v1::{AdmitResponse, Lane, Place, Reason, ScanTarget};
use prost::Message as _;
use tonic::Status;

use crate::{
    scene::{Scene, code, json, run, text},
    stub::{DECISION_ID, PERMIT, Script, allow, deny},
};

fn stale() -> Reason {
    Reason {
        code: "policy-stale".into(),
        message: "the policy is stale".into(),
        help: "let admitd read it".into(),
        places: vec![Place {
            path: "sot/a.md".into(),
            line: 3,
            column: 7,
        }],
    }
}

#[tokio::test]
async fn an_allow_exits_with_0() {
    let scene = Scene::new();
    let (endpoint, asked) = Script::default().serve_tcp().await;
    let plain = run(scene.check(&endpoint, &[])).await;
    assert_eq!(code(&plain), Some(0), "{}", text(&plain));
    let out = text(&plain);
    assert!(
        out.starts_with(&format!("ALLOW  decision {DECISION_ID}\n")),
        "{out}"
    );
    assert!(out.contains(&"0a".repeat(32)), "{out}");
    let request = &asked.requests()[0];
    assert_eq!(request.lane(), Lane::Fake);
    assert_eq!(request.host, "spark-1");
    assert_eq!(request.stage, 2);

    let as_json = run(scene.check(&endpoint, &["--json", "--dry-run", "--lane", "real"])).await;
    assert_eq!(code(&as_json), Some(0), "{}", text(&as_json));
    let shape = json(&as_json);
    assert_eq!(shape["schema"], "admit.check/1");
    assert_eq!(shape["outcome"], "allowed");
    assert_eq!(shape["lane"], "real");
    assert_eq!(shape["dry_run"], true);
    assert_eq!(shape["decision_id"], DECISION_ID);
    assert_eq!(shape["decide_time"], "2026-06-01T12:00:00Z");
    assert_eq!(shape["case_model_admission_status"], "admitted");
    assert_eq!(shape["record"]["stream_id"], DECISION_ID);
    assert_eq!(shape["record"]["seq"], 7);
    assert_eq!(shape["record"]["hash"], "0b".repeat(32));
    assert!(shape["permit"].is_null());
    let started = run(scene.check(&endpoint, &["--json"])).await;
    assert_eq!(json(&started)["permit"], PERMIT);
    assert!(out.contains(&format!("7:{}", "0b".repeat(32))), "{out}");
}

#[tokio::test]
async fn the_shell_states_its_place_in_a_trace() {
    let scene = Scene::new();
    let (endpoint, asked) = Script::default().serve_tcp().await;
    let place = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut check = scene.check(&endpoint, &[]);
    check.env("TRACEPARENT", place);
    assert_eq!(code(&run(check).await), Some(0));
    assert_eq!(code(&run(scene.check(&endpoint, &[])).await), Some(0));
    assert_eq!(asked.traces(), [Some(place.to_owned()), None]);
}

#[tokio::test]
async fn a_denial_exits_with_1_and_gives_every_reason() {
    let scene = Scene::new();
    let other = || Reason {
        code: "review-due".into(),
        message: "it is due".into(),
        ..Reason::default()
    };
    let (endpoint, _) = Script::answering(move |request| Ok(deny(request, vec![stale(), other()])))
        .serve_tcp()
        .await;
    let plain = run(scene.check(&endpoint, &[])).await;
    assert_eq!(code(&plain), Some(1));
    let out = text(&plain);
    assert!(
        out.starts_with(&format!("DENY  2 reasons  decision {DECISION_ID}\n")),
        "{out}"
    );
    let reasons = "  policy-stale: the policy is stale\n    at sot/a.md:3:7\n    help: let admitd read it\n  review-due: it is due\n";
    assert!(out.contains(reasons), "{out}");

    let as_json = run(scene.check(&endpoint, &["--json"])).await;
    assert_eq!(code(&as_json), Some(1));
    let shape = json(&as_json);
    assert_eq!(shape["outcome"], "denied");
    assert_eq!(shape["reasons"][0]["code"], "policy-stale");
    assert_eq!(shape["reasons"][0]["places"][0]["column"], 7);
    assert_eq!(shape["reasons"][1]["code"], "review-due");
}

#[tokio::test]
async fn whatever_is_no_answer_exits_with_3() {
    let scene = Scene::new();
    let (malformed, _) = Script::answering(|request| {
        Ok(AdmitResponse {
            reasons: vec![stale()],
            ..allow(request)
        })
    })
    .serve_tcp()
    .await;
    let (failing, _) = Script::answering(|_| Err(Status::unavailable("stopping")))
        .serve_tcp()
        .await;
    let nobody = format!("unix:{}", scene.0.path().join("none").display());
    for (endpoint, kind) in [
        (&malformed, "malformed"),
        (&failing, "failed"),
        (&nobody, "unreachable"),
    ] {
        let plain = run(scene.check(endpoint, &[])).await;
        assert_eq!(code(&plain), Some(3), "{kind}");
        let out = text(&plain);
        assert!(out.starts_with("NO ANSWER: "), "{out}");
        assert!(out.contains("the launch does not start"), "{out}");
        let as_json = run(scene.check(endpoint, &["--json"])).await;
        assert_eq!(code(&as_json), Some(3), "{kind}");
        let shape = json(&as_json);
        assert_eq!(shape["outcome"], "no_answer");
        assert_eq!(shape["error"]["kind"], kind);
    }
}

#[tokio::test]
async fn an_allow_that_cannot_be_printed_exits_with_3() {
    let scene = Scene::new();
    let (endpoint, _) = Script::default().serve_tcp().await;
    for flags in [&[][..], &["--json"]] {
        let mut command = scene.check(&endpoint, flags);
        command.stdout(
            fs::OpenOptions::new()
                .write(true)
                .open("/dev/full")
                .unwrap(),
        );
        let output = run(command).await;
        assert_eq!(code(&output), Some(3), "{}", text(&output));
    }
}

#[tokio::test]
async fn a_command_line_that_cannot_be_used_exits_with_2_and_asks_nothing() {
    let scene = Scene::new();
    let (endpoint, asked) = Script::default().serve_tcp().await;
    for flags in [
        &["--stage", "x"][..],
        &["--host", "spark_1"],
        &["--expect-policy", "0A"],
        &["--fake-baseline", ""],
        &["--target-repository", "relative"],
        &["--help"],
    ] {
        let output = run(scene.check(&endpoint, flags)).await;
        assert_eq!(code(&output), Some(2), "{flags:?}: {}", text(&output));
    }
    let canaries = ["http://jp:canary-1x@127.0.0.1:1", "https://canary-1x:1"];
    for endpoint in canaries {
        let output = run(scene.check(endpoint, &[])).await;
        assert_eq!(code(&output), Some(2));
        assert!(!text(&output).contains("canary"), "{}", text(&output));
    }
    let stray = ["check", "--run-id", "r", "sk-ant-canary-0123456789"];
    let output = run(scene.admit(&stray)).await;
    assert_eq!(code(&output), Some(2));
    assert!(!text(&output).contains("canary"), "{}", text(&output));
    assert!(asked.requests().is_empty());
}

#[tokio::test]
async fn facts_that_cannot_be_gathered_exit_with_4_and_ask_nothing() {
    let scene = Scene::new();
    let (endpoint, asked) = Script::default().serve_tcp().await;
    scene.write("home/.config/case/config.json", &" ".repeat(256 * 1024 + 1));
    let output = run(scene.check(&endpoint, &[])).await;
    assert_eq!(code(&output), Some(4));
    assert!(
        text(&output).starts_with("NOT ASKED: HOME leads to"),
        "{}",
        text(&output)
    );

    let scene = Scene::new();
    let mut command = scene.check(&endpoint, &["--json"]);
    command.env("CTO_HARNESS_CASE_MODEL", "sk-ant-canary-0123456789");
    let output = run(command).await;
    assert_eq!(code(&output), Some(4));
    assert_eq!(json(&output)["outcome"], "no_facts");
    assert!(!text(&output).contains("canary"), "{}", text(&output));
    assert!(asked.requests().is_empty());
}

#[tokio::test]
async fn planted_secrets_and_the_base_url_leave_nothing_anywhere() {
    const SECRET: &str = "sk-ant-canary-0123456789abcdef";
    const BASE_URL: &str = "http://127.0.0.66:4321/canary/v1";
    let scene = Scene::new();
    scene.write("work/t1.md", SECRET);
    scene.write(
        "home/.config/case/config.json",
        &format!(r#"{{"a":"{SECRET}"}}"#),
    );
    let models = format!(
        r#"{{"providers":{{"p":{{"baseUrl":"{BASE_URL}","apiKey":"{SECRET}","api":"a","models":[{{"id":"m"}}]}}}}}}"#
    );
    scene.write("home/.pi/agent/models.json", &models);
    let (endpoint, asked) = Script::answering(|request| Ok(deny(request, vec![stale()])))
        .serve_tcp()
        .await;
    for flags in [&["--lane", "real"][..], &["--lane", "real", "--json"]] {
        let mut command = scene.check(&endpoint, flags);
        command
            .arg(SECRET)
            .env("ANTHROPIC_API_KEY", SECRET)
            .env("CTO_HARNESS_CASE_LOCAL_BASE_URL", BASE_URL)
            .env("CTO_HARNESS_CASE_MODEL_PROVIDER", "p")
            .env("CTO_HARNESS_CASE_MODEL", "m");
        let output = run(command).await;
        assert_eq!(code(&output), Some(1), "{}", text(&output));
        for canary in ["canary", "127.0.0.66"] {
            assert!(!text(&output).contains(canary), "{}", text(&output));
        }
    }
    for request in asked.requests() {
        let found: Vec<ScanTarget> = request.secret_scan.as_ref().unwrap().findings().collect();
        assert_eq!(
            found,
            [
                ScanTarget::Argv,
                ScanTarget::TaskFile,
                ScanTarget::GeneratedConfig
            ]
        );
        let bytes = request.encode_to_vec();
        for canary in ["canary", "127.0.0.66"] {
            assert!(
                !bytes
                    .windows(canary.len())
                    .any(|window| window == canary.as_bytes())
            );
        }
    }
    assert_eq!(asked.requests().len(), 2);
}
