//! `PolicyService`: the policy in force, its changes, and the keys of permits.

use std::{pin::Pin, sync::Arc, time::Duration};

use admit_proto::v1::{
    GetPermitKeysRequest, GetPermitKeysResponse, GetPolicyRequest, GetPolicyResponse, PairChanged,
    WatchPolicyRequest, WatchPolicyResponse, policy_service_server::PolicyService,
    watch_policy_response::Event,
};
use tokio::sync::mpsc;
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

use super::{
    asker::{Asker, CallPlace},
    failure,
};
use crate::{
    clock,
    metrics::{Counted, Metrics},
    permit::Keyring,
    store::{Loaded, Store},
    transport::{Stop, stopped},
    wire::{
        policy::{pair_changed, policy, policy_changed},
        request::{FollowedPair, followed_pair},
    },
};

/// Events that wait for a slow reader; beyond them, its watch skips to the latest state.
const EVENTS_WAITING_MAX: usize = 4;
/// How often a followed pair is looked at without any change of the policy: it expires in silence.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Shows the policy in force.
pub(super) struct PolicyView {
    store: Store,
    keyring: Keyring,
    metrics: Metrics,
    stop: Stop,
}

impl PolicyView {
    pub(super) fn new(store: Store, keyring: Keyring, metrics: Metrics, stop: Stop) -> Self {
        Self {
            store,
            keyring,
            metrics,
            stop,
        }
    }
}

type Events = mpsc::Sender<Result<WatchPolicyResponse, Status>>;

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
        let (events, stream) = mpsc::channel(EVENTS_WAITING_MAX);
        let watch = Watch {
            store: self.store.clone(),
            stop: self.stop.clone(),
            asker,
            pair,
            told_policy: None,
            told_pair: None,
            _place: place,
            _counted: Counted::new(self.metrics.watchers.clone()),
        };
        tokio::spawn(watch.run(events));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

/// One open watch.
struct Watch {
    store: Store,
    stop: Stop,
    asker: Asker,
    pair: Option<FollowedPair>,
    /// The snapshot that was last told of; the inner `None` stands for "none has been read".
    told_policy: Option<Option<Arc<Loaded>>>,
    told_pair: Option<PairChanged>,
    _place: Arc<CallPlace>,
    _counted: Counted,
}

impl Watch {
    async fn run(mut self, events: Events) {
        let mut asker = self.asker.clone();
        let mut is_closing = false;
        loop {
            if *self.stop.borrow() {
                // The reader may be gone already.
                let _ = events.send(Err(failure::shutting_down())).await;
                return;
            }
            if is_closing {
                let _ = events.send(Err(failure::connection_closing())).await;
                return;
            }
            if let Err(refused) = self.asker.may_go_on() {
                let _ = events.send(Err(refused)).await;
                return;
            }
            if self.pair.is_some() && clock::now().is_none() {
                // Nothing can be said about the pair, and silence would say that it is still admitted.
                let _ = events.send(Err(failure::clock_unusable())).await;
                return;
            }
            for event in self.news() {
                let message = WatchPolicyResponse { event: Some(event) };
                if events.send(Ok(message)).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                changed = self.store.changed() => if !changed {
                    let _ = events.send(Err(failure::shutting_down())).await;
                    return;
                },
                () = stopped(self.stop.clone()) => {}
                () = self.asker.closing() => is_closing = true,
                () = asker.roster_changed() => {}
                () = events.closed() => return,
                () = tokio::time::sleep(LOOK_INTERVAL), if self.pair.is_some() => {}
            }
        }
    }

    /// What has not been told yet. Policy and pair come from one state.
    fn news(&mut self) -> Vec<Event> {
        let state = self.store.state();
        let mut news = Vec::new();
        let is_told = self
            .told_policy
            .as_ref()
            .is_some_and(|told| match (told, &state.loaded) {
                (None, None) => true,
                (Some(told), Some(loaded)) => Arc::ptr_eq(told, loaded),
                (None, Some(_)) | (Some(_), None) => false,
            });
        if !is_told {
            news.push(Event::PolicyChanged(policy_changed(&state)));
            self.told_policy = Some(state.loaded.clone());
        }
        let Some(pair) = &self.pair else { return news };
        // The clock may have been set since it was looked at; the next look ends the watch.
        let Some(now) = clock::now() else { return news };
        let standing = state.standing(self.store.terms());
        let found = pair_changed(&standing, &pair.provider, &pair.model, now);
        let is_told = self
            .told_pair
            .as_ref()
            .is_some_and(|told| told.state == found.state && told.reasons == found.reasons);
        if !is_told {
            news.push(Event::PairChanged(found.clone()));
            self.told_pair = Some(found);
        }
        news
    }
}
