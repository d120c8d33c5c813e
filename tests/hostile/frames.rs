//! HTTP/2 frames, written byte by byte: what no client library would send.
//!
//! Deliberately absent: HPACK beyond literals, and any judgment of what comes back; a frame is its kind,
//! its flags, its stream and its bytes.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream, UnixStream},
};

use crate::daemon::within;

/// What a client says first of all.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0x0;
pub(crate) const HEADERS: u8 = 0x1;
pub(crate) const PRIORITY: u8 = 0x2;
pub(crate) const RST_STREAM: u8 = 0x3;
pub(crate) const SETTINGS: u8 = 0x4;
pub(crate) const PUSH_PROMISE: u8 = 0x5;
pub(crate) const PING: u8 = 0x6;
pub(crate) const GOAWAY: u8 = 0x7;
pub(crate) const WINDOW_UPDATE: u8 = 0x8;
pub(crate) const CONTINUATION: u8 = 0x9;

pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
pub(crate) const PADDED: u8 = 0x8;
pub(crate) const PRIORITIZED: u8 = 0x20;

pub(crate) const INITIAL_WINDOW_SIZE: u16 = 0x4;

const HEAD_BYTES: usize = 9;
/// Largest frame that a peer may send as long as nobody says otherwise.
pub(crate) const FRAME_BYTES_MAX: usize = 16_384;
/// What the daemon is asked about: the call that a launch depends on.
pub(crate) const ADMIT: &str = "/admit.v1.AdmissionService/Admit";

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The error code of an `RST_STREAM` or a GOAWAY.
    pub(crate) fn error(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// The bytes of a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    frame_of_length(payload.len(), kind, flags, stream, payload)
}

/// The same with a length that may be a lie.
pub(crate) fn frame_of_length(
    length: usize,
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &[u8],
) -> Vec<u8> {
    let length = u32::try_from(length).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// SETTINGS with these values.
pub(crate) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (key, value) in values {
        payload.extend(key.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    frame(SETTINGS, 0, 0, &payload)
}

pub(crate) fn ping(payload: [u8; 8]) -> Vec<u8> {
    frame(PING, 0, 0, &payload)
}

pub(crate) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

pub(crate) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// A header as a literal that enters no table.
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    literal(0x00, name, value)
}

/// A header as a literal that enters the dynamic table.
pub(crate) fn indexed_field(name: &str, value: &str) -> Vec<u8> {
    literal(0x40, name, value)
}

fn literal(first: u8, name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![first];
    for text in [name, value] {
        bytes.extend(integer(text.len()));
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// An integer with a prefix of seven bits.
fn integer(value: usize) -> Vec<u8> {
    const PREFIX_MAX: usize = 127;
    if value < PREFIX_MAX {
        return vec![u8::try_from(value).unwrap()];
    }
    let mut bytes = vec![127];
    let mut rest = value - PREFIX_MAX;
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).unwrap() | 0x80);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).unwrap());
    bytes
}

/// The headers of a gRPC call of `path`.
pub(crate) fn call(path: &str) -> Vec<u8> {
    [
        field(":method", "POST"),
        field(":scheme", "http"),
        field(":path", path),
        field(":authority", "admitd"),
        field("content-type", "application/grpc"),
        field("te", "trailers"),
    ]
    .concat()
}

/// HEADERS that open `stream` with a call of `path`; the request is still to come.
pub(crate) fn open(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &call(path))
}

/// DATA with one message, the last one of its stream.
pub(crate) fn message(stream: u32, message: &[u8]) -> Vec<u8> {
    let mut payload = vec![0];
    payload.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    payload.extend(message);
    frame(DATA, END_STREAM, stream, &payload)
}

/// A stream of bytes, over TCP or a unix socket.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl Stream for TcpStream {}
impl Stream for UnixStream {}

/// A connection on which any bytes may be sent.
pub(crate) struct Wire(Box<dyn Stream>);

impl Wire {
    /// A connection on which nothing has been said.
    pub(crate) async fn silent(address: SocketAddr) -> Self {
        let stream = within("a connection", TcpStream::connect(address)).await;
        let stream = stream.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(Box::new(stream))
    }

    /// The same from this address of the host.
    pub(crate) async fn from(own: Ipv4Addr, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((own, 0))).unwrap();
        let stream = within("a connection", socket.connect(address)).await;
        Self(Box::new(stream.unwrap()))
    }

    /// The same over the unix socket, where little waits for whoever does not read.
    pub(crate) async fn narrow(path: &Path) -> Self {
        let stream = within("a connection", UnixStream::connect(path)).await;
        Self(Box::new(stream.unwrap()))
    }

    /// A connection with the preface and these settings.
    pub(crate) async fn with(address: SocketAddr, values: &[(u16, u32)]) -> Self {
        let mut wire = Self::silent(address).await;
        let hello = [PREFACE, &settings(values)].concat();
        assert!(wire.send(&hello).await);
        wire
    }

    /// A connection as any client opens it.
    pub(crate) async fn greeted(address: SocketAddr) -> Self {
        Self::with(address, &[]).await
    }

    /// Sends `bytes`; whether the other end still took them.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        within("a write", self.0.write_all(bytes)).await.is_ok()
    }

    /// Sends `bytes` if the other end takes them at once, and else as much as it does.
    pub(crate) async fn press(&mut self, bytes: &[u8]) -> bool {
        const MOMENT: Duration = Duration::from_millis(300);
        let sent = tokio::time::timeout(MOMENT, self.0.write_all(bytes)).await;
        matches!(sent, Ok(Ok(())))
    }

    /// Whether the other end says hello, and has not closed.
    pub(crate) async fn is_open(&mut self) -> bool {
        self.send(&[PREFACE, &settings(&[])].concat()).await;
        let (_, is_open) = self.reactions().await;
        is_open
    }

    /// The next frame; `None` when the other end has closed.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        within("a frame or the end", self.read()).await
    }

    async fn read(&mut self) -> Option<Frame> {
        let mut head = [0; HEAD_BYTES];
        self.0.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.0.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes(head[5..].try_into().unwrap());
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream,
            payload,
        })
    }

    /// Reads until the other end closes; the last GOAWAY's code, if there was one.
    pub(crate) async fn closed(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                code = Some(frame.error());
            }
        }
        code
    }

    /// Reads until every frame that was sent has been looked at, and what comes of it has been sent. What
    /// that was, and whether the connection is open still.
    pub(crate) async fn reactions(&mut self) -> (Vec<Frame>, bool) {
        let mut found = Vec::new();
        // A PING is answered before a reset that was due earlier; a second one is not.
        let is_open = self.pinged(*b"the mark", &mut found).await
            && self.pinged(*b"the next", &mut found).await;
        (found, is_open)
    }

    /// Sends a PING; whether it came back. What came before it is `found`.
    async fn pinged(&mut self, mark: [u8; 8], found: &mut Vec<Frame>) -> bool {
        self.send(&ping(mark)).await;
        while let Some(frame) = self.next().await {
            if frame.kind == PING && frame.flags == ACK && frame.payload == mark {
                return true;
            }
            found.push(frame);
        }
        false
    }
}
