//! Liveness and readiness, each in its own words; and that the port itself stays.

use std::{fs, net::SocketAddr, process::Command};

use tokio::net::TcpStream;
use tonic_health::pb::health_check_response::ServingStatus;

use super::{
    http::{answer_to, get},
    policy, settings, start,
};
use crate::daemon::{Daemon, Settings, within};

/// More connections than the daemon is left descriptors for.
const CONNECTIONS: usize = 64;
/// How many it is left.
const DESCRIPTORS_LEFT: usize = 8;

async fn words(address: SocketAddr, path: &str) -> (u16, String) {
    let answer = get(address, path).await;
    (answer.status, answer.body)
}

#[tokio::test]
async fn readiness_says_why_not() {
    let nowhere = tempfile::tempdir().unwrap();
    let mut daemon = start(&nowhere.path().join("absent")).await;
    let address = daemon.metrics_address().await;
    let unread = (503, "policy-unread\n".to_owned());
    assert_eq!(words(address, "/readyz").await, unread);
    // It lives all the same.
    assert_eq!(words(address, "/livez").await, (200, "live\n".to_owned()));
    let page = get(address, "/").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("Not serving"), "{}", page.body);
    assert!(page.body.contains("policy-unread"), "{}", page.body);

    let policy = policy();
    let mut daemon = Daemon::start(&Settings {
        rescan_interval: "200ms",
        staleness_max: "1s",
        ..settings(policy.path())
    })
    .await;
    let address = daemon.metrics_address().await;
    let mut health = daemon.client().await.health("").await;
    health.until(ServingStatus::Serving).await;
    assert_eq!(words(address, "/readyz").await, (200, "ready\n".to_owned()));
    fs::rename(policy.path(), nowhere.path().join("away")).unwrap();
    health.until(ServingStatus::NotServing).await;
    let stale = (503, "policy-stale\n".to_owned());
    assert_eq!(words(address, "/readyz").await, stale);
}

#[tokio::test]
async fn the_port_outlives_a_lack_of_descriptors() {
    let policy = policy();
    let mut daemon = start(policy.path()).await;
    let address = daemon.metrics_address().await;
    assert_eq!(words(address, "/livez").await.0, 200);
    let process = daemon.id().to_string();
    let open = fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
    let limit = format!("--nofile={}", open + DESCRIPTORS_LEFT);
    let limited = Command::new("prlimit")
        .args(["--pid", &process, &limit])
        .status();
    assert!(limited.unwrap().success());
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(TcpStream::connect(address).await.unwrap());
    }
    daemon.logged("cannot accept").await;
    drop(connections);
    let request = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let answered = async { while answer_to(address, request).await.is_none() {} };
    within("an answer", answered).await;
}
