//! The report for people.
//!
//! Drawn by hand and not by a library for compiler messages: those compute line and column from the
//! source text, and an excerpt is not the source text where something in it is hidden.

use std::io::{self, Write};

use admit_policy::Finding;
use anstyle::{AnsiColor, Style};

use super::Report;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const FRAME: Style = AnsiColor::Blue.on_default().bold();
const STRONG: Style = Style::new().bold();

pub(super) fn write(report: &Report<'_>, to: &mut impl Write) -> io::Result<()> {
    let findings = report.snapshot.findings();
    for finding in findings {
        write_finding(report, finding, to)?;
        writeln!(to)?;
    }
    let files = counted(report.files, "file", "files");
    if findings.is_empty() {
        writeln!(
            to,
            "{STRONG}clean{STRONG:#}: {files}, digest {}",
            report.snapshot.digest()
        )
    } else {
        let findings = counted(findings.len(), "finding", "findings");
        writeln!(
            to,
            "{STRONG}{findings}{STRONG:#} in {files}, digest {}",
            report.snapshot.digest()
        )
    }
}

fn write_finding(report: &Report<'_>, finding: &Finding, to: &mut impl Write) -> io::Result<()> {
    let code = finding.code.as_str();
    writeln!(
        to,
        "{ERROR}error[{code}]{ERROR:#}{STRONG}: {}{STRONG:#}",
        finding.message
    )?;
    let place = &finding.place;
    let number = place.line.to_string();
    let margin = " ".repeat(number.len());
    write!(to, "{margin}{FRAME}-->{FRAME:#} {}", report.path(place))?;
    if place.line > 0 {
        write!(to, ":{}:{}", place.line, place.column)?;
    }
    writeln!(to)?;
    if let Some(excerpt) = &finding.excerpt {
        let before = " ".repeat(usize::try_from(excerpt.underline_start).unwrap_or(0));
        let marks = "^".repeat(
            usize::try_from(excerpt.underline_length)
                .unwrap_or(0)
                .max(1),
        );
        writeln!(to, "{margin} {FRAME}|{FRAME:#}")?;
        writeln!(to, "{FRAME}{number} |{FRAME:#} {}", excerpt.text)?;
        writeln!(
            to,
            "{margin} {FRAME}|{FRAME:#} {before}{ERROR}{marks}{ERROR:#}"
        )?;
    }
    writeln!(
        to,
        "{margin} {FRAME}={FRAME:#} {STRONG}help{STRONG:#}: {}",
        finding.code.help()
    )
}

/// A number and its noun.
fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
