//! Bytes against the rate of messages: the measured points of a sweep, theory behind them, and the
//! rate at which polling and push change places.

use plotters::element::{PathElement, Text};
use plotters::prelude::ChartBuilder;
use plotters::style::text_anchor::{HPos, VPos};

use super::chart::{
    Axis, LogXY, axes, bounds, curve, decades, fine, line, log, point, px, svg, words_at,
};
use super::palette::{self, GATHERED, STRONG};
use crate::figure::bytes;
use crate::report::Report;
use crate::sweep::Sweep;
use crate::way::Way;

const HEIGHT: u32 = 440;
const STEPS: u32 = 120;
/// Ways that are drawn: two pushes whose curves lie on each other would hide the third.
const WAYS: [Way; 4] = [Way::PollNew, Way::PollPlain, Way::POLL, Way::TCP];

/// The picture, or nothing without a sweep.
pub(super) fn draw(report: &Report, sweep: &Sweep, interval: f64) -> Option<String> {
    let points = sweep.points.iter().filter(|point| {
        WAYS.contains(&point.via) && point.interval_s.is_none_or(|own| same(own, interval))
    });
    let x = bounds(points.clone().map(|point| point.delivered_per_s))?;
    let y = bounds(points.clone().map(|point| point.wire_bytes_per_s))?;
    let label = "Bytes a second against messages a second, on logarithmic axes";
    Some(svg(HEIGHT, label, |area| {
        let chart: LogXY<'_> = ChartBuilder::on(area)
            .margin_right(fine(24))
            .margin_top(fine(36))
            .x_label_area_size(fine(56))
            .y_label_area_size(fine(84))
            .build_cartesian_2d(log(x), log(y))?;
        let mut chart = chart;
        let place = |x: f64, y: f64| chart.backend_coord(&(x, y));
        let across = Axis {
            ticks: &decades(x.0, x.1, true),
            show: &|rate| format!("{rate}"),
            name: "messages a second",
        };
        let up = Axis {
            ticks: &decades(y.0, y.1, true),
            show: &|rate| format!("{}/s", bytes(rate)),
            name: "on the wire, one subscriber",
        };
        axes(area, &place, (&across, &up), ((x.0, y.0), (x.1, y.1)))?;
        for (via, theory) in theories(report, interval, coalescing(sweep)) {
            let ink = via.map_or(GATHERED, palette::of);
            let points = steps(x).map(|rate| (rate, theory(rate)));
            let visible = points.filter(|(_, bytes)| (y.0..=y.1).contains(bytes)).collect();
            chart.draw_series(curve(visible, ink, if via.is_none() { 1 } else { 2 }))?;
        }
        for measured in points {
            let at = (measured.delivered_per_s, measured.wire_bytes_per_s);
            let ink =
                if measured.coalesce_s.is_some() { GATHERED } else { palette::of(measured.via) };
            chart.draw_series([point(at, ink)])?;
        }
        let crossover = sweep.crossovers.iter().find(|crossover| {
            crossover.poll.starts_with("poll ") && same(crossover.interval_s, interval)
        });
        let rate = crossover.and_then(|crossover| crossover.measured.or(crossover.computed));
        if let Some(rate) = rate.filter(|rate| (x.0..=x.1).contains(rate)) {
            let path = vec![(rate, y.0), (rate, y.1)];
            chart.draw_series([PathElement::new(path, line(STRONG, 1))])?;
            let (at, top) = chart.backend_coord(&(rate, y.1));
            let right = at < px(600);
            let style = words_at(STRONG, if right { HPos::Left } else { HPos::Right }, VPos::Top);
            let at = if right { at + px(10) } else { at - px(10) };
            let text = format!("beyond {rate:.1} a second polling moves fewer bytes");
            area.draw(&Text::new(text, (at, top + px(4)), style))?;
        }
        Ok(())
    }))
}

fn same(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

fn coalescing(sweep: &Sweep) -> f64 {
    sweep.crossovers.first().map_or(0.1, |crossover| crossover.coalesce_s)
}

type Theory<'a> = Box<dyn Fn(f64) -> f64 + 'a>;

/// The curves by unit costs and, of no way, that of push that gathers messages.
fn theories(report: &Report, interval: f64, window: f64) -> Vec<(Option<Way>, Theory<'_>)> {
    let mut theories: Vec<(Option<Way>, Theory<'_>)> = Vec::new();
    for via in WAYS {
        let Some(unit) = report.units.iter().find(|unit| unit.via == via) else {
            continue;
        };
        if let Some(poll) = unit.poll {
            theories.push((Some(via), Box::new(move |rate| poll.rate(rate, interval))));
        }
        if let Some(push) = unit.push {
            theories.push((Some(via), Box::new(move |rate| push.rate(rate))));
            theories.push((None, Box::new(move |rate| push.coalesced(rate, window))));
        }
    }
    theories
}

fn steps((low, high): (f64, f64)) -> impl Iterator<Item = f64> {
    (0..=STEPS).map(move |step| low * (high / low).powf(f64::from(step) / f64::from(STEPS)))
}
