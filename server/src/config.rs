//! The configuration: one TOML file, or the built-in one that documents every default.
//!
//! Unknown keys are errors that point at their line. Deliberately absent: any key that opens a gate,
//! and any that holds a secret; keys and credentials are in files of their own.

mod callers;
mod invalid;
mod limits;
mod listen;
mod permit;
mod source;
mod trail;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use admit_policy::{Terms, facts::EndpointScope, secret};
use serde::{Deserialize, Deserializer, de::Error as _};

use self::{
    callers::RawCaller,
    limits::RawLimits,
    listen::{RawListen, RawTls},
    permit::RawPermit,
    trail::{RawAudit, RawExport},
};
pub use self::{
    callers::fits,
    invalid::InvalidText,
    listen::{ListenConfig, TlsConfig},
    source::Source,
};
use crate::{
    audit::LogConfig,
    caller::{Roster, RosterFault},
    export::ExportConfig,
    limits::Limits,
    permit::PermitConfig,
    store::StoreConfig,
};

/// The built-in configuration, in force when no other is given.
pub const BUILT_IN: &str = include_str!("../../deploy/admitd.toml");
/// Largest configuration file, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 1024 * 1024;
/// Most network classes.
pub const NETWORK_CLASSES_MAX: usize = 256;

const RESCAN_MIN: Duration = Duration::from_millis(100);
const RESCAN_MAX: Duration = Duration::from_secs(60 * 60);
const STALENESS_MIN: Duration = Duration::from_secs(1);
const STALENESS_MAX: Duration = Duration::from_secs(60 * 60);

/// A valid configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the store needs to know.
    pub store: StoreConfig,
    /// What decisions depend on.
    pub terms: Terms,
    /// Where to listen.
    pub listen: ListenConfig,
    /// Who may call.
    pub roster: Roster,
    /// How much is taken at one time.
    pub limits: Limits,
    /// What the audit log needs to know.
    pub audit: LogConfig,
    /// What permits need to know.
    pub permit: PermitConfig,
    /// Where the spans go, if anywhere.
    pub export: Option<ExportConfig>,
    /// Whether the daemon's own diagnostics go there too.
    pub exports_diagnostics: bool,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration cannot be read")]
    Unreadable(#[source] io::Error),
    /// The file is too large.
    #[error("the configuration has more than {CONFIG_BYTES_MAX} bytes")]
    TooLarge,
    /// The text is not a valid configuration.
    #[error("the configuration is not valid")]
    Invalid(#[from] InvalidText),
    /// Something in it looks like a secret. No key holds one.
    #[error(
        "line {line} has something that looks like a secret; take it out, and put credentials into a file of their own (mode 0600)"
    )]
    Secret {
        /// The line, from 1.
        line: usize,
    },
    /// A value is out of its bounds.
    #[error("`{key}` is {value}; it has to be {bounds}")]
    OutOfBounds {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What it has to be.
        bounds: String,
    },
    /// There is nowhere to listen.
    #[error("`listen.tcp`, `listen.unix` and `listen.tls` are all empty; one of them is needed")]
    NowhereToListen,
    /// A caller is not described well.
    #[error("`[[callers]]` number {number}: {fault}")]
    Caller {
        /// Which of them, from 1.
        number: usize,
        /// What is wrong with it.
        fault: String,
    },
    /// Two callers cannot be told apart.
    #[error("`[[callers]]`: {0}")]
    Roster(#[from] RosterFault),
    /// Whoever is on the network could call.
    #[error(
        "`listen.tcp` is beyond loopback and there are no `[[callers]]`, so everybody on the network could do everything; name the callers (`plaintext = true` is whoever reaches it)"
    )]
    EverybodyFromAnywhere,
    /// Nobody could call.
    #[error(
        "`listen.tls` is set and no `[[callers]]` has `certificates`, so nobody could call; name the callers"
    )]
    NobodyOverTls,
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default = "built_in_policy_dir")]
    policy_dir: PathBuf,
    #[serde(default = "built_in_rescan", deserialize_with = "duration")]
    rescan_interval: Duration,
    #[serde(default = "built_in_staleness", deserialize_with = "duration")]
    staleness_max: Duration,
    #[serde(default)]
    listen: RawListen,
    #[serde(default)]
    tls: RawTls,
    #[serde(default)]
    callers: Vec<RawCaller>,
    #[serde(default)]
    limits: RawLimits,
    #[serde(default)]
    audit: RawAudit,
    #[serde(default)]
    permit: RawPermit,
    #[serde(default)]
    export: RawExport,
    #[serde(default)]
    network_classes: BTreeMap<String, BTreeSet<RawScope>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawScope {
    Loopback,
    Private,
    Tailnet,
    Public,
}

impl From<RawScope> for EndpointScope {
    fn from(scope: RawScope) -> Self {
        match scope {
            RawScope::Loopback => Self::Loopback,
            RawScope::Private => Self::Private,
            RawScope::Tailnet => Self::Tailnet,
            RawScope::Public => Self::Public,
        }
    }
}

fn built_in_policy_dir() -> PathBuf {
    PathBuf::from("/etc/admit/policy")
}

fn built_in_rescan() -> Duration {
    Duration::from_secs(5)
}

fn built_in_staleness() -> Duration {
    Duration::from_secs(30)
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text)
        .map_err(|_| D::Error::custom("is not a duration such as `5s` or `500ms`"))
}

impl Config {
    /// The configuration in the file at `path`, or the built-in one.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is not valid.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        match path {
            None => Self::parse(BUILT_IN),
            Some(path) => {
                let length = fs::metadata(path).map_err(ConfigError::Unreadable)?.len();
                if length > CONFIG_BYTES_MAX {
                    return Err(ConfigError::TooLarge);
                }
                Self::parse(&fs::read_to_string(path).map_err(ConfigError::Unreadable)?)
            }
        }
    }

    /// The configuration that `text` describes.
    ///
    /// # Errors
    ///
    /// When it is not valid.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        if let Some(line) = secret_line(text) {
            return Err(ConfigError::Secret { line });
        }
        let raw: Raw = toml::from_str(text).map_err(|error| InvalidText::of(text, &error))?;
        within(
            "rescan_interval",
            raw.rescan_interval,
            RESCAN_MIN,
            RESCAN_MAX,
        )?;
        within(
            "staleness_max",
            raw.staleness_max,
            STALENESS_MIN,
            STALENESS_MAX,
        )?;
        if raw.staleness_max <= raw.rescan_interval {
            return Err(ConfigError::OutOfBounds {
                key: "staleness_max",
                value: humantime::format_duration(raw.staleness_max).to_string(),
                bounds: "longer than `rescan_interval`".into(),
            });
        }
        if raw.network_classes.len() > NETWORK_CLASSES_MAX {
            return Err(ConfigError::OutOfBounds {
                key: "network_classes",
                value: format!("{} classes", raw.network_classes.len()),
                bounds: format!("at most {NETWORK_CLASSES_MAX} classes"),
            });
        }
        let listen = raw.listen.config(raw.tls)?;
        let roster = callers::roster(raw.callers, &listen)?;
        let audit = raw.audit.config()?;
        let limits = raw.limits.config(&audit)?;
        Ok(Self {
            store: StoreConfig {
                policy_dir: raw.policy_dir,
                rescan_interval: raw.rescan_interval,
            },
            terms: Terms {
                staleness_max: raw.staleness_max,
                network_classes: raw
                    .network_classes
                    .into_iter()
                    .map(|(class, scopes)| (class, scopes.into_iter().map(Into::into).collect()))
                    .collect(),
            },
            listen,
            roster,
            limits,
            audit,
            permit: raw.permit.config()?,
            exports_diagnostics: raw.export.diagnostics,
            export: raw.export.config()?,
        })
    }
}

/// The first line that has something that looks like a secret.
fn secret_line(text: &str) -> Option<usize> {
    let found = secret::find(text).into_iter().next()?;
    let before = text.get(..found.span.start)?;
    Some(before.matches('\n').count().saturating_add(1))
}

/// The path, unless it is empty.
fn set(path: PathBuf) -> Option<PathBuf> {
    Some(path).filter(|path| !path.as_os_str().is_empty())
}

fn within(
    key: &'static str,
    value: Duration,
    min: Duration,
    max: Duration,
) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::OutOfBounds {
        key,
        value: humantime::format_duration(value).to_string(),
        bounds: format!(
            "{} to {}",
            humantime::format_duration(min),
            humantime::format_duration(max)
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_file_states_the_defaults() {
        let built_in = Config::parse(BUILT_IN).unwrap();
        let empty = Config::parse("").unwrap();
        assert_eq!(format!("{built_in:?}"), format!("{empty:?}"));
    }

    #[test]
    fn every_bound_has_two_sides() {
        for (good, bad) in [
            ("rescan_interval = \"100ms\"", "rescan_interval = \"99ms\""),
            (
                "rescan_interval = \"59m\"\nstaleness_max = \"1h\"",
                "rescan_interval = \"61m\"",
            ),
            (
                "rescan_interval = \"100ms\"\nstaleness_max = \"1s\"",
                "rescan_interval = \"100ms\"\nstaleness_max = \"999ms\"",
            ),
            ("staleness_max = \"1h\"", "staleness_max = \"61m\""),
            (
                "rescan_interval = \"5s\"\nstaleness_max = \"6s\"",
                "rescan_interval = \"5s\"\nstaleness_max = \"5s\"",
            ),
            (
                "[listen]\ntcp = \"127.9.9.9:1\"",
                "[listen]\ntcp = \"192.0.2.1:1\"",
            ),
            ("[listen]\ntcp = \"[::1]:1\"", "[listen]\ntcp = \"[::]:1\""),
            (
                "[listen]\noperations = \"127.0.0.1:1\"",
                "[listen]\noperations = \"192.0.2.1:1\"",
            ),
            (
                "[export]\nendpoint = \"http://127.0.0.1:4317\"",
                "[export]\nca_file = \"/ca.pem\"",
            ),
            (
                "[listen]\ntcp = \"\"\nunix = \"/s\"",
                "[listen]\ntcp = \"\"",
            ),
        ] {
            assert!(Config::parse(good).is_ok(), "{good}");
            assert!(Config::parse(bad).is_err(), "{bad}");
        }
        for (key, good, bad) in [
            (
                "segment_bytes",
                ["65536", "1073741824"],
                ["65535", "1073741825"],
            ),
            (
                "segment_age",
                ["\"1s\"", "\"30d\""],
                ["\"999ms\"", "\"31d\""],
            ),
            ("retention", ["\"1h\"", "\"\""], ["\"59m\"", "\"101y\""]),
            (
                "free_space_min_bytes",
                ["65536", "1099511627776"],
                ["65535", "1099511627777"],
            ),
            ("patience", ["\"100ms\"", "\"1m\""], ["\"99ms\"", "\"61s\""]),
        ] {
            let parse = |value: &str| {
                Config::parse(&format!(
                    "[audit]\n{key} = {value}\n[limits]\nrequest_time = \"2m\"\n"
                ))
            };
            assert!(good.map(parse).iter().all(Result::is_ok), "{key}");
            assert!(bad.map(parse).iter().all(Result::is_err), "{key}");
        }
        let classes = |count: usize| {
            let lines: Vec<String> = (0..count).map(|n| format!("c{n} = []\n")).collect();
            Config::parse(&format!("[network_classes]\n{}", lines.concat()))
        };
        assert!(classes(NETWORK_CLASSES_MAX).is_ok());
        assert!(classes(NETWORK_CLASSES_MAX + 1).is_err());
    }
}
