//! Reload: from the write of one admission among many to its being in force, and what that does to the
//! requests that are under way.
//!
//! One real `admitd` per size of the directory. Requests come at a fixed rate on one connection and are timed
//! from the moment that they were due. Deliberately absent: what is wrong with a document; every file is valid.

mod load;

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use admit_proto::v1::{
    WatchPolicyRequest, WatchPolicyResponse, policy_service_client::PolicyServiceClient,
    watch_policy_response::Event,
};
use anyhow::Context as _;
use tonic::{Streaming, transport::Channel};

use crate::{
    latency::Latencies,
    launch,
    pin::{self, Cores, Usage},
    place::{self, Binaries},
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
/// Bytes of a mebibyte.
const MIB_BYTES: u64 = 1024 * 1024;
/// The target: a change is in force so soon after its write.
const IN_FORCE_MAX: Duration = Duration::from_secs(1);
/// The target: the p99 during a reload is at most so many times the quiet one.
const TAIL_RATIO_MAX: f64 = 2.0;
/// The directory that the target is stated for, in admissions.
const TARGET_ADMISSIONS: usize = 10_000;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder of `admitd` and `admit`; without it, they are built.
    #[arg(long)]
    bin: Option<PathBuf>,
    /// Sizes of the directory, in admissions.
    #[arg(long, value_delimiter = ',', default_values_t = [10, 1000, 10_000, 100_000])]
    sizes: Vec<usize>,
    /// Where the results are written.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
    results: PathBuf,
}

/// What was found of one size.
#[derive(Clone, Debug)]
struct Found {
    admissions: usize,
    is_pinned: bool,
    /// From each write until the change was told of, in order of length.
    in_force: Vec<Duration>,
    /// CPU time of the daemon for one change.
    cpu: Duration,
    /// Most memory that was ever resident, in bytes.
    resident_peak: u64,
    /// p99 of requests while nothing changes, and during the changes, in microseconds.
    quiet_p99_us: f64,
    reload_p99_us: f64,
}

impl Found {
    /// The median and the longest time until a change was in force.
    fn in_force_of(&self) -> Option<(Duration, Duration)> {
        let median = self.in_force.get(self.in_force.len() / 2)?;
        Some((*median, *self.in_force.last()?))
    }

    /// How many times the quiet p99 that during reloads is.
    fn tail_ratio(&self) -> f64 {
        self.reload_p99_us / self.quiet_p99_us
    }
}

/// Measures every size, with the daemon on both cores and on one, and writes the results.
///
/// # Errors
///
/// When a daemon cannot be run, denies what it has to allow, or the results cannot be written.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let binaries = Binaries::find(arguments.bin.as_deref())?;
    let mut found = Vec::new();
    for admissions in &arguments.sizes {
        let folder = place::scratch()?;
        let policy = folder.path().join("policy");
        launch::write_policy(&policy, *admissions)?;
        for cores in [Cores::FREE, Cores::APART] {
            let one = pin::on(cores.generator, || {
                measure(&binaries, folder.path(), *admissions, cores)
            })??;
            found.push(one);
        }
    }
    fs::create_dir_all(&arguments.results)?;
    fs::write(arguments.results.join("reload.md"), page(&found)?)?;
    Ok(())
}

fn measure(
    binaries: &Binaries,
    folder: &Path,
    admissions: usize,
    cores: Cores,
) -> anyhow::Result<Found> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let daemon = Daemon::start(binaries, folder, cores)?;
    let channel = runtime.block_on(Channel::from_shared(daemon.url.clone())?.connect())?;
    let mut watch = runtime.block_on(Watch::open(&daemon.url))?;
    runtime.block_on(watch.next())?;
    let request = launch::request("run-1");
    runtime.block_on(allowed(channel.clone(), request.clone()))?;
    thread::sleep(SETTLING);

    let load = Load::start(runtime.handle().clone(), channel, request);
    thread::sleep(CHANGE_INTERVAL);
    let length = CHANGE_INTERVAL.saturating_mul(u32::try_from(CHANGES)?);
    let quiet_from = Instant::now();
    let used_before = Usage::of(daemon.child.id())?.cpu;
    thread::sleep(length);
    let used_quietly = Usage::of(daemon.child.id())?
        .cpu
        .saturating_sub(used_before);
    let quiet = (quiet_from, Instant::now());

    let used_before = Usage::of(daemon.child.id())?.cpu;
    let mut reloads = Vec::new();
    let mut in_force = Vec::new();
    for change in 0..CHANGES {
        let begun = Instant::now();
        let written = write_change(folder, admissions, change)?;
        runtime.block_on(watch.next())?;
        in_force.push(written.elapsed());
        reloads.push((written, Instant::now() + AFTERMATH));
        thread::sleep(CHANGE_INTERVAL.saturating_sub(begun.elapsed()));
    }
    let used = Usage::of(daemon.child.id())?;
    let cpu = used.cpu.saturating_sub(used_before);
    let timings = load.stop()?;
    in_force.sort();
    Ok(Found {
        admissions,
        is_pinned: cores.server.is_some(),
        in_force,
        cpu: cpu.saturating_sub(used_quietly) / u32::try_from(CHANGES)?,
        resident_peak: used.resident_peak,
        quiet_p99_us: p99_us(&timings, &[quiet])?,
        reload_p99_us: p99_us(&timings, &reloads)?,
    })
}

/// Changes one admission as editors do: a new file takes the place of the old one. When it did.
fn write_change(folder: &Path, admissions: usize, change: usize) -> anyhow::Result<Instant> {
    // The first admission is the one that the load asks about.
    let number = 1 + change * CHANGE_STRIDE % (admissions - 1);
    let path = folder.join("policy").join(launch::admission_path(number));
    let expiry = format!("2998-01-{:02}T00:00:00Z", change + 1);
    let mut text = launch::admission_until(number, &expiry);
    if fs::read_to_string(&path)? == text {
        // A measurement before this one has made the change already.
        text = launch::admission(number);
    }
    let aside = folder.join("change");
    fs::write(&aside, text)?;
    fs::rename(aside, path)?;
    Ok(Instant::now())
}

/// The p99 of what was due within `windows`, in microseconds.
fn p99_us(timings: &[Timing], windows: &[(Instant, Instant)]) -> anyhow::Result<f64> {
    let mut latencies = Latencies::new()?;
    for timing in timings {
        if windows
            .iter()
            .any(|(from, to)| (*from..*to).contains(&timing.due))
        {
            latencies.record(timing.latency);
        }
    }
    Ok(latencies.us(0.99))
}

/// A daemon that is being measured.
struct Daemon {
    child: Child,
    url: String,
}

impl Daemon {
    fn start(binaries: &Binaries, folder: &Path, cores: Cores) -> anyhow::Result<Self> {
        let config = folder.join("admitd.toml");
        let [policy, audit] = ["policy", "audit"].map(|name| folder.join(name));
        // TOML takes the texts of Rust for what they are here.
        let text = format!(
            "policy_dir = {policy:?}\n[listen]\ntcp = \"127.0.0.1:0\"\n[audit]\ndir = {audit:?}\n\
             [network_classes]\n{}\n",
            launch::NETWORK_CLASS_LINE
        );
        fs::write(&config, text)?;
        let mut command = Command::new(&binaries.admitd);
        command
            .arg("serve")
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = pin::on(cores.server, || command.spawn())??;
        let errors = child.stderr.take().context("no diagnostics")?;
        let mut lines = BufReader::new(errors).lines();
        let mut url = None;
        for line in lines.by_ref() {
            let line = line?;
            let address = line
                .split_whitespace()
                .find_map(|word| word.strip_prefix("tcp="));
            if let Some(address) = address {
                url = Some(format!("http://{address}"));
                break;
            }
        }
        // Nobody reads on, and nothing may wait for that.
        thread::spawn(move || lines.for_each(drop));
        let url = url.context("admitd does not listen")?;
        Ok(Self { child, url })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The changes that the daemon tells of.
struct Watch(Streaming<WatchPolicyResponse>);

impl Watch {
    async fn open(url: &str) -> anyhow::Result<Self> {
        let mut client = PolicyServiceClient::connect(url.to_owned()).await?;
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

/// The results as a page.
fn page(found: &[Found]) -> anyhow::Result<String> {
    let mut page = String::from(
        "# Reload: what a change of one admission costs\n\n\
         Made by `admit-bench reload` in a release build; absolute figures hold for the machine of the run only.\n\n\
         One `admitd` as deployed on plaintext loopback, its policy and its audit log on a disk. \
         One admission is replaced by write-and-rename; *in force* is from the rename to the event of \
         `WatchPolicy`. Of it, 100 ms are the pause between the two readings that have to be the same. \
         Requests come at 1,000 a second on one connection and are timed from the moment that they were due; \
         *reload* counts those that were due from the write until 150 ms after the change was in force.\n\n\
         | admissions | cores of the daemon | in force: median, ms | longest, ms | CPU for one change, ms | most memory, MiB \
         | p99 quiet, ms | p99 during reload, ms | ratio |\n\
         | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
    for one in found {
        let (median, longest) = one.in_force_of().context("nothing was measured")?;
        writeln!(
            page,
            "| {} | {} | {:.0} | {:.0} | {:.0} | {} | {:.1} | {:.1} | {:.1} |",
            one.admissions,
            if one.is_pinned { "one" } else { "any of two" },
            ms(median),
            ms(longest),
            ms(one.cpu),
            one.resident_peak / MIB_BYTES,
            one.quiet_p99_us / 1e3,
            one.reload_p99_us / 1e3,
            one.tail_ratio(),
        )?;
    }
    page.push_str(
        "\n**Growth law.** Only the changed file is read and parsed: that is constant. What grows with the number of \
         files, linearly, is listing the folders and looking up the stamp of each file (twice for one change, and \
         once each `rescan_interval`), and putting the snapshot and its basis together from judgments that are \
         there already.\n\n",
    );
    for one in found
        .iter()
        .filter(|one| one.admissions == TARGET_ADMISSIONS)
    {
        let (_, longest) = one.in_force_of().context("nothing was measured")?;
        writeln!(
            page,
            "Target at {TARGET_ADMISSIONS} admissions, {}: in force within 1 s: {}; p99 at most 2 times the quiet one: {} \
             ({:.1}).\n",
            if one.is_pinned {
                "one core"
            } else {
                "two cores"
            },
            met(longest <= IN_FORCE_MAX),
            met(one.tail_ratio() <= TAIL_RATIO_MAX),
            one.tail_ratio(),
        )?;
    }
    Ok(page)
}

fn met(is_met: bool) -> &'static str {
    if is_met { "met" } else { "missed" }
}
