//! The command line, and the one table of exit codes.
//!
//! Deliberately absent: anything that starts a process. That is the launch wrapper's.

mod check;
mod health;
mod permit;
mod policy;
mod render;
mod watch;

use std::{
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use admit_client::{Client, Endpoint};
use admit_policy::text::is_forbidden;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, error::ErrorKind};

/// What the command ends in. The codes are fixed: scripts depend on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Allowed, serving, valid, or shown.
    Yes,
    /// Denied, not serving, or not valid.
    No,
    /// The command line cannot be used.
    Usage,
    /// There is no answer.
    NoAnswer,
    /// The facts of the launch could not be gathered.
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
                "allowed, serving, valid, or shown; under `check` nothing but an ALLOW, help neither"
            }
            Self::No => "denied, not serving, or not valid",
            Self::Usage => "the command line cannot be used; nothing was asked",
            Self::NoAnswer => {
                "no answer: unreachable, timed out, failed, malformed, or not printable; no keys"
            }
            Self::NoFacts => "the facts of the launch could not be gathered; nothing was asked",
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
    /// Shows the policy in force.
    Policy(policy::Show),
    /// Follows the policy, an event per line, until Ctrl-C.
    Watch(watch::Follow),
    /// Asks whether the server is serving.
    Health(health::Health),
    /// Verifies a permit, and shows the keys to do it with.
    #[command(subcommand)]
    Permit(permit::Permit),
}

/// The server, and how it is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Server {
    /// Where the server is: `http://HOST:PORT` or `unix:/PATH`.
    #[arg(
        long = "server",
        value_name = "ENDPOINT",
        env = "ADMIT_SERVER",
        hide_env_values = true,
        default_value = "http://127.0.0.1:7117"
    )]
    endpoint: String,

    /// Time for everything until the answer, in milliseconds.
    #[arg(
        long,
        value_name = "MS",
        default_value_t = 5000,
        value_parser = clap::value_parser!(u64).range(50..=60_000)
    )]
    deadline_ms: u64,

    /// Prints JSON of a versioned shape.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Server {
    pub(crate) fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    /// A client whose calls have to be through within `deadline`.
    ///
    /// The endpoint is parsed here and not by clap, whose errors would repeat it.
    pub(crate) fn client(&self, deadline: Duration) -> Result<Client, UsageError> {
        let endpoint: Endpoint = self
            .endpoint
            .parse()
            .map_err(|error| UsageError(format!("--server or ADMIT_SERVER: {error}")))?;
        let client = Client::new(&endpoint, deadline);
        Ok(match std::env::var(TRACE_PARENT_VARIABLE) {
            Ok(trace_parent) => client.in_trace(&trace_parent),
            // Unset, or no text at all.
            Err(_) => client,
        })
    }
}

/// Where a shell's place in a trace stands.
const TRACE_PARENT_VARIABLE: &str = "TRACEPARENT";

/// Why the command line cannot be used. Repeats no value of it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

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
        Err(error) => return explain(&error, &arguments).into(),
    };
    let outcome = execute(line.verb).unwrap_or_else(|error| {
        let mut screen = anstream::stderr();
        // Nobody is left to tell when this fails too; the exit code still says it.
        let _ = writeln!(screen, "admit: {error:#}");
        match error.downcast_ref::<Break>() {
            Some(Break::Usage(_)) => Outcome::Usage,
            Some(Break::Output(_)) | None => Outcome::NoAnswer,
        }
    });
    outcome.into()
}

fn parse(arguments: &[OsString]) -> Result<Line, clap::Error> {
    let after_help = exit_codes();
    let command = Line::command()
        .after_long_help(after_help.clone())
        .mut_subcommands(|verb| {
            verb.after_long_help(after_help.clone())
                .mut_subcommands(|verb| verb.after_long_help(after_help.clone()))
        });
    Line::from_arg_matches(&command.try_get_matches_from(arguments)?)
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
    let is_printed = if is_forbidden(&error.render().to_string()) {
        // clap repeats what it does not understand.
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

/// What a command line that starts no command ends in. A script that runs `admit check … && launch`,
/// or `admit permit verify … && launch`, must not launch because of a stray `--help`.
fn outcome_of(kind: ErrorKind, arguments: &[OsString]) -> Outcome {
    let is_help = matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let word = |at: usize| arguments.get(at).and_then(|word| word.to_str());
    let is_gate = match word(1) {
        Some("check") => true,
        Some("permit") => word(2) == Some("verify"),
        Some(_) | None => false,
    };
    if is_help && !is_gate {
        Outcome::Yes
    } else {
        Outcome::Usage
    }
}

fn execute(verb: Verb) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        match verb {
            Verb::Check(check) => check.run().await,
            Verb::Policy(show) => show.run().await,
            Verb::Watch(follow) => follow.run().await,
            Verb::Health(health) => health.run().await,
            Verb::Permit(permit) => permit.run().await,
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
            "admit policy --json --deadline-ms 50",
            "admit watch --provider p --model m --lane real",
            "admit health --service admit.v1.AdmissionService --server unix:/run/a",
            "admit permit verify --jwks k.json --host h --run-id r --at 2026-06-01T12:00:00Z -",
            "admit permit keys --json",
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
            "admit policy --deadline-ms 49",
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
        for words in [
            "admit --help",
            "admit check --help",
            "admit health --help",
            "admit permit verify --help",
        ] {
            let help = parse_words(words).unwrap_err().to_string();
            for outcome in Outcome::ALL {
                assert!(help.contains(outcome.meaning()), "{words}");
            }
        }
    }

    #[test]
    fn help_is_no_allow() {
        for (words, outcome) in [
            ("admit check --help", Outcome::Usage),
            ("admit check --run-id r -h", Outcome::Usage),
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
