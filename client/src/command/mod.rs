//! The command line, and the one table of exit codes.
//!
//! Deliberately absent: anything that starts a process. That is the launch wrapper's.

mod check;
mod drill;
mod evidence;
mod health;
mod launch_flags;
mod permit;
mod policy;
mod render;
mod run;
mod server;
mod watch;

use std::{
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
};

use admit_client::facts::Bound;
use admit_policy::text::is_forbidden;
use clap::{
    Command, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, error::ErrorKind,
};

use crate::run::{
    entry::{self, Enter},
    keeper::{self, Keep},
};

use run::RunExit;
pub(crate) use server::Server;

/// What the command ends in. The codes are fixed: scripts depend on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Allowed, accepted, closed, serving, valid, or shown.
    Yes,
    /// Denied, refused, rejected, open, not serving, or not valid.
    No,
    /// The command line cannot be used.
    Usage,
    /// There is no answer.
    NoAnswer,
    /// The facts of the launch could not be gathered, or the evidence of the run not collected.
    NoFacts,
}

impl Outcome {
    const ALL: [Self; 5] = [
        Self::Yes,
        Self::No,
        Self::Usage,
        Self::NoAnswer,
        Self::NoFacts,
    ];

    fn code(self) -> u8 {
        match self {
            Self::Yes => 0,
            Self::No => 1,
            Self::Usage => 2,
            Self::NoAnswer => 3,
            Self::NoFacts => 4,
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::Yes => {
                "allowed, accepted, every gate closed, serving, valid, or shown; for a verdict, never help"
            }
            Self::No => {
                "denied, refused, rejected, a gate not proven closed, not serving, or not valid"
            }
            Self::Usage => "the command line cannot be used; nothing was asked",
            Self::NoAnswer => {
                "no answer: unreachable, timed out, failed, malformed, or not printable; no keys"
            }
            Self::NoFacts => "the facts or the evidence could not be gathered; nothing was asked",
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(outcome.code())
    }
}

/// Asks Admit whether a launch may start, and shows the policy in force.
#[derive(Debug, Parser)]
#[command(name = "admit", version)]
struct Line {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Gathers the facts of a launch and asks whether it may start; starts nothing.
    Check(Box<check::Check>),
    /// Collects the evidence of a finished run, and has it judged.
    Evidence(evidence::Evidence),
    /// Proves that the gates of a server are closed, with launches that it has to deny.
    Drill(drill::Drill),
    /// Shows the policy in force.
    Policy(policy::Show),
    /// Follows the policy, an event per line, until Ctrl-C.
    Watch(watch::Follow),
    /// Asks whether the server is serving.
    Health(health::Health),
    /// Verifies a permit, and shows the keys to do it with.
    #[command(subcommand)]
    Permit(permit::Permit),
    /// Asks, and starts the command only on ALLOW; watches over it, and hands in its evidence.
    Run(Box<run::Run>),
    /// Keeps a command that `run` started. Not for people.
    #[command(hide = true)]
    Keep(Keep),
    /// Becomes a command that `run` starts. Not for people.
    #[command(hide = true)]
    Enter(Enter),
}

/// Why the command line cannot be used. Repeats no value of it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// `text`, if it is within its bounds. The error does not repeat it.
pub(crate) fn bounded(flag: &str, bound: Bound, text: &str) -> Result<String, UsageError> {
    if bound.holds(text) {
        Ok(text.to_owned())
    } else {
        Err(UsageError(format!("{flag} is {}", bound.describe())))
    }
}

/// The name of this machine.
pub(crate) fn this_host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// Why a command broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Break {
    /// The command line cannot be used.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The answer cannot be printed. Whoever asked does not have it then.
    #[error("the answer cannot be printed: {0}")]
    Output(#[from] io::Error),
}

/// Runs the command of this process.
pub(crate) fn run() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let line = match parse(&arguments) {
        Ok(line) => line,
        Err(error) => {
            let outcome = explain(&error, &arguments);
            return if is_run(&arguments) {
                RunExit::Usage.code().into()
            } else {
                outcome.into()
            };
        }
    };
    match line.verb {
        // These two make their own way: nothing may stand between them and the command.
        Verb::Keep(keep) => keeper::keep(&keep),
        Verb::Enter(enter) => entry::enter(&enter),
        verb @ (Verb::Check(_)
        | Verb::Evidence(_)
        | Verb::Drill(_)
        | Verb::Policy(_)
        | Verb::Watch(_)
        | Verb::Health(_)
        | Verb::Permit(_)
        | Verb::Run(_)) => execute(verb).unwrap_or_else(|error| broken_off(&error, &arguments)),
    }
}

/// What a command ends in that broke off.
fn broken_off(error: &anyhow::Error, arguments: &[OsString]) -> ExitCode {
    // Nobody is left to tell when this fails too; the exit code still says it.
    let _ = writeln!(anstream::stderr(), "admit: {error:#}");
    let is_usage = matches!(error.downcast_ref::<Break>(), Some(Break::Usage(_)));
    // The exit codes of `run` are its own: all others are the command's.
    match (is_run(arguments), is_usage) {
        (true, true) => RunExit::Usage.code().into(),
        (true, false) => RunExit::NoAnswer.code().into(),
        (false, true) => Outcome::Usage.into(),
        (false, false) => Outcome::NoAnswer.into(),
    }
}

fn is_run(arguments: &[OsString]) -> bool {
    arguments.get(1).is_some_and(|verb| verb == "run")
}

fn parse(arguments: &[OsString]) -> Result<Line, clap::Error> {
    let after_help = exit_codes();
    // Usage lines name the command, not what the caller calls this file.
    let command = with_after_help(Line::command().bin_name("admit"), &after_help)
        .mut_subcommand("run", |verb| verb.after_long_help(run::exit_codes()));
    Line::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

/// `command`, and each one below it, with `text` at the end of its help.
fn with_after_help(command: Command, text: &str) -> Command {
    command
        .after_long_help(text.to_owned())
        .mut_subcommands(|verb| with_after_help(verb, text))
}

fn exit_codes() -> String {
    let mut text = String::from("Exit codes:\n");
    for outcome in Outcome::ALL {
        text.push_str(&format!("  {}  {}\n", outcome.code(), outcome.meaning()));
    }
    text
}

/// Prints help, or what is wrong with the command line.
fn explain(error: &clap::Error, arguments: &[OsString]) -> Outcome {
    let is_printed = if must_hide(error) {
        writeln!(
            anstream::stderr(),
            "admit: the command line cannot be used, and holds something that must not be shown"
        )
    } else {
        error.print()
    };
    match is_printed {
        Ok(()) => outcome_of(error.kind(), arguments),
        Err(_) => Outcome::Usage,
    }
}

/// Whether `error` repeats something of the command line that must not be shown: clap repeats what
/// it does not understand. Help repeats nothing, and names an endpoint that is ours: the default.
fn must_hide(error: &clap::Error) -> bool {
    !is_help(error.kind()) && is_forbidden(&error.render().to_string())
}

fn is_help(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
}

/// The commands whose exit code 0 is a verdict.
const VERDICTS: [&str; 4] = ["check", "evidence", "drill", "run"];

/// What a command line that starts no command ends in. A script that runs `admit check … && launch`,
/// or `admit permit verify … && launch`, must not launch because of a stray `--help`.
fn outcome_of(kind: ErrorKind, arguments: &[OsString]) -> Outcome {
    let word = |at: usize| arguments.get(at).and_then(|word| word.to_str());
    let is_verdict = match word(1) {
        Some("permit") => word(2) == Some("verify"),
        Some(verb) => VERDICTS.contains(&verb),
        None => false,
    };
    if is_help(kind) && !is_verdict {
        Outcome::Yes
    } else {
        Outcome::Usage
    }
}

fn execute(verb: Verb) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        match verb {
            Verb::Check(check) => check.run().await.map(ExitCode::from),
            Verb::Evidence(evidence) => evidence.run().await.map(ExitCode::from),
            Verb::Drill(drill) => drill.run().await.map(ExitCode::from),
            Verb::Policy(show) => show.run().await.map(ExitCode::from),
            Verb::Watch(follow) => follow.run().await.map(ExitCode::from),
            Verb::Health(health) => health.run().await.map(ExitCode::from),
            Verb::Permit(permit) => permit.run().await.map(ExitCode::from),
            Verb::Run(run) => run.run().await,
            // They never come here: they have no runtime of this kind.
            Verb::Keep(_) | Verb::Enter(_) => Ok(Outcome::Usage.into()),
        }
    });
    // A resolver or a file system that hangs must not hold the answer back.
    runtime.shutdown_background();
    Ok(outcome?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &str) -> Result<Line, clap::Error> {
        let arguments: Vec<OsString> = words.split(' ').map(OsString::from).collect();
        parse(&arguments)
    }

    #[test]
    fn the_command_line_is_sound() {
        Line::command().debug_assert();
        for words in [
            "admit check --run-id r1",
            "admit check --lane real --run-id r1 --no-target-repository -- case --help --model x",
            "admit evidence collect d --json --fixture-dir f --task-id t --agent-dir a",
            "admit evidence check d --baseline b --report r --json --deadline-ms 50",
            "admit drill --json --run-id r1 --server unix:/run/a",
            "admit policy --json --deadline-ms 50",
            "admit watch --provider p --model m --lane real",
            "admit health --service admit.v1.AdmissionService --server unix:/run/a",
            "admit permit verify --jwks k.json --host h --run-id r --at 2026-06-01T12:00:00Z -",
            "admit permit keys --json",
            "admit health --server https://a:1,https://b:1 --server unix:/c --tls-ca /ca.pem",
        ] {
            assert!(parse_words(words).is_ok(), "{words}");
        }
        for words in [
            "admit",
            "admit check",
            "admit check --run-id r1 case run",
            "admit permit",
            "admit permit verify",
            "admit permit verify a b",
            "admit check --run-id r1 --lane other",
            "admit check --run-id r1 --stage 1001",
            "admit check --run-id r1 --target-repository /a --no-target-repository",
            "admit evidence",
            "admit evidence collect",
            "admit evidence check",
            "admit evidence collect d --server unix:/run/a",
            "admit drill now",
            "admit policy --deadline-ms 49",
            "admit policy --tls-cert /cert.pem",
            "admit policy --tls-key /key.pem",
            "admit policy --deadline-ms 60001",
            "admit watch --provider p",
            "admit watch --provider p --model m --lane fake",
        ] {
            assert!(parse_words(words).is_err(), "{words}");
        }
    }

    #[test]
    fn every_exit_code_is_its_own_and_is_in_the_help() {
        let codes: Vec<u8> = Outcome::ALL.into_iter().map(Outcome::code).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4]);
        // clap breaks longer lines when another program of the build has it do so.
        assert!(exit_codes().lines().all(|line| line.chars().count() <= 100));
        for words in [
            "admit --help",
            "admit check --help",
            "admit health --help",
            "admit permit verify --help",
            "admit evidence --help",
            "admit evidence check --help",
            "admit drill --help",
            "admit health --help",
        ] {
            let help = parse_words(words).unwrap_err().to_string();
            for outcome in Outcome::ALL {
                assert!(help.contains(outcome.meaning()), "{words}");
            }
        }
    }

    #[test]
    fn help_is_shown_and_what_the_caller_wrote_is_not() {
        for words in [
            "admit --help",
            "admit --version",
            "admit check --help",
            "admit check --server http://10.0.0.1:80 -h",
            "admit policy --help",
            "admit run --help",
            "http://10.0.0.1:80 policy --help",
            "token=hunter2hunter2 policy --help",
        ] {
            let error = parse_words(words).unwrap_err();
            let shown = error.render().to_string();
            assert!(!must_hide(&error), "{words}");
            assert!(shown.contains("admit"), "{words}");
            assert!(
                !shown.contains("10.0.0.1") && !shown.contains("hunter2"),
                "{words}"
            );
        }
        for (words, is_hidden) in [
            ("admit polic", false),
            ("admit http://10.0.0.1:80", true),
            ("admit policy http://10.0.0.1:80", true),
            ("admit check --run-id r --stage http://10.0.0.1:80", true),
        ] {
            assert_eq!(
                must_hide(&parse_words(words).unwrap_err()),
                is_hidden,
                "{words}"
            );
        }
    }

    #[test]
    fn help_is_no_allow() {
        for (words, outcome) in [
            ("admit check --help", Outcome::Usage),
            ("admit check --run-id r -h", Outcome::Usage),
            ("admit evidence --help", Outcome::Usage),
            ("admit evidence check --help", Outcome::Usage),
            ("admit evidence check -h", Outcome::Usage),
            ("admit drill --help", Outcome::Usage),
            ("admit help", Outcome::Yes),
            ("admit --help", Outcome::Yes),
            ("admit permit verify --help", Outcome::Usage),
            ("admit permit verify p -h", Outcome::Usage),
            ("admit permit keys --help", Outcome::Yes),
            ("admit permit --help", Outcome::Yes),
            ("admit policy --help", Outcome::Yes),
            ("admit --version", Outcome::Yes),
            ("admit polic", Outcome::Usage),
        ] {
            let arguments: Vec<OsString> = words.split(' ').map(OsString::from).collect();
            let error = parse(&arguments).unwrap_err();
            assert_eq!(outcome_of(error.kind(), &arguments), outcome, "{words}");
        }
    }
}
