//! The results as a picture: throughput by calls in flight, and latency by rate.
//!
//! Its ground is white, so that it can be read on a page of any color.

use plotters::prelude::*;

use super::{
    IN_FLIGHT,
    contender::Contender,
    results::{Figures, Layout, Load, Results},
};

/// The size of the picture, in pixels.
const SIZE: (u32, u32) = (1000, 900);
/// A font that every browser has.
const FONT: &str = "sans-serif";
/// The color of everything that is written.
const INK: RGBColor = RGBColor(36, 41, 47);

/// A line: its name, its color and its points.
struct Line {
    name: String,
    color: RGBColor,
    points: Vec<(f64, f64)>,
}

/// What an axis shows.
struct Axis {
    name: &'static str,
    from: f64,
    to: f64,
}

/// The picture as SVG.
///
/// # Errors
///
/// When there is nothing to draw.
pub(crate) fn svg(results: &Results) -> anyhow::Result<String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let (upper, lower) = root.split_vertically(SIZE.1 / 2);
        let in_flight = Axis {
            name: "calls in flight",
            from: 0.9,
            to: 300.0,
        };
        let title = "Answers a second, server on one core";
        chart(&upper, title, &in_flight, "answers/s", &throughput(results))?;
        let lines = latency(results);
        let rates = lines
            .iter()
            .flat_map(|line| &line.points)
            .map(|(rate, _)| *rate);
        let (low, high) = rates.fold((f64::MAX, 0.0), |(low, high), rate| {
            (f64::min(low, rate), f64::max(high, rate))
        });
        let per_second = Axis {
            name: "calls a second, whatever has been answered",
            from: low * 0.9,
            to: high * 1.1,
        };
        let title = "Latency at a fixed rate, p99 (line) and p50 (dots)";
        chart(&lower, title, &per_second, "µs", &lines)?;
        root.present()?;
    }
    Ok(text)
}

fn color(contender: Contender) -> RGBColor {
    match contender {
        Contender::Floor => RGBColor(110, 119, 129),
        Contender::FloorTls => RGBColor(175, 184, 193),
        Contender::SyncThread => RGBColor(191, 135, 0),
        Contender::SyncInline => RGBColor(225, 173, 80),
        Contender::Admitd => RGBColor(9, 105, 218),
        Contender::AdmitdTls => RGBColor(130, 80, 223),
        Contender::Cerbos => RGBColor(17, 99, 41),
        Contender::CerbosAudit => RGBColor(207, 34, 46),
    }
}

fn throughput(results: &Results) -> Vec<Line> {
    let line = |contender: Contender| {
        let point = |count: usize| {
            let load = Load::InFlight(count);
            let value = results.median(Layout::OneCore, contender, load, |row| row.per_second)?;
            Some((f64::from(u32::try_from(count).ok()?), value))
        };
        Line {
            name: contender.name().to_owned(),
            color: color(contender),
            points: IN_FLIGHT.into_iter().filter_map(point).collect(),
        }
    };
    drawn(Contender::ALL.into_iter().map(line))
}

fn latency(results: &Results) -> Vec<Line> {
    let line = |contender: Contender, of: fn(&Figures) -> f64| {
        let rows = results.rows.iter();
        let own = rows.filter(|row| row.layout == Layout::OneCore && row.contender == contender);
        let point = |row: &super::results::Row| match row.load {
            Load::PerSecond(rate) => Some((f64::from(rate), row.median(of)?)),
            Load::InFlight(_) => None,
        };
        own.filter_map(point).collect::<Vec<_>>()
    };
    let shown = |contender| {
        !matches!(
            contender,
            Contender::FloorTls | Contender::SyncThread | Contender::SyncInline
        )
    };
    let contenders = Contender::ALL
        .into_iter()
        .filter(|contender| shown(*contender));
    drawn(contenders.flat_map(|contender| {
        let named = |name: &str, points| Line {
            name: name.to_owned(),
            color: color(contender),
            points,
        };
        [
            named(contender.name(), line(contender, |figures| figures.p99_us)),
            // Without a name it is drawn as dots, and not in the legend.
            named("", line(contender, |figures| figures.p50_us)),
        ]
    }))
}

/// Those lines that have points.
fn drawn(lines: impl Iterator<Item = Line>) -> Vec<Line> {
    lines.filter(|line| !line.points.is_empty()).collect()
}

fn chart(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    title: &str,
    axis: &Axis,
    unit: &str,
    lines: &[Line],
) -> anyhow::Result<()> {
    let values = lines
        .iter()
        .flat_map(|line| &line.points)
        .map(|(_, value)| *value);
    let (low, high) = values.fold((f64::MAX, 1.0), |(low, high), value| {
        (f64::min(low, value), f64::max(high, value))
    });
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 20).into_font().color(&INK))
        .margin(16)
        .margin_right(230)
        .x_label_area_size(44)
        .y_label_area_size(80)
        .build_cartesian_2d(
            (axis.from..axis.to).log_scale(),
            ((low * 0.8)..(high * 1.3)).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc(axis.name)
        .y_desc(unit)
        .x_label_formatter(&|value| crate::figure::whole(*value))
        .y_label_formatter(&|value| crate::figure::whole(*value))
        .label_style((FONT, 14).into_font().color(&INK))
        .axis_style(INK)
        .bold_line_style(RGBColor(225, 228, 232))
        .light_line_style(RGBColor(246, 248, 250))
        .draw()?;
    for line in lines {
        let color = line.color;
        let points = line.points.iter().copied();
        chart.draw_series(
            points
                .clone()
                .map(|point| Circle::new(point, 4, color.filled())),
        )?;
        if !line.name.is_empty() {
            chart
                .draw_series(LineSeries::new(points, color.stroke_width(2)))?
                .label(&line.name)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 20, y)], color.stroke_width(3))
                });
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::Coordinate(10, 0))
        .label_font((FONT, 14).into_font().color(&INK))
        .border_style(TRANSPARENT)
        .draw()?;
    Ok(())
}
