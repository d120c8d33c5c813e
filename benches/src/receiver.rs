//! A receiver of spans, as the daemon of a measurement has one: OTLP over gRPC, every span counted.
//!
//! It looks into a request only as far as counting takes, so that it is no load beside the generator.
//! Deliberately absent: keeping anything.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    thread,
};

use anyhow::Context as _;
use prost::Message;
use tokio::{net::TcpListener, runtime, sync::oneshot};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::{BoxFuture, Bytes, Service, http},
    server::{Grpc, NamedService, UnaryService},
    transport::Server,
};
use tonic_prost::ProstCodec;

use crate::pin;

/// Most bytes of one request of the daemon.
const REQUEST_BYTES_MAX: usize = 64 * 1024 * 1024;

/// An `ExportTraceServiceRequest`, as far as counting its spans takes.
#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<Resource>,
}

/// `ResourceSpans`.
#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<Scope>,
}

/// `ScopeSpans`, its spans unread.
#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(bytes = "bytes", repeated, tag = "2")]
    spans: Vec<Bytes>,
}

/// A running receiver; it ends with the value.
pub(crate) struct Receiver {
    /// Where it listens, on the loopback address.
    pub(crate) address: SocketAddr,
    spans: Arc<AtomicU64>,
    /// Dropped, it ends the thread.
    _end: oneshot::Sender<()>,
}

impl Receiver {
    /// Starts one on a thread of its own, on `core` if there is one.
    ///
    /// # Errors
    ///
    /// When it cannot listen.
    pub(crate) fn start(core: Option<usize>) -> anyhow::Result<Self> {
        let spans = Arc::new(AtomicU64::new(0));
        let counter = Counter(Arc::clone(&spans));
        let (end, ended) = oneshot::channel::<()>();
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        pin::on(core, || {
            thread::Builder::new()
                .name("receiver".into())
                .spawn(move || {
                    let served = Server::builder()
                        .add_service(counter)
                        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async {
                            // Its other end is dropped and nothing is ever sent.
                            let _ = ended.await;
                        });
                    runtime.block_on(served)
                })
        })?
        .context("no thread for the receiver of spans")?;
        Ok(Self {
            address,
            spans,
            _end: end,
        })
    }

    /// How many spans have arrived so far.
    pub(crate) fn spans(&self) -> u64 {
        self.spans.load(Ordering::Relaxed)
    }
}

/// The service that counts.
#[derive(Clone)]
struct Counter(Arc<AtomicU64>);

impl NamedService for Counter {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
}

impl Service<http::Request<Body>> for Counter {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let counter = self.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<(), Export>::default())
                .max_decoding_message_size(REQUEST_BYTES_MAX);
            Ok(grpc.unary(counter, request).await)
        })
    }
}

impl UnaryService<Export> for Counter {
    type Response = ();
    type Future = BoxFuture<Response<()>, Status>;

    fn call(&mut self, request: Request<Export>) -> Self::Future {
        let scopes = request
            .get_ref()
            .resources
            .iter()
            .flat_map(|resource| &resource.scopes);
        let spans: usize = scopes.map(|scope| scope.spans.len()).sum();
        let spans = u64::try_from(spans).unwrap_or(u64::MAX);
        self.0.fetch_add(spans, Ordering::Relaxed);
        Box::pin(async { Ok(Response::new(())) })
    }
}
