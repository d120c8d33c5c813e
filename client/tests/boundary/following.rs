//! A pair that is followed from stream to stream and from server to server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use admit_client::{
    AskError, Client, Contact, Endpoints, Following, PairEvent,
    follow::{DELAY_MAX, DELAY_MIN},
};
use admit_proto::v1::{
    PairChanged, PairState, PolicyChanged, Reason, WatchPolicyResponse,
    watch_policy_response::Event,
};
use tokio::{
    io::{AsyncReadExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::{Instant, timeout},
};
use tonic::Status;

use crate::stub::Script;

/// Longer than anything here takes.
const PATIENT: Duration = Duration::from_secs(30);
/// For what has to run into a deadline.
const SHORT: Duration = Duration::from_millis(300);

type Events = Vec<Result<WatchPolicyResponse, Status>>;

fn changed(state: i32, reasons: &[&str]) -> Result<WatchPolicyResponse, Status> {
    let reason = |code: &&str| Reason {
        code: (*code).into(),
        ..Reason::default()
    };
    let change = PairChanged {
        state,
        reasons: reasons.iter().map(reason).collect(),
        policy_digest: "0a".repeat(32),
    };
    Ok(WatchPolicyResponse {
        event: Some(Event::PairChanged(change)),
    })
}

fn admitted() -> Result<WatchPolicyResponse, Status> {
    changed(PairState::Admitted.into(), &[])
}

fn revoked() -> Result<WatchPolicyResponse, Status> {
    changed(PairState::Revoked.into(), &["review-due"])
}

fn policy() -> Result<WatchPolicyResponse, Status> {
    Ok(WatchPolicyResponse {
        event: Some(Event::PolicyChanged(PolicyChanged::default())),
    })
}

/// A server whose streams have these events, and end after them or stay open.
fn streaming(ends: bool, events: impl Fn() -> Events + Send + Sync + 'static) -> Script {
    Script {
        events: Box::new(events),
        ends,
        ..Script::default()
    }
}

fn follow(endpoints: &[&str], deadline: Duration) -> Following {
    let endpoints: Endpoints = endpoints.join(",").parse().unwrap();
    Client::new(endpoints, deadline).follow("p", "m")
}

/// The next event in short.
async fn next(pair: &mut Following) -> String {
    let event = timeout(PATIENT, pair.next()).await.expect("an event");
    match event {
        PairEvent::Admitted => "admitted".into(),
        PairEvent::Revoked(reasons) => {
            let codes: Vec<&str> = reasons.iter().map(|reason| reason.code.as_str()).collect();
            format!("revoked {}", codes.join(" ")).trim_end().into()
        }
        PairEvent::Contact(Contact::Restored) => "restored".into(),
        PairEvent::Contact(Contact::Lost { error, .. }) => match error {
            AskError::Unreachable(_) => "lost: unreachable".into(),
            AskError::TimedOut => "lost: timed out".into(),
            AskError::Malformed(_) => "lost: malformed".into(),
            AskError::Failed { code, .. } => format!("lost: {code:?}"),
            AskError::NotServing => "lost: not serving".into(),
            AskError::NoneAnswered(_) => "lost: none answered".into(),
        },
    }
}

async fn expect(pair: &mut Following, expected: &[&str]) {
    for event in expected {
        assert_eq!(next(pair).await, *event);
    }
}

#[tokio::test]
async fn the_next_server_goes_on_and_its_word_counts() {
    let (first, _) = streaming(true, || {
        vec![policy(), admitted(), Err(Status::unavailable("stopping"))]
    })
    .serve_tcp()
    .await;
    let (second, _) = streaming(false, || vec![policy(), revoked()])
        .serve_tcp()
        .await;
    let mut pair = follow(&[&first, &second], PATIENT);
    let expected = [
        "admitted",
        "lost: Unavailable",
        "restored",
        "revoked review-due",
    ];
    expect(&mut pair, &expected).await;
}

#[tokio::test]
async fn a_stream_that_ends_is_opened_again() {
    let openings = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&openings);
    let (endpoint, _) = streaming(true, move || match count.fetch_add(1, Ordering::SeqCst) {
        0 => vec![admitted(), revoked()],
        _ => vec![admitted()],
    })
    .serve_tcp()
    .await;
    let mut pair = follow(&[&endpoint], PATIENT);
    expect(&mut pair, &["admitted", "revoked review-due"]).await;
    for _ in 0..2 {
        expect(&mut pair, &["lost: unreachable", "restored", "admitted"]).await;
    }
    assert!(openings.load(Ordering::SeqCst) >= 3);
}

#[tokio::test]
async fn a_server_that_comes_later_is_found_and_a_loss_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admit.sock");
    let mut pair = follow(&[&format!("unix:{}", path.display())], PATIENT);
    assert_eq!(next(&mut pair).await, "lost: unreachable");
    // Every further attempt that fails says nothing.
    let silence = timeout(DELAY_MIN * 8, pair.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    let _serving = streaming(false, || vec![admitted()])
        .serve_unix(&path)
        .await;
    expect(&mut pair, &["restored", "admitted"]).await;
}

#[tokio::test]
async fn what_is_not_known_is_revoked() {
    for (state, reasons, expected) in [
        (0, &[][..], &["revoked"][..]),
        (2, &[], &["revoked"]),
        (9, &["review-due"], &["revoked review-due"]),
        (1, &["review-due"], &["revoked", "lost: malformed"]),
        (2, &["Not A Code"], &["revoked", "lost: malformed"]),
    ] {
        let (endpoint, _) = streaming(false, move || vec![changed(state, reasons)])
            .serve_tcp()
            .await;
        let mut pair = follow(&[&endpoint], PATIENT);
        expect(&mut pair, expected).await;
    }
}

#[tokio::test]
async fn an_open_stream_that_says_nothing_of_the_pair_is_lost() {
    let (first, _) = streaming(false, || vec![policy()]).serve_tcp().await;
    let (second, _) = streaming(false, || vec![admitted()]).serve_tcp().await;
    let mut pair = follow(&[&first, &second], SHORT);
    expect(&mut pair, &["lost: timed out", "restored", "admitted"]).await;
}

#[tokio::test]
async fn a_connection_that_dies_in_silence_is_noticed() {
    let (endpoint, _) = streaming(false, || vec![admitted()]).serve_tcp().await;
    let server = endpoint.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let (freeze, frozen) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(server).await.unwrap();
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut server) => {}
            _ = frozen => {}
        }
        // Both ends stay open, and nothing passes any more.
        std::future::pending::<()>().await;
    });
    let mut pair = follow(&[&proxy], PATIENT);
    assert_eq!(next(&mut pair).await, "admitted");
    freeze.send(()).unwrap();
    // From here on, the clock runs when nothing else does.
    tokio::time::pause();
    let start = Instant::now();
    assert_eq!(next(&mut pair).await, "lost: unreachable");
    let took = start.elapsed();
    assert!(took <= Duration::from_secs(16), "{took:?}");
}

#[tokio::test]
async fn attempts_grow_rarer_up_to_a_bound() {
    let (endpoint, _) = streaming(true, || vec![admitted()]).serve_tcp().await;
    let mut pair = follow(&[&endpoint], PATIENT);
    assert_eq!(next(&mut pair).await, "admitted");
    tokio::time::pause();
    let mut due = DELAY_MIN;
    for _ in 0..9 {
        assert_eq!(next(&mut pair).await, "lost: unreachable");
        let start = Instant::now();
        expect(&mut pair, &["restored", "admitted"]).await;
        let took = start.elapsed();
        assert!(took >= due && took < due * 2, "{took:?} for {due:?}");
        due = (due * 2).min(DELAY_MAX);
    }
    assert_eq!(due, DELAY_MAX);
}

#[tokio::test]
async fn nothing_is_lost_by_who_listens_in_between() {
    let (endpoint, _) = streaming(false, || vec![admitted(), revoked()])
        .serve_tcp()
        .await;
    let mut pair = follow(&[&endpoint], PATIENT);
    let mut heard = Vec::new();
    while heard.len() < 2 {
        tokio::select! {
            biased;
            event = pair.next() => heard.push(event),
            () = tokio::task::yield_now() => {}
        }
    }
    assert!(
        matches!(heard[..], [PairEvent::Admitted, PairEvent::Revoked(_)]),
        "{heard:?}"
    );
}

#[tokio::test]
async fn who_stops_listening_stops_asking() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pair = follow(
        &[&format!("http://{}", listener.local_addr().unwrap())],
        PATIENT,
    );
    let (mut stream, _) = listener.accept().await.unwrap();
    drop(pair);
    let closed = timeout(PATIENT / 3, stream.read_to_end(&mut Vec::new())).await;
    assert!(closed.is_ok(), "the connection is still open");
}
