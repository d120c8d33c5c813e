//! Connections to a server: TCP, TLS where the target wants it, and HTTP/2.

use anyhow::Context as _;
use h2::client::{Builder, SendRequest};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};
use tonic::codegen::Bytes;

use super::Target;
use crate::authority::SERVER_NAME;

/// Bytes that a server may send on one stream, and on one connection, before the generator has read
/// them: so many that a server never waits for it.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;

/// Opens so many connections, one after the other.
///
/// # Errors
///
/// When one cannot be opened.
pub(super) async fn open(target: &Target, count: usize) -> anyhow::Result<Vec<SendRequest<Bytes>>> {
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        connections.push(connect(target).await?);
    }
    Ok(connections)
}

async fn connect(target: &Target) -> anyhow::Result<SendRequest<Bytes>> {
    let stream = TcpStream::connect(target.address)
        .await
        .context("no connection to the server")?;
    stream.set_nodelay(true)?;
    match &target.tls {
        None => handshake(stream).await,
        Some(config) => {
            let name = ServerName::try_from(SERVER_NAME)?;
            let stream = TlsConnector::from(config.clone())
                .connect(name, stream)
                .await;
            handshake(stream.context("no TLS with the server")?).await
        }
    }
}

async fn handshake<S>(stream: S) -> anyhow::Result<SendRequest<Bytes>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = Builder::new()
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .handshake(stream)
        .await
        .context("no HTTP/2 with the server")?;
    // What breaks a connection is seen by the calls on it.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}
