//! `connections`: what 1, 100 and 5,000 open connections cost: memory, a call on each, calls spread over all
//! of them, and the CPU time of a daemon that nobody asks anything.
//!
//! Deliberately absent: connections that break a limit; those are turned away, which tests show.

use std::{
    fmt::Write as _,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use h2::client::SendRequest;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{runtime, task::JoinSet};
use tonic::codegen::Bytes;

use super::{Arguments, Growth};
use crate::{
    curve::{Chart, Line},
    daemon::{Daemon, Deployment, Wire},
    figure::{real, real_of},
    latency::Latencies,
    load::{Call, Target, call, connection},
    pin::{self, Cores, Usage},
    place::Binaries,
};

/// How many connections there are, in turn.
const COUNTS: [usize; 3] = [1, 100, 5000];
/// Calls in flight, spread over the connections.
const IN_FLIGHT: usize = 64;
/// Over which calls are spread.
const WINDOW: Duration = Duration::from_secs(3);
/// Over which the CPU time of an idle daemon is counted.
const IDLE_WINDOW: Duration = Duration::from_secs(4);
/// Open files of this process beside the connections, with some to spare.
const OTHER_FILES: usize = 64;
/// Why they cost that.
const WHY: &str = "Each connection has its own memory, and more after its first call; part of the first ones fits into memory that the \
    daemon has already, so the next step looks steeper than it is. An idle connection over mutual TLS looks once \
    a second whether its client's certificate still holds, so idle CPU time is linear in those.";
/// The configuration beyond the defaults: all of them come from one host and take a while to come.
const LIMITS: &str = "connections = 6000\nconnections_per_peer = 6000\nhandshake = \"1m\"\n";

/// What so many connections cost.
struct Cost {
    wire: Wire,
    count: usize,
    /// Time to open one, in milliseconds.
    open_ms: f64,
    /// Resident memory for each, in KiB, before and after its first call.
    idle_kib: f64,
    used_kib: f64,
    /// Share of one core that the daemon takes while nobody asks, in percent.
    idle_cpu_percent: f64,
    /// p99 of the first call on each, one after the other, in microseconds.
    first_p99_us: f64,
    /// Calls a second with 64 in flight over all of them, and their p99 in microseconds.
    per_second: f64,
    spread_p99_us: f64,
}

/// Measures every count, and writes the page of results.
///
/// # Errors
///
/// When a daemon does not start or a connection fails.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let counts = arguments.counts(&COUNTS);
    allow_files(counts.iter().copied().max().unwrap_or_default())?;
    let binaries = arguments.places.binaries()?;
    let mut costs = Vec::new();
    for wire in [Wire::Plaintext, Wire::MutualTls] {
        for count in &counts {
            costs.push(measure(&binaries, wire, *count)?);
        }
    }
    arguments.publish(&Growth {
        name: "connections",
        page: page(&costs)?,
        charts: charts(&costs),
        why: WHY,
    })
}

/// Raises the number of files that may be open to what the system lets this process have. The daemon does so
/// itself.
///
/// # Errors
///
/// When so many connections need more.
fn allow_files(connections: usize) -> anyhow::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )?;
    let needed = u64::try_from(connections.saturating_add(OTHER_FILES))?;
    let allowed = maximum.unwrap_or(u64::MAX);
    ensure!(
        needed <= allowed,
        "{needed} open files are needed and the system allows {allowed} (`ulimit -Hn`)"
    );
    Ok(())
}

fn measure(binaries: &Binaries, wire: Wire, count: usize) -> anyhow::Result<Cost> {
    let mut deployment = Deployment::new(binaries, wire);
    deployment.more_limits = LIMITS.to_owned();
    let daemon = Daemon::start(&deployment)?;
    let (target, id) = (&daemon.target, daemon.id());
    // One thread drives the connections while this one sleeps.
    let runtime = pin::on(Cores::APART.generator, || {
        runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
    })??;
    let prepared = Arc::new(Call::admit().prepare(target)?);
    // What the first calls take is not the connections'.
    let first = runtime.block_on(open(target, 1))?;
    runtime.block_on(spread(&first, &prepared, Duration::from_secs(1)))?;
    let before = Usage::of(id)?;
    let begin = Instant::now();
    let connections = runtime.block_on(open(target, count))?;
    let open_ms = begin.elapsed().as_secs_f64() * 1e3 / real_of(count);
    thread::sleep(IDLE_WINDOW / 4);
    let idle = Usage::of(id)?;
    thread::sleep(IDLE_WINDOW);
    let idle_cpu = Usage::of(id)?.cpu.saturating_sub(idle.cpu);
    let firsts = runtime.block_on(one_each(&connections, &prepared))?;
    let used = Usage::of(id)?;
    let spread = runtime.block_on(spread(&connections, &prepared, WINDOW))?;
    let each = |usage: &Usage| {
        real(usage.resident.saturating_sub(before.resident)) / 1024.0 / real_of(count)
    };
    Ok(Cost {
        wire,
        count,
        open_ms,
        idle_kib: each(&idle),
        used_kib: each(&used),
        idle_cpu_percent: idle_cpu.as_secs_f64() * 100.0 / IDLE_WINDOW.as_secs_f64(),
        first_p99_us: firsts.us(0.99),
        per_second: real(spread.count()) / WINDOW.as_secs_f64(),
        spread_p99_us: spread.us(0.99),
    })
}

/// Opens so many connections from within the runtime, whose thread then drives them.
async fn open(target: &Target, count: usize) -> anyhow::Result<Vec<SendRequest<Bytes>>> {
    let target = target.clone();
    tokio::spawn(async move { connection::open(&target, count).await }).await?
}

/// One call on each, one after the other; their latencies.
async fn one_each(
    connections: &[SendRequest<Bytes>],
    prepared: &Arc<call::Prepared>,
) -> anyhow::Result<Latencies> {
    let (connections, prepared) = (connections.to_vec(), Arc::clone(prepared));
    let calls = async move {
        let mut latencies = Latencies::new()?;
        for (turn, mut sender) in connections.into_iter().enumerate() {
            let begin = Instant::now();
            call::make(&mut sender, &prepared, turn).await?;
            latencies.record(begin.elapsed());
        }
        anyhow::Ok(latencies)
    };
    tokio::spawn(calls).await?
}

/// Keeps calls in flight, each on the next connection, for `window`; their latencies.
async fn spread(
    connections: &[SendRequest<Bytes>],
    prepared: &Arc<call::Prepared>,
    window: Duration,
) -> anyhow::Result<Latencies> {
    let begin = Instant::now();
    let mut callers = JoinSet::new();
    for first in 0..IN_FLIGHT {
        let (connections, prepared) = (connections.to_vec(), Arc::clone(prepared));
        callers.spawn(async move {
            let mut latencies = Latencies::new()?;
            let mut turn = first;
            while begin.elapsed() < window {
                let at = turn % connections.len().max(1);
                let mut sender = connections.get(at).context("no connection")?.clone();
                let begin = Instant::now();
                call::make(&mut sender, &prepared, turn).await?;
                latencies.record(begin.elapsed());
                turn = turn.wrapping_add(IN_FLIGHT);
            }
            anyhow::Ok(latencies)
        });
    }
    let mut all = Latencies::new()?;
    while let Some(latencies) = callers.join_next().await {
        all.add(&latencies??)?;
    }
    Ok(all)
}

fn name(wire: Wire) -> &'static str {
    match wire {
        Wire::Plaintext => "plaintext",
        Wire::MutualTls => "mutual TLS",
    }
}

/// What all connections of a wire take together, and what a call over them takes.
fn charts(costs: &[Cost]) -> Vec<Chart> {
    let chart = |title, up, of: fn(&Cost) -> f64| {
        let line = |wire| {
            let own = costs.iter().filter(move |cost| cost.wire == wire);
            let points = own.map(|cost| (real_of(cost.count), of(cost)));
            Line::new(name(wire), 0.0, points)
        };
        Chart {
            title,
            across: "connections",
            up,
            lines: [Wire::Plaintext, Wire::MutualTls].map(line).into(),
        }
    };
    vec![
        chart("Memory of all connections, a call on each", "KiB", |cost| {
            cost.used_kib * real_of(cost.count)
        }),
        chart(
            "p99 of 64 calls in flight, spread over all connections",
            "µs",
            |cost| cost.spread_p99_us,
        ),
    ]
}

fn page(costs: &[Cost]) -> Result<String, std::fmt::Error> {
    let mut page = String::from(
        "# Connections\n\n\
         `admit-bench connections`. All connections stay open: first idle, then one launch on each, one after\n\
         the other, then 64 in flight spread over all of them. Daemon and generator have one core each.\n\n\
         | wire | connections | ms to open one | KiB each, idle | KiB each, after a call | idle CPU, % of a core | p99 of one call on each, µs | 64 in flight: calls/s | p99, µs |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for cost in costs {
        let wire = name(cost.wire);
        writeln!(
            page,
            "| {wire} | {} | {:.2} | {:.1} | {:.1} | {:.1} | {:.0} | {:.0} | {:.0} |",
            cost.count,
            cost.open_ms,
            cost.idle_kib,
            cost.used_kib,
            cost.idle_cpu_percent,
            cost.first_p99_us,
            cost.per_second,
            cost.spread_p99_us
        )?;
    }
    Ok(page)
}
