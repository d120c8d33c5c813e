//! Who may call: the roster of the configuration before the real daemon, over TCP and the unix socket.
//!
//! The user that runs the tests is a caller, or nobody, by what the roster says of its id. That the daemon
//! tells other users from its own takes threads with another user id, and so root.
//! Deliberately absent: certificates.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails loudly")]

#[path = "callers/asking.rs"]
mod asking;
mod daemon;
#[path = "hostile/page.rs"]
mod page;
#[path = "callers/refusing.rs"]
mod refusing;

use std::{
    fs,
    net::SocketAddr,
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::PathBuf,
    thread,
};

use admit_proto::v1::Verdict;
use admit_server::{
    audit::{
        record::{Entry, Refusal},
        verify::{Known, verify},
    },
    caller::Rpc,
};
use asking::{call, lists_services};
use daemon::{Client, Daemon, Settings, policy::A, within};
use hyper_util::rt::TokioIo;
use page::Page;
use rustix::{
    process::{Uid, getuid},
    thread::set_thread_res_uid,
};
use tempfile::TempDir;
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_types::StatusExt as _;
use tower::service_fn;

/// User ids that no account of a test machine has to have, and none that runs the tests has.
const UID: u32 = 30_001;
const OTHER_UID: u32 = 30_099;

/// A daemon with a roster.
struct Scene {
    folder: TempDir,
    daemon: Daemon,
    tcp: SocketAddr,
    metrics: SocketAddr,
}

impl Scene {
    /// Starts a daemon with these sections in its configuration.
    async fn with(sections: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let policy = folder.path().join("policy");
        A.in_sot().write_to(&policy);
        let mut daemon = Daemon::start(&Settings {
            tcp: true,
            metrics: true,
            socket: Some(folder.path().join("admitd.sock")),
            audit_dir: Some(folder.path().join("audit")),
            more_audit: sections.to_owned(),
            ..Settings::new(policy)
        })
        .await;
        // Other users have to reach the socket; who they are is then the daemon's affair.
        for (path, mode) in [(folder.path(), 0o755), (daemon.socket(), 0o666)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        Self {
            tcp: daemon.tcp_address().await,
            metrics: daemon.metrics_address().await,
            folder,
            daemon,
        }
    }

    /// A connection to the plaintext listener.
    async fn plaintext(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.tcp)).unwrap();
        within("a connection", endpoint.connect()).await.unwrap()
    }

    /// A connection to the unix socket from the user that runs the tests.
    async fn own_user(&self) -> Channel {
        self.socket(UnixStream::connect).await
    }

    /// A connection to the unix socket from a process of this user.
    async fn user(&self, uid: u32) -> Channel {
        self.socket(move |path| connected_as(uid, path)).await
    }

    async fn socket(
        &self,
        connected: impl Fn(PathBuf) -> std::io::Result<UnixStream> + Send + 'static,
    ) -> Channel {
        let path = self.daemon.socket().to_owned();
        let connector = service_fn(move |_| {
            let stream = connected(path.clone());
            async move {
                let stream = stream?;
                stream.set_nonblocking(true)?;
                tokio::net::UnixStream::from_std(stream).map(TokioIo::new)
            }
        });
        let endpoint = Endpoint::from_static("http://admitd");
        within("a connection", endpoint.connect_with_connector(connector))
            .await
            .unwrap()
    }

    /// How many decisions and verdicts there are in the log.
    fn answers_in_the_log(&self) -> usize {
        let entries = entries(&self.folder);
        let is_answer = |entry: &&Entry| matches!(entry, Entry::Decision(_) | Entry::Evidence(_));
        entries.iter().filter(is_answer).count()
    }

    /// The refused calls in the log, once the daemon has ended.
    async fn refused_in_the_log(self) -> Vec<Refusal> {
        assert_eq!(self.daemon.terminate().await.code(), Some(0));
        let mut refusals = Vec::new();
        for entry in entries(&self.folder) {
            if let Entry::Refused(refusal) = entry {
                refusals.push(refusal);
            }
        }
        refusals
    }

    async fn refused(&self, cause: &str, via: &str) -> u64 {
        let name = format!("admit_callers_refused_total{{cause=\"{cause}\",via=\"{via}\"}}");
        Page::of(self.metrics).await.value(&name)
    }

    async fn all_refused(&self) -> u64 {
        Page::of(self.metrics)
            .await
            .sum("admit_callers_refused_total{")
    }
}

/// Every entry of the log in this folder.
fn entries(folder: &TempDir) -> Vec<Entry> {
    let mut entries = Vec::new();
    let known = Known {
        hashes: [].into(),
        keys: Vec::new(),
    };
    let audit = folder.path().join("audit");
    verify(&audit, &known, |_, entry, _| entries.push(entry.clone())).unwrap();
    entries
}

/// A connection of the user `uid`: the system states who the connecting thread was.
fn connected_as(uid: u32, path: PathBuf) -> std::io::Result<UnixStream> {
    let connecting = thread::spawn(move || {
        let uid = Uid::from_raw(uid);
        set_thread_res_uid(uid, uid, uid).unwrap();
        UnixStream::connect(path)
    });
    connecting.join().unwrap()
}

/// A section `callers` with every grant but what `part` says otherwise.
fn caller(name: &str, marks: &str, rpcs: &[Rpc], lanes: &str, hosts: &str) -> String {
    let rpcs: Vec<&str> = rpcs.iter().map(|rpc| rpc.as_str()).collect();
    format!(
        "[[callers]]\nname = {name:?}\n{marks}\nrpcs = {rpcs:?}\nlanes = [{lanes}]\nhosts = [{hosts}]\n"
    )
}

/// The refusal of a caller: code, message, details.
fn is_refused(status: &Status, what: &str) {
    assert_eq!(status.code(), Code::PermissionDenied, "{what}: {status:?}");
    let details = status.get_error_details();
    let info = details
        .error_info()
        .unwrap_or_else(|| panic!("{what}: no reason: {status:?}"));
    assert_eq!(
        (info.reason.as_str(), info.domain.as_str()),
        ("CALLER_NOT_ALLOWED", "admit.v1"),
        "{what}"
    );
    assert!(info.metadata.is_empty(), "{what}: {info:?}");
}

/// The mark of the user that runs the tests.
fn own_uid() -> String {
    format!("uids = [{}]", getuid().as_raw())
}

#[tokio::test]
async fn each_caller_makes_the_calls_that_it_was_granted_and_no_other() {
    for granted in Rpc::ALL {
        // What one is granted is nothing that another may do.
        let (own, others) = Rpc::ALL
            .into_iter()
            .partition::<Vec<_>, _>(|rpc| *rpc == granted);
        let sections = [
            ("others", format!("uids = [{UID}]"), others),
            ("own", own_uid(), own),
        ]
        .map(|(name, marks, rpcs)| caller(name, &marks, &rpcs, "\"real\"", "\"*\""));
        let scene = Scene::with(&sections.concat()).await;
        let channel = scene.own_user().await;
        for rpc in Rpc::ALL {
            let what = format!("{} for {}", rpc.as_str(), granted.as_str());
            match call(rpc, &channel, A.launch()).await {
                Ok(()) => assert_eq!(rpc, granted, "{what}"),
                Err(status) => {
                    is_refused(&status, &what);
                    assert_ne!(rpc, granted, "{what}");
                }
            }
        }
        lists_services(&channel).await.unwrap();
        let expected = u64::try_from(Rpc::ALL.len() - 1).unwrap();
        assert_eq!(scene.refused("rpc-not-granted", "unix").await, expected);
        assert_eq!(scene.all_refused().await, expected);
        let is_recorded = matches!(granted, Rpc::Admit | Rpc::CheckEvidence);
        assert_eq!(scene.answers_in_the_log(), usize::from(is_recorded));
    }
}

/// A caller that is granted everything.
fn everything(name: &str, marks: &str) -> String {
    caller(name, marks, &Rpc::ALL, "\"fake\", \"real\"", "\"*\"")
}

/// Asserts of each of these peers whether it may call.
async fn are_known(sections: &str, peers: impl IntoIterator<Item = (&str, Channel, bool)>) {
    for (peer, channel, is_known) in peers {
        let what = format!("{peer} with {sections}");
        match Client::new(channel.clone()).admit(A.launch()).await {
            Ok(answer) => {
                assert!(is_known, "{what}");
                assert_eq!(answer.verdict(), Verdict::Allow, "{what}");
            }
            Err(status) => {
                is_refused(&status, &what);
                assert!(!is_known, "{what}");
            }
        }
        assert_eq!(lists_services(&channel).await.is_ok(), is_known, "{what}");
        let mut health = Client::new(channel).health("").await;
        health.until(ServingStatus::Serving).await;
    }
}

#[tokio::test]
async fn a_peer_is_known_by_its_user_id_or_by_its_listener() {
    let own = everything("hermes", &own_uid());
    let other = everything("apollo", &format!("uids = [{UID}]"));
    let desk = everything("desk", "plaintext = true");
    for (sections, is_user_known, is_plaintext_known) in [
        // Nobody is named: whoever reaches a local listener may call.
        (String::new(), true, true),
        (own.clone(), true, false),
        (other.clone(), false, false),
        (desk.clone(), false, true),
        (format!("{own}{desk}"), true, true),
        (format!("{other}{desk}"), false, true),
        (format!("{other}{own}"), true, false),
    ] {
        let scene = Scene::with(&sections).await;
        let peers = [
            ("the user", scene.own_user().await, is_user_known),
            ("plaintext", scene.plaintext().await, is_plaintext_known),
        ];
        are_known(&sections, peers).await;
    }
}

#[tokio::test]
#[ignore = "needs root"]
async fn users_are_told_apart_from_each_other_and_from_the_daemons_own() {
    let one = everything("hermes", &format!("uids = [{UID}]"));
    for (sections, knows) in [
        (String::new(), [true, true, true]),
        (one, [true, false, false]),
        (everything("own", &own_uid()), [false, false, true]),
    ] {
        let scene = Scene::with(&sections).await;
        let peers = [
            ("one", scene.user(UID).await, knows[0]),
            ("other", scene.user(OTHER_UID).await, knows[1]),
            ("own", scene.own_user().await, knows[2]),
        ];
        are_known(&sections, peers).await;
    }
}

/// Each test binary uses a part of the modules that it shares; here the whole of them counts as used.
const _: () = {
    let _ = Page::sum;
    let _ = daemon::channel;
};
