//! The flags that state a launch, and what surrounds it: the same for whoever asks and for whoever
//! starts.

use std::{ffi::OsString, path::PathBuf};

use admit_client::facts::{
    Bound, GatherError, Launch, STAGE_MAX, Surroundings, TargetRepositories,
};
use admit_policy::Digest;
use admit_proto::v1::{FixtureKind, Lane, ServedModel};
use clap::ValueEnum;

use super::{UsageError, bounded, this_host};

/// What the caller states about a launch.
#[derive(Debug, clap::Args)]
pub(crate) struct LaunchFlags {
    /// The lane of the launch.
    #[arg(long, value_enum, default_value_t = LaneName::Fake)]
    lane: LaneName,

    /// The stage of the harness; the real lane admits stage 2 only.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 2,
        value_parser = clap::value_parser!(u32).range(0..=i64::from(STAGE_MAX))
    )]
    stage: u32,

    /// The harness host; without it, the name of this machine.
    #[arg(long, value_name = "NAME")]
    host: Option<String>,

    /// The harness run that the launch belongs to.
    #[arg(long, value_name = "ID")]
    run_id: String,

    /// The kind of the fixture; unstated, it denies.
    #[arg(long, value_enum)]
    fixture: Option<FixtureName>,

    /// The fake run that this run will be compared with; it has to be this run.
    #[arg(long, value_name = "RUN_ID")]
    fake_baseline: Option<String>,

    /// The class of the credential source; never a credential.
    #[arg(long, value_name = "CLASS", default_value = "")]
    credential_source_class: String,

    /// The digest that the policy is expected to have.
    #[arg(long, value_name = "DIGEST")]
    expect_policy: Option<String>,

    /// The task file, searched for secrets besides any that the command names.
    #[arg(long, value_name = "FILE")]
    task: Option<PathBuf>,

    /// The absolute path of a Target Repository, which the launch must not see; may be repeated.
    #[arg(long, value_name = "PATH", conflicts_with = "no_target_repository")]
    target_repository: Vec<PathBuf>,

    /// States that there is no Target Repository. With neither this flag nor a path it is unstated,
    /// which denies.
    #[arg(long)]
    no_target_repository: bool,

    /// Whether the endpoint serves the exact model.
    #[arg(long, value_enum, default_value_t = ServedModelName::NotProbed)]
    served_model: ServedModelName,

    /// Asks the endpoint of the base URL which models it serves, in the real lane.
    #[arg(long, conflicts_with = "served_model")]
    probe: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LaneName {
    /// No model is used.
    Fake,
    /// Case runs with a model.
    Real,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FixtureName {
    /// A copy of an artificial fixture, the only kind in scope.
    CopiedArtificial,
    /// An artificial fixture that was not copied.
    ArtificialOriginal,
    /// A real repository, or a copy of one.
    RealRepository,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ServedModelName {
    /// The endpoint was not asked.
    NotProbed,
    /// It serves the exact model id.
    Match,
    /// It does not.
    Mismatch,
}

impl LaunchFlags {
    /// What the flags state.
    pub(crate) fn launch(&self, dry_run: bool) -> Result<Launch, UsageError> {
        let host = match &self.host {
            Some(host) => bounded("--host", Bound::Host, host)?,
            None => this_host(),
        };
        let fake_baseline = self
            .fake_baseline
            .as_deref()
            .map(|run| bounded("--fake-baseline", Bound::RunId, run))
            .transpose()?;
        let expected_policy = self
            .expect_policy
            .as_deref()
            .map(|digest| {
                Digest::parse(digest).ok_or_else(|| {
                    UsageError("--expect-policy is 64 lowercase hexadecimal digits".to_owned())
                })
            })
            .transpose()?;
        Ok(Launch {
            host,
            run_id: bounded("--run-id", Bound::RunId, &self.run_id)?,
            lane: match self.lane {
                LaneName::Fake => Lane::Fake,
                LaneName::Real => Lane::Real,
            },
            stage: self.stage,
            dry_run,
            expected_policy,
            credential_source_class: bounded(
                "--credential-source-class",
                Bound::CredentialSourceClass,
                &self.credential_source_class,
            )?,
            fixture: match self.fixture {
                None => FixtureKind::Unspecified,
                Some(FixtureName::CopiedArtificial) => FixtureKind::CopiedArtificial,
                Some(FixtureName::ArtificialOriginal) => FixtureKind::ArtificialOriginal,
                Some(FixtureName::RealRepository) => FixtureKind::RealRepository,
            },
            fake_baseline,
            served_model: match self.served_model {
                ServedModelName::NotProbed => ServedModel::NotProbed,
                ServedModelName::Match => ServedModel::Match,
                ServedModelName::Mismatch => ServedModel::Mismatch,
            },
            probe: self.probe,
            task_file: self.task.clone(),
            target_repositories: self.target_repositories()?,
        })
    }

    fn target_repositories(&self) -> Result<TargetRepositories, UsageError> {
        if self.no_target_repository {
            return Ok(TargetRepositories::None);
        }
        if self.target_repository.is_empty() {
            return Ok(TargetRepositories::Unstated);
        }
        let names_repository =
            |path: &PathBuf| path.is_absolute() && path.components().nth(1).is_some();
        if !self.target_repository.iter().all(names_repository) {
            return Err(UsageError(
                "--target-repository is an absolute path below `/`".to_owned(),
            ));
        }
        Ok(TargetRepositories::These(self.target_repository.clone()))
    }
}

/// What surrounds this process, with `command` as what it would start.
pub(crate) fn this_surroundings(command: &[OsString]) -> Result<Surroundings, GatherError> {
    Ok(Surroundings {
        variables: std::env::vars_os().collect(),
        working_dir: std::env::current_dir().map_err(|_| GatherError::WorkingDirectory)?,
        argv: command.to_vec(),
    })
}
