//! From where the local provider's endpoint can be reached.
//!
//! The base URL is parsed here and nowhere else, and neither it nor a part of it leaves this module:
//! what leaves is a scope.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs as _};

use admit_policy::facts::EndpointScope;

/// The widest scope of the addresses that the host of `base_url` resolves to; `None` when it has no
/// host that can be told, or the host no address. Waits for the resolver.
pub(super) fn resolve(base_url: &str) -> Option<EndpointScope> {
    let (host, port) = host_and_port(base_url)?;
    let addresses = (host, port).to_socket_addrs().ok()?;
    widest(addresses.map(|address| address.ip()))
}

/// The host and the port of a base URL. Strict: what could be read in two ways has no host.
fn host_and_port(base_url: &str) -> Option<(&str, u16)> {
    let (scheme, rest) = base_url.split_once("://")?;
    let default_port = if scheme.eq_ignore_ascii_case("http") {
        80
    } else if scheme.eq_ignore_ascii_case("https") {
        443
    } else {
        return None;
    };
    if rest.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, port) = bracketed.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            match port {
                "" => (host, None),
                port => (host, Some(port.strip_prefix(':')?)),
            }
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':');
    if host.is_empty() || !host.bytes().all(is_host) {
        return None;
    }
    let port = match port {
        None => default_port,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok()?,
        Some(_) => return None,
    };
    Some((host, port))
}

fn widest(addresses: impl Iterator<Item = IpAddr>) -> Option<EndpointScope> {
    addresses.map(scope_of).max()
}

fn scope_of(address: IpAddr) -> EndpointScope {
    match address.to_canonical() {
        IpAddr::V4(address) => scope_of_v4(address),
        IpAddr::V6(address) => scope_of_v6(address),
    }
}

fn scope_of_v4(address: Ipv4Addr) -> EndpointScope {
    let [first, second, ..] = address.octets();
    if address.is_loopback() {
        EndpointScope::Loopback
    } else if address.is_private() || address.is_link_local() {
        EndpointScope::Private
    } else if first == 100 && (64..128).contains(&second) {
        EndpointScope::Tailnet
    } else {
        EndpointScope::Public
    }
}

fn scope_of_v6(address: Ipv6Addr) -> EndpointScope {
    if address.is_loopback() {
        EndpointScope::Loopback
    } else if matches!(address.segments(), [0xfd7a, 0x115c, 0xa1e0, ..]) {
        EndpointScope::Tailnet
    } else if address.is_unique_local() || address.is_unicast_link_local() {
        EndpointScope::Private
    } else {
        EndpointScope::Public
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scope() {
        use EndpointScope::{Loopback, Private, Public, Tailnet};
        for (address, scope) in [
            ("127.0.0.1", Loopback),
            ("127.255.0.1", Loopback),
            ("::1", Loopback),
            ("::ffff:127.0.0.1", Loopback),
            ("10.0.0.1", Private),
            ("172.16.0.1", Private),
            ("172.32.0.1", Public),
            ("192.168.1.1", Private),
            ("169.254.1.1", Private),
            ("fe80::1", Private),
            ("fc00::1", Private),
            ("fd12::1", Private),
            ("::ffff:10.0.0.1", Private),
            ("100.63.255.255", Public),
            ("100.64.0.0", Tailnet),
            ("100.127.255.255", Tailnet),
            ("100.128.0.0", Public),
            ("::ffff:100.64.0.1", Tailnet),
            ("fd7a:115c:a1e0::1", Tailnet),
            ("fd7a:115c:a1e1::1", Private),
            ("0.0.0.0", Public),
            ("::", Public),
            ("8.8.8.8", Public),
            ("::ffff:8.8.8.8", Public),
            ("::127.0.0.1", Public),
            ("64:ff9b::a00:1", Public),
            ("2001:db8::1", Public),
        ] {
            assert_eq!(scope_of(address.parse().unwrap()), scope, "{address}");
        }
    }

    #[test]
    fn the_widest_scope_wins() {
        let widest_of =
            |addresses: &[&str]| widest(addresses.iter().map(|address| address.parse().unwrap()));
        assert_eq!(
            widest_of(&["127.0.0.1", "100.64.0.1", "10.0.0.1"]),
            Some(EndpointScope::Tailnet)
        );
        assert_eq!(
            widest_of(&["8.8.8.8", "127.0.0.1"]),
            Some(EndpointScope::Public)
        );
        assert_eq!(widest_of(&[]), None);
    }

    #[test]
    fn a_base_url_resolves() {
        for (url, scope) in [
            ("http://127.0.0.1:8000/v1", EndpointScope::Loopback),
            ("HTTP://[::1]/v1", EndpointScope::Loopback),
            ("http://[fd7a:115c:a1e0::1]:8000", EndpointScope::Tailnet),
            ("https://10.1.2.3", EndpointScope::Private),
        ] {
            assert_eq!(resolve(url), Some(scope), "{url}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_has_no_scope() {
        for url in [
            "",
            "127.0.0.1:8000",
            "ftp://127.0.0.1/",
            "http://",
            "http:///v1",
            "http://jp:hunter2@127.0.0.1/",
            "http://127.0.0.1\\@example.com/",
            "http://127.0.0.1 /",
            "http://127.0.0.1:port/",
            "http://127.0.0.1:99999/",
            "http://%31%32%37.0.0.1/",
            "http://127。0。0。1/",
            "http://[::1/",
            "http://[127.0.0.1]/",
            "http://[::1]8000/",
            "http://::1/",
        ] {
            assert_eq!(host_and_port(url), None, "{url}");
            assert_eq!(resolve(url), None, "{url}");
        }
    }
}
