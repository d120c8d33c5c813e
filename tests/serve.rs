//! The daemon as a process: how it starts or refuses to, what it listens on, how it stops, and what
//! its streams are bounded by.
//!
//! Deliberately absent: what it answers; see `cases.rs` and `reload.rs`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

mod daemon;

#[path = "serve/metrics.rs"]
mod metrics;
#[path = "serve/starting.rs"]
mod starting;
#[path = "serve/stopping.rs"]
mod stopping;
#[path = "serve/watching.rs"]
mod watching;

use std::fs;

use admit_proto::v1::{Lane, Verdict, WatchPolicyRequest};
use daemon::{Client, Daemon, Settings, channel, policy::A, within};
use tempfile::TempDir;
use tonic::{Code, Status, transport::Endpoint};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};
use tonic_types::StatusExt as _;

/// A folder with policy A in it.
fn policy() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    A.in_sot().write_to(folder.path());
    folder
}

/// Whether the daemon allows the pair of policy A.
async fn allows(client: &mut Client) -> bool {
    client.admit(A.launch()).await.unwrap().verdict() == Verdict::Allow
}

/// The reason that a failure states.
fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details
        .error_info()
        .unwrap_or_else(|| panic!("no reason: {status:?}"));
    assert_eq!(info.domain, "admit.v1");
    info.reason.clone()
}

#[tokio::test]
async fn both_listeners_answer_from_one_policy() {
    let policy = policy();
    let settings = Settings {
        tcp: true,
        ..Settings::new(policy.path())
    };
    let mut daemon = Daemon::start(&settings).await;
    let address = daemon.tcp_address().await;
    assert!(address.ip().is_loopback() && address.port() != 0);
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let tcp = within("a connection", endpoint.connect()).await.unwrap();
    for mut client in [Client::new(tcp), daemon.client().await] {
        let answer = client.admit(A.launch()).await.unwrap();
        assert_eq!(answer.verdict(), Verdict::Allow, "{answer:?}");
        assert_eq!(answer.policy_digest, A.in_sot().digest());
    }
    assert_eq!(daemon.terminate().await.code(), Some(0));
}

#[tokio::test]
async fn reflection_describes_every_service() {
    let policy = policy();
    let daemon = Daemon::start(&Settings::new(policy.path())).await;
    let mut client = ServerReflectionClient::new(daemon.connect().await);
    let ask = |question| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(question),
    };
    let questions = tokio_stream::iter([
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol(
            "admit.v1.AdmissionService.Admit".into(),
        )),
        ask(MessageRequest::FileContainingSymbol(
            "admit.v1.Nothing".into(),
        )),
    ]);
    let answers = within("a stream", client.server_reflection_info(questions)).await;
    let mut answers = answers.unwrap().into_inner();
    let mut next = async || {
        let answer = within("an answer", answers.message()).await.unwrap();
        answer.unwrap().message_response.unwrap()
    };
    let MessageResponse::ListServicesResponse(list) = next().await else {
        panic!("no list of the services");
    };
    let mut services: Vec<String> = list
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    services.sort();
    assert_eq!(
        services,
        [
            "admit.v1.AdmissionService",
            "admit.v1.PolicyService",
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
        ]
    );
    let MessageResponse::FileDescriptorResponse(files) = next().await else {
        panic!("no description of the method");
    };
    let text = String::from_utf8_lossy(&files.file_descriptor_proto.concat()).into_owned();
    assert!(text.contains("admit/v1/admission_service.proto"));
}

#[tokio::test]
async fn watches_are_bounded_and_a_place_becomes_free_again() {
    const WATCHERS_MAX: usize = 1024;
    /// Below what one connection may carry at a time.
    const PER_CONNECTION: usize = 128;
    let policy = policy();
    let daemon = Daemon::start(&Settings {
        more_audit: format!("[limits]\nwatchers_per_caller = {WATCHERS_MAX}\n"),
        ..Settings::new(policy.path())
    })
    .await;
    let mut watches = Vec::new();
    while watches.len() < WATCHERS_MAX {
        let mut client = Client::new(channel(daemon.socket()).await.unwrap());
        for _ in 0..PER_CONNECTION {
            watches.push(client.watch(A.follow()).await.unwrap());
        }
    }
    let mut client = daemon.client().await;
    for request in [A.follow(), WatchPolicyRequest::default()] {
        let Err(refused) = client.watch(request).await else {
            panic!("one watch more than there are places");
        };
        let said = (refused.code(), reason(&refused));
        assert_eq!(said, (Code::ResourceExhausted, "OVERLOADED".into()));
    }
    // A full house does not keep anybody from asking, and everybody in it is told of a change.
    assert!(allows(&mut client).await);
    for watch in &mut watches {
        watch.policy_changed().await;
        watch.pair_changed().await;
    }
    fs::remove_file(policy.path().join(&A.in_sot().files[0].0)).unwrap();
    let mut without_record = A.in_sot();
    without_record.files.remove(0);
    for watch in &mut watches {
        assert_eq!(watch.policy_changed().await.digest, without_record.digest());
        watch.pair_changed().await;
    }
    drop(watches.pop());
    let mut freed = within("a free place", async {
        loop {
            match client.watch(A.follow()).await {
                Ok(watch) => return watch,
                Err(refused) => assert_eq!(refused.code(), Code::ResourceExhausted),
            }
        }
    })
    .await;
    assert_eq!(freed.policy_changed().await.digest, without_record.digest());
}

#[tokio::test]
async fn a_watch_states_a_whole_pair_and_its_lane_or_nothing() {
    let policy = policy();
    let daemon = Daemon::start(&Settings::new(policy.path())).await;
    let mut client = daemon.client().await;
    let (unset, fake, real) = (0, i32::from(Lane::Fake), i32::from(Lane::Real));
    let long = ("p".repeat(129), "m".repeat(257));
    let longest = ("p".repeat(128), "m".repeat(256));
    for (provider, model, lane, fields) in [
        ("", "", unset, &[][..]),
        ("p", "m", real, &[]),
        (&longest.0, &longest.1, real, &[]),
        ("p", "", real, &["model"]),
        ("", "m", real, &["provider"]),
        ("p", "m", unset, &["lane"]),
        ("p", "m", fake, &["lane"]),
        ("p", "m", 3, &["lane"]),
        ("", "", fake, &["lane"]),
        ("", "", real, &["lane"]),
        ("", "", 3, &["lane"]),
        ("", "m", unset, &["provider", "lane"]),
        (&long.0, &long.1, real, &["provider", "model"]),
        ("p q", "m\n", real, &["provider", "model"]),
        ("pé", "m\u{7f}", real, &["provider", "model"]),
    ] {
        let request = WatchPolicyRequest {
            provider: provider.into(),
            model: model.into(),
            lane,
        };
        let what = format!("{request:?}");
        match client.watch(request).await {
            Ok(_) => assert_eq!(fields, [""; 0], "{what}"),
            Err(refused) => {
                let said = (refused.code(), reason(&refused));
                assert_eq!(
                    said,
                    (Code::InvalidArgument, "REQUEST_INVALID".into()),
                    "{what}"
                );
                let details = refused.get_error_details();
                let violations = &details.bad_request().unwrap().field_violations;
                let named: Vec<&str> = violations
                    .iter()
                    .map(|found| found.field.as_str())
                    .collect();
                assert_eq!(named, fields, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_daemon_that_cannot_answer_launches_is_alive() {
    let daemon = Daemon::start(&Settings::new("/nowhere/at/all")).await;
    let mut client = daemon.client().await;
    client
        .health("liveness")
        .await
        .until(ServingStatus::Serving)
        .await;
    assert_eq!(
        client.health("").await.next().await,
        ServingStatus::NotServing
    );
}
