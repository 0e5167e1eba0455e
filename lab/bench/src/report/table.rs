//! Results as text: one block a case, one line a contender.

use std::fmt::Write as _;

use super::figure::Figure;
use super::{Report, Row};
use crate::statistics::Summary;

/// A median that lies this close to all rounds is shown without its spread.
const SPREAD_SHOWN: f64 = 0.005;

/// The whole report.
pub(crate) fn render(report: &Report) -> String {
    let mut text = String::new();
    for case in report.cases() {
        let words: Vec<String> =
            case[0].case.iter().map(|(name, value)| format!("{name} {value}")).collect();
        text.extend(["\n", report.scenario, ": ", &words.join(", "), "\n"]);
        text += &block(report, &case);
        for row in &case {
            if let Some(batches) = row.batches() {
                text.extend(["  ", row.contender, ": ", &batches.words(), "\n"]);
            }
            for note in &row.notes {
                text.extend(["  ! ", row.contender, ": ", note, "\n"]);
            }
        }
    }
    if !report.notes.is_empty() {
        text.extend(["\n", report.scenario, ", together:\n"]);
        text.extend(report.notes.iter().flat_map(|note| ["  ", note, "\n"]));
    }
    text
}

fn block(report: &Report, case: &[&Row]) -> String {
    let columns: Vec<Figure> = report
        .columns
        .iter()
        .copied()
        .filter(|figure| case.iter().any(|row| row.summary(*figure).is_some()))
        .collect();
    let ratios: Vec<Figure> =
        report.ratios.iter().copied().filter(|figure| columns.contains(figure)).collect();
    let mut head = vec![String::new()];
    head.extend(columns.iter().map(|figure| figure.look().heading.to_owned()));
    head.extend(ratios.iter().map(|figure| format!("{} ×", figure.look().heading)));
    if !ratios.is_empty() {
        head.push("of".into());
    }
    let mut lines = vec![head];
    for row in case {
        let cell = |summary: Option<Summary>, decimals| {
            summary.map_or("-".into(), |summary| value(&summary, decimals))
        };
        let base = case.iter().find(|base| base.contender == row.base);
        let mut line = vec![row.contender.to_owned()];
        line.extend(columns.iter().map(|f| cell(row.summary(*f), f.look().decimals)));
        line.extend(ratios.iter().map(|f| cell(base.and_then(|base| row.ratio(base, *f)), 2)));
        if !ratios.is_empty() {
            line.push(row.base.to_owned());
        }
        lines.push(line);
    }
    aligned(&lines)
}

/// A median and how far its rounds lie apart.
fn value(summary: &Summary, decimals: usize) -> String {
    let median = grouped(summary.median, decimals);
    let spread = summary.spread();
    if spread < SPREAD_SHOWN { median } else { format!("{median} ±{:.0}%", spread * 100.0) }
}

/// With commas between thousands.
fn grouped(number: f64, decimals: usize) -> String {
    let text = format!("{number:.decimals$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let digits = whole.trim_start_matches('-');
    let sign = &whole[..whole.len() - digits.len()];
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{rest}")
}

/// The first column to the left, all others to the right.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for line in lines {
        let mut written = format!("  {:<width$}", line[0], width = widths[0]);
        for (cell, width) in line.iter().zip(&widths).skip(1) {
            let _ = write!(written, "  {cell:>width$}");
        }
        text += written.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_rounded() {
        assert_eq!(grouped(1_234_567.8, 0), "1,234,568");
        assert_eq!(grouped(-1234.56, 1), "-1,234.6");
        assert_eq!(grouped(0.1234, 3), "0.123");
        assert_eq!(grouped(999.0, 0), "999");
    }

    #[test]
    fn a_spread_is_shown_where_there_is_one() {
        let summary = Summary { median: 10.0, low: 9.0, high: 11.0 };
        assert_eq!(value(&summary, 1), "10.0 ±10%");
        assert_eq!(value(&Summary { low: 10.0, high: 10.0, ..summary }, 1), "10.0");
    }

    #[test]
    fn columns_stand_under_each_other() {
        let lines = [vec![String::new(), "a×b".into()], vec!["name".into(), "1".into()]];
        assert_eq!(aligned(&lines), "        a×b\n  name    1\n");
    }
}
