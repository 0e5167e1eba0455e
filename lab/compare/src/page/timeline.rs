//! The picture of the run: one lane a contender, one dot a message, at the time at which it came.

use std::fmt::Write;

use super::html::escape;
use super::palette::{self, AXIS, RULE, STRONG, TEXT};
use crate::figure::{float, float_of, time};
use crate::report::Report;
use crate::row::Row;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 156.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 8.0;
const LANE: f64 = 30.0;
/// Messages that are shown: more cannot be told apart.
const MESSAGES_MAX: usize = 30;
/// Seconds that are shown, unless the longest interval asks for more.
const SECONDS: f64 = 8.0;

/// The picture, or nothing if there is nothing to show.
pub(super) fn draw(report: &Report) -> Option<String> {
    let lanes: Vec<&Row> =
        report.contenders.iter().filter(|row| !row.deliveries.is_empty()).collect();
    let fullest = lanes.iter().max_by_key(|row| row.deliveries.len())?;
    let mut published: Vec<u64> = fullest.deliveries.iter().map(|dot| dot.planned_us).collect();
    published.sort_unstable();
    let seconds = shown_seconds(report, &published);
    let limit = seconds * 1e6;
    published.retain(|at| float(*at) <= limit);
    let height = TOP + LANE * float_of(lanes.len() + 1) + 40.0;
    let x = |micros: f64| LEFT + micros / limit * (WIDTH - LEFT - RIGHT);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Timeline of the run, one \
         lane for each contender\" font-family=\"sans-serif\" font-size=\"14\">"
    );
    let bottom = TOP + LANE * float_of(lanes.len() + 1);
    axis(&mut svg, seconds, bottom, &x);
    name(&mut svg, 0, "published", STRONG.light);
    for at in &published {
        let at = x(float(*at));
        let y = TOP + LANE / 2.0;
        let _ = write!(
            svg,
            "<path d=\"M{at:.1} {:.1}V{bottom:.1}\" stroke=\"{}\" stroke-dasharray=\"2 4\"/>\
             <path d=\"M{at:.1} {:.1}v14\" stroke=\"{}\" stroke-width=\"2.5\"/>",
            y + 7.0,
            RULE.light,
            y - 7.0,
            STRONG.light
        );
    }
    for (index, row) in lanes.iter().enumerate() {
        lane(&mut svg, index + 1, row, limit, &x);
    }
    svg.push_str("</svg>");
    Some(svg)
}

/// Enough for the slowest poll to come twice, and not more messages than can be told apart.
fn shown_seconds(report: &Report, published: &[u64]) -> f64 {
    let intervals = report.contenders.iter().filter_map(|row| row.interval_s);
    let slowest = intervals.max_by(f64::total_cmp).unwrap_or(0.0);
    let wanted = SECONDS.max(2.5 * slowest);
    let crowded = published.get(MESSAGES_MAX).map_or(f64::INFINITY, |at| float(*at) / 1e6);
    wanted.min(crowded.max(1.2 * slowest)).min(report.run.duration_s + slowest)
}

fn axis(svg: &mut String, seconds: f64, bottom: f64, x: &dyn Fn(f64) -> f64) {
    let step = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0]
        .into_iter()
        .find(|step| seconds / step <= 12.0)
        .unwrap_or(1800.0);
    let mut at = 0.0;
    while at <= seconds {
        let left = x(at * 1e6);
        let shown = if step < 1.0 { format!("{at:.1} s") } else { format!("{at:.0} s") };
        let _ = write!(
            svg,
            "<path d=\"M{left:.1} {TOP}V{bottom:.1}\" stroke=\"{}\"/>\
             <text x=\"{left:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"{}\">{shown}</text>",
            RULE.light,
            bottom + 22.0,
            TEXT.light
        );
        at += step;
    }
    let _ = write!(
        svg,
        "<path d=\"M{LEFT} {bottom:.1}H{:.1}\" stroke=\"{}\"/>",
        WIDTH - RIGHT,
        AXIS.light
    );
}

fn name(svg: &mut String, lane: usize, name: &str, ink: &str) {
    let y = TOP + LANE * (float_of(lane) + 0.5);
    let _ = write!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"{ink}\" font-weight=\"600\">{}</text>",
        LEFT - 14.0,
        y + 5.0,
        escape(name)
    );
}

/// One lane: from each message's planned time a line to where it came.
fn lane(svg: &mut String, lane: usize, row: &Row, limit: f64, x: &dyn Fn(f64) -> f64) {
    let ink = palette::of(row.via).light;
    let y = TOP + LANE * (float_of(lane) + 0.5);
    name(svg, lane, &row.name, ink);
    let _ =
        write!(svg, "<path d=\"M{LEFT} {y:.1}H{:.1}\" stroke=\"{}\"/>", WIDTH - RIGHT, RULE.light);
    for dot in row.deliveries.iter().filter(|dot| float(dot.planned_us) <= limit) {
        let from = x(float(dot.planned_us));
        let to = x(float(dot.delivered_us).min(limit));
        if to - from > 1.0 {
            let _ = write!(
                svg,
                "<path d=\"M{from:.1} {y:.1}H{to:.1}\" stroke=\"{ink}\" stroke-width=\"3\" \
                 stroke-opacity=\"0.28\"/>"
            );
        }
        if float(dot.delivered_us) <= limit {
            let delay = dot.delivered_us.saturating_sub(dot.planned_us);
            let _ = write!(
                svg,
                "<circle cx=\"{to:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"{ink}\"><title>message {}, \
                 {} late</title></circle>",
                dot.sequence,
                time(float(delay))
            );
        }
    }
}
