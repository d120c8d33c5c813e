//! The certificates of one measurement: a server, its callers, and who vouches for both.
//!
//! Deliberately absent: anything that is wrong with a certificate.

use std::{
    fs::{self, Permissions},
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::Arc,
};

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd,
};
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    version::TLS13,
};

/// The name of the server in its certificate.
pub(crate) const SERVER_NAME: &str = "localhost";
/// The names of the callers, in their certificates.
pub(crate) const CALLERS: [&str; 2] = ["hermes.example", "ci.example"];
/// The name that HTTP/2 has in the handshake of TLS.
const HTTP2: &[u8] = b"h2";

/// Certificates and keys, in PEM.
pub(crate) struct Authority {
    /// Who vouches for all of them.
    pub(crate) certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What an authority gives to others, in PEM.
pub(crate) struct Issued {
    /// The certificate.
    pub(crate) certificate: String,
    /// Its private key.
    pub(crate) key: String,
}

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    ///
    /// When no key can be made.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = params(&[])?;
        params
            .distinguished_name
            .push(DnType::CommonName, "authority of the measurement");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self {
            certificate,
            issuer: Issuer::new(params, key),
        })
    }

    /// Vouches for somebody of the name `name`, and of the loopback address if that is the server.
    ///
    /// # Errors
    ///
    /// When no key can be made.
    pub(crate) fn issue(&self, name: &str) -> anyhow::Result<Issued> {
        let mut params = params(&[name.to_owned()])?;
        if name == SERVER_NAME {
            let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
            params.subject_alt_names.push(SanType::IpAddress(address));
        }
        let key = KeyPair::generate()?;
        Ok(Issued {
            certificate: params.signed_by(&key, &self.issuer)?.pem(),
            key: key.serialize_pem(),
        })
    }

    /// Writes `tls.crt`, `tls.key` and `ca.crt` of a server into `folder`.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub(crate) fn write_server(&self, folder: &Path) -> anyhow::Result<()> {
        let issued = self.issue(SERVER_NAME)?;
        let key = folder.join("tls.key");
        fs::write(&key, &issued.key)?;
        fs::set_permissions(&key, Permissions::from_mode(0o600))?;
        fs::write(folder.join("tls.crt"), &issued.certificate)?;
        fs::write(folder.join("ca.crt"), &self.certificate)?;
        Ok(())
    }

    /// How the caller `name` connects: TLS 1.3, with its certificate.
    ///
    /// # Errors
    ///
    /// When no certificate can be made for it.
    pub(crate) fn client(&self, name: &str) -> anyhow::Result<Arc<ClientConfig>> {
        let issued = self.issue(name)?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.certificate.as_bytes())?)?;
        let certificate = CertificateDer::from_pem_slice(issued.certificate.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes())?;
        let mut config = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)
            .context("a certificate that rustls does not take")?;
        config.alpn_protocols = vec![HTTP2.to_vec()];
        Ok(Arc::new(config))
    }
}

/// A certificate of these names, valid from 2025 to 2049.
fn params(names: &[String]) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(names)?;
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2049, 1, 1);
    Ok(params)
}
