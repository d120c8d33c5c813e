//! What is collected of a run, and what of it is handed in: whole, and with each thing amiss.

use std::{fs, os::unix::fs::symlink, path::Path};

use admit_policy::Digest;
use admit_proto::v1::{
    ChangeState, EvidenceTarget, ObservationSource, ObservationState, PipelineOutcome,
};
use serde_json::{Value, json};

use super::{
    scene::{BASE_URL, SECRET, Scene, digest, events, events_of, stderr},
    *,
};

#[test]
fn a_run_in_order_is_handed_in_whole() {
    let scene = Scene::new();
    let Collected {
        request, report, ..
    } = scene.collect().unwrap();
    assert_eq!(request.host, "spark-1");
    assert_eq!(request.run_id, "run-7");
    assert_eq!(request.permit, "aa.bb-_.cc");
    let start = request.start_time.unwrap();
    assert_eq!((start.seconds, start.nanos), (1_591_012_801, 500_000_000));
    let stated = request.report.as_ref().unwrap();
    assert_eq!(stated.case_model_provider, "qwen-local");
    assert_eq!(stated.case_model, "qwen3");
    assert_eq!(stated.case_model_admission_status, "admitted");
    let observed = request.observed_models.as_ref().unwrap();
    assert_eq!(
        observed.state(),
        ObservationState::Complete,
        "{:?}",
        report.observed_models
    );
    let seen: Vec<_> = observed
        .models
        .iter()
        .map(|seen| (seen.agent.as_str(), seen.provider.as_str(), seen.source()))
        .collect();
    let stderr = ObservationSource::CaseStderr;
    assert_eq!(
        seen,
        [
            ("implementer", "qwen-local", stderr),
            ("reviewer", "qwen-local", stderr)
        ]
    );
    let config = request.config.as_ref().unwrap();
    assert_eq!(config.digest_before, digest('c'));
    assert_eq!(config.digest_after, digest('c'));
    assert_eq!(config.config(), ChangeState::Unchanged);
    assert_eq!(config.adapter(), ChangeState::Unchanged);
    assert_eq!(request.pipeline(), PipelineOutcome::Passed);
    assert_eq!(request.fixture_digest, digest('f'));
    let baseline = request.baseline.as_ref().unwrap();
    assert_eq!(baseline.run_id, "run-7");
    assert_eq!(baseline.fixture_digest, digest('f'));
    assert_eq!(baseline.pipeline(), PipelineOutcome::Passed);
    let scan = request.secret_scan.as_ref().unwrap();
    let covered: Vec<EvidenceTarget> = scan.covered().collect();
    assert_eq!(
        covered,
        [
            EvidenceTarget::Report,
            EvidenceTarget::Trace,
            EvidenceTarget::BackendLogs
        ]
    );
    assert!(scan.findings.is_empty());

    let written: Value =
        serde_json::from_slice(&fs::read(scene.folder().report()).unwrap()).unwrap();
    assert_eq!(written["case_model_provider"], "qwen-local");
    assert_eq!(written["case_model"], "qwen3");
    assert_eq!(written["case_model_admission_status"], "admitted");
    assert_eq!(written["pipeline"]["outcome"], "passed");
    assert_eq!(written["verdict"], Value::Null);
}

/// Something amiss with a run, and whether the request tells of it.
struct Amiss {
    name: &'static str,
    damage: fn(&Scene),
    is_told: fn(&CheckEvidenceRequest) -> bool,
}

const fn amiss(
    name: &'static str,
    damage: fn(&Scene),
    is_told: fn(&CheckEvidenceRequest) -> bool,
) -> Amiss {
    Amiss {
        name,
        damage,
        is_told,
    }
}

fn is_unobserved(request: &CheckEvidenceRequest) -> bool {
    request.observed_models.as_ref().unwrap().state() == ObservationState::Incomplete
}

fn is_cut(request: &CheckEvidenceRequest) -> bool {
    request.pipeline() == PipelineOutcome::Incomplete
}

fn change(request: &CheckEvidenceRequest) -> (ChangeState, ChangeState) {
    let config = request.config.as_ref().unwrap();
    (config.config(), config.adapter())
}

fn covers(request: &CheckEvidenceRequest, target: EvidenceTarget) -> bool {
    let scan = request.secret_scan.as_ref().unwrap();
    scan.covered().any(|covered| covered == target)
}

fn finds(request: &CheckEvidenceRequest, target: EvidenceTarget) -> bool {
    let scan = request.secret_scan.as_ref().unwrap();
    scan.findings().any(|found| found == target)
}

const STDERR: &str = "real/backend/case.stderr.log";
const EVENTS: &str = "fixture/.case/t1/events/run-a.jsonl";
const RUN: &str = "real/run.json";

#[rustfmt::skip] // one row per line, so that the table reads as one
const AMISS: [Amiss; 50] = [
    amiss("no permit", |s| s.remove("real/permit.jwt"), |r| r.permit.is_empty()),
    amiss("a permit that is none", |s| s.write("real/permit.jwt", "a b"), |r| r.permit.is_empty()),
    amiss("a permit that is too long", |s| s.write("real/permit.jwt", &"a".repeat(4097)), |r| r.permit.is_empty()),
    amiss("no start", |s| s.remove("real/case_process_started"), |r| r.start_time.is_none() && is_cut(r)),
    amiss("no end", |s| s.remove(RUN), |r| r.config.is_none() && is_cut(r) && is_unobserved(r) && !covers(r, EvidenceTarget::BackendLogs)),
    amiss("ended by a revocation", |s| s.set(RUN, "/ended_by", json!("revocation")), is_cut),
    amiss("ended by lost contact", |s| s.set(RUN, "/ended_by", json!("lost-contact")), is_cut),
    amiss("ended by a signal", |s| s.set(RUN, "/ended_by", json!("signal")), is_cut),
    amiss("killed from elsewhere", |s| { s.set(RUN, "/exit_code", Value::Null); s.set(RUN, "/signal", json!(9)); }, is_cut),
    amiss("an end that nobody saw", |s| s.set(RUN, "/exit_code", Value::Null), is_cut),
    amiss("an exit code and a signal", |s| s.set(RUN, "/signal", json!(9)), is_cut),
    amiss("another config after", |s| s.set(RUN, "/config/digest_after", json!(digest('e'))), |r| change(r).0 == ChangeState::Changed),
    amiss("no config after", |s| s.set(RUN, "/config/digest_after", Value::Null), |r| change(r).0 == ChangeState::Changed),
    amiss("a touched config", |s| s.set(RUN, "/config/is_touched", json!(true)), |r| change(r).0 == ChangeState::Changed),
    amiss("another config than the stated", |s| s.set("real/launch.json", "/case_config", json!(digest('e'))), |r| change(r).0 == ChangeState::Changed),
    amiss("a touched adapter", |s| s.set(RUN, "/adapter/is_touched", json!(true)), |r| change(r).1 == ChangeState::Changed),
    amiss("another adapter after", |s| s.set(RUN, "/adapter/digest_after", Value::Null), |r| change(r).1 == ChangeState::Changed),
    amiss("no standard error", |s| s.remove(STDERR), |r| is_unobserved(r) && !covers(r, EvidenceTarget::BackendLogs)),
    amiss("an endless standard error", |s| s.write(STDERR, &"\n".repeat(usize::try_from(LOG_BYTES_MAX).unwrap() + 1)), |r| is_unobserved(r) && !covers(r, EvidenceTarget::BackendLogs)),
    amiss("a withheld line of standard error", |s| s.set(RUN, "/withheld_lines", json!(1)), |r| is_unobserved(r) && finds(r, EvidenceTarget::BackendLogs)),
    amiss("a standard error that was not kept to its end", |s| s.set(RUN, "/is_stderr_whole", json!(false)), |r| is_unobserved(r) && !is_cut(r) && r.secret_scan.as_ref().unwrap().findings.is_empty()),
    amiss("something that was left running", |s| s.set(RUN, "/has_survivors", json!(true)), |r| is_cut(r) && r.secret_scan.as_ref().unwrap().findings.is_empty()),
    amiss("a standard error that somebody else wrote to", |s| s.write(STDERR, &format!("{}more\n", stderr(&["implementer", "reviewer"]))), is_unobserved),
    amiss("a standard error that nobody vouches for", |s| s.set(RUN, "/stderr", Value::Null), is_unobserved),
    amiss("a baseline whose standard error somebody else wrote to", |s| s.write("fake/backend/case.stderr.log", "more\n"), |r| r.baseline.is_none()),
    amiss("a quiet agent", |s| s.replace(STDERR, "reviewer", "closer"), is_unobserved),
    amiss("no event log", |s| s.remove(EVENTS), |r| is_cut(r) && r.observed_models.is_some()),
    amiss("two event logs", |s| s.write("fixture/.case/t2/events/run-b.jsonl", &events()), is_cut),
    amiss("an event log of another task", |s| s.replace(EVENTS, "\"t1\"", "\"t2\""), is_cut),
    amiss("a failed pipeline behind the exit code 0", |s| s.replace(EVENTS, "\"pipeline_end\",\"outcome\":\"completed\"", "\"pipeline_end\",\"outcome\":\"failed\""), |r| r.pipeline() == PipelineOutcome::Failed),
    amiss("a secret in the event log", |s| s.replace(EVENTS, "\"implement\"", &format!("\"{SECRET}\"")), |r| is_cut(r) && finds(r, EvidenceTarget::Trace)),
    amiss("a secret behind the end of the event log", |s| s.write(EVENTS, &format!("{}{SECRET}\n", events())), is_cut),
    amiss("the endpoint in the event log", |s| s.replace(EVENTS, "\"implement\"", &format!("\"{BASE_URL}\"")), |r| is_cut(r) && finds(r, EvidenceTarget::Trace)),
    amiss("a secret on standard error", |s| s.replace(STDERR, "starting", SECRET), |r| finds(r, EvidenceTarget::BackendLogs)),
    amiss("the endpoint on standard error", |s| s.replace(STDERR, "starting", "to 10.1.2.3:8000"), |r| finds(r, EvidenceTarget::BackendLogs)),
    amiss("a secret in another log", |s| s.write("real/backend/other.log", SECRET), |r| finds(r, EvidenceTarget::BackendLogs)),
    amiss("a folder among the logs", |s| s.write("real/backend/more/other.log", ""), |r| !covers(r, EvidenceTarget::BackendLogs)),
    amiss("a fallback", |s| s.replace(STDERR, "\"reviewer\",\"cwd\":\"/w\",\"level\":\"info\",\"model\":\"qwen3\",\"msg\":\"spawning agent\",\"provider\":\"qwen-local\"", "\"reviewer\",\"model\":\"claude-sonnet-4-6\",\"msg\":\"spawning agent\",\"provider\":\"anthropic\""),
        |r| r.observed_models.as_ref().unwrap().models.iter().any(|seen| seen.provider == "anthropic")),
    amiss("a session", |s| s.write("agent/sessions/--w--/a.jsonl", "{\"type\":\"model_change\",\"provider\":\"anthropic\",\"modelId\":\"m\"}\n"),
        |r| r.observed_models.as_ref().unwrap().models.iter().any(|seen| seen.source() == ObservationSource::PiSession)),
    amiss("a session with a secret", |s| s.write("agent/sessions/--w--/a.jsonl", &format!("{SECRET}\n")), |r| is_unobserved(r) && finds(r, EvidenceTarget::Trace)),
    amiss("no fixture", |s| s.set("real/launch.json", "/fixture", Value::Null), |r| r.fixture_digest.is_empty()),
    amiss("a fixture that is none", |s| s.set("real/launch.json", "/fixture", json!("f")), |r| r.fixture_digest.is_empty()),
    amiss("a failed baseline", |s| s.replace("fake/trace/events-1.jsonl", "\"pipeline_end\",\"outcome\":\"completed\"", "\"pipeline_end\",\"outcome\":\"failed\""), |r| r.baseline.as_ref().unwrap().pipeline() == PipelineOutcome::Failed),
    amiss("a baseline that was never collected", |s| s.remove("fake/trace/trace.json"), |r| r.baseline.as_ref().unwrap().pipeline() == PipelineOutcome::Incomplete),
    amiss("a baseline of another host", |s| s.set("fake/launch.json", "/host", json!("spark-2")), |r| r.baseline.is_none()),
    amiss("a baseline without a permit", |s| s.remove("fake/permit.jwt"), |r| r.baseline.is_none()),
    amiss("a baseline whose permit is none", |s| s.write("fake/permit.jwt", "a b"), |r| r.baseline.is_none()),
    amiss("a baseline that was never started", |s| s.remove("fake/case_process_started"), |r| r.baseline.is_none()),
    amiss("a baseline without standard error", |s| s.remove("fake/backend/case.stderr.log"), |r| r.baseline.is_none()),
    amiss("a baseline of another run", |s| s.set("fake/launch.json", "/run_id", json!("run-8")), |r| r.baseline.as_ref().unwrap().run_id == "run-8"),
];

#[test]
fn whatever_is_amiss_is_told_and_leaks_nothing() {
    for Amiss {
        name,
        damage,
        is_told,
    } in AMISS
    {
        let whole = Scene::new();
        assert!(
            !is_told(&whole.collect().unwrap().request),
            "{name}: always told"
        );
        let scene = Scene::new();
        damage(&scene);
        let Collected {
            request, report, ..
        } = scene.collect().unwrap();
        assert!(is_told(&request), "{name}: {request:?}");
        let texts = format!("{request:?}{}", serde_json::to_string(&report).unwrap());
        for canary in ["canary", "10.1.2.3"] {
            assert!(!texts.contains(canary), "{name}");
            assert!(!has_text(&scene.folder().trace(), canary), "{name}");
        }
    }
}

/// Whether some file of a folder has this text.
fn has_text(folder: &Path, text: &str) -> bool {
    let Ok(entries) = fs::read_dir(folder) else {
        return false;
    };
    entries.into_iter().any(|entry| {
        let content = fs::read(entry.unwrap().path()).unwrap();
        String::from_utf8_lossy(&content).contains(text)
    })
}

#[test]
fn where_nobody_looks_nothing_is_claimed() {
    let scene = Scene::new();
    let inputs = Inputs {
        fixture_dir: None,
        baseline: None,
        ..scene.inputs()
    };
    let request = collect(&scene.folder(), &inputs).unwrap().request;
    assert!(is_cut(&request) && is_unobserved(&request) && request.baseline.is_none());
    assert!(!covers(&request, EvidenceTarget::Trace));
    // Nothing is written that would stand for a trace.
    assert!(!scene.folder().trace_index().exists());

    let inputs = Inputs {
        agent_dir: None,
        ..scene.inputs()
    };
    let request = collect(&scene.folder(), &inputs).unwrap().request;
    assert!(is_unobserved(&request) && !is_cut(&request));
}

#[test]
fn each_phase_has_a_start_of_its_agent() {
    for (spawned, phases, is_complete) in [
        (&["a", "b"][..], &["a", "b"][..], true),
        (&["b", "a"], &["a", "b"], true),
        // An implementer that was started once more.
        (&["a", "a", "b"], &["a", "b"], true),
        (&["a", "b", "b"], &["a", "b", "b"], true),
        (&["a", "a", "b"], &["a", "b", "b"], false),
        (&["a"], &["a", "a", "a"], false),
        (&["a"], &["a", "b"], false),
        (&[], &["a"], false),
    ] {
        let scene = Scene::new();
        scene.write(STDERR, &stderr(spawned));
        let digest = Digest::of(stderr(spawned).as_bytes()).to_string();
        scene.set(RUN, "/stderr", json!(digest));
        scene.write(EVENTS, &events_of(phases));
        let request = scene.collect().unwrap().request;
        assert_eq!(
            !is_unobserved(&request),
            is_complete,
            "{spawned:?} {phases:?}"
        );
        assert_eq!(request.pipeline(), PipelineOutcome::Passed);
    }
}

#[test]
fn a_trace_that_is_there_stays() {
    let scene = Scene::new();
    scene.collect().unwrap();
    scene.write(EVENTS, "");
    assert_eq!(
        scene.collect().unwrap().request.pipeline(),
        PipelineOutcome::Passed
    );
}

#[test]
fn what_the_wrapper_holds_is_still_in_the_folder() {
    type Forge = fn(&Scene);
    let forges: [(Forge, Option<&str>); 5] = [
        (|_| {}, None),
        (
            |s| s.set("real/launch.json", "/fixture", json!(digest('e'))),
            Some("launch.json"),
        ),
        (
            |s| {
                s.set(
                    "real/case_process_started",
                    "/start_time",
                    json!("2020-06-01T12:00:02Z"),
                );
            },
            Some("case_process_started"),
        ),
        (
            |s| s.write("real/permit.jwt", "aa.bb.dd"),
            Some("permit.jwt"),
        ),
        (
            |s| s.set(RUN, "/stderr", json!(digest('e'))),
            Some("run.json"),
        ),
    ];
    for (forge, named) in forges {
        let scene = Scene::new();
        let written = RunRecord::read(&scene.folder()).unwrap();
        forge(&scene);
        let held = Held {
            launch: &written.launch,
            start_time: "2020-06-01T12:00:01.5Z",
            permit: &written.permit,
            run: written.run.as_ref().unwrap(),
        };
        let inputs = Inputs {
            held: Some(held),
            ..scene.inputs()
        };
        match (collect(&scene.folder(), &inputs), named) {
            (Ok(_), None) => {}
            (Err(CollectError::Forged(name)), Some(named)) => assert_eq!(name, named),
            (other, named) => panic!("{named:?}: {other:?}"),
        }
    }
}

#[test]
fn a_trace_that_the_run_itself_left_is_a_fault() {
    let planted = |plant: &dyn Fn(&Scene)| {
        let scene = Scene::new();
        plant(&scene);
        let inputs = Inputs {
            may_have_trace: false,
            ..scene.inputs()
        };
        (
            collect(&scene.folder(), &inputs).unwrap().request,
            collect(
                &scene.folder(),
                &Inputs {
                    fixture_dir: None,
                    ..scene.inputs()
                },
            )
            .unwrap()
            .request,
            scene,
        )
    };
    let (request, ..) = planted(&|_| {});
    assert_eq!(request.pipeline(), PipelineOutcome::Passed);
    assert!(!is_unobserved(&request));
    // A whole one, one that leads elsewhere, and one that is no folder.
    let whole = |scene: &Scene| {
        scene.collect().unwrap();
        scene.write("real/trace/more", "");
    };
    let link = |scene: &Scene| symlink(scene.path("fake/trace"), scene.path("real/trace")).unwrap();
    let file = |scene: &Scene| scene.write("real/trace", "");
    let plants: [&dyn Fn(&Scene); 3] = [&whole, &link, &file];
    for plant in plants {
        let (request, again, scene) = planted(plant);
        // It stays one, whoever collects again.
        for request in [request, again] {
            assert!(is_cut(&request) && is_unobserved(&request));
            assert!(!covers(&request, EvidenceTarget::Trace));
        }
        assert!(!scene.path("real/trace/more").exists());
        assert!(scene.path("fake/trace/events-1.jsonl").exists());
    }
    // With nobody who looks, too.
    let scene = Scene::new();
    whole(&scene);
    let inputs = Inputs {
        may_have_trace: false,
        fixture_dir: None,
        ..scene.inputs()
    };
    assert!(is_cut(&collect(&scene.folder(), &inputs).unwrap().request));
}

#[test]
fn a_trace_that_leads_out_of_the_folder_is_not_read() {
    let scene = Scene::new();
    scene.collect().unwrap();
    for file in ["../run.json", "/etc/passwd", "a/b", "gone-1.jsonl"] {
        scene.set("real/trace/trace.json", "/event_logs/0/file", json!(file));
        let request = scene.collect().unwrap().request;
        assert!(is_cut(&request), "{file}");
        assert!(!covers(&request, EvidenceTarget::Trace), "{file}");
    }
}

#[test]
fn a_harness_may_state_its_own_report() {
    let scene = Scene::new();
    let whole = json!({ "case_model_provider": "p", "case_model": "m",
        "case_model_admission_status": "admitted", "more": { "case_model": "x" } });
    let fields = |content: &str| {
        scene.write("report.json", content);
        let inputs = Inputs {
            report: Some(scene.path("report.json")),
            ..scene.inputs()
        };
        collect(&scene.folder(), &inputs).map(|collected| {
            let report = collected.request.report.clone().unwrap();
            (
                [
                    report.case_model_provider,
                    report.case_model,
                    report.case_model_admission_status,
                ],
                finds(&collected.request, EvidenceTarget::Report),
            )
        })
    };
    let stated = |text: &str| fields(text).unwrap();
    assert_eq!(
        stated(&whole.to_string()),
        (["p", "m", "admitted"].map(str::to_owned), false)
    );
    for (pointer, value, is_found) in [
        ("/case_model", json!(7), false),
        ("/case_model", json!(""), false),
        ("/case_model", json!("a b"), false),
        ("/case_model", json!("m".repeat(257)), false),
        ("/case_model", json!(SECRET), true),
        ("/case_model", json!(BASE_URL), true),
    ] {
        let mut report = whole.clone();
        *report.pointer_mut(pointer).unwrap() = value;
        let expected = (["p", "", "admitted"].map(str::to_owned), is_found);
        assert_eq!(stated(&report.to_string()), expected, "{report}");
    }
    assert_eq!(stated("{}"), (["", "", ""].map(str::to_owned), false));
    for bad in [
        "",
        "[]",
        "7",
        "{\"case_model\":\"a\",\"case_model\":\"b\"}",
        "{} {}",
    ] {
        assert!(matches!(fields(bad), Err(CollectError::Report(_))), "{bad}");
    }
    scene.remove("report.json");
    let inputs = Inputs {
        report: Some(scene.path("report.json")),
        ..scene.inputs()
    };
    assert!(matches!(
        collect(&scene.folder(), &inputs),
        Err(CollectError::Report(_))
    ));
}

#[test]
fn what_is_no_evidence_is_not_collected() {
    type Damage = fn(&Scene);
    #[rustfmt::skip] // one row per line, so that the table reads as one
    let damages: [(&str, Damage, &str); 16] = [
        ("nothing", |s| s.remove("real/launch.json"), "launch.json is not in the folder"),
        ("not JSON", |s| s.write("real/launch.json", "x"), "launch.json has not the form"),
        ("another version", |s| s.set("real/launch.json", "/version", json!(2)), "launch.json has not the form"),
        ("another lane", |s| s.set("real/launch.json", "/lane", json!("other")), "launch.json has not the form"),
        ("a host that is none", |s| s.set("real/launch.json", "/host", json!("a b")), "launch.json has not the form"),
        ("an id that is none", |s| s.set("real/launch.json", "/answer/decision_id", json!("`x`")), "launch.json has not the form"),
        ("no answer", |s| s.set("real/launch.json", "/answer", Value::Null), "launch.json has not the form"),
        ("a denial", |s| s.set("real/launch.json", "/verdict", json!("deny")), "the launch was not allowed"),
        ("a refusal", |s| s.set("real/launch.json", "/verdict", json!("refused")), "the launch was not allowed"),
        ("another decision", |s| s.set("real/case_process_started", "/decision_id", json!("other")), "case_process_started is of another decision"),
        ("no time", |s| s.set("real/case_process_started", "/start_time", json!("now")), "case_process_started has not the form"),
        ("a run that is none", |s| s.set("real/run.json", "/config/digest_after", json!("<b>")), "run.json has not the form"),
        ("a trace of another version", |s| s.write("real/trace/trace.json", "{\"version\":2,\"event_logs\":null,\"sessions\":null,\"faults\":[]}"), "trace/trace.json has not the form"),
        ("no baseline there", |s| s.remove("fake/launch.json"), "--baseline is not the folder of a collected run: launch.json"),
        ("a real baseline", |s| s.set("fake/launch.json", "/lane", json!("real")), "--baseline is the folder of a run of the real lane"),
        ("a denied baseline", |s| s.set("fake/launch.json", "/verdict", json!("deny")), "--baseline is not the folder of a collected run: the launch was not allowed"),
    ];
    for (name, damage, said) in damages {
        let scene = Scene::new();
        damage(&scene);
        let error = scene.collect().unwrap_err().to_string();
        assert!(error.starts_with(said), "{name}: {error}");
        assert!(!scene.folder().report().exists(), "{name}");
    }
}

#[test]
fn a_new_collection_removes_the_old_judgment() {
    let scene = Scene::new();
    scene.write("real/verdict.json", "{}");
    scene.write("real/summary.md", "ACCEPTED");
    scene.collect().unwrap();
    assert!(!scene.folder().verdict().exists() && !scene.folder().summary().exists());
}
