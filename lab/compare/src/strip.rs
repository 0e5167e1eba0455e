//! The picture of a run on a terminal: how late messages came, a line of characters for each
//! contender.

use std::fmt::Write;

use crate::figure::{float, float_of, short_time};
use crate::report::Report;
use crate::row::Row;

/// Characters of a line's picture.
const WIDTH: usize = 60;
/// From few messages to the most.
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The picture, or nothing if nothing was delivered.
pub(crate) fn draw(report: &Report) -> Option<String> {
    let rows: Vec<&Row> =
        report.contenders.iter().filter(|row| !row.histogram_us.is_empty()).collect();
    let longest = rows.iter().filter_map(|row| row.latency_us.map(|latency| latency.max)).max()?;
    let intervals = rows.iter().filter_map(|row| row.interval_s.map(|interval| interval * 1e6));
    let most = intervals.fold(float(longest), f64::max).max(1.0);
    let names = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for row in rows {
        let _ = writeln!(text, "{:<names$}  {}", row.name, line(&row.histogram_us, most));
    }
    let end = short_time(most);
    let _ = writeln!(
        text,
        "{:<names$}  0{}{end}",
        "",
        " ".repeat(WIDTH.saturating_sub(1 + end.chars().count()))
    );
    Some(text)
}

/// How many messages came how late, from no delay to the longest.
fn line(histogram: &[(u64, u64)], most: f64) -> String {
    let mut counts = [0_u64; WIDTH];
    for (micros, count) in histogram {
        // Below the width, as the delay is at most the longest.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small, not negative"
        )]
        let at = (float(*micros) / most * float_of(WIDTH)) as usize;
        counts[at.min(WIDTH - 1)] += count;
    }
    let highest = counts.iter().copied().max().unwrap_or(0).max(1);
    let level = |count: u64| match count {
        0 => ' ',
        count => {
            LEVELS
                [usize::try_from((count * 8).div_ceil(highest)).map_or(7, |up| up.clamp(1, 8) - 1)]
        }
    };
    let line: String = counts.into_iter().map(level).collect();
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_at_once_is_a_bar_on_the_left_and_what_waits_is_spread() {
        let push = line(&[(1_000, 90), (2_000, 10)], 1e6);
        assert_eq!(push, "█");
        let poll: Vec<(u64, u64)> = (0..60).map(|n| (n * 16_667, 1)).collect();
        assert_eq!(line(&poll, 1e6).chars().filter(|c| *c == '█').count(), 60);
        let late = line(&[(0, 8), (1_000_000, 1)], 1e6);
        assert!(
            late.starts_with('█') && late.ends_with('▁') && late.chars().count() == 60,
            "{late}"
        );
    }
}
