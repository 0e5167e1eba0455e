//! A trace as text: two lifelines and arrows of box-drawing characters, at most 100 columns wide.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use doorbell_wire::{Phase, Side, Step, Sum};

use crate::picture::{Picture, Row, details, duration, grouped};

const WIDTH: usize = 98;
/// Columns between the lifelines.
const ARROW: usize = 62;
/// Columns left of the first lifeline: phase and time.
const LEFT: usize = 20;
const FAINT: Style = Style::new().dimmed();
const STRONG: Style = Style::new().bold();

pub(crate) fn render(picture: &Picture) -> String {
    let mut out = String::new();
    let title = format!(
        "one subscription to {} by {}, one message: every packet on the wire",
        picture.topic,
        picture.via.description()
    );
    line(&mut out, &paint(STRONG, &cut(&title, WIDTH)));
    line(&mut out, "");
    head(&mut out, picture);
    let mut phase = None;
    for row in picture.rows() {
        match row {
            Row::Step(step) => {
                let name = if phase == Some(step.phase) { "" } else { step.phase.name() };
                phase = Some(step.phase);
                arrow(&mut out, step, name);
            }
            Row::Silence(time) => {
                let text = format!("{} without a packet", duration(time));
                between(&mut out, &text, FAINT);
            }
            Row::Published => {
                phase = None;
                between(&mut out, "── somebody else publishes the message ──", STRONG);
            }
        }
    }
    line(&mut out, &format!("{:LEFT$}┴{:ARROW$}┴", "", ""));
    sums(&mut out, picture);
    for remark in picture.remarks() {
        line(&mut out, "");
        for text in wrapped(&remark) {
            line(&mut out, &text);
        }
    }
    out
}

fn line(out: &mut String, text: &str) {
    out.push_str(text.trim_end());
    out.push('\n');
}

fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

fn colour(phase: Phase) -> Style {
    let colour = match phase {
        Phase::Open => AnsiColor::Blue,
        Phase::Request => AnsiColor::Yellow,
        Phase::Answer => AnsiColor::Green,
        Phase::Push => AnsiColor::Magenta,
        Phase::Close => AnsiColor::Cyan,
    };
    colour.on_default()
}

fn head(out: &mut String, picture: &Picture) {
    let (client, server) =
        (format!("client {}", picture.client), format!("server {}", picture.server));
    // Each name stands at its lifeline, the server's to the left of its end.
    let room = ARROW + 8 - client.chars().count().min(ARROW);
    line(out, &format!("{:indent$}{client}{server:>room$}", "", indent = LEFT - 3));
    let labels = format!("{:<9}{:>9}  ┬{:ARROW$}┬{:>8}", "phase", "time", "", "bytes");
    line(out, &paint(FAINT, &labels));
}

/// A segment: what it says above the line, how TCP says it on the line.
fn arrow(out: &mut String, step: &Step, phase: &str) {
    let style = colour(step.phase);
    let phase = paint(style, &format!("{phase:<9}"));
    let time = format!("{:>9}", duration(step.at_us));
    let time = if step.payload_bytes == 0 {
        time
    } else {
        let words = cut(&step.words, ARROW - 4);
        let words = if step.from == Side::Client {
            format!("  {words:<width$}", width = ARROW - 2)
        } else {
            format!("{words:>width$}  ", width = ARROW - 2)
        };
        line(out, &format!("{phase}{time}  │{}│", paint(style.bold(), &words)));
        " ".repeat(9)
    };
    let phase = if step.payload_bytes == 0 { phase } else { " ".repeat(9) };
    let mut label = details(step);
    if step.payload_bytes == 0 {
        label = format!("{}  {label}", step.words);
    }
    let label = cut(&label, ARROW - 8);
    let rest = "─".repeat(ARROW - 6 - label.chars().count());
    let (begin, end) = match step.from {
        Side::Client => (format!("├── {label} "), format!("{rest}▶│")),
        Side::Server => (format!("│◀{rest}"), format!(" {label} ──┤")),
    };
    let bytes = grouped(step.wire_bytes);
    line(out, &format!("{phase}{time}  {}{bytes:>8}", paint(style, &format!("{begin}{end}"))));
}

/// What is no segment.
fn between(out: &mut String, text: &str, style: Style) {
    let text = format!("{text:^ARROW$}");
    line(out, &format!("{:LEFT$}┊{}┊", "", paint(style, &text)));
}

fn sums(out: &mut String, picture: &Picture) {
    line(out, "");
    let labels =
        format!("{:<18}{:>9}{:>10}{:>10}{:>10}", "", "packets", "bytes", "headers", "payload");
    line(out, &paint(FAINT, &labels));
    let mut row = |name: &str, style: Style, sum: Sum| {
        let name = paint(style, &format!("{name:<18}"));
        let headers = sum.wire_bytes - sum.payload_bytes;
        let numbers = [sum.packets, sum.wire_bytes, headers, sum.payload_bytes].map(grouped);
        let [packets, bytes, headers, payload] = numbers;
        line(out, &format!("{name}{packets:>9}{bytes:>10}{headers:>10}{payload:>10}"));
    };
    for (phase, sum) in picture.sums() {
        row(phase.name(), colour(phase), sum);
    }
    row("client to server", FAINT, picture.dialogue.sent_by(Side::Client));
    row("server to client", FAINT, picture.dialogue.sent_by(Side::Server));
    row("in all", STRONG, picture.dialogue.total());
}

/// So many characters of a text, the last one a mark if there were more.
fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(chars_max - 1).collect();
    out.push('…');
    out
}

/// A text in lines of the drawing's width.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last().map_or(0, |line| line.chars().count());
        if last + 1 + word.chars().count() > WIDTH {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            let space = if line.is_empty() { "" } else { " " };
            let _ = write!(line, "{space}{word}");
        }
    }
    lines
}
