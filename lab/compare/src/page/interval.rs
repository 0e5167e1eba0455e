//! The two costs of a poll's interval, one above the other on the same axis: delay grows with it,
//! bytes shrink.

use plotters::element::{PathElement, Text};
use plotters::prelude::ChartBuilder;
use plotters::style::text_anchor::{HPos, VPos};

use super::chart::{
    Area, Axis, Drawn, LogXY, axes, bounds, curve, decades, fine, line, log, point, px, svg,
    words_at,
};
use super::palette;
use crate::figure::{bytes, float, time};
use crate::report::Report;
use crate::row::Row;
use crate::theory::mean_wait;
use crate::way::Way;

const HEIGHT: u32 = 560;
const STEPS: u32 = 60;
/// Seconds of intervals that are shown.
const RANGE: (f64, f64) = (0.05, 120.0);

/// One of the two.
struct Panel<'a> {
    name: &'a str,
    show: &'a dyn Fn(f64) -> String,
    /// What arithmetic expects at an interval.
    theory: &'a dyn Fn(f64) -> f64,
    /// What polls measured at theirs, with their way.
    measured: Vec<(f64, f64, Way)>,
    /// What push measured, which has no interval.
    push: Option<f64>,
    axis: &'a str,
}

/// The picture, or nothing if nothing polled.
pub(super) fn draw(report: &Report) -> Option<String> {
    let unit = report.units.iter().find(|unit| unit.via == Way::POLL)?;
    let cost = unit.poll?;
    let rate = report.run.rate;
    let polls: Vec<&Row> = report.contenders.iter().filter(|row| row.polls()).collect();
    let push = report.contenders.iter().find(|row| row.via == Way::TCP);
    let per_hour = |row: &Row| {
        let seconds = row.window.seconds * f64::from(row.subscribers);
        float(row.window_bytes()) / seconds * 3600.0
    };
    let delay = Panel {
        name: "mean delay",
        show: &time,
        theory: &|interval| mean_wait(interval) * 1e6,
        measured: polls
            .iter()
            .filter_map(|row| Some((row.interval_s?, row.latency_us?.mean, row.via)))
            .collect(),
        push: push.and_then(|row| Some(row.latency_us?.mean)),
        axis: "",
    };
    let cost = Panel {
        name: "bytes an hour on the wire",
        show: &bytes,
        theory: &|interval| cost.rate(rate, interval) * 3600.0,
        measured: polls
            .iter()
            .filter_map(|row| Some((row.interval_s?, per_hour(row), row.via)))
            .collect(),
        push: push.map(per_hour),
        axis: "time from one poll to the next",
    };
    Some(svg(HEIGHT, "Mean delay and bytes an hour against the poll interval", |area| {
        let (upper, lower) = area.split_vertically(fine(HEIGHT / 2 - 10));
        panel(&upper, &delay)?;
        panel(&lower, &cost)
    }))
}

fn panel(area: &Area<'_>, panel: &Panel<'_>) -> Drawn {
    let curve_points: Vec<(f64, f64)> =
        steps().map(|interval| (interval, (panel.theory)(interval))).collect();
    let values = curve_points.iter().map(|(_, value)| *value);
    let all = values.chain(panel.measured.iter().map(|(_, value, _)| *value)).chain(panel.push);
    let Some(y) = bounds(all.collect::<Vec<_>>().into_iter()) else {
        return Ok(());
    };
    let chart: LogXY<'_> = ChartBuilder::on(area)
        .margin_right(fine(24))
        .margin_top(fine(34))
        .x_label_area_size(fine(52))
        .y_label_area_size(fine(84))
        .build_cartesian_2d(log(RANGE), log(y))?;
    let mut chart = chart;
    // The panel's own pixels: its area may begin anywhere in the picture.
    let (base_x, base_y) = area.get_base_pixel();
    let place = |x: f64, y: f64| {
        let (x, y) = chart.backend_coord(&(x, y));
        (x - base_x, y - base_y)
    };
    let shown = |interval: f64| time(interval * 1e6).replace(".00", "");
    let across = Axis { ticks: &[0.1, 0.5, 1.0, 5.0, 10.0, 60.0], show: &shown, name: panel.axis };
    let up =
        Axis { ticks: &decades(y.0, y.1, y.1 / y.0 < 100.0), show: panel.show, name: panel.name };
    axes(area, &place, (&across, &up), ((RANGE.0, y.0), (RANGE.1, y.1)))?;
    chart.draw_series(curve(curve_points, palette::of(Way::POLL), 2))?;
    if let Some(push) = panel.push {
        let ink = palette::of(Way::TCP);
        chart.draw_series([PathElement::new(
            vec![(RANGE.0, push), (RANGE.1, push)],
            line(ink, 2),
        )])?;
        let (x, y) = chart.backend_coord(&(RANGE.1, push));
        let style = words_at(ink, HPos::Right, VPos::Bottom);
        let text = format!("push over TCP: {}", (panel.show)(push));
        area.draw(&Text::new(text, (x - base_x - px(4), y - base_y - px(5)), style))?;
    }
    for (interval, value, via) in &panel.measured {
        chart.draw_series([point((*interval, *value), palette::of(*via))])?;
    }
    Ok(())
}

fn steps() -> impl Iterator<Item = f64> {
    (0..=STEPS).map(|step| RANGE.0 * (RANGE.1 / RANGE.0).powf(f64::from(step) / f64::from(STEPS)))
}
