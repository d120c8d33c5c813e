//! Failures: the vocabulary of what is no answer.
//!
//! A denial is an answer and never stands here. Each failure is a status with a
//! `google.rpc.ErrorInfo`; none repeats anything that the caller sent.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::wire::request::Violation;

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

/// All places for watchers are taken.
pub(super) fn too_many_watchers() -> Status {
    let message = "too many watches are open";
    failure(
        Code::ResourceExhausted,
        "TOO_MANY_WATCHERS",
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
