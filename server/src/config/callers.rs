//! The sections `callers`: who may call, how each is recognized, and what each may do.

use std::collections::BTreeSet;

use admit_policy::{bounds::Bound, facts::Lane};
use serde::Deserialize;

use super::{ConfigError, ListenConfig};
use crate::caller::{
    CALLERS_MAX, Caller, CertificateName, GRANTS_MAX, Hosts, LOCAL, Marks, NAME_BYTES_MAX, Roster,
    Rpc,
};

/// What stands for every host.
const ANY_HOST: &str = "*";
/// Longest name of a certificate, in bytes.
const CERTIFICATE_NAME_BYTES_MAX: usize = 512;

/// One section `callers`. What is not granted is refused.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCaller {
    name: String,
    #[serde(default)]
    plaintext: bool,
    #[serde(default)]
    uids: Vec<u32>,
    #[serde(default)]
    certificates: Vec<String>,
    rpcs: Vec<RawRpc>,
    #[serde(default)]
    lanes: Vec<RawLane>,
    #[serde(default)]
    hosts: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum RawRpc {
    Admit,
    CheckEvidence,
    GetPolicy,
    WatchPolicy,
    GetPermitKeys,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawLane {
    Fake,
    Real,
}

impl From<RawRpc> for Rpc {
    fn from(rpc: RawRpc) -> Self {
        match rpc {
            RawRpc::Admit => Self::Admit,
            RawRpc::CheckEvidence => Self::CheckEvidence,
            RawRpc::GetPolicy => Self::GetPolicy,
            RawRpc::WatchPolicy => Self::WatchPolicy,
            RawRpc::GetPermitKeys => Self::GetPermitKeys,
        }
    }
}

impl From<RawLane> for Lane {
    fn from(lane: RawLane) -> Self {
        match lane {
            RawLane::Fake => Self::Fake,
            RawLane::Real => Self::Real,
        }
    }
}

/// The roster of these sections. Without any, whoever reaches a local listener may call.
pub(super) fn roster(
    callers: Vec<RawCaller>,
    listen: &ListenConfig,
) -> Result<Roster, ConfigError> {
    if callers.is_empty() {
        let roster = Roster::local();
        fits(&roster, listen)?;
        return Ok(roster);
    }
    if callers.len() > CALLERS_MAX {
        return Err(ConfigError::OutOfBounds {
            key: "callers",
            value: format!("{} callers", callers.len()),
            bounds: format!("at most {CALLERS_MAX} callers"),
        });
    }
    let mut names = BTreeSet::new();
    let mut named = Vec::new();
    for (at, raw) in callers.into_iter().enumerate() {
        let number = at.saturating_add(1);
        let caller = raw
            .caller()
            .map_err(|fault| ConfigError::Caller { number, fault })?;
        if !names.insert(caller.0.name.clone()) {
            let fault = "`name` is that of another caller".to_owned();
            return Err(ConfigError::Caller { number, fault });
        }
        named.push(caller);
    }
    let roster = Roster::of(named)?;
    fits(&roster, listen)?;
    Ok(roster)
}

/// Whether `roster` can stand before these listeners.
///
/// # Errors
///
/// When nobody could call over TLS, or everybody could from anywhere.
pub fn fits(roster: &Roster, listen: &ListenConfig) -> Result<(), ConfigError> {
    if listen.tls.is_some() && !roster.has_certificates() {
        return Err(ConfigError::NobodyOverTls);
    }
    let is_beyond_loopback = listen
        .tcp
        .is_some_and(|address| !address.ip().is_loopback());
    if is_beyond_loopback && roster.is_local() {
        return Err(ConfigError::EverybodyFromAnywhere);
    }
    Ok(())
}

impl RawCaller {
    fn caller(self) -> Result<(Caller, Marks), String> {
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let length = self.name.len();
        if length == 0 || length > NAME_BYTES_MAX || !self.name.bytes().all(is_name) {
            return Err(format!(
                "`name` has to be 1 to {NAME_BYTES_MAX} characters of `a-z 0-9 -`"
            ));
        }
        if self.name == LOCAL {
            return Err(format!("`name` must not be `{LOCAL}`"));
        }
        for (key, length) in [
            ("uids", self.uids.len()),
            ("certificates", self.certificates.len()),
            ("rpcs", self.rpcs.len()),
            ("lanes", self.lanes.len()),
            ("hosts", self.hosts.len()),
        ] {
            if length > GRANTS_MAX {
                return Err(format!("`{key}` has more than {GRANTS_MAX} entries"));
            }
        }
        let is_recognized =
            self.plaintext || !self.uids.is_empty() || !self.certificates.is_empty();
        if !is_recognized {
            return Err(
                "nobody is recognized by it; set `uids`, `certificates` or `plaintext`".into(),
            );
        }
        if self.rpcs.is_empty() {
            return Err("`rpcs` is empty, so it could call nothing".into());
        }
        let certificate_names = self.certificates.iter().map(|text| certificate_name(text));
        let caller = Caller {
            name: self.name.as_str().into(),
            rpcs: self.rpcs.into_iter().map(Into::into).collect(),
            lanes: self.lanes.into_iter().map(Into::into).collect(),
            hosts: hosts(self.hosts)?,
        };
        let asks = |rpc| caller.rpcs.contains(&rpc);
        let has_no_host = matches!(&caller.hosts, Hosts::Named(hosts) if hosts.is_empty());
        if (asks(Rpc::Admit) || asks(Rpc::CheckEvidence)) && has_no_host {
            return Err("`hosts` is empty, so every launch would be refused".into());
        }
        if asks(Rpc::Admit) && caller.lanes.is_empty() {
            return Err("`lanes` is empty, so every launch would be refused".into());
        }
        let marks = Marks {
            plaintext: self.plaintext,
            uids: self.uids.into_iter().collect(),
            certificate_names: certificate_names.collect::<Result<_, _>>()?,
        };
        Ok((caller, marks))
    }
}

fn certificate_name(text: &str) -> Result<CertificateName, String> {
    let expected =
        || "`certificates` has an entry that is neither `dns:NAME` nor `uri:URI`".to_owned();
    let (kind, name) = text.split_once(':').ok_or_else(expected)?;
    let is_visible = name.bytes().all(|byte| byte.is_ascii_graphic());
    if name.is_empty() || name.len() > CERTIFICATE_NAME_BYTES_MAX || !is_visible {
        return Err(expected());
    }
    match kind {
        // A wildcard in the configuration would make one mark of many names.
        "dns" if name.contains('*') => Err(expected()),
        "dns" => Ok(CertificateName::Dns(name.to_ascii_lowercase())),
        "uri" => Ok(CertificateName::Uri(name.to_owned())),
        _ => Err(expected()),
    }
}

fn hosts(names: Vec<String>) -> Result<Hosts, String> {
    if names.iter().any(|name| name == ANY_HOST) {
        if names.len() > 1 {
            return Err("`hosts` has `*` beside names; it stands alone".into());
        }
        return Ok(Hosts::Any);
    }
    for name in &names {
        if !Bound::Host.holds(name) {
            return Err("`hosts` has an entry that no request could state".into());
        }
    }
    Ok(Hosts::Named(names.into_iter().collect()))
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    const GOOD: &str = "[[callers]]\nname = \"hermes\"\nuids = [1001]\n\
        certificates = [\"dns:hermes.example\", \"uri:spiffe://example/hermes\"]\n\
        rpcs = [\"Admit\", \"GetPolicy\"]\nlanes = [\"fake\"]\nhosts = [\"spark-1\"]\n";

    #[test]
    fn a_caller_is_described_wholly_or_refused() {
        let parsed = Config::parse(GOOD);
        assert!(parsed.is_ok(), "{parsed:?}");
        for (part, other) in [
            ("\"hermes\"", "\"\""),
            ("\"hermes\"", "\"local\""),
            ("\"hermes\"", "\"Hermes\""),
            ("\"Admit\"", "\"Everything\""),
            ("rpcs = [\"Admit\", \"GetPolicy\"]", "rpcs = []"),
            ("rpcs = [\"Admit\", \"GetPolicy\"]\n", ""),
            ("\"fake\"", "\"any\""),
            ("lanes = [\"fake\"]\n", ""),
            ("hosts = [\"spark-1\"]\n", ""),
            ("\"spark-1\"", "\"Spark 1\""),
            ("\"spark-1\"", "\"*\", \"spark-1\""),
            ("\"dns:hermes.example\"", "\"hermes.example\""),
            ("\"dns:hermes.example\"", "\"dns:*.example\""),
            ("\"dns:hermes.example\"", "\"dns:\""),
            ("\"dns:hermes.example\"", "\"email:a@example\""),
            ("name", "wildcard = true\nname"),
        ] {
            let text = GOOD.replacen(part, other, 1);
            assert_ne!(text, GOOD, "{part}");
            assert!(Config::parse(&text).is_err(), "{text}");
        }
        let any = GOOD.replacen("\"spark-1\"", "\"*\"", 1);
        assert!(Config::parse(&any).is_ok());
        let twice = GOOD.replacen("hermes", "apollo", 1);
        let error = Config::parse(&format!("{GOOD}{twice}")).unwrap_err();
        assert!(error.to_string().contains("same mark"), "{error}");
    }
}
