//! Asks Admit whether a launch may start, with types that fail closed.
//!
//! In reading order:
//!
//! - [`endpoint`]: where the server is
//! - [`ask`], [`failure`]: the client of every call, and every way in which a call fails
//! - [`answer`]: ALLOW, which exists only after verification, and DENY
//! - [`watch`]: the changes of the policy
//! - [`facts`]: what there is to know about a launch, gathered from what surrounds it
//!
//! Deliberately absent: any retry, any cached answer, any way to build an ALLOW but from a verified
//! answer.

#![forbid(unsafe_code)]

pub mod answer;
pub mod ask;
pub mod endpoint;
pub mod facts;
pub mod failure;
mod policy;
mod shown;
pub mod watch;

pub use admit_permit as permit;
pub use answer::{Allowed, Answer, Denied, Record};
pub use ask::Client;
pub use endpoint::{Endpoint, EndpointError};
pub use failure::{AskError, FieldViolation};
pub use watch::Watch;
