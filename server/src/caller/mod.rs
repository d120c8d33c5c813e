//! Who calls, and what each caller may do. Pure: values in, an answer out.
//!
//! [`HandshakeDefect`] is why a peer could not prove who it is. A peer is what the transport knows of the other end of a connection; a caller is the name that the
//! operator gave to it. Deliberately absent: sockets and certificates themselves (`crate::transport`),
//! and any judgment of a launch.

mod defect;
mod roster;

use std::{collections::BTreeSet, sync::Arc};

use admit_policy::facts::Lane;

pub use defect::HandshakeDefect;
pub use roster::{Marks, Roster, RosterFault};

/// Longest name of a caller, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Most callers in one configuration.
pub const CALLERS_MAX: usize = 256;
/// Most identities, RPCs, lanes or hosts of one caller, each.
pub const GRANTS_MAX: usize = 256;
/// Most names that are read from one certificate.
pub const CERTIFICATE_NAMES_MAX: usize = 64;
/// Whoever reaches a local listener while no caller is named.
pub const LOCAL: &str = "local";

/// A call that a caller may be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rpc {
    /// Asking about a launch.
    Admit,
    /// Handing in evidence.
    CheckEvidence,
    /// Reading the policy in force.
    GetPolicy,
    /// Following it.
    WatchPolicy,
    /// Reading the public keys of permits.
    GetPermitKeys,
}

impl Rpc {
    /// Every one, in the order of the contract.
    pub const ALL: [Self; 5] = [
        Self::Admit,
        Self::CheckEvidence,
        Self::GetPolicy,
        Self::WatchPolicy,
        Self::GetPermitKeys,
    ];

    /// Its name in the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admit => "Admit",
            Self::CheckEvidence => "CheckEvidence",
            Self::GetPolicy => "GetPolicy",
            Self::WatchPolicy => "WatchPolicy",
            Self::GetPermitKeys => "GetPermitKeys",
        }
    }
}

/// How a peer is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Via {
    /// TCP without encryption.
    Plaintext,
    /// A unix socket.
    Unix,
    /// Mutual TLS.
    Tls,
}

impl Via {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Plaintext, Self::Unix, Self::Tls];

    /// Its word in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Unix => "unix",
            Self::Tls => "tls",
        }
    }
}

/// A subject alternative name of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CertificateName {
    /// A DNS name, in lowercase.
    Dns(String),
    /// A URI, such as a SPIFFE id, byte for byte.
    Uri(String),
}

/// The other end of a connection, as far as the transport can vouch for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Whoever reached the plaintext listener.
    Plaintext,
    /// A process of this host.
    Unix {
        /// Its effective user id when it connected.
        uid: u32,
    },
    /// The holder of a verified client certificate.
    Certificate {
        /// The names in it.
        names: Arc<BTreeSet<CertificateName>>,
    },
}

impl Peer {
    /// How it is connected.
    #[must_use]
    pub fn via(&self) -> Via {
        match self {
            Self::Plaintext => Via::Plaintext,
            Self::Unix { .. } => Via::Unix,
            Self::Certificate { .. } => Via::Tls,
        }
    }
}

/// Why a call is refused before anything of the request is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalCause {
    /// No caller of the configuration is this peer.
    UnknownCaller,
    /// The names of one certificate belong to several callers.
    AmbiguousCaller,
    /// The client certificate has expired since, or its authority is no longer trusted.
    CertificateUnusable,
    /// The caller may not make this call.
    RpcNotGranted,
    /// The caller may not ask for this lane.
    LaneNotGranted,
    /// The caller may not speak for this host.
    HostNotGranted,
}

impl RefusalCause {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::UnknownCaller,
        Self::AmbiguousCaller,
        Self::CertificateUnusable,
        Self::RpcNotGranted,
        Self::LaneNotGranted,
        Self::HostNotGranted,
    ];

    /// Its word in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownCaller => "unknown-caller",
            Self::AmbiguousCaller => "ambiguous-caller",
            Self::CertificateUnusable => "certificate-unusable",
            Self::RpcNotGranted => "rpc-not-granted",
            Self::LaneNotGranted => "lane-not-granted",
            Self::HostNotGranted => "host-not-granted",
        }
    }
}

/// The hosts that a caller speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// Every host.
    Any,
    /// Just these.
    Named(BTreeSet<String>),
}

/// One caller and what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its name, for logs and the audit trail.
    pub name: Arc<str>,
    /// The calls that it may make.
    pub rpcs: BTreeSet<Rpc>,
    /// The lanes that it may ask for.
    pub lanes: BTreeSet<Lane>,
    /// The hosts that it speaks for.
    pub hosts: Hosts,
}

impl Caller {
    /// Whether it may make this call.
    ///
    /// # Errors
    ///
    /// When it may not.
    pub fn may_call(&self, rpc: Rpc) -> Result<(), RefusalCause> {
        if self.rpcs.contains(&rpc) {
            Ok(())
        } else {
            Err(RefusalCause::RpcNotGranted)
        }
    }

    /// Whether it may ask for this lane. A request without a lane may be asked by whoever has one: its
    /// answer is a denial that says so.
    ///
    /// # Errors
    ///
    /// When it may not.
    pub fn may_ask_for(&self, lane: Lane) -> Result<(), RefusalCause> {
        let is_granted = match lane {
            Lane::Unspecified => !self.lanes.is_empty(),
            Lane::Fake | Lane::Real => self.lanes.contains(&lane),
        };
        if is_granted {
            Ok(())
        } else {
            Err(RefusalCause::LaneNotGranted)
        }
    }

    /// Whether it speaks for `host`, byte for byte.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn may_speak_for(&self, host: &str) -> Result<(), RefusalCause> {
        let is_granted = match &self.hosts {
            Hosts::Any => true,
            Hosts::Named(hosts) => hosts.contains(host),
        };
        if is_granted {
            Ok(())
        } else {
            Err(RefusalCause::HostNotGranted)
        }
    }
}
