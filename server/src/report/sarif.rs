//! The report for code scanning: SARIF 2.1.0.

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

use admit_policy::{Finding, FindingCode};
use serde_json::{Value, json};

use super::Report;

pub(super) fn write(report: &Report<'_>, to: &mut impl Write) -> io::Result<()> {
    let findings = report.snapshot.findings();
    let codes: BTreeSet<FindingCode> = findings.iter().map(|finding| finding.code).collect();
    let rules: Vec<Value> = codes.into_iter().map(rule).collect();
    let results: Vec<Value> = findings
        .iter()
        .map(|finding| result(report, finding))
        .collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "admitd",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    serde_json::to_writer_pretty(&mut *to, &log)?;
    writeln!(to)
}

fn rule(code: FindingCode) -> Value {
    json!({
        "id": code.as_str(),
        "shortDescription": { "text": code.describe() },
        "help": { "text": code.help() },
        "defaultConfiguration": { "level": "error" },
    })
}

fn result(report: &Report<'_>, finding: &Finding) -> Value {
    let place = &finding.place;
    let mut location = json!({
        "artifactLocation": { "uri": uri(&report.path(place)) },
    });
    if place.line > 0
        && let Some(fields) = location.as_object_mut()
    {
        let region = json!({ "startLine": place.line, "startColumn": place.column });
        fields.insert("region".into(), region);
    }
    json!({
        "ruleId": finding.code.as_str(),
        "level": "error",
        "message": { "text": finding.message },
        "locations": [{ "physicalLocation": location }],
    })
}

/// A path as a relative URI reference: everything but the unreserved characters is escaped.
fn uri(path: &str) -> String {
    path.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
