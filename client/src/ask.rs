//! The client of every call.
//!
//! One call, one deadline, no retry. Whatever goes wrong is an [`AskError`], and an error never
//! starts anything.

use std::{path::PathBuf, sync::Arc, time::Duration};

use admit_permit::KeySet;
use admit_proto::v1::{
    AdmitRequest, GetPermitKeysRequest, GetPolicyRequest, Policy, WatchPolicyRequest,
    admission_service_client::AdmissionServiceClient, policy_service_client::PolicyServiceClient,
};
use hyper_util::rt::TokioIo;
use tokio::{net::UnixStream, time::timeout};
use tonic::{
    Status,
    metadata::AsciiMetadataValue,
    transport::{Channel, Endpoint as TonicEndpoint, Uri},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tower::service_fn;

use crate::{
    answer::Answer,
    endpoint::{Address, Endpoint},
    failure::AskError,
    policy,
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
/// How often an open connection is asked whether it lives, and how long it may take to say so.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of one server. It connects with its first call.
#[derive(Clone, Debug)]
pub struct Client {
    endpoint: Endpoint,
    deadline: Duration,
    trace_parent: Option<AsciiMetadataValue>,
    channel: Option<Channel>,
}

impl Client {
    /// A client of the server at `endpoint`. Each call, with the connection that it may need, has
    /// to be through within `deadline`.
    #[must_use]
    pub fn new(endpoint: &Endpoint, deadline: Duration) -> Self {
        Self {
            endpoint: endpoint.clone(),
            deadline,
            trace_parent: None,
            channel: None,
        }
    }

    /// States the caller's place in a trace (a W3C `traceparent`) with every launch that is asked
    /// about; the record of the answer then appears there. A text that cannot be one is not stated.
    #[must_use]
    pub fn in_trace(mut self, trace_parent: &str) -> Self {
        let is_possible = trace_parent.len() <= TRACE_PARENT_BYTES_MAX
            && trace_parent
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        self.trace_parent = is_possible.then(|| trace_parent.parse().ok()).flatten();
        self
    }

    /// Asks whether a launch may start.
    ///
    /// # Errors
    ///
    /// Whenever there is no well-formed answer within the deadline: the launch does not start.
    pub async fn admit(&mut self, request: AdmitRequest) -> Result<Answer, AskError> {
        let mut service = AdmissionServiceClient::new(self.channel()?)
            .max_encoding_message_size(REQUEST_BYTES_MAX)
            .max_decoding_message_size(ANSWER_BYTES_MAX);
        let mut asked = tonic::Request::new(request.clone());
        asked.set_timeout(self.deadline);
        if let Some(trace_parent) = &self.trace_parent {
            asked
                .metadata_mut()
                .insert("traceparent", trace_parent.clone());
        }
        let response = self.within(service.admit(asked)).await?;
        Answer::verify(&request, response)
    }

    /// The policy in force, as the server describes it. Its texts are safe to show; a pair whose
    /// state is not known is revoked.
    ///
    /// # Errors
    ///
    /// Whenever there is no well-formed answer within the deadline.
    pub async fn policy(&mut self) -> Result<Policy, AskError> {
        let mut service =
            PolicyServiceClient::new(self.channel()?).max_decoding_message_size(POLICY_BYTES_MAX);
        let mut asked = tonic::Request::new(GetPolicyRequest {});
        asked.set_timeout(self.deadline);
        self.within(service.get_policy(asked))
            .await?
            .policy
            .ok_or(AskError::Malformed("it has no policy"))
            .and_then(policy::verified)
    }

    /// The keys that permits are verified with.
    ///
    /// # Errors
    ///
    /// Whenever there is no well-formed set of keys within the deadline.
    pub async fn permit_keys(&mut self) -> Result<KeySet, AskError> {
        let mut service =
            PolicyServiceClient::new(self.channel()?).max_decoding_message_size(ANSWER_BYTES_MAX);
        let mut asked = tonic::Request::new(GetPermitKeysRequest {});
        asked.set_timeout(self.deadline);
        let response = self.within(service.get_permit_keys(asked)).await?;
        KeySet::parse(&response.jwks)
            .map_err(|_| AskError::Malformed("its keys are not a JWK Set of Ed25519 public keys"))
    }

    /// Follows the policy. The deadline holds until the stream is open.
    ///
    /// # Errors
    ///
    /// When the stream does not open within the deadline.
    pub async fn watch(&mut self, request: WatchPolicyRequest) -> Result<Watch, AskError> {
        let mut service =
            PolicyServiceClient::new(self.channel()?).max_decoding_message_size(ANSWER_BYTES_MAX);
        self.within(service.watch_policy(request))
            .await
            .map(Watch::new)
    }

    /// Whether `service` is SERVING; the empty name stands for the server as a whole.
    ///
    /// # Errors
    ///
    /// Whenever there is no answer within the deadline, and when the server knows no such service.
    pub async fn health(&mut self, service: &str) -> Result<bool, AskError> {
        let mut health = HealthClient::new(self.channel()?);
        let mut asked = tonic::Request::new(HealthCheckRequest {
            service: service.to_owned(),
        });
        asked.set_timeout(self.deadline);
        let response = self.within(health.check(asked)).await?;
        Ok(ServingStatus::try_from(response.status) == Ok(ServingStatus::Serving))
    }

    /// What `call` answers within the deadline.
    async fn within<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, AskError> {
        match timeout(self.deadline, call).await {
            Err(_) => Err(AskError::TimedOut),
            Ok(Err(status)) => Err(AskError::from_status(&status)),
            Ok(Ok(response)) => Ok(response.into_inner()),
        }
    }

    /// The channel, made when it is first needed, because making it needs a runtime.
    fn channel(&mut self) -> Result<Channel, AskError> {
        if let Some(channel) = &self.channel {
            return Ok(channel.clone());
        }
        let channel = connect_lazy(&self.endpoint, self.deadline)?;
        self.channel = Some(channel.clone());
        Ok(channel)
    }
}

fn connect_lazy(endpoint: &Endpoint, deadline: Duration) -> Result<Channel, AskError> {
    let uri = match endpoint.address() {
        Address::Tcp { .. } => endpoint.to_string(),
        // The path goes to the connector; gRPC still wants an authority.
        Address::Unix(_) => "http://localhost".to_owned(),
    };
    let transport = TonicEndpoint::from_shared(uri)
        .map_err(|error| AskError::Unreachable(error.to_string()))?
        .connect_timeout(deadline)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    Ok(match endpoint.address() {
        Address::Tcp { .. } => transport.connect_lazy(),
        Address::Unix(path) => {
            let path: Arc<PathBuf> = Arc::new(path.clone());
            transport.connect_with_connector_lazy(service_fn(move |_: Uri| {
                let path = Arc::clone(&path);
                async move { UnixStream::connect(path.as_path()).await.map(TokioIo::new) }
            }))
        }
    })
}
