//! One unary gRPC call: what it sends, made beforehand, and how its answer is judged.

use admit_proto::v1::{AdmitRequest, Verdict};
use anyhow::{Context as _, bail, ensure};
use h2::{RecvStream, client::SendRequest};
use prost::Message;
use tonic::codegen::{
    Bytes,
    http::{HeaderMap, HeaderValue, Method, Request, Uri, header},
};

use super::Target;
use crate::launch;

/// How many launches differ from each other, each of a run of its own.
pub(crate) const RUNS: usize = 256;
/// Bytes before a message of gRPC: a flag and the length.
const PREFIX_BYTES: usize = 5;

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The path of the method.
    path: &'static str,
    /// The messages, each with its prefix, sent in turn.
    bodies: Vec<Bytes>,
    /// Whether this is the expected answer.
    is_good: fn(&[u8]) -> bool,
}

impl Call {
    /// The method at `path`, asked with these messages in turn. Every answer has to satisfy `is_good`.
    pub(crate) fn new<M: Message>(
        path: &'static str,
        messages: &[M],
        is_good: fn(&[u8]) -> bool,
    ) -> Self {
        let bodies = messages
            .iter()
            .map(|message| framed(&message.encode_to_vec()));
        Self {
            path,
            bodies: bodies.collect(),
            is_good,
        }
    }

    /// Launches that are allowed, each of one of [`RUNS`] runs, none of them dry: every answer has a permit.
    pub(crate) fn admit() -> Self {
        let requests: Vec<_> = (0..RUNS)
            .map(|run| launch::request(&format!("run-{run:04}")))
            .collect();
        Self::new("/admit.v1.AdmissionService/Admit", &requests, is_allow)
    }

    /// The same as dry runs, whose answers have a place in the log and no permit.
    pub(crate) fn admit_dry() -> Self {
        let requests: Vec<_> = (0..RUNS)
            .map(|run| AdmitRequest {
                dry_run: true,
                ..launch::request(&format!("run-{run:04}"))
            })
            .collect();
        Self::new("/admit.v1.AdmissionService/Admit", &requests, is_dry_allow)
    }

    /// The standard question for the health of `service`.
    pub(crate) fn health(service: &str) -> Self {
        let request = HealthRequest {
            service: service.to_owned(),
        };
        Self::new("/grpc.health.v1.Health/Check", &[request], is_serving)
    }

    /// Bytes of the longest request, without the prefix.
    pub(crate) fn request_bytes(&self) -> usize {
        let longest = self.bodies.iter().map(Bytes::len).max().unwrap_or_default();
        longest.saturating_sub(PREFIX_BYTES)
    }

    /// The same with the address of `target` in it.
    pub(crate) fn prepare(&self, target: &Target) -> anyhow::Result<Prepared> {
        let scheme = if target.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let uri: Uri = format!("{scheme}://{}{}", target.address, self.path).parse()?;
        let headers = HeaderMap::from_iter([
            (header::TE, HeaderValue::from_static("trailers")),
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/grpc"),
            ),
        ]);
        Ok(Prepared {
            uri,
            headers,
            call: self.clone(),
        })
    }
}

/// A call with everything that all its requests have in common.
pub(crate) struct Prepared {
    uri: Uri,
    headers: HeaderMap,
    call: Call,
}

impl Prepared {
    /// The message of the turn `turn`, with its prefix.
    pub(crate) fn body(&self, turn: usize) -> Option<Bytes> {
        let bodies = &self.call.bodies;
        bodies.get(turn % bodies.len().max(1)).cloned()
    }

    /// The head of one request.
    pub(crate) fn request(&self) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

/// Makes the call once, with the message that is the turn `turn`'s; how many bytes the answer has.
///
/// # Errors
///
/// When the call fails, or its answer is not the expected one.
pub(crate) async fn make(
    sender: &mut SendRequest<Bytes>,
    prepared: &Prepared,
    turn: usize,
) -> anyhow::Result<usize> {
    let body = prepared.body(turn).context("a call without a message")?;
    let mut ready = sender
        .clone()
        .ready()
        .await
        .context("the connection broke")?;
    let (response, mut stream) = ready
        .send_request(prepared.request(), false)
        .context("a request was not sent")?;
    stream
        .send_data(body, true)
        .context("a request was not sent")?;
    let response = response.await.context("no answer")?;
    ensure!(
        response.status().is_success(),
        "HTTP status {}",
        response.status()
    );
    if response.headers().contains_key("grpc-status") {
        bail!("failed: {}", told(response.headers()));
    }
    let mut body = response.into_body();
    let message = message(&mut body).await?;
    let trailers = body
        .trailers()
        .await?
        .context("an answer without trailers")?;
    if trailers
        .get("grpc-status")
        .is_none_or(|status| status != "0")
    {
        bail!("failed: {}", told(&trailers));
    }
    let message = message
        .get(PREFIX_BYTES..)
        .context("an answer without a message")?;
    ensure!((prepared.call.is_good)(message), "not the expected answer");
    Ok(message.len())
}

/// The whole body of an answer.
async fn message(body: &mut RecvStream) -> anyhow::Result<Bytes> {
    let mut whole = Bytes::new();
    while let Some(part) = body.data().await {
        let part = part.context("an answer that breaks off")?;
        body.flow_control().release_capacity(part.len())?;
        whole = match whole.is_empty() {
            true => part,
            false => [whole, part].concat().into(),
        };
    }
    Ok(whole)
}

/// What a status says.
fn told(headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let status = text("grpc-status").unwrap_or("no status");
    format!("{status} {}", text("grpc-message").unwrap_or_default())
}

fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], length.to_be_bytes().as_slice(), message]
        .concat()
        .into()
}

/// `HealthCheckRequest`.
#[derive(Clone, PartialEq, Message)]
struct HealthRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `HealthCheckResponse`.
#[derive(Clone, PartialEq, Message)]
struct HealthResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// `SERVING`.
const SERVING: i32 = 1;

fn is_serving(answer: &[u8]) -> bool {
    HealthResponse::decode(answer).is_ok_and(|answer| answer.status == SERVING)
}

/// `AdmitResponse`, as far as an ALLOW is told from anything else.
#[derive(Clone, PartialEq, Message)]
struct Answer {
    #[prost(int32, tag = "1")]
    verdict: i32,
    #[prost(uint64, tag = "9")]
    seq: u64,
    #[prost(bytes = "bytes", tag = "11")]
    permit: Bytes,
}

impl Answer {
    /// An ALLOW that is in the log, from its bytes.
    fn allow(bytes: &[u8]) -> Option<Self> {
        let allow: i32 = Verdict::Allow.into();
        let answer = Self::decode(bytes).ok()?;
        (answer.verdict == allow && answer.seq > 0).then_some(answer)
    }
}

fn is_allow(answer: &[u8]) -> bool {
    Answer::allow(answer).is_some_and(|answer| !answer.permit.is_empty())
}

fn is_dry_allow(answer: &[u8]) -> bool {
    Answer::allow(answer).is_some_and(|answer| answer.permit.is_empty())
}
