//! Limits on how long: of a connection before its first call, without a call and in all, of a call, and
//! of the end.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::{
    calls::{OpenCall, unfinished_until},
    daemon::{channel, policy::A},
    frames::{ADMIT, DATA, GOAWAY, PREFACE, Wire, field, frame, message, open, settings},
    scene::{Scene, eventually},
};

const NO_ERROR: u32 = 0;

/// Longer than the limits that are tested in such a scene, shorter than all others of it.
const SOON: Duration = Duration::from_secs(8);
const LONG: &str = "handshake = \"1m\"\nidle = \"1h\"\nconnection_age = \"1h\"\n";

/// `LONG` with one limit that is short.
fn with(key: &str, value: &str) -> String {
    let lines = LONG.lines().map(|line| {
        let is_it = line.starts_with(key);
        if is_it {
            format!("{key} = {value:?}\n")
        } else {
            format!("{line}\n")
        }
    });
    let text: String = lines.collect();
    if text.contains(value) {
        text
    } else {
        format!("{text}{key} = {value:?}\n")
    }
}

#[tokio::test]
async fn a_first_call_has_to_come_in_time() {
    let scene = Scene::with(&with("handshake", "200ms")).await;
    let since = Instant::now();
    let half = &PREFACE[..10];
    let hello = [PREFACE, &settings(&[])].concat();
    let begun = [&hello[..], &frame(0x1, 0, 1, &field(":method", "POST"))].concat();
    let mut wires = Vec::new();
    for bytes in [&[][..], half, &hello, &begun] {
        let mut wire = Wire::silent(scene.tcp).await;
        wire.send(bytes).await;
        wires.push(wire);
    }
    // On the other side of it: who has called stays, with its call and after it.
    let mut caller = scene.client().await;
    caller.admit(A.launch()).await.unwrap();
    for wire in &mut wires {
        wire.closed().await;
    }
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    // The same connection: the counter of connections says that there is no other one.
    caller.admit(A.launch()).await.unwrap();
    eventually("one connection", async || {
        (scene.connections().await == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_connection_without_a_call_ends() {
    let scene = Scene::with(&with("idle", "1s")).await;
    let mut idle = Wire::greeted(scene.tcp).await;
    idle.send(&[open(1, ADMIT), message(1, b"")].concat()).await;
    let mut busy = Wire::greeted(scene.tcp).await;
    busy.send(&[open(1, ADMIT), message(1, b"")].concat()).await;
    busy.send(&open(3, ADMIT)).await;
    let since = Instant::now();
    assert_eq!(idle.closed().await, Some(NO_ERROR));
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    let (found, is_open) = busy.reactions().await;
    assert!(
        is_open && found.iter().all(|frame| frame.kind != GOAWAY),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_watch_lasts_longer_than_calls_may_take() {
    let limits = with("idle", "6s") + "request_time = \"2100ms\"\n";
    let scene = Scene::with(&limits).await;
    let mut watch = scene.client().await.watch(A.follow()).await.unwrap();
    watch.policy_changed().await;
    watch.pair_changed().await;
    // By the end of another connection, any call would have had to end twice.
    let mut idle = Wire::greeted(scene.tcp).await;
    idle.send(&[open(1, ADMIT), message(1, b"")].concat()).await;
    assert_eq!(idle.closed().await, Some(NO_ERROR));
    scene.withdraw_policy();
    watch.policy_changed().await;
    watch.pair_changed().await;
}

#[tokio::test]
async fn an_old_connection_takes_no_new_call_and_ends_its_watches() {
    let scene = Scene::with(&with("connection_age", "1s")).await;
    let mut client = scene.client().await;
    let mut watch = client.watch(A.follow()).await.unwrap();
    watch.policy_changed().await;
    watch.pair_changed().await;
    let status = watch.next().await.unwrap_err();
    let details = status.get_error_details();
    let reason = details.error_info().unwrap().reason.as_str();
    assert_eq!(
        (status.code(), reason),
        (Code::Unavailable, "CONNECTION_CLOSING")
    );
    // A client takes another connection without being told to.
    client.admit(A.launch()).await.unwrap();
}

#[tokio::test]
async fn a_call_ends_in_its_time_or_in_its_callers() {
    let (none, short) = (Duration::ZERO, Duration::from_millis(100));
    let long = Duration::from_secs(3600);
    for (request_time, timeout, of_the_server) in [
        // What is not meant to end it would take longer than a test waits.
        ("1m", Some(none), 0),
        ("1m", Some(short), 0),
        ("2100ms", None, 1),
        ("2100ms", Some(long), 1),
    ] {
        let scene = Scene::with(&with("request_time", request_time)).await;
        let status = unfinished_until(scene.tcp, timeout).await.unwrap_err();
        let details = status.get_error_details();
        let reason = details.error_info().unwrap().reason.as_str();
        assert_eq!(
            (status.code(), reason),
            (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
            "{timeout:?}"
        );
        assert_eq!(scene.overloaded("request_time").await, of_the_server);
        assert_eq!(scene.metric("admit_in_flight").await, 0);
        scene.answers().await;
    }
}

#[tokio::test]
async fn a_stop_waits_for_open_calls_within_the_drain() {
    let mut scene = Scene::with("drain = \"1s\"\nrequest_time = \"1m\"\n").await;
    let open_call = OpenCall::on(channel(&scene.socket).await.unwrap());
    let mut finishing = Wire::greeted(scene.tcp).await;
    let mut untaught = Wire::greeted(scene.tcp).await;
    finishing.send(&open(1, ADMIT)).await;
    untaught.send(&open(1, ADMIT)).await;
    eventually("three calls", async || {
        (scene.metric("admit_in_flight").await == 3).then_some(())
    })
    .await;
    let since = Instant::now();
    scene.daemon.signal(Signal::TERM);
    // Who was accepted is answered still, up to the end of the drain.
    let mut found = finishing.next().await.unwrap();
    while found.kind != GOAWAY {
        found = finishing.next().await.unwrap();
    }
    finishing.send(&message(1, b"")).await;
    let mut is_answered = false;
    while let Some(found) = finishing.next().await {
        is_answered |= found.stream == 1 && found.kind != DATA;
    }
    assert!(is_answered);
    // And who never asks does not hold it up.
    assert_eq!(scene.daemon.exited().await.code(), Some(0));
    // It was ended, and not left behind.
    assert!(
        !scene.daemon.log().contains("WARN"),
        "{}",
        scene.daemon.log()
    );
    let waited = since.elapsed();
    assert!(
        waited >= Duration::from_secs(1) && waited < SOON,
        "{waited:?}"
    );
    assert!(open_call.ended().await.is_err());
    untaught.closed().await;
}
