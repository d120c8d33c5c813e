//! One handshake each: certificates named for their defect, and clients that are none.

use std::{sync::Arc, time::Duration};

use admit_server::{
    caller::HandshakeDefect,
    caller::{CERTIFICATE_NAMES_MAX, CertificateName, Peer},
    transport::tls::CLIENT_CHAIN_MAX,
};
use rcgen::{
    BasicConstraints, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SanType, date_time_ymd,
};
use ring::digest::{SHA256, digest};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::rustls::{
    AlertDescription,
    pki_types::{CertificateDer, pem::PemObject as _},
    version::TLS12,
};

use crate::{
    authority::Authority,
    client::{Client, Greeting, NAME, Shown, params, shown, shown_with},
    site::{PATIENCE, Site, log_of, meet},
};

const URI: &str = "spiffe://example.org/Spark/1";

fn uri() -> SanType {
    SanType::URI(URI.try_into().unwrap())
}

fn dns(count: usize) -> Vec<SanType> {
    let name = |at| SanType::DnsName(format!("spark-{at}.example").try_into().unwrap());
    (0..count).map(name).collect()
}

/// An authority below `issuer`, and its certificate.
fn intermediate(issuer: &Issuer<'static, KeyPair>) -> (Issuer<'static, KeyPair>, Shown) {
    let own = shown(issuer, |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    let mut params = params();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::try_from(own.key.serialize_der()).unwrap();
    (Issuer::new(params, key), own)
}

/// The same certificate, with `from` replaced by `to` in it.
fn tampered(shown: &Shown, from: &[u8], to: &[u8]) -> Shown {
    let mut der = shown.chain[0].to_vec();
    let at = der.windows(from.len()).rposition(|window| window == from);
    let at = at.unwrap();
    der[at..at + to.len()].copy_from_slice(to);
    Shown {
        chain: vec![der.into()],
        ..shown.clone()
    }
}

/// Certificates, each named for its one defect.
#[expect(clippy::too_many_lines, reason = "a table: one row for each case")]
fn defective(authority: &Authority) -> Vec<(&'static str, Shown, HandshakeDefect)> {
    use HandshakeDefect as D;
    let issuer = &authority.issuer;
    let good = shown(issuer, |_| ());
    let other = Authority::new();
    let only_for = |purpose: ExtendedKeyUsagePurpose| {
        shown(issuer, |params| params.extended_key_usages = vec![purpose])
    };
    let named = |names: Vec<SanType>| shown(issuer, |params| params.subject_alt_names = names);
    let key = KeyPair::generate().unwrap();
    let self_signed = Shown {
        chain: vec![params().self_signed(&key).unwrap().der().clone()],
        key: Arc::new(key),
    };
    let (below, own) = intermediate(issuer);
    let mut too_long = good.clone();
    too_long.chain = vec![good.chain[0].clone(); CLIENT_CHAIN_MAX + 1];
    let der = good.chain[0].to_vec();
    let with_der = |der: Vec<u8>| Shown {
        chain: vec![der.into()],
        ..good.clone()
    };
    let [first, .., last] = der[..] else { panic!() };
    let end = |year| {
        shown(issuer, |params| {
            params.not_after = date_time_ymd(year, 1, 1);
        })
    };
    let begin = |year| {
        shown(issuer, |params| {
            params.not_before = date_time_ymd(year, 1, 1);
        })
    };
    let root = CertificateDer::from_pem_slice(authority.certificate.as_bytes()).unwrap();
    vec![
        ("expired", end(2029), D::Expired),
        ("not yet valid", begin(2031), D::NotYetValid),
        (
            "wrong authority",
            shown(&other.issuer, |_| ()),
            D::UnknownAuthority,
        ),
        ("self-signed", self_signed, D::UnknownAuthority),
        (
            "intermediate left out",
            shown(&below, |_| ()),
            D::UnknownAuthority,
        ),
        (
            "for servers",
            only_for(ExtendedKeyUsagePurpose::ServerAuth),
            D::WrongPurpose,
        ),
        (
            "for code",
            only_for(ExtendedKeyUsagePurpose::CodeSigning),
            D::WrongPurpose,
        ),
        ("an authority's", own, D::WrongPurpose),
        ("the root itself", with_der(root.to_vec()), D::WrongPurpose),
        (
            "another key's",
            Shown {
                key: Arc::new(KeyPair::generate().unwrap()),
                ..good.clone()
            },
            D::BadSignature,
        ),
        (
            "name changed",
            tampered(&good, b"spark-1", b"spark-2"),
            D::BadSignature,
        ),
        (
            "signature changed",
            with_der([&der[..der.len() - 1], &[last ^ 1]].concat()),
            D::BadSignature,
        ),
        ("no name", named(Vec::new()), D::UnusableNames),
        (
            "a mail address",
            named(vec![SanType::Rfc822Name("a@b.example".try_into().unwrap())]),
            D::UnusableNames,
        ),
        (
            "an address",
            named(vec![SanType::IpAddress([127, 0, 0, 1].into())]),
            D::UnusableNames,
        ),
        (
            "too many names",
            named(dns(CERTIFICATE_NAMES_MAX + 1)),
            D::UnusableNames,
        ),
        (
            "garbage",
            with_der(b"no certificate".to_vec()),
            D::MalformedCertificate,
        ),
        (
            "cut short",
            with_der(der[..der.len() - 1].to_vec()),
            D::MalformedCertificate,
        ),
        (
            "more after it",
            with_der([&der[..], &[first]].concat()),
            D::MalformedCertificate,
        ),
        ("too long a chain", too_long, D::MalformedCertificate),
    ]
}

#[tokio::test]
async fn a_certificate_is_refused_for_its_defect_and_the_peer_is_not_told_which() {
    let site = Site::new();
    let (tls, _follower) = site.open();
    for (name, shown, defect) in defective(&site.authority) {
        let before = site.failed(defect);
        let fingerprint: String = digest(&SHA256, &shown.chain[0])
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let client = Client::new(&site.authority, Some(shown));
        let meeting = meet(&tls, PATIENCE, |stream| client.greet(stream)).await;
        assert_eq!(meeting.served.err(), Some(defect), "{name}");
        assert_eq!(site.failed(defect), before + 1, "{name}");
        let Greeting::Alert(AlertDescription::CertificateUnknown) = meeting.client else {
            panic!("{name}: {:?}", meeting.client);
        };
        let log = log_of(&fingerprint);
        let told = log
            .iter()
            .find(|line| line.contains(&meeting.from.to_string()));
        let told = told.unwrap_or_else(|| panic!("{name}: {log:?}"));
        assert!(told.contains(&format!("{:?}", defect.as_str())), "{told}");
        assert!(!told.contains("spark"), "{told}");
    }
}

#[tokio::test]
async fn a_client_without_what_is_asked_for_is_refused() {
    use HandshakeDefect as D;
    let site = Site::new();
    let (tls, _follower) = site.open();
    let good = Client::new(&site.authority, Some(shown(&site.authority.issuer, |_| ())));
    let speaking = |protocols: &[&[u8]]| Client {
        protocols: protocols.iter().map(|name| name.to_vec()).collect(),
        ..good.clone()
    };
    for (name, client, defect, alert) in [
        (
            "no certificate",
            Client::new(&site.authority, None),
            D::NoCertificate,
            Some(AlertDescription::CertificateRequired),
        ),
        (
            "TLS 1.2",
            Client {
                versions: vec![&TLS12],
                ..good.clone()
            },
            D::UnsupportedProtocol,
            Some(AlertDescription::ProtocolVersion),
        ),
        ("no ALPN", speaking(&[]), D::UnsupportedProtocol, None),
        (
            "another ALPN",
            speaking(&[b"http/1.1"]),
            D::UnsupportedProtocol,
            Some(AlertDescription::NoApplicationProtocol),
        ),
    ] {
        let before = site.failed(defect);
        let meeting = meet(&tls, PATIENCE, |stream| client.greet(stream)).await;
        assert_eq!(meeting.served.err(), Some(defect), "{name}");
        assert_eq!(site.failed(defect), before + 1, "{name}");
        match (meeting.client, alert) {
            (Greeting::Alert(got), Some(due)) => assert_eq!(got, due, "{name}"),
            (Greeting::Closed, None) => {}
            (other, _) => panic!("{name}: {other:?}"),
        }
        let told = log_of(&meeting.from.to_string());
        assert!(
            told.iter().any(|line| line.contains(defect.as_str())),
            "{told:?}"
        );
    }
    let two = speaking(&[b"http/1.1", b"h2"]);
    let meeting = meet(&tls, PATIENCE, |stream| two.greet(stream)).await;
    assert!(meeting.served.is_ok(), "{:?}", meeting.served);
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_server_goes_away() {
    let site = Site::new();
    let (tls, _follower) = site.open();
    let shown = shown(&site.authority.issuer, |_| ());
    let client = Client::new(&Authority::new(), Some(shown));
    let meeting = meet(&tls, PATIENCE, |stream| client.greet(stream)).await;
    assert_eq!(meeting.served.err(), Some(HandshakeDefect::RefusedByPeer));
    assert!(matches!(meeting.client, Greeting::OwnRefusal));
    assert_eq!(site.failed(HandshakeDefect::RefusedByPeer), 1);

    // So does one that says nothing.
    let meeting = meet(&tls, PATIENCE, |stream| async { drop(stream) }).await;
    assert_eq!(meeting.served.err(), Some(HandshakeDefect::RefusedByPeer));
    assert_eq!(site.failed(HandshakeDefect::RefusedByPeer), 2);
}

/// Sends these bytes, and gives what comes back until the end.
async fn send(mut stream: TcpStream, bytes: &[u8]) -> Vec<u8> {
    // The server may be gone already.
    let _ = stream.write_all(bytes).await;
    let mut got = Vec::new();
    let _ = stream.read_to_end(&mut got).await;
    got
}

#[tokio::test]
async fn what_is_no_tls_gets_no_text() {
    let site = Site::new();
    let (tls, _follower) = site.open();
    let random = [0xd1, 0x0b, 0x5e, 0x77, 0x90, 0x3c, 0xe8, 0x41].repeat(512);
    let version = [0x16, 0x09, 0x09, 0x00, 0x01, 0x01];
    for (name, bytes) in [
        ("HTTP", &b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"[..]),
        ("HTTP/2 in clear", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("random bytes", &random),
        ("a version that is none", &version),
    ] {
        let before = site.failed(HandshakeDefect::NotTls);
        let meeting = meet(&tls, PATIENCE, |stream| send(stream, bytes)).await;
        let served = meeting.served.err();
        assert_eq!(served, Some(HandshakeDefect::NotTls), "{name}");
        assert_eq!(site.failed(HandshakeDefect::NotTls), before + 1, "{name}");
        let got = meeting.client;
        let is_alert = got.len() == 7 && got.starts_with(&[0x15, 0x03]);
        assert!(got.is_empty() || is_alert, "{name}: {got:?}");
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_given_up() {
    let site = Site::new();
    let (tls, _follower) = site.open();
    // The head of a record that never comes whole.
    for (count, bytes) in [(1, &b""[..]), (2, &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01])] {
        let patience = Duration::from_millis(50);
        let meeting = meet(&tls, patience, |stream| send(stream, bytes)).await;
        assert_eq!(meeting.served.err(), Some(HandshakeDefect::TimedOut));
        assert_eq!(site.failed(HandshakeDefect::TimedOut), count);
        assert!(meeting.client.is_empty(), "{:?}", meeting.client);
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table: one row for each case")]
async fn a_good_certificate_is_let_in_by_its_names() {
    let site = Site::new();
    let (tls, _follower) = site.open();
    let issuer = &site.authority.issuer;
    let dns_name = |name: &str| CertificateName::Dns(name.into());
    let uri_name = || CertificateName::Uri(URI.into());
    let named = |names: Vec<SanType>| shown(issuer, |params| params.subject_alt_names = names);
    let upper = SanType::DnsName("Spark-1.EXAMPLE".try_into().unwrap());
    let for_clients = shown(issuer, |params| {
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
    });
    let (below, own) = intermediate(issuer);
    let mut chain = shown(&below, |_| ());
    chain.chain.extend(own.chain.clone());
    let mut longest = chain.clone();
    longest.chain.resize(CLIENT_CHAIN_MAX, own.chain[0].clone());
    let most = dns(CERTIFICATE_NAMES_MAX);
    let most_names = (0..CERTIFICATE_NAMES_MAX)
        .map(|at| dns_name(&format!("spark-{at}.example")))
        .collect();
    for (what, shown, names) in [
        ("DNS", shown(issuer, |_| ()), vec![dns_name(NAME)]),
        (
            "DNS in capitals",
            named(vec![upper.clone()]),
            vec![dns_name(NAME)],
        ),
        ("URI", named(vec![uri()]), vec![uri_name()]),
        (
            "both",
            named(vec![uri(), upper]),
            vec![dns_name(NAME), uri_name()],
        ),
        ("as many names as may be", named(most), most_names),
        ("for clients", for_clients, vec![dns_name(NAME)]),
        ("by an intermediate", chain, vec![dns_name(NAME)]),
        ("by the longest chain", longest, vec![dns_name(NAME)]),
        (
            "P-256",
            shown_with(&PKCS_ECDSA_P256_SHA256, issuer),
            vec![dns_name(NAME)],
        ),
        (
            "P-384",
            shown_with(&PKCS_ECDSA_P384_SHA384, issuer),
            vec![dns_name(NAME)],
        ),
        (
            "Ed25519",
            shown_with(&PKCS_ED25519, issuer),
            vec![dns_name(NAME)],
        ),
    ] {
        let client = Client::new(&site.authority, Some(shown));
        let meeting = meet(&tls, PATIENCE, |stream| client.greet(stream)).await;
        let secured = meeting
            .served
            .unwrap_or_else(|defect| panic!("{what}: {defect:?}"));
        let names = Arc::new(names.into_iter().collect());
        assert_eq!(
            secured.credential.peer(),
            Peer::Certificate { names },
            "{what}"
        );
        assert!(secured.credential.is_valid(&tls), "{what}");
        assert!(matches!(meeting.client, Greeting::Welcome(_)), "{what}");
        // Nothing of this handshake shortens the next one.
        let (_, connection) = secured.stream.get_ref();
        let kind = connection.handshake_kind();
        assert_eq!(kind, Some(tokio_rustls::rustls::HandshakeKind::Full));
    }
    assert!(
        log_of("a TLS handshake failed")
            .iter()
            .all(|line| !line.contains(URI))
    );
}

#[tokio::test]
async fn no_session_is_resumed() {
    let site = Site::new();
    let (tls, _follower) = site.open();
    let client = Client::new(&site.authority, Some(shown(&site.authority.issuer, |_| ())));
    let meeting = meet(&tls, PATIENCE, |stream| client.greet(stream)).await;
    let Greeting::Welcome(stream) = meeting.client else {
        panic!("{:?}", meeting.client);
    };
    // Tickets would come before what the server said first.
    assert_eq!(stream.get_ref().1.tls13_tickets_received(), 0);
}
