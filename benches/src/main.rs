//! `admit-bench`: what Admit costs, measured side by side with its floor and its peers.
//!
//! One subcommand per question; without one, all of them. Deliberately absent: microbenchmarks, which
//! `cargo bench` runs.

#![forbid(unsafe_code)]

mod authority;
mod bare;
mod cerbos;
mod child;
mod compare;
mod daemon;
mod figure;
mod launch;
mod load;
mod machine;
mod pin;
mod place;
mod receiver;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What Admit costs, measured beside its floor and its peers.
#[derive(Parser)]
#[command(name = "admit-bench", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Throughput, latency and CPU time beside a bare tonic server and Cerbos.
    Compare(compare::Arguments),
    /// Serves as one of those that are measured; the other commands start it.
    #[command(hide = true)]
    ServeBare(bare::Arguments),
}

fn main() -> anyhow::Result<ExitCode> {
    let command = Arguments::parse().command;
    if !matches!(command, Some(Command::ServeBare(_))) {
        child::end_all_at_a_signal()?;
    }
    match command {
        Some(Command::Compare(arguments)) => compare::run(&arguments)?,
        Some(Command::ServeBare(arguments)) => bare::serve(&arguments)?,
        None => compare::run(&compare::Arguments::default())?,
    }
    Ok(ExitCode::SUCCESS)
}
