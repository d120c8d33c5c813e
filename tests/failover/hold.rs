//! A call that has come and does not end: it has a place, and its request is never complete.

use std::convert::Infallible;

use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use prost::bytes::Bytes;
use tokio::task::JoinHandle;
use tonic::{body::Body, codegen::http::Request, transport::Channel};
use tower::ServiceExt as _;

/// The held call; given up when this is dropped.
pub(crate) struct Held(JoinHandle<()>);

impl Held {
    pub(crate) fn on(channel: Channel) -> Self {
        Self(tokio::spawn(async move {
            // It ends when another call has the place; then it is made again.
            loop {
                let ended = channel.clone().oneshot(endless()).await;
                assert!(ended.is_ok(), "{ended:?}");
            }
        }))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn endless() -> Request<Body> {
    let never = tokio_stream::pending::<Result<Frame<Bytes>, Infallible>>();
    let body = StreamBody::new(never).map_err(|never| match never {});
    Request::post("/admit.v1.AdmissionService/Admit")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(body))
        .unwrap()
}
