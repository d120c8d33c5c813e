//! Two daemons with the same policy files, on two addresses, and one client: whatever becomes of one of
//! them, every call is answered by the other within its deadline, and both logs are whole.
//!
//! Deliberately absent: servers that answer wrongly; see the client's own tests.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails loudly"
)]

mod daemon;
#[path = "failover/drained.rs"]
mod drained;
#[path = "failover/hold.rs"]
mod hold;
#[path = "failover/network.rs"]
mod network;
#[path = "failover/proxy.rs"]
mod proxy;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use admit_client::{Answer, AskError, Client, Contact, Endpoints, PairEvent};
use admit_server::audit::verify::{Known, verify};
use daemon::{Daemon, policy::A, within};
use hold::Held;
use proxy::Proxy;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinSet};
use tonic::{Code, transport::Endpoint};
use tonic_health::pb::health_check_response::ServingStatus;

/// What a call has. A server that says nothing costs half of it.
const DEADLINE: Duration = Duration::from_secs(6);
const CALLERS: usize = 3;
/// Answers of one server before anything happens to it, and of the other one afterwards.
const ANSWERS: usize = 20;
const LOOPBACK: [&str; 2] = ["127.0.0.1:0", "127.0.0.2:0"];

/// One daemon, at an address that it keeps over restarts.
struct Server {
    daemon: Daemon,
    address: SocketAddr,
    audit: PathBuf,
    config: String,
}

impl Server {
    async fn start(folder: &Path, address: &str, more: &str) -> Self {
        Self::start_through(&[], folder, address, more).await
    }

    /// The same, started by the command `through`.
    async fn start_through(through: &[&str], folder: &Path, address: &str, more: &str) -> Self {
        let audit = folder.join(address.replace(':', "-"));
        let config = move |address: &str, audit: &Path| {
            format!(
                "policy_dir = {:?}\nrescan_interval = \"59m\"\nstaleness_max = \"1h\"\n\
                 [listen]\ntcp = {address:?}\n{more}\n\
                 [audit]\ndir = {audit:?}\nfree_space_min_bytes = 65536\n",
                folder.join("policy"),
            )
        };
        let mut daemon = Daemon::spawn_through(through, &config(address, &audit));
        let address = daemon.tcp_address().await;
        let server = Self {
            daemon,
            address,
            config: config(&address.to_string(), &audit),
            audit,
        };
        server.serves().await;
        server
    }

    /// Starts it again; how it ended is known.
    async fn again(&mut self) {
        self.daemon = Daemon::spawn_configured(&self.config);
        assert!(self.daemon.listens().await, "{}", self.daemon.log());
        self.serves().await;
    }

    async fn serves(&self) {
        let mut health = self.client().await.health("").await;
        health.until(ServingStatus::Serving).await;
    }

    async fn client(&self) -> daemon::Client {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        daemon::Client::new(within("a connection", endpoint.connect()).await.unwrap())
    }
}

/// What both servers acknowledged: the hashes of records, by stream and number.
type Acknowledged = BTreeMap<String, BTreeMap<u64, String>>;

/// Two servers, the first of them behind a proxy, and everything that they acknowledged.
struct Pair {
    _folder: TempDir,
    servers: [Server; 2],
    proxy: Proxy,
    acknowledged: Arc<Mutex<Acknowledged>>,
    /// How many answers each of them gave.
    answers: watch::Sender<[usize; 2]>,
    stop: watch::Sender<bool>,
}

impl Pair {
    async fn start(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        A.in_sot().write_to(&folder.path().join("policy"));
        let servers = [
            Server::start(folder.path(), LOOPBACK[0], more).await,
            Server::start(folder.path(), LOOPBACK[1], "").await,
        ];
        let proxy = Proxy::before(servers[0].address).await;
        Self {
            _folder: folder,
            servers,
            proxy,
            acknowledged: Arc::default(),
            answers: watch::Sender::default(),
            stop: watch::Sender::new(false),
        }
    }

    fn endpoints(&self) -> Endpoints {
        let [first, second] = [self.proxy.address, self.servers[1].address];
        format!("http://{first},http://{second}").parse().unwrap()
    }

    fn client(&self) -> Client {
        Client::new(self.endpoints(), DEADLINE)
    }

    /// Callers that ask until they are told to stop. Each call has to be allowed within its deadline.
    fn load(&self) -> JoinSet<()> {
        let first = self.endpoints().iter().next().unwrap().clone();
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let (mut client, first) = (self.client(), first.clone());
            let (acknowledged, answers) = (Arc::clone(&self.acknowledged), self.answers.clone());
            let stop = self.stop.subscribe();
            callers.spawn(async move {
                while !*stop.borrow() {
                    let answer = client.admit(A.launch()).await;
                    note(&acknowledged, &answer.unwrap());
                    let at = usize::from(client.answered_by() != Some(&first));
                    answers.send_modify(|answers| answers[at] += 1);
                }
            });
        }
        callers
    }

    /// Waits for so many more answers of one of them.
    async fn answered_by(&self, at: usize) {
        let mut answers = self.answers.subscribe();
        let target = answers.borrow()[at] + ANSWERS;
        let enough = answers.wait_for(|answers| answers[at] >= target);
        drop(within("answers", enough).await.unwrap());
    }

    /// The first server comes to answer a client that has no other. What stood still for long may take
    /// its disk for a slow one, and refuse a little longer.
    async fn first_is_back(&self) {
        let endpoints: Endpoints = format!("http://{}", self.proxy.address).parse().unwrap();
        let mut alone = Client::new(endpoints, DEADLINE);
        let answer = async {
            loop {
                match alone.admit(A.launch()).await {
                    Ok(answer) => return answer,
                    Err(AskError::Failed {
                        code: Code::Unavailable,
                        ..
                    }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        };
        note(&self.acknowledged, &within("an answer", answer).await);
    }

    /// Both end, and both logs have all that was acknowledged.
    async fn ends_whole(self) {
        let acknowledged = self.acknowledged.lock().unwrap().clone();
        for server in self.servers {
            assert_eq!(server.daemon.terminate().await.code(), Some(0));
            whole(&server.audit, &acknowledged);
        }
    }
}

/// An ALLOW has a record, and no two answers have the same.
fn note(acknowledged: &Mutex<Acknowledged>, answer: &Answer) {
    let Answer::Allowed(allowed) = answer else {
        panic!("another verdict: {answer:?}")
    };
    let record = allowed.record();
    let mut acknowledged = acknowledged.lock().unwrap();
    let stream = acknowledged
        .entry(record.stream_id.to_string())
        .or_default();
    let twice = stream.insert(record.seq, record.hash.to_string());
    assert_eq!(twice, None, "seq {} was given twice", record.seq);
}

/// The log in `audit`, which has to have what is known of it.
fn whole(audit: &Path, acknowledged: &Acknowledged) {
    let mut found = BTreeMap::new();
    let verified = verify(audit, &Known::default(), |links, _, _| {
        found.extend(links.seq.map(|seq| (seq, links.hash.clone())));
    })
    .unwrap();
    let known = acknowledged.get(&verified.stream_id);
    for (seq, hash) in known.into_iter().flatten() {
        assert_eq!(found.get(seq), Some(hash), "seq {seq}");
    }
}

/// What becomes of the first server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Stopped,
    Drained,
    CutOff,
    Killed,
}

impl Fault {
    async fn strike(self, pair: &mut Pair) {
        let server = &mut pair.servers[0];
        match self {
            Self::Stopped => server.daemon.signal(Signal::STOP),
            Self::CutOff => pair.proxy.cut(),
            Self::Drained => {
                server.daemon.signal(Signal::TERM);
                assert_eq!(server.daemon.exited().await.code(), Some(0));
            }
            Self::Killed => {
                server.daemon.signal(Signal::KILL);
                server.daemon.exited().await;
            }
        }
    }

    async fn end(self, pair: &mut Pair) {
        match self {
            Self::Stopped => pair.servers[0].daemon.signal(Signal::CONT),
            Self::CutOff => pair.proxy.mend(),
            Self::Drained | Self::Killed => pair.servers[0].again().await,
        }
    }
}

/// Asks all the time while the first server fails, comes back, and the second one is killed.
async fn survives(fault: Fault) {
    let mut pair = Pair::start("").await;
    let mut callers = pair.load();
    let mut following = pair.client().follow(&A.launch().provider, A.0);
    assert!(matches!(following.next().await, PairEvent::Admitted));
    pair.answered_by(0).await;
    fault.strike(&mut pair).await;
    pair.answered_by(1).await;
    // Whoever followed the pair is told that nobody knows, and then what the other one knows.
    let told = [
        within("the loss", following.next()).await,
        within("the contact", following.next()).await,
        within("the state", following.next()).await,
    ];
    assert!(
        matches!(
            told,
            [
                PairEvent::Contact(Contact::Lost { .. }),
                PairEvent::Contact(Contact::Restored),
                PairEvent::Admitted,
            ]
        ),
        "{fault:?}: {told:?}"
    );
    fault.end(&mut pair).await;
    pair.first_is_back().await;
    pair.servers[1].daemon.signal(Signal::KILL);
    pair.servers[1].daemon.exited().await;
    pair.answered_by(0).await;
    pair.servers[1].again().await;
    pair.stop.send_replace(true);
    while let Some(ended) = within("the last calls", callers.join_next()).await {
        ended.unwrap();
    }
    pair.ends_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_stopped_is_replaced() {
    survives(Fault::Stopped).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_drained_is_replaced() {
    survives(Fault::Drained).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_cut_off_is_replaced() {
    survives(Fault::CutOff).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_is_replaced() {
    survives(Fault::Killed).await;
}

/// A place for one call, and all the time in the world.
const ONE_CALL: &str = "[limits]\nin_flight = 1\nin_flight_per_caller = 1\nrequest_time = \"5m\"\n";

/// Waits until the server is over its limit.
async fn is_overloaded(client: &mut daemon::Client) {
    let refused = async {
        loop {
            match client.admit(A.launch()).await {
                Ok(_) => {}
                Err(status) => {
                    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
                    return;
                }
            }
        }
    };
    within("a refusal", refused).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_overloaded_is_passed_over_and_alone_asked_again() {
    let pair = Pair::start(ONE_CALL).await;
    let mut direct = pair.servers[0].client().await;
    let held = Held::on(direct.channel.clone());
    is_overloaded(&mut direct).await;
    // The other one answers.
    let mut client = pair.client();
    note(&pair.acknowledged, &client.admit(A.launch()).await.unwrap());
    let by = client.answered_by().unwrap().to_string();
    assert_eq!(by, format!("http://{}", pair.servers[1].address));
    // With no other one, the call waits for the place.
    let endpoints: Endpoints = format!("http://{}", pair.servers[0].address)
        .parse()
        .unwrap();
    let mut alone = Client::new(endpoints.clone(), DEADLINE);
    let asking = tokio::spawn(async move { alone.admit(A.launch()).await });
    let mut hasty = Client::new(endpoints, Duration::from_millis(200));
    let error = hasty.admit(A.launch()).await.unwrap_err();
    assert!(error.to_string().contains("OVERLOADED"), "{error}");
    drop(held);
    let answer = within("an answer", asking).await.unwrap();
    note(&pair.acknowledged, &answer.unwrap());
    pair.ends_whole().await;
}
