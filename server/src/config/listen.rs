//! The sections `listen` and `tls`: where the daemon listens, and what it shows there.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Deserializer, de::Error as _};

use super::{ConfigError, set};

/// Where the daemon listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenConfig {
    /// The plaintext address; a loopback address unless the configuration says otherwise.
    pub tcp: Option<SocketAddr>,
    /// The unix socket.
    pub unix: Option<PathBuf>,
    /// The address of mutual TLS, with what it needs.
    pub tls: Option<TlsConfig>,
    /// The plaintext address that answers for health alone.
    pub health: Option<SocketAddr>,
    /// The address of metrics and the status page.
    pub operations: Option<SocketAddr>,
}

/// What mutual TLS needs. There is no TLS without client certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// The address.
    pub address: SocketAddr,
    /// The server's certificate and those between it and an authority, as PEM.
    pub certificate: PathBuf,
    /// Its private key, as PEM.
    pub key: PathBuf,
    /// The authorities of client certificates, as PEM.
    pub client_ca: PathBuf,
}

/// The section `listen`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawListen {
    #[serde(deserialize_with = "address")]
    tcp: Option<SocketAddr>,
    unix: PathBuf,
    #[serde(deserialize_with = "address")]
    tls: Option<SocketAddr>,
    #[serde(deserialize_with = "address")]
    health: Option<SocketAddr>,
    #[serde(deserialize_with = "address")]
    operations: Option<SocketAddr>,
    operations_beyond_loopback: bool,
    dangerously_allow_plaintext_beyond_loopback: bool,
}

/// The values of the built-in file, where a key is left out.
impl Default for RawListen {
    fn default() -> Self {
        Self {
            tcp: Some(SocketAddr::from(([127, 0, 0, 1], 7117))),
            unix: PathBuf::new(),
            tls: None,
            health: None,
            operations: None,
            operations_beyond_loopback: false,
            dangerously_allow_plaintext_beyond_loopback: false,
        }
    }
}

/// The section `tls`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawTls {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: PathBuf,
}

impl RawListen {
    pub(super) fn config(self, tls: RawTls) -> Result<ListenConfig, ConfigError> {
        if !self.dangerously_allow_plaintext_beyond_loopback {
            loopback(
                "listen.tcp",
                self.tcp,
                "because the connection is not encrypted",
            )?;
        }
        if !self.operations_beyond_loopback {
            loopback(
                "listen.operations",
                self.operations,
                "unless `listen.operations_beyond_loopback` is true",
            )?;
        }
        let tls = tls.config(self.tls)?;
        let unix = set(self.unix);
        if self.tcp.is_none() && unix.is_none() && tls.is_none() {
            return Err(ConfigError::NowhereToListen);
        }
        Ok(ListenConfig {
            tcp: self.tcp,
            unix,
            tls,
            health: self.health,
            operations: self.operations,
        })
    }
}

impl RawTls {
    fn config(self, address: Option<SocketAddr>) -> Result<Option<TlsConfig>, ConfigError> {
        let keys = [
            ("tls.certificate", &self.certificate),
            ("tls.key", &self.key),
            ("tls.client_ca", &self.client_ca),
        ];
        let is_empty = |path: &PathBuf| path.as_os_str().is_empty();
        let Some(address) = address else {
            // Nobody should believe that a connection is encrypted.
            if keys.iter().all(|(_, path)| is_empty(path)) {
                return Ok(None);
            }
            return Err(ConfigError::OutOfBounds {
                key: "listen.tls",
                value: "empty".into(),
                bounds: "set when a key of `tls` is".into(),
            });
        };
        if let Some((key, _)) = keys.iter().find(|(_, path)| is_empty(path)) {
            return Err(ConfigError::OutOfBounds {
                key,
                value: "empty".into(),
                bounds: "the path of a PEM file when `listen.tls` is set".into(),
            });
        }
        Ok(Some(TlsConfig {
            address,
            certificate: self.certificate,
            key: self.key,
            client_ca: self.client_ca,
        }))
    }
}

fn loopback(key: &'static str, address: Option<SocketAddr>, why: &str) -> Result<(), ConfigError> {
    match address.filter(|address| !address.ip().is_loopback()) {
        None => Ok(()),
        Some(address) => Err(ConfigError::OutOfBounds {
            key,
            value: address.to_string(),
            bounds: format!("a loopback address, {why}"),
        }),
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| D::Error::custom("is not an address such as `127.0.0.1:7117`"))
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn plaintext_leaves_the_host_by_a_key_that_is_hard_to_miss_alone() {
        let beyond = "[listen]\ntcp = \"192.0.2.1:1\"\n";
        let error = Config::parse(beyond).unwrap_err().to_string();
        assert!(error.contains("not encrypted"), "{error}");
        let allowed = format!("{beyond}dangerously_allow_plaintext_beyond_loopback = true\n");
        // Not to everybody, all the same.
        let error = Config::parse(&allowed).unwrap_err().to_string();
        assert!(error.contains("name the callers"), "{error}");
        let named = "[[callers]]\nname = \"a\"\nplaintext = true\nrpcs = [\"GetPolicy\"]\n";
        assert!(Config::parse(&format!("{allowed}{named}")).is_ok());
        let operations = "[listen]\noperations = \"192.0.2.1:1\"\n";
        assert!(Config::parse(operations).is_err());
        let allowed = format!("{operations}operations_beyond_loopback = true\n");
        assert!(Config::parse(&allowed).is_ok());
    }

    #[test]
    fn tls_is_mutual_or_not_at_all() {
        let callers = "[[callers]]\nname = \"a\"\ncertificates = [\"dns:a.example\"]\nrpcs = [\"GetPolicy\"]\n";
        let listen = "[listen]\ntls = \"0.0.0.0:7443\"\n";
        let keys = [
            "certificate = \"/c\"\n",
            "key = \"/k\"\n",
            "client_ca = \"/ca\"\n",
        ];
        let whole = format!("{listen}[tls]\n{}", keys.concat());
        assert!(Config::parse(&format!("{whole}{callers}")).is_ok());
        // Nobody could call.
        assert!(Config::parse(&whole).is_err());
        for missing in 0..keys.len() {
            let mut some = keys.to_vec();
            some.remove(missing);
            let text = format!("{listen}[tls]\n{}{callers}", some.concat());
            assert!(Config::parse(&text).is_err(), "{text}");
        }
        // Keys without an address are no TLS.
        assert!(Config::parse(&format!("[tls]\n{}{callers}", keys.concat())).is_err());
    }
}
