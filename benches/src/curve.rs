//! Curves over a count, on logarithmic axes, and how steep they are.
//!
//! A straight line is a power of the count there, and a slope of one is linear growth. Deliberately absent:
//! why something grows; whoever measures says so beside the picture.

use std::fmt::Write as _;

use plotters::{coord::Shift, prelude::*};

use crate::figure::{short, whole};

/// The size of one chart, in pixels.
const CHART_SIZE: (u32, u32) = (900, 400);
/// The width of its axes; right of them is the legend.
const AXES_WIDTH: u32 = 680;
/// How far apart the entries of a legend are, and where the first one is, in pixels.
const LEGEND_STEP: i32 = 24;
const LEGEND_TOP: i32 = 56;
/// The colors of the lines, in turn, told apart by those who see fewer colors too.
const COLORS: [RGBColor; 4] = [
    RGBColor(9, 105, 218),
    RGBColor(207, 34, 46),
    RGBColor(191, 135, 0),
    RGBColor(17, 99, 41),
];
/// How many times more or less a figure may be than a law makes it: figures repeat within a third or so.
const TOLERANCE: f64 = 1.5;

/// One line of a chart.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    name: &'static str,
    /// The counts in order, each with its figure.
    points: Vec<(f64, f64)>,
}

impl Line {
    /// The line through those points that have a place on such axes: figures above `least`, which is the
    /// finest that the measurement tells from nothing.
    pub(crate) fn new(
        name: &'static str,
        least: f64,
        points: impl IntoIterator<Item = (f64, f64)>,
    ) -> Self {
        let points = points.into_iter().filter(|(_, figure)| *figure > least);
        Self {
            name,
            points: points.collect(),
        }
    }

    /// What each step makes of the figure, and the law of the last one; none for fewer than two points.
    fn law(&self) -> Option<String> {
        let mut text = format!("- {}:", self.name);
        let mut last = None;
        for step in self.points.windows(2) {
            let [(from, low), (to, high)] = step else {
                continue;
            };
            let (wider, more) = (to / from, high / low);
            let comma = if last.is_some() { "," } else { "" };
            // Writing to a text cannot fail.
            let _ = write!(
                text,
                "{comma} ×{} from {} to {} makes ×{}",
                whole(wider),
                whole(*from),
                whole(*to),
                short(more)
            );
            last = Some((wider, more));
        }
        let (wider, more) = last?;
        let exponent = more.ln() / wider.ln();
        let _ = writeln!(
            text,
            "; exponent of the last step {exponent:.2}, {}.",
            name(wider, more)
        );
        Some(text)
    }
}

/// What it is called when so many times the count makes so many times the figure.
fn name(wider: f64, more: f64) -> &'static str {
    match more {
        falling if falling < 1.0 / TOLERANCE => "falling",
        constant if constant <= TOLERANCE => "constant",
        less if less < wider / TOLERANCE => "less than linear",
        linear if linear <= wider * TOLERANCE => "linear",
        _ => "more than linear",
    }
}

/// What a chart shows.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    pub(crate) title: &'static str,
    /// What is counted.
    pub(crate) across: &'static str,
    /// The unit of the figures.
    pub(crate) up: &'static str,
    pub(crate) lines: Vec<Line>,
}

/// How every line of every chart grows, as lists in Markdown.
pub(crate) fn laws(charts: &[Chart]) -> String {
    let of = |chart: &Chart| {
        let lines: String = chart.lines.iter().filter_map(Line::law).collect();
        (!lines.is_empty()).then(|| format!("{}, {}:\n\n{lines}\n", chart.title, chart.up))
    };
    charts.iter().filter_map(of).collect()
}

/// The charts one below the other, as SVG.
///
/// # Errors
///
/// When there is nothing to draw.
pub(crate) fn svg(charts: &[Chart]) -> anyhow::Result<String> {
    let count = u32::try_from(charts.len())?;
    let mut text = String::new();
    {
        let size = (CHART_SIZE.0, CHART_SIZE.1.saturating_mul(count));
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        root.fill(&WHITE)?;
        for (chart, area) in charts.iter().zip(root.split_evenly((charts.len(), 1))) {
            chart.draw(&area)?;
        }
        root.present()?;
    }
    Ok(text)
}

impl Chart {
    fn draw(&self, area: &DrawingArea<SVGBackend<'_>, Shift>) -> anyhow::Result<()> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let least = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(f64::INFINITY, f64::min);
        let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(0.0, f64::max);
        let (x, y) = (|point: &(f64, f64)| point.0, |point: &(f64, f64)| point.1);
        let (axes, legend) = area.split_horizontally(AXES_WIDTH);
        let mut chart = ChartBuilder::on(&axes)
            .caption(self.title, ("sans-serif", 18))
            .margin(16)
            .x_label_area_size(40)
            .y_label_area_size(72)
            .build_cartesian_2d(
                (least(x) / 1.5..most(x) * 1.5).log_scale(),
                (least(y) / 2.0..most(y) * 2.0).log_scale(),
            )?;
        chart
            .configure_mesh()
            .x_desc(self.across)
            .y_desc(self.up)
            .x_label_formatter(&|count| whole(*count))
            .y_label_formatter(&|figure| short(*figure))
            .light_line_style(TRANSPARENT)
            .draw()?;
        let colored = self.lines.iter().zip(COLORS.into_iter().cycle());
        for ((line, color), entry) in colored.zip(0_i32..) {
            let drawn = LineSeries::new(line.points.iter().copied(), color.stroke_width(2));
            chart.draw_series(drawn.point_size(3))?;
            let y = LEGEND_TOP.saturating_add(entry.saturating_mul(LEGEND_STEP));
            legend.draw(&PathElement::new([(0, y), (20, y)], color.stroke_width(2)))?;
            let place = (28, y.saturating_sub(7));
            legend.draw(&Text::new(line.name, place, ("sans-serif", 14)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Line;

    #[test]
    fn a_law_is_that_of_the_last_step_that_can_be_told() {
        for (figures, law) in [
            (
                [10.0, 12.0, 120.0],
                "×100 from 1 to 100 makes ×1.20, ×10 from 100 to 1,000 makes ×10.0; \
                 exponent of the last step 1.00, linear.",
            ),
            (
                [10.0, 12.0, 14.0],
                "×100 from 1 to 100 makes ×1.20, ×10 from 100 to 1,000 makes ×1.17; \
                 exponent of the last step 0.07, constant.",
            ),
            (
                [1.0, 20.0, 10.0],
                "×10 from 100 to 1,000 makes ×0.50; exponent of the last step -0.30, falling.",
            ),
            (
                [1.0, 20.0, 80.0],
                "×10 from 100 to 1,000 makes ×4.00; exponent of the last step 0.60, less than linear.",
            ),
            (
                [1.0, 20.0, 400.0],
                "×10 from 100 to 1,000 makes ×20.0; exponent of the last step 1.30, more than linear.",
            ),
        ] {
            let points = [1.0, 100.0, 1000.0].into_iter().zip(figures);
            let line = Line::new("time", 5.0, points);
            assert_eq!(line.law(), Some(format!("- time: {law}\n")));
        }
        let one = Line::new("time", 5.0, [(1.0, 5.0), (100.0, 6.0)]);
        assert_eq!(one.law(), None);
    }
}
