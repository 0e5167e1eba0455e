//! Conditions that a run must meet, as somebody writes them.
//!
//! ```text
//! condition  = [ contender ":" ] figure comparison value
//! contender  = a name of --via, such as "sse", with an interval too: "poll 2s"; without it, all
//! figure     = "p50" / "p90" / "p99" / "p999" / "max" / "mean" / "first" / "again"
//!            / "bytes" / "packets" / "cpu" / "missed" / "repeated" / "gaps" / "disconnects"
//! comparison = "<" / "<=" / ">" / ">="
//! ```

use std::fmt;
use std::str::FromStr;

use doorbell_instruments::time;
use serde::{Serialize, Serializer};

use crate::figure::{bytes, count, time as shown_time};
use crate::way::Way;

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    text: String,
    pub(crate) contender: Option<String>,
    pub(crate) figure: Figure,
    comparison: Comparison,
    value: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Figure {
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
}

impl Condition {
    /// Whether it is for this contender.
    pub(crate) fn is_for(&self, way: Way, name: &str) -> bool {
        self.contender.as_ref().is_none_or(|own| own == name || own == way.name())
    }

    /// Whether a value is what was asked for.
    pub(crate) fn holds(&self, value: f64) -> bool {
        match self.comparison {
            Comparison::Below => value < self.value,
            Comparison::AtMost => value <= self.value,
            Comparison::Above => value > self.value,
            Comparison::AtLeast => value >= self.value,
        }
    }

    /// A value in its unit.
    pub(crate) fn shown(&self, value: f64) -> String {
        match self.figure {
            figure if figure.is_time() => shown_time(value),
            Figure::Bytes => bytes(value),
            _ => count(value),
        }
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
