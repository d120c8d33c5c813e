//! What can be wrong with the files of TLS: which key of the configuration, which file, what is wrong
//! with it, and how to mend it.
//!
//! Deliberately absent: anything that stands in a file, but the days of a certificate.

use std::{io, path::PathBuf};

use super::bounds::{AUTHORITIES_MAX, CERTIFICATES_BYTES_MAX, KEY_BYTES_MAX, SERVER_CHAIN_MAX};

/// Why TLS is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be used.
    #[error("`{key}` = `{}` {fault}", path.display())]
    File {
        /// The key of the configuration that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: FileFault,
    },
    /// The host's clock tells no time.
    #[error("the clock of this host tells no time, so no certificate can be judged; set it")]
    Clock,
    /// There is no thread that could look at the files again.
    #[error("the system refuses a thread that follows the files of TLS")]
    Thread(#[source] io::Error),
}

/// What is wrong with one file.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// It is not there, or not for this user.
    #[error("cannot be read: {0}; it has to be a file that the user of this daemon may read")]
    Unreadable(io::Error),
    /// It is a directory, a pipe, a device or a socket.
    #[error("is not a regular file")]
    NotRegular,
    /// It is larger than its bound.
    #[error(
        "is too large; a key may have {KEY_BYTES_MAX} bytes, certificates {CERTIFICATES_BYTES_MAX}"
    )]
    TooLarge,
    /// Others may use the private key.
    #[error("may be used by others than its owner; `chmod 600` it, or 640 where root owns it")]
    OpenToOthers,
    /// There is no certificate in it.
    #[error("holds no certificate in PEM; it has to begin with `-----BEGIN CERTIFICATE-----`")]
    NoCertificate,
    /// Its PEM is cut short or garbled.
    #[error("is not PEM from its first to its last line; copy it again")]
    NotPem,
    /// The chain of the server is too long.
    #[error("holds more than {SERVER_CHAIN_MAX} certificates; leave the authorities' roots out")]
    ChainTooLong,
    /// There are too many authorities.
    #[error(
        "holds more than {AUTHORITIES_MAX} certificates; name only the authorities of the clients"
    )]
    TooManyAuthorities,
    /// A certificate cannot be read.
    #[error("holds a certificate that cannot be read, the {0}. of them; issue it again")]
    Malformed(usize),
    /// The server's certificate is over.
    #[error("holds a certificate that expired at {0}; issue a new one")]
    Expired(String),
    /// The server's certificate is for later.
    #[error(
        "holds a certificate that is not valid before {0}; is the clock of this host right, or wait"
    )]
    NotYetValid(String),
    /// The server's certificate names no server.
    #[error(
        "holds a certificate without a DNS name or an address among its subject alternative names, so no client would accept it; issue one with them"
    )]
    NoNames,
    /// The server's certificate is one of an authority.
    #[error(
        "begins with the certificate of an authority, so no client would accept it; put the server's own first"
    )]
    IsAuthority,
    /// The server's certificate is not for servers.
    #[error(
        "holds a certificate that is not for servers: `serverAuth` is not among its extended key usages; issue one with it"
    )]
    NotForServers,
    /// There is no private key in it.
    #[error(
        "holds no private key in PEM that is free of a passphrase; PKCS#8, PKCS#1 and SEC1 are"
    )]
    NoKey,
    /// The private key is of a kind that is not used here.
    #[error(
        "holds a private key that cannot be used; it has to be Ed25519, ECDSA on P-256 or P-384, or RSA of 2048 bits and more"
    )]
    UnusableKey,
    /// The private key is another certificate's.
    #[error(
        "is not the private key of the certificate in `{}`; put the two that go together in place", .0.display()
    )]
    KeyMismatch(PathBuf),
    /// A certificate is not one of an authority.
    #[error(
        "holds a certificate that is not one of an authority, the {0}. of them; it lacks `CA:TRUE`, or `keyCertSign`"
    )]
    NotAuthority(usize),
    /// Every authority is out of its days.
    #[error("holds no authority that is valid now; put the one in place that issues to clients")]
    NoAuthorityNow,
}
