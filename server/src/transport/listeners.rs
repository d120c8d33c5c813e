//! The listeners: bound first, then each connection taken within its limits.
//!
//! Deliberately absent: what is served on a connection.

use std::{
    fs, io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixStream};

use crate::{config::ListenConfig, supervision::Inherited};

/// Who may use the unix socket: its owner and its group.
const SOCKET_MODE: u32 = 0o660;

/// Most connections that wait to be taken, as far as the system lets them.
const QUEUE_MAX: u32 = 1024;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// It is not to be had.
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
}

/// The listeners, bound and not yet answering.
#[derive(Debug)]
pub struct Listeners {
    pub(super) tcp: Option<TcpListener>,
    pub(super) unix: Option<UnixSocket>,
    pub(super) tls: Option<TcpListener>,
    pub(super) health: Option<TcpListener>,
}

/// A unix socket that is listened on.
#[derive(Debug)]
pub(super) struct UnixSocket {
    pub(super) listener: UnixListener,
    /// Its file, when it is the daemon's own to remove.
    pub(super) own_file: Option<PathBuf>,
}

impl Listeners {
    /// Binds what the configuration names, but for what is `inherited`.
    ///
    /// # Errors
    ///
    /// When an address is not to be had.
    pub async fn bind(
        config: &ListenConfig,
        inherited: &mut Inherited,
    ) -> Result<Self, ListenError> {
        let unix = match &config.unix {
            None => None,
            Some(path) => Some(unix(path, inherited).await?),
        };
        let tls = config.tls.as_ref().map(|tls| tls.address);
        Ok(Self {
            tcp: tcp(config.tcp, inherited).await?,
            unix,
            tls: tcp(tls, inherited).await?,
            health: tcp(config.health, inherited).await?,
        })
    }

    /// Whether there is no way in but TLS.
    #[must_use]
    pub fn is_tls_alone(&self) -> bool {
        self.tls.is_some() && self.tcp.is_none() && self.unix.is_none()
    }

    /// The plaintext address that is listened on.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        address(self.tcp.as_ref())
    }

    /// The address of TLS.
    #[must_use]
    pub fn tls_address(&self) -> Option<SocketAddr> {
        address(self.tls.as_ref())
    }

    /// The address that answers for health alone.
    #[must_use]
    pub fn health_address(&self) -> Option<SocketAddr> {
        address(self.health.as_ref())
    }
}

fn address(listener: Option<&TcpListener>) -> Option<SocketAddr> {
    listener.and_then(|listener| listener.local_addr().ok())
}

async fn tcp(
    address: Option<SocketAddr>,
    inherited: &mut Inherited,
) -> Result<Option<TcpListener>, ListenError> {
    let Some(address) = address else {
        return Ok(None);
    };
    let bound = match inherited.take_tcp(address) {
        Some(listener) => TcpListener::from_std(listener),
        None => bind(address),
    };
    bound.map(Some).map_err(|source| ListenError::Listen {
        address: address.to_string(),
        source,
    })
}

/// As [`TcpListener::bind`], with a longer queue: over its end connections wait for seconds and are told
/// nothing.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // A successor does not wait for the connections of its predecessor to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE_MAX)
}

async fn unix(path: &Path, inherited: &mut Inherited) -> Result<UnixSocket, ListenError> {
    let fault = |source| ListenError::Listen {
        address: path.display().to_string(),
        source,
    };
    if let Some(listener) = inherited.take_unix(path) {
        let listener = UnixListener::from_std(listener).map_err(fault)?;
        return Ok(UnixSocket {
            listener,
            own_file: None,
        });
    }
    remove_stale_socket(path).await?;
    let listener = UnixListener::bind(path).map_err(fault)?;
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE)).map_err(fault)?;
    Ok(UnixSocket {
        listener,
        own_file: Some(path.to_owned()),
    })
}

/// Removes a socket that a former process left behind. A socket that answers, or anything that is no
/// socket, is left alone.
async fn remove_stale_socket(path: &Path) -> Result<(), ListenError> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        return Err(ListenError::NotASocket { path: path.into() });
    }
    // This does not wait: a process that hangs may have a full queue, and then it has the socket in use.
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)
            .map_err(|source| ListenError::Listen {
                address: path.display().to_string(),
                source,
            }),
        // It answers, or it is another kind of socket that somebody may be using.
        Ok(_) | Err(_) => Err(ListenError::SocketInUse { path: path.into() }),
    }
}

/// What connections are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    /// An address; of IPv6 the network, because one host has all of it.
    Address(IpAddr),
    /// A user of this host.
    User(u32),
}

impl Origin {
    pub(super) fn of(address: SocketAddr) -> Self {
        Self::Address(match address.ip().to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_is_one_origin() {
        let of = |text: &str| Origin::of(text.parse().unwrap());
        assert_eq!(of("192.0.2.1:1"), of("192.0.2.1:2"));
        assert_ne!(of("192.0.2.1:1"), of("192.0.2.2:1"));
        assert_eq!(of("[2001:db8:1:2::3]:1"), of("[2001:db8:1:2:4::5]:1"));
        assert_ne!(of("[2001:db8:1:2::3]:1"), of("[2001:db8:1:3::3]:1"));
        assert_eq!(of("[::ffff:192.0.2.1]:1"), of("192.0.2.1:1"));
    }
}
