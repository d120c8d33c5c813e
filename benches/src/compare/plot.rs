//! The results as a picture: throughput by calls in flight, and latency by rate.
//!
//! Its ground is white, so that it can be read on a page of any color.

use plotters::{coord::Shift, prelude::*};

use super::{
    IN_FLIGHT,
    contender::Contender,
    results::{Figures, Layout, Load, Results},
};
use crate::figure::whole;

/// Where something is drawn.
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The size of the picture, in pixels.
const SIZE: (u32, u32) = (1000, 900);
/// A font that every browser has.
const FONT: &str = "sans-serif";
/// The color of everything that is written.
const INK: RGBColor = RGBColor(36, 41, 47);

/// The width of a chart; right of it is its legend.
const CHART_WIDTH: u32 = 780;
/// How far apart the entries of a legend are, and where the first one is, in pixels.
const LEGEND_STEP: i32 = 24;
const LEGEND_TOP: i32 = 56;

/// A line: its name, its color and its points; of each the place of its column, from 0, and the value.
struct Line {
    name: String,
    color: RGBColor,
    points: Vec<(f64, f64)>,
    /// Whether it stands beside another one of the same name, thinner.
    is_second: bool,
}

/// What a chart shows.
struct Chart {
    title: &'static str,
    /// What the columns are, and their names from the left to the right.
    across: &'static str,
    columns: Vec<String>,
    unit: &'static str,
    lines: Vec<Line>,
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
        throughput(results).draw(&upper)?;
        latency(results).draw(&lower)?;
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

fn throughput(results: &Results) -> Chart {
    let line = |contender: Contender| {
        let point = |(column, count): (u32, usize)| {
            let load = Load::InFlight(count);
            let value = results.median(Layout::OneCore, contender, load, |row| row.per_second)?;
            Some((f64::from(column), value))
        };
        Line {
            name: contender.name().to_owned(),
            color: color(contender),
            points: (0..).zip(IN_FLIGHT).filter_map(point).collect(),
            is_second: false,
        }
    };
    Chart {
        title: "Answers a second, server on one core",
        across: "calls in flight",
        columns: IN_FLIGHT.map(|count| count.to_string()).to_vec(),
        unit: "answers/s",
        lines: drawn(Contender::ALL.into_iter().map(line)),
    }
}

fn latency(results: &Results) -> Chart {
    let rates = results.rates();
    let line = |contender: Contender, of: fn(&Figures) -> f64, is_second| {
        let point = |(column, rate): (u32, &u32)| {
            let load = Load::PerSecond(*rate);
            let value = results.median(Layout::OneCore, contender, load, of)?;
            Some((f64::from(column), value))
        };
        Line {
            name: contender.name().to_owned(),
            color: color(contender),
            points: (0..).zip(&rates).filter_map(point).collect(),
            is_second,
        }
    };
    let is_shown = |contender: &Contender| {
        !matches!(
            contender,
            Contender::FloorTls | Contender::SyncThread | Contender::SyncInline
        )
    };
    let contenders = Contender::ALL.into_iter().filter(is_shown);
    let lines = contenders.flat_map(|contender| {
        [
            line(contender, |figures| figures.p99_us, false),
            line(contender, |figures| figures.p50_us, true),
        ]
    });
    Chart {
        title: "Latency at a fixed rate: p99 (thick, filled) and p50 (thin, hollow)",
        across: "calls a second",
        columns: rates.iter().map(|rate| whole(f64::from(*rate))).collect(),
        unit: "µs",
        lines: drawn(lines),
    }
}

/// Those lines that have points.
fn drawn(lines: impl Iterator<Item = Line>) -> Vec<Line> {
    lines.filter(|line| !line.points.is_empty()).collect()
}

impl Chart {
    fn draw(&self, area: &Area<'_>) -> anyhow::Result<()> {
        let (area, legend) = area.split_horizontally(CHART_WIDTH);
        let values = self
            .lines
            .iter()
            .flat_map(|line| &line.points)
            .map(|(_, value)| *value);
        let (low, high) = values.fold((f64::MAX, 1.0), |(low, high), value| {
            (f64::min(low, value), f64::max(high, value))
        });
        let count = u32::try_from(self.columns.len()).unwrap_or(u32::MAX);
        let mut chart = ChartBuilder::on(&area)
            .caption(self.title, (FONT, 20).into_font().color(&INK))
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(80)
            .build_cartesian_2d(
                -0.2..f64::from(count) - 0.8,
                ((low * 0.7)..(high * 1.4)).log_scale(),
            )?;
        chart
            .configure_mesh()
            .x_desc(self.across)
            .y_desc(self.unit)
            .x_labels(self.columns.len())
            .x_label_formatter(&|place| self.column(*place))
            .y_label_formatter(&|value| whole(*value))
            .label_style((FONT, 14).into_font().color(&INK))
            .axis_style(INK)
            .bold_line_style(RGBColor(225, 228, 232))
            .light_line_style(TRANSPARENT)
            .draw()?;
        for line in &self.lines {
            let points = || line.points.iter().copied();
            let (width, dot) = match line.is_second {
                true => (1, line.color.stroke_width(1)),
                false => (3, line.color.filled()),
            };
            chart.draw_series(LineSeries::new(points(), line.color.stroke_width(width)))?;
            chart.draw_series(points().map(|point| Circle::new(point, 4, dot)))?;
        }
        self.name_lines(&legend)
    }

    /// The name of the column at a place of the axis, if there is one.
    fn column(&self, place: f64) -> String {
        let is_here = |(column, _): &(u32, &String)| (f64::from(*column) - place).abs() < 0.01;
        let named = (0..).zip(&self.columns).find(is_here);
        named.map(|(_, name)| name.clone()).unwrap_or_default()
    }

    /// Writes what each color is.
    fn name_lines(&self, legend: &Area<'_>) -> anyhow::Result<()> {
        let font = (FONT, 14).into_font().color(&INK);
        let named = self.lines.iter().filter(|line| !line.is_second);
        for (entry, line) in (0_i32..).zip(named) {
            let y = LEGEND_TOP.saturating_add(entry.saturating_mul(LEGEND_STEP));
            let stroke = line.color.stroke_width(3);
            legend.draw(&PathElement::new([(0, y), (24, y)], stroke))?;
            let place = (32, y.saturating_sub(7));
            legend.draw(&Text::new(line.name.as_str(), place, font.clone()))?;
        }
        Ok(())
    }
}
