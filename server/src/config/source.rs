//! Where a configuration comes from, so that it can be read again.

use std::path::{Path, PathBuf};

use super::{Config, ConfigError};

/// A configuration file, if there is one, and what the command line has in place of its keys.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The file; `None`: the built-in configuration.
    pub file: Option<PathBuf>,
    /// The policy directory, in place of the configured one.
    pub policy_dir: Option<PathBuf>,
    /// The audit directory, in place of the configured one.
    pub audit_dir: Option<PathBuf>,
}

impl Source {
    /// The configuration as it is now.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is not valid.
    pub fn read(&self) -> Result<Config, ConfigError> {
        let mut config = Config::load(self.file.as_deref())?;
        if let Some(dir) = &self.policy_dir {
            config.store.policy_dir.clone_from(dir);
        }
        if let Some(dir) = &self.audit_dir {
            config.audit.dir.clone_from(dir);
        }
        Ok(config)
    }

    /// What it is called in messages.
    #[must_use]
    pub fn name(&self) -> &Path {
        let built_in = || Path::new("the built-in configuration");
        self.file.as_deref().unwrap_or_else(built_in)
    }
}
