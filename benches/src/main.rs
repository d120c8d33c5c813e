//! `admit-bench`: what Admit costs, measured side by side with its floor and its peers.
//!
//! One subcommand per question; without one, all of them. Deliberately absent: microbenchmarks, which
//! `cargo bench` runs.

#![forbid(unsafe_code)]

mod authority;
mod bare;
mod cerbos;
mod child;
mod cold;
mod commit;
mod compare;
mod curve;
mod daemon;
mod figure;
mod growth;
mod latency;
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
    /// The commit path of the daemon beside the two that it could always take.
    Commit(commit::Arguments),
    /// From exec to the first answer, memory, `admit check` as a whole process, and sizes.
    Cold(cold::Arguments),
    /// What it takes until one changed file of 10 to 100,000 is in force.
    Reload(growth::reload::Arguments),
    /// What 1 to 10,000 watchers of one change cost.
    Watchers(growth::Arguments),
    /// What 1 to 5,000 open connections cost.
    Connections(growth::Arguments),
    /// A log that grows: start of the daemon, check and replay.
    Log(growth::log::Arguments),
    /// Asks as the least client. Not for people.
    #[command(hide = true)]
    FloorClient(cold::client::FloorClient),
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
        Some(Command::Commit(arguments)) => commit::run(&arguments)?,
        Some(Command::Cold(arguments)) => cold::run(&arguments)?,
        Some(Command::Watchers(arguments)) => growth::watchers::run(&arguments)?,
        Some(Command::Connections(arguments)) => growth::connections::run(&arguments)?,
        Some(Command::Reload(arguments)) => growth::reload::run(&arguments)?,
        Some(Command::Log(arguments)) => growth::log::run(&arguments)?,
        Some(Command::FloorClient(client)) => client.run()?,
        None => compare::run(&compare::Arguments::default())?,
    }
    Ok(ExitCode::SUCCESS)
}
