//! Where the server is: `http://HOST:PORT`, or `unix:/PATH`.
//!
//! Deliberately absent: TLS, until the server speaks it. An error never repeats the text that it is
//! about: an endpoint that was mistyped may hold a password.

use std::{fmt, net::Ipv6Addr, path::PathBuf, str::FromStr};

/// Longest host name, in bytes.
const HOST_BYTES_MAX: usize = 253;
/// Longest path of a unix socket, in bytes; the kernel takes no longer one.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Address);

/// The two kinds of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// Plaintext over TCP.
    Tcp {
        /// Host name, IPv4 address, or IPv6 address in brackets.
        host: String,
        /// Port, never 0.
        port: u16,
    },
    /// A unix socket, by its absolute path.
    Unix(PathBuf),
}

/// Why a text is no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It asks for TLS.
    #[error("https is not supported yet: use `http://HOST:PORT` or `unix:/PATH`")]
    Tls,
    /// It has no scheme that is known.
    #[error("an endpoint is `http://HOST:PORT` or `unix:/PATH`")]
    Scheme,
    /// It has user information.
    #[error("an endpoint has no user information")]
    UserInformation,
    /// It has a path, a query or a fragment.
    #[error("an endpoint ends after its port: `http://HOST:PORT`")]
    Path,
    /// It has no port, or not one from 1 to 65535.
    #[error("an endpoint has a port from 1 to 65535: `http://HOST:PORT`")]
    Port,
    /// Its host is neither a name nor an address.
    #[error("the host of an endpoint is a name, an IPv4 address, or an IPv6 address in brackets")]
    Host,
    /// Its socket path is not absolute, or too long.
    #[error("a unix endpoint is an absolute path of at most 107 bytes: `unix:/PATH`")]
    SocketPath,
}

impl Endpoint {
    pub(crate) fn address(&self) -> &Address {
        &self.0
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if let Some(path) = text.strip_prefix("unix:") {
            // `unix:///run/x` is how gRPC writes `unix:/run/x`.
            unix(path.strip_prefix("//").unwrap_or(path))
        } else if let Some(authority) = text.strip_prefix("http://") {
            tcp(authority)
        } else if text.starts_with("https:") {
            Err(EndpointError::Tls)
        } else {
            Err(EndpointError::Scheme)
        }
    }
}

fn unix(path: &str) -> Result<Endpoint, EndpointError> {
    let is_path = path.starts_with('/')
        && path.len() > 1
        && path.len() <= SOCKET_PATH_BYTES_MAX
        && !path.contains('\0');
    is_path
        .then(|| Endpoint(Address::Unix(path.into())))
        .ok_or(EndpointError::SocketPath)
}

fn tcp(authority: &str) -> Result<Endpoint, EndpointError> {
    if authority.contains('@') {
        return Err(EndpointError::UserInformation);
    }
    if authority.contains(['/', '?', '#', '\\']) {
        return Err(EndpointError::Path);
    }
    let (host, port) = authority.rsplit_once(':').ok_or(EndpointError::Port)?;
    if !is_host(host) {
        return Err(EndpointError::Host);
    }
    // A sign or a leading zero is a port to `u16` and to nobody else.
    let is_plain = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
    match port.parse::<u16>() {
        Ok(port) if is_plain => Ok(Endpoint(Address::Tcp {
            host: host.to_owned(),
            port,
        })),
        Ok(_) | Err(_) => Err(EndpointError::Port),
    }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    !host.is_empty()
        && host.len() <= HOST_BYTES_MAX
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Address::Tcp { host, port } => write!(f, "http://{host}:{port}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_reads_back() {
        for text in [
            "http://127.0.0.1:7117",
            "http://[::1]:7117",
            "http://spark-1.lan:1",
            "unix:/run/admit.sock",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        assert_eq!(
            "unix:///run/a".parse::<Endpoint>().unwrap().to_string(),
            "unix:/run/a"
        );
    }

    #[test]
    fn anything_else_is_refused_without_repeating_it() {
        use EndpointError::{Host, Path, Port, Scheme, SocketPath, Tls, UserInformation};
        let long = format!("unix:/{}", "a".repeat(SOCKET_PATH_BYTES_MAX));
        for (text, error) in [
            ("", Scheme),
            ("127.0.0.1:7117", Scheme),
            ("grpc://h:1", Scheme),
            ("HTTP://h:1", Scheme),
            ("https://h:1", Tls),
            ("http://jp:hunter2@h:1", UserInformation),
            ("http://h:1/", Path),
            ("http://h:1?x", Path),
            ("http://h", Port),
            ("http://h:", Port),
            ("http://h:0", Port),
            ("http://h:+1", Port),
            ("http://h:01", Port),
            ("http://h:65536", Port),
            ("http://:1", Host),
            ("http://::1:1", Host),
            ("http://[::1:1", Host),
            ("http://h x:1", Host),
            ("http://h\u{e9}:1", Host),
            ("unix:", SocketPath),
            ("unix:run/a", SocketPath),
            ("unix://run/a", SocketPath),
            ("unix:/", SocketPath),
            ("unix:/a\0b", SocketPath),
            (&long, SocketPath),
        ] {
            let refused = text.parse::<Endpoint>().unwrap_err();
            assert_eq!(refused, error, "{text}");
            assert!(!refused.to_string().contains("hunter2"));
        }
    }
}
