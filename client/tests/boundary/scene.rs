//! A folder for the command as a process, and what it left behind.

use std::{
    fs,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

/// A folder in which a command finds all that it needs, and nothing of the machine.
pub(crate) struct Scene(pub(crate) tempfile::TempDir);

impl Scene {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for dir in ["work", "home/.pi/agent", "home/.config/case"] {
            fs::create_dir_all(folder.path().join(dir)).unwrap();
        }
        let scene = Self(folder);
        let task = r#"{"id":"t1","status":"active","created":"2026-06-01T12:00:00Z","repo":"fx"}"#;
        scene.write("work/t1.task.json", task);
        scene.write("home/.config/case/config.json", "{}");
        scene
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        fs::write(self.0.path().join(name), content).unwrap();
    }

    /// The command, in an environment of its own.
    pub(crate) fn admit(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_admit"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.0.path().join("home"))
            .current_dir(self.0.path().join("work"))
            .stdin(Stdio::null());
        command
    }

    /// `admit check` of a launch that is in order, with `flags`.
    pub(crate) fn check(&self, endpoint: &str, flags: &[&str]) -> Command {
        let mut command = self.admit(&["check", "--server", endpoint, "--run-id", "run-1"]);
        command
            .args(["--host", "spark-1", "--no-target-repository"])
            .args(["--deadline-ms", "20000"])
            .args(["--fixture", "copied-artificial"])
            .args(flags)
            .args(["--", "case", "run", "--task", "t1.task.json"]);
        command
    }
}

/// Runs a command while the server of this test goes on.
pub(crate) async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

pub(crate) fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

pub(crate) fn text(output: &Output) -> String {
    let both = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8(both).unwrap()
}

pub(crate) fn json(output: &Output) -> Value {
    assert_eq!(
        output.stdout.iter().filter(|byte| **byte == b'\n').count(),
        1
    );
    serde_json::from_slice(&output.stdout).unwrap()
}
