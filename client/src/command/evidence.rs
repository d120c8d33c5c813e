//! `admit evidence`: collects what a run left, and has it judged.

mod print;

use std::path::PathBuf;

use admit_client::{Client, Judgment, facts::BASE_URL};
use clap::{Subcommand, ValueHint};

use crate::evidence::{self, Ending, Inputs, folder::EvidenceFolder};

use super::{Break, Outcome, Server, UsageError};

/// The variable of Pi's agent folder.
const AGENT_DIR: &str = "PI_CODING_AGENT_DIR";
/// Longest id of a task, in bytes.
const TASK_ID_BYTES_MAX: usize = 256;

/// Collects the evidence of a finished run, and has it judged.
#[derive(Debug, clap::Args)]
pub(crate) struct Evidence {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Writes what the run left into its evidence folder; asks nobody.
    Collect(Collect),
    /// Collects, hands the evidence in, and writes the judgment beside it.
    Check(Check),
}

#[derive(Debug, clap::Args)]
struct Collect {
    #[command(flatten)]
    sources: Sources,

    /// Prints JSON of a versioned shape.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Check {
    #[command(flatten)]
    sources: Sources,

    #[command(flatten)]
    server: Server,
}

/// Where the evidence comes from.
#[derive(Debug, clap::Args)]
struct Sources {
    /// The evidence folder of the run, which the launch wrapper made.
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    folder: PathBuf,

    /// The folder of the fixture, where Case left its event log. Not looked at when the evidence folder
    /// has a trace already.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    fixture_dir: Option<PathBuf>,

    /// The task that the event log has to be of; without it, any.
    #[arg(long, value_name = "ID")]
    task_id: Option<String>,

    /// Pi's agent folder; without it, that of `PI_CODING_AGENT_DIR`, or else `.pi/agent` in HOME.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    agent_dir: Option<PathBuf>,

    /// The evidence folder of the fake run of the same harness run.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    baseline: Option<PathBuf>,

    /// The harness's own report, one JSON object with `case_model_provider`, `case_model` and
    /// `case_model_admission_status`; without it, what was answered is stated.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    report: Option<PathBuf>,
}

impl Sources {
    fn folder(&self) -> EvidenceFolder {
        EvidenceFolder::new(&self.folder)
    }

    fn inputs(&self) -> Result<Inputs<'static>, UsageError> {
        let is_task = |id: &String| !id.is_empty() && id.len() <= TASK_ID_BYTES_MAX;
        if !self.task_id.iter().all(is_task) {
            return Err(UsageError(format!(
                "--task-id is 1 to {TASK_ID_BYTES_MAX} bytes"
            )));
        }
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let agent_dir = self
            .agent_dir
            .clone()
            .or_else(|| variable(AGENT_DIR).map(PathBuf::from))
            .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".pi/agent")));
        Ok(Inputs {
            fixture_dir: self.fixture_dir.clone(),
            task_id: self.task_id.clone(),
            agent_dir,
            may_have_trace: true,
            held: None,
            before: None,
            baseline: self.baseline.clone(),
            report: self.report.clone(),
            base_url: variable(BASE_URL).map(|url| url.to_string_lossy().into_owned()),
        })
    }
}

impl Evidence {
    pub(crate) async fn run(self) -> Result<Outcome, Break> {
        match self.verb {
            Verb::Collect(collect) => collect.run(),
            Verb::Check(check) => check.run().await,
        }
    }
}

impl Collect {
    fn run(&self) -> Result<Outcome, Break> {
        let inputs = self.sources.inputs()?;
        match evidence::collect(&self.sources.folder(), &inputs) {
            Ok(collected) => {
                print::collected(self.json, &collected.report)?;
                Ok(Outcome::Yes)
            }
            Err(error) => {
                print::not_collected(self.json, &error)?;
                Ok(Outcome::NoFacts)
            }
        }
    }
}

impl Check {
    async fn run(&self) -> Result<Outcome, Break> {
        let inputs = self.sources.inputs()?;
        let mut client: Client = self.server.client(self.server.deadline())?;
        let folder = self.sources.folder();
        let handed_in = match evidence::collect(&folder, &inputs) {
            Ok(collected) => evidence::hand_in(&mut client, &folder, collected).await,
            Err(error) => Err(error),
        };
        let ending = match handed_in {
            Ok(ending) => ending,
            Err(error) => {
                print::not_collected(self.server.json, &error)?;
                return Ok(Outcome::NoFacts);
            }
        };
        print::ending(self.server.json, &ending)?;
        Ok(match ending {
            // INVARIANT: of `evidence check`, the one way to the exit code 0.
            Ending::Judged(Judgment::Accepted(_)) => Outcome::Yes,
            Ending::Judged(Judgment::Rejected(_)) => Outcome::No,
            Ending::NoAnswer(_) => Outcome::NoAnswer,
        })
    }
}
