//! What a certificate says: its names, its days, what it is for.
//!
//! Deliberately absent: whether it can be believed, which is rustls's to say.

use std::collections::BTreeSet;

use admit_policy::Timestamp;
use ring::digest::{SHA256, digest};
use tokio_rustls::rustls::pki_types::UnixTime;
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, KeyUsage},
    prelude::FromDer as _,
    time::ASN1Time,
};

use crate::{
    audit::keys::hex,
    caller::{CERTIFICATE_NAMES_MAX, CertificateName},
};

/// Whole seconds since the Unix epoch.
pub(super) fn seconds(time: UnixTime) -> Option<i64> {
    i64::try_from(time.as_secs()).ok()
}

/// The SHA-256 of a certificate in DER, as hexadecimal digits.
pub(super) fn fingerprint(der: &[u8]) -> String {
    hex(digest(&SHA256, der).as_ref())
}

/// The certificate that `der` is, with nothing after it.
pub(super) fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Some(certificate),
        Ok(_) | Err(_) => None,
    }
}

/// The last second of the certificate that `der` is, since the Unix epoch.
pub(super) fn not_after(der: &[u8]) -> Option<i64> {
    parse(der).map(|certificate| certificate.validity().not_after.timestamp())
}

/// The DNS names, in lowercase, and URIs of a certificate; `None` if there are too many names or none
/// of these.
pub(super) fn client_names(certificate: &X509Certificate<'_>) -> Option<BTreeSet<CertificateName>> {
    let extension = certificate.subject_alternative_name().ok()??;
    let general = &extension.value.general_names;
    if general.len() > CERTIFICATE_NAMES_MAX {
        return None;
    }
    let mut names = BTreeSet::new();
    for name in general {
        if let GeneralName::DNSName(name) = name {
            names.insert(CertificateName::Dns(name.to_ascii_lowercase()));
        } else if let GeneralName::URI(uri) = name {
            names.insert(CertificateName::Uri((*uri).to_owned()));
        }
    }
    (!names.is_empty()).then_some(names)
}

/// Whether a client could find the server's name in it.
pub(super) fn has_server_name(certificate: &X509Certificate<'_>) -> bool {
    matches!(
        certificate.subject_alternative_name(),
        Ok(Some(extension)) if extension.value.general_names.iter().any(|name| {
            matches!(name, GeneralName::DNSName(_) | GeneralName::IPAddress(_))
        })
    )
}

/// Whether it may be a server's: for any use if it does not say.
pub(super) fn is_for_servers(certificate: &X509Certificate<'_>) -> bool {
    match certificate.extended_key_usage() {
        Ok(None) => true,
        Ok(Some(usage)) => usage.value.server_auth || usage.value.any,
        Err(_) => false,
    }
}

/// Whether others' certificates may be issued by it.
pub(super) fn is_authority(certificate: &X509Certificate<'_>) -> bool {
    let may_sign = match certificate.key_usage() {
        Ok(usage) => usage.is_none_or(|usage| KeyUsage::key_cert_sign(usage.value)),
        Err(_) => false,
    };
    certificate.is_ca() && may_sign
}

/// A moment of a certificate as RFC 3339, for people.
pub(super) fn moment(time: ASN1Time) -> String {
    Timestamp::from_unix(time.timestamp(), 0)
        .map_or_else(|| time.to_string(), |moment| moment.to_string())
}
