//! What a client showed, kept as long as its connection.
//!
//! Deliberately absent: what its names are good for (`crate::caller`).

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio_rustls::rustls::{
    pki_types::{CertificateDer, UnixTime},
    server::danger::ClientCertVerifier as _,
};

use super::{
    Tls, certificate,
    certificate::seconds,
    verifier::{self, Verifier},
};
use crate::{
    caller::HandshakeDefect,
    caller::{CertificateName, Peer},
};

/// Longest time that a chain is believed without another look at every signature, in seconds: an
/// authority's certificate that ends by itself is noticed as late as this.
const VERIFIED_MAX_SECONDS: i64 = 30;

/// A client's chain of certificates and the names in it. Clones share them.
#[derive(Clone, Debug)]
pub struct Credential {
    chain: Arc<[CertificateDer<'static>]>,
    names: Arc<BTreeSet<CertificateName>>,
    /// The earliest last second of the chain, since the Unix epoch.
    not_after: i64,
    verified: Arc<Mutex<Option<Verified>>>,
}

/// The chain was good.
#[derive(Debug)]
struct Verified {
    /// By what; another one knows nothing of it.
    by: Weak<Verifier>,
    /// When, in seconds since the Unix epoch.
    at: i64,
}

impl Verified {
    /// Whether `verifier` would not have to look again at `now`. A clock that was set back has it look.
    fn lasts(&self, verifier: &Arc<Verifier>, now: i64) -> bool {
        std::ptr::eq(self.by.as_ptr(), Arc::as_ptr(verifier))
            && (0..VERIFIED_MAX_SECONDS).contains(&now.saturating_sub(self.at))
    }
}

impl Credential {
    /// The credential of a chain that was verified.
    pub(super) fn of(chain: Option<&[CertificateDer<'_>]>) -> Result<Self, HandshakeDefect> {
        let chain = chain.unwrap_or_default();
        let own = chain.first().ok_or(HandshakeDefect::NoCertificate)?;
        let ends = chain.iter().map(|der| certificate::not_after(der));
        Ok(Self {
            names: Arc::new(verifier::names(own)?),
            // What cannot be read is over at any time, and so never believed without a look.
            not_after: ends
                .map(|end| end.unwrap_or(i64::MIN))
                .min()
                .unwrap_or(i64::MIN),
            chain: chain
                .iter()
                .map(|certificate| certificate.clone().into_owned())
                .collect(),
            verified: Arc::default(),
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
    /// Every signature of the chain is checked when the files of TLS have changed, when a certificate of
    /// it is over, and otherwise once in 30 seconds.
    #[must_use]
    pub fn is_valid(&self, tls: &Tls) -> bool {
        let Some(now) = tls.now() else {
            return false;
        };
        let Some(now_seconds) = seconds(now) else {
            return false;
        };
        let verifier = &tls.material().verifier;
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = verified
            .as_ref()
            .is_some_and(|verified| verified.lasts(verifier, now_seconds));
        if is_known && now_seconds <= self.not_after {
            return true;
        }
        let is_good = self.is_verified_by(verifier, now);
        *verified = is_good.then(|| Verified {
            by: Arc::downgrade(verifier),
            at: now_seconds,
        });
        is_good
    }

    fn is_verified_by(&self, verifier: &Verifier, now: UnixTime) -> bool {
        self.chain
            .split_first()
            .is_some_and(|(own, others)| verifier.verify_client_cert(own, others, now).is_ok())
    }
}
