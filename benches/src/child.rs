//! The processes that are measured, and their end.
//!
//! Deliberately absent: what they are; see who starts them.

use std::{
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener},
    os::unix::process::CommandExt as _,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    thread,
};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};

use crate::{pin, place};

/// The processes that are alive. A signal that ends this program runs no destructor, so it is caught, and
/// these are ended first.
static LIVING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// What a shell makes of SIGTERM.
const TERMINATED: i32 = 143;
/// Deletes its arguments and ends the same way.
const DELETE: &str = r#"rm -rf -- "$@"; exit 143"#;

/// Ends every living process, and this one, at SIGTERM, SIGINT and SIGHUP, and deletes what is in scratch
/// folders.
///
/// # Errors
///
/// When the signals cannot be caught.
pub(crate) fn end_all_at_a_signal() -> anyhow::Result<()> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let entered = runtime.enter();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    drop(entered);
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                    _ = hangup.recv() => {}
                }
            });
            // Held to the end, so that no process is started any more.
            let living = LIVING.lock().unwrap_or_else(PoisonError::into_inner);
            for process in living.iter() {
                // Whoever is on the list has not been waited for, so the id is still its own.
                let _ = kill_process(*process, Signal::KILL);
            }
            // In place of this program, whose threads could go on writing meanwhile.
            let _ = Command::new("sh")
                .args(["-c", DELETE, "sh"])
                .args(place::scratch_folders())
                .exec();
            std::process::exit(TERMINATED);
        })?;
    Ok(())
}

/// A process that outlives neither this value nor this program.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    /// Starts a process on `core`.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub(crate) fn start(command: &mut Command, core: Option<usize>) -> anyhow::Result<Self> {
        let mut living = LIVING.lock().unwrap_or_else(PoisonError::into_inner);
        let child = pin::on(core, || command.spawn())?
            .with_context(|| format!("`{}` cannot be started", command.get_program().display()))?;
        living.push(Pid::from_child(&child));
        Ok(Self(child))
    }

    /// Its id.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// The end of its standard error, if that is a pipe and has not been taken.
    pub(crate) fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.0.stderr.take()
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    ///
    /// When it cannot be waited for.
    pub(crate) fn wait(mut self) -> anyhow::Result<ExitStatus> {
        let own = Pid::from_child(&self.0);
        // It keeps its id until it is off the list.
        waitid(
            WaitId::Pid(own),
            WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
        )?;
        forget(own);
        Ok(self.0.wait()?)
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    ///
    /// When it cannot be waited for.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        // Until it is waited for, its id is its own, even if it has ended.
        kill_process(Pid::from_child(&self.0), Signal::TERM)?;
        self.wait()?;
        Ok(())
    }

    /// Starts a server on `core` that writes its address to standard output, in a line of its own.
    ///
    /// # Errors
    ///
    /// When it does not start, or says no address.
    pub(crate) fn serving(
        command: &mut Command,
        core: Option<usize>,
    ) -> anyhow::Result<(Self, SocketAddr)> {
        command.stdout(Stdio::piped());
        let mut process = Self::start(command, core)?;
        let stdout = process.0.stdout.take().context("a server without output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line
            .trim()
            .parse()
            .context("a server that says no address")?;
        Ok((process, address))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        forget(Pid::from_child(&self.0));
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Takes a process off the list.
fn forget(process: Pid) {
    let mut living = LIVING.lock().unwrap_or_else(PoisonError::into_inner);
    living.retain(|living| *living != process);
}

/// An address of the loopback interface that nobody listened at a moment ago. Connections on this machine come
/// from `127.0.0.1`, so none of them has taken its port when a server starts there.
///
/// # Errors
///
/// When there is none.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.2:0")?.local_addr()?)
}
