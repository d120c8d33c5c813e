//! What holds for every finding, whatever the document.

use admit_policy::{Finding, FindingCode, Place, text::is_invisible};

use crate::noise::CANARIES;

/// What of a canary must not be shown, not even alone.
const FRAGMENTS: [&str; 2] = ["canary0123456789", "10.9.8.7"];

/// Checks that `place` is in the document `bytes`.
pub(crate) fn check_place(bytes: &[u8], place: &Place) {
    if place.line == 0 {
        assert_eq!(place.column, 0, "the whole file has no column");
        return;
    }
    let text = std::str::from_utf8(bytes).unwrap();
    let line = usize::try_from(place.line).unwrap();
    let column = usize::try_from(place.column).unwrap();
    let lines: Vec<&str> = text.split('\n').collect();
    assert!(line <= lines.len(), "{place:?} of {} lines", lines.len());
    let chars = lines[line - 1].chars().count();
    assert!(column <= chars + 1, "{place:?} of {chars} characters");
}

/// Checks every finding about the document `bytes`.
pub(crate) fn check_findings(bytes: &[u8], findings: &[Finding]) {
    for finding in findings {
        check_place(bytes, &finding.place);
        check_shown(&finding.message);
        let Some(excerpt) = &finding.excerpt else {
            continue;
        };
        check_shown(&excerpt.text);
        let chars = excerpt.text.chars().count();
        let start = usize::try_from(excerpt.underline_start).unwrap();
        let length = usize::try_from(excerpt.underline_length).unwrap();
        assert!(start + length <= chars, "{finding:?}");
        let is_inside = finding.place.line > 0;
        assert!(is_inside, "an excerpt of a whole file: {finding:?}");
        assert_ne!(finding.code, FindingCode::NotUtf8, "{finding:?}");
    }
}

/// Checks that `text` can be shown to anybody on any terminal.
fn check_shown(text: &str) {
    for forbidden in CANARIES.iter().chain(&FRAGMENTS) {
        assert!(
            !text.contains(forbidden),
            "`{forbidden}` is shown in {text:?}"
        );
    }
    assert!(
        !text.contains(is_invisible),
        "invisible characters in {text:?}"
    );
}
