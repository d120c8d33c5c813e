//! What the caller states by itself about a launch.

use std::path::PathBuf;

use admit_policy::Digest;
use admit_proto::v1::{FixtureKind, Lane, ServedModel};

use super::{Bound, GatherError, STAGE_MAX};

/// What the caller states by itself about a launch.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The harness host.
    pub host: String,
    /// The harness run.
    pub run_id: String,
    /// The lane.
    pub lane: Lane,
    /// The stage of the harness.
    pub stage: u32,
    /// Whether nothing will be started on the answer.
    pub dry_run: bool,
    /// The policy that the caller expects.
    pub expected_policy: Option<Digest>,
    /// The class of the credential source; empty when it is not stated.
    pub credential_source_class: String,
    /// The kind of the fixture.
    pub fixture: FixtureKind,
    /// The run of the fake baseline.
    pub fake_baseline: Option<String>,
    /// Whether the endpoint serves the model, as far as the caller knows.
    pub served_model: ServedModel,
    /// Whether the endpoint is asked for its models. In the real lane its answer then counts, and not
    /// `served_model`.
    pub probe: bool,
    /// The task file, besides any that the command names.
    pub task_file: Option<PathBuf>,
    /// The Target Repositories that there are.
    pub target_repositories: TargetRepositories,
}

/// The Target Repositories that the caller knows of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetRepositories {
    /// It does not say; nothing can be looked for then.
    Unstated,
    /// It says that there is none.
    None,
    /// These.
    These(Vec<PathBuf>),
}

impl Launch {
    /// Whether what the caller states is within its bounds.
    pub(super) fn check(&self) -> Result<(), GatherError> {
        if self.stage > STAGE_MAX {
            return Err(GatherError::StageOutOfBounds);
        }
        let baseline = self.fake_baseline.as_deref();
        [
            ("--host", Bound::Host, Some(self.host.as_str())),
            ("--run-id", Bound::RunId, Some(self.run_id.as_str())),
            ("--fake-baseline", Bound::RunId, baseline),
            (
                "--credential-source-class",
                Bound::CredentialSourceClass,
                Some(self.credential_source_class.as_str()),
            ),
        ]
        .into_iter()
        .try_for_each(|(about, bound, text)| match text {
            Some(text) if !bound.holds(text) => Err(GatherError::OutOfBounds { about, bound }),
            Some(_) | None => Ok(()),
        })
    }
}
