//! Figures with their errors, and a straight line through measured points: how sure its slope is,
//! and how little straight they lie.

use serde::Serialize;

use crate::figure::float_of;

/// A figure, and one standard error of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Estimate {
    pub(crate) value: f64,
    pub(crate) error: f64,
}

impl Estimate {
    /// The same of so many as much.
    pub(crate) fn times(self, factor: f64) -> Self {
        Self { value: self.value * factor, error: self.error * factor }
    }

    /// Whether it is told from nothing.
    pub(crate) fn is_told(self) -> bool {
        self.value > 2.0 * self.error
    }
}

/// y = base + slope · x, by least squares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Line {
    pub(crate) base: f64,
    /// Its error is what the points themselves show.
    pub(crate) slope: Estimate,
    /// By how much the points in the middle lie above the straight way between those at the ends,
    /// as a share of the way: above zero costs grow less than in proportion, below it more.
    pub(crate) bend: f64,
}

impl Line {
    /// Through points of which three at least have different places.
    pub(crate) fn through(points: &[(f64, f64)]) -> Option<Self> {
        let count = float_of(points.len());
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(|point| point.0), mean(|point| point.1));
        let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
        let (lowest, highest) =
            points.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |ends, point| {
                (ends.0.min(point.0), ends.1.max(point.0))
            });
        let is_between = |point: &&(f64, f64)| point.0 > lowest && point.0 < highest;
        if !points.iter().any(|point| is_between(&point)) {
            return None;
        }
        let slope = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>() / spread;
        let base = y - slope * x;
        let away: f64 = points.iter().map(|(x, y)| (y - base - slope * x).powi(2)).sum::<f64>();
        let mean_of = |wanted: &dyn Fn(&&(f64, f64)) -> bool| {
            let of: Vec<_> = points.iter().filter(wanted).collect();
            let sum = of.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
            (sum.0 / float_of(of.len()), sum.1 / float_of(of.len()))
        };
        let first = mean_of(&|point| point.0 <= lowest);
        let end = mean_of(&|point| point.0 >= highest);
        let middle = mean_of(&is_between);
        let straight = first.1 + (end.1 - first.1) * (middle.0 - first.0) / (end.0 - first.0);
        Some(Self {
            base,
            slope: Estimate { value: slope, error: (away / (count - 2.0) / spread).sqrt() },
            bend: (middle.1 - straight) / (end.1 - first.1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_with_its_error_and_its_bend() {
        let points = [(50.0, 7.0), (100.0, 12.0), (200.0, 22.0)];
        let line = Line::through(&points).unwrap();
        assert!(
            (line.slope.value - 0.1).abs() < 1e-9 && (line.base - 2.0).abs() < 1e-9,
            "{line:?}"
        );
        assert!(line.slope.error < 1e-9 && line.bend.abs() < 1e-9, "{line:?}");
        // As the root: the middle lies above the straight way, and nothing is sure.
        let bent = Line::through(&[(0.0, 0.0), (25.0, 5.0), (100.0, 10.0)]).unwrap();
        assert!((bent.bend - 0.25).abs() < 1e-9 && bent.slope.error > 0.01, "{bent:?}");
        assert_eq!(Line::through(&[(1.0, 1.0), (2.0, 2.0), (2.0, 3.0)]), None);
    }
}
