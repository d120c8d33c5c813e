//! A host after a run in order, for the tests: what the launch wrapper wrote, and what the run left.

use std::{fs, path::PathBuf};

use admit_policy::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{CollectError, Collected, Inputs, collect, folder::EvidenceFolder};

/// The decision that the run was allowed by.
const DECISION: &str = "0197f0a4-5c00-7abc-8def-0123456789ab";
pub(super) const BASE_URL: &str = "http://10.1.2.3:8000/v1";
pub(super) const SECRET: &str = "sk-ant-canary-0123456789abcdef";

pub(super) fn digest(of: char) -> String {
    of.to_string().repeat(64)
}

/// A host after a real run and the fake run before it, both in order.
pub(super) struct Scene(TempDir);

impl Scene {
    pub(super) fn new() -> Self {
        let scene = Self(tempfile::tempdir().unwrap());
        for (folder, lane) in [("real", "real"), ("fake", "fake")] {
            scene.write_json(&format!("{folder}/launch.json"), &launch(lane));
            scene.write_json(&format!("{folder}/case_process_started"), &started());
            scene.write_json(&format!("{folder}/run.json"), &run());
            scene.write(&format!("{folder}/permit.jwt"), "aa.bb-_.cc\n");
            scene.write(
                &format!("{folder}/backend/case.stderr.log"),
                &stderr(&["implementer", "reviewer"]),
            );
        }
        scene.write("fixture/.case/t1/events/run-a.jsonl", &events());
        scene.write("fake/trace/events-1.jsonl", &events());
        let index = json!({ "version": 1, "event_logs": [{ "file": "events-1.jsonl", "withheld_lines": 0 }],
            "sessions": [], "faults": [] });
        scene.write_json("fake/trace/trace.json", &index);
        fs::create_dir(scene.path("agent")).unwrap();
        scene
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    pub(super) fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(super) fn write_json(&self, path: &str, content: &Value) {
        self.write(path, &content.to_string());
    }

    /// Changes one member of a file of JSON.
    pub(super) fn set(&self, path: &str, pointer: &str, value: Value) {
        let mut content: Value =
            serde_json::from_slice(&fs::read(self.path(path)).unwrap()).unwrap();
        *content.pointer_mut(pointer).unwrap() = value;
        self.write_json(path, &content);
    }

    pub(super) fn replace(&self, path: &str, old: &str, new: &str) {
        let content = fs::read_to_string(self.path(path)).unwrap();
        assert!(content.contains(old), "{path}");
        self.write(path, &content.replace(old, new));
    }

    pub(super) fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).unwrap();
    }

    pub(super) fn folder(&self) -> EvidenceFolder {
        EvidenceFolder::new(self.path("real"))
    }

    pub(super) fn inputs(&self) -> Inputs<'static> {
        Inputs {
            fixture_dir: Some(self.path("fixture")),
            task_id: Some("t1".into()),
            agent_dir: Some(self.path("agent")),
            may_have_trace: true,
            held: None,
            before: None,
            baseline: Some(self.path("fake")),
            report: None,
            base_url: Some(BASE_URL.into()),
        }
    }

    pub(super) fn collect(&self) -> Result<Collected, CollectError> {
        collect(&self.folder(), &self.inputs())
    }
}

fn launch(lane: &str) -> Value {
    json!({
        "version": 1, "lane": lane, "stage": 2, "host": "spark-1", "run_id": "run-7",
        "provider": "qwen-local", "model": "qwen3", "verdict": "allow", "reasons": [],
        "case_config": digest('c'), "fixture": digest('f'),
        "answer": {
            "decision_id": DECISION, "decide_time": "2026-06-01T12:00:00Z", "policy_digest": digest('a'),
            "case_model_admission_status": "admitted", "stream_id": DECISION, "seq": 7,
            "record_hash": digest('b'),
        },
    })
}

fn started() -> Value {
    json!({ "version": 1, "decision_id": DECISION, "start_time": "2020-06-01T12:00:01.5Z" })
}

fn run() -> Value {
    json!({
        "version": 1, "start_time": "2020-06-01T12:00:01.5Z", "end_time": "2020-06-01T12:01:00Z",
        "exit_code": 0, "signal": null, "ended_by": "itself",
        "config": { "digest_before": digest('c'), "digest_after": digest('c'), "is_touched": false },
        "adapter": { "digest_before": digest('d'), "digest_after": digest('d'), "is_touched": false },
        "lost_contact_ms": null, "withheld_lines": 0,
        "is_stderr_whole": true,
        "stderr": Digest::of(stderr(&["implementer", "reviewer"]).as_bytes()).to_string(),
        "has_survivors": false,
    })
}

/// What Case says when it starts this agent.
pub(super) fn spawn(agent: &str) -> String {
    let event = json!({ "level": "info", "msg": "spawning agent", "agent": agent, "cwd": "/w",
        "provider": "qwen-local", "model": "qwen3" });
    format!("{event}\n")
}

/// The standard error of a run that started these agents.
pub(super) fn stderr(agents: &[&str]) -> String {
    let spawns: String = agents.iter().map(|agent| spawn(agent)).collect();
    format!("starting\n{spawns}")
}

pub(super) fn events() -> String {
    events_of(&["implementer", "reviewer"])
}

/// The event log of a run whose phases were those of these agents.
pub(super) fn events_of(agents: &[&str]) -> String {
    let phases = agents.iter().flat_map(|agent| {
        [
            json!({ "event": "phase_start", "phase": "implement", "agent": agent }),
            json!({ "event": "phase_end", "phase": "implement", "agent": agent, "outcome": "completed" }),
        ]
    });
    [json!({ "event": "pipeline_start", "taskId": "t1" })]
        .into_iter()
        .chain(phases)
        .chain([json!({ "event": "pipeline_end", "outcome": "completed" })])
        .enumerate()
        .map(|(at, mut event)| {
            event["sequence"] = json!(at + 1);
            event["runId"] = json!("r");
            format!("{event}\n")
        })
        .collect()
}
