//! Peers that speak another language, or bend this one: garbage, HTTP/1.1, headers that grow.

use crate::{
    frames::{
        ADMIT, CONTINUATION, END_HEADERS, END_STREAM, FRAME_BYTES_MAX, GOAWAY, HEADERS, PREFACE,
        Wire, call, field, frame, indexed_field, message, open, reset, settings,
    },
    scene::{Scene, survives},
};

const CANCEL: u32 = 0x8;
/// How many peers do the same.
const PEERS: usize = 20;

#[tokio::test]
async fn what_is_no_http2_is_closed() {
    let hello = [PREFACE, &settings(&[])].concat();
    let noise: Vec<u8> = (0..8192_u32)
        .map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    // The beginning of a TLS handshake.
    let tls = [22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3].repeat(10);
    for (what, bytes) in [
        ("HTTP/1.1", b"GET / HTTP/1.1\r\nhost: admitd\r\n\r\n".to_vec()),
        ("an upgrade", b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n".to_vec()),
        ("TLS", tls),
        ("noise", noise.clone()),
        ("noise after the preface", [PREFACE, &noise].concat()),
        ("noise after the settings", [&hello[..], &noise].concat()),
        ("zeros", vec![0; 4096]),
        ("a preface twice", [PREFACE, PREFACE].concat()),
    ] {
        survives("", async |scene: &Scene| {
            for _ in 0..PEERS {
                let mut wire = Wire::silent(scene.tcp).await;
                wire.send(&bytes).await;
                while let Some(found) = wire.next().await {
                    assert_ne!(found.kind, HEADERS, "{what} was answered");
                }
            }
        })
        .await;
    }
}

/// A small list of bytes that stands for a large list of headers.
#[tokio::test]
async fn a_list_of_headers_that_unpacks_to_too_much_is_not_unpacked() {
    /// The newest entry of the dynamic table.
    const NEWEST: u8 = 0x80 | 62;
    survives("", async |scene: &Scene| {
        for _ in 0..PEERS {
            let mut wire = Wire::greeted(scene.tcp).await;
            let entry = indexed_field("x-bomb", &"v".repeat(4000));
            let mut block = [call(ADMIT), entry].concat();
            block.resize(FRAME_BYTES_MAX, NEWEST);
            wire.send(&frame(HEADERS, 0, 1, &block)).await;
            let more = vec![NEWEST; FRAME_BYTES_MAX];
            for _ in 0..50 {
                if !wire.press(&frame(CONTINUATION, 0, 1, &more)).await {
                    break;
                }
            }
            wire.closed().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_table_that_is_churned_stays_small() {
    const STREAMS: u32 = 1_000;
    survives("handshake = \"1m\"\n", async |scene: &Scene| {
        let mut wire = Wire::greeted(scene.tcp).await;
        for at in 0..STREAMS {
            let stream = 1 + 2 * at;
            let fields =
                (0..3).map(|field| indexed_field(&format!("x-{at}-{field}"), &"v".repeat(3900)));
            let block = [call(ADMIT), fields.collect::<Vec<_>>().concat()].concat();
            wire.send(&frame(HEADERS, END_HEADERS, stream, &block))
                .await;
            let (found, is_open) = wire.reactions().await;
            assert!(is_open, "{found:?}");
            wire.send(&reset(stream, CANCEL)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn headers_of_no_length_end_the_connection_or_are_nothing() {
    survives("", async |scene: &Scene| {
        for _ in 0..PEERS {
            // A name that is empty.
            let mut wire = Wire::greeted(scene.tcp).await;
            let empty = field("", "").repeat(4000);
            wire.send(&frame(
                HEADERS,
                END_HEADERS,
                1,
                &[call(ADMIT), empty].concat(),
            ))
            .await;
            wire.press(&message(1, b"")).await;
            wire.reactions().await;
            // A value that is empty, and a block that is.
            let mut wire = Wire::greeted(scene.tcp).await;
            let empty = field("a", "").repeat(400);
            wire.send(&frame(
                HEADERS,
                END_HEADERS,
                1,
                &[call(ADMIT), empty].concat(),
            ))
            .await;
            wire.send(&frame(HEADERS, END_HEADERS | END_STREAM, 3, b""))
                .await;
            wire.reactions().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_goes_away_and_stays_is_let_finish() {
    survives("", async |scene: &Scene| {
        for _ in 0..PEERS {
            let mut wire = Wire::greeted(scene.tcp).await;
            wire.send(&open(1, ADMIT)).await;
            wire.send(&frame(GOAWAY, 0, 0, &[0; 8])).await;
            // The stream that it has begun ends; then there is no connection any more.
            wire.send(&[message(1, b""), open(3, ADMIT), message(3, b"")].concat())
                .await;
            wire.closed().await;
        }
    })
    .await;
}

/// CONNECT asks for a tunnel. There is nothing to connect to, and no stream stays open for it.
#[tokio::test]
async fn there_is_no_tunnel() {
    const STREAMS: u32 = 200;
    survives(
        "handshake = \"1m\"\nstreams_per_connection = 4\n",
        async |scene: &Scene| {
            let mut wire = Wire::greeted(scene.tcp).await;
            let connect = [field(":method", "CONNECT"), field(":authority", "admitd:1")].concat();
            for at in 0..STREAMS {
                let stream = 1 + 2 * at;
                wire.send(&frame(HEADERS, END_HEADERS, stream, &connect))
                    .await;
                let mut has_ended = false;
                while !has_ended {
                    let found = wire.next().await.unwrap();
                    assert_ne!(found.kind, GOAWAY, "after {at}");
                    let ends = found.kind == 0x3 || found.flags & END_STREAM != 0;
                    has_ended = found.stream == stream && found.kind <= 0x3 && ends;
                }
            }
        },
    )
    .await;
}
