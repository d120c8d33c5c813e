//! `cold`: the cold path, from the start of a process to its first answer, and what it keeps resident.
//!
//! In reading order: [`client`] (the least that a client can be), [`start`], [`check`], [`report`].
//! Deliberately absent: throughput.

mod check;
pub(crate) mod client;
mod report;
mod start;

use std::{fs, num::NonZeroUsize, thread, time::Duration};

use crate::{
    daemon::{Daemon, Deployment, Wire},
    load::{self, Call, Pace, Plan},
    pin::{Cores, Usage},
    place::{Binaries, Places},
};

/// Rounds of starts: with the rest, less than a minute.
const ROUNDS: &str = "30";
/// How long a daemon is left alone before its idle memory is read.
const SETTLE: Duration = Duration::from_secs(1);
/// Calls in flight while its memory under load is read.
const LOAD: usize = 64;

/// How to measure the cold path.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    places: Places,
    /// How many starts of each kind are measured.
    #[arg(long, default_value = ROUNDS)]
    rounds: NonZeroUsize,
}

/// What is resident, in bytes.
struct Memory {
    idle: u64,
    loaded: u64,
    peak: u64,
}

/// Measures the cold path, and writes the page of results.
///
/// # Errors
///
/// When a program cannot be started or gives a wrong answer.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let binaries = arguments.places.binaries()?;
    let rounds = arguments.rounds.get();
    let starts = start::measure(&binaries, rounds)?;
    let checks = check::measure(&binaries, rounds)?;
    let memory = memory(&binaries)?;
    let page = report::page(&binaries, &starts, &checks, &memory)?;
    fs::write(arguments.places.results()?.join("cold.md"), page)?;
    Ok(())
}

/// The memory of a daemon over mutual TLS, left alone and then under load.
fn memory(binaries: &Binaries) -> anyhow::Result<Memory> {
    let daemon = Daemon::start(&Deployment::new(binaries, Wire::MutualTls))?;
    thread::sleep(SETTLE);
    let idle = Usage::of(daemon.id())?.resident;
    let outcome = load::run(&Plan {
        target: &daemon.target,
        call: &Call::admit(),
        pace: Pace::Closed { concurrency: LOAD },
        connections: 4,
        warm_up: Duration::from_millis(500),
        window: Duration::from_secs(3),
        core: Cores::APART.generator,
    })?;
    Ok(Memory {
        idle,
        loaded: outcome.resident,
        peak: Usage::of(daemon.id())?.resident_peak,
    })
}
