//! The report for programs. Its shape is versioned: a field may be added under the same version, and
//! nothing else may change.

use std::io::{self, Write};

use serde::Serialize;

use super::Report;

/// The version of the shape.
const SCHEMA: &str = "admitd.validate/1";

#[derive(Serialize)]
struct Output<'a> {
    schema: &'static str,
    digest: String,
    files: usize,
    findings: Vec<OutputFinding<'a>>,
}

/// `line` and `column` count from 1; they are null where the finding is about a whole file.
#[derive(Serialize)]
struct OutputFinding<'a> {
    code: &'static str,
    message: &'a str,
    help: &'static str,
    path: String,
    line: Option<u32>,
    column: Option<u32>,
    excerpt: Option<OutputExcerpt<'a>>,
}

/// The underline counts characters of `text` from 0.
#[derive(Serialize)]
struct OutputExcerpt<'a> {
    text: &'a str,
    underline_start: u32,
    underline_length: u32,
}

pub(super) fn write(report: &Report<'_>, to: &mut impl Write) -> io::Result<()> {
    let findings = report
        .snapshot
        .findings()
        .iter()
        .map(|finding| OutputFinding {
            code: finding.code.as_str(),
            message: &finding.message,
            help: finding.code.help(),
            path: report.path(&finding.place),
            line: Some(finding.place.line).filter(|line| *line > 0),
            column: Some(finding.place.column).filter(|column| *column > 0),
            excerpt: finding.excerpt.as_ref().map(|excerpt| OutputExcerpt {
                text: &excerpt.text,
                underline_start: excerpt.underline_start,
                underline_length: excerpt.underline_length,
            }),
        });
    let output = Output {
        schema: SCHEMA,
        digest: report.snapshot.digest().to_string(),
        files: report.files,
        findings: findings.collect(),
    };
    serde_json::to_writer_pretty(&mut *to, &output)?;
    writeln!(to)
}
