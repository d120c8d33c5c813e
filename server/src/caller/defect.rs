//! What can be wrong with a handshake, as the server's log and metrics call it. A peer is told none of it.

/// Why a TLS connection did not come to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HandshakeDefect {
    /// The client has no certificate.
    NoCertificate,
    /// The client's certificate has expired.
    Expired,
    /// The client's certificate is not valid yet.
    NotYetValid,
    /// The client's certificate is of no authority that is trusted here.
    UnknownAuthority,
    /// The client's certificate is not one for clients.
    WrongPurpose,
    /// A signature is wrong.
    BadSignature,
    /// The client's certificate cannot be read or breaks a rule of X.509.
    MalformedCertificate,
    /// The client's certificate names too many or no names.
    UnusableNames,
    /// The client does not speak TLS 1.3 with a cipher suite and a group that is offered.
    UnsupportedProtocol,
    /// What came is no TLS.
    NotTls,
    /// The client did not accept the server's certificate, or gave up.
    RefusedByPeer,
    /// The handshake took too long.
    TimedOut,
    /// The server's own certificate has expired.
    ServerCertificateExpired,
    /// Anything else.
    Broken,
}

impl HandshakeDefect {
    /// Every one.
    pub const ALL: [Self; 14] = [
        Self::NoCertificate,
        Self::Expired,
        Self::NotYetValid,
        Self::UnknownAuthority,
        Self::WrongPurpose,
        Self::BadSignature,
        Self::MalformedCertificate,
        Self::UnusableNames,
        Self::UnsupportedProtocol,
        Self::NotTls,
        Self::RefusedByPeer,
        Self::TimedOut,
        Self::ServerCertificateExpired,
        Self::Broken,
    ];

    /// Its word in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoCertificate => "no-certificate",
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::UnknownAuthority => "unknown-authority",
            Self::WrongPurpose => "wrong-purpose",
            Self::BadSignature => "bad-signature",
            Self::MalformedCertificate => "malformed-certificate",
            Self::UnusableNames => "unusable-names",
            Self::UnsupportedProtocol => "unsupported-protocol",
            Self::NotTls => "not-tls",
            Self::RefusedByPeer => "refused-by-peer",
            Self::TimedOut => "timed-out",
            Self::ServerCertificateExpired => "server-certificate-expired",
            Self::Broken => "broken",
        }
    }
}
