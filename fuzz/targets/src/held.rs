//! What has to hold of any text that is shown, and of any finding.
//!
//! Deliberately absent: which target shows what.

use admit_policy::{Finding, FindingCode, Place, endpoint, secret, text::is_invisible};

/// What the seeds have where a text of a caller stands. No record, span or error may have it.
pub(crate) const CANARY: &str = "canary";

/// Checks that `text` can be shown to anybody on any terminal. It may have several lines.
pub(crate) fn check_shown(text: &str) {
    // What is written out for an invisible character ends a word, and is none of its letters.
    let has_secret = text.split("\\u{").any(secret::is_present);
    assert!(!has_secret, "a secret is shown: {text:?}");
    assert!(
        !endpoint::is_present(text),
        "an endpoint is shown: {text:?}"
    );
    check_visible(text);
}

/// Checks that `text` does nothing to a terminal.
pub(crate) fn check_visible(text: &str) {
    let has_invisible = text.contains(|char| char != '\n' && is_invisible(char));
    assert!(!has_invisible, "invisible characters in {text:?}");
}

/// Checks that `bytes` have the canary nowhere.
pub(crate) fn check_without_canary(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    assert!(!text.contains(CANARY), "the canary is in {text:?}");
}

/// Checks that `place` is in the document `bytes`.
pub(crate) fn check_place(bytes: &[u8], place: &Place) {
    if place.line == 0 {
        assert_eq!(place.column, 0, "the whole file has no column");
        return;
    }
    let text = std::str::from_utf8(bytes).unwrap();
    let line = usize::try_from(place.line).unwrap();
    let column = usize::try_from(place.column).unwrap();
    let found = text.split('\n').nth(line - 1);
    let chars = found.unwrap_or_else(|| panic!("{place:?} is behind the last line"));
    let chars = chars.chars().count();
    assert!(column <= chars + 1, "{place:?} of {chars} characters");
}

/// Checks every finding about the document `bytes`.
pub(crate) fn check_findings<'a>(bytes: &[u8], findings: impl IntoIterator<Item = &'a Finding>) {
    for finding in findings {
        check_place(bytes, &finding.place);
        check_shown(&finding.message);
        let Some(excerpt) = &finding.excerpt else {
            continue;
        };
        check_shown(&excerpt.text);
        let chars = excerpt.text.chars().count();
        let end = excerpt.underline_start + excerpt.underline_length;
        assert!(usize::try_from(end).unwrap() <= chars, "{finding:?}");
        assert!(finding.place.line > 0, "{finding:?}");
        assert_ne!(finding.code, FindingCode::NotUtf8, "{finding:?}");
    }
}
