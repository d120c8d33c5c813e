//! The gates against an independent statement of them: from an allowed launch, no change of a fact
//! and no change of the policy yields ALLOW unless every gate still holds.
//!
//! `world` describes a launch and its policy, `render` makes documents and facts of it, `valid` and
//! `expected` state SPEC sections 3 and 5 once more, the modules of mutations list the changes.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "tests fail loudly"
)]

mod admission_mutation;
mod config_mutation;
mod expected;
mod expected_config;
mod file_mutation;
mod mutation;
mod record_mutation;
mod render;
mod valid;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use admit_policy::{
    Code, Snapshot, Standing, Timestamp, Verdict, decide,
    decide::AdmissionStatus,
    facts::Lane,
    gate::{PLACES_MAX, Reason},
    pair_objections,
};
use proptest::prelude::*;

use mutation::Mutation;
use world::{CANARY, Policy, World};

/// The worlds that every search starts from, each allowed.
fn bases() -> Vec<(&'static str, World)> {
    vec![
        ("local primary", world::local_primary()),
        ("external", world::external(world::EXTERNAL)),
        ("external, the silent pair", world::external(world::SILENT)),
        ("bridged fallback", world::bridged_fallback()),
        ("fake lane", world::fake()),
    ]
}

/// What the product says about `world`, checked for its own consistency.
fn decided(world: &World, snapshot: &Snapshot) -> Vec<&'static str> {
    let terms = render::terms(world);
    let facts = render::launch(world, snapshot).observe();
    let standing = Standing {
        snapshot: world.read.then_some(snapshot),
        unverified_for: Duration::from_secs(world.unverified_s),
        terms: &terms,
    };
    let now = Timestamp::from_unix(world.now, 0).unwrap();
    let decision = decide(&standing, &facts, now);
    let (status, reasons) = match (&decision.verdict, world.stated.lane) {
        (Verdict::Allow, Lane::Fake) => (AdmissionStatus::NotRequired, &[][..]),
        (Verdict::Allow, _) => (AdmissionStatus::Admitted, &[][..]),
        (Verdict::Deny(reasons), Lane::Fake) => (AdmissionStatus::NotRequired, &reasons[..]),
        (Verdict::Deny(reasons), _) => (AdmissionStatus::NotAdmitted, &reasons[..]),
    };
    assert_eq!(decision.admission_status, status, "{world:?}");
    let denied = matches!(decision.verdict, Verdict::Deny(_));
    assert_eq!(denied, !reasons.is_empty(), "{world:?}");
    reasons.iter().for_each(check_reason);
    let codes: Vec<_> = reasons.iter().map(|reason| reason.code.as_str()).collect();
    if world.stated.lane == Lane::Real {
        let objections = pair_objections(&standing, &facts.provider, &facts.model, now);
        let of_pair: Vec<_> = objections
            .iter()
            .map(|reason| reason.code.as_str())
            .collect();
        let expected: Vec<_> = codes
            .iter()
            .copied()
            .filter(|code| expected::PAIR_CODES.contains(code))
            .collect();
        assert_eq!(of_pair, expected, "objections to the pair in {world:?}");
    }
    codes
}

/// The codes that come from a place in a document.
const PLACED_CODES: [&str; 16] = [
    "decision-record-conflict",
    "decision-record-invalid",
    "decision-not-decided",
    "admission-invalid",
    "admission-conflict",
    "admission-file-mismatch",
    "admission-revoked",
    "admission-not-yet-valid",
    "review-due",
    "decision-status-mismatch",
    "pair-not-selected",
    "fallback-not-explicit",
    "auth-bridge-unproven",
    "credential-source-mismatch",
    "network-class-undefined",
    "network-class-not-allowed",
];

/// A reason leads to the documents that it comes from, and repeats nothing that the caller sent but
/// the names of variables that everybody knows.
fn check_reason(reason: &Reason) {
    let is_placed = PLACED_CODES.contains(&reason.code.as_str());
    // The files that are not valid are named, where there are some: one may be what was meant.
    if reason.code.as_str() != "provider-model-not-admitted" {
        assert_eq!(!reason.places.is_empty(), is_placed, "{reason:?}");
    }
    assert!(reason.places.len() <= PLACES_MAX, "{reason:?}");
    for sent in [
        CANARY,
        "QWEN_LOCAL_API_KEY",
        "anthropic_api_key",
        "run-8",
        "10.9.8.7",
    ] {
        assert!(!reason.message.contains(sent), "{reason:?}");
    }
}

/// The codes that came up as expected, and how often; the empty one is ALLOW.
type Seen = BTreeMap<&'static str, usize>;

fn check(world: &World, snapshot: &Snapshot, path: &[&str], seen: &mut Seen) {
    let expected = expected::codes(world);
    let found = decided(world, snapshot);
    assert_eq!(found, expected, "after {path:?}: {world:#?}");
    if expected.is_empty() {
        *seen.entry("").or_default() += 1;
    }
    for code in expected {
        *seen.entry(code).or_default() += 1;
    }
}

/// Every change of the policy.
fn of_the_policy() -> Vec<Mutation> {
    let mut all = record_mutation::of_the_record();
    all.extend(file_mutation::of_the_files());
    all.extend(admission_mutation::of_the_admission());
    all
}

fn mutated(base: &World, mutations: &[&Mutation]) -> World {
    let mut world = base.clone();
    for mutation in mutations {
        (mutation.apply)(&mut world);
    }
    world
}

#[test]
fn every_base_is_allowed() {
    for (name, base) in bases() {
        let snapshot = render::snapshot(&base.policy);
        assert_eq!(snapshot.findings(), [], "{name}");
        let mut seen = Seen::new();
        check(&base, &snapshot, &[name], &mut seen);
        assert_eq!(seen, Seen::from([("", 1)]), "{name}");
    }
}

#[test]
fn every_single_change_is_judged_as_the_spec_says() {
    let mut seen = Seen::new();
    for (name, base) in bases() {
        let launch = mutation::of_the_launch(&base);
        for change in launch.iter().chain(&of_the_policy()) {
            let world = mutated(&base, &[change]);
            let snapshot = render::snapshot(&world.policy);
            check(&world, &snapshot, &[name, &change.name], &mut seen);
        }
    }
    let all: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let never: Vec<_> = all
        .iter()
        .filter(|code| !seen.contains_key(*code))
        .collect();
    assert!(never.is_empty(), "no single change leads to {never:?}");
    assert!(seen.contains_key(""), "some changes do no harm");
    assert_eq!(
        seen.len(),
        all.len() + 1,
        "a code that the product does not have: {seen:?}"
    );
}

/// Every pair of changes of the launch, and every change of the policy with every one of the launch.
fn every_two_changes(name: &str, base: &World) {
    let mut seen = Seen::new();
    let launch = mutation::of_the_launch_by_kind(base);
    let policy = of_the_policy();
    let snapshot = render::snapshot(&base.policy);
    for (index, first) in launch.iter().enumerate() {
        for second in launch.iter().skip(index + 1) {
            if first.dimension == second.dimension {
                continue;
            }
            let world = mutated(base, &[first, second]);
            check(
                &world,
                &snapshot,
                &[name, &first.name, &second.name],
                &mut seen,
            );
        }
    }
    for first in &policy {
        let snapshot = render::snapshot(&mutated(base, &[first]).policy);
        for second in &launch {
            let world = mutated(base, &[first, second]);
            check(
                &world,
                &snapshot,
                &[name, &first.name, &second.name],
                &mut seen,
            );
        }
    }
    assert!(seen.values().sum::<usize>() > launch.len() * policy.len());
}

/// Every pair of changes of the policy of which at most one breaks its document; what two broken
/// documents lead to is left to chance.
fn every_two_changes_of_the_policy(name: &str, base: &World) {
    let mut seen = Seen::new();
    let policy = of_the_policy();
    let breaks = |change: &Mutation| {
        let Policy {
            records,
            admissions,
            ..
        } = mutated(base, &[change]).policy;
        !records.iter().all(valid::record_is_valid)
            || !admissions.iter().all(valid::admission_is_valid)
    };
    let broken: Vec<bool> = policy.iter().map(breaks).collect();
    for (first_at, first) in policy.iter().enumerate() {
        for (second_at, second) in policy.iter().enumerate().skip(first_at + 1) {
            if broken[first_at] && broken[second_at] {
                continue;
            }
            let world = mutated(base, &[first, second]);
            let snapshot = render::snapshot(&world.policy);
            let path = [name, &first.name, &second.name];
            check(&world, &snapshot, &path, &mut seen);
        }
    }
    assert!(seen.len() > 1);
}

#[test]
fn every_two_changes_of_the_local_launch_are_judged_as_the_spec_says() {
    every_two_changes("local primary", &world::local_primary());
}

#[test]
fn every_two_changes_of_the_external_launch_are_judged_as_the_spec_says() {
    every_two_changes("external", &world::external(world::EXTERNAL));
}

#[test]
fn every_two_changes_of_the_bridged_fallback_are_judged_as_the_spec_says() {
    every_two_changes("bridged fallback", &world::bridged_fallback());
}

#[test]
fn every_two_changes_of_the_fake_launch_are_judged_as_the_spec_says() {
    every_two_changes("fake lane", &world::fake());
}

#[test]
fn every_two_changes_of_a_policy_are_judged_as_the_spec_says() {
    every_two_changes_of_the_policy("local primary", &world::local_primary());
}

/// An allowed world with up to eight changes from anywhere.
fn worlds() -> impl Strategy<Value = (World, Vec<String>)> {
    let bases = bases();
    (0..bases.len()).prop_flat_map(move |index| {
        let (name, base) = bases[index].clone();
        let mut changes = mutation::of_the_launch(&base);
        changes.extend(of_the_policy());
        prop::collection::vec(0..changes.len(), 0..=8).prop_map(move |picked| {
            let picked: Vec<&Mutation> = picked.iter().map(|at| &changes[*at]).collect();
            let names = picked.iter().map(|change| change.name.clone());
            let names = std::iter::once(name.to_owned()).chain(names).collect();
            (mutated(&base, &picked), names)
        })
    })
}

#[test]
fn a_foreign_credential_is_named_only_if_everybody_knows_the_name() {
    let mut world = world::local_primary();
    let snapshot = render::snapshot(&world.policy);
    let mut message_for = |names: &[&'static str]| {
        world.stated.credentials = Some(names.to_vec());
        let terms = render::terms(&world);
        let standing = Standing {
            snapshot: Some(&snapshot),
            unverified_for: Duration::ZERO,
            terms: &terms,
        };
        let now = Timestamp::from_unix(world.now, 0).unwrap();
        match decide(&standing, &render::launch(&world, &snapshot).observe(), now).verdict {
            Verdict::Deny(reasons) => reasons[0].message.to_string(),
            Verdict::Allow => String::new(),
        }
    };
    let known = message_for(&["OPENAI_API_KEY", "GH_TOKEN"]);
    assert!(
        known.contains("OPENAI_API_KEY") && known.contains("GH_TOKEN"),
        "{known}"
    );
    let mixed = message_for(&["GH_TOKEN", "X_TOKEN", "Y_TOKEN"]);
    assert!(
        mixed.contains("GH_TOKEN") && mixed.contains("2 more"),
        "{mixed}"
    );
    let unknown = message_for(&["X_TOKEN"]);
    assert!(
        !unknown.contains("X_TOKEN") && unknown.contains('1'),
        "{unknown}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_world_is_judged_as_the_spec_says((world, path) in worlds()) {
        let snapshot = render::snapshot(&world.policy);
        let expected = expected::codes(&world);
        let found = decided(&world, &snapshot);
        prop_assert_eq!(&found, &expected, "after {:?}", path);
        prop_assert_eq!(decided(&world, &render::snapshot(&world.policy)), found, "again");
    }
}
