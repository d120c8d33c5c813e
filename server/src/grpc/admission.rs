//! `AdmissionService`: one question, one decision or verdict, one record, and only then the answer.

use std::{sync::Arc, time::Instant};

use admit_policy::{Digest, Facts, decide, evidence::Permit, judge};
use admit_proto::v1::{
    AdmitRequest, AdmitResponse, CheckEvidenceRequest, CheckEvidenceResponse,
    admission_service_server::AdmissionService,
};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::failure;
use crate::{
    audit::{
        Trail,
        closed::{self, Decided, evidence::Judged},
        names::Names,
        record::{Entry, Trace},
    },
    clock,
    store::Store,
    wire::{
        answer,
        evidence::{self, VerifiedPermit},
        request::launch,
        trace::trace,
    },
};

/// Answers launches from the policy in force.
pub(super) struct Admission {
    store: Store,
    trail: Trail,
    /// The names that stand in the log in clear while no policy has been read.
    names_unread: Names,
    verify: VerifyPermit,
}

/// What a permit states, if this server signed it.
pub(super) type VerifyPermit = Arc<dyn Fn(&str) -> Option<VerifiedPermit> + Send + Sync>;

impl Admission {
    pub(super) fn new(store: Store, trail: Trail, verify: VerifyPermit) -> Self {
        let names_unread = Names::of(None, trail.names_key().clone());
        Self {
            store,
            trail,
            names_unread,
            verify,
        }
    }
}

#[tonic::async_trait]
impl AdmissionService for Admission {
    async fn admit(
        &self,
        request: Request<AdmitRequest>,
    ) -> Result<Response<AdmitResponse>, Status> {
        let since = Instant::now();
        let trace = trace(request.metadata());
        let request = request.into_inner();
        let dry_run = request.dry_run;
        let launch = launch(request).map_err(|violations| failure::request_invalid(&violations))?;
        let asked = Asked {
            facts: launch.observe(),
            dry_run,
            trace,
            since,
        };
        loop {
            let answer = self.decide_and_record(&asked).await?;
            // A record takes as long as the disk does. An ALLOW that a change has overtaken meanwhile
            // is not given: the launch is decided again, under the policy of now.
            let is_overtaken = answer.policy != self.policy() && answer.is_allowed();
            if !is_overtaken {
                return Ok(Response::new(answer::response(answer)));
            }
        }
    }

    async fn check_evidence(
        &self,
        request: Request<CheckEvidenceRequest>,
    ) -> Result<Response<CheckEvidenceResponse>, Status> {
        let since = Instant::now();
        let trace = trace(request.metadata());
        let handed = evidence::handed(request.into_inner())
            .map_err(|violations| failure::request_invalid(&violations))?;
        let judged = self.judge_and_record(handed, trace, since).await?;
        Ok(Response::new(evidence::response(judged)))
    }
}

/// What was asked.
struct Asked {
    facts: Facts,
    dry_run: bool,
    trace: Option<Trace>,
    since: Instant,
}

impl Admission {
    /// The digest of the policy in force.
    fn policy(&self) -> Option<Digest> {
        let state = self.store.state();
        state.loaded.map(|loaded| loaded.snapshot.digest())
    }

    /// Judges what was handed in, and records the verdict. No policy has a part in it: the permit says
    /// what was admitted. The policy in force says which names stand in the record in clear.
    async fn judge_and_record(
        &self,
        handed: evidence::Handed,
        trace: Option<Trace>,
        since: Instant,
    ) -> Result<evidence::Judged, Status> {
        let at = clock::now().ok_or_else(failure::clock_unusable)?;
        let (decision_id, permit) = match (self.verify)(&handed.permit) {
            None => (None, Permit::Invalid),
            Some(verified) => (Some(verified.decision_id), Permit::Valid(verified.facts)),
        };
        let evidence = handed.run.under(permit);
        let verdict = judge(&evidence);
        let evidence_id = Uuid::now_v7();
        let state = self.store.state();
        let loaded = state.loaded.as_deref();
        let record = closed::evidence::evidence(
            Judged {
                id: evidence_id,
                at,
                elapsed: since.elapsed(),
                decision_id,
                evidence: &evidence,
                verdict: &verdict,
                trace,
            },
            loaded.map_or(&self.names_unread, |loaded| &loaded.names),
        );
        let recorded = self
            .trail
            .record(&Entry::Evidence(Box::new(record)), None)
            .await
            .map_err(|_| failure::audit_unavailable())?;
        Ok(evidence::Judged {
            evidence_id,
            at,
            decision_id,
            verdict,
            stream_id: self.trail.stream_id().to_owned(),
            recorded,
        })
    }

    /// Decides under the policy in force, and records the decision.
    async fn decide_and_record(&self, asked: &Asked) -> Result<answer::Decided, Status> {
        let at = clock::now().ok_or_else(failure::clock_unusable)?;
        let state = self.store.state();
        let standing = state.standing(self.store.terms());
        let decision = decide(&standing, &asked.facts, at);
        let decision_id = Uuid::now_v7();
        let policy = standing.snapshot.map(admit_policy::Snapshot::digest);
        let loaded = state.loaded.as_deref();
        let basis = loaded.map(|loaded| Arc::clone(&loaded.basis));
        let record = closed::decision(
            Decided {
                id: decision_id,
                at,
                elapsed: asked.since.elapsed(),
                dry_run: asked.dry_run,
                facts: &asked.facts,
                decision: &decision,
                policy: policy.zip(basis.as_ref().map(|basis| basis.digest)),
                unverified_for: standing.unverified_for,
                trace: asked.trace.clone(),
            },
            loaded.map_or(&self.names_unread, |loaded| &loaded.names),
        );
        let recorded = self
            .trail
            .record(&Entry::Decision(Box::new(record)), basis)
            .await
            .map_err(|_| failure::audit_unavailable())?;
        Ok(answer::Decided {
            decision_id,
            at,
            policy,
            dry_run: asked.dry_run,
            decision,
            stream_id: self.trail.stream_id().to_owned(),
            recorded,
        })
    }
}
