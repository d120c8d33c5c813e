//! A receiver of spans and of the daemon's own diagnostics, which first says things that it should not.

use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::{
    logs::v1::{
        ExportLogsServiceRequest, ExportLogsServiceResponse,
        logs_service_server::{LogsService, LogsServiceServer},
    },
    trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
};
use prost::Message as _;
use tokio::{net::TcpListener, sync::watch};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response, Status, metadata::MetadataValue, transport::Server};

use crate::daemon::within;

/// What was received, and what is said in return.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) endpoint: String,
    kept: Arc<Kept>,
}

struct Kept {
    says: String,
    calls: Mutex<u32>,
    received: Mutex<Vec<u8>>,
    diagnostics: Mutex<Vec<u8>>,
    /// Spans that were taken.
    taken: watch::Sender<usize>,
}

impl Receiver {
    /// Starts one, whose every error and every remark has `says` in it.
    pub(crate) async fn start(says: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            kept: Arc::new(Kept {
                says,
                calls: Mutex::new(0),
                received: Mutex::default(),
                diagnostics: Mutex::default(),
                taken: watch::Sender::new(0),
            }),
        };
        let serving = Server::builder()
            .add_service(TraceServiceServer::new(receiver.clone()))
            .add_service(LogsServiceServer::new(receiver.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(serving);
        receiver
    }

    /// Waits until that many spans were taken.
    pub(crate) async fn took(&self, spans: usize) {
        let mut taken = self.kept.taken.subscribe();
        let enough = taken.wait_for(|taken| *taken >= spans);
        drop(within("the spans", enough).await.unwrap());
    }

    /// Every message with spans, in bytes.
    pub(crate) fn spans(&self) -> Vec<u8> {
        self.kept.received.lock().unwrap().clone()
    }

    /// Every message with diagnostics, in bytes.
    pub(crate) fn diagnostics(&self) -> Vec<u8> {
        self.kept.diagnostics.lock().unwrap().clone()
    }

    fn error(&self, code: Code) -> Status {
        let says = &self.kept.says;
        let mut status = Status::with_details(code, says, says.clone().into_bytes().into());
        let value: MetadataValue<_> = says.parse().unwrap();
        status.metadata_mut().insert("x-says", value);
        status
    }
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let request = request.into_inner();
        let mut received = self.kept.received.lock().unwrap();
        received.extend(request.encode_to_vec());
        let call = {
            let mut calls = self.kept.calls.lock().unwrap();
            *calls += 1;
            *calls
        };
        let mut response = ExportTraceServiceResponse::default();
        match call {
            1 => return Err(self.error(Code::Unavailable)),
            // It is refused for good, and counts as taken.
            2 | 3 => {}
            _ => {
                response.partial_success = Some(ExportTracePartialSuccess {
                    rejected_spans: 0,
                    error_message: self.kept.says.clone(),
                });
            }
        }
        let spans = request
            .resource_spans
            .iter()
            .flat_map(|resource| &resource.scope_spans)
            .map(|scope| scope.spans.len())
            .sum::<usize>();
        self.kept.taken.send_modify(|taken| *taken += spans);
        match call {
            2 => Err(self.error(Code::InvalidArgument)),
            3 => {
                response.partial_success = Some(ExportTracePartialSuccess {
                    rejected_spans: 1,
                    error_message: self.kept.says.clone(),
                });
                Ok(Response::new(response))
            }
            _ => Ok(Response::new(response)),
        }
    }
}

#[tonic::async_trait]
impl LogsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let mut diagnostics = self.kept.diagnostics.lock().unwrap();
        diagnostics.extend(request.into_inner().encode_to_vec());
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}
