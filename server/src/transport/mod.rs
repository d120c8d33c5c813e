//! Transport: listeners and connections, each within its limits.
//!
//! Deliberately absent: what is served on a connection (`crate::grpc`).

mod defect;

pub use defect::HandshakeDefect;
