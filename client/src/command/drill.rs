//! `admit drill`: proves that the gates of a running server are closed.

mod print;

use std::path::PathBuf;

use admit_client::facts::{self, Bound, bounded_file};
use admit_policy::document::Kind;
use clap::ValueHint;

use crate::drill::{self, Driller, Ending};

use super::{Break, Outcome, Server, UsageError, bounded, this_host};

/// Proves that the gates of a server are closed, with launches that it has to deny. Every launch is a
/// dry run and is recorded under its own run. The deadline is that of each question.
#[derive(Debug, clap::Args)]
pub(crate) struct Drill {
    #[command(flatten)]
    server: Server,

    /// The harness host; without it, the name of this machine.
    #[arg(long, value_name = "NAME")]
    host: Option<String>,

    /// The harness run that the launches are recorded under.
    #[arg(long, value_name = "ID", default_value = "admit-drill")]
    run_id: String,

    /// The provider of the pair to ask for; without a pair, one that the policy admits.
    #[arg(
        long,
        value_name = "NAME",
        env = facts::PROVIDER,
        hide_env_values = true
    )]
    provider: Option<String>,

    /// The model of the pair to ask for.
    #[arg(
        long,
        value_name = "ID",
        env = facts::MODEL,
        hide_env_values = true
    )]
    model: Option<String>,

    /// The admission file of that pair; without it, fewer gates can be shown.
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        env = "CTO_HARNESS_CASE_MODEL_ADMISSION_FILE",
        hide_env_values = true
    )]
    admission_file: Option<PathBuf>,
}

impl Drill {
    pub(crate) async fn run(self) -> Result<Outcome, Break> {
        let driller = self.driller()?;
        let mut client = self.server.client(self.server.deadline())?;
        let drilled = drill::drill(&mut client, &driller).await;
        print::drilled(self.server.json, &drilled)?;
        Ok(match drilled.ending() {
            Ending::Passed => Outcome::Yes,
            Ending::Failed => Outcome::No,
            Ending::NoAnswer => Outcome::NoAnswer,
        })
    }

    fn driller(&self) -> Result<Driller, UsageError> {
        let host = match &self.host {
            Some(host) => bounded("--host", Bound::Host, host)?,
            None => this_host(),
        };
        let stated = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let pair = match (stated(&self.provider), stated(&self.model)) {
            (None, None) => None,
            (Some(provider), Some(model)) => Some((
                bounded("--provider", Bound::Provider, &provider)?,
                bounded("--model", Bound::Model, &model)?,
            )),
            (Some(_), None) | (None, Some(_)) => {
                return Err(UsageError(
                    "--provider and --model make a pair: both or none".to_owned(),
                ));
            }
        };
        Ok(Driller {
            host,
            run_id: bounded("--run-id", Bound::RunId, &self.run_id)?,
            pair,
            admission_file: self.read_admission_file()?,
        })
    }

    fn read_admission_file(&self) -> Result<Option<Vec<u8>>, UsageError> {
        let path = self.admission_file.as_ref();
        let Some(path) = path.filter(|path| !path.as_os_str().is_empty()) else {
            return Ok(None);
        };
        let bytes_max = u64::try_from(Kind::Admission.bytes_max()).unwrap_or(u64::MAX);
        let fault = match bounded_file::read(path, bytes_max) {
            Ok(Some(bytes)) => return Ok(Some(bytes)),
            Ok(None) => "is not there",
            Err(fault) => fault.describe(),
        };
        Err(UsageError(format!("the file of --admission-file {fault}")))
    }
}
