//! TLS: whom the client trusts, and who it is. What files say is read once, when a [`Tls`] is made.
//!
//! Deliberately absent: any way to trust whoever answers, and what a file holds in any error.

use std::{
    fmt,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint as TonicEndpoint, Identity};

use crate::endpoint::is_host;

/// Largest file of certificates, in bytes; a whole system's authorities are a quarter of it.
pub const CERTIFICATES_BYTES_MAX: u64 = 1024 * 1024;
/// Largest file of a private key, in bytes.
pub const KEY_BYTES_MAX: u64 = 64 * 1024;
/// The permissions that a private key must not give: anything to anybody but its owner.
const OTHERS_MODE: u32 = 0o077;
/// What every certificate in PEM begins with.
const CERTIFICATE_START: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// Where the files for TLS are, and which name the server has.
///
/// Every field left `None` is the stricter or the usual choice: the system's authorities, no client
/// certificate, and the host of the endpoint as the name that the server has to prove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Certificate authorities in PEM, up to 1 MiB. They are the only ones trusted then. Without
    /// this file they are the system's, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate in PEM, followed by those between it and its authority, up to 1 MiB.
    /// Goes with `key_file`.
    pub certificate_file: Option<PathBuf>,
    /// The private key of that certificate in PEM, up to 64 KiB, open to its owner alone.
    pub key_file: Option<PathBuf>,
    /// The name that the certificate of every server has to be good for, in place of the endpoint's
    /// host: a host name or an IP address (IPv6 without brackets).
    pub server_name: Option<String>,
}

/// TLS as an `https` endpoint needs it, with the content of every file.
#[derive(Clone)]
pub struct Tls {
    config: ClientTlsConfig,
}

/// Why TLS cannot be used as it is stated. Names files, and nothing that stands in them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("`{}` cannot be read", .0.display())]
    Unreadable(PathBuf),
    /// It is a folder, a pipe, a device or a socket.
    #[error("`{}` is not a regular file", .0.display())]
    NotRegular(PathBuf),
    /// A file is larger than its bound.
    #[error("`{}` is larger than {bytes_max} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its bound.
        bytes_max: u64,
    },
    /// The private key is not private.
    #[error("`{}` is open to others; `chmod 600` it", .0.display())]
    OpenToOthers(PathBuf),
    /// There is no certificate in a file.
    #[error("`{}` does not hold certificates in PEM", .0.display())]
    NoCertificate(PathBuf),
    /// There is a certificate without a key, or a key without a certificate.
    #[error("a client certificate and its private key go together")]
    HalfIdentity,
    /// The certificate and the key are not in PEM, or do not belong together.
    #[error("`{}` and `{}` are not a certificate and its private key in PEM", certificate.display(), key.display())]
    Identity {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The server's name is neither a host name nor an address.
    #[error("the name of a server is a host name or an address")]
    ServerName,
}

impl Tls {
    /// TLS with the system's authorities and no client certificate.
    #[must_use]
    pub fn system() -> Self {
        Self {
            config: ClientTlsConfig::new().with_native_roots(),
        }
    }

    /// Reads what `options` name. The system's authorities are read with the first call that needs
    /// them.
    ///
    /// # Errors
    ///
    /// When a file cannot be used, and when the options do not go together.
    pub fn read(options: &TlsOptions) -> Result<Self, TlsError> {
        let mut config = ClientTlsConfig::new();
        if let Some(name) = &options.server_name {
            config = config.domain_name(name);
            usable(&config).map_err(|()| TlsError::ServerName)?;
            if !is_host(name) && name.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(TlsError::ServerName);
            }
        }
        if let Some(path) = &options.ca_file {
            let pem = read_certificates(path)?;
            config = config.ca_certificate(Certificate::from_pem(pem));
            usable(&config).map_err(|()| TlsError::NoCertificate(path.clone()))?;
        }
        match (&options.certificate_file, &options.key_file) {
            (None, None) => {}
            (Some(certificate), Some(key)) => {
                let pem = read_certificates(certificate)?;
                let key_pem = read(key, KEY_BYTES_MAX, IsPrivate::Yes)?;
                config = config.identity(Identity::from_pem(pem, key_pem));
                usable(&config).map_err(|()| TlsError::Identity {
                    certificate: certificate.clone(),
                    key: key.clone(),
                })?;
            }
            (Some(_), None) | (None, Some(_)) => return Err(TlsError::HalfIdentity),
        }
        // Only now: whether the system has authorities matters to those who use them.
        if options.ca_file.is_none() {
            config = config.with_native_roots();
        }
        Ok(Self { config })
    }

    pub(crate) fn config(&self) -> ClientTlsConfig {
        self.config.clone()
    }
}

impl fmt::Debug for Tls {
    /// Without the private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// Whether the TLS library takes `config`. What it says against it is not passed on.
fn usable(config: &ClientTlsConfig) -> Result<(), ()> {
    TonicEndpoint::from_static("https://localhost")
        .tls_config(config.clone())
        .map(|_| ())
        .map_err(|_| ())
}

/// The certificates in the file at `path`. Without the check, a file of something else would mean a
/// client that trusts nobody and does not say why.
fn read_certificates(path: &Path) -> Result<Vec<u8>, TlsError> {
    let pem = read(path, CERTIFICATES_BYTES_MAX, IsPrivate::No)?;
    pem.windows(CERTIFICATE_START.len())
        .any(|window| window == CERTIFICATE_START)
        .then_some(pem)
        .ok_or_else(|| TlsError::NoCertificate(path.into()))
}

/// Whether a file must be open to its owner alone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IsPrivate {
    Yes,
    No,
}

/// The content of the regular file at `path`. Never waits for the other end of a pipe.
fn read(path: &Path, bytes_max: u64, is_private: IsPrivate) -> Result<Vec<u8>, TlsError> {
    let unreadable = || TlsError::Unreadable(path.into());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = open(path, flags, Mode::empty()).map_err(|_| unreadable())?;
    let stat = fstat(&file).map_err(|_| unreadable())?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(TlsError::NotRegular(path.into()));
    }
    if is_private == IsPrivate::Yes && stat.st_mode & OTHERS_MODE != 0 {
        return Err(TlsError::OpenToOthers(path.into()));
    }
    let mut bytes = Vec::new();
    let length = File::from(file)
        .take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|_| unreadable())?;
    match u64::try_from(length) {
        Ok(length) if length <= bytes_max => Ok(bytes),
        Ok(_) | Err(_) => Err(TlsError::TooLarge {
            path: path.into(),
            bytes_max,
        }),
    }
}
