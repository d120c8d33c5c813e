//! The screen that every call passes: who calls, whether it may, whether there is a place, and how long
//! it may take. Nothing of a request's content is read here.
//!
//! Health is not screened. Deliberately absent: lanes and hosts, which stand in the request; the
//! services ask for them first of all ([`Asker`]).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use admit_policy::facts::Lane;
use admit_proto::v1::admission_service_server::AdmissionServiceServer;
use tokio::sync::watch as channel;
use tonic::{
    Code, Status,
    body::Body,
    codegen::http::{Request, Response},
    service::Routes,
};
use tower::ServiceExt as _;

use super::{admission::Admission, failure};
use crate::{
    audit::{RefusalKey, Refusals},
    caller::{Caller, Peer, RefusalCause, Roster, Rpc},
    limits::{Full, Limit, Limits, Place, Quota},
    metrics::{Counted, Metrics},
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

/// A place among the calls or the watches.
pub(super) type CallPlace = Place<Arc<str>>;

/// Who may call, and how many at one time.
#[derive(Clone)]
pub(super) struct Screen {
    admission: AdmissionServiceServer<Admission>,
    /// Everything else.
    routes: Routes,
    guard: Guard,
    calls: Quota<Arc<str>>,
    watchers: Quota<Arc<str>>,
    request_time: Duration,
}

/// Who may call; what the services ask again while they have a call.
#[derive(Clone)]
pub(super) struct Guard {
    roster: channel::Receiver<Arc<Roster>>,
    refusals: Refusals,
    metrics: Arc<Metrics>,
}

/// Whoever made a call, handed to the service with it.
#[derive(Clone)]
pub(super) struct Asker {
    pub(super) caller: Arc<Caller>,
    connected: Arc<Connected>,
    rpc: Rpc,
    guard: Guard,
    /// The place of a watch, which outlives the call that opened it.
    watch: Option<Arc<CallPlace>>,
}

impl Guard {
    pub(super) fn new(
        roster: channel::Receiver<Arc<Roster>>,
        refusals: Refusals,
        metrics: Metrics,
    ) -> Self {
        Self {
            roster,
            refusals,
            metrics: Arc::new(metrics),
        }
    }

    /// The caller at the other end of `connected`, as of now.
    fn identify(&self, connected: &Connected) -> Result<Arc<Caller>, RefusalCause> {
        if !connected.is_credential_valid() {
            return Err(RefusalCause::CertificateUnusable);
        }
        self.roster.borrow().identify(&connected.peer)
    }

    /// Counts a refusal, for the metrics and the audit trail; what the peer is told of it.
    fn refuse(
        &self,
        cause: RefusalCause,
        caller: Option<&Caller>,
        peer: &Peer,
        rpc: Option<Rpc>,
    ) -> Status {
        self.metrics.refused(cause, peer.via());
        self.refusals.count(RefusalKey {
            caller: caller.map(|caller| Arc::clone(&caller.name)),
            via: peer.via(),
            rpc,
            cause,
        });
        failure::caller_not_allowed()
    }
}

impl Asker {
    /// Whoever made the call with these extensions. Nobody is not let through.
    pub(super) fn of(extensions: &tonic::Extensions) -> Result<Self, Status> {
        extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(failure::caller_not_allowed)
    }

    /// Whether it may ask about this launch.
    pub(super) fn may_ask_for(&self, lane: Lane) -> Result<(), Status> {
        self.granted(self.caller.may_ask_for(lane))
    }

    /// Whether it speaks for this host.
    pub(super) fn may_speak_for(&self, host: &str) -> Result<(), Status> {
        self.granted(self.caller.may_speak_for(host))
    }

    /// Whether it may still make the call that it has made: the roster and certificates change.
    pub(super) fn may_go_on(&self) -> Result<(), Status> {
        self.granted(self.caller_of_now().map(drop))
    }

    /// The same of a call for this lane, if it is for one, and this host.
    pub(super) fn may_still_ask(&self, lane: Option<Lane>, host: &str) -> Result<(), Status> {
        let still = self.caller_of_now().and_then(|caller| {
            lane.map_or(Ok(()), |lane| caller.may_ask_for(lane))?;
            caller.may_speak_for(host)
        });
        self.granted(still)
    }

    /// Whoever it is now, if that one may make the call.
    fn caller_of_now(&self) -> Result<Arc<Caller>, RefusalCause> {
        let caller = self.guard.identify(&self.connected)?;
        caller.may_call(self.rpc)?;
        Ok(caller)
    }

    /// Ends when it may be that [`Self::may_go_on`] has changed.
    pub(super) async fn roster_changed(&mut self) {
        if self.guard.roster.changed().await.is_err() {
            // It does not change any more.
            std::future::pending::<()>().await;
        }
    }

    /// Ends when the connection takes no new call.
    pub(super) async fn closing(&self) {
        self.connected.closing().await;
    }

    /// The place of the watch that it opens.
    pub(super) fn watch_place(&self) -> Result<Arc<CallPlace>, Status> {
        self.watch
            .clone()
            .ok_or_else(|| failure::overloaded(Limit::Watchers))
    }

    fn granted(&self, granted: Result<(), RefusalCause>) -> Result<(), Status> {
        granted.map_err(|cause| {
            let peer = &self.connected.peer;
            self.guard
                .refuse(cause, Some(&self.caller), peer, Some(self.rpc))
        })
    }
}

impl Screen {
    pub(super) fn new(
        admission: AdmissionServiceServer<Admission>,
        routes: Routes,
        guard: Guard,
        limits: &Limits,
    ) -> Self {
        Self {
            admission,
            routes: routes.prepare(),
            guard,
            calls: Quota::new(limits.in_flight, limits.in_flight_per_caller),
            watchers: Quota::new(limits.watchers, limits.watchers_per_caller),
            request_time: limits.request_time,
        }
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        match self.routes.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// The answer to a call of the contract. What has been told apart already is not routed again.
    async fn answer_to(&self, rpc: Rpc, request: Request<Body>) -> Response<Body> {
        match rpc {
            Rpc::Admit | Rpc::CheckEvidence => {
                match self.admission.clone().oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
            Rpc::GetPolicy | Rpc::WatchPolicy | Rpc::GetPermitKeys => self.answer(request).await,
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
