//! Supervision: what the daemon and its service manager tell each other.
//!
//! - [`Supervisor`]: notifications (`sd_notify`), the watchdog, and SIGHUP
//! - [`Liveness`]: whether real progress is made
//! - [`Reload`]: the request to read everything again, for whoever holds what was read
//! - [`Inherited`]: sockets that were bound before the daemon started
//!
//! Deliberately absent: readiness. Whether a launch can be answered is for health to say; a daemon that
//! denies everything is alive.

mod inherited;
mod liveness;
mod reload;
mod supervisor;

pub use inherited::{INHERITED_MAX, Inherited, InheritedFault};
pub use liveness::{Liveness, STANDSTILL_MIN, Standstill};
pub use reload::{Reload, Reloading, Reloads};
pub use supervisor::{RELOAD_MAX, Supervisor};
