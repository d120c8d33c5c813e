//! `admitd audit`: the real command on real logs, and the independent verifier beside it.
//!
//! Logs are made in process by the trail that the daemon has, with decisions that were decided. What
//! is expected of the command is what a person or a program sees of it. Deliberately absent: how the
//! log is written (`trail.rs`) and how entries are sent (`export.rs`).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails loudly"
)]

#[path = "audit_command/against.rs"]
mod against;
#[path = "audit_command/auditor.rs"]
mod auditor;
mod authority;
#[expect(dead_code, reason = "other tests use the rest of it")]
mod casebook;
#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "export/certificates.rs"]
mod certificates;
#[path = "audit_command/evidence.rs"]
mod evidence;
#[path = "audit_command/exporting.rs"]
mod exporting;
#[path = "audit_command/forging.rs"]
mod forging;
#[path = "audit_command/many.rs"]
mod many;
#[path = "daemon/policy.rs"]
mod policy;
#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "export/receiver.rs"]
mod receiver;
#[path = "audit_command/recording.rs"]
mod recording;
#[path = "audit_command/refusing.rs"]
mod refusing;
#[path = "audit_command/replaying.rs"]
mod replaying;
#[path = "audit_command/showing.rs"]
mod showing;
#[path = "audit_command/tailing.rs"]
mod tailing;
#[path = "audit_command/verifying.rs"]
mod verifying;

use std::{
    ffi::OsStr,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use serde_json::Value;

/// Longest time that a test waits for one event, far above what anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a command did.
struct Done {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Done {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The one object that it printed.
    fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "{}{}", self.out, self.err);
        serde_json::from_str(&self.out).unwrap()
    }

    /// The objects that it printed, one a line.
    fn json_lines(&self) -> Vec<Value> {
        let lines = self.out.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Asserts the exit code, and shows everything if it is another one.
    #[track_caller]
    fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.err);
        self
    }
}

/// `admitd audit COMMAND --audit-dir DIR ARGUMENTS…`, ready to be started.
fn admitd<S: AsRef<OsStr>>(dir: &Path, command: &str, arguments: &[S]) -> Command {
    let mut admitd = Command::new(env!("CARGO_BIN_EXE_admitd"));
    admitd
        .args(["audit", command, "--audit-dir"])
        .arg(dir)
        .args(arguments)
        .stdin(Stdio::null());
    admitd
}

/// The same, done.
fn audit<S: AsRef<OsStr>>(dir: &Path, command: &str, arguments: &[S]) -> Done {
    Done::of(admitd(dir, command, arguments).output().unwrap())
}
