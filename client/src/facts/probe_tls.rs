//! TLS for the question which models an endpoint serves: this machine's trusted roots, and no other.
//!
//! Deliberately absent: any way to believe a certificate that the roots do not vouch for.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName, version::TLS12,
        version::TLS13,
    },
};

use super::base_url::{BaseUrl, Host};

/// Nobody that this machine trusts vouches for the host, or it has no name to vouch for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotTrusted;

/// Speaks TLS over `stream` with the host of `base_url`.
pub(super) async fn connect(
    base_url: &BaseUrl<'_>,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, NotTrusted> {
    let name = match base_url.host {
        Host::Address(address) => ServerName::from(address),
        Host::Name(name) => ServerName::try_from(name.to_owned()).map_err(|_| NotTrusted)?,
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|_| NotTrusted)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(|_| NotTrusted)
}
