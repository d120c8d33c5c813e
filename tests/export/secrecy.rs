//! What leaves the host, to whom, and what stays unsaid.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
};

use admit_server::export::{self, ExportConfig};
use tonic::Code;
use tracing::Level;

use crate::{
    Audit,
    certificates::Certificates,
    plain,
    receiver::{Fault, RECEIVER_TEXT, Receiver},
};

const CREDENTIAL: &str = "a-credential-that-nobody-logs";

/// Every line that was logged in this process and tells something that it must not, or that this
/// test waits for.
#[derive(Default)]
struct Logged {
    leaks: Vec<String>,
    own: Vec<String>,
}

fn logged() -> &'static Mutex<Logged> {
    static LOGGED: OnceLock<Mutex<Logged>> = OnceLock::new();
    LOGGED.get_or_init(|| {
        // The first one in the process, at the level that tells the most.
        tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_ansi(false)
            .with_writer(|| Watching)
            .init();
        Mutex::default()
    })
}

struct Watching;

impl Write for Watching {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let is_leak = text.contains(CREDENTIAL);
        let is_own = text.contains("admit_server::");
        if is_leak || is_own {
            let mut logged = logged().lock().unwrap_or_else(PoisonError::into_inner);
            if is_leak || text.contains(RECEIVER_TEXT) {
                logged.leaks.push(text.clone().into_owned());
            }
            logged.own.push(text.into_owned());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn private(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

#[tokio::test]
async fn credentials_reach_the_receiver_and_no_log() {
    let logged = logged();
    let (audit, receiver) = (Audit::open(), Receiver::start());
    let faults = [Fault::Code(Code::Unauthenticated), Fault::Partial(1)];
    receiver.ledger(|ledger| ledger.faults.extend(faults));
    let headers = format!("Authorization: Bearer {CREDENTIAL}\nx-tenant: cto\n");
    let config = ExportConfig {
        headers_file: Some(private(audit.folder.path(), "headers", &headers)),
        ..plain(&receiver)
    };
    let _exporter = audit.export(&config);
    audit.decide(2).await;
    receiver
        .until("a rejection", |ledger| {
            let mut names = ledger.taken.iter().map(|span| span.name.as_str());
            names.any(|name| name == "admit.audit.rejected")
        })
        .await;
    receiver.ledger(|ledger| {
        for call in &ledger.calls {
            let value = |name: &str| call.metadata.get(name).unwrap().to_str().unwrap();
            assert_eq!(value("authorization"), format!("Bearer {CREDENTIAL}"));
            assert_eq!(value("x-tenant"), "cto");
        }
    });
    let logged = logged.lock().unwrap();
    assert_eq!(logged.leaks, Vec::<String>::new());
    let told = logged.own.iter();
    assert!(told.clone().any(|line| line.contains("Unauthenticated")));
}

#[tokio::test]
async fn spans_leave_over_tls_to_whom_the_authority_vouches_for() {
    let (audit, made) = (Audit::open(), Certificates::new());
    let ca_file = private(audit.folder.path(), "ca.pem", &made.authority);
    let receiver = Receiver::with(Some(made));
    let config = ExportConfig {
        endpoint: format!("https://localhost:{}", receiver.address().port()),
        ca_file: Some(ca_file),
        headers_file: None,
    };
    let _exporter = audit.export(&config);
    audit.decide(5).await;
    receiver
        .until("the spans", |ledger| ledger.has_all(1, 5))
        .await;
}

#[tokio::test]
async fn nothing_is_told_to_whom_another_authority_vouches_for() {
    let (audit, other) = (Audit::open(), Certificates::new());
    let ca_file = private(audit.folder.path(), "ca.pem", &other.authority);
    let receiver = Receiver::with(Some(Certificates::new()));
    let config = ExportConfig {
        endpoint: format!("https://localhost:{}", receiver.address().port()),
        ca_file: Some(ca_file),
        headers_file: None,
    };
    let _exporter = audit.export(&config);
    audit.decide(5).await;
    let failures = &audit.trail.metrics().export_failures;
    crate::until("tries", || failures.get() >= 3).await;
    assert_eq!(receiver.ledger(|ledger| ledger.calls.len()), 0);
    assert_eq!(audit.cursor(), None);
}

/// What is told instead of a start; `None` if there is nothing to tell.
fn told(endpoint: &str, ca_file: Option<&Path>, headers_file: Option<&Path>) -> Option<String> {
    let config = ExportConfig {
        endpoint: endpoint.into(),
        ca_file: ca_file.map(Into::into),
        headers_file: headers_file.map(Into::into),
    };
    let error = export::receiver::Route::new(&config).err()?;
    let told = format!("{error} {error:?}");
    assert!(!told.contains(CREDENTIAL), "{told}");
    Some(told)
}

#[test]
fn an_endpoint_is_encrypted_or_on_this_host() {
    for good in [
        "http://127.0.0.1:4317",
        "http://127.1.2.3:4317",
        "http://localhost:4317/",
        "http://[::1]:4317",
    ] {
        assert_eq!(told(good, None, None), None, "{good}");
    }
    for plain in [
        "http://192.0.2.1:4317",
        "http://collector.example:4317",
        "http://localhost.example:4317",
        "http://[::ffff:192.0.2.1]:4317",
    ] {
        let told = told(plain, None, None).unwrap();
        assert!(told.contains("use `https://`"), "{plain}: {told}");
    }
    for bad in [
        String::new(),
        "127.0.0.1:4317".into(),
        "ftp://127.0.0.1:4317".into(),
        format!("https://{CREDENTIAL}@collector.example:4317"),
        format!("http://{CREDENTIAL}@127.0.0.1:4317"),
        format!("http://127.0.0.1:4317/{CREDENTIAL}"),
        format!("http://127.0.0.1:4317?{CREDENTIAL}"),
    ] {
        let told = told(&bad, None, None).unwrap();
        assert!(told.contains("https://host:port"), "{bad}: {told}");
    }
}

#[test]
fn a_file_that_cannot_be_used_ends_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Certificates::new().authority;
    let ca = private(folder.path(), "ca.pem", &authority);
    let empty = private(folder.path(), "no-ca.pem", "no certificate");
    let cut = authority.replacen("MI", "MM", 1);
    let cut = private(folder.path(), "cut-ca.pem", &cut);
    let headers = private(folder.path(), "headers", "a: b\n");
    let open = private(folder.path(), "open", &format!("a: {CREDENTIAL}\n"));
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let missing = folder.path().join("missing");
    let tls = "https://collector.example:4317";
    assert_eq!(told(tls, Some(&ca), Some(&headers)), None);
    for (ca_file, headers_file, expected) in [
        (&missing, &headers, "cannot be read"),
        (&empty, &headers, "certificates in PEM"),
        (&cut, &headers, "certificates in PEM"),
        (&ca, &missing, "cannot be read"),
        (&ca, &open, "chmod 600"),
    ] {
        let told = told(tls, Some(ca_file), Some(headers_file)).unwrap();
        assert!(told.contains(expected), "{told}");
    }
    let told = told("http://127.0.0.1:4317", Some(&ca), None).unwrap();
    assert!(told.contains("ca_file"), "{told}");
}
