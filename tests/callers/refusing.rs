//! A refusal: what is said of it, what is not, and that nothing of the request came before it.

use admit_proto::v1::{AdmitRequest, Lane};
use admit_server::caller::Rpc;
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt as _;

use crate::{
    OTHER_UID, Scene, UID,
    asking::{begins_to_ask, call, lists_services},
    caller,
    daemon::{Client, policy::A},
    is_refused,
};

/// The caller of the launches below, with the lane of [`A`] and its host; nothing else is granted.
fn roster() -> String {
    let asks = [Rpc::Admit, Rpc::CheckEvidence];
    [
        caller(
            "hermes",
            &format!("uids = [{UID}]"),
            &asks,
            "\"real\"",
            "\"spark-1\"",
        ),
        caller(
            "desk",
            "plaintext = true",
            &[Rpc::GetPolicy],
            "\"real\"",
            "\"spark-1\"",
        ),
    ]
    .concat()
}

/// A launch with fields that are out of their bounds, and no secret scan.
fn invalid() -> AdmitRequest {
    AdmitRequest {
        run_id: "not a run\n".into(),
        stage: 1_000_000,
        secret_scan: None,
        ..A.launch()
    }
}

fn of_host(host: &str) -> AdmitRequest {
    AdmitRequest {
        host: host.into(),
        ..invalid()
    }
}

fn of_lane(lane: Lane) -> AdmitRequest {
    AdmitRequest {
        lane: lane.into(),
        ..invalid()
    }
}

/// What is told of a refusal, whatever it is for.
fn told(status: &Status) -> (Code, String, Vec<u8>) {
    let details = status.details().to_vec();
    (status.code(), status.message().to_owned(), details)
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table: one row for each refusal")]
async fn a_refusal_comes_before_the_request_and_gives_no_hint() {
    let scene = Scene::with(&roster()).await;
    let hermes = scene.user(UID).await;
    let nobody = scene.user(OTHER_UID).await;
    let desk = scene.plaintext().await;
    let mut told_so_far = None;
    let mut count = 0;
    for (what, channel, via, rpc, request, cause) in [
        (
            "a user",
            &nobody,
            "unix",
            Rpc::Admit,
            invalid(),
            "unknown-caller",
        ),
        (
            "its evidence",
            &nobody,
            "unix",
            Rpc::CheckEvidence,
            invalid(),
            "unknown-caller",
        ),
        (
            "a watch",
            &nobody,
            "unix",
            Rpc::WatchPolicy,
            invalid(),
            "unknown-caller",
        ),
        (
            "an RPC",
            &desk,
            "plaintext",
            Rpc::Admit,
            invalid(),
            "rpc-not-granted",
        ),
        (
            "a lane",
            &hermes,
            "unix",
            Rpc::Admit,
            of_lane(Lane::Fake),
            "lane-not-granted",
        ),
        (
            "a host",
            &hermes,
            "unix",
            Rpc::Admit,
            of_host("spark-2"),
            "host-not-granted",
        ),
        (
            "its case",
            &hermes,
            "unix",
            Rpc::Admit,
            of_host("Spark-1"),
            "host-not-granted",
        ),
        (
            "a longer one",
            &hermes,
            "unix",
            Rpc::Admit,
            of_host("spark-1.example"),
            "host-not-granted",
        ),
        (
            "none",
            &hermes,
            "unix",
            Rpc::Admit,
            of_host(""),
            "host-not-granted",
        ),
        (
            "no name",
            &hermes,
            "unix",
            Rpc::Admit,
            of_host("a b"),
            "host-not-granted",
        ),
        (
            "a run",
            &hermes,
            "unix",
            Rpc::CheckEvidence,
            of_host("spark-2"),
            "host-not-granted",
        ),
    ] {
        let before = scene.refused(cause, via).await;
        let status = call(rpc, channel, request).await.unwrap_err();
        is_refused(&status, what);
        // Whatever the cause is, the same words.
        assert_eq!(
            *told_so_far.get_or_insert(told(&status)),
            told(&status),
            "{what}"
        );
        count += 1;
        assert_eq!(scene.refused(cause, via).await, before + 1, "{what}");
        assert_eq!(scene.all_refused().await, count, "{what}");
    }
    assert_eq!(scene.answers_in_the_log(), 0);
    // The requests were not valid, and whoever may make them is told so.
    for request in [invalid(), of_lane(Lane::Unspecified)] {
        let status = call(Rpc::Admit, &hermes, request).await.unwrap_err();
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "REQUEST_INVALID");
    }
    assert!(Client::new(hermes).admit(A.launch()).await.is_ok());
    assert_eq!(scene.all_refused().await, count);
    assert_eq!(scene.answers_in_the_log(), 1);
}

#[tokio::test]
async fn whoever_may_not_call_is_not_listened_to_and_takes_no_place() {
    let limits = "[limits]\nin_flight = 1\nin_flight_per_caller = 1\n";
    let scene = Scene::with(&format!("{limits}{}", roster())).await;
    let hermes = scene.user(UID).await;
    let nobody = scene.user(OTHER_UID).await;
    let is_refused_at_once = async |channel: &Channel, what: &str| {
        let status = begins_to_ask(channel).await.unwrap_err();
        is_refused(&status, what);
    };
    for _ in 0..3 {
        is_refused_at_once(&nobody, "nobody").await;
        is_refused_at_once(&scene.plaintext().await, "desk").await;
    }
    assert!(Client::new(hermes.clone()).admit(A.launch()).await.is_ok());
    // With every place taken as well: who may not call does not learn of it.
    let asking = tokio::spawn(async move { begins_to_ask(&hermes).await });
    let also = scene.user(UID).await;
    while call(Rpc::Admit, &also, A.launch()).await.is_ok() {}
    is_refused_at_once(&nobody, "nobody").await;
    is_refused_at_once(&scene.plaintext().await, "desk").await;
    asking.abort();
}

#[tokio::test]
async fn reflection_is_for_callers_and_its_refusal_is_counted() {
    let scene = Scene::with(&roster()).await;
    lists_services(&scene.plaintext().await).await.unwrap();
    lists_services(&scene.user(UID).await).await.unwrap();
    let nobody = scene.user(OTHER_UID).await;
    is_refused(&lists_services(&nobody).await.unwrap_err(), "reflection");
    assert_eq!(scene.refused("unknown-caller", "unix").await, 1);
}
