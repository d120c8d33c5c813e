//! `admit run` from end to end: a harness host, a daemon, the wrapper as a process, and a stand-in for
//! Case that it starts.
//!
//! This program is the stand-in as well ([`stand_in`]), so that there is nothing to build besides.
//! Each trial has a world of its own; they run beside each other.
//!
//! The modules say `cfg(test)` so that clippy knows them for parts of tests.

use std::process::ExitCode;

#[cfg(test)]
mod canaries;
#[cfg(test)]
mod daemon;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod last_step;
#[cfg(test)]
mod patience;
#[cfg(test)]
mod permits;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod races;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod running;
#[cfg(test)]
mod servers;
#[cfg(test)]
mod stand_in;
#[cfg(test)]
mod traps;
#[cfg(test)]
mod world;

/// Trials at once. Most of their time they wait for processes.
#[cfg(test)]
const TRIALS_AT_ONCE: usize = 4;

#[cfg(test)]
fn main() -> ExitCode {
    if stand_in::is_called() {
        return stand_in::main();
    }
    let mut arguments = libtest_mimic::Arguments::from_args();
    arguments.test_threads.get_or_insert(TRIALS_AT_ONCE);
    let trials = [
        traps::trials(),
        running::trials(),
        races::trials(),
        last_step::trials(),
        servers::trials(),
        permits::trials(),
        evidence::trials(),
        canaries::trials(),
    ];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit_code()
}

#[cfg(not(test))]
fn main() -> ExitCode {
    ExitCode::FAILURE
}

/// A trial that passes unless it panics.
#[cfg(test)]
fn trial(name: &str, run: impl FnOnce() + Send + 'static) -> libtest_mimic::Trial {
    libtest_mimic::Trial::test(name, move || {
        run();
        Ok(())
    })
}
