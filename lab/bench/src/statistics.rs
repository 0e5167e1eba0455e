//! Medians, spreads and straight lines.

use serde::Serialize;

/// The middle of some rounds and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Summary {
    /// The middle round, or the mean of the two in the middle.
    pub(crate) median: f64,
    /// The lowest round.
    pub(crate) low: f64,
    /// The highest.
    pub(crate) high: f64,
}

impl Summary {
    /// Of at least one round; `None` of none.
    pub(crate) fn of(rounds: &[f64]) -> Option<Self> {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let high = *sorted.last()?;
        let median = match sorted.len() % 2 {
            1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        };
        Some(Self { median, low: sorted[0], high })
    }

    /// Half the distance from the lowest to the highest round, as a share of the median.
    pub(crate) fn spread(&self) -> f64 {
        if self.median == 0.0 { 0.0 } else { (self.high - self.low) / 2.0 / self.median.abs() }
    }
}

/// A straight line through points, by least squares.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Line {
    /// Where it crosses zero.
    pub(crate) base: f64,
    /// What one more costs.
    pub(crate) slope: f64,
    /// The largest distance of a point from the line, as a share of the highest point.
    pub(crate) worst: f64,
}

impl Line {
    /// Through at least two points of different places; `None` otherwise.
    pub(crate) fn through(points: &[(f64, f64)]) -> Option<Self> {
        let count = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(|point| point.0), mean(|point| point.1));
        let across: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
        if points.len() < 2 || across == 0.0 {
            return None;
        }
        let along: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
        let slope = along / across;
        let base = y - slope * x;
        let distance = |point: &(f64, f64)| (point.1 - base - slope * point.0).abs();
        let highest = points.iter().map(|point| point.1.abs()).fold(0.0, f64::max);
        let worst = points.iter().map(distance).fold(0.0, f64::max);
        Some(Self { base, slope, worst: if highest == 0.0 { 0.0 } else { worst / highest } })
    }
}

/// Curves of points: along each of them one thing grows while all else stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct Curves(Vec<Vec<(f64, f64)>>);

impl Curves {
    /// Those that are longer than a point.
    pub(crate) fn new(lines: impl IntoIterator<Item = Vec<(f64, f64)>>) -> Self {
        let lines = lines.into_iter().map(|mut line| {
            line.sort_by(|a, b| a.0.total_cmp(&b.0));
            line
        });
        Self(lines.filter(|line| line.len() > 1).collect())
    }

    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[(f64, f64)]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// All their points.
    pub(crate) fn points(&self) -> impl Iterator<Item = (f64, f64)> + Clone {
        self.0.iter().flatten().copied()
    }

    /// The power with which they grow, the same for all: each has a height of its own. By least
    /// squares of the logarithms.
    pub(crate) fn power(&self) -> Option<f64> {
        let (mut along, mut across) = (0.0, 0.0);
        for line in &self.0 {
            let logs: Vec<_> = line.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
            let count = logs.len() as f64;
            let x = logs.iter().map(|log| log.0).sum::<f64>() / count;
            let y = logs.iter().map(|log| log.1).sum::<f64>() / count;
            along += logs.iter().map(|log| (log.0 - x) * (log.1 - y)).sum::<f64>();
            across += logs.iter().map(|log| (log.0 - x).powi(2)).sum::<f64>();
        }
        (across > 0.0).then_some(along / across)
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "small whole numbers are exact")]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_of_rounds_lies_between_the_middle_two() {
        let summary = Summary::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(summary, Summary { median: 2.5, low: 1.0, high: 4.0 });
        assert_eq!(Summary::of(&[5.0]).unwrap().median, 5.0);
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[9.0, 11.0, 10.0]).unwrap().spread(), 0.1);
    }

    #[test]
    fn a_line_finds_base_and_slope_and_says_how_straight_the_points_are() {
        let line = Line::through(&[(0.0, 10.0), (1.0, 12.0), (2.0, 14.0)]).unwrap();
        assert_eq!(line, Line { base: 10.0, slope: 2.0, worst: 0.0 });
        let bent = Line::through(&[(0.0, 0.0), (1.0, 0.0), (2.0, 9.0)]).unwrap();
        assert!(bent.worst > 0.1, "{bent:?}");
        assert_eq!(Line::through(&[(1.0, 1.0), (1.0, 2.0)]), None);
    }

    #[test]
    fn a_power_is_found_whatever_the_height_of_each_line() {
        let line = |height: f64, power: f64| {
            [100.0, 1.0, 10.0].map(|x: f64| (x, height * x.powf(power))).to_vec()
        };
        let same = Curves::new([line(1.0, 0.5), line(900.0, 0.5), vec![(7.0, 1e9)]]);
        assert!((same.power().unwrap() - 0.5).abs() < 1e-9);
        let mixed = Curves::new([line(3.0, 0.0), line(1.0, 1.0)]);
        assert!((mixed.power().unwrap() - 0.5).abs() < 1e-9);
        assert_eq!(Curves::new([vec![(1.0, 1.0)]]).power(), None);
    }
}
