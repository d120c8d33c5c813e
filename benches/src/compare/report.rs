//! The results as a page of Markdown.

use std::fmt::Write as _;

use super::{
    CONNECTIONS, IN_FLIGHT,
    contender::Contender,
    results::{Figures, Layout, Load, Results},
    targets,
};
use crate::figure::{median, short, whole};

/// The page.
pub(crate) fn markdown(results: &Results) -> String {
    let parts = [
        head(results),
        promises(results),
        "![Throughput by calls in flight, and latency by rate](compare.svg)\n".to_owned(),
        throughput(results, Layout::OneCore),
        latency(results),
        cost(results),
        rates(results),
        throughput(results, Layout::BothCores),
        notes(results),
    ];
    parts.join("\n")
}

fn head(results: &Results) -> String {
    let sizes = results.sizes;
    let sync = median(results.raw_sync_us.iter().copied()).unwrap_or_default();
    let cerbos = match &results.cerbos {
        Ok(version) => format!("Cerbos {version}"),
        Err(why) => format!("without Cerbos: {why}"),
    };
    format!(
        "# admitd beside its floor and its peers\n\n\
         Written by `cargo run --release -p admit-bench -- compare`. Ratios are what counts: the absolute \
         figures hold for this machine only.\n\n\
         - Machine: {}; {cerbos}.\n\
         - Disk: one append of a record with its `fdatasync`, alone: {} µs (p50).\n\
         - Messages: request {} B, answer {} B, audit record {} B; the floor has the same contract and sizes.\n\
         - {} rounds, in each of which every server is started and loaded once; {} s a measurement. Medians \
         over the rounds; a ratio is the median of the ratios within a round.\n",
        results.machine.line(),
        short(sync),
        sizes.request,
        sizes.answer,
        sizes.record,
        results.raw_sync_us.len(),
        short(results.seconds),
    )
}

fn promises(results: &Results) -> String {
    let mut text = String::from("## Targets\n\n| target | measured | |\n| --- | --- | --- |\n");
    for checked in targets::check(results) {
        let verdict = if checked.is_met { "met" } else { "**missed**" };
        row(&mut text, &[&checked.promise, &checked.measured, verdict]);
    }
    text
}

fn throughput(results: &Results, layout: Layout) -> String {
    let title = match layout {
        Layout::OneCore => "Throughput, server on one core, generator on another",
        Layout::BothCores => "Throughput, server and generator on whatever core is free",
    };
    let columns = IN_FLIGHT.map(|count| format!("{count} in flight"));
    table(title, &columns, results, layout, |contender, column| {
        let load = Load::InFlight(*IN_FLIGHT.get(column)?);
        let of: fn(&Figures) -> f64 = |figures| figures.per_second;
        let value = results.median(layout, contender, load, of)?;
        let ratio = results.ratio(layout, [contender, Contender::Floor], load, of)?;
        Some(format!("{} ({} × F)", whole(value), short(ratio)))
    })
}

fn latency(results: &Results) -> String {
    let columns = IN_FLIGHT.map(|count| format!("{count} in flight"));
    let layout = Layout::OneCore;
    let title = "Latency in a closed loop, p50 / p99 in µs";
    table(title, &columns, results, layout, |contender, column| {
        let row = results.row(layout, contender, Load::InFlight(*IN_FLIGHT.get(column)?))?;
        let p50 = row.median(|figures| figures.p50_us)?;
        let p99 = row.median(|figures| figures.p99_us)?;
        Some(format!("{} / {}", whole(p50), whole(p99)))
    })
}

fn cost(results: &Results) -> String {
    let mut columns = IN_FLIGHT.map(|count| format!("µs at {count}")).to_vec();
    columns.push("MiB at 256".to_owned());
    let layout = Layout::OneCore;
    let title = "CPU time of the server for one answer, and its resident memory";
    table(title, &columns, results, layout, |contender, column| {
        let last = *IN_FLIGHT.last()?;
        match IN_FLIGHT.get(column) {
            Some(count) => {
                let load = Load::InFlight(*count);
                results.median(layout, contender, load, |figures| figures.cpu_us)
            }
            None => {
                let load = Load::InFlight(last);
                results.median(layout, contender, load, |figures| figures.resident_mib)
            }
        }
        .map(short)
    })
}

fn rates(results: &Results) -> String {
    let rates = results.rates();
    let columns: Vec<String> = rates
        .iter()
        .map(|rate| format!("{}/s", whole(f64::from(*rate))))
        .collect();
    let layout = Layout::OneCore;
    let title = "Latency at a fixed rate, p50 / p99 / p99.9 in µs from when a call was due";
    table(title, &columns, results, layout, |contender, column| {
        let rate = *rates.get(column)?;
        let row = results.row(layout, contender, Load::PerSecond(rate))?;
        let p50 = row.median(|figures| figures.p50_us)?;
        let p99 = row.median(|figures| figures.p99_us)?;
        let p999 = row.median(|figures| figures.p999_us)?;
        Some(format!("{} / {} / {}", whole(p50), whole(p99), whole(p999)))
    })
}

fn notes(results: &Results) -> String {
    let busiest = results.rows.iter().flat_map(|row| match row.load {
        Load::InFlight(_) => row.rounds.as_slice(),
        Load::PerSecond(_) => &[],
    });
    let busiest = busiest
        .flatten()
        .map(|figures| figures.generator_share)
        .fold(0.0, f64::max);
    format!(
        "## How it was measured\n\n\
         - One load generator for all: one thread, HTTP/2 with nothing above it, requests encoded beforehand, each \
         answer checked (ALLOW with a permit and a place in the log; `EFFECT_ALLOW`). One connection for 1 in \
         flight, {CONNECTIONS} for more. In a closed loop it and the receiver of spans used at most {} of a core.\n\
         - An open loop makes a call when it is due whatever has been answered, and counts from then. An empty \
         field: the server had less than half as many answers again at 64 in flight, or was not asked.\n\
         - admitd is deployed as its configuration comes: audit with a hash chain on the disk, synced before every \
         answer, permits signed, metrics on, every record exported as a span to a receiver that counts them. \
         Raised: `limits.in_flight` and `in_flight_per_caller`, to 8192, for what gathers at a high rate during a \
         slow sync. Mutual TLS is TLS 1.3 with two named callers.\n\
         - The floor is a tonic server with tokio's multi-threaded runtime, both as they come. *+ sync* appends a \
         line of a record's size for each call and syncs it together with those of other calls.\n\
         - Cerbos has one principal, one resource, one action and a condition for each gate; it neither resolves \
         Case's configuration nor looks for secrets, signs nothing, and does not sync its audit file.\n",
        short(busiest)
    )
}

/// A table with a row for each contender that has anything to show.
fn table(
    title: &str,
    columns: &[String],
    results: &Results,
    layout: Layout,
    cell: impl Fn(Contender, usize) -> Option<String>,
) -> String {
    let mut text = format!("## {title}\n\n| server |");
    for column in columns {
        // Writing to a text cannot fail.
        let _ = write!(text, " {column} |");
    }
    text.push_str("\n| --- |");
    text.push_str(&" ---: |".repeat(columns.len()));
    text.push('\n');
    for contender in Contender::ALL {
        let is_there =
            |row: &super::results::Row| row.layout == layout && row.contender == contender;
        if results.rows.iter().any(is_there) {
            let cells = (0..columns.len()).map(|column| cell(contender, column));
            let mut fields = vec![contender.name().to_owned()];
            fields.extend(cells.map(Option::unwrap_or_default));
            row(
                &mut text,
                &fields.iter().map(String::as_str).collect::<Vec<_>>(),
            );
        }
    }
    text
}

fn row(text: &mut String, fields: &[&str]) {
    text.push_str("| ");
    text.push_str(&fields.join(" | "));
    text.push_str(" |\n");
}
