//! Slow peers: bytes that trickle in, and answers that nobody reads.

use std::time::Duration;

use crate::{
    frames::{ADMIT, CONTINUATION, DATA, HEADERS, PREFACE, Wire, call, frame, open, settings},
    scene::{Scene, survives},
};

/// How many peers do the same.
const PEERS: usize = 40;
/// Between two bytes. Each keeps a connection busy, and none of them counts as a call.
const TRICKLE: Duration = Duration::from_millis(20);

#[tokio::test]
async fn bytes_that_trickle_are_no_call() {
    let hello = [PREFACE, &settings(&[])].concat();
    let long = call(ADMIT).repeat(20);
    let headers = [&hello[..], &frame(HEADERS, 0, 1, &long)].concat();
    let mut continued = [&hello[..], &frame(HEADERS, 0, 1, &call(ADMIT))].concat();
    for byte in &long {
        continued.extend(frame(CONTINUATION, 0, 1, &[*byte]));
    }
    for bytes in [hello, headers, continued] {
        survives("handshake = \"300ms\"\n", async |scene: &Scene| {
            let mut wires = Vec::new();
            for _ in 0..PEERS {
                wires.push(Wire::silent(scene.tcp).await);
            }
            // As long as one of them is open; each byte is a write of its own.
            let mut at = 0;
            while !wires.is_empty() {
                let byte = bytes.get(at..=at).unwrap_or(b"P");
                let mut open_wires = Vec::new();
                for mut wire in wires {
                    if wire.press(byte).await {
                        open_wires.push(wire);
                    }
                }
                wires = open_wires;
                at += 1;
                tokio::time::sleep(TRICKLE).await;
            }
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
            wires.push(Wire::silent(scene.health).await);
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
