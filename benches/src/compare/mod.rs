//! `compare`: `admitd` beside its floor and its peers, in one run.
//!
//! Every contender is started, loaded and ended once in each round, so that a machine that gets slower is
//! slower for all. Deliberately absent: what the figures mean; see [`targets`].

mod contender;
mod plot;
mod report;
mod results;
mod targets;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;

pub(crate) use self::results::Layout;
use self::{
    contender::{Contender, Running, Stable},
    results::{Figures, Load, Results},
};
use crate::{
    bare::{Appended, Sizes},
    cerbos::Binary,
    daemon::{Daemon, Deployment, Wire},
    figure::{median, real},
    load::{self, Call, Pace, Plan},
    machine::Machine,
    pin::{self, Cores},
    place::{self, Binaries, Places},
};

/// How many calls are in flight in the closed loops.
pub(crate) const IN_FLIGHT: [usize; 4] = [1, 16, 64, 256];
/// Connections of every load but that of a single call in flight, which has one.
pub(crate) const CONNECTIONS: usize = 4;
/// Calls a second that every contender is asked for.
const RATES: [u32; 3] = [1000, 2000, 4000];
/// Calls a second of those that had half as many again as answers, at 64 in flight.
const HIGH_RATES: [u32; 2] = [8000, 16_000];
/// The load that says whether a contender can keep a high rate.
const KEEPS: Load = Load::InFlight(64);
/// The rates of a quick run, which has to pass in a debug build too.
const QUICK_RATES: [u32; 3] = [50, 100, 200];

/// How to compare.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    places: Places,
    /// The program of Cerbos. Without it npm brings it into the target directory.
    #[arg(long, value_name = "FILE")]
    cerbos: Option<PathBuf>,
    /// Leaves Cerbos out.
    #[arg(long, conflicts_with = "cerbos")]
    no_cerbos: bool,
    /// Measures these alone, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SERVER")]
    only: Vec<Contender>,
    /// How often everything is measured; medians are over these.
    #[arg(long, default_value = "3")]
    rounds: Option<u32>,
    /// How long each measurement takes, in seconds.
    #[arg(long, default_value = "1.5")]
    seconds: Option<f64>,
    /// Looks whether it works: one short round, without Cerbos. Its figures mean nothing.
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    quick: bool,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Extent {
    rounds: u32,
    window: Duration,
    warm_up: Duration,
    rates: [u32; 3],
    high_rates: &'static [u32],
    /// How many times the raw sync is measured in each round.
    syncs: usize,
}

impl Extent {
    fn of(arguments: &Arguments) -> Self {
        if arguments.quick {
            return Self {
                rounds: 1,
                window: Duration::from_millis(60),
                warm_up: Duration::from_millis(20),
                rates: QUICK_RATES,
                high_rates: &[],
                syncs: 10,
            };
        }
        let seconds = arguments.seconds.unwrap_or(1.5).clamp(0.1, 60.0);
        Self {
            rounds: arguments.rounds.unwrap_or(3).max(1),
            window: Duration::from_secs_f64(seconds),
            warm_up: Duration::from_secs_f64(seconds / 5.0),
            rates: RATES,
            high_rates: &HIGH_RATES,
            syncs: 300,
        }
    }

    /// The loads of a contender.
    fn loads(&self, layout: Layout, contender: Contender) -> Vec<Load> {
        let closed = IN_FLIGHT.map(Load::InFlight);
        if layout == Layout::BothCores {
            return closed.into();
        }
        let high: &[u32] = if contender.is_cerbos() {
            &[]
        } else {
            self.high_rates
        };
        let open = self.rates.iter().chain(high).copied().map(Load::PerSecond);
        closed.into_iter().chain(open).collect()
    }
}

/// Compares, and writes `compare.md`, `compare.svg` and `compare.json`.
///
/// # Errors
///
/// When a server cannot be started, a call fails, or the results cannot be written.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let extent = Extent::of(arguments);
    let binaries = arguments.places.binaries()?;
    let chosen =
        |contender: &Contender| arguments.only.is_empty() || arguments.only.contains(contender);
    let is_wanted = Contender::ALL
        .iter()
        .any(|one| one.is_cerbos() && chosen(one));
    let cerbos = if arguments.no_cerbos || arguments.quick || !is_wanted {
        Err("it was left out".to_owned())
    } else {
        Binary::find(arguments.cerbos.as_deref()).map_err(|error| format!("{error:#}"))
    };
    if let Err(why) = &cerbos {
        writeln!(anstream::stdout(), "without Cerbos: {why}")?;
    }
    let stable = Stable {
        sizes: sizes(&binaries)?,
        binaries,
        cerbos: cerbos.as_ref().ok().cloned(),
    };
    let mut results = Results {
        machine: Machine::this(),
        cerbos: cerbos.map(|binary| binary.version),
        sizes: stable.sizes,
        seconds: extent.window.as_secs_f64(),
        raw_sync_us: Vec::new(),
        rows: Vec::new(),
    };
    for round in 1..=extent.rounds {
        writeln!(anstream::stdout(), "round {round} of {}", extent.rounds)?;
        results
            .raw_sync_us
            .push(raw_sync_us(stable.sizes.record, extent.syncs)?);
        for layout in Layout::ALL {
            for contender in Contender::ALL.into_iter().filter(chosen) {
                let is_there = stable.cerbos.is_some() || !contender.is_cerbos();
                if is_there && takes_part(layout, contender) {
                    measure(&stable, &extent, layout, contender, &mut results)?;
                }
            }
        }
    }
    write(&results, &arguments.places.results()?)
}

/// Whether a contender is measured in a layout: what is asked of both cores is the commit path alone.
fn takes_part(layout: Layout, contender: Contender) -> bool {
    let is_plain = !contender.is_cerbos() && contender != Contender::FloorTls;
    layout == Layout::OneCore || is_plain
}

/// Starts a contender and puts it under each of its loads.
fn measure(
    stable: &Stable,
    extent: &Extent,
    layout: Layout,
    contender: Contender,
    results: &mut Results,
) -> anyhow::Result<()> {
    let cores = layout.cores();
    let running = stable.start(contender, cores)?;
    let mut kept = f64::INFINITY;
    for load in extent.loads(layout, contender) {
        let is_too_high = matches!(load, Load::PerSecond(rate)
            if !extent.rates.contains(&rate) && f64::from(rate) * 1.5 > kept);
        if is_too_high {
            results.add(layout, contender, load, None);
            continue;
        }
        let figures = put_under(&running, extent, load, cores)
            .with_context(|| format!("{} at {load:?}", contender.name()))?;
        if load == KEEPS {
            kept = figures.per_second;
        }
        results.add(layout, contender, load, Some(figures));
        writeln!(
            anstream::stdout(),
            "  {layout:?} {:26} {load:?}: {:.0}/s, p50 {:.0} us, p99 {:.0} us, {:.1} us of CPU",
            contender.name(),
            figures.per_second,
            figures.p50_us,
            figures.p99_us,
            figures.cpu_us
        )?;
    }
    running.check().with_context(|| contender.name())
}

fn put_under(
    running: &Running,
    extent: &Extent,
    load: Load,
    cores: Cores,
) -> anyhow::Result<Figures> {
    let pace = match load {
        Load::InFlight(concurrency) => Pace::Closed { concurrency },
        Load::PerSecond(per_second) => Pace::Open { per_second },
    };
    let outcome = load::run(&Plan {
        target: &running.target,
        call: &running.call,
        pace,
        connections: if load == Load::InFlight(1) {
            1
        } else {
            CONNECTIONS
        },
        warm_up: extent.warm_up,
        window: extent.window,
        core: cores.generator,
    })?;
    Ok(Figures::from(&outcome))
}

/// The sizes of the real messages, as the real daemon has them.
fn sizes(binaries: &Binaries) -> anyhow::Result<Sizes> {
    let daemon = Daemon::start(&Deployment::new(binaries, Wire::Plaintext))?;
    let call = Call::admit();
    let outcome = load::run(&Plan {
        target: &daemon.target,
        call: &call,
        pace: Pace::Closed { concurrency: 1 },
        connections: 1,
        warm_up: Duration::ZERO,
        window: Duration::from_millis(50),
        core: None,
    })?;
    Ok(Sizes {
        request: call.request_bytes(),
        answer: outcome.answer_bytes,
        record: daemon.record_bytes()?,
    })
}

/// One append of a record with its sync, alone on the server's core: the median, in microseconds.
fn raw_sync_us(record_bytes: usize, count: usize) -> anyhow::Result<f64> {
    let folder = place::scratch()?;
    let mut journal = Appended::open(&folder.path().join("journal"), record_bytes)?;
    let syncs = pin::on(Cores::APART.server, || {
        let once = |_| {
            let begun = Instant::now();
            journal
                .append(1)
                .map(|()| begun.elapsed().as_secs_f64() * 1e6)
        };
        (0..count).map(once).collect::<Result<Vec<f64>, _>>()
    })?;
    median(syncs.context("the disk failed")?).context("no sync was measured")
}

/// Writes everything.
fn write(results: &Results, folder: &Path) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(results)?;
    fs::write(folder.join("compare.json"), json + "\n")?;
    let markdown = report::markdown(results);
    fs::write(folder.join("compare.md"), &markdown)?;
    fs::write(folder.join("compare.svg"), plot::svg(results)?)?;
    writeln!(anstream::stdout(), "\n{markdown}")?;
    let sync = median(results.raw_sync_us.iter().copied()).unwrap_or_default();
    let rows = u64::try_from(results.rows.len()).unwrap_or_default();
    writeln!(
        anstream::stdout(),
        "{} rows, raw sync {sync:.0} us",
        real(rows)
    )?;
    Ok(())
}
