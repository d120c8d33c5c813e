//! Every process below this one, and their end.
//!
//! A process that leaves its group or its session is found all the same: this process is the
//! subreaper of what it starts, so whatever loses its parent becomes its child.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    time::{Duration, Instant},
};

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, pidfd_open, pidfd_send_signal,
    set_child_subreaper, wait,
};

/// Longest time that killed processes are waited for. A process in the middle of a system call that
/// cannot be interrupted may outlast it.
const END_MAX: Duration = Duration::from_secs(5);
/// How often it is looked whether they are gone.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Makes whatever loses its parent below this process its child.
pub(super) fn adopt() -> io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// Kills every process below this one, and waits until they are gone; whether they are.
pub(super) fn end_all() -> bool {
    let start = Instant::now();
    while start.elapsed() < END_MAX {
        reap();
        let Ok(left) = below(getpid().as_raw_nonzero().get()) else {
            return false;
        };
        if left.is_empty() {
            return true;
        }
        for process in left {
            kill(process);
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    false
}

/// Takes in every child that has ended.
fn reap() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

/// Kills the process, unless another one has its number by now.
fn kill(process: Process) {
    let Some(pid) = Pid::from_raw(process.pid) else {
        return;
    };
    // From here on the descriptor means the process that has the number now, and only that one.
    if let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty())
        && Process::read(process.pid).is_some_and(|now| now.start == process.start)
    {
        // It may have ended by itself.
        let _ = pidfd_send_signal(&descriptor, Signal::KILL);
    }
}

/// A running process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Process {
    pid: i32,
    parent: i32,
    /// When it was started, in clock ticks since boot: with the number, its identity.
    start: u64,
}

impl Process {
    /// The process with this number, unless it has ended.
    fn read(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything, parentheses too.
        let (_, rest) = stat.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        // Field 22 of the file; the third one was the first here, and two are taken.
        let start = fields.nth(17)?.parse().ok()?;
        (state != "Z" && state != "X").then_some(Self { pid, parent, start })
    }
}

/// Every running process below `top`.
fn below(top: i32) -> io::Result<BTreeSet<Process>> {
    let mut by_parent: BTreeMap<i32, Vec<Process>> = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let process = name
            .to_str()
            .and_then(|name| name.parse().ok())
            .and_then(Process::read);
        if let Some(process) = process {
            by_parent.entry(process.parent).or_default().push(process);
        }
    }
    let mut found = BTreeSet::new();
    let mut parents = vec![top];
    while let Some(parent) = parents.pop() {
        for process in by_parent.remove(&parent).unwrap_or_default() {
            found.insert(process);
            parents.push(process.pid);
        }
    }
    Ok(found)
}
