//! Headings that are the section's, that only look so, and that are there twice.

use admit_policy::FindingCode as F;

use crate::{EVIL, FRONT_MATTER, HEADING, KEYS, check_records, check_unchanged};

/// Headings that a reader could take for the section's.
const LOOKALIKES: [&str; 17] = [
    "## Current decision state",
    "## CURRENT DECISION STATE",
    "## Current Decision State.",
    "## Current Decision State:",
    "## Current Decision State!",
    "## *Current Decision State*.",
    "## Current  Decision State",
    "## Current Decision\u{a0}State",
    "## Current\u{2003}Decision State",
    "## Current Decision\u{200b} State",
    "## \u{feff}Current Decision State",
    "## Current Decision State\u{200d}",
    "## Cur\u{ad}rent Decision State",
    "## \u{202e}Current Decision State",
    "## Current-Decision-State",
    "## (Current Decision State)",
    "## CurrentDecisionState",
];

/// Headings that are the section's own, in other spellings of Markdown.
const SAME: [&str; 8] = [
    "## Current Decision State",
    "# Current Decision State",
    "### Current Decision State",
    "## Current Decision State ##",
    "##   Current Decision State   ",
    "##\tCurrent Decision State",
    "Current Decision State\n---",
    "## Current *Decision* State",
];

/// Headings of other sections.
const OTHER: [&str; 8] = [
    "## Current Decision",
    "## Current Decision State (2025)",
    "## Previous Decision State",
    "## History of the Current Decision State",
    "## \u{421}urrent Decision State",
    "## Current Decision St\u{430}te",
    "## \u{ff23}urrent Decision State",
    "## Current Decision State 2",
];

#[test]
fn a_heading_that_looks_like_the_sections_is_a_finding() {
    for heading in LOOKALIKES {
        check_records([
            (
                format!("{FRONT_MATTER}\n{heading}\n\n{KEYS}"),
                &[F::SectionMissing, F::SectionLookalike][..],
            ),
            (
                format!("{FRONT_MATTER}{HEADING}{KEYS}\n{heading}\n\n{EVIL}"),
                &[F::SectionLookalike],
            ),
            (
                format!("{FRONT_MATTER}\n{heading}\n\n{EVIL}{HEADING}{KEYS}"),
                &[F::SectionLookalike],
            ),
        ]);
    }
}

#[test]
fn a_second_section_is_a_finding() {
    for heading in SAME {
        check_unchanged([format!("{FRONT_MATTER}\n{heading}\n\n{KEYS}")]);
        for body in ["", KEYS, EVIL, "Nothing.\n"] {
            check_records([
                (
                    format!("{FRONT_MATTER}{HEADING}{KEYS}\n{heading}\n\n{body}"),
                    &[F::SectionDuplicate][..],
                ),
                (
                    format!("{FRONT_MATTER}\n{heading}\n\n{KEYS}\n## Between\n{HEADING}{body}"),
                    &[F::SectionDuplicate],
                ),
            ]);
        }
    }
}

#[test]
fn another_section_is_prose() {
    for heading in OTHER {
        check_records([(
            format!("{FRONT_MATTER}\n{heading}\n\n{KEYS}"),
            &[F::SectionMissing][..],
        )]);
        check_unchanged([
            format!("{FRONT_MATTER}{HEADING}{KEYS}\n{heading}\n\n{EVIL}"),
            format!("{FRONT_MATTER}\n{heading}\n\n{EVIL}{HEADING}{KEYS}"),
        ]);
    }
}

#[test]
fn a_heading_that_is_none_opens_no_section() {
    for heading in [
        "Current Decision State",
        "**Current Decision State**",
        "##Current Decision State",
        "####### Current Decision State",
        "\\## Current Decision State",
        "    ## Current Decision State",
        "> ## Current Decision State",
        "- ## Current Decision State",
        "<h2>Current Decision State</h2>",
        "<!-- ## Current Decision State -->",
        "```\n## Current Decision State\n```",
    ] {
        check_records([(
            format!("{FRONT_MATTER}\n{heading}\n\n{KEYS}"),
            &[F::SectionMissing][..],
        )]);
        check_unchanged([format!(
            "{FRONT_MATTER}\n# Record\n\n{heading}\n\n{EVIL}{HEADING}{KEYS}"
        )]);
    }
}
