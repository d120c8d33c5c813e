//! Mutual TLS: who gets in, who does not and why, and what becomes of files that change.
//!
//! Everything runs in process, over a real socket, by a clock that the test sets. Deliberately absent:
//! the daemon around it, and what a caller may do.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails loudly"
)]

mod authority;
#[path = "tls/client.rs"]
mod client;
#[path = "tls/handshakes.rs"]
mod handshakes;
#[path = "tls/lasting.rs"]
mod lasting;
#[path = "tls/reloading.rs"]
mod reloading;
#[path = "tls/site.rs"]
mod site;
#[path = "tls/starting.rs"]
mod starting;
