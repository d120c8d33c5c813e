//! A place where TLS is served: the files, the clock, the metrics and the log.

use std::{
    fs::{self, File, Permissions},
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use admit_server::{
    caller::HandshakeDefect,
    config::TlsConfig,
    metrics::Metrics,
    transport::{Secured, Tls, TlsError, TlsFollower},
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tempfile::{NamedTempFile, TempDir};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::rustls::{pki_types::UnixTime, time_provider::TimeProvider};

use crate::authority::{Authority, FUTURE, Issued};

/// The first second of 2030, since the Unix epoch.
pub(crate) const NOW: u64 = 1_893_456_000;
/// Longest time that a test waits for one event, far above what anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// What whoever got in is told.
pub(crate) const WELCOME: &[u8] = b"welcome";

/// A clock that stands still until it is set.
#[derive(Debug)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    pub(crate) fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::SeqCst);
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let since_epoch = Duration::from_secs(self.0.load(Ordering::SeqCst));
        Some(UnixTime::since_unix_epoch(since_epoch))
    }
}

/// The place.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
    pub(crate) authority: Authority,
    pub(crate) config: TlsConfig,
    pub(crate) clock: Arc<Clock>,
    registry: Registry,
    metrics: Metrics,
}

impl Site {
    /// With a server `localhost` and clients of one authority.
    pub(crate) fn new() -> Self {
        log();
        let folder = tempfile::tempdir().unwrap();
        let mut registry = Registry::default();
        let site = Self {
            authority: Authority::new(),
            config: TlsConfig {
                address: ([127, 0, 0, 1], 0).into(),
                certificate: folder.path().join("tls.crt"),
                key: folder.path().join("tls.key"),
                client_ca: folder.path().join("ca.crt"),
            },
            clock: Arc::new(Clock(AtomicU64::new(NOW))),
            metrics: Metrics::register(&mut registry),
            registry,
            folder,
        };
        site.put(&site.authority.issue("localhost", FUTURE));
        fs::write(&site.config.client_ca, &site.authority.certificate).unwrap();
        site
    }

    /// Puts the server's certificate and its key in place.
    pub(crate) fn put(&self, server: &Issued) {
        write_key(&self.config.key, &server.key);
        fs::write(&self.config.certificate, &server.certificate).unwrap();
    }

    pub(crate) fn try_open(&self) -> Result<(Tls, TlsFollower), TlsError> {
        let clock = Arc::<Clock>::clone(&self.clock);
        Tls::open_by(&self.config, self.metrics.clone(), clock)
    }

    pub(crate) fn open(&self) -> (Tls, TlsFollower) {
        self.try_open().unwrap()
    }

    /// The value of one metric, as it is printed.
    pub(crate) fn metric(&self, name: &str) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("{name}: {text}")).to_owned()
    }

    pub(crate) fn failed(&self, defect: HandshakeDefect) -> u64 {
        let defect = defect.as_str();
        let name = format!("admit_handshakes_failed_total{{defect=\"{defect}\"}}");
        self.metric(&name).parse().unwrap()
    }

    pub(crate) fn reload_failures(&self) -> u64 {
        self.metric("admit_reload_failures_total").parse().unwrap()
    }

    /// What the log says of a path below this place.
    pub(crate) fn log(&self) -> Vec<String> {
        log_of(self.folder.path().to_str().unwrap())
    }
}

/// Writes a private key that is one.
pub(crate) fn write_key(path: &Path, pem: &str) {
    fs::write(path, pem).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

/// The file of the log of every test here: some of it is written by threads.
fn log() -> &'static PathBuf {
    static LOG: OnceLock<PathBuf> = OnceLock::new();
    LOG.get_or_init(|| {
        let (_, path) = NamedTempFile::new().unwrap().keep().unwrap();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(Arc::new(File::options().append(true).open(&path).unwrap()))
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        path
    })
}

/// The lines of the log in which `mark` stands.
pub(crate) fn log_of(mark: &str) -> Vec<String> {
    let text = fs::read_to_string(log()).unwrap();
    let lines = text.lines().filter(|line| line.contains(mark));
    lines.map(str::to_owned).collect()
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One connection: what the server made of it, from where it came, and what the client made of it.
pub(crate) struct Meeting<T> {
    pub(crate) served: Result<Secured, HandshakeDefect>,
    pub(crate) from: SocketAddr,
    pub(crate) client: T,
}

/// Lets one client connect and be served.
pub(crate) async fn meet<T, F>(
    tls: &Tls,
    patience: Duration,
    connect: impl FnOnce(TcpStream) -> F,
) -> Meeting<T>
where
    F: Future<Output = T>,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap());
    let (stream, accepted) = tokio::join!(stream, listener.accept());
    let (accepted, from) = accepted.unwrap();
    let serve = async {
        let mut served = tls.accept(accepted, from, patience).await;
        if let Ok(secured) = &mut served {
            secured.stream.write_all(WELCOME).await.unwrap();
            secured.stream.flush().await.unwrap();
        }
        served
    };
    let (served, client) = tokio::join!(serve, connect(stream.unwrap()));
    Meeting {
        served,
        from,
        client,
    }
}
