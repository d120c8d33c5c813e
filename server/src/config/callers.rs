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
    use super::*;
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

    /// `GOOD` with another list for the key `key`, which has `count` entries.
    fn with_list(key: &str, count: usize, entry: impl Fn(usize) -> String) -> String {
        let (before, rest) = GOOD.split_once(&format!("{key} = [")).unwrap();
        let (_, after) = rest.split_once(']').unwrap();
        let entries: Vec<String> = (0..count).map(entry).collect();
        format!("{before}{key} = [{}]{after}", entries.join(", "))
    }

    /// A text of the configuration that has a number of something.
    type Text = fn(usize) -> String;

    #[test]
    fn each_bound_of_callers_holds_on_both_sides() {
        let rows: [(&str, usize, Text); 9] = [
            ("callers", CALLERS_MAX, |count| {
                let caller = |at| {
                    let one = GOOD.replacen("hermes", &format!("c-{at}"), 1);
                    one.replace("1001", &format!("{at}"))
                        .replace("example", &format!("e{at}"))
                };
                (0..count).map(caller).collect()
            }),
            ("bytes of a name", NAME_BYTES_MAX, |length| {
                GOOD.replacen("hermes", &"a".repeat(length), 1)
            }),
            ("uids", GRANTS_MAX, |count| {
                with_list("uids", count, |at| at.to_string())
            }),
            ("certificates", GRANTS_MAX, |count| {
                with_list("certificates", count, |at| format!("\"dns:h{at}\""))
            }),
            ("rpcs", GRANTS_MAX, |count| {
                with_list("rpcs", count, |_| "\"Admit\"".into())
            }),
            ("lanes", GRANTS_MAX, |count| {
                with_list("lanes", count, |_| "\"fake\"".into())
            }),
            ("hosts", GRANTS_MAX, |count| {
                with_list("hosts", count, |at| format!("\"h{at}\""))
            }),
            (
                "bytes of a DNS name",
                CERTIFICATE_NAME_BYTES_MAX,
                |length| {
                    with_list("certificates", 1, |_| {
                        format!("\"dns:{}\"", "a".repeat(length))
                    })
                },
            ),
            ("bytes of a URI", CERTIFICATE_NAME_BYTES_MAX, |length| {
                with_list("certificates", 1, |_| {
                    format!("\"uri:{}\"", "a".repeat(length))
                })
            }),
        ];
        for (what, max, text) in rows {
            let most = Config::parse(&text(max));
            assert!(most.is_ok(), "{what}: {most:?}");
            assert!(Config::parse(&text(max + 1)).is_err(), "{what}");
        }
    }

    #[test]
    fn whoever_listens_for_tls_names_a_certificate() {
        let tls = "[listen]\ntls = \"127.0.0.1:0\"\n\
            [tls]\ncertificate = \"/c\"\nkey = \"/k\"\nclient_ca = \"/ca\"\n";
        let by_uid = with_list("certificates", 0, |_| String::new());
        let other = GOOD.replace("hermes", "apollo").replace("1001", "1002");
        for (listen, callers, is_nobody) in [
            (tls, String::new(), true),
            (tls, by_uid.clone(), true),
            (tls, GOOD.to_owned(), false),
            (tls, format!("{by_uid}{other}"), false),
            ("", String::new(), false),
            ("", by_uid, false),
        ] {
            let parsed = Config::parse(&format!("{listen}{callers}"));
            match &parsed {
                Ok(_) => assert!(!is_nobody, "{listen}{callers}"),
                Err(error) => {
                    let found = matches!(error, ConfigError::NobodyOverTls);
                    assert!(is_nobody && found, "{listen}{callers}: {error}");
                }
            }
        }
    }
}
