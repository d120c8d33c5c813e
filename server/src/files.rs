//! How many files the process may open: as many as the system lets it, and no fewer than its limits
//! can need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::Limits;

/// The limits cannot be kept with so few files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`limits.connections` needs {needed} open files and the system allows {allowed}; lower it, or raise `LimitNOFILE` (`ulimit -Hn`)"
)]
pub struct FilesFault {
    needed: u64,
    allowed: u64,
}

/// Raises the number of files that may be open to what the system lets this process have.
///
/// # Errors
///
/// When that is fewer than `limits` can need: a daemon that runs out of files could answer nobody.
pub fn allow(limits: &Limits) -> Result<(), FilesFault> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    // Where it fails, what is allowed says so.
    let _ = setrlimit(Resource::Nofile, raised);
    let needed = u64::try_from(limits.files()).unwrap_or(u64::MAX);
    match getrlimit(Resource::Nofile).current {
        Some(allowed) if allowed < needed => Err(FilesFault { needed, allowed }),
        Some(_) | None => Ok(()),
    }
}
