//! Figures: counts as real numbers, medians, and how a number or a target is written for a reader.

/// One more than the largest number of 32 bits.
const HIGH: f64 = 4_294_967_296.0;

/// A count as a real number, right to 53 bits.
pub(crate) fn real(count: u64) -> f64 {
    let part = |bits: u64| f64::from(u32::try_from(bits).unwrap_or(u32::MAX));
    part(count >> 32) * HIGH + part(count & u64::from(u32::MAX))
}

/// The same for a number of things.
pub(crate) fn real_of(count: usize) -> f64 {
    real(u64::try_from(count).unwrap_or(u64::MAX))
}

/// Bytes in mebibytes.
pub(crate) fn mib(bytes: u64) -> f64 {
    real(bytes) / 1_048_576.0
}

/// What is said of a target.
pub(crate) fn met(is_met: bool) -> &'static str {
    if is_met { "met" } else { "missed" }
}

/// The middle one of `values`; of two, their mean; of none, none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let (low, high) = (values.get(last / 2)?, values.get(last.div_ceil(2))?);
    Some(f64::midpoint(*low, *high))
}

/// A number for a reader: whole, its thousands apart.
pub(crate) fn whole(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut written = String::with_capacity(digits.len().saturating_mul(2));
    for (position, digit) in digits.char_indices() {
        let left = digits.len().saturating_sub(position);
        if position > 0 && left % 3 == 0 && !written.ends_with('-') {
            written.push(',');
        }
        written.push(digit);
    }
    written
}

/// A number for a reader: three digits that count, or whole when it has more.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        small if small < 10.0 => format!("{value:.2}"),
        middle if middle < 100.0 => format!("{value:.1}"),
        _ => whole(value),
    }
}
