//! Where the servers are: `https://HOST:PORT`, `http://HOST:PORT` or `unix:/PATH`, up to
//! [`ENDPOINTS_MAX`] of them.
//!
//! Deliberately absent: any [`Endpoint`] that speaks plaintext beyond loopback, unless it was made
//! by [`Endpoint::allow_plaintext_beyond_loopback`]. An error never repeats the text that it is
//! about: an endpoint that was mistyped may hold a password.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    path::PathBuf,
    str::FromStr,
};

/// Most endpoints of one client.
pub const ENDPOINTS_MAX: usize = 8;
/// Longest host name, in bytes.
const HOST_BYTES_MAX: usize = 253;
/// Longest path of a unix socket, in bytes; the kernel takes no longer one.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Where a server listens. It holds no secret and may be shown.
///
/// ```
/// use admit_client::{Endpoint, EndpointError};
///
/// for text in ["http://127.0.0.1:7117", "https://admit.lan:7117", "unix:/run/admit/admitd.sock"] {
///     assert_eq!(text.parse::<Endpoint>()?.to_string(), text);
/// }
/// // In plaintext, whoever is on the way could say ALLOW.
/// let plaintext = "http://admit.lan:7117".parse::<Endpoint>();
/// assert_eq!(plaintext, Err(EndpointError::PlaintextBeyondLoopback));
/// # Ok::<(), EndpointError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Address);

/// The kinds of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// Plaintext over TCP.
    Http(Authority),
    /// TLS over TCP.
    Https(Authority),
    /// A unix socket, by its absolute path.
    Unix(PathBuf),
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    /// Host name, IPv4 address, or IPv6 address in brackets.
    host: String,
    /// Never 0.
    port: u16,
}

/// One to [`ENDPOINTS_MAX`] endpoints in the order in which they are asked, none of them twice. The
/// text form has a comma between two of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints(Vec<Endpoint>);

/// Why a text is no endpoint, or endpoints are no [`Endpoints`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It has no scheme that is known.
    #[error("an endpoint is `https://HOST:PORT`, `http://HOST:PORT` or `unix:/PATH`")]
    Scheme,
    /// It is `http` and its host is neither `localhost` nor a loopback address.
    #[error(
        "plaintext ends at this host, because beyond it anybody could answer ALLOW: use \
         `https://HOST:PORT`, or `http` with `localhost` or a loopback address"
    )]
    PlaintextBeyondLoopback,
    /// It has user information.
    #[error("an endpoint has no user information")]
    UserInformation,
    /// It has a path, a query or a fragment.
    #[error("an endpoint ends after its port: `https://HOST:PORT`")]
    Path,
    /// It has no port, or not one from 1 to 65535.
    #[error("an endpoint has a port from 1 to 65535: `https://HOST:PORT`")]
    Port,
    /// Its host is neither a name nor an address.
    #[error("the host of an endpoint is a name, an IPv4 address, or an IPv6 address in brackets")]
    Host,
    /// Its socket path is not absolute, or too long.
    #[error("a unix endpoint is an absolute path of at most 107 bytes: `unix:/PATH`")]
    SocketPath,
    /// There is none, or there are too many.
    #[error("there are 1 to 8 endpoints")]
    Count,
    /// One of them is there twice.
    #[error("an endpoint is there twice")]
    Twice,
}

impl Endpoint {
    /// The endpoint that `text` names, where plaintext `http` may lead to any host. Whoever is on the
    /// way there can then answer in the server's place, ALLOW included, and read what is asked. For a
    /// network that keeps others out by itself, such as a tunnel.
    ///
    /// # Errors
    ///
    /// As for [`Endpoint::from_str`], but never [`EndpointError::PlaintextBeyondLoopback`].
    pub fn allow_plaintext_beyond_loopback(text: &str) -> Result<Self, EndpointError> {
        if let Some(path) = text.strip_prefix("unix:") {
            // `unix:///run/x` is how gRPC writes `unix:/run/x`.
            unix(path.strip_prefix("//").unwrap_or(path))
        } else if let Some(authority) = text.strip_prefix("https://") {
            Authority::parse(authority).map(|authority| Self(Address::Https(authority)))
        } else if let Some(authority) = text.strip_prefix("http://") {
            Authority::parse(authority).map(|authority| Self(Address::Http(authority)))
        } else {
            Err(EndpointError::Scheme)
        }
    }

    /// Whether it speaks TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        matches!(self.0, Address::Https(_))
    }

    pub(crate) fn address(&self) -> &Address {
        &self.0
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    /// # Errors
    ///
    /// When `text` is no endpoint, and when it is plaintext beyond loopback.
    fn from_str(text: &str) -> Result<Self, EndpointError> {
        // INVARIANT: an endpoint in plaintext beyond loopback passes here or says so by name.
        match Self::allow_plaintext_beyond_loopback(text)? {
            Self(Address::Http(authority)) if !authority.is_loopback() => {
                Err(EndpointError::PlaintextBeyondLoopback)
            }
            endpoint => Ok(endpoint),
        }
    }
}

impl Endpoints {
    /// These endpoints, in this order.
    ///
    /// # Errors
    ///
    /// When there is none, when there are more than [`ENDPOINTS_MAX`], and when one is there twice.
    pub fn new(endpoints: impl IntoIterator<Item = Endpoint>) -> Result<Self, EndpointError> {
        let mut taken: Vec<Endpoint> = Vec::new();
        for endpoint in endpoints {
            if taken.len() == ENDPOINTS_MAX {
                return Err(EndpointError::Count);
            }
            if taken.contains(&endpoint) {
                return Err(EndpointError::Twice);
            }
            taken.push(endpoint);
        }
        if taken.is_empty() {
            return Err(EndpointError::Count);
        }
        Ok(Self(taken))
    }

    /// The endpoints in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Endpoint> {
        self.0.iter()
    }
}

impl FromStr for Endpoints {
    type Err = EndpointError;

    /// # Errors
    ///
    /// When one is no [`Endpoint`] by itself, and as for [`Endpoints::new`]. The path of a unix socket
    /// cannot hold a comma here.
    fn from_str(text: &str) -> Result<Self, EndpointError> {
        // One more than there may be shows that there are too many.
        let endpoints: Vec<Endpoint> = text
            .split(',')
            .take(ENDPOINTS_MAX.saturating_add(1))
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        Self::new(endpoints)
    }
}

impl From<Endpoint> for Endpoints {
    fn from(endpoint: Endpoint) -> Self {
        Self(vec![endpoint])
    }
}

impl From<&Endpoint> for Endpoints {
    fn from(endpoint: &Endpoint) -> Self {
        endpoint.clone().into()
    }
}

fn unix(path: &str) -> Result<Endpoint, EndpointError> {
    // A second slash would read as that of `unix://` in what is printed.
    let is_path = path.starts_with('/')
        && !path.starts_with("//")
        && path.len() > 1
        && path.len() <= SOCKET_PATH_BYTES_MAX
        && !path.contains('\0');
    is_path
        .then(|| Endpoint(Address::Unix(path.into())))
        .ok_or(EndpointError::SocketPath)
}

impl Authority {
    fn parse(authority: &str) -> Result<Self, EndpointError> {
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
            Ok(port) if is_plain => Ok(Self {
                host: host.to_owned(),
                port,
            }),
            Ok(_) | Err(_) => Err(EndpointError::Port),
        }
    }

    /// Whether it is on this host: `localhost`, or an address written in full. `127.1` and the like
    /// are names to some and addresses to others.
    fn is_loopback(&self) -> bool {
        let address = self
            .host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(&self.host);
        self.host.eq_ignore_ascii_case("localhost")
            || address
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Whether `host` is a name, an IPv4 address, or an IPv6 address in brackets.
pub(crate) fn is_host(host: &str) -> bool {
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
            Address::Http(authority) => write!(f, "http://{authority}"),
            Address::Https(authority) => write!(f, "https://{authority}"),
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
            "http://127.9.9.9:7117",
            "http://[::1]:7117",
            "http://localhost:1",
            "https://spark-1.lan:1",
            "https://192.0.2.1:65535",
            "https://[2001:db8::1]:7117",
            "unix:/run/admit.sock",
        ] {
            let endpoint = text.parse::<Endpoint>().unwrap();
            assert_eq!(endpoint.to_string(), text);
            assert_eq!(endpoint.is_tls(), text.starts_with("https"));
            assert_eq!(
                Endpoint::allow_plaintext_beyond_loopback(text),
                Ok(endpoint)
            );
        }
        assert_eq!(
            "unix:///run/a".parse::<Endpoint>().unwrap().to_string(),
            "unix:/run/a"
        );
    }

    #[test]
    fn plaintext_ends_at_loopback_unless_its_name_is_said() {
        for text in [
            "http://spark-1.lan:1",
            "http://192.0.2.1:1",
            "http://0.0.0.0:1",
            "http://100.64.0.1:1",
            "http://127.1:1",
            "http://2130706433:1",
            "http://localhost.lan:1",
            "http://127.0.0.1.lan:1",
            "http://[::]:1",
            "http://[2001:db8::1]:1",
            "http://[::ffff:192.0.2.1]:1",
        ] {
            assert_eq!(
                text.parse::<Endpoint>(),
                Err(EndpointError::PlaintextBeyondLoopback),
                "{text}"
            );
            assert_eq!(
                format!("unix:/a,{text}").parse::<Endpoints>(),
                Err(EndpointError::PlaintextBeyondLoopback),
                "{text}"
            );
            let allowed = Endpoint::allow_plaintext_beyond_loopback(text).unwrap();
            assert_eq!(allowed.to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_refused_without_repeating_it() {
        use EndpointError::{Host, Path, Port, Scheme, SocketPath, UserInformation};
        let long = format!("unix:/{}", "a".repeat(SOCKET_PATH_BYTES_MAX));
        let long_host = format!("https://{}:1", "a".repeat(HOST_BYTES_MAX + 1));
        for (text, error) in [
            ("", Scheme),
            ("127.0.0.1:7117", Scheme),
            ("grpc://h:1", Scheme),
            ("HTTP://h:1", Scheme),
            ("https:h:1", Scheme),
            ("http://jp:hunter2@h:1", UserInformation),
            ("https://jp:hunter2@h:1", UserInformation),
            ("http://h:1/", Path),
            ("https://h:1?x", Path),
            ("http://h", Port),
            ("https://h:", Port),
            ("https://h:0", Port),
            ("http://h:+1", Port),
            ("http://h:01", Port),
            ("http://h:65536", Port),
            ("http://:1", Host),
            ("http://::1:1", Host),
            ("https://[::1:1", Host),
            ("https://[localhost]:1", Host),
            ("http://h x:1", Host),
            ("http://h\u{e9}:1", Host),
            (&long_host, Host),
            ("unix:", SocketPath),
            ("unix:run/a", SocketPath),
            ("unix://run/a", SocketPath),
            ("unix:/", SocketPath),
            ("unix:////run/a", SocketPath),
            ("unix:/a\0b", SocketPath),
            (&long, SocketPath),
        ] {
            for refused in [
                text.parse::<Endpoint>().unwrap_err(),
                Endpoint::allow_plaintext_beyond_loopback(text).unwrap_err(),
            ] {
                assert_eq!(refused, error, "{text}");
                assert!(!refused.to_string().contains("hunter2"));
            }
        }
    }

    #[test]
    fn there_are_one_to_eight_endpoints_and_none_twice() {
        let of = |count: usize| {
            (0..count)
                .map(|at| format!("unix:/{at}"))
                .collect::<Vec<_>>()
                .join(",")
        };
        for count in [1, 2, ENDPOINTS_MAX] {
            let endpoints: Endpoints = of(count).parse().unwrap();
            let texts: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
            assert_eq!(texts.join(","), of(count));
        }
        for (text, error) in [
            (of(ENDPOINTS_MAX + 1), EndpointError::Count),
            (of(100), EndpointError::Count),
            (of(0), EndpointError::Scheme),
            ("unix:/a,".into(), EndpointError::Scheme),
            ("unix:/a,unix:/b,unix:/a".into(), EndpointError::Twice),
        ] {
            assert_eq!(text.parse::<Endpoints>(), Err(error), "{text}");
        }
        assert_eq!(Endpoints::new([]), Err(EndpointError::Count));
        assert!(
            EndpointError::Count
                .to_string()
                .contains(&ENDPOINTS_MAX.to_string())
        );
    }
}
