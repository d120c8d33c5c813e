//! The library against servers that answer well, badly, or not at all.

use std::time::{Duration, Instant};

use admit_client::{Answer, AskError, Client, Endpoints, Judgment};
use admit_proto::v1::{
    AdmitRequest, AdmitResponse, CheckEvidenceRequest, Lane, PairChanged, PairState, Policy,
    PolicyChanged, Reason, WatchPolicyRequest, WatchPolicyResponse, watch_policy_response::Event,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::stub::{DECISION_ID, EVIDENCE_ID, Script, allow, deny, reject, spoiled};

/// Longer than any answer of a server in this process takes.
const PATIENT: Duration = Duration::from_secs(30);
/// For calls that have to run into their deadline.
const SHORT: Duration = Duration::from_millis(200);

fn client(endpoint: &str, deadline: Duration) -> Client {
    Client::new(endpoint.parse::<Endpoints>().unwrap(), deadline)
}

fn launch() -> AdmitRequest {
    AdmitRequest {
        lane: Lane::Real.into(),
        run_id: "run-1".into(),
        ..AdmitRequest::default()
    }
}

async fn ask(script: Script) -> Result<Answer, AskError> {
    let (endpoint, _) = script.serve_tcp().await;
    client(&endpoint, PATIENT).admit(launch()).await
}

fn reason(code: &str) -> Reason {
    Reason {
        code: code.into(),
        ..Reason::default()
    }
}

#[tokio::test]
async fn an_allow_comes_through_over_tcp_and_over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let (tcp, asked) = Script::default().serve_tcp().await;
    let (unix, _) = Script::default()
        .serve_unix(&folder.path().join("admit.sock"))
        .await;
    for endpoint in [tcp, unix] {
        let mut client = client(&endpoint, PATIENT);
        for _ in 0..2 {
            let answer = client.admit(launch()).await.unwrap();
            let Answer::Allowed(allowed) = answer else {
                panic!("{answer:?}")
            };
            assert_eq!(allowed.decision_id(), DECISION_ID);
            assert_eq!(allowed.case_model_admission_status(), "admitted");
        }
    }
    assert_eq!(asked.requests(), [launch(), launch()]);
}

#[tokio::test]
async fn evidence_is_judged_and_garbage_is_no_judgment() {
    let rejection = || reject(vec![reason("permit-invalid")]);
    let (endpoint, asked) = Script::judging(move |_| Ok(rejection())).serve_tcp().await;
    let evidence = CheckEvidenceRequest {
        run_id: "run-1".into(),
        ..CheckEvidenceRequest::default()
    };
    let judgment = client(&endpoint, PATIENT)
        .check_evidence(evidence.clone())
        .await
        .unwrap();
    assert!(matches!(judgment, Judgment::Rejected(_)), "{judgment:?}");
    assert_eq!(judgment.evidence_id(), EVIDENCE_ID);
    assert_eq!(asked.evidence(), std::slice::from_ref(&evidence));

    // What has no permit cannot be accepted, whatever the server says.
    let (endpoint, _) = Script::default().serve_tcp().await;
    let error = client(&endpoint, PATIENT)
        .check_evidence(evidence.clone())
        .await
        .unwrap_err();
    assert!(matches!(error, AskError::Malformed(_)), "{error}");
    let (endpoint, _) = Script::judging(|_| Err(Status::unavailable("stopping")))
        .serve_tcp()
        .await;
    let error = client(&endpoint, PATIENT)
        .check_evidence(evidence)
        .await
        .unwrap_err();
    assert!(matches!(error, AskError::Failed { .. }), "{error}");
}

#[tokio::test]
async fn a_place_in_a_trace_is_stated_unless_it_cannot_be_one() {
    const PLACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    for (stated, sent) in [
        (PLACE, Some(PLACE.to_owned())),
        ("", Some(String::new())),
        ("00-secret", None),
        (&"0".repeat(128), Some("0".repeat(128))),
        (&"0".repeat(129), None),
    ] {
        let (endpoint, asked) = Script::default().serve_tcp().await;
        let mut client = client(&endpoint, PATIENT).in_trace(stated);
        let answer = client.admit(launch()).await.unwrap();
        assert!(matches!(answer, Answer::Allowed(_)), "{answer:?}");
        assert_eq!(asked.traces(), [sent]);
    }
}

#[tokio::test]
async fn a_denial_comes_through() {
    let answer = ask(Script::answering(|request| {
        Ok(deny(request, vec![reason("policy-stale")]))
    }))
    .await
    .unwrap();
    let Answer::Denied(denied) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(denied.reasons(), [reason("policy-stale")]);
}

#[tokio::test]
async fn garbage_is_never_allowed() {
    let garbage: [fn(&AdmitRequest) -> AdmitResponse; 9] = [
        |_| AdmitResponse::default(),
        |_| AdmitResponse {
            verdict: 1,
            ..AdmitResponse::default()
        },
        |request| AdmitResponse {
            verdict: 42,
            ..allow(request)
        },
        |request| AdmitResponse {
            reasons: vec![reason("policy-stale")],
            ..allow(request)
        },
        |request| AdmitResponse {
            decision_id: "\u{1b}[2J".into(),
            ..allow(request)
        },
        |request| AdmitResponse {
            record_hash: String::new(),
            ..allow(request)
        },
        |request| AdmitResponse {
            dry_run: !request.dry_run,
            ..allow(request)
        },
        |request| deny(request, Vec::new()),
        |request| AdmitResponse {
            policy_digest: "0".repeat(5 * 1024 * 1024),
            ..allow(request)
        },
    ];
    let folder = tempfile::tempdir().unwrap();
    for (at, answer) in garbage.into_iter().enumerate() {
        let (tcp, _) = Script::answering(move |request| Ok(answer(request)))
            .serve_tcp()
            .await;
        let (unix, _) = Script::answering(move |request| Ok(answer(request)))
            .serve_unix(&folder.path().join(at.to_string()))
            .await;
        for endpoint in [tcp, unix] {
            let answer = client(&endpoint, PATIENT).admit(launch()).await;
            let is_last = at + 1 == garbage.len();
            match answer {
                Err(AskError::Malformed(_)) if !is_last => {}
                // An answer over its limit is not even read.
                Err(AskError::Failed { code, .. }) if is_last => {
                    assert_eq!(code, Code::OutOfRange);
                }
                other => panic!("{at}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn every_failure_is_an_error() {
    for number in 1..=16 {
        let code = Code::from_i32(number);
        let answer = ask(Script::answering(move |_| {
            let details = ErrorDetails::with_error_info("SHUTTING_DOWN", "admit.v1", []);
            Err(Status::with_error_details(code, "no\u{7}", details))
        }))
        .await;
        let Err(AskError::Failed {
            code: failed,
            reason,
            message,
            ..
        }) = answer
        else {
            panic!("{answer:?}")
        };
        assert_eq!(failed, code);
        assert_eq!(reason.as_deref(), Some("SHUTTING_DOWN"));
        assert_eq!(message, "no\\u{7}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_a_timeout() {
    let script = Script {
        hangs: true,
        ..Script::default()
    };
    let (endpoint, _) = script.serve_tcp().await;
    let start = Instant::now();
    let answer = client(&endpoint, SHORT).admit(launch()).await;
    assert!(matches!(answer, Err(AskError::TimedOut)), "{answer:?}");
    assert!(start.elapsed() >= SHORT / 2 && start.elapsed() < PATIENT);
}

#[tokio::test]
async fn a_port_that_accepts_and_says_nothing_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let mut client = client(&endpoint, SHORT);
    let answer = client.admit(launch()).await;
    assert!(matches!(answer, Err(AskError::TimedOut)), "{answer:?}");
    let watch = client.watch(WatchPolicyRequest::default()).await;
    assert!(matches!(watch, Err(AskError::TimedOut)), "{watch:?}");
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tcp = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let unix = format!("unix:{}", folder.path().join("none").display());
    for endpoint in [tcp, unix] {
        let mut client = client(&endpoint, PATIENT);
        let admit = client.admit(launch()).await;
        assert!(matches!(admit, Err(AskError::Unreachable(_))), "{admit:?}");
        let health = client.health("").await;
        assert!(
            matches!(health, Err(AskError::Unreachable(_))),
            "{health:?}"
        );
    }
}

#[tokio::test]
async fn bytes_that_are_no_grpc_are_an_error() {
    for bytes in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nALLOW"[..],
        b"ALLOW\n",
        b"\0\0\0\x04\0\0\0\0\0\xff\xff\xff\xff",
        b"",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut preface = [0; 24];
            stream.read_exact(&mut preface).await.unwrap();
            stream.write_all(bytes).await.unwrap();
        });
        let answer = client(&endpoint, PATIENT).admit(launch()).await;
        assert!(
            matches!(
                answer,
                Err(AskError::Unreachable(_) | AskError::Failed { .. })
            ),
            "{answer:?}"
        );
        server.await.unwrap();
    }
}

#[tokio::test]
async fn health_is_told() {
    let (up, _) = Script::default().serve_tcp().await;
    let (down, _) = Script {
        serves: false,
        ..Script::default()
    }
    .serve_tcp()
    .await;
    assert!(client(&up, PATIENT).health("").await.unwrap());
    assert!(!client(&down, PATIENT).health("").await.unwrap());
    let unknown = client(&up, PATIENT).health("nothing").await;
    assert!(
        matches!(
            unknown,
            Err(AskError::Failed {
                code: Code::NotFound,
                ..
            })
        ),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn a_missing_policy_is_malformed() {
    let (endpoint, _) = Script {
        policy: None,
        ..Script::default()
    }
    .serve_tcp()
    .await;
    let policy = client(&endpoint, PATIENT).policy().await;
    assert!(matches!(policy, Err(AskError::Malformed(_))), "{policy:?}");
    let (endpoint, _) = Script::default().serve_tcp().await;
    assert_eq!(
        client(&endpoint, PATIENT).policy().await.unwrap(),
        Policy::default()
    );
}

#[tokio::test]
async fn a_watch_gives_its_events_and_ends() {
    let events = || {
        let of = |event| Ok(WatchPolicyResponse { event });
        vec![
            of(Some(Event::PolicyChanged(PolicyChanged::default()))),
            of(None),
            of(Some(Event::PairChanged(PairChanged {
                state: 9,
                ..PairChanged::default()
            }))),
            Err(Status::unavailable("stopping")),
        ]
    };
    let (endpoint, _) = Script {
        events: Box::new(events),
        ends: true,
        ..Script::default()
    }
    .serve_tcp()
    .await;
    let mut watch = {
        // The watch outlives the client that opened it.
        let mut client = client(&endpoint, PATIENT);
        client.watch(WatchPolicyRequest::default()).await.unwrap()
    };
    assert_eq!(
        watch.next().await.unwrap(),
        Some(Event::PolicyChanged(PolicyChanged::default()))
    );
    let Some(Event::PairChanged(change)) = watch.next().await.unwrap() else {
        panic!("a change of the pair")
    };
    assert_eq!(change.state(), PairState::Revoked);
    let end = watch.next().await;
    assert!(
        matches!(
            end,
            Err(AskError::Failed {
                code: Code::Unavailable,
                ..
            })
        ),
        "{end:?}"
    );
}

#[tokio::test]
async fn a_watch_whose_status_is_spoiled_is_malformed_and_over() {
    let (endpoint, _) = Script {
        events: Box::new(|| vec![Err(spoiled())]),
        ends: true,
        ..Script::default()
    }
    .serve_tcp()
    .await;
    let mut client = client(&endpoint, PATIENT);
    let mut watch = client.watch(WatchPolicyRequest::default()).await.unwrap();
    let end = watch.next().await;
    assert!(matches!(end, Err(AskError::Malformed(_))), "{end:?}");
    assert_eq!(watch.next().await.unwrap(), None);
}
