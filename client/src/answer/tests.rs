//! Every way in which an answer can be out of its form is an error.

use super::*;

const PERMIT: &str = "eyJ0eXAiOiJhIn0.eyJpc3MiOiJhIn0.c2ln_-";
const ID: &str = "0197f0a4-5c00-7abc-8def-0123456789ab";

fn asked(lane: Lane) -> AdmitRequest {
    AdmitRequest {
        lane: lane.into(),
        ..AdmitRequest::default()
    }
}

fn allow(lane: Lane) -> AdmitResponse {
    AdmitResponse {
        verdict: Verdict::Allow.into(),
        reasons: Vec::new(),
        decision_id: ID.into(),
        decide_time: Some(WireTimestamp {
            seconds: 1_780_000_000,
            nanos: 1,
        }),
        policy_digest: "0a".repeat(32),
        case_model_admission_status: match lane {
            Lane::Real => AdmissionStatus::Admitted,
            Lane::Fake | Lane::Unspecified => AdmissionStatus::NotRequired,
        }
        .into(),
        dry_run: false,
        stream_id: ID.into(),
        seq: 1,
        record_hash: "0b".repeat(32),
        permit: PERMIT.into(),
    }
}

fn deny() -> AdmitResponse {
    AdmitResponse {
        verdict: Verdict::Deny.into(),
        reasons: vec![reason("policy-stale")],
        case_model_admission_status: AdmissionStatus::NotAdmitted.into(),
        permit: String::new(),
        ..allow(Lane::Real)
    }
}

fn reason(code: &str) -> Reason {
    Reason {
        code: code.into(),
        message: "it is\u{1b}[2J stale".into(),
        help: "m".repeat(2000),
        places: vec![
            Place {
                path: "a\n.md".into(),
                line: 1,
                column: 2
            };
            20
        ],
    }
}

#[test]
fn a_well_formed_allow_is_allowed() {
    for lane in [Lane::Real, Lane::Fake] {
        let answer = Answer::verify(&asked(lane), allow(lane)).unwrap();
        let Answer::Allowed(allowed) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(allowed.decision_id(), ID);
        assert_eq!(allowed.policy_digest(), Digest::parse(&"0a".repeat(32)));
        assert!(!allowed.dry_run());
        assert_eq!(allowed.permit(), Some(PERMIT));
    }
}

#[test]
fn the_fake_lane_needs_no_policy() {
    let mut response = allow(Lane::Fake);
    response.policy_digest.clear();
    assert!(matches!(
        Answer::verify(&asked(Lane::Fake), response),
        Ok(Answer::Allowed(_))
    ));
}

#[test]
fn a_denial_is_bounded_and_printable() {
    let answer = Answer::verify(&asked(Lane::Real), deny()).unwrap();
    let Answer::Denied(denied) = answer else {
        panic!("{answer:?}")
    };
    let reason = denied.reasons().first().unwrap();
    assert_eq!(reason.message, "it is\\u{1b}[2J stale");
    assert_eq!(reason.help.chars().count(), TEXT_CHARS_MAX + 1);
    assert_eq!(reason.places.len(), PLACES_MAX);
    assert_eq!(reason.places.first().unwrap().path, "a\\u{a}.md");
    assert_eq!(denied.case_model_admission_status(), "not_admitted");
}

/// A change that takes an answer out of its form.
type Damage = fn(&mut AdmitResponse);

const DAMAGES: [(&str, Damage); 27] = [
    ("no log", |a| a.stream_id.clear()),
    ("a log that is none", |a| a.stream_id.push('0')),
    ("no place in the log", |a| a.seq = 0),
    ("no hash", |a| a.record_hash.clear()),
    ("an uppercase hash", |a| {
        a.record_hash.make_ascii_uppercase();
    }),
    ("no verdict", |a| a.verdict = 0),
    ("an unknown verdict", |a| a.verdict = 3),
    ("a negative verdict", |a| a.verdict = -1),
    ("no id", |a| a.decision_id.clear()),
    ("an uppercase id", |a| a.decision_id.make_ascii_uppercase()),
    ("an id in braces", |a| a.decision_id = format!("{{{ID}}}")),
    ("a version 4 id", |a| {
        a.decision_id.replace_range(14..15, "4");
    }),
    ("an id of another variant", |a| {
        a.decision_id.replace_range(19..20, "c");
    }),
    ("an id with a newline", |a| a.decision_id.push('\n')),
    ("no time", |a| a.decide_time = None),
    ("a time of zero", |a| {
        a.decide_time = Some(WireTimestamp::default());
    }),
    ("negative nanoseconds", |a| {
        a.decide_time = Some(WireTimestamp {
            seconds: 1,
            nanos: -1,
        });
    }),
    ("nanoseconds of a second", |a| {
        a.decide_time = Some(WireTimestamp {
            seconds: 1,
            nanos: 1_000_000_000,
        });
    }),
    ("a time beyond all years", |a| {
        a.decide_time = Some(WireTimestamp {
            seconds: i64::MAX,
            nanos: 0,
        });
    }),
    ("a short digest", |a| a.policy_digest = "0a".into()),
    ("an uppercase digest", |a| {
        a.policy_digest.make_ascii_uppercase();
    }),
    ("another dry_run", |a| a.dry_run = true),
    ("no status", |a| a.case_model_admission_status = 0),
    ("an unknown status", |a| a.case_model_admission_status = 9),
    ("another status", |a| {
        a.case_model_admission_status =
            match AdmissionStatus::try_from(a.case_model_admission_status) {
                Ok(AdmissionStatus::NotRequired) => AdmissionStatus::Admitted,
                _ => AdmissionStatus::NotRequired,
            }
            .into();
    }),
    ("the status of a denial, or of an ALLOW", |a| {
        a.case_model_admission_status = if a.reasons.is_empty() {
            AdmissionStatus::NotAdmitted
        } else {
            AdmissionStatus::Admitted
        }
        .into();
    }),
    ("a thousand reasons", |a| {
        a.reasons = (0..1000).map(|n| reason(&format!("r-{n}"))).collect();
    }),
];

#[test]
fn every_damage_makes_an_error() {
    for (damage, apply) in DAMAGES {
        for (asked, response) in [
            (asked(Lane::Real), allow(Lane::Real)),
            (asked(Lane::Fake), allow(Lane::Fake)),
            (asked(Lane::Real), deny()),
        ] {
            let mut damaged = response;
            apply(&mut damaged);
            let answer = Answer::verify(&asked, damaged);
            assert!(
                matches!(answer, Err(AskError::Malformed(_))),
                "{damage}: {answer:?}"
            );
        }
    }
}

#[test]
fn an_allow_has_to_fit_its_request() {
    let mut with_reason = allow(Lane::Real);
    with_reason.reasons.push(reason("policy-stale"));
    let mut without_policy = allow(Lane::Real);
    without_policy.policy_digest.clear();
    let expecting = AdmitRequest {
        expected_policy_digest: "0b".repeat(32),
        ..asked(Lane::Real)
    };
    let dry = AdmitRequest {
        dry_run: true,
        ..asked(Lane::Real)
    };
    for (asked, response) in [
        (asked(Lane::Real), with_reason),
        (asked(Lane::Real), without_policy),
        (asked(Lane::Real), allow(Lane::Fake)),
        (asked(Lane::Fake), allow(Lane::Real)),
        (asked(Lane::Unspecified), allow(Lane::Real)),
        (asked(Lane::Unspecified), allow(Lane::Fake)),
        (expecting, allow(Lane::Real)),
        (dry, allow(Lane::Real)),
    ] {
        let answer = Answer::verify(&asked, response);
        assert!(matches!(answer, Err(AskError::Malformed(_))), "{answer:?}");
    }
}

#[test]
fn an_allow_has_a_permit_unless_nothing_is_started() {
    let with = |response: AdmitResponse, dry_run, permit: &str| {
        let asked = AdmitRequest {
            dry_run,
            ..asked(Lane::Real)
        };
        let response = AdmitResponse {
            dry_run,
            permit: permit.into(),
            ..response
        };
        Answer::verify(&asked, response)
    };
    let longest = "a".repeat(4096);
    for permit in [PERMIT, &longest] {
        let Ok(Answer::Allowed(allowed)) = with(allow(Lane::Real), false, permit) else {
            panic!("{permit}")
        };
        assert_eq!(allowed.permit(), Some(permit));
    }
    let Ok(Answer::Allowed(dry)) = with(allow(Lane::Real), true, "") else {
        panic!("a dry run")
    };
    assert_eq!(dry.permit(), None);
    assert!(matches!(with(deny(), true, ""), Ok(Answer::Denied(_))));
    for (response, dry_run, permit) in [
        (allow(Lane::Real), false, ""),
        (allow(Lane::Real), false, "a b"),
        (allow(Lane::Real), false, "a+b"),
        (allow(Lane::Real), false, "a\n"),
        (allow(Lane::Real), false, &format!("{longest}a")),
        (allow(Lane::Real), true, PERMIT),
        (deny(), false, PERMIT),
        (deny(), true, PERMIT),
    ] {
        let answer = with(response, dry_run, permit);
        assert!(matches!(answer, Err(AskError::Malformed(_))), "{answer:?}");
    }
}

#[test]
fn a_denial_has_to_have_sound_reasons() {
    for reasons in [
        vec![],
        vec![reason("")],
        vec![reason("No Code")],
        vec![reason("a"), reason("a")],
    ] {
        let answer = Answer::verify(&asked(Lane::Real), AdmitResponse { reasons, ..deny() });
        assert!(matches!(answer, Err(AskError::Malformed(_))), "{answer:?}");
    }
}

#[test]
fn the_expected_policy_is_accepted() {
    let expecting = AdmitRequest {
        expected_policy_digest: "0a".repeat(32),
        ..asked(Lane::Real)
    };
    assert!(matches!(
        Answer::verify(&expecting, allow(Lane::Real)),
        Ok(Answer::Allowed(_))
    ));
}

#[test]
fn an_empty_answer_is_an_error() {
    let answer = Answer::verify(&asked(Lane::Fake), AdmitResponse::default());
    assert!(matches!(answer, Err(AskError::Malformed(_))));
}
