//! The report for GitHub Actions: one workflow command a finding.

use std::io::{self, Write};

use super::Report;

pub(super) fn write(report: &Report<'_>, to: &mut impl Write) -> io::Result<()> {
    for finding in report.snapshot.findings() {
        let place = &finding.place;
        write!(to, "::error file={}", property(&report.path(place)))?;
        if place.line > 0 {
            write!(to, ",line={},col={}", place.line, place.column)?;
        }
        let text = format!("{}; {}", finding.message, finding.code.help());
        writeln!(
            to,
            ",title={}::{}",
            property(finding.code.as_str()),
            data(&text)
        )?;
    }
    Ok(())
}

/// The message of a command, where `%` and line ends are escaped.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// A property of a command, where `:` and `,` are escaped too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
