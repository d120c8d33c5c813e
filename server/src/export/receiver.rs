//! The receiver of spans: how it is reached, and what became of one call.
//!
//! What a receiver says in words is dropped here: its texts may echo what it was sent, and so they
//! reach no log and no record. Deliberately absent: when to try again ([`super::delivery`]), and any
//! way back to plaintext or to a call without its headers.

use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost::bytes::Bytes;
use tonic::{
    Code, Request, Status,
    metadata::MetadataMap,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Uri},
};
use tonic_types::StatusExt as _;

use super::{
    ExportConfig,
    call::{self, Export},
    headers,
    headers::HeadersError,
};

/// The longest time that one call may take, in all.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CA_FILE_BYTES_MAX: u64 = 1024 * 1024;

const PEM_START: &str = "-----BEGIN CERTIFICATE-----";
const PEM_END: &str = "-----END CERTIFICATE-----";

/// Why a receiver cannot be reached as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum ReceiverError {
    /// The endpoint is not one. Its text is not repeated: it may hold a credential.
    #[error(
        "the endpoint has to be `https://host:port`, or `http://` with a loopback address, and nothing behind it"
    )]
    Endpoint,
    /// Plaintext would leave the host.
    #[error(
        "the endpoint is plaintext and not a loopback address; use `https://`, or a collector on this host"
    )]
    Plaintext,
    /// There is a certificate authority, and nothing that it is for.
    #[error("a `ca_file` is of no use to an endpoint that is not `https://`")]
    NothingToVerify,
    /// The certificates cannot be read.
    #[error("the certificates in `{}` cannot be read", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is no certificate in the file, or one that is none.
    #[error("`{}` does not hold certificates in PEM", path.display())]
    CaForm {
        /// The file.
        path: PathBuf,
    },
    /// TLS cannot be set up.
    #[error("the host's own certificate authorities cannot be used; name one with `ca_file`")]
    Tls(#[source] tonic::transport::Error),
    /// The headers cannot be sent.
    #[error(transparent)]
    Headers(#[from] HeadersError),
}

/// What became of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has the spans, except for as many as it refused for good.
    Accepted {
        /// How many it refused.
        refused: u64,
    },
    /// It refuses these spans for good.
    Refused(Code),
    /// The spans may be good and were not delivered.
    Failed(Failure),
}

/// Why spans were not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What happened, as a gRPC code.
    pub code: Code,
    /// How long the receiver wants to be left alone.
    pub delay: Option<Duration>,
    /// Whether fewer spans could be delivered where so many could not.
    pub may_be_too_large: bool,
}

/// How a receiver is reached.
#[derive(Clone, Debug)]
pub struct Route {
    endpoint: Endpoint,
    headers: MetadataMap,
}

impl Route {
    /// The route that `config` describes. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// When the configuration is not valid or a file that it names cannot be used.
    pub fn new(config: &ExportConfig) -> Result<Self, ReceiverError> {
        let uri: Uri = config
            .endpoint
            .parse()
            .map_err(|_| ReceiverError::Endpoint)?;
        let has_user = uri
            .authority()
            .is_none_or(|authority| authority.as_str().contains('@'));
        if has_user || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(ReceiverError::Endpoint);
        }
        let endpoint = Endpoint::from(uri.clone())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT);
        let endpoint = match uri.scheme_str() {
            Some("https") => endpoint
                .tls_config(tls(config.ca_file.as_deref())?)
                .map_err(ReceiverError::Tls)?,
            Some("http") if !is_loopback(&uri) => return Err(ReceiverError::Plaintext),
            Some("http") if config.ca_file.is_some() => {
                return Err(ReceiverError::NothingToVerify);
            }
            Some("http") => endpoint,
            Some(_) | None => return Err(ReceiverError::Endpoint),
        };
        let headers = match &config.headers_file {
            Some(path) => headers::load(path)?,
            None => MetadataMap::new(),
        };
        Ok(Self { endpoint, headers })
    }

    /// A channel that connects when it is used. Has to be called within a runtime.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.endpoint.connect_lazy()
    }

    /// The headers of every call.
    #[must_use]
    pub fn headers(&self) -> &MetadataMap {
        &self.headers
    }
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

/// With a file, its certificates are the only ones that are trusted.
fn tls(ca_file: Option<&Path>) -> Result<ClientTlsConfig, ReceiverError> {
    let tls = ClientTlsConfig::new().timeout(CONNECT_TIMEOUT);
    let Some(path) = ca_file else {
        return Ok(tls.with_native_roots());
    };
    let failed = |source| ReceiverError::CaFile {
        path: path.into(),
        source,
    };
    if fs::metadata(path).map_err(failed)?.len() > CA_FILE_BYTES_MAX {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    let pem = fs::read(path).map_err(failed)?;
    if holds_certificates(&pem) {
        Ok(tls.ca_certificate(Certificate::from_pem(pem)))
    } else {
        Err(ReceiverError::CaForm { path: path.into() })
    }
}

/// Whether there is a certificate in `pem`, and nothing that only looks like one. Without this check
/// a file of something else would mean a receiver that nobody trusts, and an export that never begins.
fn holds_certificates(pem: &[u8]) -> bool {
    let text = String::from_utf8_lossy(pem);
    let mut blocks = text.split(PEM_START).skip(1).peekable();
    blocks.peek().is_some()
        && blocks.all(|block| {
            block.split_once(PEM_END).is_some_and(|(body, _)| {
                let body: String = body.split_ascii_whitespace().collect();
                STANDARD.decode(body).is_ok_and(|der| is_der_sequence(&der))
            })
        })
}

/// Whether `der` is one sequence from its first byte to its last, as every certificate is. All of
/// them are long enough for a length of one or two bytes of its own.
fn is_der_sequence(der: &[u8]) -> bool {
    match der {
        [0x30, 0x81, length, body @ ..] => body.len() == usize::from(*length),
        [0x30, 0x82, high, low, body @ ..] => {
            body.len() == usize::from(u16::from_be_bytes([*high, *low]))
        }
        _ => false,
    }
}

/// A receiver, with the connection to it.
#[derive(Debug)]
pub struct Receiver {
    route: Route,
    channel: Channel,
}

impl Receiver {
    /// The receiver at the end of `route`. Has to be called within a runtime.
    #[must_use]
    pub fn new(route: Route) -> Self {
        let channel = route.channel();
        Self { route, channel }
    }

    /// Sends `spans`, each of them encoded, once; what became of them.
    pub async fn send(&mut self, spans: Vec<Bytes>) -> Outcome {
        let mut request = Request::new(Export::of(spans));
        request.metadata_mut().clone_from(self.route.headers());
        let channel = self.channel.clone();
        // In a task of its own: a malformed status makes the gRPC library panic, and what a receiver
        // says must not end the export.
        let mut call = tokio::spawn(call::export(channel, request));
        let outcome = match tokio::time::timeout(CALL_TIMEOUT, &mut call).await {
            Ok(Ok(Ok(response))) => {
                let refused = response
                    .into_inner()
                    .partial_success
                    .map_or(0, |partial| partial.rejected_spans);
                return Outcome::Accepted {
                    refused: u64::try_from(refused).unwrap_or(0),
                };
            }
            Ok(Ok(Err(status))) => outcome(&status),
            Ok(Err(_)) => failed(Code::Unknown),
            Err(_) => {
                call.abort();
                failed(Code::DeadlineExceeded)
            }
        };
        if matches!(outcome, Outcome::Failed(_)) {
            // Nothing is left of a connection that may be dead without knowing it.
            self.channel = self.route.channel();
        }
        outcome
    }
}

fn failed(code: Code) -> Outcome {
    Outcome::Failed(Failure {
        code,
        delay: None,
        may_be_too_large: false,
    })
}

/// What a status means for the spans that were sent.
///
/// A refusal loses spans, so it counts only where a gRPC server states it: what the transport, a
/// proxy or a web server says instead is a failure of the way there, whatever code it is turned into.
/// Three codes that OTLP calls permanent are failures here as well: the receiver is set up wrongly
/// then, and the spans are good.
fn outcome(status: &Status) -> Outcome {
    use std::error::Error as _;

    let code = status.code();
    if status.source().is_some() || !is_by_grpc(status) {
        return failed(code);
    }
    let delay = status
        .get_details_retry_info()
        .and_then(|retry| retry.retry_delay);
    match code {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::Unavailable
        | Code::DataLoss
        | Code::Unauthenticated
        | Code::PermissionDenied
        | Code::Unimplemented => Outcome::Failed(Failure {
            code,
            delay,
            may_be_too_large: false,
        }),
        Code::OutOfRange | Code::ResourceExhausted => Outcome::Failed(Failure {
            code,
            delay,
            may_be_too_large: delay.is_none(),
        }),
        // A status that is an error and says OK is none of a gRPC server.
        Code::Ok => failed(code),
        Code::Unknown
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::Internal => Outcome::Refused(code),
    }
}

/// Whether a gRPC server stated `status`, as far as that can be told: the response is one of gRPC, and
/// the text is none of those with which the library itself reports a response that it cannot read.
fn is_by_grpc(status: &Status) -> bool {
    const BY_THE_LIBRARY: [&str; 4] = [
        "protocol error: ",
        "grpc-status header missing",
        "Unexpected EOF",
        "failed to decode",
    ];
    let content_type = status.metadata().get("content-type");
    content_type
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/grpc"))
        && !BY_THE_LIBRARY
            .iter()
            .any(|text| status.message().starts_with(text))
}
