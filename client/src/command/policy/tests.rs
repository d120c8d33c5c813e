//! What `admit policy` prints.

use admit_proto::v1::{Place, Reason};

use super::*;

fn printed(policy: &Policy) -> String {
    let mut out = anstream::StripStream::new(Vec::new());
    print(&mut out, policy).unwrap();
    String::from_utf8(out.into_inner()).unwrap()
}

fn example() -> Policy {
    let place = |line, column| Place {
        path: "sot/a.md".into(),
        line,
        column,
    };
    Policy {
        digest: "0a".repeat(32),
        read_time: Some(prost_types::Timestamp {
            seconds: 1_780_315_200,
            nanos: 0,
        }),
        stale: true,
        branch: Branch::NotDecided.into(),
        pairs: vec![
            Pair {
                provider: "p".into(),
                model: "m".into(),
                state: PairState::Admitted.into(),
                places: vec![place(0, 0)],
                ..Pair::default()
            },
            Pair {
                provider: "p".into(),
                model: "n".into(),
                state: PairState::Revoked.into(),
                reasons: vec![Reason {
                    code: "review-due".into(),
                    message: "it is due".into(),
                    help: "review it".into(),
                    places: vec![place(3, 4)],
                }],
                ..Pair::default()
            },
        ],
        pairs_count: 3,
        findings: vec![Finding {
            code: "key-unknown".into(),
            message: "no such key".into(),
            help: "correct it".into(),
            place: Some(place(7, 3)),
            excerpt: "- `kéy`: x.".into(),
            underline_start: 3,
            underline_length: 3,
        }],
        findings_count: 1,
        work_items: vec![WorkItem {
            id: "CTO-WORK-022".into(),
            title: "local route".into(),
            status: String::new(),
            blocked_by: vec!["CTO-WORK-020".into()],
            place: None,
        }],
        ..Policy::default()
    }
}

#[test]
fn a_policy_is_shown_with_every_reason_and_finding() {
    let policy = example();
    let expected = format!(
        "policy {}\n\
         \x20 branch    not_decided\n\
         \x20 read      2026-06-01T12:00:00Z\n\
         \x20 STALE     the policy directory could not be read for too long; real launches are denied\n\
         \n\
         p / m  ADMITTED\n\
         \x20 at sot/a.md\n\
         \n\
         p / n  NOT ADMITTED  1 reason\n\
         \x20 review-due: it is due\n\
         \x20   at sot/a.md:3:4\n\
         \x20   help: review it\n\
         \n\
         … and 1 more pairs\n\
         \n\
         key-unknown: no such key\n\
         \x20 at sot/a.md:7:3\n\
         \x20 | - `kéy`: x.\n\
         \x20 |    ^^^\n\
         \x20 help: correct it\n\
         \n\
         work items, which decide no launch\n\
         \x20 CTO-WORK-022  no status  local route  (blocked by CTO-WORK-020)\n",
        "0a".repeat(32)
    );
    assert_eq!(printed(&policy), expected);
    let json = serde_json::to_value(PolicyShape::of(&policy)).unwrap();
    assert_eq!(json["pairs"][0]["admitted"], true);
    assert_eq!(json["pairs"][1]["reasons"][0]["places"][0]["line"], 3);
    assert_eq!(json["findings"][0]["underline_start"], 3);
    assert_eq!(json["verify_time"], serde_json::Value::Null);
}

#[test]
fn an_underline_stays_at_its_excerpt() {
    for (start, length, due) in [
        (0, 0, ("", "^")),
        (1, 9, (" ", "^^")),
        (9, 9, ("   ", "^")),
        (u32::MAX, u32::MAX, ("   ", "^")),
    ] {
        let finding = Finding {
            excerpt: "abc".into(),
            underline_start: start,
            underline_length: length,
            ..Finding::default()
        };
        let (before, underline) = underline(&finding);
        assert_eq!((before.as_str(), underline.as_str()), due);
    }
}

#[test]
fn a_server_without_a_policy_says_so() {
    assert_eq!(
        printed(&Policy::default()),
        "no policy has been read yet\n  branch    no valid decision record\n"
    );
}
