//! `watchers`: what it costs to tell 1, 100 and 10,000 watchers of one change.
//!
//! Every watcher follows one pair, and a change is told to each in two events, of the policy and of the pair.
//! The pair is not the one that launches are asked for, which go on meanwhile. Deliberately absent: watchers
//! that do not take their events.

use std::{
    fmt::Write as _,
    fs, io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use admit_proto::v1::{Lane, WatchPolicyRequest};
use anyhow::{Context as _, ensure};
use h2::client::SendRequest;
use hdrhistogram::Histogram;
use rustix::{process::setpriority_process, thread::gettid};
use tokio::{
    runtime,
    sync::oneshot,
    time::{MissedTickBehavior, interval},
};
use tonic::codegen::Bytes;

use super::curve;
use crate::{
    daemon::{Daemon, Deployment, Wire},
    figure::real,
    launch,
    load::{Call, Target, call, connection},
    pin::{self, Cores, Usage},
    place::Binaries,
};

/// How many watchers there are, in turn.
const COUNTS: [usize; 3] = [1, 100, 10_000];
/// Watches on one connection; the built-in configuration has as many.
const STREAMS: usize = 250;
/// Events of one change for one watcher.
const EVENTS: usize = 2;
/// Changes whose telling is timed.
const CHANGES: usize = 7;
/// Between two changes.
const PAUSE: Duration = Duration::from_millis(600);
/// Over which the CPU time of a quiet daemon is counted, and the latency of requests.
const WINDOW: Duration = Duration::from_secs(4);
/// Longest time for one change to be told to everybody.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked whether everybody has been told.
const LOOK: Duration = Duration::from_millis(1);
/// Between two launches that are asked for.
const CALL_INTERVAL: Duration = Duration::from_millis(1);
/// How far the thread that reads events stands behind whoever measures latency.
const NICE: i32 = 10;
/// Bytes before a message of gRPC, and where its length begins.
const PREFIX_BYTES: usize = 5;
/// Longest latency that is told apart, in nanoseconds: a minute.
const LATENCY_NANOS_MAX: u64 = 60_000_000_000;
/// The configuration beyond the defaults.
const LIMITS: &str = "watchers = 16384\nwatchers_per_caller = 16384\n";

/// How to measure.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Arguments {
    /// The folder of `admitd` and `admit`. Without it they are built.
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    /// Only this many watchers, and no page of results.
    #[arg(long)]
    count: Option<usize>,
}

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
    let binaries = Binaries::find(arguments.bin_dir.as_deref())?;
    let counts = arguments.count.map_or(COUNTS.to_vec(), |count| vec![count]);
    let mut costs = Vec::new();
    for count in counts {
        costs.push(measure(&binaries, count)?);
    }
    let page = page(&costs)?;
    if arguments.count.is_some() {
        io::Write::write_all(&mut anstream::stdout(), page.as_bytes())?;
        return Ok(());
    }
    let points: Vec<(f64, f64)> = costs
        .iter()
        .map(|cost| (real_of(cost.count), cost.spread_ms.max(0.01)))
        .collect();
    curve::draw(
        "watchers",
        [
            "One change told to all watchers",
            "watchers",
            "first to last event, ms",
        ],
        &points,
    )?;
    fs::write(curve::results("watchers.md"), page)?;
    Ok(())
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
        first_ms: median(firsts),
        spread_ms: median(spreads),
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
    let histogram = pin::on(Cores::APART.generator, || {
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
            let mut histogram = Histogram::<u64>::new_with_bounds(1, LATENCY_NANOS_MAX, 3)?;
            for call in calls {
                let took = call.await??;
                histogram.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
            }
            anyhow::Ok(histogram)
        })
    })??;
    Ok(real(histogram.value_at_quantile(0.99)) / 1e3)
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

/// So many open watches, read by a thread that yields to whoever measures latency.
struct Watchers {
    count: usize,
    told: Arc<Told>,
    _end: oneshot::Sender<()>,
}

/// What all of them have been told.
#[derive(Default)]
struct Told {
    events: AtomicUsize,
    /// When the first event since the latest change came, and the last one; nanoseconds from `begin`, 0 if
    /// there is none.
    first: AtomicU64,
    last: AtomicU64,
    has_ended: AtomicBool,
}

impl Watchers {
    fn open(target: &Target, count: usize) -> anyhow::Result<Self> {
        let told = Arc::new(Told::default());
        let (end, ended) = oneshot::channel::<()>();
        let (reader, target) = (Arc::clone(&told), target.clone());
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let watch = move || {
            // A figure of latency must not be that of a generator which waits for these.
            let _ = setpriority_process(Some(gettid()), NICE);
            let followed = runtime.block_on(async {
                let opened = open(&target, count, &reader).await;
                if opened.is_ok() {
                    let _ = ended.await;
                }
                opened
            });
            if followed.is_err() {
                reader.has_ended.store(true, Ordering::Release);
            }
        };
        pin::on(Cores::APART.generator, || {
            thread::Builder::new().name("watchers".into()).spawn(watch)
        })??;
        Ok(Self {
            count,
            told,
            _end: end,
        })
    }

    /// Waits until there have been so many events.
    fn wait(&self, events: usize) -> anyhow::Result<()> {
        let begin = Instant::now();
        while self.told.events.load(Ordering::Acquire) < events {
            ensure!(
                !self.told.has_ended.load(Ordering::Acquire),
                "a watch ended"
            );
            ensure!(begin.elapsed() < PATIENCE, "not everybody was told");
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Makes one change and waits until everybody was told: milliseconds from the write to the first
    /// event, and from there to the last.
    fn change(&self, switch: &mut Switch) -> anyhow::Result<(f64, f64)> {
        let before = self.told.events.load(Ordering::Acquire);
        self.told.first.store(0, Ordering::Release);
        switch.toggle()?;
        let written = nanos();
        self.wait(before.saturating_add(self.count.saturating_mul(EVENTS)))?;
        let first = self.told.first.load(Ordering::Acquire);
        let last = self.told.last.load(Ordering::Acquire);
        let milliseconds = |from: u64, to: u64| real(to.saturating_sub(from)) / 1e6;
        Ok((milliseconds(written, first), milliseconds(first, last)))
    }

    /// Makes one change after the other while `work` goes on.
    fn changing<T>(
        &self,
        switch: &mut Switch,
        work: impl FnOnce() -> anyhow::Result<T> + Send,
    ) -> anyhow::Result<T>
    where
        T: Send,
    {
        thread::scope(|scope| {
            let work = scope.spawn(work);
            while !work.is_finished() {
                self.change(switch)?;
                thread::sleep(PAUSE / 4);
            }
            work.join().map_err(|_| anyhow::anyhow!("a panic"))?
        })
    }
}

/// Opens every watch, each with a task that counts its events.
async fn open(target: &Target, count: usize, told: &Arc<Told>) -> anyhow::Result<()> {
    let request = WatchPolicyRequest {
        provider: launch::PROVIDER.into(),
        model: launch::model(1),
        lane: Lane::Real.into(),
    };
    let call = Call::new("/admit.v1.PolicyService/WatchPolicy", &[request], |_| true);
    let prepared = Arc::new(call.prepare(target)?);
    let connections = connection::open(target, count.div_ceil(STREAMS)).await?;
    for (_, sender) in (0..count).zip(connections.iter().cycle()) {
        let (sender, prepared, told) = (sender.clone(), Arc::clone(&prepared), Arc::clone(told));
        let sent = send(sender, &prepared).await?;
        tokio::spawn(async move {
            if follow(sent, &told).await.is_err() {
                told.has_ended.store(true, Ordering::Release);
            }
        });
    }
    Ok(())
}

async fn send(
    sender: SendRequest<Bytes>,
    prepared: &call::Prepared,
) -> anyhow::Result<h2::client::ResponseFuture> {
    let mut ready = sender.ready().await?;
    let (response, mut stream) = ready.send_request(prepared.request(), false)?;
    stream.send_data(prepared.body(0).context("no message")?, true)?;
    Ok(response)
}

/// Counts the events of one watch, until it ends.
async fn follow(response: h2::client::ResponseFuture, told: &Told) -> anyhow::Result<()> {
    let mut body = response.await?.into_body();
    let mut waiting = Vec::new();
    while let Some(part) = body.data().await {
        let part = part?;
        body.flow_control().release_capacity(part.len())?;
        waiting.extend_from_slice(&part);
        let events = whole_messages(&mut waiting);
        let now = nanos();
        let _ = told
            .first
            .compare_exchange(0, now, Ordering::AcqRel, Ordering::Relaxed);
        told.last.store(now, Ordering::Release);
        told.events.fetch_add(events, Ordering::AcqRel);
    }
    anyhow::bail!("a watch ended")
}

/// Takes every message off `waiting` that is there as a whole; how many.
fn whole_messages(waiting: &mut Vec<u8>) -> usize {
    let mut count = 0;
    while let Some(length) = waiting.get(1..PREFIX_BYTES) {
        let length = length
            .iter()
            .fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
        let whole = PREFIX_BYTES.saturating_add(length);
        if waiting.len() < whole {
            break;
        }
        waiting.drain(..whole);
        count += 1;
    }
    count
}

/// Nanoseconds since this was first asked for, and at least 1.
fn nanos() -> u64 {
    static BEGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let elapsed = BEGIN.get_or_init(Instant::now).elapsed();
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX).max(1)
}

fn real_of(count: usize) -> f64 {
    real(u64::try_from(count).unwrap_or(u64::MAX))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
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
    page.push_str(
        "\nGrowth: telling is linear in the watchers, an event each on its own stream; memory is linear; a watcher of\n\
         a pair looks at it four times a second, so the CPU time of a quiet daemon is linear in them too.\n",
    );
    Ok(page)
}
