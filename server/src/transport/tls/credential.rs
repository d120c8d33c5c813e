//! What a client showed, kept as long as its connection.
//!
//! Deliberately absent: what its names are good for (`crate::caller`).

use std::{collections::BTreeSet, sync::Arc};

use tokio_rustls::rustls::{pki_types::CertificateDer, server::danger::ClientCertVerifier as _};

use super::{Tls, verifier};
use crate::{
    caller::{CertificateName, Peer},
    transport::HandshakeDefect,
};

/// A client's chain of certificates and the names in it. Clones share them.
#[derive(Clone, Debug)]
pub struct Credential {
    chain: Arc<[CertificateDer<'static>]>,
    names: Arc<BTreeSet<CertificateName>>,
}

impl Credential {
    /// The credential of a chain that was verified.
    pub(super) fn of(chain: Option<&[CertificateDer<'_>]>) -> Result<Self, HandshakeDefect> {
        let chain = chain.unwrap_or_default();
        let own = chain.first().ok_or(HandshakeDefect::NoCertificate)?;
        Ok(Self {
            names: Arc::new(verifier::names(own)?),
            chain: chain
                .iter()
                .map(|certificate| certificate.clone().into_owned())
                .collect(),
        })
    }

    /// Who the client is: the DNS names, in lowercase, and the URIs of its certificate; at least one,
    /// and at most [`crate::caller::CERTIFICATE_NAMES_MAX`].
    #[must_use]
    pub fn peer(&self) -> Peer {
        Peer::Certificate {
            names: Arc::clone(&self.names),
        }
    }

    /// Whether a handshake would still succeed with it: by the authorities of now and the time of now.
    /// It costs the check of every signature in the chain.
    #[must_use]
    pub fn is_valid(&self, tls: &Tls) -> bool {
        match (self.chain.split_first(), tls.now()) {
            (Some((own, others)), Some(now)) => tls
                .material()
                .verifier
                .verify_client_cert(own, others, now)
                .is_ok(),
            (None, _) | (_, None) => false,
        }
    }
}
