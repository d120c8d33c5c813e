//! The contract's border, against the running daemon: every bound of a request on both of its
//! sides, numbers that no enum has, and secrets that must not come back.
//!
//! Deliberately absent: the gates; `tests/cases/` has those.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails loudly"
)]

#[path = "wire/bounds.rs"]
mod bounds;
mod daemon;
#[path = "wire/evidence.rs"]
mod evidence;
#[path = "daemon/finished.rs"]
mod finished;

use std::collections::BTreeSet;

use admit_proto::v1::{
    AdmitRequest, AdmitResponse, Verdict, WatchPolicyRequest,
    admission_service_client::AdmissionServiceClient,
};
use prost::Message as _;
use rustix::process::Signal;
use tempfile::TempDir;
use tonic::{Code, Request, Status, metadata::MetadataValue};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::{ErrorDetails, StatusExt as _};

use bounds::{BOUNDS, MARK};
use daemon::{
    Client, Daemon, Settings, codes,
    policy::{A, Policy},
    within,
};

/// Largest request that the contract allows, in bytes.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// A daemon under a policy that allows [`launch`], and a client of it.
async fn daemon() -> (TempDir, Daemon, Client) {
    let policy_dir = tempfile::tempdir().unwrap();
    policy().write_to(policy_dir.path());
    let daemon = Daemon::start(&Settings::new(policy_dir.path())).await;
    let client = daemon.client().await;
    (policy_dir, daemon, client)
}

fn policy() -> Policy {
    A.in_sot()
}

/// A launch that is allowed.
fn launch() -> AdmitRequest {
    policy().chosen.launch()
}

/// The launch with one change.
fn changed(change: impl FnOnce(&mut AdmitRequest)) -> AdmitRequest {
    let mut request = launch();
    change(&mut request);
    request
}

/// The reason of a failure and the fields that it names; its form is that of the contract.
fn failure(status: &Status) -> (String, BTreeSet<String>) {
    let details: ErrorDetails = status.get_error_details();
    let info = details
        .error_info()
        .unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    assert_eq!(info.domain, "admit.v1");
    let violations = details
        .bad_request()
        .map(|bad| bad.field_violations.clone());
    let violations = violations.unwrap_or_default();
    assert!(
        violations
            .iter()
            .all(|violation| !violation.description.is_empty()),
        "{status:?}"
    );
    (
        info.reason.clone(),
        violations
            .into_iter()
            .map(|violation| violation.field)
            .collect(),
    )
}

/// Insists that `status` says that just these fields are out of their bounds.
fn assert_invalid(status: &Status, fields: &[&str]) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let (reason, named) = failure(status);
    assert_eq!(reason, "REQUEST_INVALID");
    assert_eq!(
        named,
        fields.iter().map(|field| (*field).to_owned()).collect()
    );
    assert_holds_none(&everything_in(status), &[MARK]);
}

/// All that a failure tells.
fn everything_in(status: &Status) -> String {
    let details = String::from_utf8_lossy(status.details()).into_owned();
    format!(
        "{status:?} {} {details} {:?}",
        status.message(),
        status.metadata()
    )
}

fn assert_holds_none(text: &str, needles: &[&str]) {
    let text = text.to_lowercase();
    for needle in needles {
        assert!(
            !text.contains(&needle.to_lowercase()),
            "`{needle}` came back: {text}"
        );
    }
}

#[tokio::test]
async fn the_launch_is_allowed_as_it_is() {
    let (_policy_dir, _daemon, mut client) = daemon().await;
    let answer = client.admit(launch()).await.unwrap();
    assert_eq!(
        (answer.verdict(), codes(&answer.reasons)),
        (Verdict::Allow, vec![])
    );
}

#[tokio::test]
async fn every_field_has_its_bounds() {
    let (_policy_dir, _daemon, mut client) = daemon().await;
    for bound in BOUNDS {
        for (at, change) in bound.within.iter().enumerate() {
            let answer = client.admit(changed(change)).await;
            let answer = answer.unwrap_or_else(|status| panic!("{} {at}: {status:?}", bound.field));
            assert_holds_none(&format!("{answer:?}"), &[MARK]);
        }
        for (at, change) in bound.beyond.iter().enumerate() {
            let status = client.admit(changed(change)).await;
            let status = status
                .err()
                .unwrap_or_else(|| panic!("{} {at} is accepted", bound.field));
            assert_invalid(&status, &[bound.field]);
        }
    }
}

#[tokio::test]
async fn every_field_that_is_at_fault_is_named() {
    let (_policy_dir, _daemon, mut client) = daemon().await;
    let mut request = AdmitRequest::default();
    let status = client.admit(request.clone()).await.unwrap_err();
    assert_invalid(&status, &["host", "run_id"]);
    for bound in BOUNDS {
        bound.beyond[0](&mut request);
    }
    let status = client.admit(request).await.unwrap_err();
    let fields: Vec<&str> = BOUNDS.iter().map(|bound| bound.field).collect();
    assert_invalid(&status, &fields);
}

fn watch(provider: &str, model: &str, lane: i32) -> WatchPolicyRequest {
    WatchPolicyRequest {
        provider: provider.into(),
        model: model.into(),
        lane,
    }
}

#[tokio::test]
async fn a_watch_has_its_bounds() {
    let (_policy_dir, _daemon, mut client) = daemon().await;
    let (long_provider, long_model) = ("p".repeat(128), "m".repeat(256));
    for request in [
        watch("", "", 0),
        watch("qwen-local", "qwen3.6-35b-a3b", 2),
        watch(&long_provider, &long_model, 2),
        watch("!~", "*", 2),
    ] {
        assert!(client.watch(request.clone()).await.is_ok(), "{request:?}");
    }
    let (over_provider, over_model) = (
        format!("{MARK}{long_provider}"),
        format!("{MARK}{long_model}"),
    );
    for (request, fields) in [
        (watch(&over_provider, "m", 2), &["provider"][..]),
        (watch("p", &over_model, 2), &["model"]),
        (watch("Zq7 p", "m", 2), &["provider"]),
        (watch("p", "Zq7é", 2), &["model"]),
        (watch("", "Zq7", 2), &["provider"]),
        (watch("Zq7", "", 2), &["model"]),
        (watch("Zq7", "m", 0), &["lane"]),
        (watch("Zq7", "m", 1), &["lane"]),
        (watch("Zq7", "m", 99), &["lane"]),
        (watch("", "", 2), &["lane"]),
        (watch("", "", 99), &["lane"]),
        (watch("Zq7 p", "Zq7é", 1), &["provider", "model", "lane"]),
    ] {
        let status = client.watch(request.clone()).await.err();
        let status = status.unwrap_or_else(|| panic!("{request:?} is accepted"));
        assert_invalid(&status, fields);
    }
}

/// A request of just `length` bytes.
fn of_length(length: usize) -> AdmitRequest {
    let config = |bytes: usize| Some(vec![b' '; bytes].into());
    let bare = changed(|request| request.case_config = config(length)).encoded_len();
    changed(|request| request.case_config = config(length - (bare - length)))
}

#[tokio::test]
async fn a_message_has_its_bound() {
    let (_policy_dir, _daemon, mut client) = daemon().await;
    let largest = of_length(REQUEST_BYTES_MAX);
    assert_eq!(largest.encoded_len(), REQUEST_BYTES_MAX);
    // It is read, and only then found to have too long a field.
    assert_invalid(&client.admit(largest).await.unwrap_err(), &["case_config"]);

    for over in [1, REQUEST_BYTES_MAX, 8 * REQUEST_BYTES_MAX] {
        let status = client
            .admit(of_length(REQUEST_BYTES_MAX + over))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::OutOfRange, "{over}: {status:?}");
        // The connection is none the worse for it.
        assert_eq!(
            client.admit(launch()).await.unwrap().verdict(),
            Verdict::Allow
        );
    }
}

/// A field that holds a value of an enum.
type Number = fn(&mut AdmitRequest) -> &mut i32;

/// The fields that hold a value of an enum, but for those of a local provider: the branch of this
/// policy does not ask for them, and `tests/cases/` has them all.
const NUMBERS: [(Number, &str); 8] = [
    (|r| &mut r.lane, "lane-unspecified"),
    (|r| &mut r.case_model_override, "case-model-override"),
    (|r| &mut r.model_flag, "case-model-override"),
    (|r| &mut r.agent_flag, "case-agent-mode"),
    (|r| &mut r.target_repository, "target-repository-exposed"),
    (
        |r| &mut r.fixture.get_or_insert_default().kind,
        "fixture-out-of-scope",
    ),
    (
        |r| &mut r.secret_scan.get_or_insert_default().covered[0],
        "secret-scan-missing",
    ),
    (|r| first_finding(r), "secret-detected"),
];

fn first_finding(request: &mut AdmitRequest) -> &mut i32 {
    let findings = &mut request.secret_scan.get_or_insert_default().findings;
    findings.resize(1, 0);
    &mut findings[0]
}

#[tokio::test]
async fn a_number_that_no_enum_has_is_never_allowed() {
    let (_policy_dir, _daemon, mut client) = daemon().await;
    for (field, code) in NUMBERS {
        for number in [0, 99, -1, i32::MAX, i32::MIN] {
            let answer = client
                .admit(changed(|request| *field(request) = number))
                .await
                .unwrap();
            let told = (answer.verdict(), codes(&answer.reasons));
            assert_eq!(told, (Verdict::Deny, vec![code]), "{number}");
        }
    }
}

/// What is planted, and what must not come back: as texts, as names of variables, as digests.
const CANARIES: [&str; 2] = ["canary", "cafecafe"];

/// A canary in every field that holds a text or bytes: where the field takes it, and where not.
const PLANTED: &[fn(&mut AdmitRequest)] = &[
    |r| r.host = "sk-canary-0123456789".into(),
    |r| r.host = "sk-canary-0123456789 _".into(),
    |r| r.run_id = "sk-canary-0123456789".into(),
    |r| r.run_id = "sk-canary-0123456789/".into(),
    |r| r.expected_policy_digest = "cafe".repeat(16),
    |r| r.expected_policy_digest = "cafe".repeat(17),
    |r| r.expected_policy_digest = "sk-canary-0123456789".into(),
    |r| r.provider = "sk-canary-0123456789".into(),
    |r| r.provider = "canary".into(),
    |r| r.provider = "sk-canary 0123456789".into(),
    |r| r.model = "sk-canary-0123456789".into(),
    |r| r.model = "http://canary:8000/v1".into(),
    |r| r.model = "sk-canary 0123456789".into(),
    |r| r.admission_file_digest = "cafe".repeat(16),
    |r| r.admission_file_digest = "sk-canary-0123456789".into(),
    |r| r.credential_source_class = "sk-canary-0123456789".into(),
    |r| r.credential_source_class = "sk-canary 0123456789".into(),
    |r| r.case_config = Some(r#"{"models":{"default":"sk-canary-0123456789"}}"#.into()),
    |r| r.case_config = Some(r#"{"canary":1,"canary":2}"#.into()),
    |r| r.case_config = Some(r#"{"canary":"#.into()),
    |r| r.case_config = Some("canary ".repeat(40_000).into()),
    |r| {
        r.visible_credentials.get_or_insert_default().names =
            vec!["CANARY_TOKEN_0123456789".into()];
    },
    |r| r.visible_credentials.get_or_insert_default().names = vec!["CANARY=0123456789".into()],
    |r| r.fake_baseline.get_or_insert_default().run_id = "sk-canary-0123456789".into(),
    |r| r.fake_baseline.get_or_insert_default().run_id = "sk-canary 0123456789".into(),
];

/// The request with canaries in its metadata: under names that mean something and under others.
fn with_metadata<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let metadata = request.metadata_mut();
    let value = || MetadataValue::from_static("Bearer sk-canary-0123456789");
    for name in [
        "authorization",
        "cookie",
        "x-canary",
        "sk-canary-0123456789",
        "traceparent",
    ] {
        metadata.insert(name, value());
    }
    metadata.insert_bin(
        "canary-bin",
        MetadataValue::from_bytes(b"sk-canary-0123456789"),
    );
    request
}

/// All that the daemon answers to the planted launches.
async fn answers_to_planted(client: &Client) -> String {
    let mut admission = AdmissionServiceClient::new(client.channel.clone());
    let mut answers = String::new();
    for plant in PLANTED {
        match within("an answer", admission.admit(with_metadata(changed(plant)))).await {
            Ok(answer) => {
                let message: &AdmitResponse = answer.get_ref();
                assert_eq!(message.verdict(), Verdict::Deny, "{message:?}");
                answers += &format!("{answer:?}\n");
            }
            Err(status) => {
                assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
                answers += &format!("{}\n", everything_in(&status));
            }
        }
    }
    answers
}

#[tokio::test]
async fn a_secret_does_not_come_back() {
    let (_policy_dir, mut daemon, mut client) = daemon().await;
    let answers = answers_to_planted(&client).await;
    assert!(answers.contains("secret-detected") && answers.contains("the request is not valid"));
    assert_holds_none(&answers, &CANARIES);

    // What is followed or asked for by name.
    let mut followed = client
        .watch(watch("sk-canary-0123456789", "canary", 2))
        .await
        .unwrap();
    for _ in 0..2 {
        assert_holds_none(&format!("{:?}", followed.next().await.unwrap()), &CANARIES);
    }
    let asked = with_metadata(HealthCheckRequest {
        service: "sk-canary-0123456789".into(),
    });
    let status = HealthClient::new(client.channel.clone())
        .check(asked)
        .await
        .unwrap_err();
    assert_holds_none(&everything_in(&status), &CANARIES);
    assert_holds_none(&format!("{:?}", client.policy().await), &CANARIES);

    daemon.signal(Signal::TERM);
    daemon.exited().await;
    let log = daemon.log();
    assert!(
        log.contains("listening") && log.contains("stopping"),
        "{log}"
    );
    assert_holds_none(&log, &CANARIES);
}
