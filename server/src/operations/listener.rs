//! The listener of the operations port: connections within limits, one request on each.
//!
//! Whoever reaches the port is nobody in particular, so nothing here waits for a peer without a bound.
//! Deliberately absent: what is answered (`routes`).

use std::{io, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::limits::OPERATIONS_CONNECTIONS_MAX;

/// Largest request line with its headers, in bytes.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// From the connection to the last byte of the request's headers.
pub const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// From the connection to the last byte of the answer.
pub const CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);
/// How long nothing is accepted after the system refused to: without descriptors it does so at once,
/// again and again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a listener's connections may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    connections: usize,
    head_time: Duration,
    connection_time: Duration,
}

impl Bounds {
    /// Those of the operations port.
    pub(super) const OPERATIONS: Self = Self {
        connections: OPERATIONS_CONNECTIONS_MAX,
        head_time: HEAD_TIME_MAX,
        connection_time: CONNECTION_TIME_MAX,
    };
}

/// Serves `router` for as long as the future lives; its connections end with it.
pub(super) async fn serve(listener: TcpListener, router: Router, bounds: Bounds) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = listener.accept().await;
        // After the wait: what ended in the meantime takes no place.
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) if connections.len() < bounds.connections => {
                connections.spawn(answer(stream, router.clone(), bounds));
            }
            Ok((stream, _)) => {
                drop(stream);
                tracing::debug!("too many connections of the operations port");
            }
            Err(error) if is_of_peer(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "the operations port cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether only the connection failed that was to be accepted.
fn is_of_peer(error: &io::Error) -> bool {
    [
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::ConnectionRefused,
        io::ErrorKind::ConnectionReset,
    ]
    .contains(&error.kind())
}

/// Answers one request.
async fn answer(stream: TcpStream, router: Router, bounds: Bounds) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head_time)
        .max_header_size(HEAD_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // A peer that breaks off is no event, and neither is one that is too slow.
    let _ = tokio::time::timeout(bounds.connection_time, connection).await;
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(60 * 60);
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    /// Bounds that no test reaches.
    const WIDE: Bounds = Bounds {
        connections: 1000,
        head_time: LONG,
        connection_time: LONG,
    };

    /// A listener with `/`, which answers, and `/never`, which does not.
    async fn start(bounds: Bounds) -> SocketAddr {
        let router = Router::new()
            .route("/", get(async || "here"))
            .route("/never", get(std::future::pending::<()>));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, router, bounds));
        address
    }

    async fn connect(address: SocketAddr) -> TcpStream {
        TcpStream::connect(address).await.unwrap()
    }

    /// Everything that comes until the connection ends.
    async fn rest(stream: &mut TcpStream) -> String {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
        // A reset is an end as well.
        let _ = read.expect("the connection stays open");
        String::from_utf8(bytes).unwrap()
    }

    async fn ask(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = connect(address).await;
        // It may be closed already.
        let _ = stream.write_all(request).await;
        rest(&mut stream).await
    }

    #[tokio::test]
    async fn a_head_that_does_not_end_ends_the_connection() {
        let address = start(Bounds {
            head_time: SHORT,
            ..WIDE
        })
        .await;
        for part in [&b""[..], b"G", b"GET / HTTP/1.1\r\nhost: localhost\r\n"] {
            let answer = ask(address, part).await;
            assert!(!answer.contains("here"), "{answer}");
        }
        // One that comes in parts but in time is answered.
        let mut stream = connect(start(WIDE).await).await;
        for byte in REQUEST {
            stream.write_all(&[*byte]).await.unwrap();
        }
        assert!(rest(&mut stream).await.ends_with("here"));
    }

    #[tokio::test]
    async fn an_answer_that_does_not_end_ends_the_connection() {
        let never = b"GET /never HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let address = start(Bounds {
            connection_time: SHORT,
            ..WIDE
        })
        .await;
        assert_eq!(ask(address, never).await, "");
        assert!(ask(address, REQUEST).await.ends_with("here"));
    }

    #[tokio::test]
    async fn a_connection_beyond_the_limit_is_closed_at_once() {
        let address = start(Bounds {
            connections: 2,
            ..WIDE
        })
        .await;
        let first = connect(address).await;
        let mut second = connect(address).await;
        for _ in 0..3 {
            assert_eq!(ask(address, REQUEST).await, "");
        }
        // Those within the limit are still answered, and one that ends makes room.
        second.write_all(REQUEST).await.unwrap();
        assert!(rest(&mut second).await.ends_with("here"));
        drop(first);
        let answered = async { while !ask(address, REQUEST).await.ends_with("here") {} };
        tokio::time::timeout(PATIENCE, answered).await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_has_one_request() {
        let address = start(WIDE).await;
        let answers = ask(address, &REQUEST.repeat(2)).await;
        assert_eq!(answers.matches("here").count(), 1, "{answers}");
        assert!(answers.contains("connection: close"), "{answers}");
    }

    #[tokio::test]
    async fn a_head_has_a_limit() {
        let address = start(WIDE).await;
        let head = |bytes: usize| {
            let start = "GET / HTTP/1.1\r\nhost: localhost\r\nx: ";
            let end = "\r\n\r\n";
            let padding = bytes - start.len() - end.len();
            format!("{start}{}{end}", "x".repeat(padding))
        };
        let answer = ask(address, head(HEAD_BYTES_MAX).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let answer = ask(address, head(HEAD_BYTES_MAX + 1).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
}
