//! `watchers`: what it costs to tell 1, 100 and 10,000 watchers of one change.
//!
//! Every watcher follows one pair, and a change is told to each in two events, of the policy and of the pair.
//! The pair is not the one that launches are asked for, which go on meanwhile. Deliberately absent: watchers
//! that do not take their events.

mod following;

use std::{fmt::Write as _, fs, io, path::PathBuf, sync::Arc, thread, time::Duration};

use anyhow::Context as _;
use tokio::{
    runtime,
    time::{MissedTickBehavior, interval},
};

use super::{Arguments, Growth};
use crate::{
    curve::{Chart, Line},
    daemon::{Daemon, Deployment, Wire},
    figure::{median, real, real_of},
    latency::Latencies,
    launch,
    load::{Call, Target, call, connection},
    pin::{self, Cores, Usage},
    place::Binaries,
};

use following::{EVENTS, PAUSE, Watchers};

/// How many watchers there are, in turn.
const COUNTS: [usize; 3] = [1, 100, 10_000];
/// Changes whose telling is timed.
const CHANGES: usize = 7;
/// Over which the CPU time of a quiet daemon is counted, and the latency of requests.
const WINDOW: Duration = Duration::from_secs(4);
/// Between two launches that are asked for.
const CALL_INTERVAL: Duration = Duration::from_millis(1);
/// The least CPU time of one change that is told from nothing, in milliseconds: the kernel counts in steps of
/// 10 ms, two of which are read for [`CHANGES`] changes.
const CPU_MS_MIN: f64 = 3.0;
/// Why they cost that.
const WHY: &str = "Telling is an event for each watcher on its own stream, so it is linear in them, and so is their memory. A \
    pair is looked at four times a second for all who follow it, so what a quiet daemon uses does not grow with \
    them. What one watcher costs is what one change costs without any.";
/// The configuration beyond the defaults.
const LIMITS: &str = "watchers = 16384\nwatchers_per_caller = 16384\n";

/// What so many watchers cost.
struct Cost {
    count: usize,
    /// From the write to the first event, in milliseconds; the median of the changes.
    first_ms: f64,
    /// From the first event to the last one of the last watcher, in milliseconds.
    spread_ms: f64,
    /// CPU time of the daemon for one change, in milliseconds.
    change_cpu_ms: f64,
    /// Share of one core that the daemon takes while nothing changes, in percent.
    quiet_cpu_percent: f64,
    /// Resident memory for each watcher, in KiB.
    watcher_kib: f64,
    /// p99 of launches without and with changes, in microseconds.
    quiet_p99_us: f64,
    told_p99_us: f64,
}

/// Measures every count, and writes the page of results.
///
/// # Errors
///
/// When a daemon does not start or a watch ends.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let binaries = arguments.places.binaries()?;
    let mut costs = Vec::new();
    for count in arguments.counts(&COUNTS) {
        costs.push(measure(&binaries, count)?);
    }
    arguments.publish(&Growth {
        name: "watchers",
        page: page(&costs)?,
        charts: charts(&costs),
        why: WHY,
    })
}

fn measure(binaries: &Binaries, count: usize) -> anyhow::Result<Cost> {
    let mut deployment = Deployment::new(binaries, Wire::MutualTls);
    deployment.admissions = 2;
    deployment.more_limits = LIMITS.to_owned();
    let daemon = Daemon::start(&deployment)?;
    // What the first calls and connections take is not the watchers'.
    let _ = latency(&daemon.target, Duration::from_secs(1))?;
    let before = Usage::of(daemon.id())?;
    let watchers = Watchers::open(&daemon.target, count)?;
    watchers.wait(count.saturating_mul(EVENTS))?;
    let after = Usage::of(daemon.id())?;
    thread::sleep(WINDOW / 4);
    let quiet = Usage::of(daemon.id())?;
    thread::sleep(WINDOW);
    let quiet_cpu = Usage::of(daemon.id())?.cpu.saturating_sub(quiet.cpu);
    let mut switch = Switch::new(&daemon);
    let (mut firsts, mut spreads) = (Vec::new(), Vec::new());
    let change_begin = Usage::of(daemon.id())?;
    for _ in 0..CHANGES {
        let (first, spread) = watchers.change(&mut switch)?;
        firsts.push(first);
        spreads.push(spread);
        thread::sleep(PAUSE);
    }
    let change_cpu = Usage::of(daemon.id())?.cpu.saturating_sub(change_begin.cpu);
    let quiet_p99_us = latency(&daemon.target, WINDOW)?;
    let told_p99_us = watchers.changing(&mut switch, || latency(&daemon.target, WINDOW))?;
    Ok(Cost {
        count,
        first_ms: median(firsts).context("nothing changed")?,
        spread_ms: median(spreads).context("nothing changed")?,
        change_cpu_ms: change_cpu.as_secs_f64() * 1e3 / real_of(CHANGES),
        quiet_cpu_percent: quiet_cpu.as_secs_f64() * 100.0 / WINDOW.as_secs_f64(),
        watcher_kib: real(after.resident.saturating_sub(before.resident)) / 1024.0 / real_of(count),
        quiet_p99_us,
        told_p99_us,
    })
}

/// The p99 of launches, one each millisecond, counted from when each was due; in microseconds.
fn latency(target: &Target, window: Duration) -> anyhow::Result<f64> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let latencies = pin::on(Cores::APART.generator, || {
        runtime.block_on(async {
            let connections = connection::open(target, 1).await?;
            let sender = connections.first().context("no connection")?;
            let prepared = Arc::new(Call::admit().prepare(target)?);
            let begin = tokio::time::Instant::now();
            let mut due = interval(CALL_INTERVAL);
            due.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut calls = Vec::new();
            while begin.elapsed() < window {
                let was_due = due.tick().await;
                let (mut sender, prepared, turn) =
                    (sender.clone(), Arc::clone(&prepared), calls.len());
                calls.push(tokio::spawn(async move {
                    call::make(&mut sender, &prepared, turn).await?;
                    anyhow::Ok(was_due.elapsed())
                }));
            }
            let mut latencies = Latencies::new()?;
            for call in calls {
                latencies.record(call.await??);
            }
            anyhow::Ok(latencies)
        })
    })??;
    Ok(latencies.us(0.99))
}

/// The admission that watchers follow, switched between two states.
struct Switch {
    path: PathBuf,
    is_revoked: bool,
}

impl Switch {
    fn new(daemon: &Daemon) -> Self {
        Self {
            path: daemon.policy_dir().join(launch::admission_path(1)),
            is_revoked: false,
        }
    }

    /// Writes the other state aside and puts it in place in one step.
    fn toggle(&mut self) -> io::Result<()> {
        self.is_revoked = !self.is_revoked;
        let text = launch::admission(1);
        let text = match self.is_revoked {
            true => text.replace("\"admitted\"", "\"revoked\""),
            false => text,
        };
        let aside = self.path.with_extension("new");
        fs::write(&aside, text)?;
        fs::rename(aside, &self.path)
    }
}

/// The times of a change, and what it does to launches.
fn charts(costs: &[Cost]) -> Vec<Chart> {
    let line = |name, least, of: fn(&Cost) -> f64| {
        let points = costs.iter().map(|cost| (real_of(cost.count), of(cost)));
        Line::new(name, least, points)
    };
    let across = "watchers";
    vec![
        Chart {
            title: "One change told to all watchers",
            across,
            up: "ms",
            lines: vec![
                line("write to first event", 0.0, |cost| cost.first_ms),
                line("first to last event", 0.0, |cost| cost.spread_ms),
                line("CPU", CPU_MS_MIN, |cost| cost.change_cpu_ms),
            ],
        },
        Chart {
            title: "p99 of one launch a millisecond",
            across,
            up: "µs",
            lines: vec![
                line("while changes are told", 0.0, |cost| cost.told_p99_us),
                line("while nothing changes", 0.0, |cost| cost.quiet_p99_us),
            ],
        },
    ]
}

fn page(costs: &[Cost]) -> Result<String, std::fmt::Error> {
    let mut page = String::from(
        "# Watchers\n\n\
         `admit-bench watchers`. Every watcher follows one pair over mutual TLS, 250 on a connection; a change of\n\
         its admission is told to each in two events. Daemon and watchers have one core each. Medians of the\n\
         changes; p99 is of one launch a millisecond, from when it was due, while nothing changes and while one\n\
         change follows the other.\n\n\
         | watchers | write to first event, ms | first to last event, ms | CPU for one change, ms | quiet CPU, % of a core | KiB each | p99 quiet, µs | p99 told, µs | ratio |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for cost in costs {
        writeln!(
            page,
            "| {} | {:.0} | {:.2} | {:.1} | {:.1} | {:.1} | {:.0} | {:.0} | {:.1} |",
            cost.count,
            cost.first_ms,
            cost.spread_ms,
            cost.change_cpu_ms,
            cost.quiet_cpu_percent,
            cost.watcher_kib,
            cost.quiet_p99_us,
            cost.told_p99_us,
            cost.told_p99_us / cost.quiet_p99_us.max(1.0)
        )?;
    }
    Ok(page)
}
