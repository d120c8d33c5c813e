//! A way to a server that can be cut off: connections stay open, and nothing gets through.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// A port in front of another one.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    is_cut: watch::Sender<bool>,
}

impl Proxy {
    pub(crate) async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let is_cut = watch::Sender::new(false);
        let cut = is_cut.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(forward(stream, server, cut.subscribe()));
            }
        });
        Self { address, is_cut }
    }

    /// From now on nothing gets through, in either direction, and nobody is told.
    pub(crate) fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// New connections get through again; the old ones stay dead.
    pub(crate) fn mend(&self) {
        self.is_cut.send_replace(false);
    }
}

async fn forward(mut from: TcpStream, server: SocketAddr, mut is_cut: watch::Receiver<bool>) {
    let both = async {
        // A server that is gone closes the connection, as it would without a proxy.
        let Ok(mut to) = TcpStream::connect(server).await else {
            return;
        };
        let _ = copy_bidirectional(&mut from, &mut to).await;
    };
    tokio::select! {
        () = both => return,
        _ = is_cut.wait_for(|cut| *cut) => {}
    }
    // Held open and never read, until the caller gives up.
    let _held = from;
    std::future::pending::<()>().await;
}
