//! Escapes of JSON: what a text says behind them, whether or not the text is JSON.
//!
//! A search of the raw text alone would miss what an escape such as `\u0073` hides.

use alloc::{borrow::Cow, string::String};

/// How often escapes are resolved: JSON in a text of JSON in a text of JSON.
const LEVELS_MAX: usize = 3;

/// Whether `wanted` holds for `text` as written or with its escapes resolved.
#[must_use]
pub fn any_reading(text: &str, wanted: impl Fn(&str) -> bool) -> bool {
    let mut reading = Cow::Borrowed(text);
    for _ in 0..LEVELS_MAX {
        if wanted(&reading) {
            return true;
        }
        if !reading.contains('\\') {
            return false;
        }
        reading = Cow::Owned(unescaped(&reading));
    }
    wanted(&reading)
}

/// `text` with every escape of JSON resolved, whether or not `text` is JSON.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        plain.push_str(before);
        let mut after = escape.chars();
        match after.next() {
            Some('u') => match hexadecimal(after.as_str()) {
                Some((escaped, behind)) => {
                    plain.push(escaped);
                    after = behind.chars();
                }
                None => plain.push('u'),
            },
            Some('n' | 'r') => plain.push('\n'),
            Some('t') => plain.push('\t'),
            Some(escaped) => plain.push(escaped),
            None => {}
        }
        rest = after.as_str();
    }
    plain.push_str(rest);
    plain
}

/// The character whose code is the first four digits of `text`, and what stands behind them.
fn hexadecimal(text: &str) -> Option<(char, &str)> {
    let (digits, behind) = text.split_at_checked(4)?;
    let code = u32::from_str_radix(digits, 16).ok()?;
    Some((char::from_u32(code)?, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_resolved_and_what_is_none_stays() {
        assert_eq!(unescaped(r"\u0041\/\n\\\u00"), "A/\n\\u00");
    }

    #[test]
    fn every_level_is_read() {
        for text in ["sk", r"\u0073k", r"\\u0073k", r"\\\\u0073k"] {
            assert!(
                any_reading(text, |reading| reading.contains("sk")),
                "{text}"
            );
        }
        assert!(!any_reading(r"\u0074k", |reading| reading.contains("sk")));
    }
}
