//! Small pieces of HTML.

use crate::grid::Grid;

/// Text as HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A table that scrolls where it does not fit.
pub(super) fn table(grid: &Grid) -> String {
    let (columns, rows) = grid.shown();
    let cells = |cells: &[&str], tag: &str| {
        let cells = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell)));
        cells.collect::<Vec<_>>().concat()
    };
    let body = rows.iter().map(|row| format!("<tr>{}</tr>", cells(row, "td")));
    let body = body.collect::<Vec<_>>().concat();
    format!(
        "<div class=\"scroll\"><table><caption>{}</caption><thead><tr>{}</tr></thead>\
         <tbody>{body}</tbody></table></div>",
        escape(grid.title()),
        cells(&columns, "th")
    )
}

/// A picture with what to look for in it.
pub(super) fn figure(svg: &str, caption: &str) -> String {
    format!("<figure><div class=\"scroll\">{svg}</div><figcaption>{caption}</figcaption></figure>")
}
