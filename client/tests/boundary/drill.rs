//! `admit drill` as a process against servers whose gates are closed, open, or closed for the wrong
//! reason.

use std::{
    fs,
    process::{Command, Output},
};

use admit_policy::{Code, Digest};
use admit_proto::v1::{
    AdapterState, AdmitRequest, AdmitResponse, Branch, EndpointScope, Pair, PairState, Place,
    Policy, Presence, Reason, ServedModel,
};
use serde_json::Value;
use tonic::Status;

use crate::{
    scene::{Scene, code, json, run, text},
    stub::{Script, allow, deny},
};

fn reason(code: &str) -> Reason {
    Reason {
        code: code.into(),
        ..Reason::default()
    }
}

const PROVIDER: &str = "qwen-local";
const MODEL: &str = "qwen3.6-35b-a3b";
/// The admission file of that pair.
const ADMISSION_FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../deploy/example/sot/CTO-CASE-MODEL-PROVIDER-ADMISSION.qwen-local-qwen3.6-35b-a3b.json"
);

fn policy(branch: Branch) -> Policy {
    let pair = |provider: &str, state: PairState, reasons: Vec<Reason>| Pair {
        provider: provider.into(),
        model: MODEL.into(),
        state: state.into(),
        reasons,
        places: vec![Place::default()],
        ..Pair::default()
    };
    Policy {
        digest: "0a".repeat(32),
        branch: branch.into(),
        pairs: vec![
            pair("other", PairState::Revoked, vec![reason("review-due")]),
            pair(PROVIDER, PairState::Admitted, Vec::new()),
        ],
        pairs_count: 2,
        ..Policy::default()
    }
}

/// Whether this is the launch in which nothing is amiss.
fn is_control(request: &AdmitRequest) -> bool {
    has_nothing_amiss(request)
        && request.provider == PROVIDER
        && request.model == MODEL
        && request.admission_file_digest
            == Digest::of(&fs::read(ADMISSION_FILE).unwrap()).to_string()
        && request.credential_source_class == "pi-models-json-local-no-secret"
}

/// Whether nothing is amiss in it, whatever its pair and its admission file are.
fn has_nothing_amiss(request: &AdmitRequest) -> bool {
    let Ok(config) =
        serde_json::from_slice::<Value>(request.case_config.as_deref().unwrap_or(b"x"))
    else {
        return false;
    };
    let local = request.local_provider.unwrap_or_default();
    request.lane == 2
        && request.stage == 2
        && config["models"]["default"]["provider"] == request.provider.as_str()
        && config["models"]["default"]["model"] == request.model.as_str()
        && config["models"].as_object().unwrap().len() == 1
        && request.expected_policy_digest.is_empty()
        && request.case_model_override == i32::from(Presence::Absent)
        && request.model_flag == i32::from(Presence::Absent)
        && request.agent_flag == i32::from(Presence::Absent)
        && request.target_repository == i32::from(Presence::Absent)
        && request
            .visible_credentials
            .as_ref()
            .is_some_and(|seen| seen.names.is_empty())
        && request
            .secret_scan
            .as_ref()
            .is_some_and(|scan| scan.covered.len() == 3 && scan.findings.is_empty())
        && request.fixture.is_some_and(|fixture| fixture.kind == 1)
        && request
            .fake_baseline
            .as_ref()
            .is_some_and(|baseline| baseline.run_id == request.run_id)
        && local.adapter == i32::from(AdapterState::Valid)
        && local.base_url == i32::from(Presence::Present)
        && local.endpoint_scope == i32::from(EndpointScope::Tailnet)
        && local.served_model == i32::from(ServedModel::NotProbed)
}

/// A server that denies each launch but the control with every code that there is.
fn closed(request: &AdmitRequest) -> AdmitResponse {
    if is_control(request) {
        allow(request)
    } else if request
        .local_provider
        .is_some_and(|local| local.endpoint_scope == i32::from(EndpointScope::Loopback))
    {
        deny(request, vec![reason("network-class-not-allowed")])
    } else {
        deny(
            request,
            Code::ALL.iter().map(|code| reason(code.as_str())).collect(),
        )
    }
}

/// The codes that a launch without an admission file is denied with.
const WITHOUT_FILE: [&str; 2] = ["admission-file-missing", "credential-source-mismatch"];
/// The codes that a launch of a pair that is not admitted is denied with.
const NOT_ADMITTED: [&str; 1] = ["provider-model-not-admitted"];

fn denied_with(request: &AdmitRequest, codes: &[&str]) -> AdmitResponse {
    deny(request, codes.iter().map(|code| reason(code)).collect())
}

/// What [`closed`] is to a host without an admission file.
fn closed_without_file(request: &AdmitRequest) -> AdmitResponse {
    let is_without = request.provider == PROVIDER
        && request.admission_file_digest.is_empty()
        && request.credential_source_class.is_empty();
    if is_without && has_nothing_amiss(request) {
        denied_with(request, &WITHOUT_FILE)
    } else {
        closed(request)
    }
}

fn drilled(
    policy: Policy,
    admit: impl Fn(&AdmitRequest) -> Result<AdmitResponse, Status> + Send + Sync + 'static,
) -> Script {
    Script {
        policy: Some(policy),
        ..Script::answering(admit)
    }
}

fn drill(scene: &Scene, endpoint: &str, flags: &[&str]) -> Command {
    let mut command = scene.admit(&["drill", "--server", endpoint, "--host", "spark-1"]);
    command
        .args(["--deadline-ms", "20000"])
        .env("CTO_HARNESS_CASE_MODEL_ADMISSION_FILE", ADMISSION_FILE)
        .args(flags);
    command
}

/// The start of what was printed.
fn short(output: &Output) -> String {
    text(output).chars().take(200).collect()
}

fn launch<'a>(shape: &'a Value, name: &str) -> &'a Value {
    let launches = shape["launches"].as_array().unwrap();
    launches
        .iter()
        .find(|launch| launch["name"] == name)
        .unwrap_or_else(|| panic!("no {name}"))
}

#[tokio::test]
async fn closed_gates_pass_with_0() {
    let scene = Scene::new();
    let script = drilled(policy(Branch::LocalProviderRequired), |request| {
        Ok(closed(request))
    });
    let (endpoint, asked) = script.serve_tcp().await;
    let output = run(drill(&scene, &endpoint, &["--json"])).await;
    assert_eq!(code(&output), Some(0), "{}", short(&output));
    let shape = json(&output);
    assert_eq!(shape["schema"], "admit.drill/1");
    assert_eq!(shape["outcome"], "passed");
    assert_eq!(shape["serving"], true);
    assert_eq!(shape["branch"], "local_provider_required");
    assert_eq!(shape["policy_digest"], "0a".repeat(32));
    assert_eq!(shape["control"]["allowed"], true);
    assert_eq!(shape["counts"]["open"], 0);
    assert_eq!(shape["counts"]["unproven"], 0);
    for name in [
        "adapter-missing",
        "adapter-shell-command",
        "fallback-role-override",
        "branch-of-another-pair",
        "network-scope-unstated",
        "revoked-pair: other / qwen3.6-35b-a3b",
    ] {
        assert_eq!(launch(&shape, name)["result"], "closed", "{name}");
    }
    assert!(asked.requests().iter().all(|request| request.dry_run));
    assert!(
        asked
            .requests()
            .iter()
            .all(|request| request.run_id == "admit-drill")
    );

    // Whoever asks for a pair asks for that one.
    let flags = ["--json", "--provider", "p", "--model", "m"];
    let output = run(drill(&scene, &endpoint, &flags)).await;
    assert_eq!(json(&output)["control"]["allowed"], false);

    let output = run(drill(&scene, &endpoint, &[])).await;
    assert_eq!(code(&output), Some(0));
    let out = text(&output);
    assert!(
        out.contains("closed    lane-unspecified  lane-unspecified\n"),
        "{out}"
    );
    assert!(
        out.contains("PASSED  every gate that can be shown is closed\n"),
        "{out}"
    );
    assert!(out.contains("control  allowed"), "{out}");
}

#[tokio::test]
async fn without_the_admission_file_less_can_be_shown() {
    let scene = Scene::new();
    let script = drilled(policy(Branch::LocalProviderRequired), |request| {
        Ok(closed_without_file(request))
    });
    let (endpoint, asked) = script.serve_tcp().await;
    let mut command = drill(&scene, &endpoint, &["--json"]);
    command.env_remove("CTO_HARNESS_CASE_MODEL_ADMISSION_FILE");
    let output = run(command).await;
    assert_eq!(code(&output), Some(0), "{}", short(&output));
    let shape = json(&output);
    assert_eq!(shape["control"]["allowed"], false);
    let unknown = launch(&shape, "network-scope-unstated");
    assert_eq!(unknown["result"], "not_applicable");
    assert!(unknown["obstacle"].is_string());
    // What denies the control is not shown by the launches that are about it.
    for name in WITHOUT_FILE {
        let launch = launch(&shape, name);
        assert_eq!(launch["result"], "not_applicable", "{name}");
        let obstacle = launch["obstacle"].as_str().unwrap();
        assert!(obstacle.contains("the same code"), "{obstacle}");
    }
    assert_eq!(launch(&shape, "pair-not-admitted")["result"], "closed");
    // The local gates are asked of a pair for which they hold whatever the admission says.
    assert_eq!(launch(&shape, "adapter-missing")["result"], "closed");
    let absent = i32::from(AdapterState::Absent);
    let requests = asked.requests();
    let of_adapter = requests
        .iter()
        .find(|request| request.local_provider.unwrap_or_default().adapter == absent)
        .unwrap();
    assert_eq!(of_adapter.provider, "admit-drill");
}

#[tokio::test]
async fn what_denies_the_control_shows_no_gate() {
    let scene = Scene::new();
    let stranger = ["--json", "--provider", "p", "--model", "m"];
    // What becomes of the launch of another pair that is not admitted: `None`, allowed.
    for (codes, result, exit) in [
        (Some(&NOT_ADMITTED[..]), "not_applicable", 0),
        (Some(&["pair-not-selected"]), "unproven", 1),
        (None, "open", 1),
    ] {
        let script = drilled(policy(Branch::LocalProviderRequired), move |request| {
            let is_amiss = !has_nothing_amiss(request) || request.admission_file_digest.is_empty();
            Ok(match (is_amiss, codes) {
                (true, _) => closed(request),
                (false, None) if request.provider != "p" => allow(request),
                (false, Some(codes)) if request.provider == "admit-drill" => {
                    denied_with(request, codes)
                }
                // That pair is denied for a reason that the control is not denied for.
                (false, Some(_)) if request.provider == "anthropic" => denied_with(
                    request,
                    &["provider-model-not-admitted", "pair-not-selected"],
                ),
                (false, Some(_) | None) if request.provider == "p" => {
                    denied_with(request, &NOT_ADMITTED)
                }
                (false, Some(_) | None) => closed(request),
            })
        });
        let (endpoint, _) = script.serve_tcp().await;
        let output = run(drill(&scene, &endpoint, &stranger)).await;
        let shape = json(&output);
        assert_eq!(shape["control"]["reasons"][0], NOT_ADMITTED[0]);
        assert_eq!(launch(&shape, "pair-not-admitted")["result"], result);
        assert_eq!(code(&output), Some(exit), "{result}: {}", short(&output));
        if exit == 0 {
            let another = launch(&shape, "branch-of-another-pair");
            assert_eq!(another["result"], "closed");
        }
    }
}

#[tokio::test]
async fn one_open_gate_fails_with_1() {
    let scene = Scene::new();
    let script = drilled(policy(Branch::LocalProviderRequired), |request| {
        Ok(if request.stage == 1 {
            allow(request)
        } else {
            closed(request)
        })
    });
    let (endpoint, _) = script.serve_tcp().await;
    let output = run(drill(&scene, &endpoint, &["--json"])).await;
    assert_eq!(code(&output), Some(1), "{}", short(&output));
    let shape = json(&output);
    assert_eq!(shape["outcome"], "failed");
    assert_eq!(shape["counts"]["open"], 1);
    assert_eq!(launch(&shape, "stage-1")["result"], "open");
    let output = run(drill(&scene, &endpoint, &[])).await;
    assert_eq!(code(&output), Some(1));
    assert!(
        text(&output).contains("OPEN      stage-1  allowed by "),
        "{}",
        text(&output)
    );
}

#[tokio::test]
async fn an_open_gate_outweighs_a_missing_answer() {
    let scene = Scene::new();
    let script = drilled(policy(Branch::LocalProviderRequired), |request| {
        if request.stage == 1 {
            Ok(allow(request))
        } else if request.fake_baseline.is_none() {
            Err(Status::unavailable("stopping"))
        } else {
            Ok(closed(request))
        }
    });
    let (endpoint, _) = script.serve_tcp().await;
    let output = run(drill(&scene, &endpoint, &["--json"])).await;
    assert_eq!(code(&output), Some(1), "{}", short(&output));
    assert_eq!(json(&output)["error"]["kind"], "failed");
}

#[tokio::test]
async fn a_denial_for_another_reason_fails_with_1() {
    let scene = Scene::new();
    let script = drilled(policy(Branch::LocalProviderRequired), |request| {
        Ok(if request.agent_flag == i32::from(Presence::Present) {
            deny(request, vec![reason("policy-stale")])
        } else {
            closed(request)
        })
    });
    let (endpoint, _) = script.serve_tcp().await;
    let output = run(drill(&scene, &endpoint, &["--json"])).await;
    assert_eq!(code(&output), Some(1), "{}", short(&output));
    let shape = json(&output);
    assert_eq!(shape["counts"]["unproven"], 1);
    let unproven = launch(&shape, "agent-flag");
    assert_eq!(unproven["result"], "unproven");
    assert_eq!(unproven["reasons"][0], "policy-stale");
    assert_eq!(unproven["expected"][0], "case-agent-mode");
}

#[tokio::test]
async fn what_the_branch_does_not_show_is_not_applicable() {
    let scene = Scene::new();
    for (branch, name, result) in [
        (
            Branch::ExternalProviderApproved,
            "adapter-missing",
            "not_applicable",
        ),
        (Branch::NotDecided, "branch-not-decided", "closed"),
        (
            Branch::LocalProviderRequired,
            "branch-not-decided",
            "not_applicable",
        ),
        (Branch::Unspecified, "no-valid-record", "closed"),
        // Every launch is denied with its code, the control too.
        (
            Branch::LocalProviderRequired,
            "agent-flag",
            "not_applicable",
        ),
        (Branch::NotDecided, "no-valid-record", "not_applicable"),
    ] {
        let script = drilled(policy(branch), |request| {
            let codes = Code::ALL.iter().map(|code| reason(code.as_str()));
            Ok(deny(request, codes.collect()))
        });
        let (endpoint, _) = script.serve_tcp().await;
        let output = run(drill(&scene, &endpoint, &["--json"])).await;
        assert_eq!(code(&output), Some(0), "{}", short(&output));
        assert_eq!(
            launch(&json(&output), name)["result"],
            result,
            "{branch:?} {name}"
        );
    }
}

#[tokio::test]
async fn without_every_answer_nothing_is_proven() {
    let scene = Scene::new();
    let local = || policy(Branch::LocalProviderRequired);
    let (failing, _) = drilled(local(), |request| {
        if request.stage == 1 {
            Err(Status::unavailable("stopping"))
        } else {
            Ok(closed(request))
        }
    })
    .serve_tcp()
    .await;
    let (garbage, _) = drilled(local(), |request| {
        Ok(AdmitResponse {
            verdict: 7,
            ..closed(request)
        })
    })
    .serve_tcp()
    .await;
    let (without_policy, _) = Script {
        policy: None,
        ..drilled(local(), |request| Ok(closed(request)))
    }
    .serve_tcp()
    .await;
    // The policy changes while it is drilled: what is not asked under it proves nothing.
    let (changing, _) = drilled(local(), |request| {
        let policy_digest = if request.stage == 1 { "0b" } else { "0a" };
        Ok(AdmitResponse {
            policy_digest: policy_digest.repeat(32),
            ..if request.stage == 1 {
                allow(request)
            } else {
                closed(request)
            }
        })
    })
    .serve_tcp()
    .await;
    let nobody = format!("unix:{}", scene.0.path().join("none").display());
    for (endpoint, kind) in [
        (&failing, "failed"),
        (&garbage, "malformed"),
        (&without_policy, "malformed"),
        (&changing, "policy_changed"),
        (&nobody, "unreachable"),
    ] {
        let output = run(drill(&scene, endpoint, &["--json"])).await;
        assert_eq!(code(&output), Some(3), "{kind}: {}", text(&output));
        let shape = json(&output);
        assert_eq!(shape["outcome"], "no_answer", "{kind}");
        assert_eq!(shape["error"]["kind"], kind);
        let output = run(drill(&scene, endpoint, &[])).await;
        assert_eq!(code(&output), Some(3), "{kind}");
        assert!(!text(&output).contains("PASSED"), "{}", short(&output));
    }
}

#[tokio::test]
async fn an_unhealthy_server_is_shown_as_one() {
    let scene = Scene::new();
    let script = Script {
        serves: false,
        ..drilled(policy(Branch::NotDecided), |request| {
            let codes = Code::ALL.iter().map(|code| reason(code.as_str()));
            Ok(deny(request, codes.collect()))
        })
    };
    let (endpoint, _) = script.serve_tcp().await;
    let output = run(drill(&scene, &endpoint, &[])).await;
    assert_eq!(code(&output), Some(0), "{}", short(&output));
    assert!(
        text(&output).contains("health   NOT SERVING\n"),
        "{}",
        text(&output)
    );
    let output = run(drill(&scene, &endpoint, &["--json"])).await;
    assert_eq!(json(&output)["serving"], false);
}

#[tokio::test]
async fn a_command_line_that_cannot_be_used_exits_with_2_and_asks_nothing() {
    let scene = Scene::new();
    let script = drilled(policy(Branch::NotDecided), |request| Ok(closed(request)));
    let (endpoint, asked) = script.serve_tcp().await;
    for flags in [
        &["--provider", "p"][..],
        &["--model", "m"],
        &["--provider", "a b", "--model", "m"],
        &["--run-id", ""],
        &["--admission-file", "none.json"],
        &["--admission-file", "/dev/null"],
        &["--help"],
    ] {
        let output = run(drill(&scene, &endpoint, flags)).await;
        assert_eq!(code(&output), Some(2), "{flags:?}: {}", text(&output));
    }
    assert!(asked.requests().is_empty());
}
