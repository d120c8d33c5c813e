//! A curve over a count, both on logarithmic axes, as an SVG.
//!
//! Deliberately absent: any fit; the growth law is stated in words beside it.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use plotters::prelude::{
    ChartBuilder, IntoDrawingArea as _, IntoLogRange as _, LineSeries, RED, SVGBackend, WHITE,
};

const SIZE: (u32, u32) = (640, 400);
const MARGIN: u32 = 16;
const LABELS: u32 = 56;

/// Where results are kept.
pub(super) fn results(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("results")
        .join(name)
}

/// Draws `points` into `benches/results/NAME.svg`.
///
/// # Errors
///
/// When the file cannot be written.
pub(super) fn draw(
    name: &str,
    [title, across, up]: [&str; 3],
    points: &[(f64, f64)],
) -> anyhow::Result<()> {
    let path = results(&format!("{name}.svg"));
    let area = SVGBackend::new(&path, SIZE).into_drawing_area();
    let failed = |error: &dyn std::fmt::Display| anyhow!("a curve cannot be drawn: {error}");
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    let least = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).fold(f64::INFINITY, f64::min);
    let most = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).fold(0.0, f64::max);
    let (x, y) = (|point: &(f64, f64)| point.0, |point: &(f64, f64)| point.1);
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18))
        .margin(MARGIN)
        .x_label_area_size(LABELS)
        .y_label_area_size(LABELS)
        .build_cartesian_2d(
            (least(x)..most(x) * 1.2).log_scale(),
            (least(y) / 1.5..most(y) * 1.5).log_scale(),
        )
        .map_err(|error| failed(&error))?;
    chart
        .configure_mesh()
        .x_desc(across)
        .y_desc(up)
        .draw()
        .map_err(|error| failed(&error))?;
    let line = LineSeries::new(points.iter().copied(), &RED).point_size(3);
    chart.draw_series(line).map_err(|error| failed(&error))?;
    area.present().map_err(|error| failed(&error))
}
