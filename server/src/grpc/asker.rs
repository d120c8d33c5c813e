//! Whoever makes a call: what the services ask about it, at first and again while they have the call.
//!
//! Deliberately absent: how a call gets here; see [`super::screen`].

use std::sync::Arc;

use admit_policy::facts::Lane;
use tokio::sync::watch as channel;
use tonic::Status;

use super::failure;
use crate::{
    audit::{RefusalKey, Refusals},
    caller::{Caller, Peer, RefusalCause, Roster, Rpc},
    limits::{Limit, Place},
    metrics::Metrics,
    transport::Connected,
};

/// A place among the calls or the watches.
pub(super) type CallPlace = Place<Arc<str>>;

/// Who may call; what the services ask again while they have a call.
#[derive(Clone)]
pub(super) struct Guard {
    roster: channel::Receiver<Arc<Roster>>,
    refusals: Refusals,
    pub(super) metrics: Arc<Metrics>,
}

/// Whoever made a call, handed to the service with it.
#[derive(Clone)]
pub(super) struct Asker {
    pub(super) caller: Arc<Caller>,
    pub(super) connected: Arc<Connected>,
    pub(super) rpc: Rpc,
    pub(super) guard: Guard,
    /// The place of a watch, which outlives the call that opened it.
    pub(super) watch: Option<Arc<CallPlace>>,
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
    pub(super) fn identify(&self, connected: &Connected) -> Result<Arc<Caller>, RefusalCause> {
        if !connected.is_credential_valid() {
            return Err(RefusalCause::CertificateUnusable);
        }
        self.roster.borrow().identify(&connected.peer)
    }

    /// Counts a refusal, for the metrics and the audit trail; what the peer is told of it.
    pub(super) fn refuse(
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
