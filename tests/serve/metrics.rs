//! The metrics page of the running daemon.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{allows, policy};
use crate::daemon::{Daemon, Settings, within};

/// What the daemon answers to a GET of `path`.
async fn get(daemon: &mut Daemon, path: &str) -> String {
    let address = daemon.metrics_address().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: admitd\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("the page", stream.read_to_string(&mut answer))
        .await
        .unwrap();
    answer
}

/// The value of the metric `name` on `page`.
fn value(page: &str, name: &str) -> f64 {
    let line = page
        .lines()
        .find(|line| line.split_whitespace().next() == Some(name));
    let line = line.unwrap_or_else(|| panic!("no `{name}` in {page}"));
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_the_trail_counts_is_served_and_nothing_else() {
    let policy = policy();
    let settings = Settings {
        metrics: true,
        ..Settings::new(policy.path())
    };
    let mut daemon = Daemon::start(&settings).await;
    let mut client = daemon.client().await;
    for _ in 0..3 {
        assert!(allows(&mut client).await);
    }
    let page = get(&mut daemon, "/metrics").await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(page.contains("application/openmetrics-text"), "{page}");
    for (name, expected) in [
        ("admit_audit_appended_records_total", 3.0),
        ("admit_audit_refused_requests_total", 0.0),
        ("admit_audit_last_seq", 3.0),
        ("admit_audit_writable", 1.0),
        ("admit_audit_export_lag_records", 0.0),
        ("admit_audit_export_lag_seconds", 0.0),
        ("admit_audit_rejected_spans_total", 0.0),
    ] {
        assert!(
            (value(&page, name) - expected).abs() < f64::EPSILON,
            "{name}"
        );
    }
    let syncs = value(&page, "admit_audit_sync_seconds_count");
    assert!((1.0..=3.0).contains(&syncs), "{syncs}");
    assert_eq!(daemon.terminate().await.code(), Some(0));
}
