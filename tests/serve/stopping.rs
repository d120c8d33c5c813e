//! How the daemon stops: everybody who waits is told, nobody who does not is waited for, and nothing
//! is left behind.

use std::{
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use admit_proto::v1::WatchPolicyRequest;
use rustix::process::Signal;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
};

use crate::{
    allows,
    daemon::{Daemon, Settings, policy::A, within},
    policy, reason,
};

/// How long the daemon waits for open calls when it stops.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// How long it may take to stop when nothing is open that anybody waits for.
const STOP_MAX: Duration = Duration::from_secs(5);

async fn stops_by(signal: Signal) {
    let policy = policy();
    let mut daemon = Daemon::start(&Settings::new(policy.path())).await;
    let mut client = daemon.client().await;
    let mut watches = Vec::new();
    for request in [WatchPolicyRequest::default(), A.follow()] {
        let mut watch = client.watch(request.clone()).await.unwrap();
        watch.policy_changed().await;
        if request == A.follow() {
            watch.pair_changed().await;
        }
        watches.push(watch);
    }
    let since = Instant::now();
    daemon.signal(signal);
    for watch in &mut watches {
        let told = watch.next().await.unwrap_err();
        assert_eq!(
            (told.code(), reason(&told).as_str()),
            (Code::Unavailable, "SHUTTING_DOWN")
        );
    }
    let status = daemon.exited().await;
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    assert!(
        since.elapsed() < STOP_MAX,
        "stopped only after {:?}",
        since.elapsed()
    );
    assert!(!daemon.socket().exists());
    assert!(client.admit(A.launch()).await.is_err());
}

#[tokio::test]
async fn a_stop_by_the_supervisor_is_told_to_every_watch() {
    stops_by(Signal::TERM).await;
}

#[tokio::test]
async fn a_stop_by_the_keyboard_is_told_to_every_watch() {
    stops_by(Signal::INT).await;
}

#[tokio::test]
async fn a_daemon_that_listens_can_be_stopped() {
    let policy = policy();
    for _ in 0..10 {
        let mut daemon = Daemon::start(&Settings::new(policy.path())).await;
        daemon.signal(Signal::TERM);
        let status = daemon.exited().await;
        assert_eq!(status.code(), Some(0), "{status}: {}", daemon.log());
        assert!(!daemon.socket().exists());
    }
}

#[tokio::test]
async fn an_open_health_watch_is_told_and_does_not_hold_the_daemon_up() {
    let policy = policy();
    let mut daemon = Daemon::start(&Settings::new(policy.path())).await;
    let mut health = daemon.client().await.health("").await;
    health.until(ServingStatus::Serving).await;
    let since = Instant::now();
    daemon.signal(Signal::TERM);
    assert_eq!(health.next().await, ServingStatus::NotServing);
    assert_eq!(daemon.exited().await.code(), Some(0), "{}", daemon.log());
    assert!(
        since.elapsed() < STOP_MAX,
        "stopped only after {:?}",
        since.elapsed()
    );
}

#[tokio::test]
async fn a_connection_that_says_nothing_does_not_hold_the_daemon_up() {
    let policy = policy();
    let mut daemon = Daemon::start(&Settings::new(policy.path())).await;
    let _silent = UnixStream::connect(daemon.socket()).unwrap();
    // An answer on a later connection: by now the daemon has taken the silent one.
    assert!(allows(&mut daemon.client().await).await);
    let since = Instant::now();
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exited().await.code(), Some(0), "{}", daemon.log());
    assert!(
        since.elapsed() < STOP_MAX,
        "stopped only after {:?}",
        since.elapsed()
    );
}

#[tokio::test]
async fn a_call_that_stays_open_ends_with_the_drain_and_leaves_the_successor_alone() {
    let policy = policy();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("admitd.sock");
    let settings = Settings {
        socket: Some(socket.clone()),
        ..Settings::new(policy.path())
    };
    let mut former = Daemon::start(&settings).await;
    // A stream of questions that is never closed.
    let (questions, open) = tokio::sync::mpsc::channel::<ServerReflectionRequest>(1);
    let questions_open = tokio_stream::wrappers::ReceiverStream::new(open);
    let mut reflection = ServerReflectionClient::new(former.connect().await);
    let _answers = within(
        "a stream",
        reflection.server_reflection_info(questions_open),
    )
    .await;
    let since = Instant::now();
    former.signal(Signal::TERM);
    former.logged("stopping").await;
    // The former one takes no new connection from some moment on; then a successor may start.
    within("the end of the former listener", async {
        while UnixStream::connect(&socket).is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let successor = Daemon::start(&settings).await;
    assert!(allows(&mut successor.client().await).await);
    assert_eq!(former.exited().await.code(), Some(0), "{}", former.log());
    assert!(
        since.elapsed() < DRAIN_MAX + STOP_MAX,
        "stopped only after {:?}",
        since.elapsed()
    );
    drop(questions);
    assert!(
        socket.exists(),
        "the former daemon took the socket of its successor away"
    );
    assert!(allows(&mut successor.client().await).await);
}

#[tokio::test]
async fn the_socket_of_a_killed_daemon_is_replaced() {
    let policy = policy();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("admitd.sock");
    let settings = Settings {
        socket: Some(socket.clone()),
        ..Settings::new(policy.path())
    };
    Daemon::start(&settings).await.kill().await;
    assert!(socket.exists());
    let successor = Daemon::start(&settings).await;
    assert!(allows(&mut successor.client().await).await);
    assert_eq!(successor.terminate().await.code(), Some(0));
    assert!(!socket.exists());
}
