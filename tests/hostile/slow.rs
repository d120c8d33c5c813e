//! Slow peers: bytes that trickle in, and answers that nobody reads.

use std::{net::Ipv4Addr, time::Duration};

use admit_proto::v1::{
    PairState, WatchPolicyRequest, WatchPolicyResponse, watch_policy_response::Event,
};
use prost::Message as _;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    daemon::policy::A,
    frames::{
        ADMIT, CONTINUATION, DATA, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, PREFACE, Wire, call,
        frame, message, open, ping, reset, settings, window_update,
    },
    scene::{Scene, eventually, is_overloaded, survives},
};

const GET_POLICY: &str = "/admit.v1.PolicyService/GetPolicy";
const WATCH_POLICY: &str = "/admit.v1.PolicyService/WatchPolicy";
const WATCH_HEALTH: &str = "/grpc.health.v1.Health/Watch";
/// How many peers do the same.
const PEERS: usize = 40;
/// Between two bytes. Each keeps a connection busy, and none of them counts as a call.
const TRICKLE: Duration = Duration::from_millis(20);

#[tokio::test]
async fn bytes_that_trickle_are_no_call() {
    /// Bytes that nobody gets to send: ten seconds, where a first call has a third of one.
    const BYTES_MAX: usize = 500;
    let hello = [PREFACE, &settings(&[])].concat();
    let long = call(ADMIT).repeat(20);
    let pings = [&hello[..], &ping(*b"anything").repeat(100)].concat();
    let headers = [&hello[..], &frame(HEADERS, 0, 1, &long)].concat();
    let mut continued = [&hello[..], &frame(HEADERS, 0, 1, &call(ADMIT))].concat();
    for byte in &long {
        continued.extend(frame(CONTINUATION, 0, 1, &[*byte]));
    }
    for bytes in [pings, headers, continued] {
        survives("handshake = \"300ms\"\n", async |scene: &Scene| {
            let mut wires = Vec::new();
            for _ in 0..PEERS {
                wires.push(Wire::silent(scene.tcp).await);
            }
            // Each byte is a write of its own, on every connection that is open still.
            for byte in &bytes[..BYTES_MAX] {
                let mut open_wires = Vec::new();
                for mut wire in wires {
                    if wire.press(&[*byte]).await {
                        open_wires.push(wire);
                    }
                }
                wires = open_wires;
                if wires.is_empty() {
                    break;
                }
                tokio::time::sleep(TRICKLE).await;
            }
            assert_eq!(wires.len(), 0);
        })
        .await;
    }
}

#[tokio::test]
async fn connections_that_only_open_are_closed() {
    survives("handshake = \"200ms\"\n", async |scene: &Scene| {
        let mut wires = Vec::new();
        for _ in 0..PEERS {
            wires.push(Wire::silent(scene.tcp).await);
            wires.push(Wire::narrow(&scene.socket).await);
            wires.push(Wire::from(Ipv4Addr::new(127, 0, 0, 3), scene.health).await);
        }
        for wire in &mut wires {
            wire.closed().await;
        }
    })
    .await;
}

/// A request that trickles in holds its place for the time of a request, and no longer.
#[tokio::test]
async fn a_request_that_trickles_ends_in_its_time() {
    survives("request_time = \"2100ms\"\n", async |scene: &Scene| {
        let mut wire = Wire::greeted(scene.tcp).await;
        wire.send(&open(1, ADMIT)).await;
        let mut has_ended = false;
        while !has_ended {
            wire.send(&frame(DATA, 0, 1, &[0])).await;
            let (found, is_open) = wire.reactions().await;
            assert!(is_open);
            has_ended = found.iter().any(|frame| frame.stream == 1);
            tokio::time::sleep(TRICKLE).await;
        }
    })
    .await;
}

/// An answer that is not taken holds its place, and not for long: the connection ends.
#[tokio::test]
async fn answers_that_are_not_taken_end_the_connection() {
    const CALLS: u32 = 8;
    let limits = "request_time = \"2100ms\"\ndrain = \"100ms\"\nin_flight = 16\n\
                  in_flight_per_caller = 16\n";
    survives(limits, async |scene: &Scene| {
        let mut wire = Wire::with(scene.tcp, &[(INITIAL_WINDOW_SIZE, 0)]).await;
        for at in 0..CALLS {
            let stream = 1 + 2 * at;
            let ask = [open(stream, GET_POLICY), message(stream, b"")].concat();
            wire.send(&ask).await;
        }
        // They have been answered, and are not gone.
        eventually("every answer", async || {
            let found = scene.metric("admit_in_flight").await;
            (found >= u64::from(CALLS)).then_some(())
        })
        .await;
        let mut told = None;
        while let Some(found) = wire.next().await {
            if found.kind == GOAWAY {
                told = Some(found.error());
            }
        }
        assert_eq!(told, Some(0));
    })
    .await;
}

/// Events that are not taken hold up nobody but their reader, who skips to the latest state.
#[tokio::test]
async fn watches_that_are_not_read_hold_nobody_up() {
    /// Several times as many as are told in one go.
    const STALLED: u32 = 160;
    /// The first of them.
    const READ_AT_LAST: u32 = 1;
    let scene = Scene::with("watchers_per_caller = 256\n").await;
    let mut wire = Wire::with(scene.tcp, &[(INITIAL_WINDOW_SIZE, 0)]).await;
    for at in 0..STALLED {
        let stream = 1 + 2 * at;
        let follow = A.follow().encode_to_vec();
        wire.send(&[open(stream, WATCH_POLICY), message(stream, &follow)].concat())
            .await;
        // Whoever takes no answers is given no more than a number of frames at a time.
        wire.reactions().await;
    }
    watches(&scene, STALLED).await;
    // These are told after them.
    let mut client = scene.client().await;
    let mut read = Vec::new();
    for request in [A.follow(), WatchPolicyRequest::default()] {
        let mut watch = client.watch(request.clone()).await.unwrap();
        watch.policy_changed().await;
        if request == A.follow() {
            assert_eq!(watch.pair_changed().await.state(), PairState::Admitted);
        }
        read.push(watch);
    }
    let admitted = A.in_sot().digest();
    for state in [PairState::Revoked, PairState::Admitted] {
        match state {
            PairState::Admitted => scene.restore_policy(),
            PairState::Revoked | PairState::Unspecified => scene.withdraw_policy(),
        }
        let digest = read[0].policy_changed().await.digest;
        assert_eq!(digest == admitted, state == PairState::Admitted);
        assert_eq!(read[0].pair_changed().await.state(), state);
        assert_eq!(read[1].policy_changed().await.digest, digest);
    }

    // The first state was on its way; the second one has been skipped, and with it what became of the pair.
    wire.send(&window_update(READ_AT_LAST, 4096)).await;
    let mut taken = Vec::new();
    while taken.len() < 3 {
        let frame = wire.next().await.unwrap();
        if (frame.kind, frame.stream) == (DATA, READ_AT_LAST) {
            taken.extend(events(&frame.payload));
        }
    }
    let [
        Event::PolicyChanged(first),
        Event::PairChanged(pair),
        Event::PolicyChanged(last),
    ] = &taken[..]
    else {
        panic!("other events: {taken:?}");
    };
    assert_eq!((&first.digest, &last.digest), (&admitted, &admitted));
    assert_ne!(first.read_time, last.read_time);
    assert_eq!(pair.state(), PairState::Admitted);

    wire.send(&reset(READ_AT_LAST, 0x8)).await;
    watches(&scene, STALLED + 1).await;
    drop(wire);
    watches(&scene, 2).await;
}

/// Waits until so many watches are open.
async fn watches(scene: &Scene, count: u32) {
    eventually("so many watches", async || {
        let found = scene.metric("admit_watchers").await;
        (found == u64::from(count)).then_some(())
    })
    .await;
}

/// The events in the payload of a frame that holds them whole.
fn events(mut payload: &[u8]) -> Vec<Event> {
    const PREFIX_BYTES: usize = 5;
    let mut found = Vec::new();
    while let Some((prefix, rest)) = payload.split_at_checked(PREFIX_BYTES) {
        let length = u32::from_be_bytes(prefix[1..].try_into().unwrap());
        let (event, rest) = rest.split_at(usize::try_from(length).unwrap());
        found.push(WatchPolicyResponse::decode(event).unwrap().event.unwrap());
        payload = rest;
    }
    found
}

/// Whoever takes no answer has as many places as anybody else.
#[tokio::test]
async fn answers_that_are_not_taken_count_against_the_limits() {
    let scene = Scene::with("in_flight_per_caller = 4\n").await;
    let mut wire = Wire::with(scene.tcp, &[(INITIAL_WINDOW_SIZE, 0)]).await;
    let before = scene.overloaded("in_flight_per_caller").await;
    for stream in [1, 3, 5, 7, 9, 11] {
        wire.send(&[open(stream, GET_POLICY), message(stream, b"")].concat())
            .await;
        wire.reactions().await;
    }
    eventually("two refusals", async || {
        let found = scene.overloaded("in_flight_per_caller").await;
        (found == before + 2).then_some(())
    })
    .await;
    drop(wire);
    eventually("free places", async || {
        let answer = scene.local().await.admit(A.launch()).await;
        answer.ok()
    })
    .await;
}

/// Health is for everybody, and so nobody has much of it at a time.
#[tokio::test]
async fn watches_of_health_are_bounded() {
    const CONNECTIONS: usize = 40;
    const WATCHES: u32 = 200;
    const WATCHES_MAX: u64 = 8;
    survives("handshake = \"1m\"\n", async |scene: &Scene| {
        let mut wires = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut wire = Wire::greeted(scene.tcp).await;
            for at in 0..WATCHES {
                let stream = 1 + 2 * at;
                let ask = [open(stream, WATCH_HEALTH), message(stream, b"")].concat();
                wire.send(&ask).await;
            }
            wires.push(wire);
        }
        let over = (u64::from(WATCHES) - WATCHES_MAX) * u64::try_from(CONNECTIONS).unwrap();
        eventually("every refusal", async || {
            (scene.overloaded("health_calls").await == over).then_some(())
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn calls_about_health_have_so_many_places_on_a_connection() {
    const WATCHES_MAX: usize = 8;
    let scene = Scene::with("").await;
    let mut client = scene.client().await;
    let mut watches = Vec::new();
    for _ in 0..WATCHES_MAX {
        watches.push(client.health("").await);
    }
    let mut health = HealthClient::new(client.channel.clone());
    let refused = health.check(HealthCheckRequest::default()).await;
    is_overloaded(&refused.unwrap_err(), "health_calls");
    // Who asks for too much of it has calls all the same, and another connection has places of its own.
    client.admit(A.launch()).await.unwrap();
    scene.is_healthy().await;
    watches.pop();
    eventually("a free place", async || {
        health.check(HealthCheckRequest::default()).await.ok()
    })
    .await;
}

#[tokio::test]
async fn questions_about_health_are_short() {
    let scene = Scene::with("").await;
    let mut health = HealthClient::new(scene.over_tcp().await);
    for (length, expected) in [(4000, Code::NotFound), (4097, Code::OutOfRange)] {
        let service = "s".repeat(length);
        let status = health.check(HealthCheckRequest { service }).await;
        assert_eq!(status.unwrap_err().code(), expected, "{length}");
    }
}

/// One address does not have every place of the listener for probes.
#[tokio::test]
async fn no_peer_keeps_the_probes_of_others_out() {
    const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
    let scene = Scene::with("handshake = \"1m\"\n").await;
    let mut wires = Vec::new();
    for _ in 0..200 {
        wires.push(Wire::from(OTHER, scene.health).await);
        scene.is_healthy_at(scene.health).await;
    }
    // Those that have no place have been closed.
    let mut open_wires = 0;
    for wire in &mut wires {
        open_wires += usize::from(wire.is_open().await);
    }
    assert_eq!(open_wires, 16);
}
