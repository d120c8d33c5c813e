//! Servers that answer otherwise than they may: whatever it is, nothing is started.

use admit_client::permit::{Claims, KeySet, SigningKey};
use admit_policy::Digest;
use admit_proto::v1::{
    AdmitResponse, PairState, Reason, Verdict, WatchPolicyResponse, watch_policy_response::Event,
};
use libtest_mimic::Trial;

use crate::{
    relay::{Relay, Twist},
    trial,
    world::World,
};

type AnswerRow = (
    &'static str,
    fn(&mut AdmitResponse),
    i32,
    &'static [&'static str],
);

const NO_ANSWER: &[&str] = &["no-answer"];
const UNFIT: &[&str] = &["permit-unfit"];

/// One thing that is wrong with an ALLOW of the daemon's own.
const ANSWERS: [AnswerRow; 16] = [
    (
        "a verdict that is unset",
        |answer| answer.verdict = 0,
        81,
        NO_ANSWER,
    ),
    (
        "an unknown verdict",
        |answer| answer.verdict = 99,
        81,
        NO_ANSWER,
    ),
    (
        "a negative verdict",
        |answer| answer.verdict = -1,
        81,
        NO_ANSWER,
    ),
    (
        "a DENY without a reason",
        |answer| answer.verdict = Verdict::Deny.into(),
        81,
        NO_ANSWER,
    ),
    (
        "an ALLOW with a reason",
        |answer| {
            answer.reasons.push(Reason {
                code: "policy-stale".into(),
                message: "the policy is stale".into(),
                ..Reason::default()
            });
        },
        81,
        NO_ANSWER,
    ),
    (
        "an ALLOW with an empty reason",
        |answer| answer.reasons.push(Reason::default()),
        81,
        NO_ANSWER,
    ),
    (
        "an ALLOW without a decision id",
        |answer| answer.decision_id.clear(),
        81,
        NO_ANSWER,
    ),
    (
        "an ALLOW with a decision id that is none",
        |answer| answer.decision_id = "7".into(),
        81,
        NO_ANSWER,
    ),
    (
        "an unknown admission status",
        |answer| answer.case_model_admission_status = 99,
        81,
        NO_ANSWER,
    ),
    (
        "an ALLOW of what is not admitted",
        |answer| answer.case_model_admission_status = 2,
        81,
        NO_ANSWER,
    ),
    (
        "an ALLOW that says it was a dry run",
        |answer| answer.dry_run = true,
        81,
        NO_ANSWER,
    ),
    (
        "an ALLOW without a record",
        |answer| answer.record_hash.clear(),
        81,
        NO_ANSWER,
    ),
    (
        "an ALLOW without a time",
        |answer| answer.decide_time = None,
        81,
        NO_ANSWER,
    ),
    (
        "an ALLOW without a permit",
        |answer| answer.permit.clear(),
        81,
        NO_ANSWER,
    ),
    (
        "an ALLOW with a permit that is none",
        |answer| answer.permit = "eyJhIjoxfQ.eyJhIjoxfQ.eyJhIjoxfQ".into(),
        82,
        UNFIT,
    ),
    (
        "an ALLOW with a permit whose signature is another's",
        |answer| {
            let (signed, signature) = answer.permit.rsplit_once('.').unwrap();
            let reversed: String = signature.chars().rev().collect();
            answer.permit = format!("{signed}.{reversed}");
        },
        82,
        UNFIT,
    ),
];

type PermitRow = (&'static str, fn(&mut Claims), &'static str);

/// One thing that is wrong with a permit that a key of the server signs.
const PERMITS: [PermitRow; 12] = [
    (
        "another host",
        |claims| claims.host = "spark-2".into(),
        "permit-unfit",
    ),
    (
        "another run",
        |claims| claims.run_id = "run-8".into(),
        "permit-unfit",
    ),
    (
        "another provider",
        |claims| claims.provider = "anthropic".into(),
        "permit-unfit",
    ),
    (
        "another model",
        |claims| claims.model = "qwen3".into(),
        "permit-unfit",
    ),
    (
        "another config",
        |claims| claims.case_config = Some(Digest::of(b"another")),
        "permit-unfit",
    ),
    (
        "another admission file",
        |claims| claims.admission_file = Some(Digest::of(b"another")),
        "permit-unfit",
    ),
    (
        "another lane",
        |claims| {
            claims.lane = admit_client::permit::Lane::Fake;
            claims.provider = "fake".into();
        },
        "permit-unfit",
    ),
    (
        "another decision",
        |claims| claims.decision_id = "0197f0a4-5c00-7abc-8def-0123456789ab".into(),
        "permit-unfit",
    ),
    (
        "another policy",
        |claims| claims.policy = Some(Digest::of(b"another")),
        "permit-unfit",
    ),
    (
        "another record",
        |claims| claims.record_hash = Digest::of(b"another"),
        "permit-unfit",
    ),
    (
        "a time that is over",
        |claims| {
            claims.issued_at -= 120;
            claims.expires_at -= 120;
        },
        "permit-expired",
    ),
    (
        "a time to come",
        |claims| {
            claims.issued_at += 120;
            claims.expires_at += 120;
        },
        "permit-issued-in-future",
    ),
];

type EventRow = (&'static str, fn(&mut WatchPolicyResponse));

/// What a server may say of a pair that is admitted.
const EVENTS: [EventRow; 3] = [
    ("a state that is unset", |event| set_state(event, 0)),
    ("an unknown state", |event| set_state(event, 99)),
    ("a revocation without a reason", |event| {
        set_state(event, PairState::Revoked.into());
    }),
];

fn set_state(event: &mut WatchPolicyResponse, state: i32) {
    if let Some(Event::PairChanged(change)) = &mut event.event {
        change.state = state;
    }
}

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = whole_answers();
    trials.extend(one_thing_wrong());
    trials
}

fn whole_answers() -> Vec<Trial> {
    vec![
        trial("server: an untouched answer starts the command", || {
            let mut world = World::new();
            let relay = Relay::start(&world.daemon.endpoint(), Twist::default());
            world.endpoint = relay.endpoint();
            world.assert_ran(&world.run(), 0);
        }),
        trial(
            "server: a permit of the key that is given starts the command",
            || {
                permit_of(|_| {}, &[]);
            },
        ),
        trial(
            "server: a permit of a key that the server does not give",
            other_key,
        ),
        trial("server: keys that are none", no_keys),
        trial("server: an answer that is no message", || {
            garbage(Relay::answering(b"\0\0\0\0\x05\xff\xff\xff\xff\xff"));
        }),
        trial("server: an answer that ends too soon", || {
            garbage(Relay::answering(b"\0\0\0\0\x7f"));
        }),
        trial("server: an empty answer", || garbage(Relay::answering(b""))),
        trial(
            "server: an empty message, where every field is unset",
            || {
                garbage(Relay::answering(b"\0\0\0\0\0"));
            },
        ),
        trial("server: another protocol", || {
            garbage(Relay::saying(
                b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nALLOW",
            ));
        }),
        trial("server: noise", || {
            garbage(Relay::saying(b"\xff\0\xff\0 ALLOW"));
        }),
    ]
}

fn one_thing_wrong() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, twist, exit, codes) in ANSWERS {
        trials.push(trial(&format!("server: {name}"), move || {
            let mut world = World::new();
            let twist = Twist::answer(move |_, answer| {
                assert_eq!(answer.verdict(), Verdict::Allow);
                twist(answer);
            });
            let relay = Relay::start(&world.daemon.endpoint(), twist);
            world.endpoint = relay.endpoint();
            world.assert_not_started(&world.run(), exit, codes);
        }));
    }
    for (name, change, code) in PERMITS {
        trials.push(trial(&format!("server: a permit for {name}"), move || {
            permit_of(change, &[code]);
        }));
    }
    for (name, twist) in EVENTS {
        trials.push(trial(&format!("server: {name}"), move || {
            let mut world = World::new();
            let twist = Twist {
                event: twist,
                ..Twist::default()
            };
            let relay = Relay::start(&world.daemon.endpoint(), twist);
            world.endpoint = relay.endpoint();
            world.assert_not_started(&world.run(), 82, &["revoked-before-start"]);
        }));
    }
    trials
}

fn new_key() -> SigningKey {
    SigningKey::from_pkcs8(&SigningKey::generate_pkcs8().unwrap()).unwrap()
}

fn jwks(key: &SigningKey) -> String {
    KeySet::new(vec![key.public().clone()]).unwrap().to_json()
}

/// The twist that signs the changed claims of a permit with `key`.
fn signing(
    world: &World,
    key: SigningKey,
    change: fn(&mut Claims),
) -> impl Fn(&mut AdmitResponse) + Send + Sync + 'static {
    let own = KeySet::parse(&world.daemon.jwks()).unwrap();
    move |answer| {
        let mut claims = own.verify(&answer.permit).unwrap();
        change(&mut claims);
        answer.permit = key.sign(&claims).unwrap();
    }
}

/// A launch whose permit has these changed claims, signed by a key that the server gives; it runs when
/// there is no code that is due.
fn permit_of(change: fn(&mut Claims), codes: &[&str]) {
    let mut world = World::new();
    let key = new_key();
    let keys = Some(jwks(&key));
    let sign = signing(&world, key, change);
    let twist = Twist {
        keys,
        ..Twist::answer(move |_, answer| sign(answer))
    };
    let relay = Relay::start(&world.daemon.endpoint(), twist);
    world.endpoint = relay.endpoint();
    let ran = world.run();
    if codes.is_empty() {
        world.assert_ran(&ran, 0);
    } else {
        world.assert_not_started(&ran, 82, codes);
    }
}

fn other_key() {
    let mut world = World::new();
    let sign = signing(&world, new_key(), |_| {});
    let twist = Twist::answer(move |_, answer| sign(answer));
    let relay = Relay::start(&world.daemon.endpoint(), twist);
    world.endpoint = relay.endpoint();
    world.assert_not_started(&world.run(), 82, UNFIT);
}

fn no_keys() {
    for keys in ["", "{}", r#"{"keys":[]}"#] {
        let mut world = World::new();
        let twist = Twist {
            keys: Some(keys.to_owned()),
            ..Twist::default()
        };
        let relay = Relay::start(&world.daemon.endpoint(), twist);
        world.endpoint = relay.endpoint();
        world.assert_not_started(&world.run(), 81, NO_ANSWER);
    }
}

fn garbage(server: Relay) {
    let mut world = World::new();
    world.endpoint = server.endpoint();
    world.replace_flag("--deadline-ms", "5000");
    world.assert_not_started(&world.run(), 81, NO_ANSWER);
    drop(server);
}
