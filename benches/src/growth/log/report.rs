//! The results as a table and a plot: medians, ratios, and the law of growth beside them.

use std::{fmt::Write as _, fs, path::Path, time::Duration};

use plotters::prelude::*;

/// The part of the speed of `sha256sum` that the check has to reach.
const VERIFY_RATIO_MIN: f64 = 0.5;
/// How many decisions a second have to be derived.
const REPLAY_PER_SECOND_MIN: f64 = 200_000.0;
const MIB: f64 = 1024.0 * 1024.0;

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
    let mut all: Vec<f64> = runs.iter().map(|run| run.took.as_secs_f64()).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

fn peak_mib(runs: &[Run]) -> f64 {
    let peak = runs.iter().map(|run| run.peak_bytes).max();
    float(peak.unwrap_or_default()) / MIB
}

/// Exact up to 2^53, which no count here comes near.
fn float(count: u64) -> f64 {
    let (high, low) = (count >> 32, count & 0xffff_ffff);
    let part = |part: u64| f64::from(u32::try_from(part).unwrap_or(u32::MAX));
    part(high) * 4_294_967_296.0 + part(low)
}

impl Figures {
    fn mib_per_second(&self, runs: &[Run]) -> f64 {
        float(self.bytes) / MIB / seconds(runs)
    }

    fn verify_ratio(&self) -> f64 {
        seconds(&self.sha256sum) / seconds(&self.verify)
    }

    fn replayed_per_second(&self) -> f64 {
        float(self.decisions) / seconds(&self.replay)
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

/// Writes the table and the plot to `dir`.
pub(super) fn write(dir: &Path, rows: &[Figures]) -> anyhow::Result<()> {
    fs::write(dir.join("log.md"), table(rows)?)?;
    plot(&dir.join("log.svg"), rows)
}

fn table(rows: &[Figures]) -> anyhow::Result<String> {
    let mut text = String::from(
        "# How cost grows with the audit log\n\n\
         `admit-bench log --long`: a real log on the real disk, decisions of the example policy, three of\n\
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
            float(row.bytes) / MIB,
            float(row.last_bytes) / MIB,
            seconds(&row.starts) * 1e3,
            seconds(&row.starts_with_export) * 1e3,
            peak_mib(&row.starts),
        )?;
    }
    text.push_str(
        "\nLaw: O(last segment), which is closed at 64 MiB; O(1) in the length of the log.\n\n\
         ## Check and replay\n\n\
         The segments are in the memory of the system. `sha256sum` is coreutils, `openssl` is\n\
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
    text.push_str("\nLaw: O(n) in time, O(1) in memory.\n\n![seconds over records](log.svg)\n\n");
    if let Some(last) = rows.last() {
        let is_met = |met: bool| if met { "met" } else { "missed" };
        writeln!(
            text,
            "| target | found, at {} records | |\n| --- | ---: | --- |\n\
             | verify at least {VERIFY_RATIO_MIN} of sha256sum | {:.2} | {} |\n\
             | replay at least {REPLAY_PER_SECOND_MIN} decisions/s on two cores | {:.0} | {} |",
            last.records,
            last.verify_ratio(),
            is_met(last.verify_ratio() >= VERIFY_RATIO_MIN),
            last.replayed_per_second(),
            is_met(last.replayed_per_second() >= REPLAY_PER_SECOND_MIN),
        )?;
    }
    Ok(text)
}

/// Picks the runs of one kind.
type RunsOf = fn(&Figures) -> &[Run];

/// Seconds over records, both on a logarithmic scale.
fn plot(path: &Path, rows: &[Figures]) -> anyhow::Result<()> {
    let most = rows.iter().map(|row| row.records).max().unwrap_or(1);
    let area = SVGBackend::new(path, (900, 500)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(16)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d(
            (500.0..float(most) * 2.0).log_scale(),
            (0.001..1000.0).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc("records")
        .y_desc("seconds")
        .draw()?;
    let curves: [(&str, RGBColor, RunsOf); 4] = [
        ("start", RED, |row| &row.starts),
        ("sha256sum", BLACK, |row| &row.sha256sum),
        ("verify", BLUE, |row| &row.verify),
        ("replay", GREEN, |row| &row.replay),
    ];
    for (name, color, runs) in curves {
        let points = rows
            .iter()
            .map(|row| (float(row.records), seconds(runs(row))));
        chart
            .draw_series(LineSeries::new(points, &color))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color));
    }
    chart.configure_series_labels().border_style(BLACK).draw()?;
    area.present()?;
    Ok(())
}
