//! Transport: listeners and connections, each within its limits.
//!
//! Deliberately absent: what is served on a connection (`crate::grpc`).

mod defect;
pub mod tls;

pub use defect::HandshakeDefect;
pub use tls::{Credential, Secured, Tls, TlsError, TlsFollower};
