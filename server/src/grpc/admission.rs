//! `AdmissionService`: one question, one decision, one record, and only then the answer.

use std::{sync::Arc, time::Instant};

use admit_policy::decide;
use admit_proto::v1::{AdmitRequest, AdmitResponse, admission_service_server::AdmissionService};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::failure;
use crate::{
    audit::{
        Trail,
        closed::{self, Decided},
        names::Names,
        record::Entry,
    },
    clock,
    store::Store,
    wire::{answer, request::launch, trace::trace},
};

/// Answers launches from the policy in force.
pub(super) struct Admission {
    store: Store,
    trail: Trail,
    /// The names that stand in the log in clear while no policy has been read.
    names_unread: Names,
}

impl Admission {
    pub(super) fn new(store: Store, trail: Trail) -> Self {
        let names_unread = Names::of(None, trail.names_key().clone());
        Self {
            store,
            trail,
            names_unread,
        }
    }
}

#[tonic::async_trait]
impl AdmissionService for Admission {
    async fn admit(
        &self,
        request: Request<AdmitRequest>,
    ) -> Result<Response<AdmitResponse>, Status> {
        let asked = Instant::now();
        let trace = trace(request.metadata());
        let request = request.into_inner();
        let dry_run = request.dry_run;
        let launch = launch(request).map_err(|violations| failure::request_invalid(&violations))?;
        let facts = launch.observe();
        let at = clock::now().ok_or_else(failure::clock_unusable)?;
        let state = self.store.state();
        let standing = state.standing(self.store.terms());
        let decision = decide(&standing, &facts, at);
        let decision_id = Uuid::now_v7();
        let policy = standing.snapshot.map(admit_policy::Snapshot::digest);

        let loaded = state.loaded.as_deref();
        let basis = loaded.map(|loaded| Arc::clone(&loaded.basis));
        let record = closed::decision(
            Decided {
                id: decision_id,
                at,
                elapsed: asked.elapsed(),
                dry_run,
                facts: &facts,
                decision: &decision,
                policy: policy.zip(basis.as_ref().map(|basis| basis.digest)),
                unverified_for: standing.unverified_for,
                trace,
            },
            loaded.map_or(&self.names_unread, |loaded| &loaded.names),
        );
        let recorded = self
            .trail
            .record(&Entry::Decision(Box::new(record)), basis)
            .await
            .map_err(|_| failure::audit_unavailable())?;
        Ok(Response::new(answer::response(answer::Decided {
            decision_id,
            at,
            policy,
            dry_run,
            decision,
            stream_id: self.trail.stream_id().to_owned(),
            recorded,
        })))
    }
}
