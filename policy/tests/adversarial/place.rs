//! Keys in places that are not the list of the section.

use admit_policy::FindingCode as F;

use crate::{EVIL, FRONT_MATTER, HEADING, KEYS, check_records, check_unchanged, with_keys};

/// Puts a list where no list is policy. The list ends with a newline.
type Place = fn(&str) -> String;

fn each_line(list: &str, before: &str) -> String {
    list.lines()
        .map(|line| format!("{before}{line}\n"))
        .collect()
}

/// Places whose content is no list of the section at all.
const NOWHERE: [(&str, Place); 24] = [
    ("fence", |list| format!("```\n{list}```\n")),
    ("fence with a language", |list| {
        format!("```markdown\n{list}```\n")
    }),
    ("tilde fence", |list| format!("~~~\n{list}~~~\n")),
    ("long fence", |list| format!("````\n```\n{list}````\n")),
    ("indented code", |list| each_line(list, "    ")),
    ("tabbed code", |list| each_line(list, "\t")),
    ("comment", |list| format!("<!--\n{list}-->\n")),
    ("comment with an empty line", |list| {
        format!("<!--\n\n{list}\n-->\n")
    }),
    ("comment on the line of its end", |list| {
        format!("<!-- {list} -->\n")
    }),
    ("block of HTML", |list| format!("<div>\n{list}</div>\n")),
    ("details", |list| {
        format!("<details><summary>x</summary>\n{list}</details>\n")
    }),
    ("own element", |list| format!("<x-y>\n{list}</x-y>\n")),
    ("pre", |list| format!("<pre>\n\n{list}\n</pre>\n")),
    ("script", |list| format!("<script>\n\n{list}\n</script>\n")),
    ("style", |list| format!("<style>\n\n{list}\n</style>\n")),
    ("textarea", |list| {
        format!("<textarea>\n\n{list}\n</textarea>\n")
    }),
    ("processing instruction", |list| {
        format!("<?x\n\n{list}\n?>\n")
    }),
    ("declaration", |list| format!("<!X\n{list}>\n")),
    ("CDATA", |list| format!("<![CDATA[\n\n{list}\n]]>\n")),
    ("block quote", |list| each_line(list, "> ")),
    ("block quote in a block quote", |list| {
        each_line(list, "> > ")
    }),
    ("table", |list| {
        format!(
            "| key |\n|---|\n{}",
            each_line(&list.replace("- ", "| "), "")
        )
    }),
    ("reference definition", |list| {
        let definitions = list
            .replace("- `", "[")
            .replace("`:", "]:")
            .replace(['`', ' '], "");
        definitions.replace("]:", "]: ")
    }),
    ("paragraph", |list| {
        format!("The list was:\n{}", list.replace("- ", ""))
    }),
];

/// Places that last to the end of the document.
const UNCLOSED: [(&str, Place); 4] = [
    ("unclosed fence", |list| format!("```\n{list}")),
    ("unclosed comment", |list| format!("<!--\n{list}")),
    ("unclosed script", |list| format!("<script>\n\n{list}")),
    ("unclosed CDATA", |list| format!("<![CDATA[\n\n{list}")),
];

#[test]
fn a_list_in_no_place_is_no_policy() {
    let rows = NOWHERE.iter().chain(&UNCLOSED);
    check_records(rows.map(|(_, place)| (with_keys(&place(KEYS)), &[F::KeyMissing][..])));
}

#[test]
fn a_key_in_no_place_changes_nothing() {
    for (name, place) in NOWHERE {
        println!("{name}");
        check_unchanged([
            with_keys(&format!("{KEYS}\nText.\n\n{}", place(EVIL))),
            with_keys(&format!("Text.\n\n{}\n{KEYS}", place(EVIL))),
        ]);
    }
    for (name, place) in UNCLOSED {
        println!("{name}");
        check_unchanged([with_keys(&format!("{KEYS}\nText.\n\n{}", place(EVIL)))]);
    }
}

#[test]
fn a_list_in_another_section_is_no_policy() {
    let none = &[F::KeyMissing][..];
    check_records([
        (
            with_keys(&format!("Nothing yet.\n\n## Proposed State\n\n{KEYS}")),
            none,
        ),
        (
            with_keys(&format!("Nothing yet.\n\n# Proposed State\n\n{KEYS}")),
            none,
        ),
        (
            with_keys(&format!("Nothing yet.\n\n### Proposed State\n\n{KEYS}")),
            none,
        ),
        (
            with_keys(&format!("Nothing yet.\n\nProposed State\n---\n\n{KEYS}")),
            none,
        ),
        (
            with_keys(&format!("Nothing yet.\n\nProposed State\n===\n\n{KEYS}")),
            none,
        ),
        (with_keys(&format!("##\n\n{KEYS}")), none),
        (
            format!("{FRONT_MATTER}\n{KEYS}\n## Other\n\n{KEYS}"),
            &[F::SectionMissing],
        ),
        (format!("{FRONT_MATTER}\n{KEYS}{HEADING}"), &[F::KeyMissing]),
    ]);
    check_unchanged([
        with_keys(&format!("{KEYS}\n## Proposed State\n\n{EVIL}")),
        with_keys(&format!("{KEYS}\n### Note\n\n{EVIL}")),
        with_keys(&format!("{KEYS}\nNote\n---\n\n{EVIL}")),
        format!("{FRONT_MATTER}\n{EVIL}{HEADING}{KEYS}"),
        format!("{FRONT_MATTER}\n# Record\n\n{EVIL}{HEADING}{KEYS}"),
    ]);
}

#[test]
fn a_list_in_front_matter_is_no_policy() {
    let yaml = KEYS.replace("- `", "").replace("`:", ":").replace('`', "");
    let front_matter = format!("---\nlifecycle_classification: sot\n{yaml}---\n");
    check_records([
        (
            format!("{front_matter}{HEADING}Nothing yet.\n"),
            &[F::KeyMissing][..],
        ),
        (format!("{front_matter}\n# Record\n"), &[F::SectionMissing]),
    ]);
    let other =
        "---\nlifecycle_classification: sot\ndecision_status: not_decided\nprovider: evil\n---\n";
    check_unchanged([
        format!("{other}{HEADING}{KEYS}"),
        // A second block between rules is no front matter.
        format!("{FRONT_MATTER}{HEADING}{KEYS}\n---\nprovider: evil\n---\n"),
    ]);
}

#[test]
fn a_list_in_a_list_is_a_finding() {
    let nested = |outer: &str, indent: &str| format!("{outer}{}", each_line(EVIL, indent));
    check_records([
        (
            with_keys(&format!("{KEYS}{}", nested("", "  "))),
            &[F::ItemNested][..],
        ),
        (
            with_keys(&format!("{KEYS}{}", nested("- note\n", "  "))),
            &[F::ItemMalformed, F::ItemNested],
        ),
        (
            with_keys(&format!("{KEYS}- {EVIL}")),
            &[F::ItemMalformed, F::ItemNested],
        ),
        (
            with_keys(&format!("- everything\n{}", each_line(KEYS, "  "))),
            &[F::KeyMissing, F::ItemMalformed, F::ItemNested],
        ),
        (
            with_keys(&format!("{KEYS}\n1. {EVIL}")),
            &[F::ItemMalformed, F::ItemNested],
        ),
    ]);
}

#[test]
fn a_numbered_item_is_a_finding() {
    check_records([
        (
            with_keys(&format!("{KEYS}\n1. `provider`: `evil`.\n")),
            &[F::ItemMalformed][..],
        ),
        (
            with_keys(&format!("{KEYS}\n7) `effect`: none.\n")),
            &[F::ItemMalformed],
        ),
        (
            with_keys("1. `decision_status`: `not_decided`.\n"),
            &[F::KeyMissing, F::ItemMalformed],
        ),
    ]);
}

#[test]
fn a_block_in_an_item_is_no_value() {
    let malformed = &[F::ItemMalformed][..];
    check_records([
        (
            with_keys(&format!("{KEYS}- > `provider`: `evil`.\n")),
            malformed,
        ),
        (
            with_keys(&format!("{KEYS}- # `provider`: `evil`.\n")),
            malformed,
        ),
        (
            with_keys(&format!("{KEYS}- `provider`: `evil`.\n  ===\n")),
            malformed,
        ),
        (
            with_keys(&format!("{KEYS}- ```\n  `provider`: `evil`.\n  ```\n")),
            malformed,
        ),
        (
            with_keys(&format!("{KEYS}- <!-- -->\n  `provider`: `evil`.\n")),
            malformed,
        ),
        (
            with_keys(&format!("{KEYS}- <div>\n  `provider`: `evil`.\n  </div>\n")),
            malformed,
        ),
        (
            with_keys(&format!("{KEYS}- <!-- --> `provider`: `evil`.\n")),
            malformed,
        ),
        (
            with_keys(&format!("{KEYS}-     `provider`: `evil`.\n")),
            malformed,
        ),
        (
            with_keys(&format!("{KEYS}- [ ] `provider`: `evil`.\n")),
            malformed,
        ),
        (
            with_keys(&format!("{KEYS}- ~~`provider`: `evil`.~~\n")),
            malformed,
        ),
        (
            with_keys(&format!("{KEYS}- [x]: `provider`:`evil`\n")),
            malformed,
        ),
        (with_keys(&format!("{KEYS}-\n")), malformed),
        (
            with_keys(&format!("{KEYS}- ![`provider`: `evil`.](a.png)\n")),
            malformed,
        ),
        (
            with_keys(&format!("{KEYS}- ![`provider`](a.png): `evil`.\n")),
            malformed,
        ),
    ]);
}

#[test]
fn a_setext_heading_is_no_item() {
    let setext = KEYS.replacen("- `decision_status`: `local_provider_required`.\n", "", 1);
    let line = "`decision_status`: `local_provider_required`.\n";
    check_records([
        (
            with_keys(&format!("{line}===\n\n{setext}")),
            &[F::KeyMissing][..],
        ),
        (
            with_keys(&format!("{line}---\n\n{setext}")),
            &[F::KeyMissing],
        ),
    ]);
    // Under an item, three hyphens are a rule, and the item stays an item.
    check_unchanged([
        with_keys(&format!("{KEYS}---\n")),
        with_keys(&format!("{KEYS}***\n")),
    ]);
}

#[test]
fn the_list_is_found_wherever_it_stands_in_the_section() {
    let (first, rest) = KEYS.split_at(KEYS.find("- `provider`").unwrap());
    check_unchanged([
        with_keys(&format!("Introduction.\n{KEYS}")),
        with_keys(&format!("{first}\nA note between.\n\n{rest}")),
        with_keys(&format!("{first}<!-- between -->\n{rest}")),
        with_keys(&format!("{first}```\n{EVIL}```\n{rest}")),
        with_keys(&KEYS.replace('\n', "\n\n")),
        with_keys(&each_line(KEYS, " ")),
        with_keys(&each_line(KEYS, "   ")),
    ]);
}
