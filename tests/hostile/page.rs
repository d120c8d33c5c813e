//! The metrics of the running daemon, as a monitor reads them.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::daemon::within;

/// What the metrics page says at one moment.
pub(crate) struct Page(String);

impl Page {
    /// The page that is served at `address`.
    pub(crate) async fn of(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = "GET /metrics HTTP/1.1\r\nhost: admitd\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        within("the metrics", stream.read_to_string(&mut text))
            .await
            .unwrap();
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        Self(text)
    }

    /// The value of the metric `name` that has these labels, written as on the page.
    pub(crate) fn value(&self, name: &str) -> u64 {
        let line = self
            .0
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let line = line.unwrap_or_else(|| panic!("no `{name}` in {}", self.0));
        line.trim().parse().unwrap()
    }

    /// The sum of every metric whose name begins so.
    pub(crate) fn sum(&self, prefix: &str) -> u64 {
        let values = self
            .0
            .lines()
            .filter(|line| line.starts_with(prefix))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        values.sum()
    }
}
