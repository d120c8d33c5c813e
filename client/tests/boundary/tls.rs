//! TLS: an answer comes only from whom the client trusts, to whom the server trusts.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use admit_client::{
    Answer, AskError, Client, Endpoint, Tls, TlsError, TlsOptions,
    tls::{CERTIFICATES_BYTES_MAX, KEY_BYTES_MAX},
};
use admit_proto::v1::{AdmitRequest, Lane};
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::{
    authority::{Authority, FUTURE, Issued},
    stub::Script,
};

/// A year that is over, or has begun.
const PAST: i32 = 2026;
const PATIENT: Duration = Duration::from_secs(30);

/// A folder for the files of a client.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: &str, mode: u32) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn trusting(&self, authority: &Authority) -> TlsOptions {
        TlsOptions {
            ca_file: Some(self.write("ca.pem", &authority.certificate, 0o644)),
            ..TlsOptions::default()
        }
    }

    fn as_client(&self, authority: &Authority, client: &Issued) -> TlsOptions {
        TlsOptions {
            certificate_file: Some(self.write("client.pem", &client.certificate, 0o644)),
            key_file: Some(self.write("client-key.pem", &client.key, 0o600)),
            ..self.trusting(authority)
        }
    }
}

fn server(issued: &Issued) -> ServerTlsConfig {
    ServerTlsConfig::new().identity(Identity::from_pem(&issued.certificate, &issued.key))
}

fn launch() -> AdmitRequest {
    AdmitRequest {
        lane: Lane::Fake.into(),
        ..AdmitRequest::default()
    }
}

async fn ask(endpoint: &str, tls: Tls) -> Result<Answer, AskError> {
    let endpoint: Endpoint = endpoint.parse().unwrap();
    Client::new(endpoint, PATIENT)
        .with_tls(tls)
        .admit(launch())
        .await
}

#[tokio::test]
async fn an_answer_comes_from_whom_the_authority_vouches_for() {
    let (files, authority) = (Files::new(), Authority::new());
    let localhost = authority.issue("localhost", FUTURE);
    let named = authority.issue("admit.lan", FUTURE);
    let trusting = files.trusting(&authority);
    let with_name = TlsOptions {
        server_name: Some("admit.lan".into()),
        ..trusting.clone()
    };
    for (host, issued, options) in [
        ("localhost", &localhost, &trusting),
        ("127.0.0.1", &localhost, &trusting),
        ("127.0.0.1", &named, &with_name),
    ] {
        let (port, asked) = Script::default().serve_tls(server(issued)).await;
        let endpoint = format!("https://{host}:{port}");
        let answer = ask(&endpoint, Tls::read(options).unwrap()).await;
        assert!(matches!(answer, Ok(Answer::Allowed(_))), "{answer:?}");
        assert_eq!(asked.requests(), [launch()]);
    }
}

#[tokio::test]
async fn nobody_else_is_asked() {
    let (files, authority, other) = (Files::new(), Authority::new(), Authority::new());
    let localhost = authority.issue("localhost", FUTURE);
    let trusting = files.trusting(&authority);
    let other_name = TlsOptions {
        server_name: Some("localhost.lan".into()),
        ..trusting.clone()
    };
    let system = Tls::system();
    let read = |options: &TlsOptions| Tls::read(options).unwrap();
    for (what, issued, tls) in [
        (
            "another authority",
            &other.issue("localhost", FUTURE),
            read(&trusting),
        ),
        (
            "expired",
            &authority.issue("localhost", PAST),
            read(&trusting),
        ),
        (
            "another name",
            &authority.issue("admit.lan", FUTURE),
            read(&trusting),
        ),
        ("not the expected name", &localhost, read(&other_name)),
        ("not one of the system's", &localhost, system),
    ] {
        let (port, asked) = Script::default().serve_tls(server(issued)).await;
        let answer = ask(&format!("https://localhost:{port}"), tls).await;
        assert!(
            matches!(answer, Err(AskError::Unreachable(_))),
            "{what}: {answer:?}"
        );
        assert!(asked.requests().is_empty(), "{what}");
    }
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_answers_nobody_without() {
    let (files, authority, other) = (Files::new(), Authority::new(), Authority::new());
    let localhost = authority.issue("localhost", FUTURE);
    let known = files.as_client(&authority, &authority.issue("spark-1", FUTURE));
    let known = Tls::read(&known).unwrap();
    let unknown = files.as_client(&authority, &other.issue("spark-1", FUTURE));
    let unknown = Tls::read(&unknown).unwrap();
    let expired = files.as_client(&authority, &authority.issue("spark-1", PAST));
    let expired = Tls::read(&expired).unwrap();
    let without = Tls::read(&files.trusting(&authority)).unwrap();
    for (what, tls, is_answered) in [
        ("known", known, true),
        ("unknown", unknown, false),
        ("expired", expired, false),
        ("without", without, false),
    ] {
        let config =
            server(&localhost).client_ca_root(Certificate::from_pem(&authority.certificate));
        let (port, asked) = Script::default().serve_tls(config).await;
        let answer = ask(&format!("https://localhost:{port}"), tls).await;
        assert_eq!(answer.is_ok(), is_answered, "{what}: {answer:?}");
        assert_eq!(asked.requests().len(), usize::from(is_answered), "{what}");
    }
}

#[tokio::test]
async fn plaintext_and_tls_do_not_meet() {
    let (files, authority) = (Files::new(), Authority::new());
    let tls = Tls::read(&files.trusting(&authority)).unwrap();
    let (plaintext, plain_asked) = Script::default().serve_tcp().await;
    let to_plaintext = plaintext.replace("http:", "https:");
    let (port, tls_asked) = Script::default()
        .serve_tls(server(&authority.issue("localhost", FUTURE)))
        .await;
    for endpoint in [to_plaintext, format!("http://localhost:{port}")] {
        let answer = ask(&endpoint, tls.clone()).await;
        assert!(
            matches!(answer, Err(AskError::Unreachable(_))),
            "{endpoint}: {answer:?}"
        );
    }
    assert!(plain_asked.requests().is_empty() && tls_asked.requests().is_empty());
}

/// What is wrong with `options`.
fn fault(options: &TlsOptions) -> Option<TlsError> {
    let error = Tls::read(options).err()?;
    let told = format!("{error} {error:?}");
    assert!(
        !told.contains("canary") && !told.contains("BEGIN"),
        "{told}"
    );
    Some(error)
}

#[test]
fn a_file_of_authorities_holds_certificates_within_its_bound() {
    let (files, authority) = (Files::new(), Authority::new());
    let of = |path: &Path| TlsOptions {
        ca_file: Some(path.into()),
        ..TlsOptions::default()
    };
    let good = files.write("good", &authority.certificate, 0o644);
    let two = format!("{0}{0}", authority.certificate);
    let two = files.write("two", &two, 0o644);
    let most = files.write("most", &authority.certificate, 0o644);
    let size = |path: &Path, bytes| {
        File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_len(bytes)
    };
    size(&most, CERTIFICATES_BYTES_MAX).unwrap();
    for path in [good, two, most.clone()] {
        assert_eq!(fault(&of(&path)), None, "{path:?}");
    }
    size(&most, CERTIFICATES_BYTES_MAX + 1).unwrap();
    let missing = files.0.path().join("missing");
    let text = files.write("text", "canary", 0o644);
    let cut = authority.certificate.replacen("MI", "M?canary", 1);
    let cut = files.write("cut", &cut, 0o644);
    for (path, error) in [
        (
            &most,
            TlsError::TooLarge {
                path: most.clone(),
                bytes_max: CERTIFICATES_BYTES_MAX,
            },
        ),
        (&missing, TlsError::Unreadable(missing.clone())),
        (
            &files.0.path().into(),
            TlsError::NotRegular(files.0.path().into()),
        ),
        (
            &"/dev/zero".into(),
            TlsError::NotRegular("/dev/zero".into()),
        ),
        (&text, TlsError::NoCertificate(text.clone())),
        (&cut, TlsError::NoCertificate(cut.clone())),
    ] {
        assert_eq!(fault(&of(path)), Some(error));
    }
}

#[test]
fn a_private_key_is_private_and_that_of_its_certificate() {
    let (files, authority) = (Files::new(), Authority::new());
    let (client, other) = (
        authority.issue("spark-1", FUTURE),
        authority.issue("spark-1", FUTURE),
    );
    let good = files.as_client(&authority, &client);
    let certificate = good.certificate_file.clone().unwrap();
    let with_key = |key: &Path| TlsOptions {
        key_file: Some(key.into()),
        ..good.clone()
    };
    for mode in [0o600, 0o400] {
        let key = files.write(&format!("key-{mode:o}"), &client.key, 0o600);
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(fault(&with_key(&key)), None);
        assert_eq!(
            format!("{:?}", Tls::read(&with_key(&key)).unwrap()),
            "Tls { .. }"
        );
    }
    for mode in [0o640, 0o604, 0o620, 0o644, 0o601] {
        let key = files.write("open", &client.key, mode);
        assert_eq!(fault(&with_key(&key)), Some(TlsError::OpenToOthers(key)));
    }
    let large = files.write("large", &client.key, 0o600);
    let size = |bytes| {
        File::options()
            .write(true)
            .open(&large)
            .unwrap()
            .set_len(bytes)
    };
    size(KEY_BYTES_MAX).unwrap();
    assert_eq!(fault(&with_key(&large)), None);
    size(KEY_BYTES_MAX + 1).unwrap();
    let too_large = TlsError::TooLarge {
        path: large.clone(),
        bytes_max: KEY_BYTES_MAX,
    };
    assert_eq!(fault(&with_key(&large)), Some(too_large));
    for key in [
        files.write("none", "canary", 0o600),
        files.write("other", &other.key, 0o600),
        files.write("certificate", &client.certificate, 0o600),
    ] {
        let certificate = certificate.clone();
        let expected = TlsError::Identity {
            certificate,
            key: key.clone(),
        };
        assert_eq!(fault(&with_key(&key)), Some(expected));
    }
    let half = TlsOptions {
        key_file: None,
        ..good.clone()
    };
    assert_eq!(fault(&half), Some(TlsError::HalfIdentity));
    let half = TlsOptions {
        certificate_file: None,
        ..good.clone()
    };
    assert_eq!(fault(&half), Some(TlsError::HalfIdentity));
}

#[test]
fn the_name_of_a_server_is_a_name_or_an_address() {
    let of = |name: &str| TlsOptions {
        server_name: Some(name.into()),
        ..TlsOptions::default()
    };
    for name in ["admit.lan", "192.0.2.1", "2001:db8::1"] {
        assert_eq!(fault(&of(name)), None, "{name}");
    }
    for name in [
        "",
        "a b",
        "https://canary",
        "canary:1",
        "[::1]",
        &"a".repeat(300),
    ] {
        assert_eq!(fault(&of(name)), Some(TlsError::ServerName), "{name}");
    }
}
