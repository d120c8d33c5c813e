//! The gauges that are a look at the state, taken when somebody asks.
//!
//! Deliberately absent: what is counted where it happens ([`crate::metrics`]).

use std::time::Duration;

use admit_policy::{Standing, Timestamp, pair_objections};

use super::Watched;
use crate::{clock, metrics::Metrics, wire::policy::next_expiry};

const DAY_S: i64 = 24 * 60 * 60;

/// Sets every gauge that is a look at the state.
pub(super) fn observe(watched: &Watched) {
    let Watched {
        metrics,
        store,
        trail,
        readiness,
        ..
    } = watched;
    let is_ready = readiness.look().is_ok();
    metrics.serving.set(i64::from(is_ready));
    // The writer itself cannot tell that the disk hangs: it hangs with it.
    let is_writable = trail.unwritable().is_none();
    trail.metrics().writable.set(i64::from(is_writable));
    metrics
        .audit_waiting_records
        .set(i64::try_from(trail.waiting()).unwrap_or(i64::MAX));
    let state = store.state();
    observe_policy(metrics, &state.standing(store.terms()));
}

fn observe_policy(metrics: &Metrics, standing: &Standing<'_>) {
    let age = match standing.unverified_for {
        // Nothing was ever verified.
        Duration::MAX => f64::NAN,
        age => age.as_secs_f64(),
    };
    metrics.policy_age_seconds.set(age);
    let staleness_max = standing.terms.staleness_max.as_secs_f64();
    metrics.policy_staleness_max_seconds.set(staleness_max);
    let findings = standing
        .snapshot
        .map_or(0, |policy| policy.findings().len());
    metrics
        .policy_findings
        .set(i64::try_from(findings).unwrap_or(i64::MAX));
    let (admitted, expiry) = match (standing.snapshot, clock::now()) {
        (Some(snapshot), Some(now)) => {
            let admitted = snapshot
                .pairs()
                .iter()
                .filter(|pair| {
                    pair_objections(standing, &pair.provider, &pair.model, now).is_empty()
                })
                .count();
            let expiry = next_expiry(standing, snapshot, now);
            (admitted, expiry.map(|expiry| seconds_between(now, expiry)))
        }
        (None, _) | (_, None) => (0, None),
    };
    metrics
        .policy_admitted_pairs
        .set(i64::try_from(admitted).unwrap_or(i64::MAX));
    metrics
        .policy_next_expiry_seconds
        .set(expiry.unwrap_or(f64::NAN));
}

/// From `now` to `then` in seconds; negative when it is past.
fn seconds_between(now: Timestamp, then: Timestamp) -> f64 {
    let (from, _) = now.unix();
    let (to, _) = then.unix();
    // Within the years that a time can have, 32 bits of days and the seconds of one are exact.
    let seconds = to.saturating_sub(from);
    let (days, rest) = (seconds / DAY_S, seconds % DAY_S);
    let exact = |part: i64| f64::from(i32::try_from(part).unwrap_or(i32::MAX));
    exact(days) * exact(DAY_S) + exact(rest)
}
