//! What a run is expected to show: conditions that fail it where they do not hold, so that a
//! comparison can stand in somebody's continuous integration.
//!
//! A message that was missed is infinitely late. A percentile that so few messages do not tell does
//! not hold.

use doorbell_instruments::Failure;
use serde::Serialize;

use crate::condition::{Condition, Figure};
use crate::contender::Contender;
use crate::figure::{float, float_of};
use crate::row::Row;

/// A condition and one contender, after the run.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Checked {
    #[cfg_attr(test, schemars(with = "String"))]
    pub(crate) condition: Condition,
    pub(crate) contender: String,
    /// In microseconds, bytes or as a count; `None` where there is none.
    pub(crate) value: Option<f64>,
    /// Why there is none.
    pub(crate) reason: Option<String>,
    pub(crate) holds: bool,
}

/// A figure of a contender, in microseconds, bytes or as a count, or why there is none.
fn value(figure: Figure, row: &Row) -> Result<f64, String> {
    let known = |value: Option<f64>| value.ok_or_else(|| "not known".to_owned());
    let late = |value: Option<f64>| match row.missed {
        0 => known(value),
        _ => Ok(f64::INFINITY),
    };
    match figure {
        Figure::Percentile(share) => percentile(row, share),
        Figure::Max => late(row.latency_us.map(|latency| float(latency.max))),
        Figure::Mean => late(row.latency_us.map(|latency| latency.mean)),
        Figure::First => known(row.first_event_us.map(float)),
        Figure::Again => {
            let outage = row.outage.ok_or("not known: nothing was made to fail (--restart)")?;
            Ok(outage.slowest_again_s.map_or(f64::INFINITY, |seconds| seconds * 1e6))
        }
        Figure::Bytes => known(row.wire_bytes_per_delivery),
        Figure::Packets => known(row.packets_per_delivery),
        Figure::Cpu => {
            let cpu = row.server_cpu_us_per_delivery;
            cpu.ok_or_else(|| "not known: --mode apart tells it".to_owned())
        }
        Figure::Missed => Ok(float_of(row.missed)),
        Figure::Repeated => Ok(float(row.repeated)),
        Figure::Gaps => Ok(float(row.gaps)),
        Figure::Disconnects => Ok(float(row.disconnects)),
    }
}

/// What that share of all that was due came within, in microseconds.
fn percentile(row: &Row, share: f64) -> Result<f64, String> {
    let due = float_of(row.due);
    let enough = (1.0 / (1.0 - share)).round();
    if due < enough {
        return Err(format!("not known: {due} messages do not tell it, {enough} would"));
    }
    let mut left = due * share;
    for (micros, count) in &row.histogram_us {
        left -= float(*count);
        if left <= 0.0 {
            return Ok(float(*micros));
        }
    }
    Ok(f64::INFINITY)
}

/// Refuses a condition that is for none of the contenders.
pub(crate) fn expect_known(
    conditions: &[Condition],
    contenders: &[Contender],
) -> Result<(), Failure> {
    let is_known = |condition: &&Condition| {
        contenders.iter().any(|own| condition.is_for(own.way, &own.name()))
    };
    match conditions.iter().find(|condition| !is_known(condition)) {
        Some(condition) => Err(Failure::Usage(format!("--expect {condition} is for no contender"))),
        None => Ok(()),
    }
}

/// Holds each condition against each contender that it is for.
pub(crate) fn check_all(conditions: &[Condition], rows: &[Row]) -> Vec<Checked> {
    conditions.iter().flat_map(|condition| check(condition, rows)).collect()
}

fn check(condition: &Condition, rows: &[Row]) -> Vec<Checked> {
    let check = |row: &Row| {
        let found = value(condition.figure, row);
        let holds = found.as_ref().is_ok_and(|value| condition.holds(*value));
        let (value, reason) = match found {
            Ok(value) if value.is_finite() => (Some(value), None),
            // Never is no number in JSON.
            Ok(_) => (None, Some("never: not all came".to_owned())),
            Err(reason) => (None, Some(reason)),
        };
        let contender = row.name.clone();
        Checked { condition: condition.clone(), contender, value, reason, holds }
    };
    rows.iter().filter(|row| condition.is_for(row.via, &row.name)).map(check).collect()
}

impl Checked {
    /// In words.
    pub(crate) fn told(&self) -> String {
        let value = self.value.map(|value| self.condition.shown(value));
        let value = value.or_else(|| self.reason.clone()).unwrap_or_default();
        let verdict = if self.holds { "holds" } else { "DOES NOT HOLD" };
        format!("Expected {} of {}: {value}; it {verdict}.", self.condition, self.contender)
    }
}
