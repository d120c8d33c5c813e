//! A stand-in until mutual TLS is here: nobody comes in.

use std::{net::SocketAddr, time::Duration};

use tokio::net::TcpStream;

use super::HandshakeDefect;
use crate::caller::Peer;

#[derive(Clone, Debug)]
pub struct Tls {}
pub struct Secured {
    pub stream: TcpStream,
    pub credential: Credential,
}
pub struct Credential {}
impl Tls {
    pub fn reload(&self) {}

    pub async fn accept(
        &self,
        _: TcpStream,
        _: SocketAddr,
        _: Duration,
    ) -> Result<Secured, HandshakeDefect> {
        Err(HandshakeDefect::Broken)
    }
}
impl Credential {
    pub fn peer(&self) -> Peer {
        Peer::Plaintext
    }
    pub fn is_valid(&self, _: &Tls) -> bool {
        false
    }
}
