//! `admit check` as a whole process: what a launch waits for before it starts.
//!
//! Each round runs four processes in turn, and the last two ask the same daemon: one that does nothing, the
//! command with nothing to ask, the least client, and the command. Deliberately absent: TLS, which a launch
//! on the same host does without.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::ensure;

use crate::{
    daemon::{Daemon, Deployment, Wire},
    launch,
    pin::Cores,
    place::{self, Binaries},
};

/// The times of every process.
#[derive(Default)]
pub(super) struct Checks {
    /// A process that does nothing.
    pub(super) nothing: Vec<Duration>,
    /// `admit --version`.
    pub(super) version: Vec<Duration>,
    /// One call with tonic.
    pub(super) client: Vec<Duration>,
    /// `admit check`.
    pub(super) check: Vec<Duration>,
}

/// Runs each process so many times, in turn.
///
/// # Errors
///
/// When one fails; of `admit check`, when the answer is not an ALLOW.
pub(super) fn measure(binaries: &Binaries, rounds: usize) -> anyhow::Result<Checks> {
    let mut deployment = Deployment::new(binaries, Wire::Plaintext);
    deployment.cores = Cores::FREE;
    let daemon = Daemon::start(&deployment)?;
    let folder = place::scratch()?;
    let address = daemon.target.address.to_string();
    let mut nothing = Command::new("true");
    let mut version = Command::new(&binaries.admit);
    version.arg("--version");
    let mut client = Command::new(std::env::current_exe()?);
    client.arg("floor-client").arg(&address);
    let mut check = check(&binaries.admit, &address, folder.path())?;
    let mut checks = Checks::default();
    for _ in 0..rounds {
        checks.nothing.push(time(&mut nothing)?);
        checks.version.push(time(&mut version)?);
        checks.client.push(time(&mut client)?);
        checks.check.push(time(&mut check)?);
    }
    Ok(checks)
}

/// The command, in the surroundings of a launch in the fake lane: no endpoint has to be there for it.
fn check(admit: &Path, address: &str, folder: &Path) -> anyhow::Result<Command> {
    fs::write(folder.join("config.json"), launch::case_config())?;
    let task = folder.join("task.md");
    fs::write(&task, "Make the test pass.\n")?;
    let mut check = Command::new(admit);
    check
        .env_clear()
        .env("CASE_DATA_DIR", folder)
        .env("PI_CODING_AGENT_DIR", folder)
        .args(["check", "--lane", "fake", "--run-id", "run-0000"])
        .args(["--fixture", "copied-artificial", "--no-target-repository"])
        .args(["--host", launch::HOST, "--server"])
        .arg(format!("http://{address}"))
        .arg("--task")
        .arg(task)
        .args(["--", "ca", "run"]);
    Ok(check)
}

/// How long the whole process takes, from before it is made to after its end.
fn time(command: &mut Command) -> anyhow::Result<Duration> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let begin = Instant::now();
    let status = command.status()?;
    let took = begin.elapsed();
    ensure!(status.success(), "a process of the measurement failed");
    Ok(took)
}
