//! The fake run that a real run is compared with, read from its own evidence folder.

use std::path::Path;

use admit_client::facts::bounded_file::read_unlinked;
use admit_policy::Digest;

use super::{
    CollectError,
    folder::EvidenceFolder,
    pipeline::Pipeline,
    record::{RunLane, RunRecord, is_as_kept},
    trace::{self, LOG_BYTES_MAX},
};

/// A fake run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Baseline {
    pub(crate) run_id: String,
    /// The digest of its fixture before it ran.
    pub(crate) fixture: Option<Digest>,
    pub(crate) pipeline: Pipeline,
    /// Why it is no baseline of the run, in words of this program. None: it is one.
    pub(crate) fault: Option<&'static str>,
}

impl Baseline {
    /// Reads the evidence folder of a fake run on `host`, whose trace has to be collected already.
    pub(crate) fn read(path: &Path, host: &str) -> Result<Self, CollectError> {
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
            fault: fault(&folder, &record, host),
            run_id: record.launch.run_id,
        })
    }
}

/// What of a fake run that the wrapper started on `host` is not there.
fn fault(folder: &EvidenceFolder, record: &RunRecord, host: &str) -> Option<&'static str> {
    if record.launch.host != host {
        return Some("the baseline ran on another host");
    }
    if record.permit.is_empty() {
        return Some("the baseline has no permit");
    }
    if record.start_time.is_none() {
        return Some("nothing says that the baseline was started");
    }
    match read_unlinked(&folder.stderr(), LOG_BYTES_MAX) {
        Ok(Some(log)) => (!is_as_kept(record.run.as_ref(), &log))
            .then_some("the standard error of the baseline is not what the wrapper wrote"),
        Ok(None) | Err(_) => Some("the standard error of the baseline cannot be read"),
    }
}
