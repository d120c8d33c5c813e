//! Which core runs what, and what a process has used: CPU time and memory, as the kernel counts them.
//!
//! Deliberately absent: any change of another process. A child takes over the core of the thread that
//! starts it.

use std::{fs, time::Duration};

use anyhow::Context as _;
use rustix::{
    param::clock_ticks_per_second,
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

/// Bytes of a kibibyte, the unit of `/proc`.
const KIB_BYTES: u64 = 1024;
/// Where the user time stands in `/proc/PID/stat`, counted from the state behind the name.
const USER_TICKS_AT: usize = 11;

/// Where the two sides of a measurement run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cores {
    /// The core of the server; none: it may use all.
    pub(crate) server: Option<usize>,
    /// The core of the load generator and of the receiver of spans; none: they may use all.
    pub(crate) generator: Option<usize>,
}

impl Cores {
    /// Server and generator on a core each.
    pub(crate) const APART: Self = Self {
        server: Some(0),
        generator: Some(1),
    };
    /// Both on whatever core is free.
    pub(crate) const FREE: Self = Self {
        server: None,
        generator: None,
    };
}

/// Runs `work` with this thread on `core`, which whatever it starts takes over; then lets the thread back
/// to where it was.
///
/// # Errors
///
/// When the kernel refuses the core.
pub(crate) fn on<T>(core: Option<usize>, work: impl FnOnce() -> T) -> anyhow::Result<T> {
    let Some(core) = core else {
        return Ok(work());
    };
    let before = sched_getaffinity(None).context("cannot ask for the cores of this thread")?;
    let mut only = CpuSet::new();
    only.set(core);
    sched_setaffinity(None, &only).with_context(|| format!("cannot use core {core} alone"))?;
    let result = work();
    sched_setaffinity(None, &before).context("cannot use the former cores again")?;
    Ok(result)
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// CPU time of all its threads, those that have ended too; in steps of a clock tick (10 ms).
    pub(crate) cpu: Duration,
    /// Resident memory, in bytes.
    pub(crate) resident: u64,
    /// The most resident memory that it ever had, in bytes.
    pub(crate) resident_peak: u64,
}

impl Usage {
    /// What the process `id` has used.
    ///
    /// # Errors
    ///
    /// When there is no such process.
    pub(crate) fn of(id: u32) -> anyhow::Result<Self> {
        let read = |name: &str| {
            fs::read_to_string(format!("/proc/{id}/{name}"))
                .with_context(|| format!("process {id} has ended"))
        };
        let status = read("status")?;
        let kib = |key: &str| -> anyhow::Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            let number = line.and_then(|line| line.split_whitespace().next());
            let number = number.with_context(|| format!("no `{key}` of process {id}"))?;
            Ok(number.parse::<u64>()?.saturating_mul(KIB_BYTES))
        };
        Ok(Self {
            cpu: cpu(&read("stat")?)?,
            resident: kib("VmRSS:")?,
            resident_peak: kib("VmHWM:")?,
        })
    }
}

/// The CPU time in the text of a `/proc/PID/stat`.
fn cpu(stat: &str) -> anyhow::Result<Duration> {
    // The name stands in parentheses and may have some itself.
    let (_, rest) = stat.rsplit_once(')').context("no name in the statistics")?;
    let ticks = rest.split_whitespace().skip(USER_TICKS_AT).take(2);
    let ticks = ticks
        .map(str::parse::<u64>)
        .sum::<Result<u64, _>>()
        .context("no times in the statistics")?;
    let nanoseconds = ticks.saturating_mul(1_000_000_000) / clock_ticks_per_second().max(1);
    Ok(Duration::from_nanos(nanoseconds))
}
