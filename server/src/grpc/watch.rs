//! One open watch of the policy: its stream, from the first event to the reason for its end.
//!
//! Deliberately absent: what there is to tell, and when; see [`super::following`].

use std::sync::Arc;

use admit_proto::v1::{
    PairChanged, WatchPolicyRequest, WatchPolicyResponse, policy_service_server::PolicyService,
    watch_policy_response::Event,
};
use futures_util::{Stream, stream::unfold};
use tonic::{
    Status,
    body::Body,
    codec::{BufferSettings, Codec},
    codegen::http::{Request, Response},
    server::Grpc,
};
use tonic_prost::{ProstDecoder, ProstEncoder};
use tower::service_fn;

use super::{
    asker::{Asker, CallPlace},
    failure,
    following::{Followed, Latest, News},
};
use crate::{limits::REQUEST_BYTES_MAX, metrics::Counted, transport::Stop};

/// What a watch has at hand to write its events to, in bytes; it grows when they need more. The default
/// would be most of what a watch takes.
const BUFFER_BYTES: usize = 512;
/// From how many bytes on events that wait are sent without the next one.
const SENT_BYTES_MIN: usize = 8 * 1024;

/// Answers a call of `WatchPolicy`, as the generated service would but for the buffer of each watch.
pub(super) async fn answer(
    view: Arc<impl PolicyService>,
    request: Request<Body>,
) -> Response<Body> {
    let open = service_fn(move |request| {
        let view = Arc::clone(&view);
        async move { view.watch_policy(request).await }
    });
    Grpc::new(WatchCodec)
        .apply_max_message_size_config(Some(REQUEST_BYTES_MAX), None)
        .server_streaming(open, request)
        .await
}

/// Events with a buffer of their size.
struct WatchCodec;

impl Codec for WatchCodec {
    type Encode = WatchPolicyResponse;
    type Decode = WatchPolicyRequest;
    type Encoder = ProstEncoder<WatchPolicyResponse>;
    type Decoder = ProstDecoder<WatchPolicyRequest>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(BufferSettings::new(BUFFER_BYTES, SENT_BYTES_MIN))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::default()
    }
}

/// One open watch. It does something only when its stream is polled, and HTTP/2 holds back one piece of it
/// at most: whoever reads slowly skips from that to the latest state.
pub(super) struct Watch {
    followed: Followed,
    stop: Stop,
    asker: Asker,
    /// What the reader knows, once `pair_due` has been told.
    told: Option<Arc<News>>,
    /// The pair, from the same state as the policy that has been told.
    pair_due: Option<PairChanged>,
    _held: (Arc<CallPlace>, Counted),
}

impl Watch {
    /// A watch that has not told anything. It holds its place, and is counted, until its stream has ended
    /// or is given up.
    pub(super) fn new(
        followed: Followed,
        asker: Asker,
        stop: Stop,
        held: (Arc<CallPlace>, Counted),
    ) -> Self {
        Self {
            followed,
            stop,
            asker,
            told: None,
            pair_due: None,
            _held: held,
        }
    }

    /// Every event, and why there are no more.
    pub(super) fn events(self) -> impl Stream<Item = Result<WatchPolicyResponse, Status>> {
        unfold(Some(self), |watch| async {
            let mut watch = watch?;
            match watch.next().await {
                Ok(event) => {
                    let message = WatchPolicyResponse { event: Some(event) };
                    Some((Ok(message), Some(watch)))
                }
                Err(end) => Some((Err(end), None)),
            }
        })
    }

    /// Waits for the next event, or the end.
    async fn next(&mut self) -> Result<Event, Status> {
        if let Some(pair) = self.pair_due.take() {
            return Ok(Event::PairChanged(pair));
        }
        let connected = Arc::clone(&self.asker.connected);
        let mut is_closing = false;
        loop {
            if *self.stop.borrow() {
                return Err(failure::shutting_down());
            }
            if is_closing {
                return Err(failure::connection_closing());
            }
            self.asker.may_go_on()?;
            if let Some(event) = self.news()? {
                return Ok(event);
            }
            tokio::select! {
                is_told = self.followed.changed() => if !is_told {
                    return Err(failure::shutting_down());
                },
                () = connected.closing() => is_closing = true,
                () = self.asker.roster_changed() => {}
            }
        }
    }

    /// The first event that has not been told yet.
    fn news(&mut self) -> Result<Option<Event>, Status> {
        let news = match self.followed.latest() {
            Latest::News(news) => news,
            Latest::ClockUnusable => return Err(failure::clock_unusable()),
        };
        let told = self.told.replace(Arc::clone(&news));
        let pair = news.pair_since(told.as_deref()).cloned();
        let Some(policy) = news.policy_since(told.as_deref()) else {
            return Ok(pair.map(Event::PairChanged));
        };
        self.pair_due = pair;
        Ok(Some(Event::PolicyChanged(policy.clone())))
    }
}
