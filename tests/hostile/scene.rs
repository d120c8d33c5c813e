//! A daemon under attack, and what it holds of its host.

use std::{cell::Cell, fs, net::SocketAddr, path::PathBuf, time::Duration};

use admit_proto::v1::Verdict;
use tempfile::TempDir;
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt as _;

use crate::{
    daemon::{Client, Daemon, channel, policy::A, within},
    page::Page,
};

/// How often it is looked whether something has come about.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// A daemon with every plaintext listener.
pub(crate) struct Scene {
    pub(crate) daemon: Daemon,
    pub(crate) socket: PathBuf,
    pub(crate) tcp: SocketAddr,
    pub(crate) health: SocketAddr,
    pub(crate) metrics: SocketAddr,
    process: PathBuf,
    folder: TempDir,
}

impl Scene {
    /// Starts a daemon with these lines in the section `limits`.
    pub(crate) async fn with(limits: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let policy = folder.path().join("policy");
        A.in_sot().write_to(&policy);
        let socket = folder.path().join("admitd.sock");
        let mut daemon = Daemon::spawn_configured(&format!(
            "policy_dir = {policy:?}\nrescan_interval = \"59m\"\nstaleness_max = \"1h\"\n\
             [listen]\nunix = {socket:?}\ntcp = \"127.0.0.1:0\"\nhealth = \"127.0.0.1:0\"\n\
             operations = \"127.0.0.1:0\"\n\
             [audit]\ndir = {:?}\nfree_space_min_bytes = 65536\n[limits]\n{limits}\n",
            folder.path().join("audit"),
        ));
        assert!(daemon.listens().await, "{}", daemon.log());
        let line = daemon.logged("listening").await;
        let health = line
            .split_whitespace()
            .find_map(|part| part.strip_prefix("health="));
        let health = health.unwrap().parse().unwrap();
        let peer = tokio::net::UnixStream::connect(&socket).await.unwrap();
        let pid = peer.peer_cred().unwrap().pid().unwrap();
        drop(peer);
        let scene = Self {
            tcp: daemon.tcp_address().await,
            metrics: daemon.metrics_address().await,
            health,
            daemon,
            socket,
            process: PathBuf::from(format!("/proc/{pid}")),
            folder,
        };
        // Only then its first connection has no place any more.
        eventually("an answer", async || {
            let asked = scene.local().await.admit(A.launch()).await;
            asked.ok()
        })
        .await;
        scene
    }

    /// Takes the decision record away.
    pub(crate) fn withdraw_policy(&self) {
        fs::remove_file(self.record()).unwrap();
    }

    /// Puts the decision record back, in one step.
    pub(crate) fn restore_policy(&self) {
        let aside = self.folder.path().join("record");
        fs::write(&aside, A.record()).unwrap();
        fs::rename(aside, self.record()).unwrap();
    }

    fn record(&self) -> PathBuf {
        let policy = self.folder.path().join("policy");
        policy.join(&A.in_sot().files[0].0)
    }

    /// A connection over TCP.
    pub(crate) async fn over_tcp(&self) -> Channel {
        within("a connection", endpoint(self.tcp).connect())
            .await
            .unwrap()
    }

    /// A client on a connection of its own, over TCP.
    pub(crate) async fn client(&self) -> Client {
        Client::new(self.over_tcp().await)
    }

    /// A client on a connection of its own, over the unix socket.
    pub(crate) async fn local(&self) -> Client {
        let channel = within("a connection", channel(&self.socket)).await;
        Client::new(channel.unwrap())
    }

    /// A launch is allowed, asked on a new connection of the host.
    pub(crate) async fn answers(&self) {
        let answer = self.local().await.admit(A.launch()).await.unwrap();
        assert_eq!(answer.verdict(), Verdict::Allow, "{answer:?}");
    }

    /// Health is answered, on both listeners that anybody on the network reaches.
    pub(crate) async fn is_healthy(&self) {
        self.is_healthy_at(self.tcp).await;
        self.is_healthy_at(self.health).await;
    }

    pub(crate) async fn is_healthy_at(&self, address: SocketAddr) {
        let status = self.health_at(address).await.unwrap();
        assert_eq!(status, ServingStatus::Serving);
    }

    /// What is said of health at this address, if there is a connection at all.
    pub(crate) async fn health_at(&self, address: SocketAddr) -> Option<ServingStatus> {
        let asked = async {
            let mut client = HealthClient::new(endpoint(address).connect().await.ok()?);
            let answer = client.check(HealthCheckRequest::default()).await;
            Some(answer.ok()?.into_inner().status())
        };
        within("health, or an end", asked).await
    }

    /// How often this limit was reached, as counted.
    pub(crate) async fn overloaded(&self, limit: &str) -> u64 {
        let name = format!("admit_overloaded_total{{limit=\"{limit}\"}}");
        self.metric(&name).await
    }

    pub(crate) async fn metric(&self, name: &str) -> u64 {
        Page::of(self.metrics).await.value(name)
    }

    /// The connections that the daemon counts as open, over every kind.
    pub(crate) async fn connections(&self) -> u64 {
        Page::of(self.metrics).await.sum("admit_connections{")
    }

    /// Waits until no connection is open, and then for this many descriptors at most.
    pub(crate) async fn is_left_alone(&self, descriptors: usize) {
        let left = async {
            while self.connections().await > 0 || self.descriptors() > descriptors {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        };
        within("the end of every connection", left).await;
    }

    /// The open descriptors of the daemon.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(self.process.join("fd")).unwrap().count()
    }

    /// The resident memory of the daemon, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(self.process.join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let text = line.unwrap().trim().trim_end_matches(" kB");
        text.parse().unwrap()
    }

    /// How many lines the log has.
    pub(crate) fn log_lines(&self) -> usize {
        self.daemon.log().lines().count()
    }
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::from_shared(format!("http://{address}")).unwrap()
}

/// The refusal for want of a place, with everything that a client needs to go on.
pub(crate) fn is_overloaded(status: &Status, limit: &str) {
    assert_eq!(
        status.code(),
        Code::ResourceExhausted,
        "{limit}: {status:?}"
    );
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    let said = (info.reason.as_str(), info.domain.as_str());
    assert_eq!(said, ("OVERLOADED", "admit.v1"), "{limit}");
    let retry = details.retry_info().unwrap().retry_delay.unwrap();
    assert!(retry > Duration::ZERO, "{limit}");
    let named = format!("`{limit}`");
    assert!(status.message().contains(&named), "{status:?}");
}

/// Tries until there is something.
pub(crate) async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let tried = async {
        loop {
            if let Some(found) = attempt().await {
                return found;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    };
    within(what, tried).await
}

/// What an attack may cost in memory, beyond what the daemon had before it, in KiB. The allocator gives
/// little back, and a debug build is wasteful.
const GROWTH_MAX_KIB: u64 = 48 * 1024;

/// Attacks a daemon with these limits: all the while and afterwards others are answered, its memory stays
/// within [`GROWTH_MAX_KIB`], its log says nothing, and in the end it holds what it held before.
pub(crate) async fn survives(limits: &str, attack: impl AsyncFnOnce(&Scene)) {
    let scene = Scene::with(limits).await;
    scene.is_left_alone(usize::MAX).await;
    let descriptors = scene.descriptors();
    let (resident, lines) = (scene.resident_kib(), scene.log_lines());
    let is_within = || {
        let grown = scene.resident_kib().saturating_sub(resident);
        assert!(grown <= GROWTH_MAX_KIB, "{grown} KiB more");
    };
    let is_over = Cell::new(false);
    let attacking = async {
        attack(&scene).await;
        is_over.set(true);
    };
    let asking = async {
        while !is_over.get() {
            scene.answers().await;
            scene.is_healthy().await;
            is_within();
        }
    };
    tokio::join!(attacking, asking);
    scene.answers().await;
    scene.is_healthy().await;
    // What is counted when the page is asked for has no connection of its own.
    scene.is_left_alone(descriptors).await;
    is_within();
    assert_eq!(scene.metric("admit_in_flight").await, 0);
    assert_eq!(scene.log_lines(), lines, "{}", scene.daemon.log());
}
