//! The keeper: a process between the wrapper and the command, so that nothing outlives either.
//!
//! It starts the command in a process group of its own, passes on what the wrapper orders, and when
//! the command has ended, or the wrapper has, it kills whatever is left below it. If the keeper itself
//! is killed, the command dies with it ([`super::entry`]) and the wrapper kills what is left.

use std::{
    io,
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpgid, getpid, kill_process, kill_process_group, wait,
};
use tokio::{
    net::UnixStream,
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep_until},
};

use super::{
    control::{self, Incoming, News, Order},
    descendants::{self, Spared},
    entry::Target,
};

/// This very program, even if its file has been replaced.
pub(super) const OWN_PROGRAM: &str = "/proc/self/exe";

/// How often everything is killed, from the end of the grace to the end of the command.
const KILL_INTERVAL: Duration = Duration::from_millis(100);

/// What the keeper needs to know.
#[derive(Debug, clap::Args)]
pub(crate) struct Keep {
    /// The time between TERM and KILL, in milliseconds.
    #[arg(long)]
    grace_ms: u64,

    #[command(flatten)]
    target: Target,
}

/// Keeps the command until it has ended.
pub(crate) fn keep(args: &Keep) -> ExitCode {
    match try_keep(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(News::NotStarted(error.raw_os_error().unwrap_or_default()));
            ExitCode::FAILURE
        }
    }
}

fn try_keep(args: &Keep) -> io::Result<()> {
    let spared = descendants::adopt()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(async {
        // Before there is a child, so that none ends unseen.
        let children = signal(SignalKind::child())?;
        let control = control::inherited()?;
        control.set_nonblocking(true)?;
        let orders = Incoming::new(UnixStream::from_std(control)?);
        let command = start(args)?;
        let keeper = Keeper {
            command,
            grace: Duration::from_millis(args.grace_ms),
            kill_at: None,
            spared: &spared,
        };
        Ok::<_, io::Error>(keeper.attend(children, orders).await)
    })?;
    if !descendants::end_all(&spared) {
        tell(News::Survived);
    }
    if let Some(status) = ended {
        tell(match status.exit_status() {
            Some(code) => News::Exited(code),
            None => News::Signaled(status.terminating_signal().unwrap_or_default()),
        });
    }
    Ok(())
}

/// Starts the last step, on this thread: the command dies with the thread that started it, and this
/// one lives as long as the keeper.
fn start(args: &Keep) -> io::Result<Pid> {
    let mut command = Command::new(OWN_PROGRAM);
    command
        .arg("enter")
        .arg(format!("--keeper={}", getpid().as_raw_nonzero()));
    args.target.hand_on(&mut command);
    let control = control::inherited()?;
    let child = command
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(control)))
        .process_group(0)
        .spawn()?;
    i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// What attends to the command.
struct Keeper<'a> {
    command: Pid,
    /// The time between TERM and KILL.
    grace: Duration,
    kill_at: Option<Instant>,
    spared: &'a Spared,
}

impl Keeper<'_> {
    /// Attends to the command until it has ended; `None` when the wrapper ended first.
    async fn attend(
        mut self,
        mut children: tokio::signal::unix::Signal,
        mut orders: Incoming<UnixStream>,
    ) -> Option<WaitStatus> {
        loop {
            // One order is waited for until it is there: its reading must not be broken off.
            let order = orders.next::<Order>();
            tokio::pin!(order);
            let order = loop {
                if let Some(status) = ended(self.command) {
                    return Some(status);
                }
                let kill = sleep_until(self.kill_at.unwrap_or_else(Instant::now));
                tokio::select! {
                    order = &mut order => break order?,
                    _ = children.recv() => {}
                    () = kill, if self.kill_at.is_some() => self.kill(),
                }
            };
            self.obey(order);
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Signal(number) => {
                if let Some(signal) = Signal::from_named_raw(number) {
                    self.signal(signal);
                }
            }
            Order::End => {
                self.signal(Signal::TERM);
                let now = Instant::now();
                let kill_at = now.checked_add(self.grace).unwrap_or(now);
                self.kill_at.get_or_insert(kill_at);
            }
        }
    }

    /// Passes a signal to the command's process group, and to a command that has left it.
    fn signal(&self, signal: Signal) {
        let is_in_group = getpgid(Some(self.command)).is_ok_and(|group| group == self.command);
        // Either may have ended by itself.
        let _ = kill_process_group(self.command, signal);
        if !is_in_group {
            let _ = kill_process(self.command, signal);
        }
    }

    /// Kills everything, and looks again soon: the end of the command ends this.
    fn kill(&mut self) {
        let _ = descendants::kill_all(self.spared);
        self.kill_at = Instant::now().checked_add(KILL_INTERVAL);
    }
}

/// How the command ended, if it has. Any other child that has ended is taken in.
fn ended(command: Pid) -> Option<WaitStatus> {
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == command {
            return Some(status);
        }
    }
    None
}

/// Tells the wrapper. One that is gone needs no telling.
fn tell(news: News) {
    if let Ok(mut control) = control::inherited() {
        control::tell(&mut control, news);
    }
}
