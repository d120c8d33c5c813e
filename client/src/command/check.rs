//! `admit check`: gathers the facts of a launch and asks. Starts nothing.

mod print;

use std::{ffi::OsString, time::Instant};

use admit_client::{Answer, AskError, facts::gather};

use super::{
    Break, Outcome, Server,
    launch_flags::{LaunchFlags, this_surroundings},
};

/// Gathers the facts of a launch and asks whether it may start.
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    #[command(flatten)]
    server: Server,

    #[command(flatten)]
    launch: LaunchFlags,

    /// Says that nothing will be started on the answer.
    #[arg(long)]
    dry_run: bool,

    /// The command that would be started, with its arguments; without it, they are unstated, which
    /// denies.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// What the command has to print.
enum Ending {
    /// There is an answer.
    Answered(Answer),
    /// There is none.
    NoAnswer(AskError),
}

impl Check {
    pub(crate) async fn run(self) -> Result<Outcome, Break> {
        let start = Instant::now();
        let deadline = self.server.deadline();
        let launch = self.launch.launch(self.dry_run)?;
        let json = self.server.json;
        // The endpoint is looked at before anything is read: a usage error comes first.
        self.server.client(deadline)?;
        let gathered = match this_surroundings(&self.command) {
            Ok(surroundings) => gather(surroundings, launch, deadline).await,
            Err(error) => Err(error),
        };
        let gathered = match gathered {
            Ok(gathered) => gathered,
            Err(error) => {
                print::no_facts(json, &error)?;
                return Ok(Outcome::NoFacts);
            }
        };
        let mut client = self
            .server
            .client(deadline.saturating_sub(start.elapsed()))?;
        let ending = match client.admit(gathered.request.clone()).await {
            Ok(answer) => Ending::Answered(answer),
            Err(error) => Ending::NoAnswer(error),
        };
        let asked = print::Asked {
            gathered: &gathered,
            server: client.answered_by().map(ToString::to_string),
        };
        print_ending(json, &asked, &ending)?;
        Ok(match ending {
            // INVARIANT: of `check`, the one way to the exit code 0.
            Ending::Answered(Answer::Allowed(_)) if gathered.refusals.is_empty() => Outcome::Yes,
            // The server is asked all the same: who mends a launch wants to see everything at once.
            Ending::Answered(Answer::Allowed(_) | Answer::Denied(_)) => Outcome::No,
            Ending::NoAnswer(_) => Outcome::NoAnswer,
        })
    }
}

fn print_ending(json: bool, asked: &print::Asked<'_>, ending: &Ending) -> std::io::Result<()> {
    match ending {
        Ending::Answered(answer) => print::answer(json, asked, answer),
        Ending::NoAnswer(error) => print::no_answer(json, asked, error),
    }
}
