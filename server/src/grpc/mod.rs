//! gRPC: the services, and the listeners that they are served on.
//!
//! Deliberately absent: any judgment. A service turns a message into facts, asks the policy core, and
//! turns the decision into a message.

mod admission;
mod failure;
mod health;
mod policy;

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use admit_proto::v1::{
    admission_service_server::AdmissionServiceServer, policy_service_server::PolicyServiceServer,
};
use tokio::{
    net::{TcpListener, UnixListener, UnixStream},
    sync::watch as channel,
    task::JoinSet,
};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::{service::Routes, transport::Server};

use crate::{audit::Trail, config::ListenConfig, permit::Keyring, store::Store};

/// Largest request, in bytes.
pub const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// Longest time that the daemon waits for open connections when it stops. An answer takes
/// milliseconds and a watch is told at once; what is open after that is idle, or somebody's who does
/// not listen.
pub const DRAIN_MAX: Duration = Duration::from_secs(2);
/// How often a silent connection is asked whether it lives, and how long it may take to say so.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Who may use the unix socket: its owner and its group.
const SOCKET_MODE: u32 = 0o660;
/// Longest time that the listeners wait for the first reading of the policy.
const FIRST_READING_MAX: Duration = Duration::from_secs(2);

/// Why the daemon cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// The address.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// Another process listens on the unix socket.
    #[error("another process listens on `{}`", path.display())]
    SocketInUse {
        /// The socket.
        path: PathBuf,
    },
    /// The path of the unix socket is taken by something else.
    #[error("`{}` is not a socket", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// Server reflection cannot be built.
    #[error("the description of the services cannot be read")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The services ended by a fault of their own.
    #[error("the services broke; this is a fault of admitd")]
    Broke,
    /// The transport failed.
    #[error("the transport failed")]
    Transport(#[from] tonic::transport::Error),
}

/// A signal to stop that many can wait for.
pub type Stop = channel::Receiver<bool>;

/// The listeners, bound and not yet answering.
#[derive(Debug)]
pub struct Listeners {
    tcp: Option<TcpListener>,
    unix: Option<(UnixListener, PathBuf)>,
}

impl Listeners {
    /// Binds what the configuration names.
    ///
    /// # Errors
    ///
    /// When an address is not to be had.
    pub async fn bind(config: &ListenConfig) -> Result<Self, ServeError> {
        let tcp = match config.tcp {
            None => None,
            Some(address) => {
                Some(
                    TcpListener::bind(address)
                        .await
                        .map_err(|source| ServeError::Listen {
                            address: address.to_string(),
                            source,
                        })?,
                )
            }
        };
        let unix = match &config.unix {
            None => None,
            Some(path) => {
                remove_stale_socket(path).await?;
                let listener = UnixListener::bind(path).map_err(|source| ServeError::Listen {
                    address: path.display().to_string(),
                    source,
                })?;
                let permissions = fs::Permissions::from_mode(SOCKET_MODE);
                fs::set_permissions(path, permissions).map_err(|source| ServeError::Listen {
                    address: path.display().to_string(),
                    source,
                })?;
                Some((listener, path.clone()))
            }
        };
        Ok(Self { tcp, unix })
    }

    /// The TCP address that is listened on.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp
            .as_ref()
            .and_then(|listener| listener.local_addr().ok())
    }
}

/// Removes a socket that a former process left behind. A socket that answers, or anything that is no
/// socket, is left alone.
async fn remove_stale_socket(path: &Path) -> Result<(), ServeError> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        return Err(ServeError::NotASocket { path: path.into() });
    }
    // This does not wait: a process that hangs may have a full queue, and then it has the socket in use.
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)
            .map_err(|source| ServeError::Listen {
                address: path.display().to_string(),
                source,
            }),
        // It answers, or it is another kind of socket that somebody may be using.
        Ok(_) | Err(_) => Err(ServeError::SocketInUse { path: path.into() }),
    }
}

/// Serves until `stop`, then lets the open calls end for at most [`DRAIN_MAX`].
///
/// # Errors
///
/// When the services cannot be built or a transport fails.
pub async fn serve(
    listeners: Listeners,
    mut store: Store,
    trail: Trail,
    keyring: Keyring,
    stop: Stop,
) -> Result<(), ServeError> {
    // The health service starts as serving; it is told otherwise before anybody can ask.
    let (reporter, health_service) = tonic_health::server::health_reporter();
    health::report(&reporter, false).await;
    store.first_reading(FIRST_READING_MAX).await;
    let watching = tokio::spawn(health::follow(
        reporter,
        store.clone(),
        trail.clone(),
        stop.clone(),
    ));

    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(admit_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let admission = admission::Admission::new(store.clone(), trail, keyring.clone());
    let admission =
        AdmissionServiceServer::new(admission).max_decoding_message_size(REQUEST_BYTES_MAX);
    let policy = PolicyServiceServer::new(policy::PolicyView::new(store, keyring, stop.clone()))
        .max_decoding_message_size(REQUEST_BYTES_MAX);
    let routes = Routes::new(admission)
        .add_service(policy)
        .add_service(health_service)
        .add_service(reflection);

    let (close, closing) = channel::channel(false);
    let mut servers: JoinSet<Result<(), tonic::transport::Error>> = JoinSet::new();
    if let Some(listener) = listeners.tcp {
        let incoming = TcpListenerStream::new(listener);
        servers.spawn(
            Server::builder()
                .tcp_nodelay(true)
                .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
                .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
                .add_routes(routes.clone())
                .serve_with_incoming_shutdown(incoming, stopped(closing.clone())),
        );
    }
    let socket = listeners.unix.map(|(listener, path)| {
        let incoming = UnixListenerStream::new(listener);
        servers.spawn(
            Server::builder()
                .add_routes(routes)
                .serve_with_incoming_shutdown(incoming, stopped(closing)),
        );
        path
    });
    let closed = async {
        stopped(stop).await;
        if let Some(path) = socket {
            // While the listener still holds it: later the path may be a successor's.
            let _ = fs::remove_file(path);
        }
        close.send_replace(true);
        tokio::time::sleep(DRAIN_MAX).await;
    };
    let ended = drain(servers, closed).await;
    watching.abort();
    ended.map_err(ServeError::from)
}

/// Waits for the servers to end, at most until `closed`.
async fn drain(
    mut servers: JoinSet<Result<(), tonic::transport::Error>>,
    closed: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let all_ended = async {
        while let Some(ended) = servers.join_next().await {
            if let Ok(result) = ended {
                result?;
            }
        }
        Ok(())
    };
    tokio::select! {
        result = all_ended => result,
        () = closed => {
            tracing::info!("connections were still open at the end of the drain");
            Ok(())
        }
    }
}

/// Ends when the daemon is to stop.
async fn stopped(mut stop: Stop) {
    // An error means that the sender is gone, which is a stop as well.
    let _ = stop.wait_for(|stopping| *stopping).await;
}
