//! Every way in which a call fails. A failure is no answer, and no answer never starts anything.

use std::time::Duration;

use tonic::{Code, Status, TimeoutExpired};
use tonic_types::StatusExt as _;

use crate::{
    endpoint::Endpoint,
    shown::{TEXT_CHARS_MAX, shown},
};

/// Most field violations of one failure.
const VIOLATIONS_MAX: usize = 64;
/// The domain of the failures of the contract.
const ERROR_DOMAIN: &str = "admit.v1";
/// The reason of a server that is over one of its limits.
const OVERLOADED: &str = "OVERLOADED";

/// Why there is no answer. Each of these denies. Every text in it is bounded and printable.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The server cannot be reached, cannot prove who it is, or the connection broke.
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
        /// When the same may be asked again: stated by a server that is over one of its limits, and
        /// had not looked at the request.
        retry_after: Option<Duration>,
    },
    /// The answer has not the form that the contract gives it.
    #[error("the answer is malformed: {0}")]
    Malformed(&'static str),
    /// The server says that it does not serve: it could not answer a real launch now.
    #[error("the server is not serving")]
    NotServing,
    /// None of several endpoints answered. At least two, in the order in which they were asked.
    #[error("no server answered{}", describe_passed_over(.0))]
    NoneAnswered(Vec<PassedOver>),
}

/// An endpoint that gave no answer, so that the next one was asked.
#[derive(Debug)]
pub struct PassedOver {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Why it gave none; never [`AskError::NoneAnswered`].
    pub error: AskError,
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
    /// Whether another endpoint may be asked in place of the one that failed so. What a server says
    /// about the launch or the request is final: nobody shops around for a better word.
    pub(crate) fn passes_over(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TimedOut | Self::NotServing => true,
            Self::Failed { code, .. } => {
                matches!(code, Code::Unavailable | Code::ResourceExhausted)
            }
            Self::Malformed(_) | Self::NoneAnswered(_) => false,
        }
    }

    /// When the server wants to be asked the same again; `None` when it does not.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Failed { retry_after, .. } => *retry_after,
            Self::Unreachable(_)
            | Self::TimedOut
            | Self::Malformed(_)
            | Self::NotServing
            | Self::NoneAnswered(_) => None,
        }
    }

    /// Whether every endpoint says that it is not serving.
    pub(crate) fn is_not_serving(&self) -> bool {
        match self {
            Self::NotServing => true,
            Self::NoneAnswered(passed_over) => passed_over
                .iter()
                .all(|passed| passed.error.is_not_serving()),
            Self::Unreachable(_) | Self::TimedOut | Self::Failed { .. } | Self::Malformed(_) => {
                false
            }
        }
    }

    /// The error of all endpoints that were passed over; of one alone, its own.
    pub(crate) fn of_passed_over(mut passed_over: Vec<PassedOver>) -> Self {
        match (passed_over.pop(), passed_over.is_empty()) {
            (Some(only), true) => only.error,
            (last, _) => {
                passed_over.extend(last);
                Self::NoneAnswered(passed_over)
            }
        }
    }

    pub(crate) fn of_transport(error: &tonic::transport::Error) -> Self {
        let root = causes(Some(error)).last();
        Self::Unreachable(
            root.map_or_else(String::new, |root| shown(&root.to_string(), TEXT_CHARS_MAX)),
        )
    }

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
        let is_overloaded =
            status.code() == Code::ResourceExhausted && reason.as_deref() == Some(OVERLOADED);
        let retry_info = details.retry_info().filter(|_| is_overloaded);
        Self::Failed {
            code: status.code(),
            reason,
            message,
            violations,
            retry_after: retry_info.and_then(|info| info.retry_delay),
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

/// `: ENDPOINT: why; ENDPOINT: why`.
fn describe_passed_over(passed_over: &[PassedOver]) -> String {
    let mut text = String::new();
    for (at, PassedOver { endpoint, error }) in passed_over.iter().enumerate() {
        let before = if at == 0 { ": " } else { "; " };
        text.push_str(&format!("{before}{endpoint}: {error}"));
    }
    text
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
    fn only_what_says_nothing_about_the_launch_passes_an_endpoint_over() {
        for number in 1..=16 {
            let code = Code::from_i32(number);
            let details = ErrorDetails::with_error_info("SHUTTING_DOWN", "admit.v1", []);
            let status = Status::with_error_details(code, "", details);
            let expected = matches!(number, 8 | 14);
            assert_eq!(
                AskError::from_status(&status).passes_over(),
                expected,
                "{code}"
            );
        }
        assert!(AskError::TimedOut.passes_over() && AskError::NotServing.passes_over());
        assert!(AskError::Unreachable(String::new()).passes_over());
        assert!(!AskError::Malformed("").passes_over());
    }

    #[test]
    fn only_an_overloaded_server_is_asked_again() {
        let delay = Duration::from_millis(250);
        for (code, reason, domain, expected) in [
            (
                Code::ResourceExhausted,
                "OVERLOADED",
                "admit.v1",
                Some(delay),
            ),
            (Code::ResourceExhausted, "OVERLOADED", "example.com", None),
            (Code::ResourceExhausted, "REQUEST_INVALID", "admit.v1", None),
            (Code::Unavailable, "OVERLOADED", "admit.v1", None),
            (Code::Internal, "OVERLOADED", "admit.v1", None),
        ] {
            let mut details = ErrorDetails::with_error_info(reason, domain, []);
            details.set_retry_info(Some(delay));
            let status = Status::with_error_details(code, "", details);
            let error = AskError::from_status(&status);
            assert_eq!(error.retry_after(), expected, "{code} {reason} {domain}");
        }
        // Without a hint there is no moment to ask again at.
        let details = ErrorDetails::with_error_info("OVERLOADED", "admit.v1", []);
        let status = Status::with_error_details(Code::ResourceExhausted, "", details);
        assert_eq!(AskError::from_status(&status).retry_after(), None);
        assert_eq!(AskError::TimedOut.retry_after(), None);
    }

    #[test]
    fn the_error_of_several_endpoints_tells_of_each() {
        let passed_over = |port: u16, error| PassedOver {
            endpoint: format!("https://h:{port}").parse().unwrap(),
            error,
        };
        let one = AskError::of_passed_over(vec![passed_over(1, AskError::TimedOut)]);
        assert!(matches!(one, AskError::TimedOut), "{one}");
        let two = AskError::of_passed_over(vec![
            passed_over(1, AskError::TimedOut),
            passed_over(2, AskError::NotServing),
        ]);
        assert_eq!(
            two.to_string(),
            "no server answered: https://h:1: no answer within the deadline; \
             https://h:2: the server is not serving"
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
