//! The section `limits`.

use std::time::Duration;

use serde::Deserialize;

use super::{ConfigError, duration, within};
use crate::{audit::LogConfig, limits::Limits};

const COUNT_MAX: usize = 65_536;
const STREAMS_MAX: usize = 1024;
const HANDSHAKE_MIN: Duration = Duration::from_millis(100);
const HANDSHAKE_MAX: Duration = Duration::from_secs(60);
const REQUEST_TIME_MIN: Duration = Duration::from_millis(200);
const REQUEST_TIME_MAX: Duration = Duration::from_secs(5 * 60);
const IDLE_MIN: Duration = Duration::from_secs(1);
const IDLE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
const AGE_MIN: Duration = Duration::from_secs(1);
const AGE_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const DRAIN_MIN: Duration = Duration::from_millis(100);
const DRAIN_MAX: Duration = Duration::from_secs(5 * 60);

/// The section `limits`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLimits {
    connections: usize,
    connections_per_peer: usize,
    streams_per_connection: usize,
    in_flight: usize,
    in_flight_per_caller: usize,
    watchers: usize,
    watchers_per_caller: usize,
    #[serde(deserialize_with = "duration")]
    handshake: Duration,
    #[serde(deserialize_with = "duration")]
    request_time: Duration,
    #[serde(deserialize_with = "duration")]
    idle: Duration,
    #[serde(deserialize_with = "duration")]
    connection_age: Duration,
    #[serde(deserialize_with = "duration")]
    drain: Duration,
}

/// The values of the built-in file, where a key is left out.
impl Default for RawLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_per_peer: 256,
            streams_per_connection: 256,
            in_flight: 1024,
            in_flight_per_caller: 512,
            watchers: 1024,
            watchers_per_caller: 512,
            handshake: Duration::from_secs(5),
            request_time: Duration::from_secs(10),
            idle: Duration::from_secs(5 * 60),
            connection_age: Duration::from_secs(60 * 60),
            drain: Duration::from_secs(5),
        }
    }
}

impl RawLimits {
    pub(super) fn config(self, audit: &LogConfig) -> Result<Limits, ConfigError> {
        self.counts_are_within()?;
        self.times_are_within()?;
        if self.request_time <= audit.patience {
            return Err(ConfigError::OutOfBounds {
                key: "limits.request_time",
                value: humantime::format_duration(self.request_time).to_string(),
                bounds: "longer than `audit.patience`".into(),
            });
        }
        Ok(Limits {
            connections: self.connections,
            connections_per_peer: self.connections_per_peer,
            streams_per_connection: u32::try_from(self.streams_per_connection).unwrap_or(1),
            in_flight: self.in_flight,
            in_flight_per_caller: self.in_flight_per_caller,
            watchers: self.watchers,
            watchers_per_caller: self.watchers_per_caller,
            handshake: self.handshake,
            request_time: self.request_time,
            idle: self.idle,
            connection_age: self.connection_age,
            drain: self.drain,
        })
    }

    fn counts_are_within(&self) -> Result<(), ConfigError> {
        for (key, value, max) in [
            ("limits.connections", self.connections, COUNT_MAX),
            (
                "limits.connections_per_peer",
                self.connections_per_peer,
                COUNT_MAX,
            ),
            (
                "limits.streams_per_connection",
                self.streams_per_connection,
                STREAMS_MAX,
            ),
            ("limits.in_flight", self.in_flight, COUNT_MAX),
            (
                "limits.in_flight_per_caller",
                self.in_flight_per_caller,
                COUNT_MAX,
            ),
            ("limits.watchers", self.watchers, COUNT_MAX),
            (
                "limits.watchers_per_caller",
                self.watchers_per_caller,
                COUNT_MAX,
            ),
        ] {
            if !(1..=max).contains(&value) {
                return Err(ConfigError::OutOfBounds {
                    key,
                    value: value.to_string(),
                    bounds: format!("1 to {max}"),
                });
            }
        }
        Ok(())
    }

    fn times_are_within(&self) -> Result<(), ConfigError> {
        for (key, value, min, max) in [
            (
                "limits.handshake",
                self.handshake,
                HANDSHAKE_MIN,
                HANDSHAKE_MAX,
            ),
            (
                "limits.request_time",
                self.request_time,
                REQUEST_TIME_MIN,
                REQUEST_TIME_MAX,
            ),
            ("limits.idle", self.idle, IDLE_MIN, IDLE_MAX),
            (
                "limits.connection_age",
                self.connection_age,
                AGE_MIN,
                AGE_MAX,
            ),
            ("limits.drain", self.drain, DRAIN_MIN, DRAIN_MAX),
        ] {
            within(key, value, min, max)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn every_limit_has_two_sides() {
        for (key, good, bad) in [
            ("connections", ["1", "65536"], ["0", "65537"]),
            ("connections_per_peer", ["1", "65536"], ["0", "65537"]),
            ("streams_per_connection", ["1", "1024"], ["0", "1025"]),
            ("in_flight", ["1", "65536"], ["0", "65537"]),
            ("in_flight_per_caller", ["1", "65536"], ["0", "65537"]),
            ("watchers", ["1", "65536"], ["0", "65537"]),
            ("watchers_per_caller", ["1", "65536"], ["0", "65537"]),
            (
                "handshake",
                ["\"100ms\"", "\"1m\""],
                ["\"99ms\"", "\"61s\""],
            ),
            (
                "request_time",
                ["\"2001ms\"", "\"5m\""],
                ["\"2s\"", "\"301s\""],
            ),
            ("idle", ["\"1s\"", "\"1d\""], ["\"999ms\"", "\"25h\""]),
            (
                "connection_age",
                ["\"1s\"", "\"7d\""],
                ["\"999ms\"", "\"8d\""],
            ),
            ("drain", ["\"100ms\"", "\"5m\""], ["\"99ms\"", "\"301s\""]),
        ] {
            let parse = |value: &str| Config::parse(&format!("[limits]\n{key} = {value}\n"));
            assert!(good.map(parse).iter().all(Result::is_ok), "{key}");
            assert!(bad.map(parse).iter().all(Result::is_err), "{key}");
        }
    }
}
