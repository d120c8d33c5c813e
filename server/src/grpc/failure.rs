//! Failures: the vocabulary of what is no answer.
//!
//! A denial is an answer and never stands here. Each failure is a status with a
//! `google.rpc.ErrorInfo`; none repeats anything that the caller sent.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{
    limits::{Limit, RETRY_AFTER},
    wire::request::Violation,
};

/// The domain of every `ErrorInfo`.
const DOMAIN: &str = "admit.v1";

fn failure(code: Code, reason: &str, message: &str, mut details: ErrorDetails) -> Status {
    details.set_error_info(reason, DOMAIN, HashMap::new());
    Status::with_error_details(code, message, details)
}

/// Fields are out of their bounds.
pub(super) fn request_invalid(violations: &[Violation]) -> Status {
    let mut details = ErrorDetails::new();
    for violation in violations {
        details.add_bad_request_violation(violation.field, &violation.description);
    }
    let first = violations.first().map_or_else(String::new, |violation| {
        format!(": `{}` {}", violation.field, violation.description)
    });
    let message = format!("the request is not valid{first}");
    failure(Code::InvalidArgument, "REQUEST_INVALID", &message, details)
}

/// The host's clock is of no use.
pub(super) fn clock_unusable() -> Status {
    let message = "the clock of the server's host is of no use";
    failure(
        Code::Unavailable,
        "CLOCK_UNUSABLE",
        message,
        ErrorDetails::new(),
    )
}

/// The answer could not be recorded, and so is not given.
pub(super) fn audit_unavailable() -> Status {
    let message = "the answer could not be recorded, and so is not given";
    failure(
        Code::Unavailable,
        "AUDIT_UNAVAILABLE",
        message,
        ErrorDetails::new(),
    )
}

/// The permit could not be signed, and so the answer is not given.
pub(super) fn permit_unavailable() -> Status {
    let message = "the permit could not be signed, and so the answer is not given";
    failure(
        Code::Unavailable,
        "PERMIT_UNAVAILABLE",
        message,
        ErrorDetails::new(),
    )
}

/// The caller may not do this. It is not told why: the operator's log and audit trail say it.
pub(super) fn caller_not_allowed() -> Status {
    let message = "the caller is not allowed to do this";
    failure(
        Code::PermissionDenied,
        "CALLER_NOT_ALLOWED",
        message,
        ErrorDetails::new(),
    )
}

/// A limit is reached; the call may be made again a little later, or to another server.
pub(super) fn overloaded(limit: Limit) -> Status {
    let mut details = ErrorDetails::new();
    details.set_retry_info(Some(RETRY_AFTER));
    let message = format!(
        "the limit `{}` of the server is reached; try again later, or another server",
        limit.as_str()
    );
    failure(Code::ResourceExhausted, "OVERLOADED", &message, details)
}

/// The answer was not ready in time.
pub(super) fn deadline_exceeded() -> Status {
    let message = "the answer was not ready in time, and so is not given";
    failure(
        Code::DeadlineExceeded,
        "DEADLINE_EXCEEDED",
        message,
        ErrorDetails::new(),
    )
}

/// The listener answers for health alone.
pub(super) fn health_alone() -> Status {
    let message = "this address answers for health alone";
    failure(
        Code::Unimplemented,
        "HEALTH_ALONE",
        message,
        ErrorDetails::new(),
    )
}

/// The connection takes no new call, and its watches end.
pub(super) fn connection_closing() -> Status {
    let message = "the connection is closing; call again on a new one";
    failure(
        Code::Unavailable,
        "CONNECTION_CLOSING",
        message,
        ErrorDetails::new(),
    )
}

/// The daemon is stopping.
pub(super) fn shutting_down() -> Status {
    let message = "the server is stopping";
    failure(
        Code::Unavailable,
        "SHUTTING_DOWN",
        message,
        ErrorDetails::new(),
    )
}
