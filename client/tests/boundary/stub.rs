//! A server in this process that answers as a test tells it to, be it well or not.

use std::{
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex},
};

use admit_proto::v1::{
    AdmissionStatus, AdmitRequest, AdmitResponse, CheckEvidenceRequest, CheckEvidenceResponse,
    GetPermitKeysRequest, GetPermitKeysResponse, GetPolicyRequest, GetPolicyResponse, Lane, Policy,
    Reason, Verdict, WatchPolicyRequest, WatchPolicyResponse,
    admission_service_server::{AdmissionService, AdmissionServiceServer},
    policy_service_server::{PolicyService, PolicyServiceServer},
};
use prost_types::Timestamp;
use tokio::net::{TcpListener, UnixListener};
use tokio_stream::{
    Stream, StreamExt as _,
    wrappers::{TcpListenerStream, UnixListenerStream},
};
use tonic::{Request, Response, Status, transport::Server};

pub(crate) const DECISION_ID: &str = "0197f0a4-5c00-7abc-8def-0123456789ab";

/// What looks like a permit.
pub(crate) const PERMIT: &str = "eyJ0eXAiOiJhIn0.eyJpc3MiOiJhIn0.c2ln_-";

type Admit = Box<dyn Fn(&AdmitRequest) -> Result<AdmitResponse, Status> + Send + Sync>;
type Events = Box<dyn Fn() -> Vec<Result<WatchPolicyResponse, Status>> + Send + Sync>;

/// What the server does.
pub(crate) struct Script {
    /// The answer to one launch.
    pub(crate) admit: Admit,
    /// Whether one launch gets any answer at all.
    pub(crate) hangs: bool,
    /// The keys of permits; without any, that call fails.
    pub(crate) jwks: Option<String>,
    /// The policy.
    pub(crate) policy: Option<Policy>,
    /// The events of a watch.
    pub(crate) events: Events,
    /// Whether a watch ends after its events.
    pub(crate) ends: bool,
    /// Whether the server is serving.
    pub(crate) serves: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            admit: Box::new(|request| Ok(allow(request))),
            hangs: false,
            jwks: None,
            policy: Some(Policy::default()),
            events: Box::new(Vec::new),
            ends: false,
            serves: true,
        }
    }
}

impl Script {
    /// A server that gives each launch this answer.
    pub(crate) fn answering(
        admit: impl Fn(&AdmitRequest) -> Result<AdmitResponse, Status> + Send + Sync + 'static,
    ) -> Self {
        Self {
            admit: Box::new(admit),
            ..Self::default()
        }
    }

    /// Serves on a free port of loopback; gives the endpoint and what was asked.
    pub(crate) async fn serve_tcp(self) -> (String, Asked) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        (endpoint, self.serve(TcpListenerStream::new(listener)).await)
    }

    /// Serves on a unix socket.
    pub(crate) async fn serve_unix(self, path: &Path) -> (String, Asked) {
        let listener = UnixListener::bind(path).unwrap();
        let endpoint = format!("unix:{}", path.display());
        (
            endpoint,
            self.serve(UnixListenerStream::new(listener)).await,
        )
    }

    async fn serve<S, I>(self, incoming: S) -> Asked
    where
        S: Stream<Item = std::io::Result<I>> + Send + 'static,
        I: tokio::io::AsyncRead
            + tokio::io::AsyncWrite
            + tonic::transport::server::Connected
            + Unpin
            + Send
            + 'static,
    {
        let asked = Asked::default();
        let (reporter, health) = tonic_health::server::health_reporter();
        let status = if self.serves {
            tonic_health::ServingStatus::Serving
        } else {
            tonic_health::ServingStatus::NotServing
        };
        reporter.set_service_status("", status).await;
        let stub = Arc::new(Stub {
            script: self,
            asked: asked.clone(),
        });
        let server = Server::builder()
            .add_service(health)
            .add_service(AdmissionServiceServer::from_arc(Arc::clone(&stub)))
            .add_service(PolicyServiceServer::from_arc(stub))
            .serve_with_incoming(incoming);
        tokio::spawn(server);
        asked
    }
}

/// Every launch that was asked about.
#[derive(Clone, Default)]
pub(crate) struct Asked(
    Arc<Mutex<Vec<AdmitRequest>>>,
    Arc<Mutex<Vec<Option<String>>>>,
);

impl Asked {
    /// What each of them stated as its place in a trace.
    pub(crate) fn traces(&self) -> Vec<Option<String>> {
        self.1.lock().unwrap().clone()
    }

    pub(crate) fn requests(&self) -> Vec<AdmitRequest> {
        self.0.lock().unwrap().clone()
    }
}

struct Stub {
    script: Script,
    asked: Asked,
}

#[tonic::async_trait]
impl AdmissionService for Stub {
    async fn admit(
        &self,
        request: Request<AdmitRequest>,
    ) -> Result<Response<AdmitResponse>, Status> {
        let trace = request.metadata().get("traceparent");
        let trace = trace.map(|value| value.to_str().unwrap().to_owned());
        self.asked.1.lock().unwrap().push(trace);
        let request = request.into_inner();
        self.asked.0.lock().unwrap().push(request.clone());
        if self.script.hangs {
            std::future::pending::<()>().await;
        }
        (self.script.admit)(&request).map(Response::new)
    }

    async fn check_evidence(
        &self,
        _: Request<CheckEvidenceRequest>,
    ) -> Result<Response<CheckEvidenceResponse>, Status> {
        Err(Status::unimplemented("this server judges no evidence"))
    }
}

#[tonic::async_trait]
impl PolicyService for Stub {
    async fn get_policy(
        &self,
        _: Request<GetPolicyRequest>,
    ) -> Result<Response<GetPolicyResponse>, Status> {
        Ok(Response::new(GetPolicyResponse {
            policy: self.script.policy.clone(),
        }))
    }

    async fn get_permit_keys(
        &self,
        _: Request<GetPermitKeysRequest>,
    ) -> Result<Response<GetPermitKeysResponse>, Status> {
        match &self.script.jwks {
            Some(jwks) => Ok(Response::new(GetPermitKeysResponse { jwks: jwks.clone() })),
            None => Err(Status::unimplemented("this server has no keys")),
        }
    }

    type WatchPolicyStream =
        Pin<Box<dyn Stream<Item = Result<WatchPolicyResponse, Status>> + Send>>;

    async fn watch_policy(
        &self,
        _: Request<WatchPolicyRequest>,
    ) -> Result<Response<Self::WatchPolicyStream>, Status> {
        let events = tokio_stream::iter((self.script.events)());
        Ok(Response::new(if self.script.ends {
            Box::pin(events)
        } else {
            Box::pin(events.chain(tokio_stream::pending()))
        }))
    }
}

/// A well-formed ALLOW of `request`.
pub(crate) fn allow(request: &AdmitRequest) -> AdmitResponse {
    AdmitResponse {
        verdict: Verdict::Allow.into(),
        reasons: Vec::new(),
        decision_id: DECISION_ID.into(),
        decide_time: Some(Timestamp {
            seconds: 1_780_315_200,
            nanos: 0,
        }),
        policy_digest: "0a".repeat(32),
        case_model_admission_status: match request.lane() {
            Lane::Real => AdmissionStatus::Admitted,
            Lane::Fake | Lane::Unspecified => AdmissionStatus::NotRequired,
        }
        .into(),
        dry_run: request.dry_run,
        stream_id: DECISION_ID.into(),
        seq: 7,
        record_hash: "0b".repeat(32),
        permit: if request.dry_run {
            String::new()
        } else {
            PERMIT.into()
        },
    }
}

/// A well-formed DENY of `request`.
pub(crate) fn deny(request: &AdmitRequest, reasons: Vec<Reason>) -> AdmitResponse {
    AdmitResponse {
        verdict: Verdict::Deny.into(),
        reasons,
        case_model_admission_status: match request.lane() {
            Lane::Fake => AdmissionStatus::NotRequired,
            Lane::Real | Lane::Unspecified => AdmissionStatus::NotAdmitted,
        }
        .into(),
        permit: String::new(),
        ..allow(request)
    }
}
