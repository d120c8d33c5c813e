//! `AdmissionService`: one question, one decision or verdict, one record, and only then the answer.

use std::{sync::Arc, time::Instant};

use admit_policy::{Digest, Facts, Snapshot, Verdict, decide, evidence::Permit, judge};
use admit_proto::v1::{
    AdmitRequest, AdmitResponse, CheckEvidenceRequest, CheckEvidenceResponse,
    admission_service_server::AdmissionService,
};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{asker::Asker, failure};
use crate::{
    audit::{
        Trail,
        closed::{self, Decided, evidence::Judged},
        names::Names,
        record::{Entry, Trace},
    },
    clock,
    metrics::Metrics,
    permit::{Keyring, claims::claims, verified},
    store::Store,
    wire::{
        answer, evidence,
        request::{self, launch},
        trace::trace,
    },
};

/// Answers launches from the policy in force.
pub(super) struct Admission {
    store: Store,
    trail: Trail,
    keyring: Keyring,
    metrics: Metrics,
    /// The names that stand in the log in clear while no policy has been read.
    names_unread: Names,
}

impl Admission {
    pub(super) fn new(store: Store, trail: Trail, keyring: Keyring, metrics: Metrics) -> Self {
        let names_unread = Names::of(None, trail.names_key().clone());
        Self {
            store,
            trail,
            keyring,
            metrics,
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
        let since = Instant::now();
        let trace = trace(request.metadata());
        let asker = Asker::of(request.extensions())?;
        let request = request.into_inner();
        asker.may_ask_for(request::lane(request.lane()))?;
        asker.may_speak_for(&request.host)?;
        let dry_run = request.dry_run;
        let launch = launch(request).map_err(|violations| failure::request_invalid(&violations))?;
        let asked = Asked {
            // The bytes do not outlive the observation.
            case_config: launch.case_config.as_deref().map(Digest::of),
            facts: launch.observe(),
            dry_run,
            trace,
            caller: Arc::clone(&asker.caller.name),
            since,
        };
        loop {
            let answer = self.decide_and_record(&asked).await?;
            // A record takes as long as the disk does. An ALLOW that a change has overtaken meanwhile, or
            // the clock, is not given: the launch is decided again, under the policy of now.
            if !answer.is_allowed() || self.is_allowed_now(&answer, &asked.facts) {
                asker.may_still_ask(Some(asked.facts.lane), &asked.facts.host)?;
                let permit = self.permit(&asked, &answer)?;
                self.metrics.decided(&answer.decision);
                return Ok(Response::new(answer::response(answer, permit)));
            }
        }
    }

    async fn check_evidence(
        &self,
        request: Request<CheckEvidenceRequest>,
    ) -> Result<Response<CheckEvidenceResponse>, Status> {
        let since = Instant::now();
        let trace = trace(request.metadata());
        let asker = Asker::of(request.extensions())?;
        let request = request.into_inner();
        asker.may_speak_for(&request.host)?;
        let handed = evidence::handed(request)
            .map_err(|violations| failure::request_invalid(&violations))?;
        let host = handed.run.host.clone();
        let judged = self.judge_and_record(handed, &asker, trace, since).await?;
        asker.may_still_ask(None, &host)?;
        self.metrics.judged(&judged.verdict);
        Ok(Response::new(evidence::response(judged)))
    }
}

/// What was asked.
struct Asked {
    facts: Facts,
    /// SHA-256 of the bytes of Case's config.
    case_config: Option<Digest>,
    dry_run: bool,
    trace: Option<Trace>,
    /// The operator's name for who asks.
    caller: Arc<str>,
    since: Instant,
}

impl Admission {
    /// Whether the policy of `answer` is still in force, and would allow the launch at the time of now.
    fn is_allowed_now(&self, answer: &answer::Decided, facts: &Facts) -> bool {
        let state = self.store.state();
        let standing = state.standing(self.store.terms());
        answer.policy == standing.snapshot.map(Snapshot::digest)
            && clock::now()
                .is_some_and(|now| decide(&standing, facts, now).verdict == Verdict::Allow)
    }

    /// Judges what was handed in, and records the verdict. No policy has a part in it: the permit says
    /// what was admitted. The policy in force says which names stand in the record in clear.
    async fn judge_and_record(
        &self,
        handed: evidence::Handed,
        asker: &Asker,
        trace: Option<Trace>,
        since: Instant,
    ) -> Result<evidence::Judged, Status> {
        let at = clock::now().ok_or_else(failure::clock_unusable)?;
        let verified = self.keyring.verify(&handed.permit).ok();
        let (decision_id, permit) = match verified.and_then(verified::verified) {
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
                caller: Some(&asker.caller.name),
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

    /// The permit of an answer that has one. It states the record, and so is signed after it.
    fn permit(&self, asked: &Asked, answer: &answer::Decided) -> Result<Option<String>, Status> {
        if !answer.has_permit() {
            return Ok(None);
        }
        claims(
            answer,
            &asked.facts,
            asked.case_config,
            self.keyring.lifetime(),
        )
        .and_then(|claims| {
            let signed = self.keyring.sign(&claims);
            signed
                .inspect_err(|fault| tracing::error!("a permit cannot be signed: {fault}"))
                .ok()
        })
        .map(Some)
        .ok_or_else(failure::permit_unavailable)
    }

    /// Decides under the policy in force, and records the decision.
    async fn decide_and_record(&self, asked: &Asked) -> Result<answer::Decided, Status> {
        let at = clock::now().ok_or_else(failure::clock_unusable)?;
        let state = self.store.state();
        let standing = state.standing(self.store.terms());
        let decision = decide(&standing, &asked.facts, at);
        let decision_id = Uuid::now_v7();
        let policy = standing.snapshot.map(Snapshot::digest);
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
                caller: Some(&asked.caller),
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
