//! Latencies: a histogram that keeps the tail, in nanoseconds, read in microseconds.
//!
//! Deliberately absent: from when a latency counts; whoever measures says so.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::figure::real;

/// Longest latency that is told apart, in nanoseconds: a minute.
const NANOS_MAX: u64 = 60_000_000_000;
/// Digits of a latency that are right.
const DIGITS: u8 = 3;

/// Many latencies.
#[derive(Clone, Debug)]
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    /// None yet.
    ///
    /// # Errors
    ///
    /// Never: the bounds are valid.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, NANOS_MAX, DIGITS)?))
    }

    /// Adds one; what is longer than a minute counts as that.
    pub(crate) fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.0.saturating_record(nanos);
    }

    /// Adds those of `others`.
    ///
    /// # Errors
    ///
    /// Never: all have the same bounds.
    pub(crate) fn add(&mut self, others: &Self) -> anyhow::Result<()> {
        Ok(self.0.add(&others.0)?)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that this share of them does not exceed, in microseconds.
    pub(crate) fn us(&self, quantile: f64) -> f64 {
        real(self.0.value_at_quantile(quantile)) / 1e3
    }
}
