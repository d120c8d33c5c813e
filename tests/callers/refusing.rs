//! A refusal: what is said of it, what is not, and that nothing of the request came before it.

use admit_proto::v1::{AdmitRequest, Lane};
use admit_server::caller::{RefusalCause, Rpc, Via};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    Scene, UID,
    asking::{begins_to_ask, call, lists_services},
    caller,
    daemon::{Client, policy::A},
    is_refused, own_uid,
};

/// The caller of the launches below, with the lane of [`A`] and its host, and one that may not ask.
fn roster(asking: &str, looking: &str) -> String {
    let asks = [Rpc::Admit, Rpc::CheckEvidence];
    let of = |name, marks, rpcs| caller(name, marks, rpcs, "\"real\"", "\"spark-1\"");
    let hermes = of("hermes", asking, &asks);
    hermes + &of("desk", looking, &[Rpc::GetPolicy])
}

const PLAINTEXT: &str = "plaintext = true";

/// The mark of a user that does not run the tests.
fn other_uid() -> String {
    format!("uids = [{UID}]")
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
    let scene = Scene::with(&roster(&own_uid(), PLAINTEXT)).await;
    let hermes = scene.own_user().await;
    let desk = scene.plaintext().await;
    let strange = Scene::with(&roster(&other_uid(), PLAINTEXT)).await;
    let nobody = strange.own_user().await;
    let mut told_so_far = None;
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
        let at = if cause == "unknown-caller" {
            &strange
        } else {
            &scene
        };
        let (before, all_before) = (at.refused(cause, via).await, at.all_refused().await);
        let status = call(rpc, channel, request).await.unwrap_err();
        is_refused(&status, what);
        // Whatever the cause is, the same words.
        assert_eq!(
            *told_so_far.get_or_insert(told(&status)),
            told(&status),
            "{what}"
        );
        assert_eq!(at.refused(cause, via).await, before + 1, "{what}");
        assert_eq!(at.all_refused().await, all_before + 1, "{what}");
    }
    assert_eq!(scene.answers_in_the_log(), 0);
    assert_eq!(strange.answers_in_the_log(), 0);
    let refused = scene.all_refused().await;
    // The requests were not valid, and whoever may make them is told so.
    for request in [invalid(), of_lane(Lane::Unspecified)] {
        let status = call(Rpc::Admit, &hermes, request).await.unwrap_err();
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "REQUEST_INVALID");
    }
    assert!(Client::new(hermes).admit(A.launch()).await.is_ok());
    assert_eq!(scene.all_refused().await, refused);
    assert_eq!(scene.answers_in_the_log(), 1);
}

#[tokio::test]
async fn whoever_may_not_call_is_not_listened_to_and_takes_no_place() {
    let limits = "[limits]\nin_flight = 1\nin_flight_per_caller = 1\n";
    // The user that runs the tests is nobody, and a caller that may not ask.
    for looking in [other_uid(), own_uid()] {
        let scene = Scene::with(&format!("{limits}{}", roster(PLAINTEXT, &looking))).await;
        let hermes = scene.plaintext().await;
        let user = scene.own_user().await;
        let is_refused_at_once = async || {
            let status = begins_to_ask(&user).await.unwrap_err();
            is_refused(&status, &looking);
        };
        for _ in 0..3 {
            is_refused_at_once().await;
        }
        assert!(Client::new(hermes.clone()).admit(A.launch()).await.is_ok());
        // With every place taken as well: who may not call does not learn of it.
        let asking = tokio::spawn(async move {
            // The place of the call before may not be free yet.
            while begins_to_ask(&hermes).await.is_err() {}
        });
        let also = scene.plaintext().await;
        while call(Rpc::Admit, &also, A.launch()).await.is_ok() {}
        is_refused_at_once().await;
        asking.abort();
    }
}

#[tokio::test]
async fn reflection_is_for_callers_and_its_refusal_is_counted_and_recorded() {
    let scene = Scene::with(&roster(&other_uid(), PLAINTEXT)).await;
    lists_services(&scene.plaintext().await).await.unwrap();
    let nobody = scene.own_user().await;
    is_refused(&lists_services(&nobody).await.unwrap_err(), "reflection");
    assert_eq!(scene.refused("unknown-caller", "unix").await, 1);
    drop(nobody);
    let recorded = scene.refused_in_the_log().await;
    let [refusal] = &recorded[..] else {
        panic!("{recorded:?}");
    };
    let found = (
        &refusal.caller,
        refusal.via,
        refusal.rpc,
        refusal.cause,
        refusal.count,
    );
    let cause = RefusalCause::UnknownCaller.into();
    assert_eq!(found, (&None, Via::Unix.into(), None, cause, 1));
}
