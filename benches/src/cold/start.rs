//! Starts of a server, each timed from before the process is made to the first whole answer over mutual TLS.
//!
//! What the client needs is made ready before, so the time is that of the server, of one connection and of
//! one call. Deliberately absent: any load.

use std::{
    fs, io,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::runtime;

use crate::{
    authority::{Authority, CALLERS},
    bare::{self, Sizes, Sync},
    child::{Process, free_address},
    daemon::{Deployment, Wire},
    launch,
    load::{Call, Target, call, connection},
    pin::Cores,
    place::{self, Binaries},
    receiver::Receiver,
};

/// Longest time until the first answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a client waits before it tries again to connect; short beside every time that is measured.
const RETRY: Duration = Duration::from_micros(50);

/// The times of every start.
#[derive(Default)]
pub(super) struct Starts {
    /// Of a daemon that makes its keys and its log.
    pub(super) first: Vec<Duration>,
    /// Of a daemon that finds them.
    pub(super) again: Vec<Duration>,
    /// Of a bare tonic server over mutual TLS.
    pub(super) floor: Vec<Duration>,
}

/// Starts each kind of server so many times, in turn.
///
/// # Errors
///
/// When a server does not start, or its first answer is not an ALLOW.
pub(super) fn measure(binaries: &Binaries, rounds: usize) -> anyhow::Result<Starts> {
    let folder = place::scratch()?;
    let receiver = Receiver::start(None)?;
    let authority = Authority::new()?;
    authority.write_server(folder.path())?;
    launch::write_policy(&folder.path().join("policy"), 1)?;
    let mut deployment = Deployment::new(binaries, Wire::MutualTls);
    deployment.cores = Cores::FREE;
    deployment.calls = free_address()?;
    let config = folder.path().join("admitd.toml");
    fs::write(&config, deployment.config(folder.path(), &receiver)?)?;
    let tls = authority.client(CALLERS[0])?;
    let mut daemon = Command::new(&binaries.admitd);
    daemon
        .args(["serve", "--config"])
        .arg(&config)
        .stdin(Stdio::null());
    let floor_address = free_address()?;
    let mut floor = bare::Arguments::new(Sync::None, true, Sizes::default(), folder.path())
        .listening(floor_address)
        .command()?;
    // The process is not known yet, and nothing here asks for it.
    let to_daemon = Target::new(deployment.calls, Some(tls.clone()), 0);
    let to_floor = Target::new(floor_address, Some(tls), 0);
    let (asked, floor_asked) = (Call::admit(), floor_call());
    let mut starts = Starts::default();
    for _ in 0..rounds {
        forget(&folder.path().join("audit"))?;
        starts.first.push(time(&mut daemon, &to_daemon, &asked)?);
        starts.again.push(time(&mut daemon, &to_daemon, &asked)?);
        starts
            .floor
            .push(time(&mut floor, &to_floor, &floor_asked)?);
    }
    Ok(starts)
}

/// A launch, of which any answer will do.
pub(super) fn floor_call() -> Call {
    let path = "/admit.v1.AdmissionService/Admit";
    Call::new(path, &[launch::request("run-0000")], |_| true)
}

/// The next start is a first one.
fn forget(audit_dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(audit_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Starts the process of `command`, asks it as soon as it listens, and stops it again.
fn time(command: &mut Command, target: &Target, asked: &Call) -> anyhow::Result<Duration> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let prepared = asked.prepare(target)?;
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let begin = Instant::now();
    let server = Process::start(command, None)?;
    let stream = connect(target.address, begin)?;
    let took = runtime.block_on(async {
        let stream = tokio::net::TcpStream::from_std(stream)?;
        let mut sender = connection::begin(target, stream).await?;
        call::make(&mut sender, &prepared, 0).await?;
        anyhow::Ok(begin.elapsed())
    })?;
    // The connection goes first: a server waits for it.
    drop(runtime);
    server.stop()?;
    Ok(took)
}

/// Connects as soon as somebody listens. This blocks: a timer of the runtime would be too coarse, and there
/// is nothing else to do.
fn connect(address: SocketAddr, begin: Instant) -> anyhow::Result<TcpStream> {
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => {
                stream.set_nonblocking(true)?;
                return Ok(stream);
            }
            Err(error)
                if error.kind() == io::ErrorKind::ConnectionRefused
                    && begin.elapsed() < PATIENCE =>
            {
                thread::sleep(RETRY);
            }
            Err(error) => return Err(error).context("nobody listens"),
        }
    }
}
