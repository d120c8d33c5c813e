//! `commit`: the commit path of the daemon beside the two that it could always take.
//!
//! Dry runs in plaintext without an export, so that as little as possible stands beside the commit. All three
//! run in each round and take turns at each load, so that a disk that gets slower is slower for all.
//! Deliberately absent: servers that are not Admit; see [`crate::compare`].

mod report;

use std::{fs, io::Write as _, time::Duration};

use anyhow::Context as _;

use crate::{
    compare::{CONNECTIONS, IN_FLIGHT, Layout},
    curve,
    daemon::{Daemon, Deployment, Wire},
    load::{self, Call, Pace, Plan},
    place::{self, Binaries, Places},
};

/// How to measure the commit path.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    places: Places,
    /// How often everything is measured; medians are over these.
    #[arg(long, default_value_t = 9)]
    rounds: u32,
    /// How long each measurement takes, in seconds.
    #[arg(long, default_value_t = 0.4)]
    seconds: f64,
}

/// A commit path that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// That of a daemon.
    Adaptive,
    /// Always the writer's thread.
    Writer,
    /// Always a thread of the runtime.
    Inline,
}

impl Variant {
    /// All of them, as they stand in the table.
    const ALL: [Self; 3] = [Self::Adaptive, Self::Writer, Self::Inline];

    /// Its name, on the command line too.
    fn name(self) -> &'static str {
        match self {
            Self::Adaptive => "adaptive",
            Self::Writer => "writer",
            Self::Inline => "inline",
        }
    }
}

/// Answers a second of one variant at one load, in one round.
struct Figure {
    layout: Layout,
    variant: Variant,
    in_flight: usize,
    round: u32,
    per_second: f64,
}

/// Measures, and writes `commit.md` and `commit.svg`.
///
/// # Errors
///
/// When a daemon cannot be started, a call fails, or the page cannot be written.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut binaries = arguments.places.binaries()?;
    binaries.admitd = place::commit_path(arguments.places.bin_dir.as_deref())?;
    let window = Duration::from_secs_f64(arguments.seconds.clamp(0.01, 60.0));
    let mut figures = Vec::new();
    for round in 1..=arguments.rounds.max(1) {
        for layout in Layout::ALL {
            measure(&binaries, window, layout, round, &mut figures)?;
        }
        writeln!(
            anstream::stdout(),
            "round {round} of {}",
            arguments.rounds.max(1)
        )?;
    }
    let markdown = report::markdown(&figures, arguments);
    let folder = arguments.places.results()?;
    fs::write(folder.join("commit.md"), &markdown)?;
    fs::write(
        folder.join("commit.svg"),
        curve::svg(&report::charts(&figures))?,
    )?;
    writeln!(anstream::stdout(), "\n{markdown}")?;
    Ok(())
}

/// One round: starts all three, and has them take turns at each load.
fn measure(
    binaries: &Binaries,
    window: Duration,
    layout: Layout,
    round: u32,
    figures: &mut Vec<Figure>,
) -> anyhow::Result<()> {
    let start = |variant: Variant| -> anyhow::Result<(Variant, Daemon)> {
        let mut deployment = Deployment::new(binaries, Wire::Plaintext);
        deployment.cores = layout.cores();
        deployment.has_export = false;
        deployment.env = vec![("ADMIT_COMMIT_PATH".to_owned(), variant.name().to_owned())];
        let daemon = Daemon::start(&deployment).with_context(|| variant.name())?;
        Ok((variant, daemon))
    };
    let mut daemons = Variant::ALL
        .into_iter()
        .map(start)
        .collect::<anyhow::Result<Vec<_>>>()?;
    let call = Call::admit_dry();
    for in_flight in IN_FLIGHT {
        // Nobody is always the first.
        daemons.rotate_left(1);
        for (variant, daemon) in &daemons {
            let outcome = load::run(&Plan {
                target: &daemon.target,
                call: &call,
                pace: Pace::Closed {
                    concurrency: in_flight,
                },
                connections: CONNECTIONS.min(in_flight),
                warm_up: window / 4,
                window,
                core: layout.cores().generator,
            })
            .with_context(|| format!("{} at {in_flight}", variant.name()))?;
            figures.push(Figure {
                layout,
                variant: *variant,
                in_flight,
                round,
                per_second: outcome.per_second(),
            });
        }
    }
    Ok(())
}
