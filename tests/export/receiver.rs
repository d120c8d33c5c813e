//! A stand-in for a receiver: a real OTLP gRPC server that does what a test tells it, and writes down
//! what it got.
//!
//! It runs on a runtime of its own, which can be torn down at any moment as a crash would.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    future::pending,
    net::SocketAddr,
    time::Duration,
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    trace::v1::Span,
};
use prost::Message as _;
use tokio::{net::TcpListener, runtime::Runtime, sync::watch};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Code, Request, Response, Status,
    body::Body,
    codegen::http,
    metadata::MetadataMap,
    transport::{Identity, Server, ServerTlsConfig},
};
use tonic_types::{ErrorDetails, StatusExt as _};
use tower::util::MapResponseLayer;

use crate::{PATIENCE, certificates::Certificates};

/// What every status says in words. No log may have it.
pub(crate) const RECEIVER_TEXT: &str = "what-the-receiver-says";
/// Tells the outermost layer what to make of a response.
const MANGLE: &str = "x-mangle";

/// What happens to one call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It fails with this code, and nothing is taken.
    Code(Code),
    /// It fails and asks for this long a pause.
    Throttled(Duration),
    /// Everything is taken, and the answer is this code.
    TakenBut(Code),
    /// Everything is taken, and no answer comes.
    TakenInSilence,
    /// No answer comes.
    Silence,
    /// As many spans are refused, the first ones.
    Partial(i64),
    /// The answer is that of a web server.
    HttpError,
    /// The answer ends before its status.
    CutShort,
    /// The status is malformed.
    MalformedDetails,
}

/// One call, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) spans: Vec<Span>,
    pub(crate) bytes: usize,
    pub(crate) metadata: MetadataMap,
}

impl Call {
    pub(crate) fn seqs(&self) -> Vec<u64> {
        self.spans.iter().map(seq).collect()
    }
}

/// What the receiver was told, and what it got.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Every call, whatever became of it.
    pub(crate) calls: Vec<Call>,
    /// Every span that was taken, with repetitions.
    pub(crate) taken: Vec<Span>,
    pub(crate) faults: VecDeque<Fault>,
    /// These are refused for good, and so is every call that has one of them.
    pub(crate) poisoned: BTreeSet<u64>,
    /// Everything is refused for good.
    pub(crate) refuses_all: bool,
    /// More spans than these are too many for one call.
    pub(crate) spans_max: Option<usize>,
}

impl Ledger {
    /// The taken spans, each once. What came twice has to be the same, byte for byte.
    pub(crate) fn by_seq(&self) -> BTreeMap<u64, Span> {
        let mut by_seq = BTreeMap::new();
        for span in &self.taken {
            if let Some(before) = by_seq.insert(seq(span), span.clone()) {
                assert_eq!(before.encode_to_vec(), span.encode_to_vec());
            }
        }
        by_seq
    }

    pub(crate) fn has_all(&self, first: u64, last: u64) -> bool {
        let taken = self.by_seq();
        (first..=last).all(|seq| taken.contains_key(&seq))
    }

    pub(crate) fn times(&self, wanted: u64) -> usize {
        self.taken.iter().filter(|span| seq(span) == wanted).count()
    }
}

/// The value of one attribute of `span`.
pub(crate) fn attribute(span: &Span, key: &str) -> Option<Value> {
    let mut entries = span.attributes.iter();
    let entry = entries.find(|entry| entry.key == key)?;
    entry.value.clone()?.value
}

/// Where the entry of `span` stands in the log.
pub(crate) fn seq(span: &Span) -> u64 {
    match attribute(span, "admit.seq") {
        Some(Value::IntValue(seq)) => u64::try_from(seq).unwrap(),
        other => panic!("no sequence number: {other:?}"),
    }
}

/// A receiver. Its ledger outlives its crashes.
pub(crate) struct Receiver {
    address: SocketAddr,
    ledger: watch::Sender<Ledger>,
    certificates: Option<Certificates>,
    runtime: Option<Runtime>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        Self::with(None)
    }

    pub(crate) fn with(certificates: Option<Certificates>) -> Self {
        let mut receiver = Self {
            address: ([127, 0, 0, 1], 0).into(),
            ledger: watch::Sender::default(),
            certificates,
            runtime: None,
        };
        receiver.come_back();
        receiver
    }

    /// Listens again, where it did before.
    pub(crate) fn come_back(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = {
            let _entered = runtime.enter();
            let listener = std::net::TcpListener::bind(self.address).unwrap();
            listener.set_nonblocking(true).unwrap();
            TcpListener::from_std(listener).unwrap()
        };
        self.address = listener.local_addr().unwrap();
        let service = TraceServiceServer::new(Service(self.ledger.clone()));
        let mut server = Server::builder();
        if let Some(certificates) = &self.certificates {
            let identity = Identity::from_pem(&certificates.server, &certificates.server_key);
            server = server
                .tls_config(ServerTlsConfig::new().identity(identity))
                .unwrap();
        }
        runtime.spawn(
            server
                .layer(MapResponseLayer::new(mangle))
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        self.runtime = Some(runtime);
    }

    /// Is gone at once, and breaks every connection.
    pub(crate) fn crash(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.runtime.is_some()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reads or changes what it was told and what it got.
    pub(crate) fn ledger<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        let mut result = None;
        self.ledger
            .send_modify(|ledger| result = Some(change(ledger)));
        result.unwrap()
    }

    /// Waits until the ledger is as wanted.
    pub(crate) async fn until(&self, what: &str, is_so: impl FnMut(&Ledger) -> bool) {
        let mut ledger = self.ledger.subscribe();
        let waited = tokio::time::timeout(PATIENCE, ledger.wait_for(is_so)).await;
        let is_so = waited.is_ok();
        drop(waited);
        assert!(is_so, "{what}: {:?}", self.summary());
    }

    fn summary(&self) -> Vec<Vec<u64>> {
        self.ledger(|ledger| ledger.calls.iter().map(Call::seqs).collect())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.crash();
    }
}

struct Service(watch::Sender<Ledger>);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let metadata = request.metadata().clone();
        let bytes = request.get_ref().encoded_len();
        let resources = request.into_inner().resource_spans.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        let spans: Vec<Span> = scopes.flat_map(|scope| scope.spans).collect();
        let call = Call {
            spans,
            bytes,
            metadata,
        };
        let mut answer = None;
        self.0.send_modify(|ledger| answer = ledger.answer(call));
        match answer {
            Some(answer) => answer,
            None => pending().await,
        }
    }
}

type Answer = Result<Response<ExportTraceServiceResponse>, Status>;

impl Ledger {
    /// The answer to `call`; `None` for silence.
    fn answer(&mut self, call: Call) -> Option<Answer> {
        self.calls.push(call.clone());
        let good = || Ok(Response::new(ExportTraceServiceResponse::default()));
        let bad = |code| Err(Status::new(code, RECEIVER_TEXT));
        if let Some(fault) = self.faults.pop_front() {
            return match fault {
                Fault::Code(code) => Some(bad(code)),
                Fault::Throttled(delay) => {
                    let details = ErrorDetails::with_retry_info(Some(delay));
                    let code = Code::ResourceExhausted;
                    Some(Err(Status::with_error_details(
                        code,
                        RECEIVER_TEXT,
                        details,
                    )))
                }
                Fault::TakenBut(code) => {
                    self.taken.extend(call.spans);
                    Some(bad(code))
                }
                Fault::TakenInSilence => {
                    self.taken.extend(call.spans);
                    None
                }
                Fault::Silence => None,
                Fault::Partial(refused) => {
                    let skipped = usize::try_from(refused).unwrap();
                    self.taken.extend(call.spans.into_iter().skip(skipped));
                    Some(Ok(Response::new(ExportTraceServiceResponse {
                        partial_success: Some(ExportTracePartialSuccess {
                            rejected_spans: refused,
                            error_message: RECEIVER_TEXT.into(),
                        }),
                    })))
                }
                Fault::HttpError | Fault::CutShort | Fault::MalformedDetails => {
                    let mut status = Status::internal(RECEIVER_TEXT);
                    let name = format!("{fault:?}").parse().unwrap();
                    status.metadata_mut().insert(MANGLE, name);
                    Some(Err(status))
                }
            };
        }
        let is_poisoned = call.seqs().iter().any(|seq| self.poisoned.contains(seq));
        if self.refuses_all || is_poisoned {
            return Some(bad(Code::InvalidArgument));
        }
        if self.spans_max.is_some_and(|max| call.spans.len() > max) {
            return Some(bad(Code::ResourceExhausted));
        }
        self.taken.extend(call.spans);
        Some(good())
    }
}

/// Makes of a response what the call's fault asks for.
fn mangle(mut response: http::Response<Body>) -> http::Response<Body> {
    let Some(how) = response.headers_mut().remove(MANGLE) else {
        return response;
    };
    let headers = response.headers_mut();
    if how == format!("{:?}", Fault::HttpError) {
        headers.clear();
        *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
    } else if how == format!("{:?}", Fault::CutShort) {
        headers.remove(Status::GRPC_STATUS);
        headers.remove(Status::GRPC_MESSAGE);
    } else {
        headers.insert(Status::GRPC_STATUS_DETAILS, "!".parse().unwrap());
    }
    response
}

/// Each test binary uses a part of this module; here the whole of it counts as used.
const _: () = {
    let _ = Receiver::is_up;
};
