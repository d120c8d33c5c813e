//! HTTP/2 by the book: what each broken rule of RFC 9113 is answered with, and what is to be ignored.
//!
//! A table in the way of h2spec. A row begins on a connection that has been greeted. A stream error may be
//! treated as one of the connection (5.4.2), and so it is in places. Where the library is more lenient than
//! the RFC, its row says why that does no harm.

use crate::{
    frames::{
        ACK, ADMIT, CONTINUATION, DATA, END_HEADERS, END_STREAM, FRAME_BYTES_MAX, Frame, GOAWAY,
        HEADERS, INITIAL_WINDOW_SIZE, PADDED, PING, PREFACE, PRIORITIZED, PRIORITY, PUSH_PROMISE,
        RST_STREAM, SETTINGS, WINDOW_UPDATE, Wire, call, field, frame, frame_of_length, message,
        open, ping, reset, settings, window_update,
    },
    scene::Scene,
};

const PROTOCOL_ERROR: u32 = 0x1;
const FLOW_CONTROL_ERROR: u32 = 0x3;
const STREAM_CLOSED: u32 = 0x5;
const FRAME_SIZE_ERROR: u32 = 0x6;
const COMPRESSION_ERROR: u32 = 0x9;

/// The reaction that a row expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaction {
    /// The connection ends, with one of these codes, or without a word where there is none.
    Connection(&'static [u32]),
    /// Stream 1 is reset with this code, and the connection goes on.
    Stream(u32),
    /// Nothing is said of it, and the connection goes on.
    Nothing,
    /// Stream 1 is answered.
    Answer,
}
use Reaction::{Answer, Connection, Nothing, Stream};

/// What came back.
fn reaction(found: &[Frame], is_open: bool) -> String {
    let goaway = found.iter().rfind(|frame| frame.kind == GOAWAY);
    let reset = found.iter().find(|frame| frame.kind == RST_STREAM);
    match (goaway, reset) {
        (Some(frame), _) => format!("connection {:#x}", frame.error()),
        (None, _) if !is_open => "closed".to_owned(),
        (None, Some(frame)) => format!("stream {} {:#x}", frame.stream, frame.error()),
        (None, None) if found.iter().any(|frame| frame.kind == HEADERS) => "answer".to_owned(),
        (None, None) => "nothing".to_owned(),
    }
}

impl Reaction {
    fn is(self, found: &[Frame], is_open: bool) -> bool {
        let said = reaction(found, is_open);
        match self {
            Connection([]) => !is_open && said != "answer",
            Connection(codes) => codes
                .iter()
                .any(|code| said == format!("connection {code:#x}")),
            Stream(code) => said == format!("stream 1 {code:#x}"),
            Nothing => said == "nothing",
            Answer => said == "answer",
        }
    }
}

/// A section of the RFC, what is done, the bytes, and the reaction.
type Row = (&'static str, &'static str, Vec<u8>, Reaction);

/// HEADERS of stream 1 with this block.
fn headers(fields: &[(&str, &str)]) -> Vec<u8> {
    let block: Vec<u8> = fields
        .iter()
        .flat_map(|(name, value)| field(name, value))
        .collect();
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)
}

/// The headers of a call with one more.
fn with(name: &str, value: &str) -> Vec<u8> {
    let block = [call(ADMIT), field(name, value)].concat();
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)
}

/// A whole call on stream 1.
fn whole() -> Vec<u8> {
    [open(1, ADMIT), message(1, b"")].concat()
}

/// Sections 4 and 5: frames, and the states of a stream.
#[expect(clippy::too_many_lines, reason = "a table: one row for each rule")]
fn streams() -> Vec<Row> {
    let depends_on_itself = [0, 0, 0, 1, 255];
    vec![
        (
            "4.1",
            "an unknown kind of frame",
            frame(0xff, 0xff, 7, b"any"),
            Nothing,
        ),
        (
            "4.1",
            "flags that are not defined",
            frame(PING, 0x16, 0, &[0; 8]),
            Nothing,
        ),
        (
            "4.1",
            "the reserved bit",
            frame(HEADERS, END_HEADERS | END_STREAM, 0x8000_0001, &call(ADMIT)),
            Answer,
        ),
        (
            "4.2",
            "DATA over the size",
            [open(1, ADMIT), frame(DATA, 0, 1, &[0; FRAME_BYTES_MAX + 1])].concat(),
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        (
            "4.2",
            "HEADERS over the size",
            frame(HEADERS, END_HEADERS, 1, &[0; FRAME_BYTES_MAX + 1]),
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        (
            "4.2",
            "a length that is a lie",
            frame_of_length(0x00ff_ffff, SETTINGS, 0, 0, b""),
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        (
            "4.3",
            "a block that is no HPACK",
            frame(HEADERS, END_HEADERS, 1, &[0xff; 8]),
            Connection(&[COMPRESSION_ERROR, PROTOCOL_ERROR]),
        ),
        (
            "4.3",
            "another frame within a block",
            [frame(HEADERS, 0, 1, &call(ADMIT)), ping([0; 8])].concat(),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "4.3",
            "HEADERS within a block",
            [frame(HEADERS, 0, 1, &call(ADMIT)), open(3, ADMIT)].concat(),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "5.1",
            "DATA on an idle stream",
            message(1, b""),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "5.1",
            "RST_STREAM on an idle stream",
            reset(1, 8),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "5.1",
            "WINDOW_UPDATE on an idle stream",
            window_update(1, 1),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "5.1",
            "CONTINUATION on an idle stream",
            frame(CONTINUATION, END_HEADERS, 1, &call(ADMIT)),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "5.1",
            "PRIORITY on an idle stream",
            frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]),
            Nothing,
        ),
        (
            "5.1",
            "DATA after RST_STREAM",
            [open(1, ADMIT), reset(1, 8), message(1, b"")].concat(),
            Stream(STREAM_CLOSED),
        ),
        (
            "5.1",
            "CONTINUATION after the end",
            [whole(), frame(CONTINUATION, END_HEADERS, 1, b"")].concat(),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "5.1.1",
            "a stream of the server's",
            open(2, ADMIT),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "5.1.1",
            "a stream below the last one",
            [open(5, ADMIT), open(3, ADMIT)].concat(),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "5.1.1",
            "stream 0",
            frame(HEADERS, END_HEADERS, 0, &call(ADMIT)),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "5.3.1",
            "a stream that depends on itself",
            frame(
                HEADERS,
                END_HEADERS | PRIORITIZED,
                1,
                &[&depends_on_itself[..], &call(ADMIT)].concat(),
            ),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "5.5",
            "an unknown frame within a block",
            [frame(HEADERS, 0, 1, &call(ADMIT)), frame(0xff, 0, 1, b"")].concat(),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "5.5",
            "a setting that is not known",
            settings(&[(0xff, 1)]),
            Nothing,
        ),
    ]
}

/// Section 6: each kind of frame.
#[expect(clippy::too_many_lines, reason = "a table: one row for each rule")]
fn frames() -> Vec<Row> {
    vec![
        (
            "6.1",
            "DATA on stream 0",
            frame(DATA, 0, 0, b""),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "6.1",
            "padding longer than DATA",
            [open(1, ADMIT), frame(DATA, PADDED, 1, &[9, 0])].concat(),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "6.2",
            "padding longer than HEADERS",
            frame(HEADERS, PADDED | END_HEADERS, 1, &[9, 0]),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "6.3",
            "PRIORITY on stream 0",
            frame(PRIORITY, 0, 0, &[0; 5]),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "6.4",
            "RST_STREAM on stream 0",
            reset(0, 8),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "6.4",
            "RST_STREAM of another length",
            [open(1, ADMIT), frame(RST_STREAM, 0, 1, &[0; 3])].concat(),
            Connection(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        ),
        (
            "6.5",
            "SETTINGS on a stream",
            frame(SETTINGS, 0, 1, b""),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "6.5",
            "SETTINGS of another length",
            frame(SETTINGS, 0, 0, &[0; 5]),
            Connection(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        ),
        (
            "6.5",
            "an acknowledgement with settings",
            frame(SETTINGS, ACK, 0, &[0; 6]),
            Connection(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        ),
        (
            "6.5.2",
            "ENABLE_PUSH that is no truth value",
            settings(&[(0x2, 2)]),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "6.5.2",
            "a window over the largest",
            settings(&[(INITIAL_WINDOW_SIZE, 0x8000_0000)]),
            Connection(&[FLOW_CONTROL_ERROR, PROTOCOL_ERROR]),
        ),
        (
            "6.5.2",
            "a frame size below the least",
            settings(&[(0x5, 16_383)]),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "6.5.2",
            "a frame size over the largest",
            settings(&[(0x5, 0x0100_0000)]),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "6.6",
            "PUSH_PROMISE of a client",
            [
                open(1, ADMIT),
                frame(
                    PUSH_PROMISE,
                    END_HEADERS,
                    1,
                    &[&[0, 0, 0, 2][..], &call(ADMIT)].concat(),
                ),
            ]
            .concat(),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "6.7",
            "PING on a stream",
            frame(PING, 0, 1, &[0; 8]),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "6.7",
            "PING of another length",
            frame(PING, 0, 0, &[0; 7]),
            Connection(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        ),
        (
            "6.7",
            "an acknowledgement of no PING",
            frame(PING, ACK, 0, &[0; 8]),
            Nothing,
        ),
        (
            "6.8",
            "GOAWAY on a stream",
            frame(GOAWAY, 0, 1, &[0; 8]),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "6.8",
            "GOAWAY that is too short",
            frame(GOAWAY, 0, 0, &[0; 7]),
            Connection(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        ),
        (
            "6.9",
            "no increment, of the connection",
            window_update(0, 0),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "6.9",
            "no increment, of a stream",
            [open(1, ADMIT), window_update(1, 0)].concat(),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "6.9",
            "WINDOW_UPDATE of another length",
            frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
            Connection(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        ),
        (
            "6.9.1",
            "a window too large, of the connection",
            window_update(0, 0x7fff_ffff),
            Connection(&[FLOW_CONTROL_ERROR]),
        ),
        (
            "6.9.1",
            "a window too large, of a stream",
            [open(1, ADMIT), window_update(1, 0x7fff_ffff)].concat(),
            Stream(FLOW_CONTROL_ERROR),
        ),
        (
            "6.9.2",
            "a window too large, by a setting",
            [
                open(1, ADMIT),
                window_update(1, 0x7fff_0000),
                settings(&[(INITIAL_WINDOW_SIZE, 0x7fff_ffff)]),
            ]
            .concat(),
            Connection(&[FLOW_CONTROL_ERROR]),
        ),
        (
            "6.10",
            "CONTINUATION of another stream",
            [
                frame(HEADERS, 0, 1, &call(ADMIT)),
                frame(CONTINUATION, END_HEADERS, 3, b""),
            ]
            .concat(),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "6.10",
            "CONTINUATION after the end of a block",
            [open(1, ADMIT), frame(CONTINUATION, END_HEADERS, 1, b"")].concat(),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "6.10",
            "a block in pieces",
            {
                let block = call(ADMIT);
                let (first, second) = block.split_at(7);
                [
                    frame(HEADERS, END_STREAM, 1, first),
                    frame(CONTINUATION, END_HEADERS, 1, second),
                ]
                .concat()
            },
            Answer,
        ),
    ]
}

/// Section 8: what a request is.
#[expect(clippy::too_many_lines, reason = "a table: one row for each rule")]
fn requests() -> Vec<Row> {
    let (method, scheme, path) = ((":method", "POST"), (":scheme", "http"), (":path", ADMIT));
    vec![
        (
            "8.1",
            "a second HEADERS that ends nothing",
            [open(1, ADMIT), open(1, ADMIT)].concat(),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "8.1.1",
            "more DATA than content-length",
            [
                frame(
                    HEADERS,
                    END_HEADERS,
                    1,
                    &[call(ADMIT), field("content-length", "1")].concat(),
                ),
                message(1, b""),
            ]
            .concat(),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "8.1.1",
            "less DATA than content-length",
            [
                frame(
                    HEADERS,
                    END_HEADERS,
                    1,
                    &[call(ADMIT), field("content-length", "9")].concat(),
                ),
                message(1, b""),
            ]
            .concat(),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "8.2.1",
            "a name in capitals",
            with("X-Case", "a"),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "8.2.1",
            "a name with a space",
            with("x y", "a"),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "8.2.1",
            "a value with a line feed",
            with("x", "a\nb"),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "8.2.1",
            "a value with a NUL",
            with("x", "a\0b"),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "8.2.2",
            "connection",
            with("connection", "keep-alive"),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "8.2.2",
            "transfer-encoding",
            with("transfer-encoding", "chunked"),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "8.2.2",
            "te other than trailers",
            with("te", "gzip"),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "8.3",
            "a pseudo-header that is not known",
            with(":any", "a"),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "8.3",
            "a pseudo-header of answers",
            with(":status", "200"),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "8.3",
            "a pseudo-header after the others",
            with(":method", "POST"),
            Stream(PROTOCOL_ERROR),
        ),
        // The library drops it, and no service reads trailers of a request.
        (
            "8.3",
            "a pseudo-header in trailers",
            [open(1, ADMIT), headers(&[method])].concat(),
            Answer,
        ),
        (
            "8.3.1",
            "no method",
            headers(&[scheme, path]),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "8.3.1",
            "no scheme",
            headers(&[method, path]),
            Stream(PROTOCOL_ERROR),
        ),
        // The library makes an empty path of it, and there is no method of that name.
        ("8.3.1", "no path", headers(&[method, scheme]), Answer),
        (
            "8.3.1",
            "an empty path",
            headers(&[method, scheme, (":path", "")]),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "8.3.1",
            "two methods",
            headers(&[method, method, scheme, path]),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "8.3.1",
            "two schemes",
            headers(&[method, scheme, scheme, path]),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "8.3.1",
            "two paths",
            headers(&[method, scheme, path, path]),
            Stream(PROTOCOL_ERROR),
        ),
    ]
}

/// Section 3.4: the first bytes; these rows begin on a silent connection.
fn prefaces() -> Vec<Row> {
    let http1 = b"GET / HTTP/1.1\r\nhost: admitd\r\n\r\n".to_vec();
    let other = b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".to_vec();
    let asked = frame(HEADERS, END_HEADERS | END_STREAM, 1, &call(ADMIT));
    vec![
        ("3.4", "another preface", other, Connection(&[])),
        ("3.4", "HTTP/1.1", http1, Connection(&[])),
        // The first frame has to be SETTINGS. The library takes any; the values are then those that hold
        // without SETTINGS, and every limit holds as well.
        ("3.4", "no SETTINGS", [PREFACE, &asked].concat(), Answer),
    ]
}

#[tokio::test]
async fn each_rule_of_http2_is_kept() {
    let scene = Scene::with("").await;
    let mut wrong = Vec::new();
    let greeting = [PREFACE, &settings(&[])].concat();
    let greeted = [streams(), frames(), requests()].concat();
    let rows = greeted
        .into_iter()
        .map(|row| (greeting.clone(), row))
        .chain(prefaces().into_iter().map(|row| (Vec::new(), row)));
    for (greeting, (section, what, bytes, expected)) in rows {
        let mut wire = Wire::silent(scene.tcp).await;
        // The end may come before the last byte.
        wire.send(&[greeting, bytes].concat()).await;
        let (found, is_open) = match expected {
            Answer => (vec![answered(&mut wire).await], true),
            Connection(_) | Stream(_) | Nothing => wire.reactions().await,
        };
        if !expected.is(&found, is_open) {
            let said = reaction(&found, is_open);
            wrong.push(format!("{section} {what}: {said}, not {expected:?}"));
        }
        scene.answers().await;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The first frame of stream 1.
async fn answered(wire: &mut Wire) -> Frame {
    loop {
        let found = wire.next().await.unwrap();
        if found.stream == 1 && found.kind == HEADERS {
            return found;
        }
    }
}
