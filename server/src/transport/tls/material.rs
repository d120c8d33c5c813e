//! TLS as a set of files makes it: checked whole, and in force whole or not at all.
//!
//! TLS 1.3 alone, with client certificates always, and no resumption: a session that is resumed would
//! show no certificate. Deliberately absent: the reading of files.

use std::sync::Arc;

use tokio_rustls::rustls::{
    Error, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
    server::NoServerSessionStorage,
    time_provider::TimeProvider,
    version::TLS13,
};

use super::{
    bounds::{AUTHORITIES_MAX, SERVER_CHAIN_MAX},
    certificate::{self, seconds},
    fault::{FileFault, TlsError},
    files::{Content, Files, Source},
    verifier::{Authority, Verifier},
};

/// The one protocol that is spoken.
pub(super) const ALPN: &[u8] = b"h2";

/// What is in force.
pub(super) struct Material {
    pub(super) config: Arc<ServerConfig>,
    pub(super) verifier: Arc<Verifier>,
    /// The last second of the server's certificate, since the Unix epoch.
    pub(super) not_after: i64,
    /// The same, for people.
    pub(super) expiry: String,
    /// Of the server's certificate.
    pub(super) fingerprint: String,
    /// Of the content that this was made of.
    pub(super) digest: Vec<u8>,
}

/// The server's certificate.
struct Own {
    chain: Vec<CertificateDer<'static>>,
    not_after: i64,
    expiry: String,
    fingerprint: String,
}

impl Material {
    /// What `content` makes at the time that `clock` tells.
    pub(super) fn new(
        files: &Files,
        content: &Content,
        clock: &Arc<dyn TimeProvider>,
    ) -> Result<Self, TlsError> {
        let now = clock
            .current_time()
            .and_then(seconds)
            .ok_or(TlsError::Clock)?;
        let own = own(&files.certificate, &content.certificate, now)?;
        let key = PrivateKeyDer::from_pem_slice(&content.key).map_err(|error| {
            let is_missing = matches!(error, pem::Error::NoItemsFound);
            files.key.fault(if is_missing {
                FileFault::NoKey
            } else {
                FileFault::NotPem
            })
        })?;
        let authorities = authorities(&files.client_ca, &content.client_ca, now)?;
        let provider = Arc::new(ring::default_provider());
        let verifier = Arc::new(Verifier::new(authorities, Arc::clone(&provider)));
        // The provider has TLS 1.3; if it had not, no key would be of use.
        let unusable = |_| files.key.fault(FileFault::UnusableKey);
        let mut config = ServerConfig::builder_with_details(provider, Arc::clone(clock))
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .with_client_cert_verifier(verifier.clone())
            .with_single_cert(own.chain, key)
            .map_err(|error| {
                if matches!(error, Error::InconsistentKeys(_)) {
                    let certificate = files.certificate.path.clone();
                    files.key.fault(FileFault::KeyMismatch(certificate))
                } else {
                    unusable(error)
                }
            })?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(Self {
            config: Arc::new(config),
            verifier,
            not_after: own.not_after,
            expiry: own.expiry,
            fingerprint: own.fingerprint,
            digest: content.digest(),
        })
    }
}

/// The certificates of a file; `too_many` if there are more than `count_max`.
fn certificates(
    source: &Source,
    pem: &[u8],
    count_max: usize,
    too_many: FileFault,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .take(count_max.saturating_add(1))
        .collect::<Result<Vec<_>, pem::Error>>()
        .map_err(|_| source.fault(FileFault::NotPem))?;
    if certificates.is_empty() {
        Err(source.fault(FileFault::NoCertificate))
    } else if certificates.len() > count_max {
        Err(source.fault(too_many))
    } else {
        Ok(certificates)
    }
}

fn own(source: &Source, pem: &[u8], now: i64) -> Result<Own, TlsError> {
    let chain = certificates(source, pem, SERVER_CHAIN_MAX, FileFault::ChainTooLong)?;
    let malformed = |at: usize| source.fault(FileFault::Malformed(at.saturating_add(1)));
    if let Some(at) = chain
        .iter()
        .position(|der| certificate::parse(der).is_none())
    {
        return Err(malformed(at));
    }
    let der = chain.first().ok_or_else(|| malformed(0))?;
    let first = certificate::parse(der).ok_or_else(|| malformed(0))?;
    let fingerprint = certificate::fingerprint(der);
    let (begin, end) = (first.validity().not_before, first.validity().not_after);
    let expiry = certificate::moment(end);
    let fault = if end.timestamp() < now {
        Some(FileFault::Expired(expiry.clone()))
    } else if begin.timestamp() > now {
        Some(FileFault::NotYetValid(certificate::moment(begin)))
    } else if first.is_ca() {
        Some(FileFault::IsAuthority)
    } else if !certificate::has_server_name(&first) {
        Some(FileFault::NoNames)
    } else if !certificate::is_for_servers(&first) {
        Some(FileFault::NotForServers)
    } else {
        None
    };
    match fault {
        Some(fault) => Err(source.fault(fault)),
        None => Ok(Own {
            not_after: end.timestamp(),
            expiry,
            fingerprint,
            chain,
        }),
    }
}

/// The authorities of a file; at least one is in its days now.
fn authorities(source: &Source, pem: &[u8], now: i64) -> Result<Vec<Authority>, TlsError> {
    let all = certificates(source, pem, AUTHORITIES_MAX, FileFault::TooManyAuthorities)?;
    let mut authorities = Vec::with_capacity(all.len());
    for (at, der) in all.into_iter().enumerate() {
        let number = at.saturating_add(1);
        let malformed = || source.fault(FileFault::Malformed(number));
        let parsed = certificate::parse(&der).ok_or_else(malformed)?;
        if !certificate::is_authority(&parsed) {
            return Err(source.fault(FileFault::NotAuthority(number)));
        }
        let validity = parsed.validity();
        let days = validity.not_before.timestamp()..=validity.not_after.timestamp();
        let mut store = RootCertStore::empty();
        store.add(der.clone()).map_err(|_| malformed())?;
        let anchor = store.roots.pop().ok_or_else(malformed)?;
        authorities.push(Authority { anchor, days });
    }
    if authorities.iter().any(|one| one.days.contains(&now)) {
        Ok(authorities)
    } else {
        Err(source.fault(FileFault::NoAuthorityNow))
    }
}
