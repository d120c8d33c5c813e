//! The fake run that a real run is compared with, read from its own evidence folder.

use std::path::Path;

use admit_policy::Digest;

use super::{
    CollectError,
    folder::EvidenceFolder,
    pipeline::Pipeline,
    record::{RunLane, RunRecord},
    trace,
};

/// A fake run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Baseline {
    pub(crate) run_id: String,
    /// The digest of its fixture before it ran.
    pub(crate) fixture: Option<Digest>,
    pub(crate) pipeline: Pipeline,
}

impl Baseline {
    /// Reads the evidence folder of a fake run, whose trace has to be collected already.
    pub(crate) fn read(path: &Path) -> Result<Self, CollectError> {
        let folder = EvidenceFolder::new(path);
        let record =
            RunRecord::read(&folder).map_err(|error| CollectError::Baseline(Box::new(error)))?;
        match record.lane {
            RunLane::Fake => {}
            RunLane::Real => return Err(CollectError::BaselineIsReal),
        }
        let index = trace::index(&folder)
            .map_err(|error| CollectError::Baseline(Box::new(error.into())))?;
        Ok(Self {
            pipeline: trace::pipeline(&folder, index.as_ref(), None, record.run.as_ref()),
            fixture: record.fixture(),
            run_id: record.launch.run_id,
        })
    }
}
