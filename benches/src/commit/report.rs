//! The page of the commit path.

use std::fmt::Write as _;

use super::{Arguments, Figure, Variant};
use crate::{
    compare::{CONNECTIONS, IN_FLIGHT, Layout},
    curve::{Chart, Line},
    figure::{median, real_of, short, whole},
    machine::Machine,
};

/// The least share of the better of the two that is promised.
const RATIO_MIN: f64 = 0.95;

/// The page.
pub(super) fn markdown(figures: &[Figure], arguments: &Arguments) -> String {
    let mut text = format!(
        "# The commit path\n\n\
         Written by `cargo run --release -p admit-bench -- commit`. The same daemon three times: on the commit \
         path that it has (*adaptive*); with a writer's thread that is woken for each entry and wakes each that \
         waits (*writer*); and with whoever comes first writing and syncing for all who are ready, on a thread \
         of the runtime, which meanwhile does nothing else (*inline*). The last one is no choice for a daemon: \
         with a disk that hangs, nobody would be refused in time.\n\n\
         Plaintext, dry runs, no export, so that little stands beside the commit; audit with a hash chain on the \
         disk, synced before every answer. {} rounds of {} s at each load, in which the three take turns; one \
         connection for 1 in flight, {CONNECTIONS} for more.\n\n\
         - Machine: {}.\n\
         - Target: everywhere at least {RATIO_MIN} of the better of the two. The ratio is the median of the \
         ratios within a round to the one whose median is higher.\n",
        arguments.rounds.max(1),
        short(arguments.seconds),
        Machine::this().line(),
    );
    text.push_str("\n![answers a second over calls in flight](commit.svg)\n");
    for layout in Layout::ALL {
        let title = title(layout);
        // Writing to a text cannot fail.
        let _ = write!(
            text,
            "\n## {title}\n\nAnswers a second, medians.\n\n\
             | in flight | adaptive | writer | inline | adaptive ÷ better | range of the rounds | |\n\
             | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n"
        );
        for in_flight in IN_FLIGHT {
            let _ = writeln!(
                text,
                "{}",
                row(figures, layout, in_flight).unwrap_or_default()
            );
        }
    }
    text
}

fn title(layout: Layout) -> &'static str {
    match layout {
        Layout::OneCore => "The daemon on one core, the generator on the other",
        Layout::BothCores => "Both wherever the kernel puts them, on two cores",
    }
}

/// The medians as curves.
pub(super) fn charts(figures: &[Figure]) -> Vec<Chart> {
    let line = |layout, variant: Variant| {
        let point = |in_flight| {
            let own = of(figures, layout, in_flight, variant);
            Some((
                real_of(in_flight),
                median(own.map(|figure| figure.per_second))?,
            ))
        };
        Line::new(variant.name(), 0.0, IN_FLIGHT.into_iter().filter_map(point))
    };
    let chart = |layout| Chart {
        title: title(layout),
        across: "calls in flight",
        up: "answers a second",
        lines: Variant::ALL.map(|variant| line(layout, variant)).into(),
    };
    Layout::ALL.map(chart).into()
}

/// The rounds of one variant at one load.
fn of(
    figures: &[Figure],
    layout: Layout,
    in_flight: usize,
    variant: Variant,
) -> impl Iterator<Item = &Figure> {
    figures.iter().filter(move |figure| {
        figure.layout == layout && figure.in_flight == in_flight && figure.variant == variant
    })
}

/// The row of a load; none when something was not measured.
fn row(figures: &[Figure], layout: Layout, in_flight: usize) -> Option<String> {
    let of = |variant| of(figures, layout, in_flight, variant);
    let middle = |variant| median(of(variant).map(|figure| figure.per_second));
    let [adaptive, writer, inline] = Variant::ALL.map(middle);
    let (writer, inline) = (writer?, inline?);
    let better = if writer >= inline {
        Variant::Writer
    } else {
        Variant::Inline
    };
    let ratios: Vec<f64> = of(Variant::Adaptive)
        .filter_map(|own| {
            let other = of(better).find(|other| other.round == own.round)?;
            Some(own.per_second / other.per_second)
        })
        .collect();
    let ratio = median(ratios.iter().copied())?;
    let lowest = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = ratios.iter().copied().fold(0.0, f64::max);
    let verdict = if ratio >= RATIO_MIN {
        "met"
    } else {
        "**missed**"
    };
    Some(format!(
        "| {in_flight} | {} | {} | {} | {} of {} | {} to {} | {verdict} |",
        whole(adaptive?),
        whole(writer),
        whole(inline),
        short(ratio),
        better.name(),
        short(lowest),
        short(highest),
    ))
}
