//! Transport: listeners and connections, each within its limits.
//!
//! In reading order: [`listeners`], [`accept`], [`tls`], [`connection`]. Deliberately absent: what is
//! served on a connection (`crate::grpc`), and who may call what (`crate::caller`).

pub mod accept;
mod complaints;
pub mod connection;
pub mod listeners;
pub mod tls;

pub use accept::{Stop, stopped};
pub use connection::{Connected, Scope};
pub use listeners::{ListenError, Listeners};
pub use tls::{Credential, Secured, Tls, TlsError, TlsFollower};
