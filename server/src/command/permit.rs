//! `admitd permit`: the keys of permits, by hand.
//!
//! Deliberately absent: a way to sign a permit. Only an answer has one.

use std::{
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use serde::Serialize;

use crate::{
    clock,
    config::{Config, ConfigError},
    permit::{DirectoryError, directory},
};

/// The version of what `--json` prints.
const SCHEMA: &str = "admitd.permit.rotate/1";

/// What can be done with the keys of permits.
#[derive(Debug, clap::Subcommand)]
pub enum Permit {
    /// Makes a new key that signs from now on; a running admitd takes it up within 10 seconds.
    ///
    /// Run it as the user that admitd runs as. What the former key signed can still be verified for
    /// `permit.verify_for`. Exit code 0: done; 2: it could not be done.
    Rotate(Rotate),
}

/// Makes a new key.
#[derive(Debug, clap::Args)]
pub struct Rotate {
    /// The configuration file of the admitd whose keys they are; without it, the built-in one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The audit directory, in place of the configured one.
    #[arg(long, value_name = "DIR", conflicts_with = "keys")]
    audit_dir: Option<PathBuf>,
    /// The directory of the keys, in place of the configured one.
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// Prints JSON of a versioned shape.
    #[arg(long)]
    json: bool,
}

/// Why there is no new key.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The configuration cannot be used.
    #[error("the configuration cannot be used")]
    Config(#[from] ConfigError),
    /// The directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The clock of this host is of no use.
    #[error("the clock of this host is of no use")]
    Clock,
    /// The output cannot be written. The key is there.
    #[error("the key was made, and its name cannot be printed")]
    Output(#[from] io::Error),
}

#[derive(Serialize)]
struct RotatedShape<'a> {
    schema: &'static str,
    kid: &'a str,
    former: Option<&'a str>,
}

/// Does what `command` says.
///
/// # Errors
///
/// When it cannot be done.
pub fn run(command: &Permit, out: &mut dyn Write) -> Result<(), RotateError> {
    match command {
        Permit::Rotate(rotate) => rotate.run(out),
    }
}

impl Rotate {
    fn run(&self, out: &mut dyn Write) -> Result<(), RotateError> {
        let dir = self.dir()?;
        let now = clock::now().ok_or(RotateError::Clock)?.unix().0;
        let entries = directory::read(&dir)?;
        directory::is_own(&dir)?;
        let former = directory::signing(&entries)
            .and_then(|at| entries.get(at))
            .map(|entry| entry.public.kid().to_owned());
        let kid = directory::make(&dir, &entries, now)?;
        // Only the former private half goes; how long a public one stays is for the daemon to say.
        directory::tidy(&dir, directory::read(&dir)?, now, Duration::MAX)?;
        if self.json {
            let shape = RotatedShape {
                schema: SCHEMA,
                kid: &kid,
                former: former.as_deref(),
            };
            let text = serde_json::to_string(&shape).map_err(io::Error::other)?;
            writeln!(out, "{text}")?;
        } else {
            writeln!(out, "{kid} signs permits from now on")?;
            if let Some(former) = former {
                writeln!(out, "{former} only verifies them")?;
            }
        }
        Ok(out.flush()?)
    }

    fn dir(&self) -> Result<PathBuf, ConfigError> {
        if let Some(keys) = &self.keys {
            return Ok(keys.clone());
        }
        let config = Config::load(self.config.as_deref())?;
        let audit_dir = self.audit_dir.as_ref().unwrap_or(&config.audit.dir);
        Ok(config.permit.dir(audit_dir))
    }
}
