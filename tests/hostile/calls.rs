//! Calls that stay open: their headers have been sent, and their request never comes.

use std::{net::SocketAddr, time::Duration};

use admit_proto::v1::{AdmitRequest, AdmitResponse};
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, task::JoinHandle};
use tonic::{
    Request, Status,
    body::Body,
    client::{Grpc, GrpcService},
    codegen::{
        Body as HttpBody, StdError as BoxError,
        http::{Uri, uri::PathAndQuery},
    },
    transport::Channel,
};
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::{daemon::within, frames::ADMIT};

/// Begins to ask, and never says about what: what comes of it.
async fn unfinished<C>(
    mut client: Grpc<C>,
    timeout: Option<Duration>,
) -> Result<AdmitResponse, Status>
where
    C: GrpcService<Body>,
    C::ResponseBody: HttpBody<Error: Into<BoxError>> + Send + 'static,
{
    let mut request = Request::new(tokio_stream::pending::<AdmitRequest>());
    if let Some(timeout) = timeout {
        request.set_timeout(timeout);
    }
    let asked = async {
        client.ready().await.map_err(Into::into).unwrap();
        let codec = ProstCodec::<AdmitRequest, AdmitResponse>::default();
        let path = PathAndQuery::from_static(ADMIT);
        client.client_streaming(request, path, codec).await
    };
    let ended = within("the end of a call", asked).await;
    ended.map(tonic::Response::into_inner)
}

/// The same with a deadline of the caller's, which does not look at the clock itself.
pub(crate) async fn unfinished_until(
    address: SocketAddr,
    timeout: Option<Duration>,
) -> Result<AdmitResponse, Status> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let service = service_fn(move |request| sender.clone().send_request(request));
    let origin = Uri::from_static("http://admitd");
    unfinished(Grpc::with_origin(service, origin), timeout).await
}

/// A call that is open for as long as this lives.
pub(crate) struct OpenCall(JoinHandle<Result<AdmitResponse, Status>>);

impl OpenCall {
    pub(crate) fn on(channel: Channel) -> Self {
        Self(tokio::spawn(unfinished(Grpc::new(channel), None)))
    }

    /// How it ended.
    pub(crate) async fn ended(mut self) -> Result<AdmitResponse, Status> {
        within("the end of a call", &mut self.0).await.unwrap()
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.0.abort();
    }
}
