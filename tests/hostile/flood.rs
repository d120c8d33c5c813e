//! Floods: frames that cost the sender nothing and the receiver something.

use crate::{
    frames::{
        ACK, ADMIT, CONTINUATION, DATA, END_HEADERS, END_STREAM, FRAME_BYTES_MAX, GOAWAY, HEADERS,
        INITIAL_WINDOW_SIZE, PING, PREFACE, PRIORITIZED, PRIORITY, RST_STREAM, Wire, call, field,
        frame, message, open, ping, reset, settings, window_update,
    },
    scene::{Scene, eventually, survives},
};

const PROTOCOL_ERROR: u32 = 0x1;
const STREAM_CLOSED: u32 = 0x5;
const FLOW_CONTROL_ERROR: u32 = 0x3;
const CANCEL: u32 = 0x8;
const COMPRESSION_ERROR: u32 = 0x9;
const ENHANCE_YOUR_CALM: u32 = 0xb;

/// What a frame is, and how it is made for a stream.
type Piece<'a> = (&'a str, &'a dyn Fn(u32) -> Vec<u8>);

/// Frames that are sent in one piece.
const BATCH: u32 = 500;

/// Sends `batches` of frames until the other end has enough; the code of its GOAWAY.
async fn told_after(wire: &mut Wire, batches: impl Iterator<Item = Vec<u8>>) -> Option<u32> {
    for batch in batches {
        if !wire.press(&batch).await {
            break;
        }
    }
    wire.closed().await
}

/// The odd stream ids from `first` on, so many.
fn streams(first: u32, count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(move |at| first + 2 * at)
}

#[tokio::test]
async fn rapid_reset_ends_the_connection() {
    const STREAMS: u32 = 10_000;
    for has_request in [false, true] {
        survives("", async |scene: &Scene| {
            let mut wire = Wire::greeted(scene.tcp).await;
            let batches = (0..STREAMS / BATCH).map(|batch| {
                let mut bytes = Vec::new();
                for stream in streams(1 + 2 * batch * BATCH, BATCH) {
                    bytes.extend(open(stream, ADMIT));
                    if has_request {
                        bytes.extend(message(stream, b""));
                    }
                    bytes.extend(reset(stream, CANCEL));
                }
                bytes
            });
            let told = told_after(&mut wire, batches).await;
            assert!(matches!(told, Some(ENHANCE_YOUR_CALM) | None), "{told:?}");
        })
        .await;
    }
}

/// Slower than what ends a connection: every stream is begun, and given up by then.
#[tokio::test]
async fn resets_at_leisure_leave_nothing_behind() {
    const STREAMS: u32 = 1_000;
    survives(
        "in_flight = 4\nhandshake = \"1m\"\n",
        async |scene: &Scene| {
            let mut wire = Wire::greeted(scene.tcp).await;
            for stream in streams(1, STREAMS) {
                wire.send(&open(stream, ADMIT)).await;
                wire.reactions().await;
                wire.send(&reset(stream, CANCEL)).await;
                let (found, is_open) = wire.reactions().await;
                assert!(is_open, "after {stream}: {found:?}");
            }
        },
    )
    .await;
}

/// Resets that the peer makes the server send ("made you reset") are counted as the peer's own are.
#[tokio::test]
async fn resets_that_the_peer_provokes_end_the_connection() {
    const STREAMS: u32 = 2_000;
    let provoke = |how: &str, stream: u32| match how {
        "no increment" => [open(stream, ADMIT), window_update(stream, 0)].concat(),
        "a window too large" => [open(stream, ADMIT), window_update(stream, 0x7fff_ffff)].concat(),
        "data after the end" => [
            open(stream, ADMIT),
            message(stream, b""),
            frame(DATA, END_STREAM, stream, b"more"),
        ]
        .concat(),
        "a stream that depends on itself" => {
            let priority = [&stream.to_be_bytes()[..], &[0]].concat();
            [open(stream, ADMIT), frame(PRIORITY, 0, stream, &priority)].concat()
        }
        "trailers that are none" => [open(stream, ADMIT), open(stream, ADMIT)].concat(),
        "a length that is none" => {
            let headers = [call(ADMIT), field("content-length", "many")].concat();
            frame(HEADERS, END_HEADERS, stream, &headers)
        }
        other => panic!("{other}"),
    };
    for how in [
        "no increment",
        "a window too large",
        "data after the end",
        "a stream that depends on itself",
        "trailers that are none",
        "a length that is none",
    ] {
        survives("", async |scene: &Scene| {
            let mut wire = Wire::greeted(scene.tcp).await;
            let batches = (0..STREAMS / 10).map(|batch| {
                let streams = streams(1 + 20 * batch, 10);
                streams.flat_map(|stream| provoke(how, stream)).collect()
            });
            let told = told_after(&mut wire, batches).await;
            let ends = [
                None,
                Some(PROTOCOL_ERROR),
                Some(FLOW_CONTROL_ERROR),
                Some(STREAM_CLOSED),
                Some(ENHANCE_YOUR_CALM),
            ];
            assert!(ends.contains(&told), "{how}: {told:?}");
        })
        .await;
    }
}

#[tokio::test]
async fn continuations_without_end_end_the_connection() {
    const FRAMES: u32 = 5_000;
    let big = field("x-big", &"v".repeat(FRAME_BYTES_MAX - 100));
    for (what, fragment) in [
        ("empty", Vec::new()),
        ("small", field("a", "b")),
        ("big", big),
    ] {
        survives("", async |scene: &Scene| {
            let mut wire = Wire::greeted(scene.tcp).await;
            wire.send(&frame(HEADERS, 0, 1, &call(ADMIT))).await;
            let piece = frame(CONTINUATION, 0, 1, &fragment);
            let batches = (0..FRAMES).map(|_| piece.clone());
            let told = told_after(&mut wire, batches).await;
            let ends = [None, Some(ENHANCE_YOUR_CALM), Some(COMPRESSION_ERROR)];
            assert!(ends.contains(&told), "{what}: {told:?}");
        })
        .await;
    }
}

#[tokio::test]
async fn data_without_bytes_ends_the_connection() {
    const FRAMES: u32 = 50_000;
    survives("", async |scene: &Scene| {
        let mut wire = Wire::greeted(scene.tcp).await;
        wire.send(&open(1, ADMIT)).await;
        let batches = (0..FRAMES / BATCH).map(|_| {
            let piece = frame(DATA, 0, 1, b"");
            (0..BATCH).flat_map(|_| piece.clone()).collect()
        });
        let told = told_after(&mut wire, batches).await;
        assert!(matches!(told, Some(ENHANCE_YOUR_CALM) | None), "{told:?}");
    })
    .await;
}

/// A flood that is answered frame by frame: whoever does not read the answers is not read any more.
#[tokio::test]
async fn answers_that_nobody_reads_are_not_piled_up() {
    const BATCHES: u32 = 400;
    let flips = |at: u32| settings(&[(INITIAL_WINDOW_SIZE, 1 + at % 2 * 65_535)]);
    for (what, piece) in [
        ("pings", ping(*b"anything")),
        ("settings", settings(&[])),
        ("table sizes", settings(&[(0x1, 0), (0x1, 4096)])),
        ("windows", [flips(0), flips(1)].concat()),
    ] {
        survives("", async |scene: &Scene| {
            let mut wire = Wire::narrow(&scene.socket).await;
            wire.send(&[PREFACE, &settings(&[])].concat()).await;
            let batch = piece.repeat(usize::try_from(BATCH).unwrap());
            let mut sent = 0;
            for _ in 0..BATCHES {
                if !wire.press(&batch).await {
                    break;
                }
                sent += 1;
            }
            assert!(sent < BATCHES, "{what}: everything was taken");
        })
        .await;
    }
}

#[tokio::test]
async fn pings_that_are_read_are_answered() {
    const PINGS: u32 = 5_000;
    survives("handshake = \"1m\"\n", async |scene: &Scene| {
        let mut wire = Wire::greeted(scene.tcp).await;
        let (mut answers, mut sent) = (0, 0);
        while sent < PINGS {
            wire.send(&ping(*b"anything").repeat(100)).await;
            sent += 100;
            while answers < sent {
                let found = wire.next().await.unwrap();
                assert_ne!(found.kind, GOAWAY);
                answers += u32::from(found.kind == PING && found.flags == ACK);
            }
        }
    })
    .await;
}

/// What costs nothing is read and forgotten.
#[tokio::test]
async fn frames_without_effect_are_forgotten() {
    const BATCHES: u32 = 100;
    let priority = |stream: u32| frame(PRIORITY, 0, stream, &[0, 0, 0, 0, 16]);
    let unknown = |stream: u32| frame(0xfa, 0xff, stream, &[0; 64]);
    let acknowledged = |_: u32| frame(PING, ACK, 0, b"anything");
    // The first one is no request, and its stream is reset; of the others nothing is told.
    let reset = |_: u32| frame(HEADERS, END_HEADERS, 1, &field("x", "y"));
    let pieces: [Piece<'_>; 4] = [
        ("headers of a stream that was reset", &reset),
        ("priorities", &priority),
        ("unknown frames", &unknown),
        ("acknowledged pings", &acknowledged),
    ];
    for (what, piece) in pieces {
        survives("handshake = \"1m\"\n", async |scene: &Scene| {
            let mut wire = Wire::greeted(scene.tcp).await;
            for batch in 0..BATCHES {
                let streams = streams(1 + 2 * batch * BATCH, BATCH);
                let bytes: Vec<u8> = streams.flat_map(piece).collect();
                assert!(wire.send(&bytes).await, "{what}");
            }
            let (found, is_open) = wire.reactions().await;
            assert!(is_open, "{what}: {found:?}");
        })
        .await;
    }
}

/// Priorities that come with HEADERS build no tree either.
#[tokio::test]
async fn calls_that_depend_on_each_other_are_calls() {
    const STREAMS: u32 = 500;
    survives("handshake = \"1m\"\n", async |scene: &Scene| {
        let mut wire = Wire::greeted(scene.tcp).await;
        for stream in streams(1, STREAMS) {
            let depends = (stream.saturating_sub(2) | 0x8000_0000).to_be_bytes();
            let headers = [&depends[..], &[255], &call(ADMIT)].concat();
            wire.send(&frame(HEADERS, END_HEADERS | PRIORITIZED, stream, &headers))
                .await;
            wire.send(&message(stream, b"")).await;
            eventually("the end of a stream", async || {
                let found = wire.next().await.unwrap();
                assert!(
                    found.kind != RST_STREAM && found.kind != GOAWAY,
                    "{found:?}"
                );
                (found.stream == stream && found.flags & END_STREAM != 0).then_some(())
            })
            .await;
        }
    })
    .await;
}
