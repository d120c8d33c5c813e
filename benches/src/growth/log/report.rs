//! The results as a table and a plot: medians, ratios, and the law of growth beside them.

use std::{fmt::Write as _, time::Duration};

use crate::{
    curve::{Chart, Line},
    figure::{median, met, mib, real},
};

/// The part of the speed of `sha256sum` that the check has to reach.
const VERIFY_RATIO_MIN: f64 = 0.5;
/// How many decisions a second have to be derived.
const REPLAY_PER_SECOND_MIN: f64 = 200_000.0;

/// One run of a command.
#[derive(Clone, Copy)]
pub(super) struct Run {
    pub(super) took: Duration,
    pub(super) peak_bytes: u64,
}

/// One start of the daemon.
pub(super) type Start = Run;

/// What was measured on one log.
#[derive(Default)]
pub(super) struct Figures {
    pub(super) records: u64,
    pub(super) decisions: u64,
    pub(super) segments: usize,
    pub(super) bytes: u64,
    pub(super) last_bytes: u64,
    pub(super) starts: Vec<Start>,
    pub(super) starts_with_export: Vec<Start>,
    pub(super) sha256sum: Vec<Run>,
    /// Empty where there is no `openssl`.
    pub(super) openssl: Vec<Run>,
    pub(super) verify: Vec<Run>,
    pub(super) replay: Vec<Run>,
}

/// The median of the times, in seconds.
fn seconds(runs: &[Run]) -> f64 {
    median(runs.iter().map(|run| run.took.as_secs_f64())).unwrap_or(f64::NAN)
}

fn peak_mib(runs: &[Run]) -> f64 {
    let peak = runs.iter().map(|run| run.peak_bytes).max();
    mib(peak.unwrap_or_default())
}

impl Figures {
    fn mib_per_second(&self, runs: &[Run]) -> f64 {
        mib(self.bytes) / seconds(runs)
    }

    fn verify_ratio(&self) -> f64 {
        seconds(&self.sha256sum) / seconds(&self.verify)
    }

    fn replayed_per_second(&self) -> f64 {
        real(self.decisions) / seconds(&self.replay)
    }
}

/// Says on the way what was measured.
#[expect(clippy::print_stderr, reason = "progress for whoever waits")]
pub(super) fn tell(figures: &Figures) {
    eprintln!(
        "{} records: start {:.1} ms ({:.1} ms exporting), verify {:.0} MiB/s ({:.2} of sha256sum, {:.2} of openssl), replay {:.0}/s, peak {:.0} and {:.0} MiB",
        figures.records,
        seconds(&figures.starts) * 1e3,
        seconds(&figures.starts_with_export) * 1e3,
        figures.mib_per_second(&figures.verify),
        figures.verify_ratio(),
        seconds(&figures.openssl) / seconds(&figures.verify),
        figures.replayed_per_second(),
        peak_mib(&figures.verify),
        peak_mib(&figures.replay),
    );
}

/// The page up to the law of growth.
pub(super) fn page(rows: &[Figures]) -> Result<String, std::fmt::Error> {
    let mut text = String::from(
        "# How cost grows with the audit log\n\n\
         `admit-bench log` (10,000,000 records with `--long`): a real log on the real disk, decisions of the example policy, three of\n\
         four allowed; medians of interleaved rounds. What counts are ratios within a row.\n\n\
         ## Start of the daemon\n\n\
         From exec to `READY=1`. Opening a log reads its last segment from the disk and checks it whole;\n\
         it never reads an older one, but for its last line.\n\n\
         | records | segments | log, MiB | last segment, MiB | ready, ms | ready with export, ms | peak, MiB |\n\
         | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for row in rows {
        writeln!(
            text,
            "| {} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.0} |",
            row.records,
            row.segments,
            mib(row.bytes),
            mib(row.last_bytes),
            seconds(&row.starts) * 1e3,
            seconds(&row.starts_with_export) * 1e3,
            peak_mib(&row.starts),
        )?;
    }
    text.push_str(
        "\n## Check and replay\n\n\
         The segments are in the memory of the system, as far as it has room. `sha256sum` is coreutils, `openssl` is\n\
         `openssl dgst -sha256`, over the same files in the same round.\n\n\
         | records | sha256sum, MiB/s | openssl, MiB/s | verify, MiB/s | verify ÷ sha256sum | verify ÷ openssl | peak, MiB | replay, decisions/s | peak, MiB |\n\
         | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for row in rows {
        writeln!(
            text,
            "| {} | {:.0} | {:.0} | {:.0} | {:.2} | {:.2} | {:.0} | {:.0} | {:.0} |",
            row.records,
            row.mib_per_second(&row.sha256sum),
            row.mib_per_second(&row.openssl),
            row.mib_per_second(&row.verify),
            row.verify_ratio(),
            seconds(&row.openssl) / seconds(&row.verify),
            peak_mib(&row.verify),
            row.replayed_per_second(),
            peak_mib(&row.replay),
        )?;
    }
    if let Some(last) = rows.last() {
        writeln!(
            text,
            "\n| target | found, at {} records | |\n| --- | ---: | --- |\n\
             | verify at least {VERIFY_RATIO_MIN} of sha256sum | {:.2} | {} |\n\
             | replay at least {REPLAY_PER_SECOND_MIN} decisions/s on two cores | {:.0} | {} |",
            last.records,
            last.verify_ratio(),
            met(last.verify_ratio() >= VERIFY_RATIO_MIN),
            last.replayed_per_second(),
            met(last.replayed_per_second() >= REPLAY_PER_SECOND_MIN),
        )?;
    }
    Ok(text)
}

/// Seconds over records.
pub(super) fn charts(rows: &[Figures]) -> Vec<Chart> {
    let line = |name, runs: fn(&Figures) -> &[Run]| {
        let points = rows
            .iter()
            .map(|row| (real(row.records), seconds(runs(row))));
        Line::new(name, 0.0, points)
    };
    vec![Chart {
        title: "Start, check and replay of a log",
        across: "records",
        up: "s",
        lines: vec![
            line("start", |row| &row.starts),
            line("sha256sum", |row| &row.sha256sum),
            line("verify", |row| &row.verify),
            line("replay", |row| &row.replay),
        ],
    }]
}
