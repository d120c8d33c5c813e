//! Who may connect: the holder of a certificate of a trusted authority, for clients, with names.
//!
//! Whatever is wrong with a certificate, the peer gets the same alert; the log gets the defect and the
//! certificate's fingerprint. Deliberately absent: what the names are good for (`crate::caller`).

use std::{collections::BTreeSet, ops::RangeInclusive, sync::Arc};

use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    PeerIncompatible, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, verify_tls13_signature},
    pki_types::{CertificateDer, TrustAnchor, UnixTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::{
    bounds::CLIENT_CHAIN_MAX,
    certificate::{self, seconds},
};
use crate::caller::{CertificateName, HandshakeDefect};

/// An authority of clients.
#[derive(Debug)]
pub(super) struct Authority {
    pub(super) anchor: TrustAnchor<'static>,
    /// From its first to its last second, since the Unix epoch.
    pub(super) days: RangeInclusive<i64>,
}

/// What rustls says of a chain, and what has to be so beyond that.
#[derive(Debug)]
pub(super) struct Verifier {
    authorities: Vec<Authority>,
    provider: Arc<CryptoProvider>,
}

/// A client's certificate is refused.
#[derive(Debug, thiserror::Error)]
#[error("the client's certificate is refused: {}", defect.as_str())]
pub(super) struct Refusal {
    pub(super) defect: HandshakeDefect,
    /// Of the client's own certificate.
    pub(super) fingerprint: String,
}

/// The names in a certificate that stands first in a chain.
pub(super) fn names(der: &[u8]) -> Result<BTreeSet<CertificateName>, HandshakeDefect> {
    let parsed = certificate::parse(der).ok_or(HandshakeDefect::MalformedCertificate)?;
    certificate::client_names(&parsed).ok_or(HandshakeDefect::UnusableNames)
}

impl Verifier {
    pub(super) fn new(authorities: Vec<Authority>, provider: Arc<CryptoProvider>) -> Self {
        Self {
            authorities,
            provider,
        }
    }

    /// The library's verifier; `None` while no authority is in its days. The library does not look at
    /// the days of what is trusted, and an authority that has expired vouches for nobody.
    fn at(&self, now: UnixTime) -> Option<Arc<dyn ClientCertVerifier>> {
        let now = seconds(now)?;
        let trusted = self
            .authorities
            .iter()
            .filter(|authority| authority.days.contains(&now))
            .map(|authority| authority.anchor.clone());
        let roots: RootCertStore = trusted.collect();
        let provider = Arc::clone(&self.provider);
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .ok()
    }

    fn judge(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, HandshakeDefect> {
        // The client's own certificate is one more.
        if others.len() >= CLIENT_CHAIN_MAX {
            return Err(HandshakeDefect::MalformedCertificate);
        }
        let verified = self
            .at(now)
            .ok_or(HandshakeDefect::UnknownAuthority)?
            .verify_client_cert(own, others, now)
            .map_err(|error| defect(&error, own))?;
        names(own).map(|_| verified)
    }
}

impl ClientCertVerifier for Verifier {
    /// None: whom the daemon trusts is nothing that a stranger has to know.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(end_entity, intermediates, now)
            .map_err(|defect| refused(defect, end_entity))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // Never asked: TLS 1.2 is not offered.
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
            .map_err(|error| refused(defect(&error, cert), cert))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn refused(defect: HandshakeDefect, own: &CertificateDer<'_>) -> Error {
    let refusal = Refusal {
        defect,
        fingerprint: certificate::fingerprint(own),
    };
    CertificateError::Other(OtherError(Arc::new(refusal))).into()
}

/// What rustls found, in the words of this daemon.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "rustls may find more in later versions"
)]
fn defect(error: &Error, own: &CertificateDer<'_>) -> HandshakeDefect {
    let Error::InvalidCertificate(error) = error else {
        return HandshakeDefect::MalformedCertificate;
    };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            HandshakeDefect::Expired
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            HandshakeDefect::NotYetValid
        }
        CertificateError::UnknownIssuer => HandshakeDefect::UnknownAuthority,
        CertificateError::BadSignature
        | CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            HandshakeDefect::BadSignature
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            HandshakeDefect::WrongPurpose
        }
        // An authority's certificate shown as one's own has no variant there.
        CertificateError::Other(_) if certificate::parse(own).is_some_and(|own| own.is_ca()) => {
            HandshakeDefect::WrongPurpose
        }
        _ => HandshakeDefect::MalformedCertificate,
    }
}
