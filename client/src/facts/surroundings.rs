//! The environment that a launch would have, as values: nothing in here asks the process for its own.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt,
    path::PathBuf,
};

/// What surrounds a launch.
#[derive(Clone)]
pub struct Surroundings {
    /// The variables that the process would get.
    pub variables: BTreeMap<OsString, OsString>,
    /// The working directory that it would start in; absolute.
    pub working_dir: PathBuf,
    /// The command and its arguments; empty when no command is stated.
    pub argv: Vec<OsString>,
}

/// The values are never shown: any of them may be a secret.
impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("variables_count", &self.variables.len())
            .field("argv_count", &self.argv.len())
            .finish_non_exhaustive()
    }
}

impl Surroundings {
    /// The folder in which Pi looks for its files; `None` when nobody can tell.
    #[must_use]
    pub fn pi_agent_dir(&self) -> Option<PathBuf> {
        super::pi::agent_dir(self).map(|(_, folder)| folder)
    }

    /// Whether the variable is set, be it empty.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.variables.contains_key(OsStr::new(name))
    }

    /// The value of the variable, unless it is unset or empty.
    pub(super) fn value(&self, name: &str) -> Option<&OsStr> {
        self.variables
            .get(OsStr::new(name))
            .map(OsString::as_os_str)
            .filter(|value| !value.is_empty())
    }

    /// The path that the variable holds, against the working directory.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.value(name).map(|path| self.working_dir.join(path))
    }
}
