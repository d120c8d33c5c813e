//! The parts of the configuration that the audit trail and its export have.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};

use super::{ConfigError, duration, set, within};
use crate::{
    audit::{CommitPath, LogConfig},
    export::ExportConfig,
};

const SEGMENT_BYTES_MIN: u64 = 64 * 1024;
const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;
const SEGMENT_AGE_MIN: Duration = Duration::from_secs(1);
const SEGMENT_AGE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const RETENTION_MIN: Duration = Duration::from_secs(60 * 60);
const RETENTION_MAX: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);
const FREE_SPACE_MIN: u64 = 64 * 1024;
const FREE_SPACE_MAX: u64 = 1024 * 1024 * 1024 * 1024;
const PATIENCE_MIN: Duration = Duration::from_millis(100);
const PATIENCE_MAX: Duration = Duration::from_secs(60);

/// The section `audit`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAudit {
    dir: PathBuf,
    segment_bytes: u64,
    #[serde(deserialize_with = "duration")]
    segment_age: Duration,
    #[serde(deserialize_with = "optional_duration")]
    retention: Option<Duration>,
    free_space_min_bytes: u64,
    #[serde(deserialize_with = "duration")]
    patience: Duration,
    signing_key: PathBuf,
}

/// The values of the built-in file, where a key is left out.
impl Default for RawAudit {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("/var/lib/admit/audit"),
            segment_bytes: 64 * 1024 * 1024,
            segment_age: Duration::from_secs(24 * 60 * 60),
            retention: None,
            free_space_min_bytes: 64 * 1024 * 1024,
            patience: Duration::from_secs(2),
            signing_key: PathBuf::new(),
        }
    }
}

impl RawAudit {
    pub(super) fn config(self) -> Result<LogConfig, ConfigError> {
        bytes_within(
            "audit.segment_bytes",
            self.segment_bytes,
            SEGMENT_BYTES_MIN,
            SEGMENT_BYTES_MAX,
        )?;
        bytes_within(
            "audit.free_space_min_bytes",
            self.free_space_min_bytes,
            FREE_SPACE_MIN,
            FREE_SPACE_MAX,
        )?;
        within(
            "audit.segment_age",
            self.segment_age,
            SEGMENT_AGE_MIN,
            SEGMENT_AGE_MAX,
        )?;
        within("audit.patience", self.patience, PATIENCE_MIN, PATIENCE_MAX)?;
        if let Some(retention) = self.retention {
            within("audit.retention", retention, RETENTION_MIN, RETENTION_MAX)?;
        }
        Ok(LogConfig {
            dir: self.dir,
            segment_bytes: self.segment_bytes,
            segment_age: self.segment_age,
            retention: self.retention,
            free_space_min: self.free_space_min_bytes,
            patience: self.patience,
            signing_key: set(self.signing_key),
            commit_path: CommitPath::Adaptive,
        })
    }
}

/// The section `export`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawExport {
    endpoint: String,
    ca_file: PathBuf,
    headers_file: PathBuf,
    pub(super) diagnostics: bool,
}

impl RawExport {
    /// Where spans go; `None` without an endpoint.
    pub(super) fn config(self) -> Result<Option<ExportConfig>, ConfigError> {
        let ca_file = set(self.ca_file);
        let headers_file = set(self.headers_file);
        if !self.endpoint.is_empty() {
            return Ok(Some(ExportConfig {
                endpoint: self.endpoint,
                ca_file,
                headers_file,
            }));
        }
        let is_meant = ca_file.is_some() || headers_file.is_some() || self.diagnostics;
        if is_meant {
            // Nobody should believe that something is exported.
            return Err(ConfigError::OutOfBounds {
                key: "export.endpoint",
                value: "empty".into(),
                bounds: "set when another key of `export` is".into(),
            });
        }
        Ok(None)
    }
}

fn bytes_within(key: &'static str, value: u64, min: u64, max: u64) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::OutOfBounds {
        key,
        value: value.to_string(),
        bounds: format!("{min} to {max} bytes"),
    })
}

fn optional_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    humantime::parse_duration(&text)
        .map(Some)
        .map_err(|_| D::Error::custom("is not a duration such as `400d`, or empty for ever"))
}
