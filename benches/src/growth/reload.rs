//! Reload: from the write of one admission among many to its being in force, and what that does to the
//! requests that are under way.
//!
//! One real `admitd` per size of the directory and layout of the cores. Requests come at a fixed rate on one
//! connection and are timed from the moment that they were due. Deliberately absent: what is wrong with a
//! document; every file is valid.

mod load;

use std::{
    fmt::Write as _,
    fs, thread,
    time::{Duration, Instant},
};

use admit_proto::v1::{
    WatchPolicyRequest, WatchPolicyResponse, policy_service_client::PolicyServiceClient,
    watch_policy_response::Event,
};
use anyhow::Context as _;
use tonic::{Streaming, transport::Channel};

use super::Growth;
use crate::{
    curve::{Chart, Line},
    daemon::{Daemon, Deployment, Wire},
    figure::{median, met, mib, real_of},
    latency::Latencies,
    launch,
    pin::{self, Cores, Usage},
    place::Places,
};

use load::{Load, Timing, allowed};

/// Changes that are measured in each directory.
const CHANGES: usize = 8;
/// From one change to the next.
const CHANGE_INTERVAL: Duration = Duration::from_millis(1500);
/// How long after a change is in force its requests still count: its traces are tidied up.
const AFTERMATH: Duration = Duration::from_millis(150);
/// How long a daemon is left alone before it is measured: what it has read at its start it reads once more.
const SETTLING: Duration = Duration::from_secs(7);
/// Longest time that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// From one changed admission to the next: far enough to be in another folder.
const CHANGE_STRIDE: usize = 7919;
/// The least CPU time of one change that is told from nothing, in milliseconds: the kernel counts in steps of
/// 10 ms, four of which are read for [`CHANGES`] changes.
const CPU_MS_MIN: f64 = 5.0;
/// Why a reload grows as it does.
const WHY: &str = "Only the changed file is read and parsed: that is constant, and so is the pause of 100 ms. What grows with the \
    number of files is listing the folders and looking up the stamp of each file (twice for one change, and once each \
    `rescan_interval`), and putting the snapshot and its basis together from judgments that are there already. The \
    daemon takes up to 200,000 files and 512 MiB.";
/// The target: a change is in force so soon after its write.
const IN_FORCE_MS_MAX: f64 = 1000.0;
/// The target: the p99 during a reload is at most so many times the quiet one.
const TAIL_RATIO_MAX: f64 = 2.0;
/// The directory that the target is stated for, in admissions.
const TARGET_ADMISSIONS: usize = 10_000;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    places: Places,
    /// Sizes of the directory, in admissions; each at least 2.
    #[arg(long, value_delimiter = ',', default_values_t = [10, 1000, 10_000, 100_000])]
    sizes: Vec<usize>,
}

/// What was found of one size.
#[derive(Clone, Debug)]
struct Found {
    admissions: usize,
    is_pinned: bool,
    /// From a write until the change was told of, in milliseconds: the median and the longest.
    in_force_ms: f64,
    in_force_ms_max: f64,
    /// CPU time of the daemon for one change, in milliseconds.
    cpu_ms: f64,
    /// Most memory that was ever resident, in bytes.
    resident_peak: u64,
    /// p99 of requests while nothing changes, and during the changes, in milliseconds.
    quiet_p99_ms: f64,
    reload_p99_ms: f64,
}

impl Found {
    /// How many times the quiet p99 that during reloads is.
    fn tail_ratio(&self) -> f64 {
        self.reload_p99_ms / self.quiet_p99_ms
    }
}

/// Measures every size, with the daemon on both cores and on one, and writes the results.
///
/// # Errors
///
/// When a daemon cannot be run, denies what it has to allow, or the results cannot be written.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let binaries = arguments.places.binaries()?;
    let mut found = Vec::new();
    for admissions in &arguments.sizes {
        let mut deployment = Deployment::new(&binaries, Wire::Plaintext);
        deployment.admissions = *admissions;
        let mut former: Option<Daemon> = None;
        for cores in [Cores::FREE, Cores::APART] {
            deployment.cores = cores;
            let daemon = match former.take() {
                // To write and delete so many files takes longer than all the rest.
                Some(daemon) => daemon.restart(&deployment)?,
                None => Daemon::start(&deployment)?,
            };
            let one = pin::on(cores.generator, || measure(&daemon, *admissions, cores))??;
            tell(&one);
            found.push(one);
            former = Some(daemon);
        }
    }
    let growth = Growth {
        name: "reload",
        page: page(&found)?,
        charts: charts(&found),
        why: WHY,
    };
    growth.write(&arguments.places)
}

fn measure(daemon: &Daemon, admissions: usize, cores: Cores) -> anyhow::Result<Found> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let is_pinned = cores.server.is_some();
    let url = format!("http://{}", daemon.target.address);
    let channel = runtime.block_on(Channel::from_shared(url.clone())?.connect())?;
    let mut watch = runtime.block_on(Watch::open(url))?;
    runtime.block_on(watch.next())?;
    let request = launch::request("run-1");
    runtime.block_on(allowed(channel.clone(), request.clone()))?;
    thread::sleep(SETTLING);

    let load = Load::start(runtime.handle().clone(), channel, request);
    thread::sleep(CHANGE_INTERVAL);
    let quiet = Window::open(daemon)?;
    thread::sleep(CHANGE_INTERVAL.saturating_mul(u32::try_from(CHANGES)?));
    let quiet = quiet.close(daemon)?;

    let changing = Window::open(daemon)?;
    let mut reloads = Vec::new();
    let mut in_force_ms = Vec::new();
    for change in 0..CHANGES {
        let begun = Instant::now();
        let written = write_change(daemon, admissions, is_pinned, change)?;
        runtime.block_on(watch.next())?;
        in_force_ms.push(written.elapsed().as_secs_f64() * 1e3);
        reloads.push((written, Instant::now() + AFTERMATH));
        thread::sleep(CHANGE_INTERVAL.saturating_sub(begun.elapsed()));
    }
    let changed = changing.close(daemon)?;
    let timings = load.stop()?;
    let quiet_share = quiet.cpu.as_secs_f64() / quiet.length().as_secs_f64();
    let cpu = changed.cpu.as_secs_f64() - quiet_share * changed.length().as_secs_f64();
    Ok(Found {
        admissions,
        is_pinned,
        in_force_ms_max: in_force_ms.iter().copied().fold(0.0, f64::max),
        in_force_ms: median(in_force_ms).context("nothing was changed")?,
        cpu_ms: cpu.max(0.0) * 1e3 / real_of(CHANGES),
        resident_peak: Usage::of(daemon.id())?.resident_peak,
        quiet_p99_ms: p99_ms(&timings, &[(quiet.from, quiet.to)])?,
        reload_p99_ms: p99_ms(&timings, &reloads)?,
    })
}

/// A time, and the CPU time that the daemon used in it; while it is open, what it had used before.
struct Window {
    from: Instant,
    to: Instant,
    cpu: Duration,
}

impl Window {
    fn open(daemon: &Daemon) -> anyhow::Result<Self> {
        let now = Instant::now();
        Ok(Self {
            from: now,
            to: now,
            cpu: Usage::of(daemon.id())?.cpu,
        })
    }

    fn close(self, daemon: &Daemon) -> anyhow::Result<Self> {
        Ok(Self {
            to: Instant::now(),
            cpu: Usage::of(daemon.id())?.cpu.saturating_sub(self.cpu),
            ..self
        })
    }

    fn length(&self) -> Duration {
        self.to.saturating_duration_since(self.from)
    }
}

/// Changes one admission as editors do: a new file takes the place of the old one. When it did.
fn write_change(
    daemon: &Daemon,
    admissions: usize,
    is_pinned: bool,
    change: usize,
) -> anyhow::Result<Instant> {
    // The first admission is the one that the load asks about.
    let others = admissions.saturating_sub(1).max(1);
    let number = 1 + change * CHANGE_STRIDE % others;
    let path = daemon.policy_dir().join(launch::admission_path(number));
    // A change is none that the same files have seen with the other layout of the cores.
    let month = if is_pinned { 2 } else { 1 };
    let expiry = format!("2998-{month:02}-{:02}T00:00:00Z", change + 1);
    let aside = daemon.policy_dir().with_file_name("change");
    fs::write(&aside, launch::admission_until(number, &expiry))?;
    fs::rename(aside, path)?;
    Ok(Instant::now())
}

/// The p99 of what was due within `windows`, in milliseconds.
fn p99_ms(timings: &[Timing], windows: &[(Instant, Instant)]) -> anyhow::Result<f64> {
    let mut latencies = Latencies::new()?;
    for timing in timings {
        if windows
            .iter()
            .any(|(from, to)| (*from..*to).contains(&timing.due))
        {
            latencies.record(timing.latency);
        }
    }
    Ok(latencies.us(0.99) / 1e3)
}

/// The changes that the daemon tells of.
struct Watch(Streaming<WatchPolicyResponse>);

impl Watch {
    async fn open(url: String) -> anyhow::Result<Self> {
        let mut client = PolicyServiceClient::connect(url).await?;
        let stream = client.watch_policy(WatchPolicyRequest::default()).await?;
        Ok(Self(stream.into_inner()))
    }

    /// Waits for the next snapshot.
    async fn next(&mut self) -> anyhow::Result<()> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.message()).await??;
            match message.context("the watch has ended")?.event {
                Some(Event::PolicyChanged(changed)) if !changed.digest.is_empty() => return Ok(()),
                Some(Event::PolicyChanged(_) | Event::PairChanged(_)) | None => {}
            }
        }
    }
}

/// Says on the way what was measured.
#[expect(clippy::print_stderr, reason = "progress for whoever waits")]
fn tell(found: &Found) {
    eprintln!(
        "{} admissions, {}: in force after {:.0} ms, {:.0} ms of CPU, p99 {:.1} and {:.1} ms",
        found.admissions,
        cores(found.is_pinned),
        found.in_force_ms,
        found.cpu_ms,
        found.quiet_p99_ms,
        found.reload_p99_ms,
    );
}

/// The cores of the daemon, for a reader.
fn cores(is_pinned: bool) -> &'static str {
    if is_pinned { "one core" } else { "two cores" }
}

/// The times of a change, and what it does to requests.
fn charts(found: &[Found]) -> Vec<Chart> {
    let line = |name, is_pinned: bool, least, of: fn(&Found) -> f64| {
        let own = found.iter().filter(|one| one.is_pinned == is_pinned);
        Line::new(
            name,
            least,
            own.map(|one| (real_of(one.admissions), of(one))),
        )
    };
    let across = "admissions";
    vec![
        Chart {
            title: "One change of one admission among many",
            across,
            up: "ms",
            lines: vec![
                line("in force, two cores", false, 0.0, |one| one.in_force_ms),
                line("in force, one core", true, 0.0, |one| one.in_force_ms),
                line("CPU, two cores", false, CPU_MS_MIN, |one| one.cpu_ms),
                line("CPU, one core", true, CPU_MS_MIN, |one| one.cpu_ms),
            ],
        },
        Chart {
            title: "p99 of 1,000 requests a second",
            across,
            up: "ms",
            lines: vec![
                line("during a reload, two cores", false, 0.0, |one| {
                    one.reload_p99_ms
                }),
                line("during a reload, one core", true, 0.0, |one| {
                    one.reload_p99_ms
                }),
                line("quiet, two cores", false, 0.0, |one| one.quiet_p99_ms),
                line("quiet, one core", true, 0.0, |one| one.quiet_p99_ms),
            ],
        },
    ]
}

/// The results as a page.
fn page(found: &[Found]) -> anyhow::Result<String> {
    let mut page = String::from(
        "# Reload: what a change of one admission costs\n\n\
         Made by `admit-bench reload` in a release build; absolute figures hold for the machine of the run only.\n\n\
         One `admitd` as deployed on plaintext loopback: its policy and its audit log on a disk, every record exported, \
         metrics on. \
         One admission is replaced by write-and-rename; *in force* is from the rename to the event of \
         `WatchPolicy`. Of it, 100 ms are the pause between the two readings that have to be the same. \
         Requests come at 1,000 a second on one connection and are timed from the moment that they were due; \
         *reload* counts those that were due from the write until 150 ms after the change was in force. CPU is what \
         the daemon uses beyond its share while nothing changes; the clock of the kernel tells no less than 5 ms \
         of it from nothing.\n\n\
         | admissions | cores of the daemon | in force: median, ms | longest, ms | CPU for one change, ms | most memory, MiB \
         | p99 quiet, ms | p99 during reload, ms | ratio |\n\
         | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for one in found {
        writeln!(
            page,
            "| {} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} | {:.1} | {:.1} |",
            one.admissions,
            if one.is_pinned { "one" } else { "any of two" },
            one.in_force_ms,
            one.in_force_ms_max,
            one.cpu_ms,
            mib(one.resident_peak).trunc(),
            one.quiet_p99_ms,
            one.reload_p99_ms,
            one.tail_ratio(),
        )?;
    }
    let is_of_target = |one: &&Found| one.admissions == TARGET_ADMISSIONS;
    for one in found.iter().filter(is_of_target) {
        writeln!(
            page,
            "\nTarget at {TARGET_ADMISSIONS} admissions, {}: in force within 1 s: {}; p99 at most 2 times the quiet one: {} \
             ({:.1}).",
            cores(one.is_pinned),
            met(one.in_force_ms_max <= IN_FORCE_MS_MAX),
            met(one.tail_ratio() <= TAIL_RATIO_MAX),
            one.tail_ratio(),
        )?;
    }
    Ok(page)
}
