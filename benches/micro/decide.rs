//! What a decision costs, and how that grows with the number of admissions and with the size of Case's
//! config.

use std::{hint::black_box, sync::OnceLock};

use admit_policy::{Decision, Launch, Timestamp, Verdict, decide};
use divan::{Bencher, counter::BytesCount};

use crate::subject::{self, ADMISSIONS, Policy};

/// Sizes of Case's config, in bytes; the largest is near the largest that is taken.
const CONFIG_BYTES: [usize; 4] = [100, 1_000, 10_000, 250_000];

/// The policy with so many admissions, built once: the largest takes a while.
fn policy(admissions: usize) -> &'static Policy {
    static POLICIES: [OnceLock<Policy>; ADMISSIONS.len()] =
        [const { OnceLock::new() }; ADMISSIONS.len()];
    let at = ADMISSIONS.iter().position(|size| *size == admissions);
    let place = at.and_then(|at| POLICIES.get(at));
    place
        .expect("a size that is measured")
        .get_or_init(|| Policy::of(admissions))
}

fn decided(policy: &Policy, launch: Launch, now: Timestamp) -> Decision {
    let facts = launch.observe();
    decide(&policy.standing(), &facts, now)
}

fn check(policy: &Policy, launch: Launch, is_allowed: bool) {
    let verdict = decided(policy, launch, subject::now()).verdict;
    assert_eq!(verdict == Verdict::Allow, is_allowed, "{verdict:?}");
}

#[divan::bench(args = ADMISSIONS)]
fn observe_and_decide_allowed(bencher: Bencher<'_, '_>, admissions: usize) {
    let (policy, now) = (policy(admissions), subject::now());
    check(policy, subject::allowed(), true);
    bencher
        .with_inputs(subject::allowed)
        .bench_values(|launch| decided(black_box(policy), launch, now));
}

#[divan::bench(args = ADMISSIONS)]
fn decide_allowed(bencher: Bencher<'_, '_>, admissions: usize) {
    let (policy, now) = (policy(admissions), subject::now());
    let facts = subject::allowed().observe();
    bencher.bench_local(|| decide(&black_box(policy).standing(), &facts, now));
}

#[divan::bench]
fn observe(bencher: Bencher<'_, '_>) {
    bencher
        .with_inputs(subject::allowed)
        .bench_values(Launch::observe);
}

#[divan::bench(args = ADMISSIONS)]
fn observe_and_decide_denied(bencher: Bencher<'_, '_>, admissions: usize) {
    let (policy, now) = (policy(admissions), subject::now());
    check(policy, subject::denied(), false);
    bencher
        .with_inputs(subject::denied)
        .bench_values(|launch| decided(black_box(policy), launch, now));
}

/// Each launch asks for another admitted pair than the one before, far from it in the table.
#[divan::bench(args = ADMISSIONS)]
fn observe_and_decide_denied_pair_after_pair(bencher: Bencher<'_, '_>, admissions: usize) {
    const STRIDE: usize = 48_271;
    let (policy, now) = (policy(admissions), subject::now());
    let mut number = 1_usize;
    bencher
        .with_inputs(|| {
            number = number.wrapping_add(STRIDE) % admissions;
            subject::other(number)
        })
        .bench_local_values(|launch| decided(black_box(policy), launch, now));
}

#[divan::bench(args = CONFIG_BYTES)]
fn observe_config(bencher: Bencher<'_, '_>, bytes: usize) {
    let config = subject::case_config(bytes);
    bencher
        .counter(BytesCount::new(config.len()))
        .with_inputs(|| Launch {
            case_config: Some(config.clone()),
            ..subject::allowed()
        })
        .bench_local_values(Launch::observe);
}
