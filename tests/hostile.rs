//! A hostile network before the real daemon: every limit from both sides, and peers that write their own
//! frames.
//!
//! Whatever is done to it, the daemon goes on answering others, says nothing in its log, and gives back
//! what it held. Deliberately absent: TLS, faults of the disk (`faults.rs`), and the bounds of a message
//! (`wire.rs`).

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails loudly"
)]

mod daemon;

#[path = "hostile/calls.rs"]
mod calls;
#[path = "hostile/complaints.rs"]
mod complaints;
#[path = "hostile/conformance.rs"]
mod conformance;
#[path = "hostile/crowd.rs"]
mod crowd;
#[path = "hostile/flood.rs"]
mod flood;
#[path = "hostile/frames.rs"]
mod frames;
#[path = "hostile/page.rs"]
mod page;
#[path = "hostile/peers.rs"]
mod peers;
#[path = "hostile/places.rs"]
mod places;
#[path = "hostile/scene.rs"]
mod scene;
#[path = "hostile/slow.rs"]
mod slow;
#[path = "hostile/times.rs"]
mod times;

/// Each test binary uses a part of the modules that it shares; here the whole of them counts as used.
const _: () = {
    let _ = daemon::RESCAN_NEVER;
    let _ = |path: std::path::PathBuf| daemon::Settings::new(path);
    let _ = daemon::Daemon::start;
};
