//! The complaints about others that `docs/peers.md` lists: every test that it names is there.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Fewest complaints on the page; one is not taken off because its test is gone.
const COMPLAINTS_MIN: usize = 30;

fn root() -> PathBuf {
    let server = Path::new(env!("CARGO_MANIFEST_DIR"));
    server.parent().unwrap().to_owned()
}

/// The tests that a row names, as file and function.
fn named(row: &str) -> Vec<(&str, &str)> {
    let quoted = row.split('`').skip(1).step_by(2);
    quoted.filter_map(|text| text.split_once("::")).collect()
}

#[test]
fn every_complaint_has_a_test_that_exists() {
    let page = fs::read_to_string(root().join("docs/peers.md")).unwrap();
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(2)
        .collect();
    assert!(rows.len() >= COMPLAINTS_MIN, "{} rows", rows.len());
    for row in rows {
        let tests = named(row);
        assert!(!tests.is_empty(), "no test: {row}");
        for (file, function) in tests {
            let text = fs::read_to_string(root().join(file));
            let text = text.unwrap_or_else(|error| panic!("{file}: {error}"));
            let is_there = ["fn", "def"]
                .iter()
                .any(|keyword| text.contains(&format!("{keyword} {function}(")));
            assert!(is_there, "{file} has no {function}");
        }
    }
}
