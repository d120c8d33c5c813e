//! Every process below this one, and their end.
//!
//! A process that leaves its group or its session is found all the same: this process is the
//! subreaper of what it starts, so whatever loses its parent becomes its child.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    process::{
        Pid, PidfdFlags, Signal, WaitOptions, getpid, pidfd_open, pidfd_send_signal,
        set_child_subreaper, wait,
    },
};

/// Longest time that killed processes are waited for. A process in the middle of a system call that
/// cannot be interrupted may outlast it.
const END_MAX: Duration = Duration::from_secs(5);
/// How often it is looked whether they are gone.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// The processes that were below this one before anything was started, and are not to be touched.
#[derive(Debug, Default)]
pub(super) struct Spared(BTreeSet<Process>);

/// Makes whatever loses its parent below this process its child, from here on.
pub(super) fn adopt() -> io::Result<Spared> {
    let spared = Spared(below(own_pid(), &Spared::default())?);
    set_child_subreaper(Some(getpid()))?;
    Ok(spared)
}

/// Kills every process below this one but the spared ones, and waits until they are gone; whether they
/// are. A process that multiplies faster than it is killed outlasts this.
pub(super) fn end_all(spared: &Spared) -> bool {
    let start = Instant::now();
    while start.elapsed() < END_MAX {
        if has_no_child() {
            return true;
        }
        match kill_all(spared) {
            // What has ended and was not waited for is gone only with its parent, which is found too.
            Ok(0) if !spared.0.is_empty() => return true,
            Ok(_) => std::thread::sleep(LOOK_INTERVAL),
            Err(_) => return false,
        }
    }
    false
}

/// Kills every process below this one but the spared ones; how many were found.
pub(super) fn kill_all(spared: &Spared) -> io::Result<usize> {
    let found = below(own_pid(), spared)?;
    let count = found.len();
    for process in found {
        kill(process);
    }
    Ok(count)
}

/// Takes in every child that has ended; whether there is none left. Since whatever loses its parent
/// becomes a child, there is nothing below then.
fn has_no_child() -> bool {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => return false,
            Err(error) => return error == Errno::CHILD,
        }
    }
}

fn own_pid() -> i32 {
    getpid().as_raw_nonzero().get()
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

/// A process. One that has ended and was not waited for counts too: threads of it may run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Process {
    pid: i32,
    parent: i32,
    /// When it was started, in clock ticks since boot: with the number, its identity.
    start: u64,
}

impl Process {
    /// The process with this number, if there is one.
    fn read(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything, parentheses too.
        let (_, rest) = stat.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        // Fields 4 and 22 of the file; the third one was the first here.
        let parent = fields.nth(1)?.parse().ok()?;
        let start = fields.nth(17)?.parse().ok()?;
        Some(Self { pid, parent, start })
    }
}

/// Every process below `top`, without the spared ones and what is below them.
fn below(top: i32, spared: &Spared) -> io::Result<BTreeSet<Process>> {
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
            if !spared.0.contains(&process) {
                found.insert(process);
                parents.push(process.pid);
            }
        }
    }
    Ok(found)
}
