//! How a line of the list says its value.

use admit_policy::FindingCode as F;

use crate::{KEYS, check_records, check_unchanged, with_keys};

/// The keys whose value has to stand alone, with the lines of the base record.
const STRICT: [(&str, &str); 6] = [
    ("decision_status", "local_provider_required"),
    ("provider_class", "local_case_compatible"),
    ("provider", "qwen-local"),
    ("model", "qwen3.6-35b-a3b"),
    ("fallback_provider", "openai-codex"),
    ("fallback_model", "gpt-5.5"),
];

/// The base record with the line of `key` replaced.
fn with_line(key: &str, line: &str) -> String {
    let start = KEYS
        .find(&format!("- `{key}`:"))
        .expect("a key of the base record");
    let end = start + KEYS[start..].find('\n').expect("the end of its line");
    with_keys(&format!("{}{line}{}", &KEYS[..start], &KEYS[end..]))
}

#[test]
fn a_strict_value_stands_alone() {
    for (key, value) in STRICT {
        check_unchanged([
            with_line(key, &format!("- `{key}`: `{value}`")),
            with_line(key, &format!("- `{key}`: `{value}` .")),
            with_line(key, &format!("- `{key}`:`{value}`.")),
            with_line(key, &format!("- `{key}`: ``{value}``.")),
            with_line(key, &format!("- `{key}`: ` {value} `.")),
            with_line(key, &format!("- `{key}`:\n  `{value}`.")),
            with_line(key, &format!("- `{key}`: {value}.")),
            with_line(key, &format!("- `{key}`: {value}")),
        ]);
        for trailing in [
            "; decided by JP",
            ", for now.",
            " (default)",
            ". Since June.",
            " or `other`.",
            " `other`.",
            "\n  `other`.",
            ".\n  Since June.",
            ".\n\n  Since June.",
            ".\n\n      since June",
            ".\n  > since June",
            ".\n  ***",
            ". ![since June](a.png)",
            ".\n  ```\n  since June\n  ```",
            ". <!-- since June -->",
            ".\n  <!-- since June -->",
            ".\u{200b}",
            "..",
            ".\n  .",
            "!",
            " \\.",
            "<br>.",
        ] {
            let expected = match trailing {
                // An escaped full stop is a full stop.
                " \\." => &[][..],
                _ => &[F::ValueTrailingText],
            };
            let text = with_line(key, &format!("- `{key}`: `{value}`{trailing}"));
            check_records([(text, expected)]);
        }
    }
}

#[test]
fn prose_after_another_value_is_ignored() {
    for key in [
        "approval_source",
        "credential_source_class",
        "allowed_network_class",
        "review_trigger",
        "evidence_sources",
        "effect",
    ] {
        check_unchanged([
            with_line(key, &format!("- `{key}`: `x`; and why.")),
            with_line(key, &format!("- `{key}`: `x`, `y` and `provider`: `evil`.")),
            with_line(
                key,
                &format!("- `{key}`: prose with `provider`: `evil` in it."),
            ),
            with_line(key, &format!("- `{key}`: `x`.\n\n  More.")),
            with_line(key, &format!("- `{key}`: `x`. <!-- a note -->")),
        ]);
        for empty in ["", " ", ".", " .", " ``", " <!-- x -->", " <b></b>"] {
            // An empty code span is two backticks, which are text.
            let expected: &[F] = if empty == " ``" {
                &[]
            } else {
                &[F::KeyMissing]
            };
            check_records([(with_line(key, &format!("- `{key}`:{empty}")), expected)]);
        }
        check_records([(with_line(key, "<!-- nothing -->"), &[F::KeyMissing][..])]);
    }
}

#[test]
fn a_key_is_written_exactly() {
    for (line, expected) in [
        ("- `effects`: x.", F::KeyUnknown),
        ("- `Effect`: x.", F::KeyUnknown),
        ("- `effect `: x.", F::KeyUnknown),
        ("- ` effect`: x.", F::KeyUnknown),
        ("- `eff\u{435}ct`: x.", F::KeyUnknown),
        ("- `effect\u{200b}`: x.", F::KeyUnknown),
        ("- `\u{feff}effect`: x.", F::KeyUnknown),
        ("- `effect:` x.", F::ItemMalformed),
        ("- `effect` : x.", F::ItemMalformed),
        ("- `effect`\u{ff1a} x.", F::ItemMalformed),
        ("- `effect`= x.", F::ItemMalformed),
        ("- `effect`", F::ItemMalformed),
        ("- effect: x.", F::ItemMalformed),
        ("- **effect**: x.", F::ItemMalformed),
        ("- \\`effect\\`: x.", F::ItemMalformed),
        ("- The `effect`: x.", F::ItemMalformed),
        ("- \u{200b}`effect`: x.", F::ItemMalformed),
        ("- <code>effect</code>: x.", F::ItemMalformed),
    ] {
        let found = with_line("effect", line);
        // The key itself is missing then, which is found at the heading.
        check_records([(found, &[F::KeyMissing, expected][..])]);
    }
}

#[test]
fn a_key_stands_once() {
    for line in KEYS.lines() {
        let key = line.split('`').nth(1).expect("a key");
        check_records([
            (
                with_keys(&format!("{KEYS}{line}\n")),
                &[F::KeyDuplicate][..],
            ),
            (
                with_keys(&format!("{KEYS}- `{key}`:\n")),
                &[F::KeyDuplicate],
            ),
            (
                with_keys(&format!("{KEYS}\nText.\n\n* `{key}`: x.\n")),
                &[F::KeyDuplicate],
            ),
        ]);
    }
}

#[test]
fn a_name_that_only_looks_the_same_is_a_finding() {
    for (key, value) in STRICT.into_iter().skip(2) {
        let middle = value.len() / 2;
        let (before, after) = value.split_at(middle);
        for odd in [
            "\u{430}",
            "\u{43e}",
            "\u{ff41}",
            "\u{200b}",
            "\u{200d}",
            "\u{feff}",
            "\u{ad}",
            "\u{202e}",
            "\u{a0}",
            "\u{301}",
            "\u{2010}",
            "\u{1d41a}",
            " ",
            "*",
            "?",
            "\u{7f}",
            "\u{1b}",
            "\0",
        ] {
            for name in [
                format!("{before}{odd}{after}"),
                format!("{odd}{value}"),
                format!("{value}{odd}"),
            ] {
                if name.trim_matches(' ') == value {
                    continue; // A code span drops a space at both ends, and one at one end is odd.
                }
                let text = with_line(key, &format!("- `{key}`: `{name}`."));
                check_records([(text, &[F::NameInvalid][..])]);
            }
        }
        let text = with_line(key, &format!("- `{key}`: `{value} `."));
        check_records([(text, &[F::NameInvalid][..])]);
    }
    for (key, code) in [
        ("decision_status", F::DecisionStatusUnknown),
        ("provider_class", F::ProviderClassMismatch),
    ] {
        for value in ["l\u{43e}cal", "local\u{200b}", "Local"] {
            let value = KEYS
                .split('`')
                .skip_while(|piece| *piece != key)
                .nth(2)
                .expect("its value")
                .replacen("local", value, 1);
            let text = with_line(key, &format!("- `{key}`: `{value}`."));
            check_records([(text, &[code][..])]);
        }
    }
}

#[test]
fn a_name_has_a_longest_form() {
    for (key, longest) in [
        ("provider", 128),
        ("model", 256),
        ("fallback_provider", 128),
        ("fallback_model", 256),
    ] {
        let with = |length: usize| with_line(key, &format!("- `{key}`: `{}`.", "x".repeat(length)));
        check_records([
            (with(longest), &[][..]),
            (with(longest + 1), &[F::NameInvalid]),
        ]);
    }
}

#[test]
fn lines_may_end_and_items_may_start_as_markdown_allows() {
    check_unchanged([
        with_keys(KEYS).replace('\n', "\r\n"),
        with_keys(&KEYS.replace("- `", "-\t`")),
        with_keys(&KEYS.replace("- `", "* `")),
        with_keys(&KEYS.replace("- `", "+ `")),
        with_keys(&KEYS.replace("- `", "-   `")),
        with_keys(KEYS).trim_end().to_owned(),
        with_keys(KEYS).replace(".\n", ".  \n"),
        with_keys(KEYS)
            .replace('\n', "\n\n")
            .replace("---\n\n", "---\n"),
    ]);
    check_records([
        (
            format!("\u{feff}{}", with_keys(KEYS)),
            &[F::ByteOrderMark][..],
        ),
        (
            with_keys(KEYS).replace('\n', "\r"),
            &[F::FrontMatterMissing],
        ),
    ]);
}
