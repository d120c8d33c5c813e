//! Two servers, each in a network namespace of its own, whose links go down and come back.

use std::{process::Command, sync::Mutex};

use admit_client::{Client, Endpoint, Endpoints};

use crate::{Acknowledged, DEADLINE, Server, daemon::policy::A, note, whole};

/// A key that says what it does: there is nothing but this test on the wire. And who that is.
const PLAINTEXT: &str = "dangerously_allow_plaintext_beyond_loopback = true\n\
    [[callers]]\nname = \"test\"\nplaintext = true\n\
    rpcs = [\"Admit\"]\nlanes = [\"fake\", \"real\"]\nhosts = [\"*\"]";
const ASKS: usize = 5;

/// A namespace, and the link to it; gone in the end.
struct Network {
    name: String,
    address: String,
}

impl Network {
    fn new(number: usize) -> Self {
        let name = format!("admit{}{number}", std::process::id());
        let network = Self {
            address: format!("198.18.{number}.2:7117"),
            name,
        };
        let (name, peer) = (&network.name, format!("{}p", network.name));
        ip(&["netns", "add", name]);
        ip(&[
            "link", "add", name, "type", "veth", "peer", "name", &peer, "netns", name,
        ]);
        ip(&["addr", "add", &format!("198.18.{number}.1/30"), "dev", name]);
        ip(&["link", "set", name, "up"]);
        let inner = format!("198.18.{number}.2/30");
        ip(&["-n", name, "addr", "add", &inner, "dev", &peer]);
        ip(&["-n", name, "link", "set", &peer, "up"]);
        network
    }

    fn link(&self, state: &str) {
        ip(&["link", "set", &self.name, state]);
    }

    fn endpoint(&self) -> Endpoint {
        let text = format!("http://{}", self.address);
        Endpoint::allow_plaintext_beyond_loopback(&text).unwrap()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The link goes with it.
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .status();
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "NOT TESTED: ip {arguments:?} failed; this test makes networks and has to run as root: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Asks a few times; each call is allowed within its deadline, and the last one by `server`.
async fn asks(client: &mut Client, server: &Network, acknowledged: &Mutex<Acknowledged>) {
    for _ in 0..ASKS {
        note(acknowledged, &client.admit(A.launch()).await.unwrap());
    }
    assert_eq!(client.answered_by(), Some(&server.endpoint()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "makes network namespaces, which needs root"]
async fn a_link_that_goes_down_leaves_the_other_server() {
    let folder = tempfile::tempdir().unwrap();
    A.in_sot().write_to(&folder.path().join("policy"));
    let networks = [Network::new(0), Network::new(1)];
    let mut servers = Vec::new();
    for network in &networks {
        let through = ["ip", "netns", "exec", network.name.as_str()];
        let address = network.address.as_str();
        let server = Server::start_through(&through, folder.path(), address, PLAINTEXT);
        servers.push(server.await);
    }
    let endpoints = Endpoints::new(networks.iter().map(Network::endpoint)).unwrap();
    let mut client = Client::new(endpoints, DEADLINE);
    let acknowledged = Mutex::default();
    let [first, second] = &networks;
    asks(&mut client, first, &acknowledged).await;
    for (down, up) in [(first, second), (second, first)] {
        down.link("down");
        asks(&mut client, up, &acknowledged).await;
        down.link("up");
        let mut alone = Client::new(down.endpoint(), DEADLINE);
        asks(&mut alone, down, &acknowledged).await;
    }
    let acknowledged = acknowledged.into_inner().unwrap();
    for server in servers {
        assert_eq!(server.daemon.terminate().await.code(), Some(0));
        whole(&server.audit, &acknowledged);
    }
}
