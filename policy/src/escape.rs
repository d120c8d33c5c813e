//! Escapes of JSON: what a text says behind them, whether or not the text is JSON.
//!
//! A search of the raw text alone would miss what an escape such as `\u0073` hides.

use alloc::{borrow::ToOwned as _, string::String};

/// How often escapes are resolved: JSON in a text of JSON in a text of JSON.
const LEVELS_MAX: usize = 3;

/// Whether `wanted` holds for `text` as written or with its escapes resolved.
#[must_use]
pub fn any_reading(text: &str, wanted: impl Fn(&str) -> bool) -> bool {
    let mut reading = text.to_owned();
    for _ in 0..LEVELS_MAX {
        if wanted(&reading) {
            return true;
        }
        if !reading.contains('\\') {
            return false;
        }
        reading = unescaped(&reading);
    }
    wanted(&reading)
}

/// `text` with every escape of JSON resolved, whether or not `text` is JSON.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match rest.next() {
            Some('u') => {
                let digits: String = rest.clone().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok();
                match code.and_then(char::from_u32) {
                    Some(escaped) if digits.len() == 4 => {
                        plain.push(escaped);
                        rest = skip(rest, 4);
                    }
                    Some(_) | None => plain.push('u'),
                }
            }
            Some('n' | 'r') => plain.push('\n'),
            Some('t') => plain.push('\t'),
            Some(escaped) => plain.push(escaped),
            None => {}
        }
    }
    plain
}

fn skip(mut characters: core::str::Chars<'_>, count: usize) -> core::str::Chars<'_> {
    for _ in 0..count {
        characters.next();
    }
    characters
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
