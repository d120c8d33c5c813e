//! The listener of the operations port: connections within limits, one request on each.
//!
//! Whoever reaches the port is nobody in particular, so nothing here waits for a peer without a bound.
//! Deliberately absent: what is answered ([`super::routes`]).

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

/// Most connections at one time; one beyond them is closed at once.
pub const CONNECTIONS_MAX: usize = 64;
/// Largest request line with its headers, in bytes.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// From the connection to the last byte of the request's headers.
pub const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// From the connection to the last byte of the answer.
pub const CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);
/// How long nothing is accepted after the system refused to: without descriptors it does so at once,
/// again and again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` for as long as the future lives; its connections end with it.
pub(super) async fn serve(listener: TcpListener, router: Router) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = listener.accept().await;
        // After the wait: what ended in the meantime takes no place.
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) if connections.len() < CONNECTIONS_MAX => {
                connections.spawn(answer(stream, router.clone()));
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
async fn answer(stream: TcpStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // A peer that breaks off is no event, and neither is one that is too slow.
    let _ = tokio::time::timeout(CONNECTION_TIME_MAX, connection).await;
}
