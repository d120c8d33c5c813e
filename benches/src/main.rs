//! `admit-bench`: what Admit costs, measured side by side with its floor and its peers.
//!
//! One subcommand per question; without one, all of them. Deliberately absent: microbenchmarks, which
//! `cargo bench` runs.

fn main() {}
