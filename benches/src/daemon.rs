//! `admitd` as it is deployed: audit on a disk, export to a receiver, metrics on, permits signed.
//!
//! Beyond the built-in configuration it raises only the number of calls at one time, in all and of one
//! caller, and says so in [`LIMITS`]. Deliberately absent: any configuration that a deployment would not have.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{ChildStderr, Command, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tempfile::TempDir;
use tokio_rustls::rustls::ClientConfig;

use crate::{
    authority::{Authority, CALLERS},
    child::Process,
    launch,
    load::{self, Target},
    pin::Cores,
    place::{self, Binaries},
    receiver::Receiver,
};

/// Longest time that a daemon may take to be ready. Far above what it takes.
pub(crate) const START_MAX: Duration = Duration::from_secs(60);
/// What differs from the built-in configuration in `[limits]`: an open loop that one slow sync holds up
/// has more calls open than the built-in 512 of one caller, and would be told `OVERLOADED`.
const LIMITS: &str = "in_flight = 8192\nin_flight_per_caller = 8192\n";
/// Most bytes of its metrics.
const PAGE_BYTES_MAX: u64 = 1024 * 1024;
/// Most lines that a daemon's log is kept of, for the message of a failure.
const LOG_LINES_MAX: usize = 200;

/// How callers reach the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Without TLS, on the loopback address.
    Plaintext,
    /// Mutual TLS 1.3, with named callers.
    MutualTls,
}

/// What is to be deployed.
#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    /// The program.
    pub(crate) binaries: Binaries,
    /// How many admissions the policy has; the first is the one that launches are asked for.
    pub(crate) admissions: usize,
    /// How callers reach it.
    pub(crate) wire: Wire,
    /// Where they reach it; the port 0 stands for any that is free.
    pub(crate) calls: SocketAddr,
    /// Where daemon and receiver run.
    pub(crate) cores: Cores,
    /// More lines for `[limits]`, behind those that every deployment has; a key may stand there once.
    pub(crate) more_limits: String,
    /// Whether every record is exported.
    pub(crate) has_export: bool,
    /// More variables of the daemon's environment.
    pub(crate) env: Vec<(String, String)>,
}

impl Deployment {
    /// The ordinary one: a small policy, a core each for daemon and generator.
    pub(crate) fn new(binaries: &Binaries, wire: Wire) -> Self {
        Self {
            binaries: binaries.clone(),
            admissions: 1,
            wire,
            calls: SocketAddr::from(([127, 0, 0, 1], 0)),
            cores: Cores::APART,
            more_limits: String::new(),
            has_export: true,
            env: Vec::new(),
        }
    }

    /// Its configuration, with every file in `folder`.
    ///
    /// # Errors
    ///
    /// Never.
    pub(crate) fn config(&self, folder: &Path, receiver: &Receiver) -> anyhow::Result<String> {
        let path = |name: &str| folder.join(name);
        let calls = self.calls.to_string();
        let (tcp, tls) = match self.wire {
            Wire::Plaintext => (calls.as_str(), ""),
            Wire::MutualTls => ("", calls.as_str()),
        };
        let endpoint = match self.has_export {
            true => format!("http://{}", receiver.address),
            false => String::new(),
        };
        let mut config = format!(
            "policy_dir = {:?}\n[listen]\ntcp = {tcp:?}\ntls = {tls:?}\noperations = \"127.0.0.1:0\"\n\
             [limits]\n{LIMITS}{}\n[audit]\ndir = {:?}\n[export]\nendpoint = {endpoint:?}\n\
             [network_classes]\n{}\n",
            path("policy"),
            self.more_limits,
            path("audit"),
            launch::NETWORK_CLASS_LINE,
        );
        if self.wire == Wire::MutualTls {
            writeln!(
                config,
                "[tls]\ncertificate = {:?}\nkey = {:?}\nclient_ca = {:?}",
                path("tls.crt"),
                path("tls.key"),
                path("ca.crt"),
            )?;
            for (number, name) in CALLERS.iter().enumerate() {
                writeln!(
                    config,
                    "[[callers]]\nname = \"caller-{number}\"\ncertificates = [\"dns:{name}\"]\n\
                     rpcs = [\"Admit\", \"CheckEvidence\", \"GetPolicy\", \"WatchPolicy\", \"GetPermitKeys\"]\n\
                     lanes = [\"fake\", \"real\"]\nhosts = [{:?}]",
                    launch::HOST
                )?;
            }
        }
        Ok(config)
    }
}

/// A running daemon with its receiver. Both end with the value, and its files go.
pub(crate) struct Daemon {
    process: Process,
    /// Where callers reach it, and as whom.
    pub(crate) target: Target,
    /// Where its metrics are.
    pub(crate) metrics: SocketAddr,
    /// What receives its spans.
    pub(crate) receiver: Receiver,
    folder: TempDir,
}

impl Daemon {
    /// Writes policy and configuration, starts the daemon, and waits until it is healthy.
    ///
    /// # Errors
    ///
    /// When it does not start, with the last lines of its log.
    pub(crate) fn start(deployment: &Deployment) -> anyhow::Result<Self> {
        let folder = place::scratch()?;
        launch::write_policy(&folder.path().join("policy"), deployment.admissions)?;
        let authority = match deployment.wire {
            Wire::Plaintext => None,
            Wire::MutualTls => {
                let authority = Authority::new()?;
                authority.write_server(folder.path())?;
                Some(authority)
            }
        };
        let tls = authority
            .map(|authority| authority.client(CALLERS[0]))
            .transpose()?;
        Self::start_in(deployment, folder, tls)
    }

    /// Ends this daemon and starts one as `deployment` says in its place, with the same files: policy, log,
    /// certificates.
    ///
    /// # Errors
    ///
    /// When it does not start, with the last lines of its log.
    pub(crate) fn restart(self, deployment: &Deployment) -> anyhow::Result<Self> {
        self.process.stop()?;
        Self::start_in(deployment, self.folder, self.target.tls)
    }

    fn start_in(
        deployment: &Deployment,
        folder: TempDir,
        tls: Option<Arc<ClientConfig>>,
    ) -> anyhow::Result<Self> {
        let receiver = Receiver::start(deployment.cores.generator)?;
        let config = folder.path().join("admitd.toml");
        fs::write(&config, deployment.config(folder.path(), &receiver)?)?;
        let mut command = Command::new(&deployment.binaries.admitd);
        command
            .args(["serve", "--config"])
            .arg(&config)
            .envs(deployment.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = Process::start(&mut command, deployment.cores.server)?;
        let stderr = process.take_stderr().context("admitd has no log")?;
        let Addresses { calls, metrics } = follow(stderr)?;
        let target = Target::new(calls, tls, process.id());
        load::wait_until_healthy(&target, "", START_MAX)?;
        Ok(Self {
            process,
            target,
            metrics,
            receiver,
            folder,
        })
    }

    /// Its metrics, as a scraper gets them.
    ///
    /// # Errors
    ///
    /// When they cannot be had.
    pub(crate) fn metrics_page(&self) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(self.metrics)?;
        stream.set_read_timeout(Some(START_MAX))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: admitd\r\nconnection: close\r\n\r\n")?;
        let mut page = String::new();
        stream.take(PAGE_BYTES_MAX).read_to_string(&mut page)?;
        Ok(page)
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The policy directory.
    pub(crate) fn policy_dir(&self) -> PathBuf {
        self.folder.path().join("policy")
    }

    /// The audit directory.
    pub(crate) fn audit_dir(&self) -> PathBuf {
        self.folder.path().join("audit")
    }

    /// The bytes of the last whole record of its log, with the line feed.
    ///
    /// # Errors
    ///
    /// When there is no record.
    pub(crate) fn record_bytes(&self) -> anyhow::Result<usize> {
        let mut segments: Vec<PathBuf> = fs::read_dir(self.audit_dir())?
            .map(|entry| Ok(entry?.path()))
            .collect::<anyhow::Result<_>>()?;
        segments.retain(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
        segments.sort();
        let newest = segments.last().context("the log has no segment")?;
        let text = fs::read_to_string(newest)?;
        let record = text
            .split_inclusive('\n')
            .rfind(|line| line.ends_with('\n'));
        Ok(record.context("the log has no record")?.len())
    }
}

/// Where a daemon says it listens.
struct Addresses {
    calls: SocketAddr,
    metrics: SocketAddr,
}

/// Reads the log of a daemon until it has said where it listens, and goes on reading, so that the daemon
/// never waits for a reader.
fn follow(stderr: ChildStderr) -> anyhow::Result<Addresses> {
    let (sender, lines) = mpsc::channel();
    thread::Builder::new().name("log".into()).spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            // Nobody listens any more once the addresses are known.
            let _ = sender.send(line);
        }
    })?;
    let deadline = Instant::now() + START_MAX;
    let (mut said, mut calls, mut metrics) = (String::new(), None, None);
    loop {
        if let (Some(calls), Some(metrics)) = (calls, metrics) {
            return Ok(Addresses { calls, metrics });
        }
        let patience = deadline.saturating_duration_since(Instant::now());
        let Ok(line) = lines.recv_timeout(patience) else {
            bail!("admitd does not say where it listens:\n{said}");
        };
        if line.contains("listening") {
            calls = address(&line, &["tls=", "tcp="]);
        } else if line.contains(" metrics ") {
            metrics = address(&line, &["address="]);
        }
        if said.lines().count() < LOG_LINES_MAX {
            said.push_str(&line);
            said.push('\n');
        }
    }
}

/// The address behind one of `keys` in a line of the log.
fn address(line: &str, keys: &[&str]) -> Option<SocketAddr> {
    let value = |word: &str| {
        let rest = keys.iter().find_map(|key| word.strip_prefix(key));
        rest.and_then(|rest| rest.parse().ok())
    };
    line.split_whitespace().find_map(value)
}
