//! A client, with whatever it shows.

use std::{io, sync::Arc};

use rcgen::{CertificateParams, Issuer, KeyPair, SignatureAlgorithm, date_time_ymd};
use tokio::{io::AsyncReadExt as _, net::TcpStream};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        AlertDescription, ClientConfig, Error, RootCertStore, SupportedProtocolVersion,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
        sign::{CertifiedKey, SingleCertAndKey},
        version::TLS13,
    },
};

use crate::{
    authority::{Authority, FUTURE},
    site::WELCOME,
};

/// The name that a certificate has if a test does not change it.
pub(crate) const NAME: &str = "spark-1.example";

/// A chain of certificates and a key, which need not go together.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: Arc<KeyPair>,
}

/// A certificate for [`NAME`] from 2025 to 2049, with this change.
pub(crate) fn shown(
    issuer: &Issuer<'static, KeyPair>,
    change: impl FnOnce(&mut CertificateParams),
) -> Shown {
    shown_by(KeyPair::generate().unwrap(), issuer, change)
}

/// The same with a key of this kind.
pub(crate) fn shown_with(
    algorithm: &'static SignatureAlgorithm,
    issuer: &Issuer<'static, KeyPair>,
) -> Shown {
    shown_by(KeyPair::generate_for(algorithm).unwrap(), issuer, |_| ())
}

fn shown_by(
    key: KeyPair,
    issuer: &Issuer<'static, KeyPair>,
    change: impl FnOnce(&mut CertificateParams),
) -> Shown {
    let mut params = params();
    change(&mut params);
    Shown {
        chain: vec![params.signed_by(&key, issuer).unwrap().der().clone()],
        key: Arc::new(key),
    }
}

/// What a certificate says if a test does not change it.
pub(crate) fn params() -> CertificateParams {
    let mut params = CertificateParams::new([NAME.to_owned()]).unwrap();
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(FUTURE, 1, 1);
    params
}

/// The client.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) shown: Option<Shown>,
    pub(crate) protocols: Vec<Vec<u8>>,
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
    pub(crate) trusted: String,
}

impl Client {
    /// One that speaks what is expected, trusts `authority`, and shows this.
    pub(crate) fn new(authority: &Authority, shown: Option<Shown>) -> Self {
        Self {
            shown,
            protocols: vec![b"h2".to_vec()],
            versions: vec![&TLS13],
            trusted: authority.certificate.clone(),
        }
    }

    fn config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let trusted = CertificateDer::from_pem_slice(self.trusted.as_bytes()).unwrap();
        roots.add(trusted).unwrap();
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match &self.shown {
            None => builder.with_no_client_auth(),
            Some(shown) => {
                let key = PrivateKeyDer::try_from(shown.key.serialize_der()).unwrap();
                let key = provider.key_provider.load_private_key(key).unwrap();
                // Whether they go together is not looked at.
                let certified = CertifiedKey::new(shown.chain.clone(), key);
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
            }
        };
        config.alpn_protocols = self.protocols.clone();
        config
    }

    /// Its side of the handshake.
    pub(crate) async fn shake_hands(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::new(self.config()));
        connector.connect(name, stream).await
    }

    /// Connects, and waits for what it is told.
    pub(crate) async fn greet(&self, stream: TcpStream) -> Greeting {
        let mut stream = match self.shake_hands(stream).await {
            Ok(stream) => stream,
            Err(error) => return Greeting::of(&error),
        };
        let mut told = vec![0; WELCOME.len()];
        match stream.read_exact(&mut told).await {
            Ok(_) if told == WELCOME => Greeting::Welcome(Box::new(stream)),
            Ok(_) => panic!("{told:?}"),
            Err(error) => Greeting::of(&error),
        }
    }
}

/// What a client is told. A refusal has no text: there is none in TLS.
#[derive(Debug)]
pub(crate) enum Greeting {
    Welcome(Box<TlsStream<TcpStream>>),
    Alert(AlertDescription),
    /// It does not accept the server's certificate.
    OwnRefusal,
    /// The connection has ended.
    Closed,
}

impl Greeting {
    fn of(error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        match inner {
            Some(Error::AlertReceived(alert)) => Self::Alert(*alert),
            Some(Error::InvalidCertificate(_)) => Self::OwnRefusal,
            Some(other) => panic!("{other:?}"),
            None => Self::Closed,
        }
    }
}
