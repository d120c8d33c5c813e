//! Why a handshake failed, out of what the TLS library says.
//!
//! Deliberately absent: anything that the peer is told.

use std::io;

use tokio_rustls::rustls::{CertificateError, Error};

use super::verifier::Refusal;
use crate::caller::HandshakeDefect;

/// A handshake that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) defect: HandshakeDefect,
    /// Of the client's certificate, where that is why.
    pub(super) fingerprint: Option<String>,
}

impl From<HandshakeDefect> for Failure {
    fn from(defect: HandshakeDefect) -> Self {
        Self {
            defect,
            fingerprint: None,
        }
    }
}

impl From<&io::Error> for Failure {
    fn from(error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        let Some(inner) = inner else {
            // The peer is gone, or its end of the connection is.
            return HandshakeDefect::RefusedByPeer.into();
        };
        match refusal(inner) {
            Some(refusal) => Self {
                defect: refusal.defect,
                fingerprint: Some(refusal.fingerprint.clone()),
            },
            None => defect(inner).into(),
        }
    }
}

fn refusal(error: &Error) -> Option<&Refusal> {
    if let Error::InvalidCertificate(CertificateError::Other(other)) = error {
        other.0.downcast_ref()
    } else {
        None
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "rustls may find more in later versions"
)]
fn defect(error: &Error) -> HandshakeDefect {
    match error {
        Error::NoCertificatesPresented => HandshakeDefect::NoCertificate,
        Error::InvalidCertificate(_) => HandshakeDefect::MalformedCertificate,
        Error::InvalidMessage(_) | Error::PeerSentOversizedRecord => HandshakeDefect::NotTls,
        Error::PeerIncompatible(_) | Error::NoApplicationProtocol => {
            HandshakeDefect::UnsupportedProtocol
        }
        Error::AlertReceived(_) => HandshakeDefect::RefusedByPeer,
        Error::DecryptError => HandshakeDefect::BadSignature,
        _ => HandshakeDefect::Broken,
    }
}
