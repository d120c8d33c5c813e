//! The client of every call, and every way in which a call fails.
//!
//! One call, one deadline, no retry. Whatever goes wrong is an [`AskError`], and an error never
//! starts anything.

use std::{path::PathBuf, sync::Arc, time::Duration};

use admit_proto::v1::{
    AdmitRequest, GetPolicyRequest, Policy, WatchPolicyRequest,
    admission_service_client::AdmissionServiceClient, policy_service_client::PolicyServiceClient,
};
use hyper_util::rt::TokioIo;
use tokio::{net::UnixStream, time::timeout};
use tonic::{
    Code, Status, TimeoutExpired,
    transport::{Channel, Endpoint as TonicEndpoint, Uri},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt as _;
use tower::service_fn;

use crate::{
    answer::Answer,
    endpoint::{Address, Endpoint},
    policy,
    shown::{TEXT_CHARS_MAX, shown},
    watch::Watch,
};

/// Largest request that the contract allows, in bytes.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// Largest answer to one launch, in bytes.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest description of a policy, in bytes.
const POLICY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How often an open connection is asked whether it lives, and how long it may take to say so.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Most field violations of one failure.
const VIOLATIONS_MAX: usize = 64;
/// The domain of the failures of the contract.
const ERROR_DOMAIN: &str = "admit.v1";

/// Why there is no answer. Each of these denies.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The server cannot be reached, or the connection broke.
    #[error("no connection to the server: {0}")]
    Unreachable(String),
    /// The deadline passed.
    #[error("no answer within the deadline")]
    TimedOut,
    /// The server answered with a failure.
    #[error("the server failed: {}", describe_failure(*code, reason.as_deref(), message))]
    Failed {
        /// The gRPC code.
        code: Code,
        /// The reason of the contract, such as `REQUEST_INVALID`; `None` when it states none.
        reason: Option<String>,
        /// The server's own words, bounded and printable.
        message: String,
        /// The fields that are at fault.
        violations: Vec<FieldViolation>,
    },
    /// The answer has not the form that the contract gives it.
    #[error("the answer is malformed: {0}")]
    Malformed(&'static str),
}

/// A field of the request that is at fault. Both texts are bounded and printable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// The path of the field.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

impl AskError {
    pub(crate) fn from_status(status: &Status) -> Self {
        let message = shown(status.message(), TEXT_CHARS_MAX);
        // A status with a source was made on this side; one of the server has none.
        let source = std::error::Error::source(status);
        if causes(source).any(|cause| cause.is::<TimeoutExpired>()) {
            return Self::TimedOut;
        }
        if let Some(root) = causes(source).last() {
            return Self::Unreachable(shown(&root.to_string(), TEXT_CHARS_MAX));
        }
        let details = status.get_error_details();
        let reason = details
            .error_info()
            .filter(|info| info.domain == ERROR_DOMAIN && is_reason(&info.reason))
            .map(|info| info.reason.clone());
        // The server was told the deadline and may notice first, in the words of its transport.
        if reason.is_none() && matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled) {
            return Self::TimedOut;
        }
        let violations = details
            .bad_request()
            .map(|bad| bad.field_violations.as_slice())
            .unwrap_or_default()
            .iter()
            .take(VIOLATIONS_MAX)
            .map(|violation| FieldViolation {
                field: shown(&violation.field, TEXT_CHARS_MAX),
                description: shown(&violation.description, TEXT_CHARS_MAX),
            })
            .collect();
        Self::Failed {
            code: status.code(),
            reason,
            message,
            violations,
        }
    }
}

/// `source` and everything that it came from.
fn causes<'a>(
    source: Option<&'a (dyn std::error::Error + 'static)>,
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(source, |cause| cause.source())
}

fn is_reason(reason: &str) -> bool {
    const REASON_BYTES_MAX: usize = 63;
    (1..=REASON_BYTES_MAX).contains(&reason.len())
        && reason
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

fn describe_failure(code: Code, reason: Option<&str>, message: &str) -> String {
    let name = reason.unwrap_or_else(|| code_name(code));
    if message.is_empty() {
        name.to_owned()
    } else {
        format!("{name}: {message}")
    }
}

/// The name of a gRPC code, as the specification writes it.
#[must_use]
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// A client of one server. It connects with its first call.
#[derive(Clone, Debug)]
pub struct Client {
    endpoint: Endpoint,
    deadline: Duration,
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
            channel: None,
        }
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

#[cfg(test)]
mod tests {
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    #[test]
    fn a_failure_keeps_its_reason_and_its_fields() {
        let mut details = ErrorDetails::with_error_info("REQUEST_INVALID", "admit.v1", []);
        details.add_bad_request_violation("run_id", "is\u{7} empty");
        let status =
            Status::with_error_details(Code::InvalidArgument, "one field is at fault", details);
        let error = AskError::from_status(&status);
        assert_eq!(
            error.to_string(),
            "the server failed: REQUEST_INVALID: one field is at fault"
        );
        let AskError::Failed {
            code, violations, ..
        } = error
        else {
            panic!("{error}")
        };
        assert_eq!(code, Code::InvalidArgument);
        assert_eq!(
            violations,
            [FieldViolation {
                field: "run_id".into(),
                description: "is\\u{7} empty".into(),
            }]
        );
    }

    #[test]
    fn a_deadline_that_the_server_noticed_is_a_timeout() {
        for code in [Code::DeadlineExceeded, Code::Cancelled] {
            let error = AskError::from_status(&Status::new(code, "Timeout expired"));
            assert!(matches!(error, AskError::TimedOut), "{error}");
        }
    }

    #[test]
    fn a_reason_of_another_domain_or_form_is_not_shown() {
        for (reason, domain) in [("X", "example.com"), ("not \u{1b} so", "admit.v1")] {
            let details = ErrorDetails::with_error_info(reason, domain, []);
            let status = Status::with_error_details(Code::Unavailable, "", details);
            assert_eq!(
                AskError::from_status(&status).to_string(),
                "the server failed: UNAVAILABLE"
            );
        }
    }
}
