//! What a run is expected to show: conditions that fail it where they do not hold, so that a
//! comparison can stand in somebody's continuous integration.
//!
//! ```text
//! condition  = [ contender ":" ] figure comparison value
//! contender  = a name of --via, such as "sse", with an interval too: "poll 2s"; without it, all
//! figure     = "p50" / "p90" / "p99" / "p999" / "max" / "mean" / "first" / "again"
//!            / "bytes" / "packets" / "cpu" / "missed" / "repeated" / "gaps" / "disconnects"
//! comparison = "<" / "<=" / ">" / ">="
//! ```
//!
//! A message that was missed is infinitely late. A percentile that so few messages do not tell does
//! not hold.

use std::fmt;
use std::str::FromStr;

use doorbell_instruments::time;
use serde::{Serialize, Serializer};

use crate::figure::{bytes, count, float, float_of, time as shown_time};
use crate::row::Row;

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    text: String,
    contender: Option<String>,
    figure: Figure,
    comparison: Comparison,
    value: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Figure {
    Percentile(f64),
    Max,
    Mean,
    First,
    Again,
    Bytes,
    Packets,
    Cpu,
    Missed,
    Repeated,
    Gaps,
    Disconnects,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Below,
    AtMost,
    Above,
    AtLeast,
}

const FIGURES: [(&str, Figure); 15] = [
    ("p50", Figure::Percentile(0.5)),
    ("p90", Figure::Percentile(0.9)),
    ("p99", Figure::Percentile(0.99)),
    ("p999", Figure::Percentile(0.999)),
    ("max", Figure::Max),
    ("mean", Figure::Mean),
    ("first", Figure::First),
    ("again", Figure::Again),
    ("bytes", Figure::Bytes),
    ("packets", Figure::Packets),
    ("cpu", Figure::Cpu),
    ("missed", Figure::Missed),
    ("repeated", Figure::Repeated),
    ("gaps", Figure::Gaps),
    ("disconnects", Figure::Disconnects),
];
/// The longer first, so that none is taken for a part of another.
const COMPARISONS: [(&str, Comparison); 4] = [
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("<", Comparison::Below),
    (">", Comparison::Above),
];

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

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = COMPARISONS.iter().find_map(|(sign, comparison)| {
            text.split_once(sign).map(|(left, right)| (left.trim(), *comparison, right.trim()))
        });
        let (left, comparison, right) = found
            .ok_or_else(|| "write a condition such as p99<50ms or sse:missed<=0".to_owned())?;
        let (contender, name) = match left.rsplit_once(':') {
            Some((contender, name)) => (Some(contender.trim().to_owned()), name.trim()),
            None => (None, left),
        };
        let figure = FIGURES.iter().find(|(known, _)| *known == name).ok_or_else(|| {
            let known: Vec<&str> = FIGURES.iter().map(|(name, _)| *name).collect();
            format!("{name} is none of {}", known.join(", "))
        })?;
        let figure = figure.1;
        let value = if figure.is_time() {
            time(right)?.as_secs_f64() * 1e6
        } else {
            let number = right.parse::<f64>().ok().filter(|value| value.is_finite());
            number.ok_or_else(|| format!("{right} is no number"))?
        };
        Ok(Self { text: text.to_owned(), contender, figure, comparison, value })
    }
}

impl Figure {
    fn is_time(self) -> bool {
        matches!(
            self,
            Self::Percentile(_) | Self::Max | Self::Mean | Self::First | Self::Again | Self::Cpu
        )
    }

    /// Of a contender, in microseconds, bytes or as a count.
    fn of(self, row: &Row) -> Option<f64> {
        let late = if row.missed > 0 { f64::INFINITY } else { 0.0 };
        match self {
            Self::Percentile(share) => percentile(row, share),
            Self::Max => row.latency_us.map(|latency| float(latency.max).max(late)),
            Self::Mean => row.latency_us.map(|latency| latency.mean.max(late)),
            Self::First => row.first_event_us.map(float),
            Self::Again => row.outage.map(|outage| {
                outage.slowest_again_s.map_or(f64::INFINITY, |seconds| seconds * 1e6)
            }),
            Self::Bytes => row.wire_bytes_per_delivery,
            Self::Packets => row.packets_per_delivery,
            Self::Cpu => row.server_cpu_us_per_delivery,
            Self::Missed => Some(float_of(row.missed)),
            Self::Repeated => Some(float(row.repeated)),
            Self::Gaps => Some(float(row.gaps)),
            Self::Disconnects => Some(float(row.disconnects)),
        }
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

impl Condition {
    /// Holds it against each contender that it is for.
    pub(crate) fn check(&self, rows: &[Row]) -> Vec<Checked> {
        let is_meant = |row: &&Row| {
            self.contender.as_ref().is_none_or(|name| *name == row.name || name == row.via.name())
        };
        let check = |row: &Row| {
            let value = self.figure.of(row);
            let holds = value.is_some_and(|value| match self.comparison {
                Comparison::Below => value < self.value,
                Comparison::AtMost => value <= self.value,
                Comparison::Above => value > self.value,
                Comparison::AtLeast => value >= self.value,
            });
            // Never is no number in JSON.
            let value = value.filter(|value| value.is_finite());
            Checked { condition: self.clone(), contender: row.name.clone(), value, holds }
        };
        let mut checked: Vec<Checked> = rows.iter().filter(is_meant).map(check).collect();
        if checked.is_empty() {
            let contender = self.contender.clone().unwrap_or_default();
            checked.push(Checked { condition: self.clone(), contender, value: None, holds: false });
        }
        checked
    }

    fn shown(&self, value: f64) -> String {
        match self.figure {
            figure if figure.is_time() => shown_time(value),
            Figure::Bytes => bytes(value),
            _ => count(value),
        }
    }
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

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_and_what_is_none_is_refused() {
        let read = |text: &str| text.parse::<Condition>();
        let condition = read("poll 2s:p99 <= 1s500ms").unwrap();
        assert_eq!(condition.contender.as_deref(), Some("poll 2s"));
        assert_eq!(condition.figure, Figure::Percentile(0.99));
        assert_eq!(condition.comparison, Comparison::AtMost);
        assert!((condition.value - 1_500_000.0).abs() < 1e-6);
        assert!((read("bytes>100.5").unwrap().value - 100.5).abs() < 1e-9);
        for (text, expected) in [
            ("p99", "such as p99<50ms"),
            ("p98<1ms", "none of p50"),
            ("p99<50", "such as 500ms"),
            ("missed<=none", "no number"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
