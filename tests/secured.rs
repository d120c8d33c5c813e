//! Mutual TLS before the real daemon: callers by certificate, changes of the roster and of the files while
//! connections are open.
//!
//! Deliberately absent: what can be wrong with a certificate (`tls.rs`), and the grants themselves
//! (`callers.rs`).

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails loudly")]

mod authority;
mod daemon;

use std::{
    fs::{self, Permissions},
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use admit_proto::v1::{GetPolicyRequest, Verdict, policy_service_client::PolicyServiceClient};
use authority::{Authority, FUTURE, Issued};
use daemon::{Client, Daemon, policy::A, within};
use rustix::process::Signal;
use tempfile::TempDir;
use tonic::{
    Code, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_types::StatusExt as _;

const HERMES: &str = "hermes.example";
const OPERATOR: &str = "operator.example";
const STRANGER: &str = "stranger.example";

/// A daemon that is reached over TLS alone.
struct Scene {
    folder: TempDir,
    daemon: Daemon,
    authority: Authority,
    address: SocketAddr,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        A.in_sot().write_to(&folder.path().join("policy"));
        write_server(folder.path(), &authority);
        fs::write(folder.path().join("ca.crt"), &authority.certificate).unwrap();
        let config = config(folder.path(), &roster(HERMES));
        let mut daemon = Daemon::spawn_configured(&config);
        let line = daemon.logged("listening").await;
        let address = line
            .split_whitespace()
            .find_map(|part| part.strip_prefix("tls="));
        Self {
            address: address.unwrap().parse().unwrap(),
            folder,
            daemon,
            authority,
        }
    }

    /// A connection of whoever has this certificate, to a server of this authority.
    async fn connect(
        &self,
        identity: Option<&Issued>,
        trusted: &Authority,
    ) -> Result<Channel, tonic::transport::Error> {
        let mut tls = ClientTlsConfig::new()
            .domain_name("localhost")
            .ca_certificate(Certificate::from_pem(&trusted.certificate));
        if let Some(issued) = identity {
            tls = tls.identity(Identity::from_pem(&issued.certificate, &issued.key));
        }
        let endpoint = Endpoint::from_shared(format!("https://{}", self.address)).unwrap();
        within("a connection", endpoint.tls_config(tls).unwrap().connect()).await
    }

    /// A client of the name `name`.
    async fn client(&self, name: &str) -> Client {
        let issued = self.authority.issue(name, FUTURE);
        Client::new(self.connect(Some(&issued), &self.authority).await.unwrap())
    }

    /// Has the daemon read its configuration again, with this roster; returns when it has.
    async fn reread(&mut self, config: &str, told: &str) {
        fs::write(self.daemon.config(), config).unwrap();
        self.daemon.signal(Signal::HUP);
        self.daemon.logged(told).await;
    }
}

fn write_server(folder: &Path, authority: &Authority) {
    let issued = authority.issue("localhost", FUTURE);
    let key = folder.join("tls.key");
    fs::write(&key, &issued.key).unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    fs::write(folder.join("tls.crt"), &issued.certificate).unwrap();
}

fn config(folder: &Path, roster: &str) -> String {
    let path = |name: &str| folder.join(name);
    format!(
        "policy_dir = {:?}\nrescan_interval = \"59m\"\nstaleness_max = \"1h\"\n\
         [listen]\ntcp = \"\"\ntls = \"127.0.0.1:0\"\n\
         [tls]\ncertificate = {:?}\nkey = {:?}\nclient_ca = {:?}\n\
         [audit]\ndir = {:?}\nfree_space_min_bytes = 65536\n{roster}",
        path("policy"),
        path("tls.crt"),
        path("tls.key"),
        path("ca.crt"),
        path("audit"),
    )
}

/// The roster: `asking` may ask, the operator may look.
fn roster(asking: &str) -> String {
    format!(
        "[[callers]]\nname = \"asking\"\ncertificates = [\"dns:{asking}\"]\n\
         rpcs = [\"Admit\", \"WatchPolicy\"]\nlanes = [\"fake\", \"real\"]\nhosts = [\"*\"]\n\
         [[callers]]\nname = \"operator\"\ncertificates = [\"dns:{OPERATOR}\"]\nrpcs = [\"GetPolicy\"]\n"
    )
}

fn reason(status: &Status) -> (Code, String) {
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.clone());
    (status.code(), reason.unwrap_or_default())
}

fn is_not_allowed(status: &Status) {
    let expected = (Code::PermissionDenied, "CALLER_NOT_ALLOWED".to_owned());
    assert_eq!(reason(status), expected, "{status:?}");
}

#[tokio::test]
async fn a_caller_is_known_by_its_certificate() {
    let mut scene = Scene::new().await;
    let mut hermes = scene.client(HERMES).await;
    let answer = hermes.admit(A.launch()).await.unwrap();
    assert_eq!(answer.verdict(), Verdict::Allow);
    hermes.health("").await.until(ServingStatus::Serving).await;
    // What is not granted, to one caller and to another.
    let mut looking = PolicyServiceClient::new(hermes.channel.clone());
    is_not_allowed(&looking.get_policy(GetPolicyRequest {}).await.unwrap_err());
    let mut operator = scene.client(OPERATOR).await;
    operator.policy().await;
    is_not_allowed(&operator.admit(A.launch()).await.unwrap_err());
    // A good certificate of somebody whom nobody named.
    let mut stranger = scene.client(STRANGER).await;
    is_not_allowed(&stranger.admit(A.launch()).await.unwrap_err());
    // Nobody at all.
    assert!(
        scene.connect(None, &scene.authority).await.is_err() || {
            // The client may believe itself connected until it calls.
            let channel = scene.connect(None, &scene.authority).await;
            Client::new(channel.unwrap())
                .admit(A.launch())
                .await
                .is_err()
        }
    );
    scene.daemon.logged("no-certificate").await;
    let audit = scene.folder.path().join("audit");
    assert_eq!(scene.daemon.terminate().await.code(), Some(0));
    let log: String = fs::read_dir(audit)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "jsonl")
        })
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    for (part, count) in [
        ("\"caller\":\"asking\"", 2),
        ("\"caller\":\"operator\"", 1),
        ("\"type\":\"refused\"", 3),
        ("\"cause\":\"unknown-caller\"", 1),
        ("\"type\":\"decision\"", 1),
        (STRANGER, 0),
    ] {
        assert_eq!(log.matches(part).count(), count, "{part} in {log}");
    }
}

#[tokio::test]
async fn a_caller_that_is_taken_from_the_roster_is_refused_on_its_open_connection() {
    let mut scene = Scene::new().await;
    let mut hermes = scene.client(HERMES).await;
    hermes.admit(A.launch()).await.unwrap();
    let mut watch = hermes.watch(A.follow()).await.unwrap();
    watch.policy_changed().await;
    watch.pair_changed().await;
    // A broken configuration changes nothing.
    let folder = scene.folder.path().to_owned();
    scene
        .reread("allow_all = true\n", "the configuration is not taken")
        .await;
    hermes.admit(A.launch()).await.unwrap();
    let other = config(&folder, &roster(STRANGER));
    scene.reread(&other, "the callers were changed").await;
    is_not_allowed(&hermes.admit(A.launch()).await.unwrap_err());
    is_not_allowed(&watch.next().await.unwrap_err());
    // Who is named now may call.
    let mut stranger = scene.client(STRANGER).await;
    stranger.admit(A.launch()).await.unwrap();
    // What takes a restart is said.
    let limits = format!("{other}[limits]\nidle = \"1s\"\n");
    scene.reread(&limits, "after a restart only").await;
}

#[tokio::test]
async fn files_are_renewed_under_open_connections() {
    let scene = Scene::new().await;
    let mut hermes = scene.client(HERMES).await;
    hermes.admit(A.launch()).await.unwrap();
    // A new certificate of the server, of another authority; clients stay those of the old one.
    let other = Authority::new();
    write_server(scene.folder.path(), &other);
    scene.daemon.signal(Signal::HUP);
    let issued = scene.authority.issue(HERMES, FUTURE);
    let renewed = within("the new certificate", async {
        loop {
            if let Ok(channel) = scene.connect(Some(&issued), &other).await {
                return channel;
            }
        }
    });
    let mut renewed = Client::new(renewed.await);
    renewed.admit(A.launch()).await.unwrap();
    hermes.admit(A.launch()).await.unwrap();
    // The authority of the clients is replaced: the open connections are nobody's any more.
    fs::write(scene.folder.path().join("ca.crt"), &other.certificate).unwrap();
    scene.daemon.signal(Signal::HUP);
    let mut watching = scene_client(&scene, &other).await;
    watching.admit(A.launch()).await.unwrap();
    within("the end of the old connections", async {
        while hermes.admit(A.launch()).await.is_ok() {}
    })
    .await;
}

/// A client that `authority` vouches for, once the daemon believes it.
async fn scene_client(scene: &Scene, authority: &Authority) -> Client {
    let issued = authority.issue(HERMES, FUTURE);
    within("a connection of the new authority", async {
        loop {
            if let Ok(channel) = scene.connect(Some(&issued), authority).await {
                let mut client = Client::new(channel);
                if client.admit(A.launch()).await.is_ok() {
                    return client;
                }
            }
        }
    })
    .await
}
