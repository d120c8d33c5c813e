//! `PolicyService`: the policy in force, its changes, and the keys of permits.

use std::pin::Pin;

use admit_proto::v1::{
    GetPermitKeysRequest, GetPermitKeysResponse, GetPolicyRequest, GetPolicyResponse,
    WatchPolicyRequest, WatchPolicyResponse, policy_service_server::PolicyService,
};
use futures_util::Stream;
use tonic::{Request, Response, Status};

use super::{asker::Asker, failure, following::Topics, watch::Watch};
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
    topics: Topics,
    keyring: Keyring,
    metrics: Metrics,
    stop: Stop,
}

impl PolicyView {
    pub(super) fn new(
        store: Store,
        topics: Topics,
        keyring: Keyring,
        metrics: Metrics,
        stop: Stop,
    ) -> Self {
        Self {
            store,
            topics,
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
        let watch = Watch::new(
            self.topics.join(pair),
            asker,
            self.stop.clone(),
            (place, Counted::new(self.metrics.watchers.clone())),
        );
        Ok(Response::new(Box::pin(watch.events())))
    }
}
