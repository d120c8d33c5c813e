//! Sockets that the service manager bound before the daemon started, so that no connection is refused
//! while the daemon is replaced.
//!
//! A socket is taken for what it is bound to, whatever its name or place. Deliberately absent: the
//! configuration; a listener asks for its own address.

use std::{
    env, io,
    net::{SocketAddr, TcpListener},
    os::{
        fd::AsFd,
        unix::net::{SocketAddr as UnixAddress, UnixListener},
    },
    path::Path,
};

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

/// Most sockets that are taken over.
pub const INHERITED_MAX: usize = 16;

/// Where the number of sockets stands, and whom they are for.
const COUNT_VARIABLE: &str = "LISTEN_FDS";
const PROCESS_VARIABLE: &str = "LISTEN_PID";
/// A change of the protocol that systemd does not know.
const FIRST_VARIABLE: &str = "LISTEN_FDS_FIRST_FD";

/// Why the inherited sockets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InheritedFault {
    /// The variables are not as a service manager sets them.
    #[error(
        "`{COUNT_VARIABLE}` has to be a number up to {INHERITED_MAX} and `{PROCESS_VARIABLE}` a process id"
    )]
    Variables,
    /// What was inherited is no listener that the daemon can use.
    #[error("inherited socket {number} is not a listening stream socket of a unix path or of TCP")]
    NotAListener {
        /// Which one, from 1 on.
        number: usize,
    },
    /// The system does not tell about a socket.
    #[error("inherited socket {number} cannot be looked at")]
    Look {
        /// Which one, from 1 on.
        number: usize,
        /// What the system says.
        source: io::Error,
    },
    /// No configured address is that of the socket.
    #[error("an inherited socket listens on `{address}`, and the configuration does not")]
    Unclaimed {
        /// The address.
        address: String,
    },
}

/// The sockets that were inherited and are not yet taken.
#[derive(Debug, Default)]
pub struct Inherited {
    unix: Vec<(UnixAddress, UnixListener)>,
    tcp: Vec<(SocketAddr, TcpListener)>,
}

impl Inherited {
    /// Takes over what was left for this process, and removes the variables that say so. To be called
    /// once, first thing in the process: before there is a second thread, and before any file is opened.
    ///
    /// # Errors
    ///
    /// When the variables are broken, or one of the sockets is nothing to listen on.
    pub fn take() -> Result<Self, InheritedFault> {
        let Some(count) = env::var_os(COUNT_VARIABLE) else {
            return Ok(Self::default());
        };
        let count = count.to_str().and_then(|text| text.parse::<usize>().ok());
        let process = env::var(PROCESS_VARIABLE).ok();
        // The crate would take sockets that are for nobody in particular.
        let process = process.and_then(|text| text.parse::<u32>().ok());
        if count.is_none_or(|count| count > INHERITED_MAX)
            || process.is_none()
            || env::var_os(FIRST_VARIABLE).is_some()
        {
            return Err(InheritedFault::Variables);
        }
        let mut left = ListenFd::from_env();
        let mut inherited = Self::default();
        for at in 0..left.len() {
            inherited.add(&mut left, at)?;
        }
        Ok(inherited)
    }

    fn add(&mut self, left: &mut ListenFd, at: usize) -> Result<(), InheritedFault> {
        let number = at.saturating_add(1);
        let look = |source| InheritedFault::Look { number, source };
        // An error leaves the socket in its place.
        if let Ok(Some(listener)) = left.take_unix_listener(at) {
            let address = listener.local_addr().map_err(look)?;
            if address.as_pathname().is_none() || !is_listening(&listener) {
                return Err(InheritedFault::NotAListener { number });
            }
            listener.set_nonblocking(true).map_err(look)?;
            self.unix.push((address, listener));
        } else if let Ok(Some(listener)) = left.take_tcp_listener(at) {
            if !is_listening(&listener) {
                return Err(InheritedFault::NotAListener { number });
            }
            let address = listener.local_addr().map_err(look)?;
            listener.set_nonblocking(true).map_err(look)?;
            self.tcp.push((address, listener));
        } else {
            return Err(InheritedFault::NotAListener { number });
        }
        Ok(())
    }

    /// The listener that is bound to `path`, if there is one. It does not block. Its file is not the
    /// daemon's to make, to change or to remove.
    pub fn take_unix(&mut self, path: &Path) -> Option<UnixListener> {
        let is_it = |(address, _): &(UnixAddress, _)| address.as_pathname() == Some(path);
        let at = self.unix.iter().position(is_it)?;
        Some(self.unix.swap_remove(at).1)
    }

    /// The listener that is bound to `address`, if there is one. It does not block.
    pub fn take_tcp(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let at = self.tcp.iter().position(|(bound, _)| *bound == address)?;
        Some(self.tcp.swap_remove(at).1)
    }

    /// Sees that every socket was taken: one that nobody answers on would hang whoever connects.
    ///
    /// # Errors
    ///
    /// When one was not.
    pub fn rest(&self) -> Result<(), InheritedFault> {
        let unix = self.unix.iter().filter_map(|(address, _)| {
            let path = address.as_pathname()?;
            Some(path.display().to_string())
        });
        let mut unclaimed = unix.chain(self.tcp.iter().map(|(address, _)| address.to_string()));
        match unclaimed.next() {
            None => Ok(()),
            Some(address) => Err(InheritedFault::Unclaimed { address }),
        }
    }
}

fn is_listening(socket: &impl AsFd) -> bool {
    socket_acceptconn(socket).unwrap_or(false)
}
