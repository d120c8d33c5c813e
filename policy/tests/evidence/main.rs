//! The checks of evidence against an independent statement of them: from one accepted run, every
//! change gives exactly the codes that the specification says, alone and with every other change.

#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

mod base;
mod changes;
mod expected;

use std::collections::BTreeSet;

use admit_policy::{EvidenceCode, EvidenceVerdict, judge};
use base::{CANARY, Handed, accepted, bases};
use changes::CHANGES;

/// The codes that the product gives, checked for their own consistency.
fn judged(handed: &Handed) -> Vec<&'static str> {
    let evidence = handed.run.clone().under(handed.permit.clone());
    match judge(&evidence) {
        EvidenceVerdict::Accepted => vec![],
        EvidenceVerdict::Rejected(reasons) => {
            assert!(!reasons.is_empty(), "{handed:?}");
            for reason in &reasons {
                assert!(!reason.message.is_empty() && !reason.message.contains(CANARY));
            }
            let codes: Vec<EvidenceCode> = reasons.iter().map(|reason| reason.code).collect();
            assert!(codes.is_sorted(), "{codes:?}");
            codes.into_iter().map(EvidenceCode::as_str).collect()
        }
    }
}

#[test]
fn every_base_is_accepted() {
    for base in bases() {
        assert_eq!(judged(&base), Vec::<&str>::new());
    }
}

#[test]
fn every_single_change_is_judged_as_it_is_written_here() {
    let mut alone = BTreeSet::new();
    for (name, change, codes) in CHANGES {
        let mut handed = accepted("qwen-local", "qwen3.6-35b-a3b");
        change(&mut handed);
        assert_eq!(judged(&handed), *codes, "{name}");
        if let [code] = codes {
            alone.insert(*code);
        }
    }
    // A check that never speaks alone could go unnoticed; this one speaks beside a broader one.
    alone.insert("external-fallback-observed");
    let all: BTreeSet<&str> = EvidenceCode::ALL.map(EvidenceCode::as_str).into();
    assert_eq!(alone, all);
}

#[test]
fn every_two_changes_are_judged_as_the_specification_says() {
    let mut count = 0;
    for base in bases() {
        for (first, one, _) in CHANGES {
            for (second, other, _) in CHANGES {
                let mut handed = base.clone();
                one(&mut handed);
                other(&mut handed);
                let expected = expected::codes(&handed);
                assert_eq!(judged(&handed), expected, "{first}, then {second}");
                count += usize::from(!expected.is_empty());
            }
        }
    }
    assert!(count > 10_000, "{count} rejections");
}

#[test]
fn everything_at_once_gives_every_code_that_goes_together() {
    let mut handed = accepted("qwen-local", "qwen3.6-35b-a3b");
    for (_, change, _) in CHANGES.iter().filter(|(_, _, codes)| {
        // What leaves nothing to look at hides what would be wrong with it.
        !codes
            .iter()
            .any(|code| ["permit-invalid", "baseline-missing"].contains(code))
    }) {
        change(&mut handed);
    }
    assert_eq!(judged(&handed), expected::codes(&handed));
    assert!(judged(&handed).len() > 8);
}
