//! `AdmissionService`: one question, one decision.

use admit_policy::decide;
use admit_proto::v1::{AdmitRequest, AdmitResponse, admission_service_server::AdmissionService};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::failure;
use crate::{
    clock,
    store::Store,
    wire::{
        answer::{Decided, response},
        request::facts,
    },
};

/// Answers launches from the policy in force.
pub(super) struct Admission {
    store: Store,
}

impl Admission {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl AdmissionService for Admission {
    async fn admit(
        &self,
        request: Request<AdmitRequest>,
    ) -> Result<Response<AdmitResponse>, Status> {
        let request = request.into_inner();
        let dry_run = request.dry_run;
        let facts = facts(request).map_err(|violations| failure::request_invalid(&violations))?;
        let at = clock::now().ok_or_else(failure::clock_unusable)?;
        let state = self.store.state();
        let standing = state.standing(self.store.terms());
        let decision = decide(&standing, &facts, at);
        Ok(Response::new(response(Decided {
            decision_id: Uuid::now_v7(),
            at,
            policy: standing.snapshot.map(admit_policy::Snapshot::digest),
            dry_run,
            decision,
        })))
    }
}
