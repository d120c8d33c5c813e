//! The screen that every call passes: who calls, whether it may, whether there is a place, and how long
//! it may take. Nothing of a request's content is read here.
//!
//! Health is not screened. Deliberately absent: lanes and hosts, which stand in the request; the
//! services ask for them first of all ([`super::asker`]).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use admit_proto::v1::admission_service_server::AdmissionServiceServer;
use tonic::{
    Code, Status,
    body::Body,
    codegen::http::{Request, Response},
    service::Routes,
};
use tower::ServiceExt as _;

use super::{
    admission::Admission,
    asker::{Asker, CallPlace, Guard},
    failure,
    policy::PolicyView,
    watch,
};
use crate::{
    caller::{Caller, Rpc},
    limits::{Full, Limit, Limits, Quota},
    metrics::Counted,
    transport::{
        Connected, Scope,
        connection::{self, Lasting, holding},
    },
    wire::deadline::deadline,
};

/// What a path stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// A call of the contract.
    Rpc(Rpc),
    /// Health, which everybody may ask for.
    Health,
    /// Server reflection, or nothing that there is: for callers alone.
    Other,
}

impl Target {
    fn of(path: &str) -> Self {
        match path {
            "/admit.v1.AdmissionService/Admit" => Self::Rpc(Rpc::Admit),
            "/admit.v1.AdmissionService/CheckEvidence" => Self::Rpc(Rpc::CheckEvidence),
            "/admit.v1.PolicyService/GetPolicy" => Self::Rpc(Rpc::GetPolicy),
            "/admit.v1.PolicyService/WatchPolicy" => Self::Rpc(Rpc::WatchPolicy),
            "/admit.v1.PolicyService/GetPermitKeys" => Self::Rpc(Rpc::GetPermitKeys),
            _ if path.starts_with("/grpc.health.v1.Health/") => Self::Health,
            _ => Self::Other,
        }
    }
}

/// Who may call, and how many at one time.
#[derive(Clone)]
pub(super) struct Screen {
    admission: AdmissionServiceServer<Admission>,
    /// What answers `WatchPolicy`.
    watches: Arc<PolicyView>,
    /// Everything else.
    routes: Routes,
    guard: Guard,
    calls: Quota<Arc<str>>,
    watchers: Quota<Arc<str>>,
    request_time: Duration,
}

impl Screen {
    pub(super) fn new(
        (admission, watches): (AdmissionServiceServer<Admission>, Arc<PolicyView>),
        routes: Routes,
        guard: Guard,
        limits: &Limits,
    ) -> Self {
        Self {
            admission,
            watches,
            routes: routes.prepare(),
            guard,
            calls: Quota::new(limits.in_flight, limits.in_flight_per_caller),
            watchers: Quota::new(limits.watchers, limits.watchers_per_caller),
            request_time: limits.request_time,
        }
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let Ok(response) = self.routes.clone().oneshot(request).await;
        response
    }

    /// The answer to a call of the contract. What has been told apart already is not routed again.
    async fn answer_to(&self, rpc: Rpc, request: Request<Body>) -> Response<Body> {
        match rpc {
            Rpc::Admit | Rpc::CheckEvidence => {
                let Ok(response) = self.admission.clone().oneshot(request).await;
                response
            }
            Rpc::WatchPolicy => watch::answer(Arc::clone(&self.watches), request).await,
            Rpc::GetPolicy | Rpc::GetPermitKeys => self.answer(request).await,
        }
    }

    /// A call of the contract, which has a caller, a place and a time.
    async fn screened(
        &self,
        rpc: Rpc,
        connected: &Arc<Connected>,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Status> {
        let refuse = |cause, caller| self.guard.refuse(cause, caller, &connected.peer, Some(rpc));
        let caller = self
            .guard
            .identify(connected)
            .map_err(|cause| refuse(cause, None))?;
        caller
            .may_call(rpc)
            .map_err(|cause| refuse(cause, Some(&*caller)))?;
        let is_watch = rpc == Rpc::WatchPolicy;
        let (watch, in_flight) = if is_watch {
            (Some(Arc::new(self.place(true, &caller)?)), None)
        } else {
            (None, Some(self.in_flight(&caller)?))
        };
        let own = deadline(request.headers());
        request.extensions_mut().insert(Asker {
            caller,
            connected: Arc::clone(connected),
            rpc,
            guard: self.guard.clone(),
            watch,
        });
        let patience = own.map_or(self.request_time, |own| own.min(self.request_time));
        match tokio::time::timeout(patience, self.answer_to(rpc, request)).await {
            // Whoever does not take its answers has no more of them at a time than others.
            Ok(mut response) => {
                if is_watch {
                    response.extensions_mut().insert(Lasting::UntilClosing);
                }
                Ok(holding(in_flight, response))
            }
            Err(_) if own.is_some_and(|own| own < self.request_time) => {
                Err(failure::deadline_exceeded())
            }
            Err(_) => {
                self.guard.metrics.overloaded(Limit::RequestTime);
                Err(failure::deadline_exceeded())
            }
        }
    }

    /// A call that is none of the contract, such as server reflection. It is for callers, of whom none
    /// has more of them at a time than of others.
    async fn for_callers(
        &self,
        connected: &Connected,
        request: Request<Body>,
    ) -> Result<Response<Body>, Status> {
        let refuse = |cause| self.guard.refuse(cause, None, &connected.peer, None);
        let caller = self.guard.identify(connected).map_err(refuse)?;
        let in_flight = self.in_flight(&caller)?;
        Ok(holding(in_flight, self.answer(request).await))
    }

    /// A place among the calls, counted for as long as it is held.
    fn in_flight(&self, caller: &Caller) -> Result<(CallPlace, Counted), Status> {
        let place = self.place(false, caller)?;
        Ok((place, Counted::new(self.guard.metrics.in_flight.clone())))
    }

    fn place(&self, is_watch: bool, caller: &Caller) -> Result<CallPlace, Status> {
        let (places, all, of_caller) = if is_watch {
            (&self.watchers, Limit::Watchers, Limit::WatchersPerCaller)
        } else {
            (&self.calls, Limit::InFlight, Limit::InFlightPerCaller)
        };
        places.take(Arc::clone(&caller.name)).map_err(|full| {
            let limit = match full {
                Full::All => all,
                Full::OfHolder => of_caller,
            };
            self.guard.metrics.overloaded(limit);
            failure::overloaded(limit)
        })
    }
}

impl connection::Service for Screen {
    async fn call(&self, connected: &Arc<Connected>, request: Request<Body>) -> Response<Body> {
        let since = Instant::now();
        let target = Target::of(request.uri().path());
        match (connected.scope, target) {
            (_, Target::Health) => match connected.health_place() {
                Some(place) => {
                    let answer = tokio::time::timeout(self.request_time, self.answer(request));
                    let Ok(mut response) = answer.await else {
                        return failure::deadline_exceeded().into_http();
                    };
                    // Only a watch of health is still there when its connection closes.
                    response.extensions_mut().insert(Lasting::Endless);
                    holding(place, response)
                }
                None => {
                    self.guard.metrics.overloaded(Limit::HealthCalls);
                    failure::overloaded(Limit::HealthCalls).into_http()
                }
            },
            (Scope::HealthAlone, Target::Rpc(_) | Target::Other) => {
                failure::health_alone().into_http()
            }
            (Scope::TurnedAway(limit), Target::Rpc(_) | Target::Other) => {
                failure::overloaded(limit).into_http()
            }
            (Scope::Everything, Target::Other) => {
                match self.for_callers(connected, request).await {
                    Ok(response) => response,
                    Err(status) => status.into_http(),
                }
            }
            (Scope::Everything, Target::Rpc(rpc)) => {
                let response = match self.screened(rpc, connected, request).await {
                    Ok(response) => response,
                    Err(status) => status.into_http(),
                };
                let code = code(&response);
                self.guard.metrics.answered(rpc, code, since.elapsed());
                response
            }
        }
    }
}

/// The code of an answer. A status that is known before the answer begins stands in its headers; what
/// has begun otherwise went well so far.
fn code(response: &Response<Body>) -> Code {
    let status = response.headers().get("grpc-status");
    status.map_or(Code::Ok, |status| Code::from_bytes(status.as_bytes()))
}
