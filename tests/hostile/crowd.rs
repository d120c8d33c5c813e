//! Thousands of connections at one time.

use crate::{
    frames::Wire,
    scene::{Scene, eventually},
};

/// What the daemon needs besides connections, with those that are told that there are too many, and the
/// places for health.
const OTHER_DESCRIPTORS_MAX: usize = 256;
const CONNECTIONS_MAX: usize = 1024;
const CROWD: usize = 3000;

#[tokio::test]
async fn a_crowd_that_says_nothing_keeps_nobody_from_asking() {
    let limits = format!(
        "connections = {CONNECTIONS_MAX}\nconnections_per_peer = 1000\nhandshake = \"1m\"\n"
    );
    let scene = Scene::with(&limits).await;
    scene.is_left_alone(usize::MAX).await;
    let descriptors = scene.descriptors();
    let mut crowd = Vec::new();
    while crowd.len() < CROWD {
        for _ in 0..100 {
            crowd.push(Wire::silent(scene.tcp).await);
        }
        let found = scene.descriptors();
        assert!(found <= CONNECTIONS_MAX + OTHER_DESCRIPTORS_MAX, "{found}");
        // The host and the probe have places of their own, whatever the network does.
        scene.answers().await;
        scene.is_healthy_at(scene.health).await;
    }
    eventually("every place taken", async || {
        (scene.connections().await >= 1000).then_some(())
    })
    .await;
    assert!(scene.overloaded("connections_per_peer").await >= 2000);
    // Who comes now is told so, as soon as one of those who are told so has gone.
    eventually("health on the crowded listener", async || {
        scene.health_at(scene.tcp).await
    })
    .await;
    drop(crowd);
    scene.is_left_alone(descriptors).await;
    scene
        .client()
        .await
        .admit(crate::daemon::policy::A.launch())
        .await
        .unwrap();
    scene.is_healthy().await;
}
