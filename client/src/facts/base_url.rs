//! The base URL of the local provider, read as Case's `fetch` reads it, or not at all.
//!
//! It is parsed here and nowhere else. Neither it nor a part of it leaves this host but to the endpoint
//! itself, and so nothing in here can be printed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};

/// Most parts of an IPv4 address.
const IPV4_PARTS_MAX: usize = 4;

/// A base URL that reads in one way only.
#[derive(PartialEq, Eq)]
pub(super) struct BaseUrl<'a> {
    pub(super) is_tls: bool,
    pub(super) host: Host<'a>,
    pub(super) port: u16,
    /// Its path, with the query and the fragment if there are any.
    pub(super) path: &'a str,
}

/// The host of a base URL.
#[derive(PartialEq, Eq)]
pub(super) enum Host<'a> {
    /// An address, in whichever spelling.
    Address(IpAddr),
    /// A name for the resolver.
    Name(&'a str),
}

impl BaseUrl<'_> {
    /// Every address of the host. Waits for the resolver.
    pub(super) fn addresses(&self) -> Option<Vec<SocketAddr>> {
        match self.host {
            Host::Address(address) => Some(vec![SocketAddr::new(address, self.port)]),
            Host::Name(name) => Some((name, self.port).to_socket_addrs().ok()?.collect()),
        }
    }

    /// Whether the port is the one of its scheme.
    pub(super) fn has_default_port(&self) -> bool {
        self.port == default_port(self.is_tls)
    }
}

fn default_port(is_tls: bool) -> u16 {
    if is_tls { 443 } else { 80 }
}

/// Reads a base URL. Strict: what could be read in two ways has no host.
pub(super) fn parse(base_url: &str) -> Option<BaseUrl<'_>> {
    let (scheme, rest) = base_url.split_once("://")?;
    let is_tls = if scheme.eq_ignore_ascii_case("http") {
        false
    } else if scheme.eq_ignore_ascii_case("https") {
        true
    } else {
        return None;
    };
    if rest.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
        return None;
    }
    let (authority, path) = match rest.find(['/', '?', '#']) {
        Some(at) => rest.split_at_checked(at)?,
        None => (rest, ""),
    };
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (address, port) = bracketed.split_once(']')?;
            let address = address.parse::<Ipv6Addr>().ok()?;
            let port = match port {
                "" => None,
                port => Some(port.strip_prefix(':')?),
            };
            (Host::Address(address.into()), port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host_of(host)?, Some(port)),
            None => (host_of(authority)?, None),
        },
    };
    let port = match port {
        None => default_port(is_tls),
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok()?,
        Some(_) => return None,
    };
    Some(BaseUrl {
        is_tls,
        host,
        port,
        path,
    })
}

fn host_of(text: &str) -> Option<Host<'_>> {
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    if text.is_empty() || !text.bytes().all(is_host) {
        return None;
    }
    if !ends_in_number(text) {
        return Some(Host::Name(text));
    }
    ipv4(text).map(|address| Host::Address(address.into()))
}

/// Whether a URL parser takes the host for an IPv4 address: its last part is a number.
fn ends_in_number(host: &str) -> bool {
    let last = parts(host).last().copied().unwrap_or_default();
    (!last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit())) || number(last).is_some()
}

/// The parts of a host. A dot at its end makes none.
fn parts(host: &str) -> Vec<&str> {
    host.strip_suffix('.').unwrap_or(host).split('.').collect()
}

/// An IPv4 address as a URL parser reads it: up to four numbers, each decimal, octal or hexadecimal, the
/// last of which fills all the bytes that are left.
fn ipv4(host: &str) -> Option<Ipv4Addr> {
    let parts = parts(host);
    let (last, leading) = parts.split_last()?;
    if parts.len() > IPV4_PARTS_MAX {
        return None;
    }
    let mut address: u64 = 0;
    for part in leading {
        let byte = u8::try_from(number(part)?).ok()?;
        address = address.checked_shl(8)? | u64::from(byte);
    }
    let bits = u32::try_from(IPV4_PARTS_MAX.checked_sub(leading.len())?)
        .ok()?
        .checked_mul(8)?;
    let last = number(last)?;
    if last >= 1_u64.checked_shl(bits)? {
        return None;
    }
    let address = address.checked_shl(bits)? | last;
    u32::try_from(address).ok().map(Ipv4Addr::from)
}

fn number(part: &str) -> Option<u64> {
    let (digits, radix) = match part.as_bytes() {
        [] => return None,
        [b'0', b'x' | b'X', ..] => (part.get(2..)?, 16),
        [b'0', _, ..] => (part.get(1..)?, 8),
        [..] => (part, 10),
    };
    if digits.is_empty() {
        return Some(0);
    }
    let is_number = digits.chars().all(|digit| digit.is_digit(radix));
    // What is too large for this type is too large for an address.
    is_number.then(|| u64::from_str_radix(digits, radix).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Option<String> {
        match parse(url)?.host {
            Host::Address(address) => Some(address.to_string()),
            Host::Name(_) => None,
        }
    }

    #[test]
    fn a_number_is_an_address_in_every_spelling() {
        for (url, due) in [
            ("http://127.0.0.1/", "127.0.0.1"),
            ("http://127.0.0.1./", "127.0.0.1"),
            ("http://2130706433/", "127.0.0.1"),
            ("http://0x7f.1/", "127.0.0.1"),
            ("http://0X7F000001/", "127.0.0.1"),
            ("http://0177.0.0.01/", "127.0.0.1"),
            ("http://017700000001/", "127.0.0.1"),
            ("http://127.1/", "127.0.0.1"),
            ("http://127.0.257/", "127.0.1.1"),
            ("http://8.8.2056:1/", "8.8.8.8"),
            ("http://134744072/", "8.8.8.8"),
            ("http://010.0.0.1/", "8.0.0.1"),
            ("http://0x/", "0.0.0.0"),
            ("http://0/", "0.0.0.0"),
            ("http://4294967295/", "255.255.255.255"),
            ("http://[::ffff:127.0.0.1]/", "::ffff:127.0.0.1"),
        ] {
            assert_eq!(address(url).as_deref(), Some(due), "{url}");
        }
        for url in [
            "http://4294967296/",
            "http://1.2.3.256/",
            "http://256.2.3.4/",
            "http://1.2.65536/",
            "http://1.2.3.4.5/",
            "http://1..2/",
            "http://08.0.0.1/",
            "http://1.2.3.08/",
            "http://0xg.1/",
            "http://example.1/",
            "http://example.0x1/",
            "http://1.2.3.4../",
            "http://-1/",
            "http://99999999999999999999999/",
        ] {
            assert!(
                parse(url).is_none_or(|url| matches!(url.host, Host::Name(_))),
                "{url}"
            );
        }
        for url in [
            "http://08.0.0.1/",
            "http://example.1/",
            "http://1.2.3.08/",
            "http://0xfffffffffffffffffffff/",
        ] {
            assert!(parse(url).is_none(), "{url}");
        }
    }

    #[test]
    fn a_name_is_a_name() {
        for url in ["http://localhost/v1", "https://0xg.example", "http://x1"] {
            assert!(matches!(parse(url).unwrap().host, Host::Name(_)), "{url}");
        }
    }

    #[test]
    fn the_parts_of_a_base_url() {
        let url = parse("HTTPS://spark:8443/v1/?a#b").unwrap();
        assert!(url.is_tls && url.host == Host::Name("spark"));
        assert_eq!((url.port, url.path), (8443, "/v1/?a#b"));
        for (url, port) in [("http://a", 80), ("https://a/", 443), ("http://a?x", 80)] {
            let url = parse(url).unwrap();
            assert_eq!(url.port, port);
            assert!(url.has_default_port());
        }
        assert!(!parse("http://a:443").unwrap().has_default_port());
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_no_base_url() {
        for url in [
            "",
            "127.0.0.1:8000",
            "ftp://127.0.0.1/",
            "http:127.0.0.1",
            "http://",
            "http:///v1",
            "http://jp:hunter2@127.0.0.1/",
            "http://127.0.0.1\\@example.com/",
            "http://127.0.0.1 /",
            "http://127.0.0\t.1/",
            "http://127.0.0.1:port/",
            "http://127.0.0.1:99999/",
            "http://127.0.0.1:/",
            "http://127.0.0.1:+1/",
            "http://%31%32%37.0.0.1/",
            "http://127。0。0。1/",
            "http://[::1/",
            "http://[127.0.0.1]/",
            "http://[::1]8000/",
            "http://[fe80::1%eth0]/",
            "http://[fe80::1%25eth0]/",
            "http://::1/",
            "http://a_b/",
        ] {
            assert!(parse(url).is_none(), "{url}");
        }
    }
}
