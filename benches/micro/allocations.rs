//! A guard that needs no clock: how often a decision asks for memory.

#![expect(clippy::expect_used, reason = "a test fails loudly")]

#[expect(dead_code, reason = "the measurements use the rest")]
mod subject;

use admit_policy::{Verdict, decide};

use subject::Policy;

/// One for each of the three objects of Case's config, one for judging how they are nested, and one each
/// for the provider and the model that it names.
const ALLOWED_MAX: u64 = 6;

#[test]
fn an_allowed_decision_asks_for_memory_a_few_times_whatever_the_number_of_admissions() {
    for admissions in [1, 1_000] {
        let policy = Policy::of(admissions);
        let launch = subject::allowed();
        let mut decision = None;
        let asked = allocation_counter::measure(|| {
            let facts = launch.observe();
            decision = Some(decide(&policy.standing(), &facts, subject::now()));
        });
        let verdict = decision.map(|decision| decision.verdict);
        assert_eq!(verdict, Some(Verdict::Allow));
        assert!(
            asked.count_total <= ALLOWED_MAX,
            "{} times with {admissions} admissions",
            asked.count_total
        );
    }
}
