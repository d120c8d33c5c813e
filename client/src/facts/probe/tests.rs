//! The probe against small servers on loopback, each of which answers one question.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::timeout,
};

use super::*;

const MODEL: &str = "qwen3";
/// Longer than any of these servers takes.
const PATIENT: Duration = Duration::from_secs(30);

/// A server that answers the first question with `answer` and then does as `then` says.
struct Server {
    address: SocketAddr,
    question: tokio::task::JoinHandle<String>,
}

impl Server {
    async fn answering(answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let question = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            // A handshake of TLS has no line; it is answered as soon as it begins.
            while !head.ends_with(b"\r\n\r\n") && !head.starts_with(b"\x16") {
                let Ok(byte) = stream.read_u8().await else {
                    break;
                };
                head.push(byte);
            }
            // The other side may have had enough before the end.
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
            String::from_utf8_lossy(&head).into_owned()
        });
        Self { address, question }
    }

    async fn asked(&self, scheme: &str, path: &str) -> Result<(), ProbeFault> {
        let url = format!("{scheme}://{}{path}", self.address);
        timeout(PATIENT, serves_model(&url, &[self.address], MODEL))
            .await
            .unwrap()
    }
}

fn ok(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

fn listing(models: &str) -> String {
    format!(r#"{{"object":"list","data":[{models}]}}"#)
}

async fn verdict(answer: Vec<u8>) -> Result<(), ProbeFault> {
    Server::answering(answer).await.asked("http", "/v1").await
}

#[tokio::test]
async fn the_exact_model_is_served() {
    for models in [
        r#"{"id":"qwen3"}"#,
        r#"{"id":"other","parent":"x"},{"id":"qwen3","object":"model","owned_by":"vllm","root":"/srv/x","parent":null}"#,
    ] {
        assert_eq!(verdict(ok(&listing(models))).await, Ok(()), "{models}");
    }
}

#[tokio::test]
async fn the_question_goes_to_models_below_the_base_url_and_says_nothing_else() {
    for (path, line) in [
        ("/v1", "GET /v1/models HTTP/1.1"),
        ("/v1/", "GET /v1/models HTTP/1.1"),
        ("", "GET /models HTTP/1.1"),
    ] {
        let server = Server::answering(ok(&listing(r#"{"id":"qwen3"}"#))).await;
        assert_eq!(server.asked("http", path).await, Ok(()));
        let address = server.address;
        let question = server.question.await.unwrap();
        let due = format!(
            "{line}\r\nhost: {address}\r\naccept: application/json\r\nconnection: close\r\n\r\n"
        );
        assert_eq!(question, due);
    }
}

#[tokio::test]
async fn a_list_without_exactly_that_model_is_a_fault() {
    for (models, fault) in [
        ("", ProbeFault::NotServed),
        (r#"{"id":"Qwen3"}"#, ProbeFault::NotServed),
        (r#"{"id":"qwen3 "}"#, ProbeFault::NotServed),
        (r#"{"id":["qwen3"]},"qwen3",null"#, ProbeFault::NotServed),
        (r#"{"id":"x","root":"qwen3"}"#, ProbeFault::NotServed),
        (r#"{"id":"qwen3"},{"id":"qwen3"}"#, ProbeFault::Ambiguous),
        (r#"{"id":"qwen3","parent":"base"}"#, ProbeFault::Derived),
        (r#"{"id":"qwen3","parent":""}"#, ProbeFault::Derived),
        (r#"{"id":"qwen3","id":"qwen3"}"#, ProbeFault::NotAList),
    ] {
        assert_eq!(verdict(ok(&listing(models))).await, Err(fault), "{models}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_list_is_a_fault() {
    for body in [
        "",
        "{",
        "[]",
        r#"{"data":{"id":"qwen3"}}"#,
        r#"[{"id":"qwen3"}]"#,
        "\u{feff}{\"data\":[{\"id\":\"qwen3\"}]}",
    ] {
        assert_eq!(verdict(ok(body)).await, Err(ProbeFault::NotAList), "{body}");
    }
    assert_eq!(
        judge(b"{\"data\":[\"\xff\"]}", MODEL),
        Err(ProbeFault::NotAList)
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::answering(ok(&listing(r#"{"id":"qwen3"}"#))).await;
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
        let location = format!("location: http://{}/v1/models", elsewhere.address);
        let answer = format!("HTTP/1.1 {status}\r\n{location}\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(verdict(answer.into()).await, Err(ProbeFault::NotOk));
    }
    assert!(!elsewhere.question.is_finished());
    let body = listing(r#"{"id":"qwen3"}"#);
    for status in ["204 None", "401 Unauthorized", "500 Error", "206 Partial"] {
        let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n{body}");
        assert_eq!(verdict(answer.into()).await, Err(ProbeFault::NotOk));
    }
}

#[tokio::test]
async fn a_body_in_chunks_is_read() {
    let body = listing(r#"{"id":"qwen3"}"#);
    let (first, second) = body.split_at(9);
    let mut answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    for chunk in [first, second, ""] {
        answer.push_str(&format!("{:x}\r\n{chunk}\r\n", chunk.len()));
    }
    assert_eq!(verdict(answer.into()).await, Ok(()));
    let cut = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n{";
    assert_eq!(verdict(cut.into()).await, Err(ProbeFault::BrokenOff));
}

#[tokio::test]
async fn an_answer_over_its_bounds_is_a_fault() {
    let padded = |length: usize| {
        let list = listing(r#"{"id":"qwen3"}"#);
        format!("{list}{}", " ".repeat(length - list.len()))
    };
    assert_eq!(verdict(ok(&padded(BODY_BYTES_MAX))).await, Ok(()));
    let over = padded(BODY_BYTES_MAX + 1);
    assert_eq!(verdict(ok(&over)).await, Err(ProbeFault::TooLarge));
    // Without a length it is only known when it is there.
    let endless = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{over}");
    assert_eq!(verdict(endless.into()).await, Err(ProbeFault::TooLarge));

    let head = format!(
        "HTTP/1.1 200 OK\r\na: {}\r\n\r\n",
        "x".repeat(2 * HEAD_BYTES_MAX)
    );
    assert_eq!(verdict(head.into()).await, Err(ProbeFault::BrokenOff));

    let models = |count: usize| listing(&format!(r#"{{"id":"qwen3"}}{}"#, ",0".repeat(count - 1)));
    assert_eq!(judge(models(MODELS_MAX).as_bytes(), MODEL), Ok(()));
    assert_eq!(
        judge(models(MODELS_MAX + 1).as_bytes(), MODEL),
        Err(ProbeFault::TooLarge)
    );
}

#[tokio::test]
async fn what_does_not_speak_http_is_a_fault() {
    for answer in [
        "",
        "SSH-2.0-x\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{",
    ] {
        assert_eq!(
            verdict(answer.into()).await,
            Err(ProbeFault::BrokenOff),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn nobody_at_any_address_is_a_fault_and_somebody_at_one_is_enough() {
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let url = format!("http://{nobody}/v1");
    assert_eq!(
        serves_model(&url, &[nobody], MODEL).await,
        Err(ProbeFault::Unreachable)
    );
    assert_eq!(
        serves_model(&url, &[], MODEL).await,
        Err(ProbeFault::Unreachable)
    );
    let server = Server::answering(ok(&listing(r#"{"id":"qwen3"}"#))).await;
    assert_eq!(
        serves_model(&url, &[nobody, server.address], MODEL).await,
        Ok(())
    );
}

#[tokio::test]
async fn no_plain_text_is_taken_for_tls() {
    let server = Server::answering(ok(&listing(r#"{"id":"qwen3"}"#))).await;
    assert_eq!(
        server.asked("https", "/v1").await,
        Err(ProbeFault::NotTrusted)
    );
}

#[tokio::test]
async fn a_base_url_that_leads_to_no_path_is_not_asked() {
    let server = Server::answering(Vec::new()).await;
    for path in ["/v1?x", "/v1#x", "?x", "/é v1"] {
        assert_eq!(server.asked("http", path).await, Err(ProbeFault::NoAddress));
    }
}
