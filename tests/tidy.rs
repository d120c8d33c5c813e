//! Tidiness: what a reader may rely on in this tree, held against the tree itself.

#![expect(clippy::unwrap_used, reason = "a test fails loudly")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use admit_client::facts::RefusalCode;
use admit_policy::{Code, EvidenceCode, FindingCode};
use admit_server::config::Config;

/// Where the code is.
const CODE_FOLDERS: [&str; 8] = [
    "benches",
    "policy",
    "permit",
    "server",
    "client",
    "tests",
    "fuzz/targets",
    "fuzz/fuzz_targets",
];
/// Most lines of a source file; a longer one has more than one owner.
const FILE_LINES_MAX: usize = 430;
/// Most lines of the README.
const README_LINES_MAX: usize = 160;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// Every file below `folder` whose name ends in one of `endings`.
fn files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if endings
                .iter()
                .any(|ending| path.to_string_lossy().ends_with(ending))
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The text between `<!-- name…` and `<!-- /name -->`, without the line of the first mark.
fn marked(text: &str, name: &str) -> String {
    let (_, rest) = text.split_once(&format!("<!-- {name}:")).unwrap();
    let (_, rest) = rest.split_once('\n').unwrap();
    let (block, _) = rest.split_once(&format!("<!-- /{name} -->")).unwrap();
    block.to_owned()
}

#[test]
fn the_documentation_lists_every_gate_in_order() {
    let rows: String = Code::ALL
        .iter()
        .map(|code| format!("| `{}` | {} |\n", code.as_str(), code.denies()))
        .collect();
    let table = format!("| code | denies when |\n| --- | --- |\n{rows}");
    assert_eq!(
        marked(&read("docs/gates.md"), "gates"),
        table,
        "the table has to read:\n{table}"
    );
}

#[test]
fn the_documentation_lists_every_finding_in_order() {
    let rows: String = FindingCode::ALL
        .iter()
        .map(|code| {
            format!(
                "| `{}` | {} | {} |\n",
                code.as_str(),
                code.describe(),
                code.help()
            )
        })
        .collect();
    let table = format!("| code | what is wrong | how to mend it |\n| --- | --- | --- |\n{rows}");
    assert_eq!(
        marked(&read("docs/policy.md"), "findings"),
        table,
        "the table has to read:\n{table}"
    );
}

#[test]
fn the_documentation_lists_every_refusal_in_order() {
    let rows: String = RefusalCode::ALL
        .iter()
        .map(|code| {
            let lanes = if code.lets_other_code_run() {
                "both"
            } else {
                "real"
            };
            format!(
                "| `{}` | {lanes} | {} | {} |\n",
                code.as_str(),
                code.refuses(),
                code.help()
            )
        })
        .collect();
    let head = "| code | lane | refuses when | how to mend it |\n| --- | --- | --- | --- |\n";
    let table = format!("{head}{rows}");
    assert_eq!(
        marked(&read("docs/launch.md"), "refusals"),
        table,
        "the table has to read:\n{table}"
    );
}

#[test]
fn the_documentation_lists_every_code_of_evidence_in_order() {
    let rows: String = EvidenceCode::ALL
        .iter()
        .map(|code| {
            format!(
                "| `{}` | {} | {} |\n",
                code.as_str(),
                code.rejects(),
                code.help()
            )
        })
        .collect();
    let table = format!("| code | rejects when | how to mend it |\n| --- | --- | --- |\n{rows}");
    assert_eq!(
        marked(&read("docs/evidence.md"), "evidence codes"),
        table,
        "the table has to read:\n{table}"
    );
}

#[test]
fn the_readme_is_short() {
    let lines = read("README.md").lines().count();
    assert!(lines < README_LINES_MAX, "the README has {lines} lines");
}

#[test]
fn every_source_file_says_what_it_owns_and_is_not_too_long() {
    for folder in CODE_FOLDERS {
        for path in files(folder, &[".rs"]) {
            let text = fs::read_to_string(&path).unwrap();
            assert!(
                text.starts_with("//! "),
                "{} opens with no `//!`",
                path.display()
            );
            let product = text.split("#[cfg(test)]").next().unwrap_or(&text);
            let lines = product.lines().count();
            let has_part = |name: &str| path.components().any(|part| part.as_os_str() == name);
            let is_product = has_part("src") && !has_part("tests") && !path.ends_with("tests.rs");
            assert!(
                !is_product || lines <= FILE_LINES_MAX,
                "{} has {lines} lines",
                path.display()
            );
        }
    }
}

#[test]
fn no_file_is_named_for_nothing() {
    let empty_names = [
        "util.rs",
        "utils.rs",
        "helper.rs",
        "helpers.rs",
        "common.rs",
        "manager.rs",
        "misc.rs",
    ];
    for folder in CODE_FOLDERS {
        for path in files(folder, &[".rs"]) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(!empty_names.contains(&name.as_str()), "{}", path.display());
        }
    }
}

#[test]
fn every_dependency_states_its_reason() {
    let manifest = read("Cargo.toml");
    let (_, dependencies) = manifest.split_once("[workspace.dependencies]").unwrap();
    let (dependencies, _) = dependencies.split_once("\n[").unwrap();
    for line in dependencies.lines() {
        let is_own = line.starts_with("admit-");
        let is_entry = line.contains(" = ") && !line.starts_with('#');
        assert!(is_own || !is_entry || line.contains(" # "), "{line}");
    }
}

#[test]
fn the_build_of_the_container_has_every_member_of_the_workspace() {
    let manifest = read("Cargo.toml");
    let (_, members) = manifest.split_once("\nmembers = [").unwrap();
    let (members, _) = members.split_once(']').unwrap();
    let kept = read("deploy/Containerfile.dockerignore");
    for member in members.split(',').map(|name| name.trim().trim_matches('"')) {
        let line = format!("!{member}");
        assert!(kept.lines().any(|kept| kept == line), "{member}");
    }
}

#[test]
fn every_configuration_to_start_from_is_one() {
    let found = files("deploy", &["admitd.toml"]);
    assert!(found.len() >= 4, "{found:?}");
    for path in found {
        let parsed = Config::parse(&fs::read_to_string(&path).unwrap());
        assert!(parsed.is_ok(), "{}: {parsed:?}", path.display());
    }
}

#[test]
fn the_policy_core_stays_pure() {
    let lib = read("policy/src/lib.rs");
    assert!(lib.contains("#![no_std]"));
    for path in files("policy/src", &[".rs"]) {
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("extern crate std"), "{}", path.display());
    }
}

#[test]
fn allow_is_made_in_one_expression() {
    let mut places = Vec::new();
    for path in files("policy/src", &[".rs"]) {
        let text = fs::read_to_string(&path).unwrap();
        let product = text.split("#[cfg(test)]").next().unwrap().to_owned();
        for line in product
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
        {
            // A pattern is followed by `=>`, `)` or `|`; anything else makes a value.
            for (_, rest) in line
                .match_indices("Verdict::Allow")
                .map(|(at, name)| line.split_at(at + name.len()))
            {
                let rest = rest.trim_start();
                if !(rest.starts_with("=>") || rest.starts_with(')') || rest.starts_with('|')) {
                    places.push(format!("{}: {line}", path.display()));
                }
            }
        }
    }
    assert_eq!(places.len(), 1, "{places:#?}");
}

#[test]
fn spelling_is_that_of_the_united_states() {
    let british: BTreeSet<&str> = [
        "behaviour",
        "colour",
        "serialise",
        "serialised",
        "recognise",
        "recognised",
        "initialise",
        "standardised",
        "neighbour",
        "licence",
        "licences",
        "favour",
        "honour",
        "catalogue",
        "judgement",
        "normalise",
        "normalised",
        "authorise",
        "authorised",
        "labelled",
    ]
    .into();
    for (folder, endings) in [
        ("benches", &[".rs", ".md"][..]),
        ("policy", &[".rs"]),
        ("permit", &[".rs"]),
        ("server", &[".rs", ".json"]),
        ("client", &[".rs"]),
        ("proto", &[".proto", ".rs"]),
        ("tests", &[".rs", ".toml", ".md", ".py"]),
        ("fuzz/targets", &[".rs"]),
        ("fuzz/seeds", &[".toml", ".md"]),
        ("docs", &[".md"]),
        ("deploy", &[".md", ".toml"]),
    ] {
        for path in files(folder, endings) {
            if path.ends_with("tidy.rs") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap().to_lowercase();
            for word in text.split(|c: char| !c.is_ascii_alphabetic()) {
                assert!(!british.contains(word), "{}: {word}", path.display());
            }
        }
    }
}
