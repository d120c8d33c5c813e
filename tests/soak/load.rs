//! Everything that is asked of the daemon, again and again until it is told to stop.

use std::{future::Future, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use admit_proto::v1::{
    AdmitRequest, EvidenceVerdict, GetPermitKeysRequest, PipelineOutcome, Presence, Verdict,
    WatchPolicyRequest, policy_service_client::PolicyServiceClient,
};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    time::MissedTickBehavior,
};
use tonic::{Code, transport::Endpoint};

use crate::{
    daemon::{
        Client, channel,
        policy::{A, B, Chosen},
        within,
    },
    finished::finished,
    ledger::{Came, Ledger},
};

/// Calls of one connection before it is given up for another.
const CALLS_PER_CONNECTION: usize = 60;
/// From one call of a connection to the next, so that a long load does not fill the disk.
const CALL_INTERVAL: Duration = Duration::from_millis(10);
/// How often the policy is rewritten, and the metrics are read.
const REWRITE_INTERVAL: Duration = Duration::from_secs(1);
const SCRAPE_INTERVAL: Duration = Duration::from_millis(500);
/// Events of one watch before it is given up for another.
const EVENTS_PER_WATCH: usize = 3;

/// What the load is put on, and what is known of it.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) socket: PathBuf,
    pub(crate) tcp: SocketAddr,
    pub(crate) metrics: SocketAddr,
    pub(crate) policy: PathBuf,
    /// The other policy.
    pub(crate) staged: PathBuf,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) stop: watch::Sender<bool>,
}

impl Load {
    fn goes_on(&self) -> bool {
        !*self.stop.borrow()
    }

    /// What `future` gives, unless the load ends before.
    async fn unless_stopped<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut stop = self.stop.subscribe();
        tokio::select! {
            result = future => Some(result),
            _ = stop.wait_for(|stop| *stop) => None,
        }
    }

    /// A connection of one kind or the other.
    async fn connect(&self, over_tcp: bool) -> Client {
        if over_tcp {
            let endpoint = Endpoint::from_shared(format!("http://{}", self.tcp)).unwrap();
            Client::new(within("a connection", endpoint.connect()).await.unwrap())
        } else {
            let channel = within("a connection", channel(&self.socket)).await;
            Client::new(channel.unwrap())
        }
    }

    /// Asks, one connection after the other.
    pub(crate) async fn ask(self, first: usize) {
        let mut tick = tokio::time::interval(CALL_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut permit = None;
        let mut connections = first;
        while self.goes_on() {
            let mut client = self.connect(connections.is_multiple_of(2)).await;
            connections += 1;
            for call in 0..CALLS_PER_CONNECTION {
                tick.tick().await;
                match call % 6 {
                    0 | 3 => {
                        if let Some(new) = self.launch(&mut client, A).await {
                            permit = Some(new);
                        }
                    }
                    1 => drop(self.launch(&mut client, B).await),
                    2 => self.never_allowed(&mut client).await,
                    4 => self.invalid(&mut client).await,
                    _ => match &permit {
                        Some(permit) => self.evidence(&mut client, permit, call).await,
                        None => self.keys(&mut client).await,
                    },
                }
            }
            self.keys(&mut client).await;
        }
    }

    /// A launch that is allowed exactly under the policy of its pair; the permit, if there is one.
    async fn launch(&self, client: &mut Client, chosen: Chosen) -> Option<String> {
        let answer = client.admit(chosen.launch()).await.unwrap();
        let is_allowed = answer.verdict() == Verdict::Allow;
        let is_due = answer.policy_digest == chosen.in_sot().digest();
        assert_eq!(is_allowed, is_due, "{answer:?}");
        self.ledger.acknowledge(answer.seq, answer.record_hash);
        self.ledger.count(if is_allowed {
            Came::Allowed
        } else {
            Came::Denied
        });
        is_allowed.then_some(answer.permit)
    }

    async fn never_allowed(&self, client: &mut Client) {
        let request = AdmitRequest {
            model_flag: Presence::Present.into(),
            ..A.launch()
        };
        let answer = client.admit(request).await.unwrap();
        assert_eq!(answer.verdict(), Verdict::Deny, "{answer:?}");
        self.ledger.acknowledge(answer.seq, answer.record_hash);
        self.ledger.count(Came::Denied);
    }

    async fn invalid(&self, client: &mut Client) {
        let request = AdmitRequest {
            host: "h".repeat(10_000),
            ..A.launch()
        };
        let status = client.admit(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        self.ledger.count(Came::Invalid);
    }

    /// Evidence of a run that went well, and every other time of one that did not.
    async fn evidence(&self, client: &mut Client, permit: &str, call: usize) {
        let is_good = call % 4 == 1;
        let mut evidence = finished(permit);
        if !is_good {
            evidence.pipeline = PipelineOutcome::Failed.into();
        }
        let answer = client.check_evidence(evidence).await.unwrap();
        let is_accepted = answer.verdict() == EvidenceVerdict::Accepted;
        assert_eq!(is_accepted, is_good, "{answer:?}");
        self.ledger.count(if is_accepted {
            Came::Accepted
        } else {
            Came::Rejected
        });
        self.ledger.acknowledge(answer.seq, answer.record_hash);
    }

    async fn keys(&self, client: &mut Client) {
        let mut service = PolicyServiceClient::new(client.channel.clone());
        let answer = within("the keys", service.get_permit_keys(GetPermitKeysRequest {})).await;
        assert!(answer.unwrap().into_inner().jwks.contains("Ed25519"));
        self.ledger.count(Came::Keys);
    }

    /// Follows the policy or a pair for a few events, one watch after the other.
    pub(crate) async fn watch(self) {
        let mut watches = 0_u64;
        while self.goes_on() {
            let mut client = self.connect(watches.is_multiple_of(3)).await;
            let request = if watches.is_multiple_of(2) {
                A.follow()
            } else {
                WatchPolicyRequest::default()
            };
            watches += 1;
            let mut watch = client.watch(request).await.unwrap();
            for _ in 0..EVENTS_PER_WATCH {
                let Some(event) = self.unless_stopped(watch.next()).await else {
                    return;
                };
                event.unwrap();
                self.ledger.count(Came::WatchEvent);
            }
        }
    }

    /// Rewrites the policy, and waits until the daemon tells of it.
    pub(crate) async fn rewrite(self) {
        let mut client = self.connect(false).await;
        let request = WatchPolicyRequest::default();
        let mut watch = client.watch(request).await.unwrap();
        let mut tick = tokio::time::interval(REWRITE_INTERVAL);
        for next in [B, A].into_iter().cycle() {
            if self.unless_stopped(tick.tick()).await.is_none() {
                return;
            }
            // In one step: no half of a policy is ever there.
            let folders = [&self.staged, &self.policy].map(|folder| folder.join("sot"));
            let [staged, policy] = &folders;
            renameat_with(CWD, staged, CWD, policy, RenameFlags::EXCHANGE).unwrap();
            let digest = next.in_sot().digest();
            while watch.policy_changed().await.digest != digest {}
            self.ledger.count(Came::Rewritten);
        }
    }

    /// Reads the metrics; however long it goes on, they do not become more.
    pub(crate) async fn scrape(self) {
        let mut tick = tokio::time::interval(SCRAPE_INTERVAL);
        while self.unless_stopped(tick.tick()).await.is_some() {
            let mut stream = TcpStream::connect(self.metrics).await.unwrap();
            let request = "GET /metrics HTTP/1.1\r\nhost: admitd\r\nconnection: close\r\n\r\n";
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut page = String::new();
            within("the metrics", stream.read_to_string(&mut page))
                .await
                .unwrap();
            assert!(page.contains("admit_audit_writable 1"), "{page}");
            assert!(page.lines().count() < 1000, "{page}");
            self.ledger.count(Came::Scraped);
        }
    }
}
