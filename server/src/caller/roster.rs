//! The roster: which caller a peer is.
//!
//! Deliberately absent: a caller for peers that nobody named. Once one caller is named, whoever is not
//! is refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use admit_policy::facts::Lane;

use super::{Caller, CertificateName, Hosts, LOCAL, Peer, RefusalCause, Rpc};

/// How one caller of the configuration is recognized.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Whether it is whoever reaches the plaintext listener.
    pub plaintext: bool,
    /// Its user ids at the unix socket.
    pub uids: BTreeSet<u32>,
    /// The names in its certificates.
    pub certificate_names: BTreeSet<CertificateName>,
}

/// Two callers cannot be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("caller {second} is recognized by the same mark as caller {first}")]
pub struct RosterFault {
    /// The earlier of the two, from 1.
    pub first: usize,
    /// The later one, from 1.
    pub second: usize,
}

/// Every caller, by what it is recognized by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    callers: Vec<Arc<Caller>>,
    plaintext: Option<usize>,
    uids: BTreeMap<u32, usize>,
    certificate_names: BTreeMap<CertificateName, usize>,
    /// Who stands for every local peer while no caller is named.
    local: Option<Arc<Caller>>,
}

impl Roster {
    /// The roster of a configuration that names nobody: whoever reaches a local listener may do
    /// everything, and no certificate is anybody's.
    #[must_use]
    pub fn local() -> Self {
        let everything = Caller {
            name: LOCAL.into(),
            rpcs: BTreeSet::from(Rpc::ALL),
            lanes: BTreeSet::from([Lane::Fake, Lane::Real]),
            hosts: Hosts::Any,
        };
        Self {
            callers: Vec::new(),
            plaintext: None,
            uids: BTreeMap::new(),
            certificate_names: BTreeMap::new(),
            local: Some(Arc::new(everything)),
        }
    }

    /// The roster of these callers.
    ///
    /// # Errors
    ///
    /// When two of them are recognized by the same mark.
    pub fn of(named: Vec<(Caller, Marks)>) -> Result<Self, RosterFault> {
        let mut roster = Self {
            callers: Vec::new(),
            plaintext: None,
            uids: BTreeMap::new(),
            certificate_names: BTreeMap::new(),
            local: None,
        };
        for (at, (caller, marks)) in named.into_iter().enumerate() {
            roster.callers.push(Arc::new(caller));
            let mut earlier = Vec::new();
            if marks.plaintext {
                earlier.extend(roster.plaintext.replace(at));
            }
            for uid in marks.uids {
                earlier.extend(roster.uids.insert(uid, at));
            }
            for name in marks.certificate_names {
                earlier.extend(roster.certificate_names.insert(name, at));
            }
            if let Some(first) = earlier.into_iter().min() {
                return Err(RosterFault {
                    first: first.saturating_add(1),
                    second: at.saturating_add(1),
                });
            }
        }
        Ok(roster)
    }

    /// The caller that `peer` is.
    ///
    /// # Errors
    ///
    /// When it is none, or several.
    pub fn identify(&self, peer: &Peer) -> Result<Arc<Caller>, RefusalCause> {
        let found = match peer {
            Peer::Plaintext => self.plaintext,
            Peer::Unix { uid } => self.uids.get(uid).copied(),
            Peer::Certificate { names } => {
                let mut found = names
                    .iter()
                    .filter_map(|name| self.certificate_names.get(name).copied());
                let first = found.next();
                // One caller may have several names in one certificate.
                if found.any(|other| first != Some(other)) {
                    return Err(RefusalCause::AmbiguousCaller);
                }
                first
            }
        };
        let named = found.and_then(|at| self.callers.get(at));
        let local = match peer {
            Peer::Plaintext | Peer::Unix { .. } => self.local.as_ref(),
            Peer::Certificate { .. } => None,
        };
        named
            .or(local)
            .map(Arc::clone)
            .ok_or(RefusalCause::UnknownCaller)
    }

    /// Whether nobody is named, and so every local peer may do everything.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.local.is_some()
    }

    /// Whether some caller is recognized by its certificate.
    #[must_use]
    pub fn has_certificates(&self) -> bool {
        !self.certificate_names.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(name: &str) -> Caller {
        Caller {
            name: name.into(),
            rpcs: BTreeSet::from([Rpc::Admit]),
            lanes: BTreeSet::from([Lane::Fake]),
            hosts: Hosts::Named(BTreeSet::from(["spark-1".to_owned()])),
        }
    }

    fn certificate(names: &[&str]) -> Peer {
        let names = names
            .iter()
            .map(|name| CertificateName::Dns((*name).into()));
        Peer::Certificate {
            names: Arc::new(names.collect()),
        }
    }

    fn two() -> Roster {
        let first = Marks {
            uids: BTreeSet::from([1001]),
            certificate_names: BTreeSet::from([CertificateName::Dns("one.example".into())]),
            ..Marks::default()
        };
        let second = Marks {
            plaintext: true,
            certificate_names: BTreeSet::from([CertificateName::Dns("two.example".into())]),
            ..Marks::default()
        };
        Roster::of(vec![(caller("one"), first), (caller("two"), second)]).unwrap()
    }

    #[test]
    fn a_peer_is_the_caller_that_was_named_by_its_mark() {
        let roster = two();
        for (peer, name) in [
            (Peer::Unix { uid: 1001 }, Ok("one")),
            (Peer::Unix { uid: 0 }, Err(RefusalCause::UnknownCaller)),
            (Peer::Plaintext, Ok("two")),
            (certificate(&["one.example", "other.example"]), Ok("one")),
            (
                certificate(&["one.example.org"]),
                Err(RefusalCause::UnknownCaller),
            ),
            (certificate(&[]), Err(RefusalCause::UnknownCaller)),
            (
                certificate(&["one.example", "two.example"]),
                Err(RefusalCause::AmbiguousCaller),
            ),
        ] {
            let found = roster.identify(&peer);
            let found = found
                .as_ref()
                .map(|caller| &*caller.name)
                .map_err(|cause| *cause);
            assert_eq!(found, name, "{peer:?}");
        }
    }

    #[test]
    fn without_names_every_local_peer_may_call_and_no_certificate() {
        let roster = Roster::local();
        for peer in [Peer::Plaintext, Peer::Unix { uid: 7 }] {
            let caller = roster.identify(&peer).unwrap();
            assert!(Rpc::ALL.iter().all(|rpc| caller.may_call(*rpc).is_ok()));
            assert!(caller.may_ask_for(Lane::Real).is_ok());
            assert!(caller.may_speak_for("any").is_ok());
        }
        assert!(roster.identify(&certificate(&["local"])).is_err());
    }

    #[test]
    fn what_is_not_granted_is_refused() {
        let one = caller("one");
        assert!(one.may_call(Rpc::Admit).is_ok());
        assert_eq!(
            one.may_call(Rpc::GetPolicy),
            Err(RefusalCause::RpcNotGranted)
        );
        assert!(one.may_ask_for(Lane::Fake).is_ok());
        assert!(one.may_ask_for(Lane::Unspecified).is_ok());
        assert_eq!(
            one.may_ask_for(Lane::Real),
            Err(RefusalCause::LaneNotGranted)
        );
        assert!(one.may_speak_for("spark-1").is_ok());
        assert_eq!(
            one.may_speak_for("spark-10"),
            Err(RefusalCause::HostNotGranted)
        );
        let nothing = Caller {
            lanes: BTreeSet::new(),
            ..one
        };
        assert!(nothing.may_ask_for(Lane::Unspecified).is_err());
    }

    #[test]
    fn a_mark_is_one_callers_alone() {
        let marks = Marks {
            uids: BTreeSet::from([1, 2]),
            ..Marks::default()
        };
        let named = vec![(caller("one"), marks.clone()), (caller("two"), marks)];
        let fault = Roster::of(named).unwrap_err();
        assert_eq!((fault.first, fault.second), (1, 2));
    }
}
