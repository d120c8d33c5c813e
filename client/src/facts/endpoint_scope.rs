//! From where the local provider's endpoint can be reached.
//!
//! Of all the addresses that a name has, the widest scope counts: Case may be led to any of them. What
//! is not known to be narrow is public, `0.0.0.0` and addresses that wrap or translate others included.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use admit_policy::facts::EndpointScope;

use super::base_url;

/// Where a base URL leads.
pub(super) struct Endpoint {
    /// The widest scope of the addresses.
    pub(super) scope: EndpointScope,
    /// The addresses that the scope was judged on, at least one.
    pub(super) addresses: Vec<SocketAddr>,
}

/// The endpoint of `base_url`; `None` when it has no host that can be told, or the host no address.
/// Waits for the resolver.
pub(super) fn resolve(base_url: &str) -> Option<Endpoint> {
    let addresses = base_url::parse(base_url)?.addresses()?;
    let scope = widest(addresses.iter().map(SocketAddr::ip))?;
    Some(Endpoint { scope, addresses })
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
            ("http://2130706433/", EndpointScope::Loopback),
            ("http://0x7f.1/", EndpointScope::Loopback),
            ("http://0177.1/", EndpointScope::Loopback),
            ("http://127.0.0.1./", EndpointScope::Loopback),
            // Octal: the address 8.0.0.1, not 10.0.0.1.
            ("http://010.0.0.1/", EndpointScope::Public),
            ("http://1681915905/", EndpointScope::Tailnet),
            ("http://0.0.0.0/", EndpointScope::Public),
            ("http://0/", EndpointScope::Public),
            ("http://[::ffff:8.8.8.8]/", EndpointScope::Public),
            ("http://[::ffff:100.64.0.1]/", EndpointScope::Tailnet),
            ("http://[fe80::1]/", EndpointScope::Private),
        ] {
            let endpoint = resolve(url).unwrap();
            assert_eq!(endpoint.scope, scope, "{url}");
        }
    }

    #[test]
    fn what_is_no_base_url_has_no_scope() {
        for url in [
            "",
            "http://jp:hunter2@127.0.0.1/",
            "http://[fe80::1%lo]/",
            "http://08.0.0.1/",
            "http://127.0.0.1:/",
        ] {
            assert!(resolve(url).is_none(), "{url}");
        }
    }

    #[test]
    fn the_addresses_are_those_that_were_judged() {
        let endpoint = resolve("http://0x7f.1:8000/v1").unwrap();
        assert_eq!(endpoint.addresses, ["127.0.0.1:8000".parse().unwrap()]);
        let endpoint = resolve("http://localhost:8000/v1").unwrap();
        assert_eq!(endpoint.scope, EndpointScope::Loopback);
        assert!(!endpoint.addresses.is_empty());
    }
}
