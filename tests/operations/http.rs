//! What the port answers, as it stands on the wire.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{policy, serves, start};
use crate::daemon::within;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The lines of the head, in lowercase as they come.
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header that stands there once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let start = format!("{name}: ");
        let mut values = self
            .headers
            .iter()
            .filter_map(|line| line.strip_prefix(start.as_str()));
        let value = values.next();
        assert_eq!(values.next(), None, "{name} twice");
        value
    }
}

/// The answer to this text, up to the end of the connection; `None` when it ends without one.
pub(crate) async fn answer_to(address: SocketAddr, request: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    within("an answer", stream.read_to_string(&mut answer))
        .await
        .ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n").map(str::to_owned);
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    Some(Answer {
        status,
        headers: lines.collect(),
        body: body.to_owned(),
    })
}

pub(crate) async fn ask(address: SocketAddr, method: &str, path: &str, host: &str) -> Answer {
    let request = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    answer_to(address, &request).await.unwrap()
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, "GET", path, "localhost").await
}

#[tokio::test]
async fn there_is_nothing_but_reading() {
    let policy = policy();
    let mut daemon = start(policy.path()).await;
    let address = daemon.metrics_address().await;
    serves(&daemon).await;
    for path in ["/", "/metrics", "/livez", "/readyz"] {
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
            let answer = ask(address, method, path, "localhost").await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some("GET, HEAD"));
        }
        assert_eq!(get(address, path).await.status, 200, "{path}");
        let head = ask(address, "HEAD", path, "localhost").await;
        assert_eq!((head.status, &*head.body), (200, ""), "{path}");
    }
    assert_eq!(get(address, "/other").await.status, 404);
    assert_eq!(
        ask(address, "POST", "/other", "localhost").await.status,
        405
    );
}

#[tokio::test]
async fn a_browser_may_do_nothing_but_show_the_page() {
    let policy = policy();
    let mut daemon = start(policy.path()).await;
    let address = daemon.metrics_address().await;
    for path in ["/", "/metrics", "/livez", "/readyz", "/other"] {
        let answer = get(address, path).await;
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("connection", "close"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        let security = answer.header("content-security-policy").unwrap();
        assert!(security.starts_with("default-src 'none';"), "{security}");
        assert!(security.contains("frame-ancestors 'none'"), "{security}");
        assert!(!security.contains("unsafe"), "{security}");
    }
    let page = get(address, "/").await;
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
}

#[tokio::test]
async fn a_name_that_leads_here_does_not_open_the_page() {
    let policy = policy();
    let mut daemon = start(policy.path()).await;
    let address = daemon.metrics_address().await;
    for (host, status) in [
        ("127.0.0.1", 200),
        ("[::1]:7118", 200),
        ("localhost:7118", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
    ] {
        let answer = ask(address, "GET", "/", host).await;
        assert_eq!(answer.status, status, "{host}");
        assert_eq!(answer.body.contains("admitd</title>"), status == 200);
    }
    // A scrape may come by any name.
    let scrape = ask(address, "GET", "/metrics", "spark-1.example").await;
    assert_eq!(scrape.status, 200);
}
