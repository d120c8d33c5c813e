//! A harness host with everything on it: a policy, a daemon that serves it, Case's and Pi's files, a
//! fixture, and `admit run` as a process in an environment of its own.

use std::{
    collections::BTreeMap,
    env, fs,
    fs::File,
    os::unix::{
        fs::{PermissionsExt as _, symlink},
        process::ExitStatusExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    daemon::RunningDaemon,
    patience::until,
    policy::{self, CREDENTIAL_SOURCE_CLASS, MODEL, PROVIDER},
};

/// Where the model would be; nobody listens there.
pub(crate) const BASE_URL: &str = "http://127.0.0.1:18123/v1";
/// The harness run of every launch.
pub(crate) const RUN_ID: &str = "run-7";
/// The host of every launch.
pub(crate) const HOST: &str = "spark-1";
pub(crate) const BASE_URL_VARIABLE: &str = "CTO_HARNESS_CASE_LOCAL_BASE_URL";
/// The task of every launch.
const TASK: &str = r#"{"id":"t1","status":"active","created":"2026-06-01T12:00:00Z","repo":"fx","mode":"unattended","profile":"tiny","agents":{},"tested":false,"manualTested":false,"prUrl":null,"prNumber":null}"#;

/// One host. What a test changes of it is public.
pub(crate) struct World {
    folder: TempDir,
    pub(crate) daemon: RunningDaemon,
    /// Where `admit run` asks.
    pub(crate) endpoint: String,
    /// The environment of `admit run`.
    pub(crate) variables: BTreeMap<String, String>,
    /// The flags of `admit run`, besides those that say where the server and the evidence are.
    pub(crate) flags: Vec<String>,
    /// What is behind `--`.
    pub(crate) command: Vec<String>,
}

impl World {
    /// A host on which the launch of the real lane is allowed.
    pub(crate) fn new() -> Self {
        Self::of(PROVIDER)
    }

    /// The same with this provider in the policy, the configuration and the request.
    pub(crate) fn of(provider: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("run-").tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["home", "data", "agent", "fixture", "bin", "case/src", "out"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        for name in ["bin/bun", "bin/ca"] {
            symlink(env::current_exe().unwrap(), at(name)).unwrap();
        }
        fs::write(at("case/src/index.ts"), "").unwrap();
        fs::write(at("fixture/t1.task.json"), TASK).unwrap();
        fs::write(at("fixture/t1.md"), "Add a greeting.\n").unwrap();
        fs::write(at("fixture/README.md"), "An artificial fixture.\n").unwrap();
        fs::write(at("data/config.json"), case_config(provider, MODEL)).unwrap();
        fs::write(at("agent/models.json"), models(provider, "", "")).unwrap();
        fs::write(
            at("admission.json"),
            policy::admission(provider, "admitted"),
        )
        .unwrap();
        fs::write(at("stdin"), "a text that the command must not see\n").unwrap();
        policy::write(&at("policy"), provider);
        let daemon = RunningDaemon::start(&at("policy"), &at("audit"));
        daemon.until_pair_is(provider, "admitted");
        let text = |name: &str| at(name).display().to_string();
        let variables = [
            ("HOME", text("home")),
            ("PATH", "/usr/bin:/bin".to_owned()),
            ("CASE_DATA_DIR", text("data")),
            ("PI_CODING_AGENT_DIR", text("agent")),
            ("OPENAI_API_KEY", "dummy".to_owned()),
            (BASE_URL_VARIABLE, BASE_URL.to_owned()),
            (
                "CTO_HARNESS_CASE_MODEL_ADMISSION_FILE",
                text("admission.json"),
            ),
            ("CTO_HARNESS_CASE_MODEL_PROVIDER", provider.to_owned()),
            ("CTO_HARNESS_CASE_MODEL", MODEL.to_owned()),
        ];
        let mut world = Self {
            endpoint: daemon.endpoint(),
            daemon,
            variables: variables
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            flags: Vec::new(),
            command: vec![text("bin/bun"), "--no-env-file".to_owned()],
            folder,
        };
        world.command.push(world.text("case/src/index.ts"));
        world.add_words("run --task t1.task.json --mode unattended");
        world.add_flags("--lane real --fixture copied-artificial --no-target-repository");
        world.add_flags(&format!(
            "--run-id {RUN_ID} --host {HOST} --fake-baseline {RUN_ID}"
        ));
        world.add_flags(&format!(
            "--credential-source-class {CREDENTIAL_SOURCE_CLASS} --deadline-ms 30000"
        ));
        if provider != PROVIDER {
            world.variables.remove("OPENAI_API_KEY");
        }
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Writes Case's configuration, as its owner can even while it is read-only.
    pub(crate) fn configure(&self, config: impl AsRef<[u8]>) {
        fs::set_permissions(
            self.path("data/config.json"),
            fs::Permissions::from_mode(0o644),
        )
        .unwrap();
        self.write("data/config.json", config);
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.insert(name.to_owned(), value.into());
    }

    pub(crate) fn unset(&mut self, name: &str) {
        self.variables.remove(name);
    }

    /// Adds flags of `admit run`; they hold no blank.
    pub(crate) fn add_flags(&mut self, flags: &str) {
        self.flags
            .extend(flags.split_whitespace().map(str::to_owned));
    }

    /// Puts another value in the place of one that a flag has.
    pub(crate) fn replace_flag(&mut self, flag: &str, value: &str) {
        let at = self.flags.iter().position(|known| known == flag).unwrap();
        value.clone_into(&mut self.flags[at + 1]);
    }

    /// Adds arguments of the command.
    pub(crate) fn add_words(&mut self, words: &str) {
        self.command
            .extend(words.split_whitespace().map(str::to_owned));
    }

    /// Makes the command a compiled Case.
    pub(crate) fn compile(&mut self) {
        let at = self.command.iter().position(|word| word == "run").unwrap();
        let compiled = self.text("bin/ca");
        self.command.splice(..at, [compiled]);
    }

    /// Orders the stand-in.
    pub(crate) fn order(&mut self, words: &str) {
        self.set("STAND_IN", words);
    }

    /// Changes the admission of the pair in the policy.
    pub(crate) fn write_admission(&self, status: &str) {
        policy::write_admission(&self.path("policy"), PROVIDER, status);
    }

    /// Takes the admission of the pair back, and waits until that is in force.
    pub(crate) fn revoke(&self) {
        self.write_admission("revoked");
        self.daemon.until_pair_is(PROVIDER, "revoked");
    }

    /// Runs the command by itself, in a copy of its working directory.
    pub(crate) fn alone(&self) -> Alone {
        let folder = self.path("fixture-alone");
        copy(&self.path("fixture"), &folder);
        let (program, arguments) = self.command.split_first().unwrap();
        let child = self.spawn(Command::new(program).args(arguments), "alone", &folder);
        Alone {
            ran: child.wait(),
            folder,
        }
    }

    /// Starts `admit run`, with its evidence in this folder.
    pub(crate) fn start(&self, evidence: &str) -> Running {
        self.start_in("fixture", evidence)
    }

    fn start_in(&self, fixture: &str, evidence: &str) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_admit"));
        command
            .arg("run")
            .args(["--server", &self.endpoint, "--evidence"])
            .arg(self.path(evidence))
            .args(&self.flags)
            .arg("--")
            .args(&self.command);
        self.spawn(&mut command, evidence, &self.path(fixture))
    }

    fn spawn(&self, command: &mut Command, name: &str, folder: &Path) -> Running {
        let (out, err) = (
            self.path(&format!("out/{name}.out")),
            self.path(&format!("out/{name}.err")),
        );
        let child = command
            .env_clear()
            .envs(&self.variables)
            .current_dir(folder)
            .stdin(File::open(self.path("stdin")).unwrap())
            // Files and not pipes: whatever is left behind holds no pipe open.
            .stdout(Stdio::from(File::create(&out).unwrap()))
            .stderr(Stdio::from(File::create(&err).unwrap()))
            .spawn()
            .unwrap();
        Running {
            child: Some(child),
            out,
            err,
            evidence: self.path(name),
            folder: folder.to_owned(),
        }
    }

    /// Runs `admit run` to its end.
    pub(crate) fn run(&self) -> Ran {
        self.start("evidence").wait()
    }

    /// Runs the fake lane in a copy of the fixture, and makes that the baseline.
    pub(crate) fn run_baseline(&mut self) -> Ran {
        copy(&self.path("fixture"), &self.path("fixture-fake"));
        let flags = self.flags.clone();
        let variables = self.variables.clone();
        self.replace_flag("--lane", "fake");
        let fixture = self.text("fixture-fake");
        self.add_flags(&format!("--fixture-dir {fixture}"));
        for name in ["PROVIDER", "", "ADMISSION_FILE"] {
            let name = format!("CTO_HARNESS_CASE_MODEL_{name}");
            self.unset(name.trim_end_matches('_'));
        }
        self.order("no-model");
        let ran = self.start_in("fixture-fake", "baseline").wait();
        self.flags = flags;
        self.variables = variables;
        let (baseline, fixture) = (self.text("baseline"), self.text("fixture"));
        self.add_flags(&format!("--baseline {baseline} --fixture-dir {fixture}"));
        ran
    }

    /// The launch ended before anything was started, with this exit code and for these reasons.
    pub(crate) fn assert_not_started(&self, ran: &Ran, exit: i32, codes: &[&str]) {
        let told = format!("{:?}\n{}", ran.code, ran.stderr);
        assert!(!self.path("fixture/started").exists(), "started: {told}");
        assert!(
            !ran.evidence.join("case_process_started").exists(),
            "{told}"
        );
        assert_eq!(ran.code, Some(exit), "{told}");
        let launch = ran.json("launch.json");
        assert_eq!(launch["reasons"], serde_json::json!(codes), "{told}");
        let verdict = match exit {
            80 => "deny",
            81 => "no-answer",
            _ => "refused",
        };
        assert_eq!(launch["verdict"], verdict);
        let text = ran.read("backend/provider-model-not-admitted.txt");
        for code in codes {
            assert!(text.contains(&format!("\n{code}\n")), "{text}");
        }
    }

    /// The command ran and ended with this exit code.
    pub(crate) fn assert_ran(&self, ran: &Ran, exit: i32) {
        let told = format!("{:?}\n{}", ran.code, ran.stderr);
        assert!(self.path("fixture/started").exists(), "{told}");
        assert_eq!(ran.code, Some(exit), "{told}");
        assert!(ran.evidence.join("case_process_started").exists());
        let denial = "backend/provider-model-not-admitted.txt";
        assert!(!ran.evidence.join(denial).exists());
        assert_eq!(ran.json("launch.json")["verdict"], "allow");
    }
}

/// The `config.json` that selects a pair.
pub(crate) fn case_config(provider: &str, model: &str) -> String {
    format!(
        r#"{{"models":{{"default":{{"provider":"{provider}","model":"{model}"}},"reviewer":null}},"projects":"./projects.json"}}"#
    )
}

/// The `models.json` that has the pair; `of_model` and `more` are added members.
pub(crate) fn models(provider: &str, of_model: &str, more: &str) -> String {
    format!(
        r#"{{"providers":{{"{provider}":{{"baseUrl":"{BASE_URL}","api":"openai-completions","apiKey":"none","models":[{{"id":"{MODEL}"{of_model}}}]}}{more}}}}}"#
    )
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// A process of a test. What of it still runs when it is dropped is killed.
pub(crate) struct Running {
    child: Option<Child>,
    out: PathBuf,
    err: PathBuf,
    evidence: PathBuf,
    folder: PathBuf,
}

impl Running {
    /// Waits until the stand-in has come to its waiting, and gives its process id and its parent's.
    pub(crate) fn until_waiting(&mut self) -> (Pid, Pid) {
        let waiting = self.folder.join("waiting");
        until("the stand-in", || {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(
                ended.is_none(),
                "{}",
                fs::read_to_string(&self.err).unwrap()
            );
            waiting.exists().then_some(())
        });
        let pids = self.pids("started");
        (pids[0], pids[1])
    }

    /// The process ids that the stand-in wrote down.
    pub(crate) fn pids(&self, name: &str) -> Vec<Pid> {
        fs::read_to_string(self.folder.join(name))
            .unwrap_or_default()
            .split_whitespace()
            .map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap())
            .collect()
    }

    /// Lets a waiting stand-in go on.
    pub(crate) fn go_on(&self) {
        fs::write(self.folder.join("go"), "").unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(self.child.as_ref().unwrap());
        kill_process(pid, signal).unwrap();
    }

    pub(crate) fn wait(mut self) -> Ran {
        let mut child = self.child.take().unwrap();
        let status = until("the end of a process", || child.try_wait().unwrap());
        Ran {
            code: status.code(),
            status,
            stdout: fs::read_to_string(&self.out).unwrap(),
            stderr: String::from_utf8_lossy(&fs::read(&self.err).unwrap()).into_owned(),
            evidence: self.evidence.clone(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until none of these processes runs any more.
pub(crate) fn until_gone(pids: &[Pid]) {
    for pid in pids {
        let stat = format!("/proc/{}/stat", pid.as_raw_nonzero());
        until("the end of every process", || {
            match fs::read_to_string(&stat) {
                // One that has ended and that nobody took in is gone as well.
                Ok(text) => {
                    let state = text
                        .rsplit_once(") ")
                        .map(|(_, rest)| rest.starts_with('Z'));
                    (state == Some(true)).then_some(())
                }
                Err(_) => Some(()),
            }
        });
    }
}

/// A process that has ended.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) evidence: PathBuf,
}

impl Ran {
    pub(crate) fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// A file of the evidence.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.evidence.join(name))
            .unwrap_or_else(|error| panic!("{name}: {error}\n{}", self.stderr))
    }

    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    /// Why the evidence is rejected; none when it is accepted.
    pub(crate) fn rejections(&self) -> Vec<String> {
        let verdict = self.json("verdict.json");
        let codes: Vec<String> = verdict["reasons"]
            .as_array()
            .unwrap()
            .iter()
            .map(|reason| reason["code"].as_str().unwrap().to_owned())
            .collect();
        let due = if codes.is_empty() {
            "accepted"
        } else {
            "rejected"
        };
        assert_eq!(verdict["verdict"], due, "{verdict}");
        codes
    }
}

/// What the stand-in did by itself.
pub(crate) struct Alone {
    pub(crate) ran: Ran,
    pub(crate) folder: PathBuf,
}

impl Alone {
    /// The models that it told of: agent, provider and model.
    pub(crate) fn spawned(&self) -> Vec<(String, String, String)> {
        let spawned = |line: &str| {
            let event: Value = serde_json::from_str(line).ok()?;
            let text = |key: &str| event[key].as_str().map(str::to_owned);
            (event["msg"] == "spawning agent").then_some(())?;
            assert_eq!(event["cwd"], self.folder.display().to_string());
            Some((text("agent")?, text("provider")?, text("model")?))
        };
        self.ran.stderr.lines().filter_map(spawned).collect()
    }

    /// What it would have sent.
    pub(crate) fn requests(&self) -> Vec<Value> {
        fs::read_to_string(self.folder.join("requests.jsonl"))
            .unwrap_or_default()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// How its event log says that the pipeline ended.
    pub(crate) fn outcome(&self) -> Option<String> {
        let events = fs::read_dir(self.folder.join(".case/t1/events")).unwrap();
        let log = events.last().unwrap().unwrap().path();
        let log = fs::read_to_string(log).unwrap();
        let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
        (last["event"] == "pipeline_end").then(|| last["outcome"].as_str().unwrap().to_owned())
    }
}
