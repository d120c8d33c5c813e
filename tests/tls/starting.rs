//! What is wrong at the start is said so that it can be mended.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
};

use admit_server::transport::tls::{
    AUTHORITIES_MAX, CERTIFICATES_BYTES_MAX, KEY_BYTES_MAX, SERVER_CHAIN_MAX,
};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    SanType, date_time_ymd,
};

use crate::{
    authority::{FUTURE, Issued},
    client::params,
    site::{Site, write_key},
};

/// Which file is broken, and how.
enum Broken {
    Certificate(Vec<u8>),
    Server(Issued),
    Key(Vec<u8>),
    ClientCa(Vec<u8>),
}

/// A server's certificate with this change.
fn server(site: &Site, change: impl FnOnce(&mut CertificateParams)) -> Broken {
    let (mut params, key) = (params(), KeyPair::generate().unwrap());
    change(&mut params);
    Broken::Server(Issued {
        certificate: params
            .signed_by(&key, &site.authority.issuer)
            .unwrap()
            .pem(),
        key: key.serialize_pem(),
    })
}

/// An authority's certificate with this change.
fn authority(change: impl FnOnce(&mut CertificateParams)) -> Broken {
    let (mut params, key) = (params(), KeyPair::generate().unwrap());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    change(&mut params);
    Broken::ClientCa(params.self_signed(&key).unwrap().pem().into())
}

fn padded(text: &str, bytes: u64) -> Vec<u8> {
    let mut padded = text.as_bytes().to_vec();
    padded.resize(usize::try_from(bytes).unwrap(), b'\n');
    padded
}

/// What may be, and what may not: with a part of the error then.
#[expect(clippy::too_many_lines, reason = "a table: one row for each case")]
fn cases(site: &Site) -> Vec<(&'static str, Broken, Option<&'static str>)> {
    use Broken::{Certificate, ClientCa, Key};
    let good = site.authority.issue("localhost", FUTURE);
    let ca = site.authority.certificate.as_str();
    let certificate = fs::read_to_string(&site.config.certificate).unwrap();
    let key = fs::read_to_string(&site.config.key).unwrap();
    let cut = |text: &str| text.as_bytes()[..text.len() - 40].to_vec();
    let unreadable = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let useless = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    let locked =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let usages = |usages: Vec<ExtendedKeyUsagePurpose>| {
        server(site, |params| params.extended_key_usages = usages)
    };
    let chain = |count: usize| {
        let others = ca.repeat(count - 1);
        Certificate(format!("{certificate}{others}").into())
    };
    vec![
        (
            "what is good",
            Certificate(certificate.clone().into()),
            None,
        ),
        (
            "empty",
            Certificate(Vec::new()),
            Some("`-----BEGIN CERTIFICATE-----`"),
        ),
        (
            "no PEM",
            Certificate(b"canary".to_vec()),
            Some("holds no certificate"),
        ),
        (
            "cut short",
            Certificate(cut(&certificate)),
            Some("copy it again"),
        ),
        (
            "unreadable",
            Certificate(unreadable.into()),
            Some("cannot be read, the 1."),
        ),
        (
            "unreadable in the chain",
            Certificate(format!("{certificate}{unreadable}").into()),
            Some("the 2."),
        ),
        (
            "as large as may be",
            Certificate(padded(&certificate, CERTIFICATES_BYTES_MAX)),
            None,
        ),
        (
            "too large",
            Certificate(padded(&certificate, CERTIFICATES_BYTES_MAX + 1)),
            Some("too large"),
        ),
        ("as long as may be", chain(SERVER_CHAIN_MAX), None),
        (
            "too long",
            chain(SERVER_CHAIN_MAX + 1),
            Some("more than 8 certificates"),
        ),
        (
            "expired",
            server(site, |params| params.not_after = date_time_ymd(2029, 1, 1)),
            Some("expired at 2029-01-01T00:00:00Z"),
        ),
        (
            "not yet valid",
            server(site, |params| params.not_before = date_time_ymd(2031, 1, 1)),
            Some("not valid before 2031-01-01T00:00:00Z"),
        ),
        (
            "no name",
            server(site, |params| params.subject_alt_names.clear()),
            Some("subject alternative names"),
        ),
        (
            "a URI alone",
            server(site, |params| {
                params.subject_alt_names = vec![SanType::URI("spiffe://a/b".try_into().unwrap())];
            }),
            Some("subject alternative names"),
        ),
        (
            "an address alone",
            server(site, |params| {
                params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
            }),
            None,
        ),
        (
            "an authority's",
            server(site, |params| {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            }),
            Some("put the server's own first"),
        ),
        (
            "for clients",
            usages(vec![ExtendedKeyUsagePurpose::ClientAuth]),
            Some("`serverAuth`"),
        ),
        (
            "for servers",
            usages(vec![ExtendedKeyUsagePurpose::ServerAuth]),
            None,
        ),
        (
            "for everything",
            usages(vec![ExtendedKeyUsagePurpose::Any]),
            None,
        ),
        (
            "no key",
            Key(certificate.clone().into()),
            Some("holds no private key"),
        ),
        (
            "a key behind a passphrase",
            Key(locked.into()),
            Some("free of a passphrase"),
        ),
        ("a key cut short", Key(cut(&key)), Some("copy it again")),
        (
            "a key that is none",
            Key(useless.into()),
            Some("it has to be Ed25519"),
        ),
        (
            "a key of another",
            Key(good.key.into()),
            Some("is not the private key of"),
        ),
        (
            "a key as large as may be",
            Key(padded(&key, KEY_BYTES_MAX)),
            None,
        ),
        (
            "a key too large",
            Key(padded(&key, KEY_BYTES_MAX + 1)),
            Some("too large"),
        ),
        (
            "no authority",
            ClientCa(Vec::new()),
            Some("holds no certificate"),
        ),
        (
            "an authority that is none",
            ClientCa(format!("{ca}{certificate}").into()),
            Some("not one of an authority, the 2."),
        ),
        (
            "an authority that cannot be read",
            ClientCa(unreadable.into()),
            Some("the 1. of them"),
        ),
        (
            "an authority that may not issue",
            authority(|params| params.key_usages = vec![KeyUsagePurpose::CrlSign]),
            Some("`keyCertSign`"),
        ),
        (
            "an authority that may issue",
            authority(|params| params.key_usages = vec![KeyUsagePurpose::KeyCertSign]),
            None,
        ),
        (
            "an authority that has expired",
            authority(|params| params.not_after = date_time_ymd(2029, 1, 1)),
            Some("valid now"),
        ),
        (
            "an authority to come",
            authority(|params| params.not_before = date_time_ymd(2031, 1, 1)),
            Some("valid now"),
        ),
        (
            "as many authorities as may be",
            ClientCa(ca.repeat(AUTHORITIES_MAX).into()),
            None,
        ),
        (
            "too many authorities",
            ClientCa(ca.repeat(AUTHORITIES_MAX + 1).into()),
            Some("more than 256"),
        ),
    ]
}

// No runtime is there: nothing of it is needed.
#[test]
fn a_fault_is_named_with_its_key_its_file_and_what_mends_it() {
    let site = Site::new();
    let good = (
        fs::read(&site.config.certificate).unwrap(),
        fs::read_to_string(&site.config.key).unwrap(),
    );
    for (name, broken, message) in cases(&site) {
        fs::write(&site.config.certificate, &good.0).unwrap();
        write_key(&site.config.key, &good.1);
        fs::write(&site.config.client_ca, &site.authority.certificate).unwrap();
        let (key, path) = match broken {
            Broken::Certificate(bytes) => {
                fs::write(&site.config.certificate, bytes).unwrap();
                ("`tls.certificate`", &site.config.certificate)
            }
            Broken::Server(server) => {
                site.put(&server);
                ("`tls.certificate`", &site.config.certificate)
            }
            Broken::Key(bytes) => {
                fs::write(&site.config.key, bytes).unwrap();
                ("`tls.key`", &site.config.key)
            }
            Broken::ClientCa(bytes) => {
                fs::write(&site.config.client_ca, bytes).unwrap();
                ("`tls.client_ca`", &site.config.client_ca)
            }
        };
        let opened = site.try_open();
        let Some(message) = message else {
            assert!(opened.is_ok(), "{name}: {:?}", opened.err());
            continue;
        };
        let error = opened.err().unwrap_or_else(|| panic!("{name}")).to_string();
        for part in [key, path.to_str().unwrap(), message] {
            assert!(error.contains(part), "{name}: {error}");
        }
        assert!(!error.contains("canary"), "{error}");
    }
}

#[test]
fn a_file_has_to_be_a_file_and_a_key_private() {
    let site = Site::new();
    for (mode, is_fine) in [
        (0o600, true),
        (0o400, true),
        (0o640, false),
        (0o604, false),
        (0o620, false),
    ] {
        fs::set_permissions(&site.config.key, Permissions::from_mode(mode)).unwrap();
        let opened = site.try_open();
        assert_eq!(opened.is_ok(), is_fine, "{mode:o}");
        if let Err(error) = opened {
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }
    for at in 0..3 {
        let mut site = Site::new();
        let path = match at {
            0 => &mut site.config.certificate,
            1 => &mut site.config.key,
            _ => &mut site.config.client_ca,
        };
        let former = std::mem::replace(path, site.folder.path().into());
        let error = site.try_open().unwrap_err().to_string();
        assert!(error.contains("is not a regular file"), "{error}");
        fs::remove_file(&former).unwrap();
        // A pipe without a writer is not waited for.
        let mode = rustix::fs::Mode::RUSR;
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &former, kind, mode, 0).unwrap();
        let path = match at {
            0 => &mut site.config.certificate,
            1 => &mut site.config.key,
            _ => &mut site.config.client_ca,
        };
        *path = former.clone();
        let error = site.try_open().unwrap_err().to_string();
        assert!(error.contains("is not a regular file"), "{error}");
        fs::remove_file(&former).unwrap();
        let error = site.try_open().unwrap_err().to_string();
        assert!(error.contains("cannot be read"), "{error}");
    }
}
