//! What a run is expected to show: conditions that fail it where they do not hold, so that a
//! comparison can stand in somebody's continuous integration.
//!
//! A message that was missed is infinitely late. A percentile that so few messages do not tell does
//! not hold.

use serde::Serialize;

use crate::condition::{Condition, Figure};
use crate::figure::{float, float_of};
use crate::row::Row;

/// A condition and one contender, after the run.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Checked {
    #[cfg_attr(test, schemars(with = "String"))]
    pub(crate) condition: Condition,
    pub(crate) contender: String,
    /// In microseconds, bytes or as a count; `None` where it is not known.
    pub(crate) value: Option<f64>,
    pub(crate) holds: bool,
}

/// A figure of a contender, in microseconds, bytes or as a count.
fn value(figure: Figure, row: &Row) -> Option<f64> {
    let late = if row.missed > 0 { f64::INFINITY } else { 0.0 };
    match figure {
        Figure::Percentile(share) => percentile(row, share),
        Figure::Max => row.latency_us.map(|latency| float(latency.max).max(late)),
        Figure::Mean => row.latency_us.map(|latency| latency.mean.max(late)),
        Figure::First => row.first_event_us.map(float),
        Figure::Again => row
            .outage
            .map(|outage| outage.slowest_again_s.map_or(f64::INFINITY, |seconds| seconds * 1e6)),
        Figure::Bytes => row.wire_bytes_per_delivery,
        Figure::Packets => row.packets_per_delivery,
        Figure::Cpu => row.server_cpu_us_per_delivery,
        Figure::Missed => Some(float_of(row.missed)),
        Figure::Repeated => Some(float(row.repeated)),
        Figure::Gaps => Some(float(row.gaps)),
        Figure::Disconnects => Some(float(row.disconnects)),
    }
}

/// What that share of all that was due came within, in microseconds; `None` if so few do not tell.
fn percentile(row: &Row, share: f64) -> Option<f64> {
    let due = float_of(row.due);
    if due * (1.0 - share) < 1.0 {
        return None;
    }
    let mut left = due * share;
    for (micros, count) in &row.histogram_us {
        left -= float(*count);
        if left <= 0.0 {
            return Some(float(*micros));
        }
    }
    Some(f64::INFINITY)
}

/// Holds a condition against each contender that it is for.
pub(crate) fn check(condition: &Condition, rows: &[Row]) -> Vec<Checked> {
    let is_meant = |row: &&Row| {
        condition.contender.as_ref().is_none_or(|name| *name == row.name || name == row.via.name())
    };
    let check = |row: &Row| {
        let value = value(condition.figure, row);
        let holds = value.is_some_and(|value| condition.holds(value));
        // Never is no number in JSON.
        let value = value.filter(|value| value.is_finite());
        Checked { condition: condition.clone(), contender: row.name.clone(), value, holds }
    };
    let mut checked: Vec<Checked> = rows.iter().filter(is_meant).map(check).collect();
    if checked.is_empty() {
        let contender = condition.contender.clone().unwrap_or_default();
        checked.push(Checked {
            condition: condition.clone(),
            contender,
            value: None,
            holds: false,
        });
    }
    checked
}

impl Checked {
    /// In words.
    pub(crate) fn told(&self) -> String {
        let value = self.value.map(|value| self.condition.shown(value));
        let value = value.unwrap_or_else(|| "not known, or never".to_owned());
        let verdict = if self.holds { "holds" } else { "DOES NOT HOLD" };
        format!("Expected {} of {}: {value}; it {verdict}.", self.condition, self.contender)
    }
}
