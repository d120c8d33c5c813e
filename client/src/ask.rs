//! The client of every call, and the choice among endpoints.
//!
//! One call, one deadline, and an answer that is verified. Whatever goes wrong is an [`AskError`], and
//! an error never starts anything. Deliberately absent: who is asked, and how often (`settle`).

mod settle;

use std::time::Duration;

use admit_permit::KeySet;
use admit_proto::v1::{
    AdmitRequest, CheckEvidenceRequest, GetPermitKeysRequest, GetPolicyRequest, Policy,
    WatchPolicyRequest, admission_service_client::AdmissionServiceClient,
    admission_service_server::SERVICE_NAME as ADMISSION,
    policy_service_client::PolicyServiceClient, policy_service_server::SERVICE_NAME as POLICY,
};
use tonic::{Status, metadata::AsciiMetadataValue, transport::Channel};

use crate::{
    answer::Answer,
    endpoint::{Endpoint, Endpoints},
    failure::AskError,
    judgment::Judgment,
    policy,
    route::Route,
    tls::Tls,
    watch::Watch,
};

/// Largest request that the contract allows, in bytes.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// Largest answer to one launch, in bytes.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest description of a policy, in bytes.
const POLICY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Longest `traceparent`, in bytes; a later version may be longer than today's 55.
const TRACE_PARENT_BYTES_MAX: usize = 128;

/// A client of one server, or of several that decide under the same policy. It connects with its
/// first call.
///
/// Each call has one deadline. With several endpoints, a call goes first to the one that answered
/// last, then to the others in their stated order. Each is asked for its health and, if it is
/// serving, for the answer, and has for both the time that remains divided by the number of
/// endpoints not asked yet: of two endpoints, the first has half of the deadline. It is passed over
/// when it
///
/// - cannot be reached, cannot prove who it is, or breaks the connection,
/// - has not answered in its time,
/// - is not serving, or knows nothing of its health, or
/// - fails with `UNAVAILABLE` or `RESOURCE_EXHAUSTED`.
///
/// Everything else is final: a DENY, any other failure, and whatever is malformed. A single endpoint
/// has all of the time and is not asked for its health first: there is no other to choose.
///
/// When all of them were passed over, and one at least was `OVERLOADED` and said when it may be asked
/// again, they are: after that time, then after twice as long, and so on for as long as the deadline
/// lets them.
///
/// An ALLOW that was lost on the way is no answer; the next server decides anew, and the lost
/// decision stays in the log of the first.
#[derive(Clone, Debug)]
pub struct Client {
    routes: Vec<Route>,
    tls: Tls,
    deadline: Duration,
    trace_parent: Option<AsciiMetadataValue>,
    /// The route that is asked first.
    preferred: usize,
    /// The route that the latest call ended with.
    answered_by: Option<usize>,
}

impl Client {
    /// A client of the servers at `endpoints`, be it [`Endpoints`] or one [`Endpoint`]. Each call,
    /// with the connections that it may need, has to be through within `deadline`.
    ///
    /// An `https` endpoint is verified with [`Tls::system`] unless [`Client::with_tls`] says otherwise.
    #[must_use]
    pub fn new(endpoints: impl Into<Endpoints>, deadline: Duration) -> Self {
        Self {
            routes: endpoints.into().iter().map(Route::new).collect(),
            tls: Tls::system(),
            deadline,
            trace_parent: None,
            preferred: 0,
            answered_by: None,
        }
    }

    /// Uses `tls` for every `https` endpoint. Other endpoints have no use for it.
    #[must_use]
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.routes = self
            .routes
            .iter()
            .map(|route| Route::new(route.endpoint()))
            .collect();
        self.tls = tls;
        self
    }

    /// States the caller's place in a trace (a W3C `traceparent`) with every launch that is asked
    /// about and all evidence; the record of the answer then appears there. A text that cannot be one is not stated.
    #[must_use]
    pub fn in_trace(mut self, trace_parent: &str) -> Self {
        let is_possible = trace_parent.len() <= TRACE_PARENT_BYTES_MAX
            && trace_parent
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        self.trace_parent = is_possible.then(|| trace_parent.parse().ok()).flatten();
        self
    }

    /// The endpoint that the latest call ended with, be it with an answer or with a failure that is
    /// final. `None` before the first call, and when every endpoint was passed over.
    #[must_use]
    pub fn answered_by(&self) -> Option<&Endpoint> {
        self.answered_by
            .and_then(|at| self.routes.get(at))
            .map(Route::endpoint)
    }

    /// The time that a call has.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Asks whether a launch may start.
    ///
    /// # Errors
    ///
    /// Whenever there is no well-formed answer within the deadline: the launch does not start.
    pub async fn admit(&mut self, request: AdmitRequest) -> Result<Answer, AskError> {
        let trace_parent = self.trace_parent.clone();
        let request = &request;
        self.settle(self.look_at(ADMISSION), |channel, left| {
            let asked = asking(request.clone(), left, trace_parent.as_ref());
            async move {
                let response = answered(admission(channel).admit(asked)).await?;
                Answer::verify(request, response)
            }
        })
        .await
    }

    /// Hands in the evidence of a finished run.
    ///
    /// # Errors
    ///
    /// Whenever there is no well-formed judgment within the deadline: the evidence is not accepted.
    pub async fn check_evidence(
        &mut self,
        request: CheckEvidenceRequest,
    ) -> Result<Judgment, AskError> {
        let trace_parent = self.trace_parent.clone();
        let request = &request;
        self.settle(self.look_at(ADMISSION), |channel, left| {
            let asked = asking(request.clone(), left, trace_parent.as_ref());
            async move {
                let response = answered(admission(channel).check_evidence(asked)).await?;
                Judgment::verify(request, response)
            }
        })
        .await
    }

    /// The policy in force, as the server describes it. Its texts are safe to show; a pair whose
    /// state is not known is revoked.
    ///
    /// # Errors
    ///
    /// Whenever there is no well-formed answer within the deadline.
    pub async fn policy(&mut self) -> Result<Policy, AskError> {
        self.settle(self.look_at(POLICY), |channel, left| async move {
            let mut service =
                PolicyServiceClient::new(channel).max_decoding_message_size(POLICY_BYTES_MAX);
            answered(service.get_policy(asking(GetPolicyRequest {}, left, None)))
                .await?
                .policy
                .ok_or(AskError::Malformed("it has no policy"))
                .and_then(policy::verified)
        })
        .await
    }

    /// The keys that permits are verified with.
    ///
    /// # Errors
    ///
    /// Whenever there is no well-formed set of keys within the deadline.
    pub async fn permit_keys(&mut self) -> Result<KeySet, AskError> {
        self.settle(self.look_at(POLICY), |channel, left| async move {
            let mut service =
                PolicyServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
            let response =
                answered(service.get_permit_keys(asking(GetPermitKeysRequest {}, left, None)))
                    .await?;
            KeySet::parse(&response.jwks).map_err(|_| {
                AskError::Malformed("its keys are not a JWK Set of Ed25519 public keys")
            })
        })
        .await
    }

    /// Follows the policy on one server. The deadline holds until the stream is open. The stream
    /// ends with its connection; [`Client::follow`] goes on to the next.
    ///
    /// # Errors
    ///
    /// When the stream does not open within the deadline.
    pub async fn watch(&mut self, request: WatchPolicyRequest) -> Result<Watch, AskError> {
        self.settle(self.look_at(POLICY), |channel, _| {
            // Told no deadline: the stream outlives it.
            let asked = request.clone();
            async move {
                let mut service =
                    PolicyServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
                answered(service.watch_policy(asked)).await.map(Watch::new)
            }
        })
        .await
    }

    /// Whether `service` is SERVING on one endpoint at least; the empty name stands for the server
    /// as a whole. `false`: every endpoint says that it is not.
    ///
    /// # Errors
    ///
    /// When it is SERVING nowhere, and an endpoint gives no answer within the deadline or knows no
    /// such service.
    pub async fn health(&mut self, service: &str) -> Result<bool, AskError> {
        match self.settle(Some(service), |_, _| async { Ok(()) }).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_not_serving() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Begins the next call with another endpoint than the one that the latest call ended with, and
    /// with a new connection.
    pub(crate) fn turn_away(&mut self) {
        let Some(at) = self.answered_by else {
            return;
        };
        if let Some(route) = self.routes.get_mut(at) {
            route.hang_up();
        }
        let next = at.saturating_add(1);
        self.preferred = if next < self.routes.len() { next } else { 0 };
    }

    /// The service whose health is looked at before a call. One endpoint alone is no choice.
    fn look_at(&self, service: &'static str) -> Option<&'static str> {
        (self.routes.len() > 1).then_some(service)
    }
}

/// The service of launches and evidence behind `channel`, with the bounds of its messages.
fn admission(channel: Channel) -> AdmissionServiceClient<Channel> {
    AdmissionServiceClient::new(channel)
        .max_encoding_message_size(REQUEST_BYTES_MAX)
        .max_decoding_message_size(ANSWER_BYTES_MAX)
}

/// A request that tells the server how long anybody waits for its answer, and where it is traced.
fn asking<T>(
    message: T,
    left: Duration,
    trace_parent: Option<&AsciiMetadataValue>,
) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(left);
    if let Some(trace_parent) = trace_parent {
        request
            .metadata_mut()
            .insert("traceparent", trace_parent.clone());
    }
    request
}

/// The message of an answer.
async fn answered<T>(
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, AskError> {
    call.await
        .map(tonic::Response::into_inner)
        .map_err(|status| AskError::from_status(&status))
}
