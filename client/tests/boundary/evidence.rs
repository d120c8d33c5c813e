//! `admit evidence` as a process: its exit codes, its JSON, what it leaves in the folder, and that
//! nothing leaks from it.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use admit_proto::v1::{CheckEvidenceResponse, PipelineOutcome, Reason};
use prost::Message as _;
use serde_json::{Value, json};
use tonic::Status;

use crate::{
    scene::{Scene, code, json, run, text},
    stub::{DECISION_ID, EVIDENCE_ID, Script, accept, reject},
};

const SECRET: &str = "sk-ant-canary-0123456789abcdef";
const BASE_URL: &str = "http://127.0.0.66:4321/canary/v1";

const STDERR: &str = "{\"msg\":\"spawning agent\",\"agent\":\"implementer\",\"provider\":\"qwen-local\",\"model\":\"qwen3\"}\n";

/// A folder after a real run in order, and one after the fake run before it.
fn evidence_scene() -> Scene {
    let scene = Scene::new();
    for folder in [
        "real/backend",
        "fake/backend",
        "fake/trace",
        "fixture/.case/t1/events",
        "home/.pi/agent/sessions",
    ] {
        fs::create_dir_all(scene.0.path().join(folder)).unwrap();
    }
    let digest = "0f".repeat(32);
    let untouched = json!({ "digest_before": digest, "digest_after": digest, "is_touched": false });
    for folder in ["real", "fake"] {
        let launch = json!({
            "version": 1, "lane": folder, "stage": 2, "host": "spark-1", "run_id": "run-1",
            "provider": "qwen-local", "model": "qwen3", "verdict": "allow", "reasons": [],
            "case_config": digest, "fixture": digest,
            "answer": {
                "decision_id": DECISION_ID, "decide_time": "2026-06-01T12:00:00Z",
                "policy_digest": digest, "case_model_admission_status": "admitted",
                "stream_id": DECISION_ID, "seq": 7, "record_hash": digest,
            },
        });
        let run = json!({
            "version": 1, "start_time": "2020-06-01T12:00:00Z", "end_time": "2020-06-01T12:01:00Z",
            "exit_code": 0, "signal": null, "ended_by": "itself", "config": untouched,
            "adapter": untouched, "lost_contact_ms": null, "withheld_lines": 0,
            "is_stderr_whole": true,
            "stderr": admit_policy::Digest::of(STDERR.as_bytes()).to_string(),
            "has_survivors": false,
        });
        let start = json!({
            "version": 1, "decision_id": DECISION_ID, "start_time": "2020-06-01T12:00:00Z",
        });
        scene.write(&format!("{folder}/launch.json"), &launch.to_string());
        scene.write(&format!("{folder}/run.json"), &run.to_string());
        scene.write(
            &format!("{folder}/case_process_started"),
            &start.to_string(),
        );
    }
    let events = concat!(
        r#"{"event":"pipeline_start","taskId":"t1","sequence":1,"runId":"r"}"#,
        "\n",
        r#"{"event":"phase_start","agent":"implementer","sequence":2,"runId":"r"}"#,
        "\n",
        r#"{"event":"pipeline_end","outcome":"completed","sequence":3,"runId":"r"}"#,
        "\n",
    );
    scene.write("fixture/.case/t1/events/run-a.jsonl", events);
    scene.write("fake/trace/events-1.jsonl", events);
    let index = json!({
        "version": 1, "event_logs": [{ "file": "events-1.jsonl", "withheld_lines": 0 }],
        "sessions": [], "faults": [],
    });
    scene.write("fake/trace/trace.json", &index.to_string());
    for folder in ["real", "fake"] {
        scene.write(&format!("{folder}/permit.jwt"), "aa.bb.cc");
        scene.write(&format!("{folder}/backend/case.stderr.log"), STDERR);
    }
    scene
}

fn check(scene: &Scene, endpoint: &str, flags: &[&str]) -> Command {
    let mut command = scene.admit(&["evidence", "check", "../real", "--server", endpoint]);
    command
        .args(["--deadline-ms", "20000"])
        .args(["--fixture-dir", "../fixture", "--baseline", "../fake"])
        .args(flags);
    command
}

fn file(scene: &Scene, name: &str) -> String {
    fs::read_to_string(scene.0.path().join(name)).unwrap()
}

fn file_json(scene: &Scene, name: &str) -> Value {
    serde_json::from_str(&file(scene, name)).unwrap()
}

fn failed() -> Reason {
    Reason {
        code: "pipeline-failed".into(),
        message: "the pipeline failed".into(),
        help: "run it again".into(),
        ..Reason::default()
    }
}

#[tokio::test]
async fn an_acceptance_exits_with_0_and_stands_in_the_folder() {
    let scene = evidence_scene();
    let (endpoint, asked) = Script::default().serve_tcp().await;
    let mut command = check(&scene, &endpoint, &["--task-id", "t1"]);
    let place = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    command.env("TRACEPARENT", place);
    let output = run(command).await;
    assert_eq!(code(&output), Some(0), "{}", text(&output));
    assert!(
        text(&output).starts_with(&format!("ACCEPTED  evidence {EVIDENCE_ID}\n")),
        "{}",
        text(&output)
    );
    assert_eq!(asked.traces(), [Some(place.to_owned())]);
    let request = &asked.evidence()[0];
    assert_eq!(request.permit, "aa.bb.cc");
    assert_eq!(request.pipeline(), PipelineOutcome::Passed);
    assert_eq!(request.baseline.as_ref().unwrap().run_id, "run-1");

    let verdict = file_json(&scene, "real/verdict.json");
    assert_eq!(verdict["version"], 1);
    assert_eq!(verdict["verdict"], "accepted");
    assert_eq!(verdict["decision_id"], DECISION_ID);
    assert_eq!(verdict["seq"], 8);
    let report = file_json(&scene, "real/report.json");
    assert_eq!(report["verdict"]["verdict"], "accepted");
    assert!(file(&scene, "real/summary.md").starts_with("# Evidence: ACCEPTED\n"));
    for name in [
        "verdict.json",
        "report.json",
        "summary.md",
        "trace/trace.json",
    ] {
        let path = scene.0.path().join("real").join(name);
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }

    let output = run(check(&scene, &endpoint, &["--json"])).await;
    assert_eq!(code(&output), Some(0), "{}", text(&output));
    let shape = json(&output);
    assert_eq!(shape["schema"], "admit.evidence/1");
    assert_eq!(shape["outcome"], "accepted");
    assert_eq!(shape["evidence_id"], EVIDENCE_ID);
    assert_eq!(shape["check_time"], "2026-06-01T12:01:00Z");
    assert_eq!(shape["record"]["seq"], 8);
}

#[tokio::test]
async fn a_rejection_exits_with_1_and_gives_every_reason() {
    let scene = evidence_scene();
    let (endpoint, _) = Script::judging(|_| Ok(reject(vec![failed()])))
        .serve_tcp()
        .await;
    let output = run(check(&scene, &endpoint, &[])).await;
    assert_eq!(code(&output), Some(1));
    let out = text(&output);
    assert!(out.starts_with("REJECTED  1 reason  evidence "), "{out}");
    assert!(
        out.contains("  pipeline-failed: the pipeline failed\n    help: run it again\n"),
        "{out}"
    );
    assert!(out.ends_with("the run is no pass evidence\n"), "{out}");
    let verdict = file_json(&scene, "real/verdict.json");
    assert_eq!(verdict["verdict"], "rejected");
    assert_eq!(verdict["reasons"][0]["code"], "pipeline-failed");
    let output = run(check(&scene, &endpoint, &["--json"])).await;
    assert_eq!(code(&output), Some(1));
    assert_eq!(json(&output)["reasons"][0]["code"], "pipeline-failed");
}

#[tokio::test]
async fn whatever_is_no_answer_exits_with_3() {
    let scene = evidence_scene();
    let (malformed, _) = Script::judging(|_| {
        Ok(CheckEvidenceResponse {
            reasons: vec![failed()],
            ..accept()
        })
    })
    .serve_tcp()
    .await;
    let (of_another, _) = Script::judging(|_| {
        Ok(CheckEvidenceResponse {
            decision_id: EVIDENCE_ID.into(),
            ..accept()
        })
    })
    .serve_tcp()
    .await;
    let (failing, _) = Script::judging(|_| Err(Status::unavailable("stopping")))
        .serve_tcp()
        .await;
    let nobody = format!("unix:{}", scene.0.path().join("none").display());
    for (endpoint, kind) in [
        (&malformed, "malformed"),
        (&of_another, "malformed"),
        (&failing, "failed"),
        (&nobody, "unreachable"),
    ] {
        let output = run(check(&scene, endpoint, &[])).await;
        assert_eq!(code(&output), Some(3), "{kind}");
        assert!(
            text(&output).starts_with("NO ANSWER: "),
            "{}",
            text(&output)
        );
        let verdict = file_json(&scene, "real/verdict.json");
        assert_eq!(verdict["verdict"], "no-answer", "{kind}");
        assert_eq!(
            file_json(&scene, "real/report.json")["verdict"],
            Value::Null
        );
        assert!(file(&scene, "real/summary.md").starts_with("# Evidence: NOT JUDGED\n"));
        let output = run(check(&scene, endpoint, &["--json"])).await;
        assert_eq!(code(&output), Some(3), "{kind}");
        assert_eq!(json(&output)["outcome"], "no_answer");
        assert_eq!(json(&output)["error"]["kind"], kind);
    }
}

#[tokio::test]
async fn collecting_asks_nobody() {
    let scene = evidence_scene();
    let (endpoint, asked) = Script::default().serve_tcp().await;
    let collect = |flags: &[&str]| {
        let mut command = scene.admit(&["evidence", "collect", "../real"]);
        command
            .args(["--fixture-dir", "../fixture"])
            .args(flags)
            .env("ADMIT_SERVER", &endpoint);
        command
    };
    let output = run(collect(&[])).await;
    assert_eq!(code(&output), Some(0), "{}", text(&output));
    assert!(
        text(&output).contains("pipeline  passed"),
        "{}",
        text(&output)
    );
    assert!(!scene.0.path().join("real/verdict.json").exists());
    let output = run(collect(&["--json"])).await;
    let shape = json(&output);
    assert_eq!(shape["outcome"], "collected");
    assert_eq!(shape["report"]["observed_models"]["is_complete"], true);
    assert!(asked.evidence().is_empty());
}

#[tokio::test]
async fn what_cannot_be_collected_exits_with_4_and_asks_nothing() {
    let (endpoint, asked) = Script::default().serve_tcp().await;
    let scene = evidence_scene();
    let mut fake = scene.admit(&["evidence", "check", "../fake", "--server", &endpoint]);
    fake.arg("--json");
    let output = run(fake).await;
    assert_eq!(code(&output), Some(4), "{}", text(&output));
    assert_eq!(json(&output)["outcome"], "not_collected");
    fs::remove_file(scene.0.path().join("real/launch.json")).unwrap();
    let output = run(check(&scene, &endpoint, &[])).await;
    assert_eq!(code(&output), Some(4));
    assert!(
        text(&output).starts_with("NOT COLLECTED: launch.json"),
        "{}",
        text(&output)
    );
    assert!(asked.evidence().is_empty());
}

#[tokio::test]
async fn a_command_line_that_cannot_be_used_exits_with_2_and_asks_nothing() {
    let scene = evidence_scene();
    let (endpoint, asked) = Script::default().serve_tcp().await;
    for flags in [
        &["--task-id", ""][..],
        &["--server", "x"],
        &["--help"],
        &["more"],
    ] {
        let output = run(check(&scene, &endpoint, flags)).await;
        assert_eq!(code(&output), Some(2), "{flags:?}: {}", text(&output));
    }
    assert!(asked.evidence().is_empty());
    assert!(!scene.0.path().join("real/report.json").exists());
}

#[tokio::test]
async fn planted_secrets_and_the_base_url_leave_nothing_anywhere() {
    let scene = evidence_scene();
    let events = file(&scene, "fixture/.case/t1/events/run-a.jsonl");
    scene.write(
        "fixture/.case/t1/events/run-a.jsonl",
        &format!("{events}{SECRET}\nat {BASE_URL}\n"),
    );
    let session = format!("{{\"type\":\"x\",\"key\":\"{SECRET}\"}}\n");
    fs::create_dir_all(scene.0.path().join("home/.pi/agent/sessions/--w--")).unwrap();
    scene.write("home/.pi/agent/sessions/--w--/a.jsonl", &session);
    let harness = json!({ "case_model_provider": SECRET, "case_model": BASE_URL,
        "case_model_admission_status": "admitted" });
    scene.write("work/report.json", &harness.to_string());
    let (endpoint, asked) = Script::judging(|_| Ok(reject(vec![failed()])))
        .serve_tcp()
        .await;
    for flags in [
        &["--report", "report.json"][..],
        &["--report", "report.json", "--json"],
    ] {
        let mut command = check(&scene, &endpoint, flags);
        command.env("CTO_HARNESS_CASE_LOCAL_BASE_URL", BASE_URL);
        let output = run(command).await;
        assert_eq!(code(&output), Some(1), "{}", text(&output));
        assert!(!text(&output).contains("canary"), "{}", text(&output));
    }
    for request in asked.evidence() {
        let bytes = request.encode_to_vec();
        for canary in ["canary", "127.0.0.66"] {
            assert!(
                !bytes
                    .windows(canary.len())
                    .any(|window| window == canary.as_bytes())
            );
        }
        let findings = &request.secret_scan.as_ref().unwrap().findings;
        assert_eq!(findings.len(), 2, "{findings:?}");
    }
    for name in [
        "report.json",
        "verdict.json",
        "summary.md",
        "trace/trace.json",
        "trace/events-1.jsonl",
        "trace/session-1.jsonl",
    ] {
        let content = file(&scene, &format!("real/{name}"));
        for canary in ["canary", "127.0.0.66"] {
            assert!(!content.contains(canary), "{name}: {content}");
        }
    }
}
