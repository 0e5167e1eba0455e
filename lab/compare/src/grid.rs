//! Tables on a terminal: a heading, columns as wide as they must be, sentences below.

use std::fmt::Write;

use anstyle::Style;

const HEADING: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
/// Characters of a line.
pub(crate) const LINE_CHARS: usize = 100;

/// What stands where nothing was measured.
pub(crate) const NOTHING: &str = "-";

/// A table. Its first column is text, the others are figures.
#[derive(Debug)]
pub(crate) struct Grid {
    title: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Grid {
    pub(crate) fn new(title: impl Into<String>, columns: &[impl ToString]) -> Self {
        let columns = columns.iter().map(ToString::to_string).collect();
        Self { title: title.into(), columns, rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(crate) fn title(&self) -> &str {
        &self.title
    }

    /// Columns and rows without the columns in which nothing was measured.
    pub(crate) fn shown(&self) -> (Vec<&str>, Vec<Vec<&str>>) {
        let shown: Vec<usize> = (0..self.columns.len())
            .filter(|column| *column == 0 || self.rows.iter().any(|row| row[*column] != NOTHING))
            .collect();
        let columns = shown.iter().map(|at| self.columns[*at].as_str()).collect();
        let rows = self.rows.iter();
        let rows = rows.map(|row| shown.iter().map(|at| row[*at].as_str()).collect()).collect();
        (columns, rows)
    }

    /// The text of it.
    pub(crate) fn render(&self) -> String {
        let (columns, rows) = self.shown();
        let width = |at: usize| {
            let cells = rows.iter().map(|row| row[at]).chain([columns[at]]);
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let line = |cells: &[&str]| {
            let cells = cells.iter().enumerate().map(|(at, cell)| match at {
                0 => format!("{cell:<0$}", width(0)),
                _ => format!("{cell:>0$}", width(at)),
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let lines: Vec<String> = rows.iter().map(|row| line(row)).collect();
        format!(
            "{HEADING}{}{HEADING:#}\n{FAINT}{}{FAINT:#}\n{}\n\n",
            self.title,
            line(&columns),
            lines.join("\n")
        )
    }
}

/// Adds a heading of what is no table.
pub(crate) fn heading(text: &mut String, heading: &str) {
    let _ = writeln!(text, "{HEADING}{heading}{HEADING:#}");
}

/// Adds a sentence on lines that are no longer than they have to be.
pub(crate) fn wrap(text: &mut String, sentence: &str) {
    let mut length = 0;
    for word in sentence.split(' ') {
        let needed = word.chars().count() + 1;
        if length + needed > LINE_CHARS {
            text.push_str("\n  ");
            length = 2;
        } else if length > 0 {
            text.push(' ');
        }
        text.push_str(word);
        length += needed;
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;

    use super::*;

    #[test]
    fn columns_stand_under_their_names_and_empty_ones_are_left_out() {
        let mut grid = Grid::new("Delay", &["contender", "p50", "nothing", "max"]);
        grid.row(vec!["poll 1s".into(), "12.0 µs".into(), NOTHING.into(), "1 s".into()]);
        grid.row(vec!["tcp".into(), "1 µs".into(), NOTHING.into(), "100 ms".into()]);
        let text = strip_str(&grid.render()).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "contender      p50     max");
        assert_eq!(lines[2], "poll 1s    12.0 µs     1 s");
        assert_eq!(lines[3], "tcp           1 µs  100 ms");
    }

    #[test]
    fn sentences_are_cut_into_lines_between_words() {
        let mut text = String::new();
        wrap(&mut text, ["abcde"; 30].join(" ").as_str());
        assert!(text.lines().all(|line| line.chars().count() <= LINE_CHARS));
        assert_eq!(text.split_whitespace().count(), 30);
        assert_eq!(text.lines().count(), 2);
    }
}
