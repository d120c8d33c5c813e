//! `PolicyService`: the policy in force, its changes, and the keys of permits.

use std::{pin::Pin, sync::Arc};

use admit_proto::v1::{
    GetPermitKeysRequest, GetPermitKeysResponse, GetPolicyRequest, GetPolicyResponse, PairChanged,
    WatchPolicyRequest, WatchPolicyResponse, policy_service_server::PolicyService,
    watch_policy_response::Event,
};
use futures_util::stream::unfold;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::{
    asker::{Asker, CallPlace},
    failure,
    following::{Followed, Following, Latest, News},
};
use crate::{
    clock,
    metrics::{Counted, Metrics},
    permit::Keyring,
    store::Store,
    transport::Stop,
    wire::{policy::policy, request::followed_pair},
};

/// Shows the policy in force.
pub(super) struct PolicyView {
    store: Store,
    following: Following,
    keyring: Keyring,
    metrics: Metrics,
    stop: Stop,
}

impl PolicyView {
    pub(super) fn new(
        store: Store,
        following: Following,
        keyring: Keyring,
        metrics: Metrics,
        stop: Stop,
    ) -> Self {
        Self {
            store,
            following,
            keyring,
            metrics,
            stop,
        }
    }
}

#[tonic::async_trait]
impl PolicyService for PolicyView {
    async fn get_policy(
        &self,
        _: Request<GetPolicyRequest>,
    ) -> Result<Response<GetPolicyResponse>, Status> {
        let now = clock::now().ok_or_else(failure::clock_unusable)?;
        let state = self.store.state();
        let standing = state.standing(self.store.terms());
        Ok(Response::new(GetPolicyResponse {
            policy: Some(policy(&state, &standing, now)),
        }))
    }

    async fn get_permit_keys(
        &self,
        _: Request<GetPermitKeysRequest>,
    ) -> Result<Response<GetPermitKeysResponse>, Status> {
        Ok(Response::new(GetPermitKeysResponse {
            jwks: self.keyring.jwks(),
        }))
    }

    type WatchPolicyStream =
        Pin<Box<dyn Stream<Item = Result<WatchPolicyResponse, Status>> + Send>>;

    async fn watch_policy(
        &self,
        request: Request<WatchPolicyRequest>,
    ) -> Result<Response<Self::WatchPolicyStream>, Status> {
        let asker = Asker::of(request.extensions())?;
        let place = asker.watch_place()?;
        let pair = followed_pair(request.into_inner())
            .map_err(|violations| failure::request_invalid(&violations))?;
        let watch = Watch {
            followed: self.following.join(pair),
            stop: self.stop.clone(),
            asker,
            told: None,
            pair_due: None,
            _place: place,
            _counted: Counted::new(self.metrics.watchers.clone()),
        };
        Ok(Response::new(Box::pin(watch.events())))
    }
}

/// One open watch. It does something only when its stream is read, so whoever reads slowly skips to the
/// latest state, and nothing waits for it.
struct Watch {
    followed: Followed,
    stop: Stop,
    asker: Asker,
    /// What the reader knows, once `pair_due` has been told.
    told: Option<Arc<News>>,
    /// The pair, from the same state as the policy that has been told.
    pair_due: Option<PairChanged>,
    _place: Arc<CallPlace>,
    _counted: Counted,
}

impl Watch {
    /// Every event, and why there are no more.
    fn events(self) -> impl Stream<Item = Result<WatchPolicyResponse, Status>> {
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
