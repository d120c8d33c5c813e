//! The daemon as its users run it: the real process with a configuration of its own.
//!
//! Every wait is for an event (a line of the log, the end of the process, a message of a stream) and
//! fails loudly after [`PATIENCE`]. Deliberately absent: any look inside; the tests know what a
//! client, a log and an exit status tell.

pub(crate) mod policy;

use std::{
    fs,
    future::Future,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use admit_proto::v1::{
    AdmitRequest, AdmitResponse, CheckEvidenceRequest, CheckEvidenceResponse, GetPolicyRequest,
    PairChanged, Place, Policy, PolicyChanged, Reason, WatchPolicyRequest, WatchPolicyResponse,
    admission_service_client::AdmissionServiceClient, policy_service_client::PolicyServiceClient,
    watch_policy_response::Event,
};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{net::UnixStream, sync::watch};
use tonic::{
    IntoRequest, Status, Streaming,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};
use tower::service_fn;

/// Longest time that a test waits for one event. Far above every time that the product promises, so
/// that only what never comes ends a test by it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An interval so long that no test lives to see a second rescan: what is found is found through
/// notification.
pub(crate) const RESCAN_NEVER: &str = "59m";

/// A free port of the loopback address.
const FREE_PORT: &str = "127.0.0.1:0";
/// The file of the configuration, in a folder of the daemon's own.
const CONFIG_FILE: &str = "admitd.toml";
/// The file of what a daemon writes to its standard output, beside its configuration.
const STDOUT_FILE: &str = "stdout";

/// How a daemon is to be started.
pub(crate) struct Settings {
    pub(crate) policy_dir: PathBuf,
    pub(crate) rescan_interval: &'static str,
    pub(crate) staleness_max: &'static str,
    /// The socket to listen on; none for one in a folder of its own.
    pub(crate) socket: Option<PathBuf>,
    /// Whether to listen on a free port of the loopback address too.
    pub(crate) tcp: bool,
    /// A command that starts the daemon in turn, when it is not started directly.
    pub(crate) through: &'static [&'static str],
    /// The audit directory; none for one in a folder of its own.
    pub(crate) audit_dir: Option<PathBuf>,
    /// More lines of TOML, from within the section `audit` on.
    pub(crate) more_audit: String,
    /// Whether to serve metrics on a free port of the loopback address.
    pub(crate) metrics: bool,
    /// More variables of the daemon's environment.
    pub(crate) env: Vec<(String, String)>,
}

impl Settings {
    pub(crate) fn new(policy_dir: impl Into<PathBuf>) -> Self {
        Self {
            policy_dir: policy_dir.into(),
            rescan_interval: RESCAN_NEVER,
            staleness_max: "1h",
            socket: None,
            tcp: false,
            through: &[],
            audit_dir: None,
            more_audit: String::new(),
            metrics: false,
            env: Vec::new(),
        }
    }

    fn toml(&self, socket: &Path, audit_dir: &Path) -> String {
        format!(
            "policy_dir = {:?}\nrescan_interval = {:?}\nstaleness_max = {:?}\n\
             [listen]\nunix = {:?}\ntcp = {:?}\noperations = {:?}\n\
             [audit]\ndir = {:?}\nfree_space_min_bytes = 65536\n{}\n",
            self.policy_dir,
            self.rescan_interval,
            self.staleness_max,
            socket,
            if self.tcp { FREE_PORT } else { "" },
            if self.metrics { FREE_PORT } else { "" },
            audit_dir,
            self.more_audit,
        )
    }
}

/// What the process has said so far.
#[derive(Default)]
struct Log {
    lines: Vec<String>,
    /// Standard error is closed: the process has ended.
    has_ended: bool,
}

/// A running process of `admitd serve`. It does not outlive this value.
pub(crate) struct Daemon {
    child: Child,
    log: watch::Receiver<Log>,
    socket: PathBuf,
    folder: TempDir,
}

impl Daemon {
    /// Starts a daemon, and waits until it listens.
    pub(crate) async fn start(settings: &Settings) -> Self {
        let mut daemon = Self::spawn(settings);
        assert!(daemon.listens().await, "{}", daemon.log());
        daemon
    }

    /// Waits until the daemon listens, or has ended instead; whether it listens.
    pub(crate) async fn listens(&mut self) -> bool {
        self.says_or_ends("listening").await.is_some()
    }

    /// Starts a daemon that may fail to start.
    pub(crate) fn spawn(settings: &Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = settings.socket.clone();
        let socket = socket.unwrap_or_else(|| folder.path().join("admitd.sock"));
        let config = folder.path().join(CONFIG_FILE);
        let audit_dir = settings.audit_dir.clone();
        let audit_dir = audit_dir.unwrap_or_else(|| folder.path().join("audit"));
        fs::write(&config, settings.toml(&socket, &audit_dir)).unwrap();
        let (through, env) = (settings.through, settings.env.as_slice());
        Self::spawn_with(&config, through, env, socket, folder)
    }

    /// Starts a daemon with just this configuration, which may be wrong.
    pub(crate) fn spawn_configured(config: &str) -> Self {
        Self::spawn_through(&[], config)
    }

    /// The same, started in turn by the command `through`, if there is one.
    pub(crate) fn spawn_through(through: &[&str], config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(CONFIG_FILE);
        fs::write(&path, config).unwrap();
        let socket = folder.path().join("admitd.sock");
        Self::spawn_with(&path, through, &[], socket, folder)
    }

    fn spawn_with(
        config: &Path,
        through: &[&str],
        env: &[(String, String)],
        socket: PathBuf,
        folder: TempDir,
    ) -> Self {
        let admitd = env!("CARGO_BIN_EXE_admitd");
        let mut command = match through {
            [] => Command::new(admitd),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(admitd);
                command
            }
        };
        let mut child = command
            .args(["serve", "--config"])
            .arg(config)
            .envs(env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(fs::File::create(folder.path().join(STDOUT_FILE)).unwrap())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, log) = watch::channel(Log::default());
        thread::spawn(move || {
            for line in stderr.lines() {
                let line = line.unwrap_or_else(|error| format!("unreadable: {error}"));
                sender.send_modify(|log| log.lines.push(line));
            }
            sender.send_modify(|log| log.has_ended = true);
        });
        Self {
            child,
            log,
            socket,
            folder,
        }
    }

    /// The file of its configuration.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join(CONFIG_FILE)
    }

    /// The unix socket that it was told to listen on.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Everything that it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.borrow().lines.join("\n")
    }

    /// Waits for a line of the log that has `part` in it; that line.
    pub(crate) async fn logged(&mut self, part: &str) -> String {
        let line = self.says_or_ends(part).await;
        line.unwrap_or_else(|| panic!("no `{part}`, but the end:\n{}", self.log()))
    }

    async fn says_or_ends(&mut self, part: &str) -> Option<String> {
        let has_part = |line: &&String| line.contains(part);
        let found = self
            .log
            .wait_for(|log| log.has_ended || log.lines.iter().any(|line| has_part(&line)));
        let log = within(&format!("`{part}` in the log"), found)
            .await
            .unwrap();
        log.lines.iter().find(has_part).cloned()
    }

    /// What it has written to its standard output so far.
    pub(crate) fn stdout(&self) -> Vec<u8> {
        fs::read(self.folder.path().join(STDOUT_FILE)).unwrap()
    }

    /// The address that it says it listens on.
    pub(crate) async fn tcp_address(&mut self) -> SocketAddr {
        self.address("listening", "tcp=").await
    }

    /// The address that it says it serves metrics on.
    pub(crate) async fn metrics_address(&mut self) -> SocketAddr {
        self.address(" metrics ", "address=").await
    }

    async fn address(&mut self, part: &str, key: &str) -> SocketAddr {
        let line = self.logged(part).await;
        let address = line
            .split_whitespace()
            .find_map(|part| part.strip_prefix(key));
        address.unwrap().parse().unwrap()
    }

    /// The id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        // The process is reaped in `exited` only, so the id is still its own.
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end of the process.
    pub(crate) async fn exited(&mut self) -> ExitStatus {
        let ended = self.log.wait_for(|log| log.has_ended);
        drop(within("the end of the process", ended).await.unwrap());
        self.child.wait().unwrap()
    }

    /// Tells the daemon to stop as a supervisor does; how it ended.
    pub(crate) async fn terminate(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.exited().await
    }

    /// Ends the daemon without a chance to tidy up.
    pub(crate) async fn kill(mut self) {
        self.signal(Signal::KILL);
        assert_eq!(self.exited().await.signal(), Some(Signal::KILL.as_raw()));
    }

    /// A connection over the unix socket.
    pub(crate) async fn connect(&self) -> Channel {
        within("a connection", channel(&self.socket)).await.unwrap()
    }

    /// A client of everything, on a connection of its own.
    pub(crate) async fn client(&self) -> Client {
        Client::new(self.connect().await)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection to the unix socket at `path`.
pub(crate) async fn channel(path: &Path) -> Result<Channel, tonic::transport::Error> {
    let path = path.to_owned();
    // The authority is never looked up; the connector knows where to go.
    Endpoint::from_static("http://admitd")
        .connect_with_connector(service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        }))
        .await
}

/// The result of `future`, which has to be there within [`PATIENCE`].
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(result) => result,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}

/// The services of one daemon.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) channel: Channel,
    admission: AdmissionServiceClient<Channel>,
    policy: PolicyServiceClient<Channel>,
    health: HealthClient<Channel>,
}

impl Client {
    pub(crate) fn new(channel: Channel) -> Self {
        Self {
            admission: AdmissionServiceClient::new(channel.clone()),
            policy: PolicyServiceClient::new(channel.clone()),
            health: HealthClient::new(channel.clone()),
            channel,
        }
    }

    /// Asks about one launch.
    pub(crate) async fn admit(&mut self, request: AdmitRequest) -> Result<AdmitResponse, Status> {
        let answer = within("an answer", self.admission.admit(request)).await?;
        Ok(answer.into_inner())
    }

    /// Hands in the evidence of one run.
    pub(crate) async fn check_evidence<R: IntoRequest<CheckEvidenceRequest>>(
        &mut self,
        request: R,
    ) -> Result<CheckEvidenceResponse, Status> {
        let answer = within("a verdict", self.admission.check_evidence(request)).await?;
        Ok(answer.into_inner())
    }

    /// The policy in force.
    pub(crate) async fn policy(&mut self) -> Policy {
        let answer = within("the policy", self.policy.get_policy(GetPolicyRequest {})).await;
        answer.unwrap().into_inner().policy.unwrap()
    }

    /// Opens a watch.
    pub(crate) async fn watch(&mut self, request: WatchPolicyRequest) -> Result<Watch, Status> {
        let opened = within("a watch", self.policy.watch_policy(request)).await?;
        Ok(Watch(opened.into_inner()))
    }

    /// Follows the health of `service`.
    pub(crate) async fn health(&mut self, service: &str) -> HealthWatch {
        let request = HealthCheckRequest {
            service: service.into(),
        };
        let opened = within("a health watch", self.health.watch(request)).await;
        HealthWatch(opened.unwrap().into_inner())
    }
}

/// An open watch of the policy.
pub(crate) struct Watch(Streaming<WatchPolicyResponse>);

impl Watch {
    /// The next event; an error when the stream ends with one, as it always does.
    pub(crate) async fn next(&mut self) -> Result<Event, Status> {
        let message = within("an event", self.0.message()).await?;
        Ok(message.unwrap().event.unwrap())
    }

    /// The next event, which has to be about the policy.
    pub(crate) async fn policy_changed(&mut self) -> PolicyChanged {
        match self.next().await.unwrap() {
            Event::PolicyChanged(changed) => changed,
            Event::PairChanged(changed) => panic!("an event that is not due: {changed:?}"),
        }
    }

    /// The next event, which has to be about the pair.
    pub(crate) async fn pair_changed(&mut self) -> PairChanged {
        match self.next().await.unwrap() {
            Event::PairChanged(changed) => changed,
            Event::PolicyChanged(changed) => panic!("an event that is not due: {changed:?}"),
        }
    }
}

/// An open watch of a service's health.
pub(crate) struct HealthWatch(Streaming<HealthCheckResponse>);

impl HealthWatch {
    /// The next status that the daemon reports.
    pub(crate) async fn next(&mut self) -> ServingStatus {
        let message = within("a health status", self.0.message()).await;
        message.unwrap().unwrap().status()
    }

    /// Waits until the daemon reports `status`.
    pub(crate) async fn until(&mut self, status: ServingStatus) {
        while self.next().await != status {}
    }
}

/// The codes of `reasons`, in their order.
pub(crate) fn codes(reasons: &[Reason]) -> Vec<&str> {
    reasons.iter().map(|reason| reason.code.as_str()).collect()
}

/// A place as a compiler would write it.
pub(crate) fn written(place: &Place) -> String {
    format!("{}:{}:{}", place.path, place.line, place.column)
}

/// Each test binary uses a part of this module; here the whole of it counts as used.
const _: () = {
    let _ = Daemon::id;
    let _ = |path: &Path| drop(Settings::new(path));
    let _ = Daemon::start;
    let _ = Daemon::spawn_configured;
    let _ = Daemon::config;
    let _ = Daemon::spawn_through;
    let _ = Daemon::log;
    let _ = Daemon::id;
    let _ = Daemon::socket;
    let _ = Daemon::tcp_address;
    let _ = Daemon::metrics_address;
    let _ = Daemon::stdout;
    let _ = Daemon::terminate;
    let _ = Daemon::kill;
    let _ = Daemon::client;
    let _ = Client::watch;
    let _ = Client::check_evidence::<CheckEvidenceRequest>;
    let _ = Client::policy;
    let _ = |client: &Client| drop(client.channel.clone());
    let _ = Client::health;
    let _ = HealthWatch::until;
    let _ = Watch::policy_changed;
    let _ = Watch::pair_changed;
    let _ = codes;
    let _ = written;
};
