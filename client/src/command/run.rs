//! `admit run`: the command line of the launch wrapper, and its exit codes.
//!
//! Deliberately absent: what it prints; see `print`.

mod print;

use std::{
    ffi::{OsStr, OsString},
    io::Write as _,
    os::unix::ffi::OsStrExt as _,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use admit_client::facts::{PROVIDER, Surroundings, child_environment};
use uuid::Uuid;

use super::{
    Break, Server,
    launch_flags::{LaunchFlags, this_surroundings},
    server::TRACE_PARENT_VARIABLE,
};
use crate::{
    evidence::folder::{EndedBy, EvidenceFolder},
    run::{
        denial::Denial,
        launch::{Ending, Plan, run},
        permission::GivenPermit,
        supervision::{ContactTerms, End},
    },
};

/// Variables that are for this program and not for the command begin so.
const OWN_PREFIX: &[u8] = b"ADMIT_";
/// What a shell adds to the number of a signal.
const SIGNAL_BASE: i32 = 128;

/// Asks, and starts the command only on ALLOW; watches over it, and hands in its evidence.
#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    #[command(flatten)]
    server: Server,

    #[command(flatten)]
    launch: LaunchFlags,

    /// The folder for the evidence; new or empty.
    #[arg(long, value_name = "DIR")]
    evidence: PathBuf,

    /// The copied fixture that the command works on: its digest is taken before the start, and Case's
    /// event log is looked for in it afterwards.
    #[arg(long, value_name = "DIR")]
    fixture_dir: Option<PathBuf>,

    /// The evidence folder of the fake run that this run is compared with.
    #[arg(long, value_name = "DIR")]
    baseline: Option<PathBuf>,

    /// The harness's own report, read when the command has ended: one JSON object with
    /// `case_model_provider`, `case_model` and `case_model_admission_status`; without it, what was
    /// answered is stated.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// The time between TERM and KILL when the command has to end, in milliseconds.
    #[arg(
        long,
        value_name = "MS",
        default_value_t = 10_000,
        value_parser = clap::value_parser!(u64).range(0..=300_000)
    )]
    grace_ms: u64,

    /// What happens when the server cannot be reached during the run.
    #[arg(long, value_enum, default_value_t = OnLostContact::Continue)]
    on_lost_contact: OnLostContact,

    /// From when on contact counts as lost, in milliseconds.
    #[arg(
        long,
        value_name = "MS",
        default_value_t = 30_000,
        value_parser = clap::value_parser!(u64).range(100..=3_600_000)
    )]
    lost_contact_after_ms: u64,

    /// Starts under a permit that was obtained elsewhere for just this launch, instead of asking.
    #[arg(long, value_name = "FILE")]
    permit: Option<PathBuf>,

    /// A saved JWK Set to verify that permit with, so that no server is needed for the start.
    #[arg(long, value_name = "FILE", requires = "permit")]
    jwks: Option<PathBuf>,

    /// The command that is started on ALLOW, with its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// What happens when the server cannot be reached during the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum OnLostContact {
    /// The run goes on, and its evidence says so.
    Continue,
    /// The run is ended.
    Stop,
}

/// What the wrapper itself ends in. The codes are fixed: scripts depend on them. A command that ran
/// gives its own code instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunExit {
    /// The server denied.
    Denied,
    /// There was no answer.
    NoAnswer,
    /// The wrapper refused.
    Refused,
    /// The command could not be started.
    NotStarted,
    /// The evidence could not be written.
    NoEvidence,
    /// The run was ended by a revocation.
    Revoked,
    /// The run was ended because contact was lost.
    LostContact,
    /// The command line cannot be used.
    Usage,
}

impl RunExit {
    pub(super) const ALL: [Self; 8] = [
        Self::Denied,
        Self::NoAnswer,
        Self::Refused,
        Self::NotStarted,
        Self::NoEvidence,
        Self::Revoked,
        Self::LostContact,
        Self::Usage,
    ];

    pub(super) fn code(self) -> u8 {
        match self {
            Self::Denied => 80,
            Self::NoAnswer => 81,
            Self::Refused => 82,
            Self::NotStarted => 83,
            Self::NoEvidence => 84,
            Self::Revoked => 85,
            Self::LostContact => 86,
            Self::Usage => 89,
        }
    }

    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::Denied => "denied; nothing was started",
            Self::NoAnswer => "no answer; nothing was started",
            Self::Refused => "the wrapper refused by itself; nothing was started",
            Self::NotStarted => "the command could not be started",
            Self::NoEvidence => "the evidence folder cannot be written; nothing was started",
            Self::Revoked => "started, and ended because its pair was revoked",
            Self::LostContact => "started, and ended because contact to the server was lost",
            Self::Usage => "the command line cannot be used; nothing was started, help neither",
        }
    }

    fn of(denial: &Denial) -> Self {
        match denial {
            Denial::Denied(_) => Self::Denied,
            Denial::NoAnswer(_) => Self::NoAnswer,
            Denial::NotStarted(_) => Self::NotStarted,
            Denial::NoEvidence(_) => Self::NoEvidence,
            Denial::Refused(_)
            | Denial::NoFacts(_)
            | Denial::NoFixture(_)
            | Denial::PermitUnfit(_)
            | Denial::PermitMismatch(_)
            | Denial::Objection(_)
            | Denial::Revoked(_)
            | Denial::NotSealed(_)
            | Denial::Interrupted
            | Denial::Changed => Self::Refused,
        }
    }
}

/// The exit codes of `admit run`, for its help.
pub(super) fn exit_codes() -> String {
    let mut text = String::from(
        "Exit codes:\n  those of the command; 128 and the number of a signal that ended it\n",
    );
    for exit in RunExit::ALL {
        text.push_str(&format!("  {}  {}\n", exit.code(), exit.meaning()));
    }
    text
}

impl Run {
    pub(crate) async fn run(self) -> Result<ExitCode, Break> {
        let deadline = self.server.deadline();
        let launch = self.launch.launch(false)?;
        let trace_parent = trace_parent();
        let client = self.server.client(deadline)?;
        let mut client = client.in_trace(&trace_parent);
        let surroundings = match this_surroundings(&self.command) {
            Ok(surroundings) => for_command(surroundings, &trace_parent),
            Err(error) => {
                writeln!(anstream::stderr(), "admit: {error}")?;
                return Ok(RunExit::Refused.code().into());
            }
        };
        let plan = Plan {
            launch,
            surroundings,
            folder: EvidenceFolder::new(self.evidence),
            fixture_dir: self.fixture_dir,
            baseline: self.baseline,
            report: self.report,
            grace: Duration::from_millis(self.grace_ms),
            contact: ContactTerms {
                lost_after: Duration::from_millis(self.lost_contact_after_ms),
                is_end: self.on_lost_contact == OnLostContact::Stop,
            },
            permit: self.permit.map(|file| GivenPermit {
                file,
                jwks: self.jwks,
            }),
            deadline,
        };
        let ending = run(&plan, &mut client).await;
        // The command has run, or it has not: what cannot be printed changes nothing of that.
        let _ = print::ending(self.server.json, &ending);
        Ok(exit_code(&ending).into())
    }
}

/// The place in a trace that both the question and the command are told: the harness's own, or a new
/// one.
fn trace_parent() -> String {
    match std::env::var(TRACE_PARENT_VARIABLE) {
        Ok(stated) if !stated.is_empty() => stated,
        Ok(_) | Err(_) => {
            let span = Uuid::new_v4().simple().to_string();
            let span = span.get(..16).unwrap_or_default();
            format!("00-{}-{span}-01", Uuid::new_v4().simple())
        }
    }
}

/// What the command will be surrounded by: what surrounds this program, without the credentials of
/// others and without what is meant for this program alone.
fn for_command(surroundings: Surroundings, trace_parent: &str) -> Surroundings {
    let provider = surroundings.variables.get(OsStr::new(PROVIDER));
    let provider = provider.map(|name| name.to_string_lossy().into_owned());
    let mut variables = child_environment(&surroundings, provider.as_deref().unwrap_or_default());
    variables.retain(|name, _| !name.as_bytes().starts_with(OWN_PREFIX));
    variables.insert(TRACE_PARENT_VARIABLE.into(), trace_parent.into());
    Surroundings {
        variables,
        ..surroundings
    }
}

fn exit_code(ending: &Ending) -> u8 {
    let ran = match ending {
        Ending::NotStarted { denial, .. } => return RunExit::of(denial).code(),
        Ending::Ran(ran) => ran,
    };
    match ran.finished.ended_by {
        EndedBy::Revocation => RunExit::Revoked.code(),
        EndedBy::LostContact => RunExit::LostContact.code(),
        EndedBy::Itself | EndedBy::Signal => {
            u8::try_from(own_code(ran.finished.end)).unwrap_or(u8::MAX)
        }
    }
}

/// The exit code of a command that ended so.
fn own_code(end: End) -> i32 {
    const KILL: i32 = 9;
    match end {
        End::Exited(code) => code,
        End::Signaled(number) => SIGNAL_BASE.saturating_add(number),
        // A keeper that is killed takes the command with it.
        End::Unknown | End::Changed | End::NotStarted(_) => SIGNAL_BASE.saturating_add(KILL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_every_exit_code() {
        let page = include_str!("../../../docs/launch.md");
        let (_, table) = page.split_once("<!-- exit codes:").unwrap();
        let (table, _) = table.split_once("<!-- /exit codes -->").unwrap();
        let (_, table) = table.split_once("-->\n").unwrap();
        let rows: String = RunExit::ALL
            .iter()
            .map(|exit| format!("| {} | {} |\n", exit.code(), exit.meaning()))
            .collect();
        assert_eq!(table, format!("| code | meaning |\n| --- | --- |\n{rows}"));
    }

    #[test]
    fn a_command_gives_its_own_code_and_a_signal_128_more() {
        assert_eq!(own_code(End::Exited(7)), 7);
        assert_eq!(own_code(End::Signaled(15)), 143);
        assert_eq!(own_code(End::Unknown), 137);
    }
}
