//! Mutual TLS: the daemon's certificate, its private key and the authorities of its clients, as the
//! files say it now.
//!
//! A fault at the start is fatal. Later, a broken set of files keeps the former one in force until that
//! expires: the only place where a last known good is right, because without it nobody could ask at all.
//! Deliberately absent: any way to connect without a certificate, and what is served.

mod bounds;
mod certificate;
mod credential;
mod fault;
mod files;
mod follow;
mod handshake;
mod material;
mod verifier;

use std::{
    fmt,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{net::TcpStream, sync::watch as channel, time::timeout};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        pki_types::UnixTime,
        time_provider::{DefaultTimeProvider, TimeProvider},
    },
    server::TlsStream,
};

use super::complaints::Complaints;
use crate::{caller::HandshakeDefect, config::TlsConfig, metrics::Metrics};
use certificate::seconds;
use files::Files;
use follow::{Bell, Follower};
use handshake::Failure;
use material::{ALPN, Material};

pub use bounds::{
    AUTHORITIES_MAX, CERTIFICATES_BYTES_MAX, CLIENT_CHAIN_MAX, KEY_BYTES_MAX, SERVER_CHAIN_MAX,
};
pub use credential::Credential;
pub use fault::{FileFault, TlsError};
pub use follow::TlsFollower;

/// Most failed handshakes that are logged within [`COMPLAINTS_WINDOW`]: whoever can reach the port can make any
/// number of them.
const COMPLAINTS_MAX: u32 = 20;
const COMPLAINTS_WINDOW: Duration = Duration::from_secs(1);

/// TLS as it is now: swapped whole when the files change. Clones share it.
#[derive(Clone)]
pub struct Tls {
    held: channel::Receiver<Arc<Material>>,
    clock: Arc<dyn TimeProvider>,
    metrics: Metrics,
    bell: Arc<Bell>,
    complaints: Arc<Complaints>,
}

/// A connection whose other end is known.
#[derive(Debug)]
pub struct Secured {
    /// What is spoken over it is HTTP/2.
    pub stream: TlsStream<TcpStream>,
    /// What the client showed.
    pub credential: Credential,
}

impl Tls {
    /// Reads and checks every file, and follows them from then on, as long as the follower lives.
    ///
    /// # Errors
    ///
    /// When anything is wrong with a file, or there is no thread to be had.
    pub fn open(config: &TlsConfig, metrics: Metrics) -> Result<(Self, TlsFollower), TlsError> {
        Self::open_by(config, metrics, Arc::new(DefaultTimeProvider))
    }

    /// The same, by a clock of the caller's choice.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn open_by(
        config: &TlsConfig,
        metrics: Metrics,
        clock: Arc<dyn TimeProvider>,
    ) -> Result<(Self, TlsFollower), TlsError> {
        let files = Files::of(config);
        let material = Material::new(&files, &files.read()?, &clock)?;
        tracing::info!(
            fingerprint = material.fingerprint,
            expiry = material.expiry,
            "the files of TLS are in force"
        );
        let (sender, held) = channel::channel(Arc::new(material));
        let (bell, woken) = Bell::new();
        let tls = Self {
            held,
            clock: Arc::clone(&clock),
            metrics: metrics.clone(),
            bell: Arc::clone(&bell),
            complaints: Arc::new(Complaints::new(COMPLAINTS_MAX, COMPLAINTS_WINDOW)),
        };
        show_left(&metrics, tls.seconds_left());
        let follower = Follower::new(files, clock, metrics, sender).start(bell, woken)?;
        Ok((tls, follower))
    }

    /// The handshake on `stream`, which came from `from`, within `patience`. What is wrong is logged and
    /// counted here; the peer gets no more than an alert.
    ///
    /// # Errors
    ///
    /// When there is no connection to be had.
    pub async fn accept(
        &self,
        stream: TcpStream,
        from: SocketAddr,
        patience: Duration,
    ) -> Result<Secured, HandshakeDefect> {
        self.shake_hands(stream, patience).await.map_err(|failure| {
            let defect = failure.defect;
            self.metrics.handshake_failed(defect);
            if let Some(unsaid) = self.complaints.say(Instant::now()) {
                tracing::warn!(
                    %from,
                    defect = defect.as_str(),
                    fingerprint = failure.fingerprint,
                    unsaid_before = (unsaid > 0).then_some(unsaid),
                    "a TLS handshake failed"
                );
            }
            defect
        })
    }

    /// Has the files read again now, and whatever is wrong with them told again.
    pub fn reload(&self) {
        self.bell.ask();
    }

    /// Whether the server's certificate has not expired, by the wall clock.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.seconds_left() >= 0
    }

    /// From now to the end of the server's certificate in seconds; negative after it, and when the clock
    /// tells no time.
    #[must_use]
    pub fn seconds_left(&self) -> i64 {
        left(self.material().not_after, self.now().and_then(seconds))
    }

    /// The SHA-256 of the server's certificate, as hexadecimal digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.material().fingerprint.clone()
    }

    async fn shake_hands(&self, stream: TcpStream, patience: Duration) -> Result<Secured, Failure> {
        if !self.is_usable() {
            return Err(HandshakeDefect::ServerCertificateExpired.into());
        }
        let acceptor = TlsAcceptor::from(Arc::clone(&self.material().config));
        let stream = match timeout(patience, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(Failure::from(&error)),
            Err(_) => return Err(HandshakeDefect::TimedOut.into()),
        };
        let (_, connection) = stream.get_ref();
        // The library lets clients through that name no protocol at all.
        if connection.alpn_protocol() != Some(ALPN) {
            return Err(HandshakeDefect::UnsupportedProtocol.into());
        }
        let credential = Credential::of(connection.peer_certificates())?;
        Ok(Secured { stream, credential })
    }

    fn material(&self) -> Arc<Material> {
        Arc::clone(&self.held.borrow())
    }

    fn now(&self) -> Option<UnixTime> {
        self.clock.current_time()
    }
}

impl fmt::Debug for Tls {
    /// Without the private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// From `now` to `not_after`, in seconds; without a `now` it is over.
fn left(not_after: i64, now: Option<i64>) -> i64 {
    now.map_or(i64::MIN, |now| not_after.saturating_sub(now))
}

/// Shows how long the server's certificate lasts.
fn show_left(metrics: &Metrics, seconds_left: i64) {
    let size = Duration::from_secs(seconds_left.unsigned_abs()).as_secs_f64();
    let gauge = &metrics.certificate_expiry_seconds;
    gauge.set(if seconds_left < 0 { -size } else { size });
}
