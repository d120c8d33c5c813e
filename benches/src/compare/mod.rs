//! `compare`: `admitd` beside its floor and its peers.

use std::{io::Write as _, path::PathBuf, time::Duration};

use crate::{
    daemon::{Daemon, Deployment, Wire},
    load::{self, Call, Pace, Plan},
    pin::Cores,
    place::Binaries,
};

/// How to compare.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Arguments {
    /// The folder of `admitd` and `admit`. Without it they are built.
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
}

/// Compares.
///
/// # Errors
///
/// When a server cannot be started or a call fails.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let binaries = Binaries::find(arguments.bin_dir.as_deref())?;
    for wire in [Wire::Plaintext, Wire::MutualTls] {
        let daemon = Daemon::start(&Deployment::new(&binaries, wire))?;
        let call = Call::admit();
        for pace in [1, 16, 64, 256]
            .map(|concurrency| Pace::Closed { concurrency })
            .into_iter()
            .chain([Pace::Open { per_second: 4000 }])
        {
            let outcome = load::run(&Plan {
                target: &daemon.target,
                call: &call,
                pace,
                connections: match pace {
                    Pace::Closed { concurrency: 1 } => 1,
                    _ => 4,
                },
                warm_up: Duration::from_millis(300),
                window: Duration::from_secs(2),
                core: Cores::APART.generator,
            })?;
            writeln!(
                anstream::stdout(),
                "{wire:?} {pace:?}: {:.0}/s p50 {:.0} p99 {:.0} us, cpu {:.1} us, gen cpu {:?}, rss {} MiB; request {} answer {} record {} B, {} spans, ready {:?}",
                outcome.per_second(),
                outcome.latency_us(0.5),
                outcome.latency_us(0.99),
                outcome.cpu_us(),
                outcome.generator_cpu,
                outcome.resident >> 20,
                call.request_bytes(),
                outcome.answer_bytes,
                daemon.record_bytes()?,
                daemon.receiver.spans(),
                daemon.ready_after,
            )?;
        }
    }
    Ok(())
}
