//! The way to one endpoint: how it is connected to, and the connection while there is one.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint as TonicEndpoint, Error as TransportError, Uri};
use tower::service_fn;

use crate::{
    endpoint::{Address, Endpoint},
    failure::AskError,
    tls::Tls,
};

/// How often an open connection is asked whether it lives, and how long it may take to say so.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The way to one endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    endpoint: Endpoint,
    /// Kept when the connection is given up: the system's authorities are read once.
    transport: Option<TonicEndpoint>,
    channel: Option<Channel>,
}

impl Route {
    pub(crate) fn new(endpoint: &Endpoint) -> Self {
        Self {
            endpoint: endpoint.clone(),
            transport: None,
            channel: None,
        }
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The channel, made when it is first needed, because making it needs a runtime. It connects
    /// with its first call, within `patience`.
    pub(crate) fn channel(&mut self, tls: &Tls, patience: Duration) -> Result<Channel, AskError> {
        if let Some(channel) = &self.channel {
            return Ok(channel.clone());
        }
        let transport = match &self.transport {
            Some(transport) => transport.clone(),
            None => transport(&self.endpoint, tls)
                .map_err(|error| AskError::of_transport(&error))?
                .connect_timeout(patience),
        };
        let channel = connect_lazy(&transport, &self.endpoint);
        self.transport = Some(transport);
        self.channel = Some(channel.clone());
        Ok(channel)
    }

    /// Gives the connection up: it may be dead without knowing it.
    pub(crate) fn hang_up(&mut self) {
        self.channel = None;
    }
}

fn transport(endpoint: &Endpoint, tls: &Tls) -> Result<TonicEndpoint, TransportError> {
    let uri = match endpoint.address() {
        Address::Http(_) | Address::Https(_) => endpoint.to_string(),
        // The path goes to the connector; gRPC still wants an authority.
        Address::Unix(_) => "http://localhost".to_owned(),
    };
    let transport = TonicEndpoint::from_shared(uri)?
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    match endpoint.address() {
        // INVARIANT: without this, the transport refuses to connect to `https` at all.
        Address::Https(_) => transport.tls_config(tls.config()),
        Address::Http(_) | Address::Unix(_) => Ok(transport),
    }
}

fn connect_lazy(transport: &TonicEndpoint, endpoint: &Endpoint) -> Channel {
    match endpoint.address() {
        Address::Http(_) | Address::Https(_) => transport.connect_lazy(),
        Address::Unix(path) => {
            let path: Arc<PathBuf> = Arc::new(path.clone());
            transport.connect_with_connector_lazy(service_fn(move |_: Uri| {
                let path = Arc::clone(&path);
                async move { UnixStream::connect(path.as_path()).await.map(TokioIo::new) }
            }))
        }
    }
}

/// What `call` gives. The gRPC library panics over a status whose details are not in base64, and
/// what a server sends must not end its caller.
pub(crate) async fn unpanicked<T>(
    call: impl Future<Output = Result<T, AskError>>,
) -> Result<T, AskError> {
    let mut call = pin!(call);
    std::future::poll_fn(|context| {
        catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context)))
            .unwrap_or(Poll::Ready(Err(AskError::Malformed("its status is none"))))
    })
    .await
}
