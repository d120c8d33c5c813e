//! Asks the endpoint of the local provider which models it serves.
//!
//! One `GET` of `/models` below the base URL, to exactly the addresses that the scope was judged on: no
//! redirect is followed, no proxy is used, no credential is sent. The id is a name that the operator of
//! the endpoint chose; it does not prove the weights.
//!
//! Deliberately absent: everything else of the answer. `root`, which is a path, is never kept.

use std::net::{IpAddr, SocketAddr};

use admit_policy::json::{self, Node, Value};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{ACCEPT, CONNECTION, HOST},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
};

use super::{
    base_url::{self, BaseUrl, Host},
    probe_tls::{self, NotTrusted},
};

/// Largest answer, in bytes.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Size of the buffer for the head of an answer, in bytes; a head that overflows it is a fault.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Most models in an answer.
const MODELS_MAX: usize = 10_000;

/// Why the endpoint does not count as serving the model. Holds nothing of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProbeFault {
    /// There is no address to ask.
    NoAddress,
    /// Nobody answers at any address.
    Unreachable,
    /// The time is up.
    TimedOut,
    /// What answers does not speak TLS, or with no certificate that this host trusts.
    NotTrusted,
    /// What answers does not speak HTTP, or breaks off.
    BrokenOff,
    /// The answer is not 200; a redirect is not followed.
    NotOk,
    /// The answer is larger than a list of models is.
    TooLarge,
    /// The answer is not a list of models.
    NotAList,
    /// No model of the list has the id.
    NotServed,
    /// More than one has it.
    Ambiguous,
    /// It is derived from another one, as an adapter is.
    Derived,
}

impl ProbeFault {
    /// The fault, for a person.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::NoAddress => "has no address that could be asked for its models",
            Self::Unreachable => "was asked for its models, and nobody answers",
            Self::TimedOut => "was asked for its models, and did not answer in time",
            Self::NotTrusted => {
                "was to be asked for its models, and has no certificate that this host trusts"
            }
            Self::BrokenOff => "was asked for its models, and the answer is no HTTP or broke off",
            Self::NotOk => {
                "was asked for its models, and the answer is not 200; redirects are not followed"
            }
            Self::TooLarge => "was asked for its models, and the answer is too large",
            Self::NotAList => "was asked for its models, and the answer is not a list of models",
            Self::NotServed => "does not serve the exact model id",
            Self::Ambiguous => "has the model id more than once",
            Self::Derived => "serves the model id for what is derived from another model",
        }
    }
}

/// Whether the endpoint of `base_url`, asked at `addresses`, serves exactly `model`. Has no deadline of
/// its own.
pub(super) async fn serves_model(
    base_url: &str,
    addresses: &[SocketAddr],
    model: &str,
) -> Result<(), ProbeFault> {
    let base_url = base_url::parse(base_url).ok_or(ProbeFault::NoAddress)?;
    let request = request(&base_url)?;
    let stream = connect(addresses).await?;
    let answer = if base_url.is_tls {
        let stream = probe_tls::connect(&base_url, stream)
            .await
            .map_err(|NotTrusted| ProbeFault::NotTrusted)?;
        ask(request, stream).await?
    } else {
        ask(request, stream).await?
    };
    judge(&answer, model)
}

async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, ProbeFault> {
    for address in addresses {
        if let Ok(stream) = TcpStream::connect(address).await {
            return Ok(stream);
        }
    }
    Err(ProbeFault::Unreachable)
}

/// What the endpoint answers, if that is bounded and 200.
async fn ask<S>(request: Request<Empty<Bytes>>, stream: S) -> Result<Bytes, ProbeFault>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| ProbeFault::BrokenOff)?;
    // The connection ends with this set, and so with the question.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender
        .send_request(request)
        .await
        .map_err(|_| ProbeFault::BrokenOff)?;
    if response.status() != StatusCode::OK {
        return Err(ProbeFault::NotOk);
    }
    match Limited::new(response.into_body(), BODY_BYTES_MAX)
        .collect()
        .await
    {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ProbeFault::TooLarge),
        Err(_) => Err(ProbeFault::BrokenOff),
    }
}

fn request(base_url: &BaseUrl<'_>) -> Result<Request<Empty<Bytes>>, ProbeFault> {
    let host = match base_url.host {
        Host::Address(IpAddr::V6(address)) => format!("[{address}]"),
        Host::Address(IpAddr::V4(address)) => address.to_string(),
        Host::Name(name) => name.to_owned(),
    };
    let host = if base_url.has_default_port() {
        host
    } else {
        format!("{host}:{}", base_url.port)
    };
    let path = base_url.path.strip_suffix('/').unwrap_or(base_url.path);
    // Behind a query or a fragment the path would not be one.
    if path.contains(['?', '#']) {
        return Err(ProbeFault::NoAddress);
    }
    Request::get(format!("{path}/models"))
        .header(HOST, host)
        .header(ACCEPT, "application/json")
        .header(CONNECTION, "close")
        .body(Empty::new())
        .map_err(|_| ProbeFault::NoAddress)
}

/// Whether the answer lists the model exactly once, and for itself.
fn judge(answer: &[u8], model: &str) -> Result<(), ProbeFault> {
    let root = std::str::from_utf8(answer)
        .ok()
        .and_then(|text| json::parse(text).ok())
        .ok_or(ProbeFault::NotAList)?;
    let Some(Value::Array(models)) = root.get("data").map(|data| &data.value) else {
        return Err(ProbeFault::NotAList);
    };
    if models.len() > MODELS_MAX {
        return Err(ProbeFault::TooLarge);
    }
    let mut found = models
        .iter()
        .filter(|listed| listed.get("id").and_then(Node::as_str) == Some(model));
    let Some(listed) = found.next() else {
        return Err(ProbeFault::NotServed);
    };
    if found.next().is_some() {
        return Err(ProbeFault::Ambiguous);
    }
    match listed.get("parent").map(|parent| &parent.value) {
        None | Some(Value::Null) => Ok(()),
        Some(
            Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_),
        ) => Err(ProbeFault::Derived),
    }
}

#[cfg(test)]
mod tests;
