//! Texts of others, made safe to show: bounded, and without a character that a reader would not
//! see or that a terminal would obey.

use admit_policy::text::is_invisible;

/// Longest message or help that a reason has, in characters; the contract allows no longer one.
pub(crate) const TEXT_CHARS_MAX: usize = 1024;

/// `text`, cut to `chars_max` characters, with every invisible character as its escape.
pub(crate) fn shown(text: &str, chars_max: usize) -> String {
    let mut shown = String::new();
    let mut rest = text.chars();
    for character in rest.by_ref().take(chars_max) {
        if is_invisible(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    if rest.next().is_some() {
        shown.push('…');
    }
    shown
}

/// Whether `text` is a code in kebab-case.
pub(crate) fn is_code(text: &str) -> bool {
    const CODE_BYTES_MAX: usize = 64;
    (1..=CODE_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_text_is_bounded_and_visible() {
        assert_eq!(shown("pläin", 5), "pläin");
        assert_eq!(
            shown("a\u{1b}[2Jb\u{202e}\n", 20),
            "a\\u{1b}[2Jb\\u{202e}\\u{a}"
        );
        assert_eq!(shown("abcdef", 3), "abc…");
    }

    #[test]
    fn a_code_is_kebab_case() {
        assert!(is_code("policy-stale") && is_code("stage-2"));
        for text in ["", "Policy", "a b", "a_b", &"a".repeat(65)] {
            assert!(!is_code(text), "{text}");
        }
    }
}
