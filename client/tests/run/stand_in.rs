//! A stand-in for Case on Bun: this very test program, started under the name `bun`, or
//! `ca` for a compiled Case.
//!
//! It does what the documentation of the real ones says of configuration, models and outputs, sends
//! no request to anybody, and besides does what the words in the variable `STAND_IN` order.
//!
//! Before anything else it writes `started` into the working directory: where that file is missing,
//! nothing was started.

mod bun;
mod pipeline;
mod resolution;

use std::{
    env, fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Signal, getpgid, getpid, getppid, kill_process, setpgid, setsid};

use crate::patience::{until, until_within};

/// What a process that was started by the stand-in is told to be.
const DETACH: &str = "--detach";
const LINGER: &str = "--linger";
/// So that not even a failed test leaves a process for long.
const LINGER_MAX: Duration = Duration::from_secs(180);
/// The evidence folder of the run, as any process of the same user finds it.
const EVIDENCE: &str = "../evidence";
/// What is said on standard output.
pub(crate) const SPOKEN: &str = "this is the command's own";
/// What looks like a secret on standard error.
pub(crate) const SECRET: &str = "sk-ant-stand-in-0123456789abcdef";

/// What the stand-in is ordered to do besides.
pub(crate) struct Words(Vec<String>);

impl Words {
    fn read() -> Self {
        let words = env::var("STAND_IN").unwrap_or_default();
        Self(words.split_whitespace().map(str::to_owned).collect())
    }

    pub(crate) fn has(&self, word: &str) -> bool {
        self.0.iter().any(|known| known == word)
    }
}

/// The name of a compiled Case, which is Bun and the script in one.
const COMPILED: &str = "ca";

/// Whether this process was started as the stand-in, or by one.
pub(crate) fn is_called() -> bool {
    is_called_as("bun") || is_called_as(COMPILED)
}

fn is_called_as(name: &str) -> bool {
    Path::new(&own_path())
        .file_name()
        .is_some_and(|own| own == name)
}

pub(crate) fn main() -> ExitCode {
    match env::args().nth(1).as_deref() {
        Some(DETACH) => detach(),
        Some(LINGER) => linger(),
        _ => {
            let parent = getppid().map_or(0, |parent| parent.as_raw_nonzero().get());
            let pid = getpid().as_raw_nonzero();
            fs::write("started.new", format!("{pid} {parent}\n")).unwrap();
            fs::rename("started.new", "started").unwrap();
            run()
        }
    }
}

fn run() -> ExitCode {
    let words = Words::read();
    let _runtime = words.has("ignore-term").then(ignore_term);
    let bun = bun::Bun::start(is_called_as(COMPILED));
    if words.has("spawn-detached") {
        spawn_detached();
    }
    if words.has("leave-group") {
        setpgid(None, Some(getpgid(getppid()).unwrap())).unwrap();
    }
    if words.has("record-environment") {
        record_environment();
    }
    if words.has("print-secret") {
        eprintln!(r#"{{"level":"debug","msg":"the key is {SECRET}"}}"#);
    }
    if words.has("print-everything") {
        for (name, value) in &bun.variables {
            eprintln!("{name} is {value}");
        }
    }
    if words.has("wait") {
        wait();
    }
    if words.has("kill-self") {
        kill_process(getpid(), Signal::KILL).unwrap();
    }
    let case = resolution::Case::new(&bun);
    if words.has("change-config") {
        rewrite(&case.config_path(), |text| format!("{text}\n"));
    }
    if words.has("touch-config") {
        rewrite(&case.config_path(), |text| format!("{text}\n"));
        rewrite(&case.config_path(), |text| {
            text.strip_suffix('\n').unwrap().to_owned()
        });
    }
    if words.has("change-adapter") {
        rewrite(&case.adapter_path(), |text| format!("{text}\n"));
    }
    if bun.has_flag("--agent") {
        return pipeline::converse(&case);
    }
    let code = pipeline::run(&case, &bun, &words);
    if words.has("plant-trace") {
        let index = r#"{"version":1,"event_logs":[],"sessions":[],"faults":[]}"#;
        fs::create_dir(format!("{EVIDENCE}/trace")).unwrap();
        fs::write(format!("{EVIDENCE}/trace/trace.json"), index).unwrap();
    }
    if words.has("forge-log") {
        let log = format!("{EVIDENCE}/backend/case.stderr.log");
        fs::copy(&log, "log.new").unwrap();
        fs::rename("log.new", &log).unwrap();
        eprintln!("this line is not in the forged log");
    }
    if words.has("forge-launch") {
        let launch = format!("{EVIDENCE}/launch.json");
        rewrite(Path::new(&launch), |text| {
            text.replace("\"stage\": 2", "\"stage\": 3")
        });
    }
    if words.has("wait-at-end") {
        wait();
    }
    code
}

/// Waits for the file `go`, and says so.
fn wait() {
    fs::write("waiting", "").unwrap();
    // Longer than any test waits for the end of this process.
    until_within(LINGER_MAX, "the file `go`", || {
        Path::new("go").exists().then_some(())
    });
}

/// Changes a file as an agent's tools would: whoever owns it can make it writable.
fn rewrite(path: &Path, change: impl FnOnce(&str) -> String) {
    use std::os::unix::fs::PermissionsExt as _;

    let former = fs::metadata(path).unwrap().permissions();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    let text = fs::read_to_string(path).unwrap();
    fs::write(path, change(&text)).unwrap();
    fs::set_permissions(path, former).unwrap();
}

/// From here on TERM does not end this process, as long as the runtime lives.
fn ignore_term() -> tokio::runtime::Runtime {
    use tokio::signal::unix::{SignalKind, signal};

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let mut term = runtime
        .block_on(async { signal(SignalKind::terminate()) })
        .unwrap();
    runtime.spawn(async move {
        while term.recv().await.is_some() {
            fs::write("term-ignored", "").unwrap();
        }
    });
    runtime
}

/// Starts a process that leaves the group, the session and its parent.
fn spawn_detached() {
    let status = Command::new(own_path()).arg(DETACH).status().unwrap();
    assert!(status.success());
    until("the detached process", || {
        Path::new("detached").exists().then_some(())
    });
}

fn own_path() -> PathBuf {
    env::args_os().next().unwrap_or_default().into()
}

#[expect(
    clippy::zombie_processes,
    reason = "the point of it is to leave the child behind"
)]
fn detach() -> ExitCode {
    Command::new(own_path()).arg(LINGER).spawn().unwrap();
    ExitCode::SUCCESS
}

fn linger() -> ExitCode {
    setsid().unwrap();
    fs::write("detached.new", format!("{}\n", getpid().as_raw_nonzero())).unwrap();
    fs::rename("detached.new", "detached").unwrap();
    // For ever, as far as any test is concerned.
    let end = Instant::now() + LINGER_MAX;
    while Instant::now() < end {
        thread::park_timeout(LINGER_MAX);
    }
    ExitCode::FAILURE
}

/// Writes down what this process was given, values only where they are no secret.
fn record_environment() {
    let mut text = String::new();
    for (name, value) in env::vars() {
        let is_shown = matches!(name.as_str(), "ADMIT_DECISION_ID" | "TRACEPARENT");
        text.push_str(&format!("{name}={}\n", if is_shown { &value } else { "" }));
    }
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input).unwrap();
    text.push_str(&format!("stdin {}\n", input.len()));
    fs::write("environment", text).unwrap();
    println!("{SPOKEN}");
}
