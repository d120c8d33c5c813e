//! A quick comparison from end to end: every server starts, answers and stands in the results.
//!
//! Deliberately absent: any claim about speed; a debug build has none.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

/// Every server of a comparison without Cerbos, and how many loads it is put under.
const ROWS: [(&str, usize); 6] = [
    ("floor", 11),
    ("floor-tls", 7),
    ("sync-thread", 11),
    ("sync-inline", 11),
    ("admitd", 11),
    ("admitd-tls", 11),
];

#[test]
fn a_comparison_has_every_row() {
    let folder = tempfile::tempdir().unwrap();
    let own = Path::new(env!("CARGO_BIN_EXE_admit-bench"));
    let mut command = Command::new(own);
    command
        .args(["compare", "--quick", "--results"])
        .arg(folder.path());
    let beside = own.parent().unwrap();
    if beside.join("admitd").is_file() && beside.join("admit").is_file() {
        // A run of all tests has built them; another build would only take its time.
        command.arg("--bin-dir").arg(beside);
    }
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let results: Value = serde_json::from_str(&read("compare.json")).unwrap();
    let rows = results.get("rows").and_then(Value::as_array).unwrap();
    for (contender, loads) in ROWS {
        let own = rows
            .iter()
            .filter(|row| row.get("contender").unwrap() == contender);
        assert_eq!(own.count(), loads, "{contender}");
    }
    let number = |figures: &Value, name: &str| figures.get(name).and_then(Value::as_f64).unwrap();
    for row in rows {
        for figures in row.get("rounds").and_then(Value::as_array).unwrap() {
            let [p50, p90, p99, p999] =
                ["p50_us", "p90_us", "p99_us", "p999_us"].map(|name| number(figures, name));
            assert!(
                0.0 < p50 && p50 <= p90 && p90 <= p99 && p99 <= p999,
                "{row}"
            );
            assert!(number(figures, "per_second") > 0.0, "{row}");
            assert!(number(figures, "resident_mib") > 0.0, "{row}");
        }
    }
    let page = read("compare.md");
    for part in [
        "## Targets",
        "× F",
        "admitd, mutual TLS",
        "own thread",
        "200/s |",
    ] {
        assert!(page.contains(part), "`{part}` in {page}");
    }
    for file in ["compare.md", "compare.json", "compare.svg"] {
        assert!(!read(file).contains(env!("CARGO_MANIFEST_DIR")), "{file}");
    }
    let picture = read("compare.svg");
    assert!(
        picture.starts_with("<svg") && picture.contains("polyline"),
        "{picture}"
    );
}
