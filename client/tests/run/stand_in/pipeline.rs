//! What Case does with its agents, and what it leaves: lines on standard error, and an event log.
//!
//! Instead of sending a request it writes down where it would send one: `requests.jsonl`.

use std::{
    env, fs,
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use super::{
    Words,
    bun::Bun,
    resolution::{Case, Resolved},
    rewrite,
};

/// The agents of the pipeline with their phases, in order.
const AGENTS: [(&str, &str); 5] = [
    ("implement", "implementer"),
    ("verify", "verifier"),
    ("review", "reviewer"),
    ("close", "closer"),
    ("retrospect", "retrospective"),
];
const TIME: &str = "2026-06-01T12:00:00.000Z";

/// The event log of one run.
struct EventLog {
    path: PathBuf,
    run_id: String,
    sequence: u64,
}

impl EventLog {
    fn create(task_id: &str) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let (nanos, pid) = (since_epoch.as_nanos(), std::process::id());
        let run_id = format!("{pid:08x}-0000-4000-8000-{:012x}", nanos & 0xffff_ffff_ffff);
        let folder = Path::new(".case").join(task_id);
        fs::create_dir_all(folder.join("events")).unwrap();
        // The real one never says anything of models there.
        fs::write(folder.join("plan.json"), r#"{"modelConfig":{}}"#).unwrap();
        fs::write(".case/active", task_id).unwrap();
        Self {
            path: folder.join(format!("events/run-{run_id}.jsonl")),
            run_id,
            sequence: 0,
        }
    }

    fn add(&mut self, mut event: Value) {
        self.sequence += 1;
        event["ts"] = TIME.into();
        event["sequence"] = self.sequence.into();
        event["runId"] = self.run_id.as_str().into();
        append(&self.path, &event);
    }
}

fn append(path: &Path, line: &Value) {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .unwrap();
    writeln!(file, "{line}").unwrap();
}

/// Runs the pipeline. It ends with 0 even when it fails.
pub(super) fn run(case: &Case<'_>, bun: &Bun, words: &Words) -> ExitCode {
    let task = bun.flag(&["--task", "-t"]).flatten();
    let task_id = match task {
        Some(path) => task_id(path),
        // An issue by its number: Case makes the task itself.
        None => "from-issue".to_owned(),
    };
    // Without a task file Case silences itself.
    let is_quiet = bun.value("CASE_QUIET").is_some() || task.is_none();
    let mut log = EventLog::create(&task_id);
    log.add(json!({"event": "pipeline_start", "taskId": task_id, "profile": "tiny", "plan": {}}));
    let mut failed = None;
    for (phase, agent) in AGENTS {
        if agent == "reviewer" && words.has("drop-models-before-reviewer") {
            rewrite(&case.config_path(), |_| "{}".to_owned());
        }
        let is_swapped = agent == "reviewer" && words.has("swap-folder-for-reviewer");
        let folder = case.config_path().parent().unwrap().to_owned();
        let aside = folder.with_extension("aside");
        if is_swapped {
            fs::rename(&folder, &aside).unwrap();
        }
        log.add(json!({"event": "phase_start", "phase": phase, "agent": agent}));
        let is_sent = if words.has("no-model") {
            true
        } else {
            match case.resolve(agent) {
                Ok(model) => spawn(agent, &model, is_quiet),
                Err(thrown) => {
                    eprintln!("{}", json!({"level": "error", "msg": thrown}));
                    return ExitCode::FAILURE;
                }
            }
        };
        if is_swapped {
            fs::rename(&aside, &folder).unwrap();
        }
        let is_failed = !is_sent || (words.has("fail-pipeline") && agent == "verifier");
        let outcome = if is_failed { "failed" } else { "completed" };
        log.add(json!({
            "event": "phase_end", "phase": phase, "agent": agent, "outcome": outcome, "durationMs": 5
        }));
        if is_failed {
            failed = Some(agent);
            break;
        }
    }
    if words.has("second-log") {
        EventLog::create(&task_id).add(json!({"event": "pipeline_start", "taskId": task_id}));
    }
    if !words.has("no-end") {
        log.add(match failed {
            None => json!({"event": "pipeline_end", "outcome": "completed", "durationMs": 9}),
            Some(agent) => json!({
                "event": "pipeline_end", "outcome": "failed", "failedAgent": agent, "durationMs": 9
            }),
        });
    }
    ExitCode::from(if words.has("exit-7") { 7 } else { 0 })
}

fn task_id(path: &str) -> String {
    let task: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    task["id"].as_str().unwrap().to_owned()
}

/// Starts an agent; whether it can send anything. The line comes first, whatever is sent.
fn spawn(agent: &str, model: &Resolved, is_quiet: bool) -> bool {
    if !is_quiet {
        eprintln!(
            "{}",
            json!({
                "ts": TIME, "level": "info", "msg": "spawning agent", "agent": agent,
                "cwd": env::current_dir().unwrap(), "provider": model.provider,
                "model": model.model, "timeout": 600_000
            })
        );
    }
    let is_sent = send(agent, model);
    if !is_sent {
        let message = format!("No API key for provider: {}", model.provider);
        eprintln!("{}", json!({"level": "error", "msg": message}));
    }
    is_sent
}

/// Writes down what would be sent, if there is a key.
fn send(agent: &str, model: &Resolved) -> bool {
    if let Some(key_variable) = model.key_variable {
        let request = json!({
            "agent": agent, "provider": model.provider, "model": model.model,
            "endpoint": model.endpoint, "proxy": model.proxy, "keyVariable": key_variable
        });
        append(Path::new("requests.jsonl"), &request);
    }
    model.key_variable.is_some()
}

/// Pi's conversation, which chooses a model by itself.
pub(super) fn converse(case: &Case<'_>) -> ExitCode {
    match case.of_conversation() {
        Ok(model) => {
            send("conversation", &model);
            ExitCode::SUCCESS
        }
        Err(_) => ExitCode::FAILURE,
    }
}
