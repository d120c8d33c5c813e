//! A server between the wrapper and the daemon, which can stop a call, twist an answer, and vanish.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, mpsc},
    task::{Context, Poll},
};

use admit_proto::v1::{
    AdmitRequest, AdmitResponse, CheckEvidenceRequest, CheckEvidenceResponse, GetPermitKeysRequest,
    GetPermitKeysResponse, GetPolicyRequest, GetPolicyResponse, WatchPolicyRequest,
    WatchPolicyResponse,
    admission_service_client::AdmissionServiceClient,
    admission_service_server::{AdmissionService, AdmissionServiceServer},
    policy_service_client::PolicyServiceClient,
    policy_service_server::{PolicyService, PolicyServiceServer},
};
use tokio::{net::TcpListener, runtime::Runtime, sync::Semaphore};
use tokio_stream::{Stream, StreamExt as _, wrappers::TcpListenerStream};
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::{Service, http},
    server::NamedService,
    transport::{Channel, Server},
};

use crate::{daemon::runtime, patience::PATIENCE};

/// What the wrapper calls, in the order in which it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Admit,
    Keys,
    Watch,
    Evidence,
}

type AnswerTwist = Box<dyn Fn(&AdmitRequest, &mut AdmitResponse) + Send + Sync>;
type EventTwist = fn(&mut WatchPolicyResponse);

/// What becomes of the calls on their way.
pub(crate) struct Twist {
    /// What becomes of an answer.
    pub(crate) answer: AnswerTwist,
    /// The keys that are given in place of the daemon's.
    pub(crate) keys: Option<String>,
    /// What becomes of an event.
    pub(crate) event: EventTwist,
    /// The call that is stopped when its answer is there, before it is given.
    pub(crate) stop_at: Option<Call>,
}

impl Default for Twist {
    /// Nothing at all.
    fn default() -> Self {
        Self {
            answer: Box::new(|_, _| {}),
            keys: None,
            event: |_| {},
            stop_at: None,
        }
    }
}

impl Twist {
    pub(crate) fn answer(
        answer: impl Fn(&AdmitRequest, &mut AdmitResponse) + Send + Sync + 'static,
    ) -> Self {
        Self {
            answer: Box::new(answer),
            ..Self::default()
        }
    }

    pub(crate) fn stop_at(call: Call) -> Self {
        Self {
            stop_at: Some(call),
            ..Self::default()
        }
    }
}

/// A running relay.
pub(crate) struct Relay {
    runtime: Option<Runtime>,
    endpoint: String,
    stopped: mpsc::Receiver<Call>,
    go_on: Arc<Semaphore>,
}

impl Relay {
    /// Starts a relay before the server at `upstream`.
    pub(crate) fn start(upstream: &str, twist: Twist) -> Self {
        let (stops, stopped) = mpsc::channel();
        let go_on = Arc::new(Semaphore::new(0));
        let upstream = upstream.to_owned();
        let waiting = Arc::clone(&go_on);
        Self::serve(stopped, go_on, async move |listener| {
            let channel = Channel::from_shared(upstream).unwrap().connect_lazy();
            let service = Arc::new(Relaying {
                channel,
                twist,
                stops,
                go_on: waiting,
            });
            let (_, health) = tonic_health::server::health_reporter();
            let _ = Server::builder()
                .add_service(health)
                .add_service(AdmissionServiceServer::from_arc(Arc::clone(&service)))
                .add_service(PolicyServiceServer::from_arc(service))
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await;
        })
    }

    /// Starts a server whose every answer is this body.
    pub(crate) fn answering(body: &'static [u8]) -> Self {
        let (_, stopped) = mpsc::channel();
        Self::serve(
            stopped,
            Arc::new(Semaphore::new(0)),
            async move |listener| {
                let (_, health) = tonic_health::server::health_reporter();
                let _ = Server::builder()
                    .add_service(health)
                    .add_service(Garbage(body))
                    .serve_with_incoming(TcpListenerStream::new(listener))
                    .await;
            },
        )
    }

    /// Starts a server that says this to whoever connects, and closes.
    pub(crate) fn saying(text: &'static [u8]) -> Self {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        let (_, stopped) = mpsc::channel();
        Self::serve(
            stopped,
            Arc::new(Semaphore::new(0)),
            async move |listener| {
                while let Ok((mut stream, _)) = listener.accept().await {
                    // Whoever is gone already is told nothing.
                    let _ = stream.read(&mut [0; 64]).await;
                    let _ = stream.write_all(text).await;
                }
            },
        )
    }

    fn serve<F>(
        stopped: mpsc::Receiver<Call>,
        go_on: Arc<Semaphore>,
        serve: impl FnOnce(TcpListener) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = runtime();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = runtime.block_on(TcpListener::bind(address)).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move { serve(listener).await });
        Self {
            runtime: Some(runtime),
            endpoint,
            stopped,
            go_on,
        }
    }

    pub(crate) fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// Waits until a call is stopped.
    pub(crate) fn until_stopped(&self) -> Call {
        self.stopped.recv_timeout(PATIENCE).unwrap()
    }

    /// Lets the stopped call go on.
    pub(crate) fn go_on(&self) {
        self.go_on.add_permits(1);
    }

    /// Vanishes: every connection breaks.
    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.kill();
    }
}

struct Relaying {
    channel: Channel,
    twist: Twist,
    stops: mpsc::Sender<Call>,
    go_on: Arc<Semaphore>,
}

impl Relaying {
    async fn pass(&self, call: Call) {
        if self.twist.stop_at == Some(call) {
            let _ = self.stops.send(call);
            if let Ok(permit) = self.go_on.acquire().await {
                permit.forget();
            }
        }
    }

    fn admission(&self) -> AdmissionServiceClient<Channel> {
        AdmissionServiceClient::new(self.channel.clone())
    }

    fn policy(&self) -> PolicyServiceClient<Channel> {
        PolicyServiceClient::new(self.channel.clone())
    }
}

#[tonic::async_trait]
impl AdmissionService for Relaying {
    async fn admit(
        &self,
        request: Request<AdmitRequest>,
    ) -> Result<Response<AdmitResponse>, Status> {
        let request = request.into_inner();
        let mut answer = self.admission().admit(request.clone()).await?;
        (self.twist.answer)(&request, answer.get_mut());
        self.pass(Call::Admit).await;
        Ok(answer)
    }

    async fn check_evidence(
        &self,
        request: Request<CheckEvidenceRequest>,
    ) -> Result<Response<CheckEvidenceResponse>, Status> {
        let answer = self
            .admission()
            .check_evidence(request.into_inner())
            .await?;
        self.pass(Call::Evidence).await;
        Ok(answer)
    }
}

#[tonic::async_trait]
impl PolicyService for Relaying {
    async fn get_policy(
        &self,
        request: Request<GetPolicyRequest>,
    ) -> Result<Response<GetPolicyResponse>, Status> {
        self.policy().get_policy(request.into_inner()).await
    }

    async fn get_permit_keys(
        &self,
        request: Request<GetPermitKeysRequest>,
    ) -> Result<Response<GetPermitKeysResponse>, Status> {
        let mut answer = self.policy().get_permit_keys(request.into_inner()).await?;
        if let Some(jwks) = &self.twist.keys {
            answer.get_mut().jwks.clone_from(jwks);
        }
        self.pass(Call::Keys).await;
        Ok(answer)
    }

    type WatchPolicyStream =
        Pin<Box<dyn Stream<Item = Result<WatchPolicyResponse, Status>> + Send>>;

    async fn watch_policy(
        &self,
        request: Request<WatchPolicyRequest>,
    ) -> Result<Response<Self::WatchPolicyStream>, Status> {
        // The events are those from after the stop.
        self.pass(Call::Watch).await;
        let twist = self.twist.event;
        let events = self.policy().watch_policy(request.into_inner()).await?;
        let events = events.into_inner().map(move |event| {
            event.map(|mut event| {
                twist(&mut event);
                event
            })
        });
        Ok(Response::new(Box::pin(events)))
    }
}

/// A service whose every answer is one body.
#[derive(Clone)]
struct Garbage(&'static [u8]);

impl NamedService for Garbage {
    const NAME: &'static str = "admit.v1.AdmissionService";
}

impl Service<http::Request<Body>> for Garbage {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        let body = String::from_utf8_lossy(self.0).into_owned();
        let response = http::Response::builder()
            .header("content-type", "application/grpc")
            .body(Body::new(body))
            .unwrap();
        std::future::ready(Ok(response))
    }
}
