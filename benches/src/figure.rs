//! Figures: counts as real numbers, medians, and how a number is written for a reader.

/// One more than the largest number of 32 bits.
const HIGH: f64 = 4_294_967_296.0;

/// A count as a real number, right to 53 bits.
pub(crate) fn real(count: u64) -> f64 {
    let part = |bits: u64| f64::from(u32::try_from(bits).unwrap_or(u32::MAX));
    part(count >> 32) * HIGH + part(count & u64::from(u32::MAX))
}
