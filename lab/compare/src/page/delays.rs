//! The distributions of delay, all on one logarithmic axis.

use plotters::element::Text;
use plotters::prelude::ChartBuilder;
use plotters::style::text_anchor::{HPos, VPos};

use super::chart::{
    Axis, LogX, axes, bounds, curve, dashes, decades, fine, log, px, svg, words_at,
};
use super::palette::{self, TEXT};
use crate::figure::{float, time};
use crate::report::Report;
use crate::row::Row;

const HEIGHT: u32 = 400;

/// The picture, or nothing if nothing was delivered.
pub(super) fn draw(report: &Report) -> Option<String> {
    let rows: Vec<&Row> =
        report.contenders.iter().filter(|row| !row.histogram_us.is_empty()).collect();
    let values =
        rows.iter().flat_map(|row| row.histogram_us.iter().map(|(value, _)| float(*value)));
    let range = bounds(values)?;
    Some(svg(HEIGHT, "Share of messages delivered within a delay", |area| {
        let chart: LogX<'_> = ChartBuilder::on(area)
            .margin_right(fine(24))
            .margin_top(fine(36))
            .x_label_area_size(fine(56))
            .y_label_area_size(fine(64))
            .build_cartesian_2d(log(range), 0.0..100.0)?;
        let mut chart = chart;
        let place = |x: f64, y: f64| chart.backend_coord(&(x, y));
        let x = Axis {
            ticks: &decades(range.0, range.1, false),
            show: &time,
            name: "delay from planned to delivered; each step is ten times longer",
        };
        let y = Axis {
            ticks: &[0.0, 25.0, 50.0, 75.0, 100.0],
            show: &|share| format!("{share:.0} %"),
            name: "delivered by then",
        };
        axes(area, &place, (&x, &y), ((range.0, 0.0), (range.1, 100.0)))?;
        for (at, words) in ends(&rows) {
            let (at, top) = chart.backend_coord(&(at, 100.0));
            let style = words_at(TEXT, HPos::Center, VPos::Bottom);
            area.draw(&Text::new(words, (at, top - px(6)), style))?;
        }
        for (index, row) in rows.iter().enumerate() {
            let (points, ink) = (steps(row, range), palette::of(row.via));
            match palette::alike_before(&rows, index) {
                0 => chart.draw_series(curve(points, ink, 2))?,
                alike => chart.draw_series(dashes(points, ink, 2, alike))?,
            };
        }
        Ok(())
    }))
}

/// Where the polls of each interval have all their messages, and what to write there.
fn ends(rows: &[&Row]) -> Vec<(f64, String)> {
    let mut intervals: Vec<f64> = rows.iter().filter_map(|row| row.interval_s).collect();
    intervals.sort_by(f64::total_cmp);
    intervals.dedup();
    let words = |interval: f64| format!("polls every {}", time(interval * 1e6).replace(".00", ""));
    // Where several would stand on each other the longest stands for all.
    let mut ends: Vec<(f64, String)> = Vec::new();
    for interval in intervals.into_iter().rev() {
        if ends.last().is_none_or(|(last, _)| last / (interval * 1e6) > 3.0) {
            ends.push((interval * 1e6, words(interval)));
        }
    }
    ends
}

/// The cumulated share of a row, as stairs from one end of the axis to the other.
fn steps(row: &Row, (low, high): (f64, f64)) -> Vec<(f64, f64)> {
    // What was due and never came keeps the curve below the top.
    let due = float(row.due as u64).max(1.0);
    let mut points = vec![(low, 0.0)];
    let mut sum = 0;
    for (value, count) in &row.histogram_us {
        let at = float(*value).max(low);
        points.push((at, float(sum) / due * 100.0));
        sum += count;
        points.push((at, float(sum) / due * 100.0));
    }
    points.push((high, float(sum) / due * 100.0));
    points
}
