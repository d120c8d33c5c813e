//! Limits on how many: up to each there is a place, over it a refusal at once, and afterwards a place
//! again. Health is answered all the while.

use admit_proto::v1::WatchPolicyRequest;
use tonic::Code;

use crate::{
    calls::OpenCall,
    daemon::{Client, policy::A},
    frames::{ADMIT, PING, Wire, open},
    scene::{Scene, eventually, is_overloaded},
};

#[tokio::test]
async fn connections_have_so_many_places_in_all_and_of_one_peer() {
    const PLACES: usize = 4;
    for (limit, limits) in [
        ("connections", "connections = 4\nconnections_per_peer = 8\n"),
        (
            "connections_per_peer",
            "connections = 8\nconnections_per_peer = 4\n",
        ),
    ] {
        let scene = Scene::with(limits).await;
        // The connections of the start have to be gone.
        scene.is_left_alone(usize::MAX).await;
        let mut clients: Vec<Client> = Vec::new();
        for _ in 0..PLACES {
            let mut client = scene.client().await;
            client.admit(A.launch()).await.unwrap();
            clients.push(client);
        }
        let before = scene.overloaded(limit).await;
        let mut one_more = scene.client().await;
        for _ in 0..3 {
            is_overloaded(&one_more.admit(A.launch()).await.unwrap_err(), limit);
        }
        assert_eq!(scene.overloaded(limit).await, before + 1);
        scene.is_healthy().await;
        // Who has a place keeps it.
        for client in &mut clients {
            client.admit(A.launch()).await.unwrap();
        }
        // Nobody shuts the users of the host out, who have places of their own.
        scene.local().await.admit(A.launch()).await.unwrap();
        drop(clients);
        eventually("a free place", async || {
            let client = scene.client().await.admit(A.launch()).await;
            client.ok()
        })
        .await;
    }
}

#[tokio::test]
async fn whoever_is_turned_away_is_closed_soon() {
    let scene = Scene::with("connections_per_peer = 1\nhandshake = \"1m\"\n").await;
    let _first = Wire::greeted(scene.tcp).await;
    eventually("a connection", async || {
        (scene.connections().await > 0).then_some(())
    })
    .await;
    let before = scene.overloaded("connections_per_peer").await;
    // Far more than are told so: all of them have an end long before the handshake's.
    let mut others = Vec::new();
    for _ in 0..100 {
        others.push(Wire::greeted(scene.tcp).await);
    }
    for wire in &mut others {
        wire.closed().await;
    }
    assert_eq!(scene.overloaded("connections_per_peer").await, before + 100);
    scene.is_healthy().await;
}

#[tokio::test]
async fn calls_have_so_many_places_in_all_and_of_one_caller() {
    const PLACES: usize = 3;
    for (limit, limits) in [
        ("in_flight", "in_flight = 3\nin_flight_per_caller = 9\n"),
        (
            "in_flight_per_caller",
            "in_flight = 9\nin_flight_per_caller = 3\n",
        ),
    ] {
        let scene = Scene::with(limits).await;
        let channel = scene.over_tcp().await;
        let mut open_calls: Vec<OpenCall> =
            (1..PLACES).map(|_| OpenCall::on(channel.clone())).collect();
        is_in_flight(&scene, PLACES - 1).await;
        // The last place is one.
        scene.answers().await;
        open_calls.push(OpenCall::on(channel.clone()));
        is_in_flight(&scene, PLACES).await;
        let before = scene.overloaded(limit).await;
        let mut client = scene.client().await;
        is_overloaded(&client.admit(A.launch()).await.unwrap_err(), limit);
        let mut local = scene.local().await;
        is_overloaded(&local.admit(A.launch()).await.unwrap_err(), limit);
        assert_eq!(scene.overloaded(limit).await, before + 2);
        // Watches and health have places of their own.
        let mut watch = client.watch(WatchPolicyRequest::default()).await.unwrap();
        watch.policy_changed().await;
        scene.is_healthy().await;
        drop(open_calls);
        is_in_flight(&scene, 0).await;
        client.admit(A.launch()).await.unwrap();
    }
}

async fn is_in_flight(scene: &Scene, calls: usize) {
    eventually("so many calls", async || {
        let found = scene.metric("admit_in_flight").await;
        (found == u64::try_from(calls).unwrap()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn watches_have_so_many_places_in_all_and_of_one_caller() {
    for (limit, limits) in [
        ("watchers", "watchers = 3\nwatchers_per_caller = 9\n"),
        (
            "watchers_per_caller",
            "watchers = 9\nwatchers_per_caller = 3\n",
        ),
    ] {
        let scene = Scene::with(limits).await;
        let mut client = scene.client().await;
        let mut watches = Vec::new();
        for _ in 0..3 {
            let mut watch = client.watch(A.follow()).await.unwrap();
            watch.policy_changed().await;
            watches.push(watch);
        }
        let before = scene.overloaded(limit).await;
        for mut client in [client.clone(), scene.local().await] {
            let Err(refused) = client.watch(A.follow()).await else {
                panic!("one watch more than there are places");
            };
            is_overloaded(&refused, limit);
        }
        assert_eq!(scene.overloaded(limit).await, before + 2);
        scene.answers().await;
        scene.is_healthy().await;
        drop(watches);
        eventually("a free place", async || client.watch(A.follow()).await.ok()).await;
    }
}

/// A stream too many is refused in HTTP/2 itself: the peer knows the limit from the settings, and may
/// send the call again (RFC 9113, 8.7).
#[tokio::test]
async fn streams_have_so_many_places_on_a_connection() {
    const REFUSED_STREAM: u32 = 0x7;
    let scene = Scene::with("streams_per_connection = 3\n").await;
    let mut wire = Wire::greeted(scene.tcp).await;
    for stream in [1, 3, 5] {
        wire.send(&open(stream, ADMIT)).await;
    }
    let (found, _) = wire.reactions().await;
    assert!(found.iter().all(|frame| frame.stream == 0), "{found:?}");
    wire.send(&open(7, ADMIT)).await;
    let (found, is_open) = wire.reactions().await;
    let refused: Vec<_> = found.iter().filter(|frame| frame.stream != 0).collect();
    assert_eq!(refused.len(), 1, "{found:?}");
    assert_eq!((refused[0].stream, refused[0].error()), (7, REFUSED_STREAM));
    assert!(is_open && found.iter().all(|frame| frame.kind != PING));
    // Another connection has streams of its own.
    scene.answers().await;
    wire.send(&crate::frames::reset(1, 0x8)).await;
    wire.reactions().await;
    wire.send(&open(9, ADMIT)).await;
    let (found, _) = wire.reactions().await;
    assert!(found.iter().all(|frame| frame.stream != 9), "{found:?}");
}

#[tokio::test]
async fn a_client_that_knows_the_limit_of_streams_waits_for_one() {
    let scene = Scene::with("streams_per_connection = 1\n").await;
    let mut client = scene.client().await;
    // With the first answer come the settings.
    client.admit(A.launch()).await.unwrap();
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut client = client.clone();
        asking.spawn(async move { client.admit(A.launch()).await.map(drop) });
    }
    for answer in asking.join_all().await {
        answer.unwrap();
    }
}

/// The list of headers is bounded; a request is as well (`wire.rs`).
#[tokio::test]
async fn headers_have_so_many_bytes() {
    const HEADER_BYTES_MAX: usize = 16 * 1024;
    /// What the other headers of a call take at most.
    const OTHERS_BYTES_MAX: usize = 1024;
    let scene = Scene::with("").await;
    let mut client = admit_proto::v1::admission_service_client::AdmissionServiceClient::new(
        scene.over_tcp().await,
    );
    for (bytes, is_taken) in [
        (HEADER_BYTES_MAX - OTHERS_BYTES_MAX, true),
        (HEADER_BYTES_MAX, false),
        (3 * HEADER_BYTES_MAX, false),
    ] {
        let mut request = tonic::Request::new(A.launch());
        let value = "v".repeat(bytes).parse().unwrap();
        request.metadata_mut().insert("x-long", value);
        let answer = crate::daemon::within("an answer", client.admit(request)).await;
        match answer {
            Ok(_) => assert!(is_taken, "{bytes}"),
            Err(status) => assert!(
                !is_taken && status.code() != Code::Ok,
                "{bytes}: {status:?}"
            ),
        }
        scene.answers().await;
    }
}
