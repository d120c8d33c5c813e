//! The part of the configuration that permits have.

use std::{path::PathBuf, time::Duration};

use admit_permit::key_set::KEYS_MAX;
use serde::Deserialize;

use super::{ConfigError, duration, set, within};
use crate::permit::PermitConfig;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LIFETIME_MIN: Duration = Duration::from_secs(1);
/// What a permit itself may state: `admit_permit::claims::LIFETIME_SECONDS_MAX`.
const LIFETIME_MAX: Duration = Duration::from_secs(600);
const ROTATE_AFTER_MIN: Duration = Duration::from_secs(60 * 60);
const ROTATE_AFTER_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);
const VERIFY_FOR_MIN: Duration = DAY;
const VERIFY_FOR_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);
/// Places of the key set that are left for the key that signs, for one that is about to go, and for
/// keys that are made by hand.
const PLACES_LEFT: usize = 14;

/// The section `permit`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawPermit {
    keys: PathBuf,
    #[serde(deserialize_with = "duration")]
    lifetime: Duration,
    #[serde(deserialize_with = "duration")]
    rotate_after: Duration,
    #[serde(deserialize_with = "duration")]
    verify_for: Duration,
}

/// The values of the built-in file, where a key is left out.
impl Default for RawPermit {
    fn default() -> Self {
        Self {
            keys: PathBuf::new(),
            lifetime: Duration::from_secs(60),
            rotate_after: DAY.saturating_mul(30),
            verify_for: DAY.saturating_mul(90),
        }
    }
}

impl RawPermit {
    pub(super) fn config(self) -> Result<PermitConfig, ConfigError> {
        let Self {
            lifetime,
            rotate_after,
            verify_for,
            ..
        } = self;
        within("permit.lifetime", lifetime, LIFETIME_MIN, LIFETIME_MAX)?;
        within(
            "permit.rotate_after",
            rotate_after,
            ROTATE_AFTER_MIN,
            ROTATE_AFTER_MAX,
        )?;
        within(
            "permit.verify_for",
            verify_for,
            VERIFY_FOR_MIN,
            VERIFY_FOR_MAX,
        )?;
        let former_max = u32::try_from(KEYS_MAX.saturating_sub(PLACES_LEFT)).unwrap_or_default();
        if verify_for > rotate_after.saturating_mul(former_max) {
            return Err(ConfigError::OutOfBounds {
                key: "permit.verify_for",
                value: humantime::format_duration(verify_for).to_string(),
                bounds: format!("at most {former_max} times `permit.rotate_after`"),
            });
        }
        Ok(PermitConfig {
            keys: set(self.keys),
            lifetime,
            rotate_after,
            verify_for,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn every_bound_has_two_sides() {
        for (key, good, bad) in [
            ("lifetime", ["1s", "10m"], ["999ms", "601s"]),
            ("rotate_after", ["2d", "1y"], ["59m", "2y"]),
            ("verify_for", ["1d", "1500d"], ["23h", "1501d"]),
        ] {
            let parse = |value: &str| Config::parse(&format!("[permit]\n{key} = \"{value}\"\n"));
            assert!(good.map(parse).iter().all(Result::is_ok), "{key}");
            assert!(bad.map(parse).iter().all(Result::is_err), "{key}");
        }
        let keys = |rotate_after: &str, verify_for: &str| {
            Config::parse(&format!(
                "[permit]\nrotate_after = \"{rotate_after}\"\nverify_for = \"{verify_for}\"\n"
            ))
        };
        assert!(keys("1h", "50h").is_ok());
        assert!(keys("1h", "51h").is_err());
        assert!(keys("1y", "10y").is_ok());
        assert!(keys("1y", "11y").is_err());
    }
}
