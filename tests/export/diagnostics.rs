//! The daemon's own diagnostics as OTLP logs: its events, and no other.

use std::time::{Duration, Instant};

use admit_server::export::{ExportConfig, otlp_layer};
use opentelemetry_proto::tonic::{
    collector::logs::v1::{
        ExportLogsServiceRequest, ExportLogsServiceResponse,
        logs_service_server::{LogsService, LogsServiceServer},
    },
    common::v1::any_value::Value,
    logs::v1::LogRecord,
};
use tokio::{net::TcpListener, sync::watch};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::PATIENCE;

type Logs = Vec<LogRecord>;

struct Service(watch::Sender<Logs>);

#[tonic::async_trait]
impl LogsService for Service {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let resources = request.into_inner().resource_logs.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_logs);
        let records = scopes.flat_map(|scope| scope.log_records);
        self.0.send_modify(|logs| logs.extend(records));
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

fn texts(logs: &[LogRecord]) -> Vec<String> {
    let bodies = logs.iter().map(|log| log.body.clone().unwrap().value);
    bodies
        .map(|body| match body {
            Some(Value::StringValue(text)) => text,
            other => panic!("{other:?}"),
        })
        .collect()
}

fn tell() {
    tracing::info!(target: "h2::client", "of a library");
    tracing::warn!(target: "opentelemetry-otlp", "of the sender");
    tracing::debug!(target: "admit_server::store", "for debugging");
    tracing::info!(target: "admit_server::store", "of the daemon");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_the_daemon_are_sent_and_no_others() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (logs, mut received) = watch::channel(Logs::new());
    tokio::spawn(
        Server::builder()
            .add_service(LogsServiceServer::new(Service(logs)))
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let config = ExportConfig {
        endpoint: format!("http://{address}"),
        ca_file: None,
        headers_file: None,
    };
    let (layer, guard) = otlp_layer(&config).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), tell);
    let came = received.wait_for(|logs| !logs.is_empty());
    let came = tokio::time::timeout(PATIENCE, came).await.unwrap();
    drop(came.unwrap());
    // What is waiting is sent at the end.
    drop(guard);
    assert_eq!(texts(&received.borrow()), ["of the daemon"]);
}

#[test]
fn the_end_waits_for_no_receiver() {
    // A listener that accepts nothing, and so a call that never ends.
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let config = ExportConfig {
        endpoint: format!("http://{}", listener.local_addr().unwrap()),
        ca_file: None,
        headers_file: None,
    };
    let (layer, guard) = otlp_layer(&config).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), tell);
    let began = Instant::now();
    drop(guard);
    assert!(began.elapsed() < Duration::from_secs(3));
}
