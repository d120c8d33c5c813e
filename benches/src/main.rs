//! `admit-bench`: what Admit costs, measured side by side with its floor and its peers.
//!
//! One subcommand per question; without one, all of them. Deliberately absent: microbenchmarks, which
//! `cargo bench` runs.

mod growth;

use clap::Parser as _;

/// What Admit costs.
#[derive(clap::Parser)]
enum Bench {
    /// A log that grows: start of the daemon, check and replay.
    Log(growth::log::LogGrowth),
}

fn main() -> anyhow::Result<()> {
    match Bench::parse() {
        Bench::Log(log) => log.run(),
    }
}
