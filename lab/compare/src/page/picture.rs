//! One picture of a comparison for a page of its own: a row for each contender, a dot for each
//! message at its delay, and the figures beside it. On a light card, whatever is around it.

use std::fmt::Write;

use doorbell::Transport;
use doorbell_protocol::Family;

use super::html::escape;
use super::palette::{self, AXIS, Ink, RULE, STRONG, TEXT};
use crate::figure::{bytes, float, float_of, short_time, time};
use crate::flags::Process;
use crate::report::Report;
use crate::row::Row;
use crate::way::Way;

const WIDTH: f64 = 960.0;
const EDGE: f64 = 28.0;
/// Where the rows begin, and where the dots are.
const TOP: f64 = 122.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 592.0;
const LANE: f64 = 25.0;
/// A heading above rows, and the space before it.
const HEADING: f64 = 26.0;
const SPACE: f64 = 12.0;
/// From one line below to the next, and its characters.
const FOOT: f64 = 19.0;
const FOOT_CHARS: usize = 140;
/// Right ends of the columns of figures.
const COLUMNS: [(f64, &str); 4] =
    [(682.0, "half within"), (770.0, "99 % within"), (844.0, "requests"), (932.0, "bytes each")];
/// Dots of one row: more cannot be told apart.
const DOTS_MAX: usize = 300;
const RADIUS: f64 = 2.6;
/// How far dots of one row are put beside each other.
const SPREAD: f64 = 14.0;

const STYLE: &str = "text{font:13.5px system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',\
    sans-serif}.title{font-size:23px;font-weight:700;letter-spacing:-.3px}.lead{font-size:14.5px}\
    .most{font-weight:650}.small{font-size:12.5px}.part{font-size:14px;font-weight:650}\
    .end{text-anchor:end}.middle{text-anchor:middle}";

/// The picture, or nothing if nothing was delivered.
pub(crate) fn draw(report: &Report) -> Option<String> {
    let rows: Vec<&Row> =
        report.contenders.iter().filter(|row| !row.histogram_us.is_empty()).collect();
    let longest = rows.iter().filter_map(|row| row.latency_us.map(|latency| latency.max)).max()?;
    let intervals = rows.iter().filter_map(|row| row.interval_s);
    let most = intervals.fold(float(longest), |most, interval| most.max(interval * 1e6));
    let x = |micros: f64| LEFT + micros.min(most) / most * (RIGHT - LEFT);
    let mut lanes = String::new();
    let mut y = TOP;
    for group in groups(&rows) {
        text(&mut lanes, (EDGE, y + 16.0), "part", group.ink.light, &group.heading);
        y += HEADING;
        let bottom = y + LANE * float_of(group.rows.len());
        rules(&mut lanes, most, (y, bottom), &x);
        for row in group.rows {
            lane(&mut lanes, row, group.ink, y + LANE / 2.0, &x);
            y += LANE;
        }
        y += SPACE;
    }
    let bottom = y - SPACE;
    let notes = notes(report);
    let height = bottom + 60.0 + FOOT * float_of(notes.len());
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\" aria-labelledby=\"title\">\n\
         <style>{STYLE}</style>\n<rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"14\" \
         fill=\"#fff\" stroke=\"{}\"/>\n",
        WIDTH - 1.0,
        height - 1.0,
        RULE.light
    );
    head(&mut svg, report);
    axis(&mut svg, most, bottom, &x);
    svg += &lanes;
    for (index, note) in notes.iter().enumerate() {
        let y = bottom + 58.0 + FOOT * float_of(index);
        text(&mut svg, (EDGE, y), "small", TEXT.light, note);
    }
    svg += "</svg>\n";
    Some(svg)
}

/// Rows that take the initiative in the same way.
struct Group<'a> {
    heading: String,
    ink: Ink,
    rows: Vec<&'a Row>,
}

/// Polls by their interval, the longest first, then those that wait less.
fn groups<'a>(rows: &[&'a Row]) -> Vec<Group<'a>> {
    let mut intervals: Vec<f64> = rows.iter().filter_map(|row| row.interval_s).collect();
    intervals.sort_by(|left, right| right.total_cmp(left));
    intervals.dedup();
    let of = |wanted: &dyn Fn(&Row) -> bool| {
        rows.iter().copied().filter(|row| wanted(row)).collect::<Vec<_>>()
    };
    let mut groups: Vec<Group<'a>> = intervals
        .into_iter()
        .map(|interval| Group {
            heading: format!("Polling every {}", short_time(interval * 1e6)),
            ink: palette::of(Way::POLL),
            rows: of(&|row| row.interval_s.is_some_and(|own| own.total_cmp(&interval).is_eq())),
        })
        .collect();
    for (heading, ink, family) in [
        ("Long polling", Way::Best(Transport::Longpoll), Family::Longpoll),
        ("Push", Way::TCP, Family::Push),
    ] {
        let rows = of(&|row| row.via.family() == family);
        if !rows.is_empty() {
            groups.push(Group { heading: heading.to_owned(), ink: palette::of(ink), rows });
        }
    }
    groups
}

fn text(svg: &mut String, (x, y): (f64, f64), class: &str, ink: &str, words: &str) {
    let words = escape(words);
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{ink}\">{words}</text>"
    );
}

fn head(svg: &mut String, report: &Report) {
    let run = &report.run;
    let when = match run.process {
        Process::Poisson => "at random times",
        Process::Steady => "at equal distances",
        Process::Burst => "in bursts",
        Process::Replay => "as they were recorded",
    };
    let published = report.contenders.first().map_or(0, |row| row.published);
    let rate = (run.rate * 1e3).round() / 1e3;
    let lead = format!(
        "{published} messages {when}, {rate} a second, received in {} ways. Each dot is a message.",
        report.contenders.len()
    );
    let _ = writeln!(
        svg,
        "<text id=\"title\" class=\"title\" x=\"{EDGE}\" y=\"46\" fill=\"{}\">How late a message \
         comes</text>",
        STRONG.light
    );
    text(svg, (EDGE, 72.0), "lead", TEXT.light, &lead);
    for (x, words) in COLUMNS {
        text(svg, (x, TOP - 14.0), "small end", TEXT.light, words);
    }
    text(svg, (LEFT, TOP - 14.0), "small", TEXT.light, "delay, from planned to delivered");
}

/// The times below the rows.
fn axis(svg: &mut String, most: f64, bottom: f64, x: &dyn Fn(f64) -> f64) {
    for at in ticks(most) {
        let shown = if at > 0.0 { short_time(at) } else { "0".to_owned() };
        text(svg, (x(at), bottom + 19.0), "small middle", TEXT.light, &shown);
    }
}

/// The rules behind some rows.
fn rules(svg: &mut String, most: f64, (top, bottom): (f64, f64), x: &dyn Fn(f64) -> f64) {
    for at in ticks(most) {
        let (left, ink) = (x(at), if at > 0.0 { RULE.light } else { AXIS.light });
        let _ = writeln!(svg, "<path d=\"M{left:.1} {top:.1}V{bottom:.1}\" stroke=\"{ink}\"/>");
    }
}

fn ticks(most: f64) -> impl Iterator<Item = f64> {
    let step = step(most);
    (0_u32..).map(move |n| f64::from(n) * step).take_while(move |at| *at <= most * 1.000_001)
}

/// From one rule to the next: 1, 2 or 5 of a decade, so that there are six at most.
fn step(most: f64) -> f64 {
    let decade = 10_f64.powf((most / 6.0).log10().floor());
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|n| n * decade)
        .find(|step| most / step <= 6.0)
        .unwrap_or(10.0 * decade)
}

fn lane(svg: &mut String, row: &Row, ink: Ink, y: f64, x: &dyn Fn(f64) -> f64) {
    let ink = ink.light;
    text(svg, (EDGE, y + 4.5), "", STRONG.light, row.via.title());
    let _ = writeln!(svg, "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"{}\"/>", RULE.light);
    let _ = write!(svg, "<g fill=\"{ink}\" fill-opacity=\"0.4\">");
    for (index, micros) in delays(row).into_iter().enumerate() {
        // The golden ratio puts neighbours far apart.
        let part = (float_of(index) * 0.618_034).fract() - 0.5;
        let (left, up) = (x(micros), y + part * SPREAD);
        let _ = write!(svg, "<circle cx=\"{left:.1}\" cy=\"{up:.1}\" r=\"{RADIUS}\"/>");
    }
    let _ = writeln!(svg, "</g>");
    let Some(latency) = row.latency_us else {
        return;
    };
    let (left, top) = (x(float(latency.p50)) - 1.5, y - 9.5);
    let _ = writeln!(
        svg,
        "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"3\" height=\"19\" rx=\"1.5\" fill=\"{ink}\" \
         stroke=\"#fff\"/>"
    );
    let each = row.wire_bytes_per_delivery.map_or_else(|| "–".to_owned(), bytes);
    let p99 = latency.p99.map_or_else(|| "–".to_owned(), |p99| time(float(p99)));
    let cells = [time(float(latency.p50)), p99, row.requests.to_string(), each];
    for (index, ((right, _), words)) in COLUMNS.into_iter().zip(cells).enumerate() {
        let class = if index == 0 { "most end" } else { "end" };
        text(svg, (right, y + 4.5), class, STRONG.light, &words);
    }
}

/// The delays of a row in microseconds, so many evenly out of all that more would not show more.
fn delays(row: &Row) -> Vec<f64> {
    let repeat = |(value, count): &(u64, u64)| {
        std::iter::repeat_n(float(*value), usize::try_from(*count).unwrap_or(usize::MAX))
    };
    let all: Vec<f64> = row.histogram_us.iter().flat_map(repeat).collect();
    let count = all.len().min(DOTS_MAX);
    (0..count).map(|index| all[index * all.len() / count]).collect()
}

/// How it was measured, and what casts doubt on it, in lines that fit.
fn notes(report: &Report) -> Vec<String> {
    let machine = &report.machine;
    let kernel = machine.kernel.as_deref().unwrap_or_default();
    let kernel: String = kernel.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let mut notes = vec![
        "The bar is the median. Bytes are those on the wire for each message, the headers of packets \
         and acknowledgements included."
            .to_owned(),
        format!(
            "Measured by doorbell compare on {} cores, {} {kernel}. {}",
            machine.cores,
            capital(machine.os),
            report.run.link
        ),
    ];
    notes.extend(report.generator.warnings.iter().map(|text| format!("Warning: {text}.")));
    notes.iter().flat_map(|note| cut(note)).collect()
}

/// A text in lines that are cut between words.
fn cut(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last().map_or(0, |line| line.chars().count());
        if last > 0 && last + 1 + word.chars().count() > FOOT_CHARS {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    lines
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_below_fits_into_its_lines() {
        let text = "words and words and ".repeat(20);
        let lines = cut(text.trim());
        assert!(lines.len() > 2 && lines.iter().all(|line| line.len() <= FOOT_CHARS), "{lines:?}");
        assert_eq!(lines.join(" "), text.trim());
    }

    #[test]
    fn an_axis_has_round_steps_and_not_too_many() {
        for (most, expected) in [(5e6, 1e6), (7e6, 2e6), (12e6, 2e6), (31e6, 1e7), (3100.0, 1000.0)]
        {
            assert!((step(most) - expected).abs() < 1e-6, "{most}: {}", step(most));
        }
    }
}
