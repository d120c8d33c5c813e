//! Several servers: who is passed over, whose word is final, and what it costs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use admit_client::{Answer, AskError, Client, Endpoints};
use admit_proto::v1::{AdmitRequest, AdmitResponse, Lane, Policy, Reason, WatchPolicyRequest};
use tokio::{
    io::{AsyncReadExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::stub::{Asked, Script, allow, deny, spoiled};

/// Longer than any answer of a server in this process takes.
const PATIENT: Duration = Duration::from_secs(30);
/// For calls that have to wait for a share of it.
const BRIEF: Duration = Duration::from_secs(3);

fn launch() -> AdmitRequest {
    AdmitRequest {
        lane: Lane::Real.into(),
        run_id: "run-1".into(),
        ..AdmitRequest::default()
    }
}

fn client(endpoints: &[&str], deadline: Duration) -> Client {
    let endpoints: Endpoints = endpoints.join(",").parse().unwrap();
    Client::new(endpoints, deadline)
}

fn failing(code: Code) -> Script {
    Script::answering(move |_| Err(Status::new(code, "no")))
}

fn not_serving() -> Script {
    Script {
        serves: false,
        ..Script::default()
    }
}

/// An endpoint where nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// A port that accepts and says nothing, or hangs up after `bytes` bytes; how many came.
async fn mute(bytes: Option<usize>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let came = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&came);
    tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            match bytes {
                Some(bytes) => {
                    let _ = stream.read_exact(&mut vec![0; bytes]).await;
                }
                None => kept.push(stream),
            }
        }
    });
    (endpoint, came)
}

/// Whether an ALLOW of `second` comes through although `first` is asked first.
async fn passes_over(what: &str, first: &str, deadline: Duration) {
    let (second, asked) = Script::default().serve_tcp().await;
    let mut client = client(&[first, &second], deadline);
    assert_eq!(client.answered_by(), None);
    let answer = client.admit(launch()).await;
    assert!(
        matches!(answer, Ok(Answer::Allowed(_))),
        "{what}: {answer:?}"
    );
    assert_eq!(asked.requests(), [launch()], "{what}");
    let by = client.answered_by().unwrap().to_string();
    assert_eq!(by, second, "{what}");
}

#[tokio::test]
async fn a_server_that_says_nothing_of_the_launch_is_passed_over() {
    passes_over("nobody", &nobody().await, PATIENT).await;
    passes_over("hangs up", &mute(Some(24)).await.0, PATIENT).await;
    passes_over("mute", &mute(None).await.0, BRIEF).await;
    let refuses_tls = nobody().await.replace("http:", "https:");
    passes_over("no TLS", &refuses_tls, PATIENT).await;
    for (what, script, is_asked) in [
        ("not serving", not_serving(), false),
        (
            "unknown health",
            Script {
                tells: false,
                ..Script::default()
            },
            false,
        ),
        ("unavailable", failing(Code::Unavailable), true),
        ("exhausted", failing(Code::ResourceExhausted), true),
    ] {
        let (first, asked) = script.serve_tcp().await;
        passes_over(what, &first, PATIENT).await;
        assert_eq!(asked.requests().len(), usize::from(is_asked), "{what}");
    }
    let hanging = Script {
        hangs: true,
        ..Script::default()
    };
    let (first, asked) = hanging.serve_tcp().await;
    passes_over("hangs", &first, BRIEF).await;
    assert_eq!(asked.requests().len(), 1);
}

/// What comes of asking `first`, before a server that would allow; asserts that it is not asked.
async fn final_word(first: Script) -> Result<Answer, AskError> {
    let (first, _) = first.serve_tcp().await;
    let (second, asked) = Script::default().serve_tcp().await;
    let mut client = client(&[&first, &second], PATIENT);
    let answer = client.admit(launch()).await;
    assert_eq!(asked.requests(), [], "{answer:?}");
    assert_eq!(client.answered_by().unwrap().to_string(), first);
    answer
}

#[tokio::test]
async fn a_denial_is_final() {
    let reason = || Reason {
        code: "policy-stale".into(),
        ..Reason::default()
    };
    let answer = final_word(Script::answering(move |request| {
        Ok(deny(request, vec![reason()]))
    }))
    .await;
    assert!(matches!(answer, Ok(Answer::Denied(_))), "{answer:?}");
}

#[tokio::test]
async fn a_failure_about_the_request_is_final() {
    for number in 1..=16 {
        let code = Code::from_i32(number);
        let is_timeout = matches!(code, Code::Cancelled | Code::DeadlineExceeded);
        if is_timeout || matches!(code, Code::Unavailable | Code::ResourceExhausted) {
            continue;
        }
        let answer = final_word(failing(code)).await;
        assert!(
            matches!(answer, Err(AskError::Failed { code: failed, .. }) if failed == code),
            "{answer:?}"
        );
    }
}

type Answering = fn(&AdmitRequest) -> Result<AdmitResponse, Status>;

#[tokio::test]
async fn what_is_malformed_is_final() {
    let garbage: [Answering; 5] = [
        |_| Ok(AdmitResponse::default()),
        |request| {
            Ok(AdmitResponse {
                verdict: 42,
                ..allow(request)
            })
        },
        |request| {
            Ok(AdmitResponse {
                decision_id: String::new(),
                ..allow(request)
            })
        },
        |request| Ok(deny(request, Vec::new())),
        // The gRPC library panics over this one.
        |_| Err(spoiled()),
    ];
    for answer in garbage {
        let answer = final_word(Script::answering(answer)).await;
        assert!(matches!(answer, Err(AskError::Malformed(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn each_server_has_its_share_of_the_deadline_and_the_last_good_one_is_asked_first() {
    let (first, first_came) = mute(None).await;
    let (second, second_came) = mute(None).await;
    let (third, _) = Script::default().serve_tcp().await;
    let mut client = client(&[&first, &second, &third], BRIEF);
    let start = Instant::now();
    let answer = client.admit(launch()).await;
    assert!(matches!(answer, Ok(Answer::Allowed(_))), "{answer:?}");
    // A third each, for two of them.
    let took = start.elapsed();
    assert!(took >= BRIEF / 2 && took < BRIEF, "{took:?}");
    let counts = || [&first_came, &second_came].map(|came| came.load(Ordering::SeqCst));
    assert_eq!(counts(), [1, 1]);
    // The second call, and calls of other kinds, begin where the first one ended.
    assert!(client.admit(launch()).await.is_ok());
    assert!(client.policy().await.is_ok());
    assert!(client.watch(WatchPolicyRequest::default()).await.is_ok());
    assert!(client.health("").await.unwrap());
    assert_eq!(counts(), [1, 1]);
}

#[tokio::test]
async fn a_connection_that_gave_no_answer_is_not_used_again() {
    let (server, _) = Script::default().serve_tcp().await;
    let server = server.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (_mute, _) = listener.accept().await.unwrap();
        let (mut second, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(server).await.unwrap();
        copy_bidirectional(&mut second, &mut server).await
    });
    let mut client = client(&[&endpoint], BRIEF);
    let answer = client.admit(launch()).await;
    assert!(matches!(answer, Err(AskError::TimedOut)), "{answer:?}");
    let answer = client.admit(launch()).await;
    assert!(matches!(answer, Ok(Answer::Allowed(_))), "{answer:?}");
}

#[tokio::test]
async fn the_stated_order_holds() {
    let mut endpoints = Vec::new();
    let mut all_asked: Vec<Asked> = Vec::new();
    for _ in 0..3 {
        let (endpoint, asked) = Script::default().serve_tcp().await;
        endpoints.push(endpoint);
        all_asked.push(asked);
    }
    let endpoints: Vec<&str> = endpoints.iter().map(String::as_str).collect();
    let mut client = client(&endpoints, PATIENT);
    for _ in 0..2 {
        assert!(client.admit(launch()).await.is_ok());
    }
    let counts: Vec<usize> = all_asked.iter().map(|a| a.requests().len()).collect();
    assert_eq!(counts, [2, 0, 0]);
}

#[tokio::test]
async fn when_none_answers_the_error_tells_of_each() {
    let nobody = nobody().await;
    let (down, asked) = not_serving().serve_tcp().await;
    let (failing, _) = failing(Code::Unavailable).serve_tcp().await;
    let (mute, _) = mute(None).await;
    let endpoints = [&nobody, &down, &failing, &mute].map(String::as_str);
    let mut client = client(&endpoints, BRIEF);
    let start = Instant::now();
    let error = client.admit(launch()).await.unwrap_err();
    assert!(start.elapsed() < PATIENT);
    let text = error.to_string();
    let AskError::NoneAnswered(passed_over) = error else {
        panic!("{error}")
    };
    let told: Vec<String> = passed_over.iter().map(|p| p.endpoint.to_string()).collect();
    assert_eq!(told, endpoints);
    assert!(
        matches!(
            passed_over.iter().map(|p| &p.error).collect::<Vec<_>>()[..],
            [
                AskError::Unreachable(_),
                AskError::NotServing,
                AskError::Failed {
                    code: Code::Unavailable,
                    ..
                },
                AskError::TimedOut,
            ]
        ),
        "{text}"
    );
    assert!(
        endpoints.iter().all(|endpoint| text.contains(endpoint)),
        "{text}"
    );
    assert_eq!(client.answered_by(), None);
    assert!(asked.requests().is_empty());
}

#[tokio::test]
async fn one_server_alone_is_asked_whatever_its_health() {
    let (down, asked) = not_serving().serve_tcp().await;
    let answer = client(&[&down], PATIENT).admit(launch()).await;
    assert!(matches!(answer, Ok(Answer::Allowed(_))), "{answer:?}");
    assert_eq!(asked.requests().len(), 1);
}

#[tokio::test]
async fn who_answered_is_told_of_the_latest_call_alone() {
    let (up, _) = Script::default().serve_tcp().await;
    let mut client = client(&[&up], PATIENT);
    assert_eq!(client.answered_by(), None);
    assert!(client.admit(launch()).await.is_ok());
    assert_eq!(client.answered_by().unwrap().to_string(), up);
    assert!(client.health("nothing").await.is_err());
    assert_eq!(client.answered_by(), None);
}

#[tokio::test]
async fn the_policy_and_its_changes_come_from_the_first_server_that_serves() {
    let (down, _) = not_serving().serve_tcp().await;
    let (up, _) = Script {
        policy: Some(Policy {
            stale: true,
            ..Policy::default()
        }),
        ..Script::default()
    }
    .serve_tcp()
    .await;
    let mut client = client(&[&down, &up], PATIENT);
    assert!(client.policy().await.unwrap().stale);
    assert!(client.watch(WatchPolicyRequest::default()).await.is_ok());
    assert_eq!(client.answered_by().unwrap().to_string(), up);
}

#[tokio::test]
async fn health_is_that_of_the_best_server() {
    let (up, _) = Script::default().serve_tcp().await;
    let (down, _) = not_serving().serve_tcp().await;
    let (also_down, _) = not_serving().serve_tcp().await;
    let nobody = nobody().await;
    for (endpoints, expected) in [
        ([&down, &up], Some(true)),
        ([&nobody, &up], Some(true)),
        ([&down, &also_down], Some(false)),
        ([&down, &nobody], None),
    ] {
        let endpoints = endpoints.map(String::as_str);
        let health = client(&endpoints, PATIENT).health("").await;
        assert_eq!(health.as_ref().ok().copied(), expected, "{health:?}");
    }
}

/// What a server over one of its limits says.
fn overloaded(retry_after: Duration) -> Status {
    let mut details = ErrorDetails::with_error_info("OVERLOADED", "admit.v1", []);
    details.set_retry_info(Some(retry_after));
    Status::with_error_details(Code::ResourceExhausted, "over a limit", details)
}

/// A server that is overloaded for so many calls.
fn overloaded_for(calls: usize, retry_after: Duration) -> Script {
    let refused = AtomicUsize::new(0);
    Script::answering(move |request| {
        if refused.fetch_add(1, Ordering::SeqCst) < calls {
            Err(overloaded(retry_after))
        } else {
            Ok(allow(request))
        }
    })
}

#[tokio::test]
async fn an_overloaded_server_alone_is_asked_again_when_it_says() {
    let hint = Duration::from_millis(200);
    let (first, asked) = overloaded_for(2, hint).serve_tcp().await;
    let start = Instant::now();
    let answer = client(&[&first], PATIENT).admit(launch()).await;
    assert!(matches!(answer, Ok(Answer::Allowed(_))), "{answer:?}");
    assert_eq!(asked.requests().len(), 3);
    // Once the hint, and then twice.
    assert!(start.elapsed() >= 3 * hint);
}

#[tokio::test]
async fn a_server_that_stays_overloaded_is_not_asked_beyond_the_deadline() {
    for (hint, most) in [
        // 100 ms, 200, 400, 800: the next pause is longer than what remains of 3 s.
        (Duration::ZERO, 5),
        (BRIEF / 2, 2),
        (BRIEF, 1),
        (Duration::MAX, 1),
    ] {
        let (first, asked) = overloaded_for(usize::MAX, hint).serve_tcp().await;
        let start = Instant::now();
        let error = client(&[&first], BRIEF).admit(launch()).await.unwrap_err();
        assert!(start.elapsed() < BRIEF, "{hint:?}");
        assert!(error.to_string().contains("OVERLOADED"), "{error}");
        let calls = asked.requests().len();
        assert!(calls <= most, "{hint:?}: {calls} calls");
        assert_eq!(calls > 1, hint < BRIEF, "{hint:?}: {calls} calls");
    }
}

#[tokio::test]
async fn another_server_is_asked_before_an_overloaded_one_again() {
    let (first, asked) = overloaded_for(usize::MAX, Duration::ZERO).serve_tcp().await;
    passes_over("overloaded", &first, PATIENT).await;
    assert_eq!(asked.requests().len(), 1);
    // Where the other one is gone, the first is all there is.
    let (first, asked) = overloaded_for(1, Duration::ZERO).serve_tcp().await;
    let nobody = nobody().await;
    let answer = client(&[&first, &nobody], PATIENT).admit(launch()).await;
    assert!(matches!(answer, Ok(Answer::Allowed(_))), "{answer:?}");
    assert_eq!(asked.requests().len(), 2);
}
