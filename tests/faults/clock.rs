//! A clock that is set while the daemon runs.

use admit_proto::v1::{PairState, Verdict};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::{
    Scene, checked,
    daemon::{codes, policy::A},
    shim::{Fault, Switches, scene},
};

const HOUR: i64 = 60 * 60;
const YEAR: i64 = 365 * 24 * HOUR;

/// What comes of a launch that is admitted until the year 2999.
#[derive(Clone, Copy, Debug)]
enum Due {
    Allowed,
    /// Denied, for this reason among others.
    Denied(&'static str),
    /// No decision can be made.
    Unusable,
}

/// Each of them from the host's time, and back to it.
const JUMPS: [(i64, Due); 9] = [
    (HOUR / 2, Due::Allowed),
    (2 * HOUR, Due::Denied("policy-stale")),
    (-2 * HOUR, Due::Allowed),
    (980 * YEAR, Due::Denied("review-due")),
    (-YEAR, Due::Denied("admission-not-yet-valid")),
    (-60 * YEAR, Due::Unusable),
    (8_000 * YEAR, Due::Unusable),
    (i64::MAX / 4, Due::Unusable),
    (-i64::MAX / 4, Due::Unusable),
];

async fn asks(scene: &mut Scene, due: Due, jump: i64) {
    match (scene.client.admit(A.launch()).await, due) {
        (Ok(answer), Due::Allowed | Due::Denied(_)) => {
            let found = codes(&answer.reasons);
            match due {
                Due::Denied(code) => {
                    assert_eq!(answer.verdict(), Verdict::Deny, "{jump}: {answer:?}");
                    assert!(found.contains(&code), "{jump}: {answer:?}");
                }
                Due::Allowed | Due::Unusable => {
                    assert_eq!(answer.verdict(), Verdict::Allow, "{jump}: {answer:?}");
                }
            }
            let twice = scene.known.insert(answer.seq, answer.record_hash);
            assert_eq!(twice, None, "seq {} was given twice", answer.seq);
        }
        (Err(status), Due::Unusable) => {
            assert_eq!(status.code(), Code::Unavailable, "{jump}: {status:?}");
            let details = status.get_error_details();
            let reason = details.error_info().unwrap().reason.clone();
            assert_eq!(reason, "CLOCK_UNUSABLE", "{jump}");
        }
        (found, due) => panic!("{jump}: {due:?}, and there is {found:?}"),
    }
}

async fn jumps(scene: &mut Scene, clock: &Switches, jump: i64, due: Due) {
    clock.jump(jump);
    asks(scene, due, jump).await;
    // By a clock that is set forward nobody has read the policy for that long.
    let serves = jump < HOUR && !matches!(due, Due::Unusable);
    if !serves {
        // Whether or not anybody asks.
        scene.serves_not().await;
        asks(scene, due, jump).await;
    }
    clock.off(Fault::ClockJumps);
    if !serves {
        scene.serves().await;
    }
    asks(scene, Due::Allowed, 0).await;
}

#[tokio::test]
async fn a_clock_that_jumps_never_allows_what_has_expired() {
    for (jump, due) in JUMPS {
        // A daemon for each: its policy is not read again, and grows stale by the clock.
        let (mut scene, clock) = scene(|_| {}).await;
        asks(&mut scene, Due::Allowed, 0).await;
        jumps(&mut scene, &clock, jump, due).await;
        let Scene {
            daemon,
            audit,
            known,
            folder: _folder,
            ..
        } = scene;
        assert_eq!(daemon.terminate().await.code(), Some(0));
        checked(&audit, &known);
    }
}

#[tokio::test]
async fn a_clock_that_passes_the_expiry_revokes_what_is_followed() {
    let (mut scene, clock) = scene(|settings| settings.rescan_interval = "100ms").await;
    let mut watch = scene.client.watch(A.follow()).await.unwrap();
    watch.policy_changed().await;
    assert_eq!(watch.pair_changed().await.state(), PairState::Admitted);
    clock.jump(980 * YEAR);
    // It may be told first that the policy was not read for all that time.
    while {
        let pair = watch.pair_changed().await;
        assert_eq!(pair.state(), PairState::Revoked);
        codes(&pair.reasons) != ["review-due"]
    } {}
    asks(&mut scene, Due::Denied("review-due"), 980 * YEAR).await;
    clock.off(Fault::ClockJumps);
    while watch.pair_changed().await.state() != PairState::Admitted {}
    asks(&mut scene, Due::Allowed, 0).await;
    scene.is_whole();
}

#[tokio::test]
async fn a_clock_of_no_use_ends_the_watch_of_a_pair() {
    let (mut scene, clock) = scene(|_| {}).await;
    let mut watch = scene.client.watch(A.follow()).await.unwrap();
    watch.policy_changed().await;
    assert_eq!(watch.pair_changed().await.state(), PairState::Admitted);
    clock.jump(-100 * YEAR);
    // It may be told first that the policy is stale.
    let status = loop {
        match watch.next().await {
            Ok(event) => drop(event),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "CLOCK_UNUSABLE");
    // Health looks at the clock on its own, and tells of nothing that came and went between two looks.
    scene.serves_not().await;
    clock.off(Fault::ClockJumps);
    scene.serves().await;
}
