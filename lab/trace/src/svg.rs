//! A trace as a picture: one SVG file that needs nothing else, for light and for dark pages.

use std::fmt::Write;

use doorbell_wire::{Phase, Side, Step, Sum};

use crate::picture::{Picture, Row, details, duration, grouped};

const WIDTH: u32 = 920;
const CLIENT_X: u32 = 220;
const SERVER_X: u32 = 760;
const MIDDLE_X: u32 = u32::midpoint(CLIENT_X, SERVER_X);
/// How far an arrow sinks: it takes time to arrive.
const SLANT: u32 = 8;
const TOP: u32 = 128;
/// Characters of words and of numbers that fit between the lifelines.
const CHARS_MAX: usize = 66;

const STYLE: &str = "\
svg{--paper:#fff;--ink:#1c2430;--soft:#667085;--line:#c6ccd6;--band:#f4f6f9;--open:#2563eb;\
--request:#b45309;--answer:#15803d;--push:#be185d;--close:#0f766e;background:var(--paper)}
@media(prefers-color-scheme:dark){svg{--paper:#12161c;--ink:#e8ebf0;--soft:#98a2b3;--line:#3a4350;\
--band:#1a2029;--open:#7aa7ff;--request:#f0b05a;--answer:#62c98a;--push:#f480b4;--close:#5ec8bd}}
text{font:13px system-ui,'Segoe UI',sans-serif;fill:var(--ink)}
.title{font-size:20px;font-weight:650}.soft{fill:var(--soft)}.small{font-size:12px}
.number{white-space:pre;font-family:ui-monospace,'DejaVu Sans Mono',monospace;font-size:11.5px;fill:var(--soft)}
.words{font-weight:600}.end{text-anchor:end}.middle{text-anchor:middle}
.name{font-weight:650;font-size:12px}.life{stroke:var(--line);stroke-width:2}
.silence{stroke:var(--line);stroke-width:2;stroke-dasharray:2 5}
.arrow{fill:none;stroke-width:1.8}.ack{stroke-width:1.2;stroke-dasharray:5 3}
.box{fill:var(--band);stroke:var(--line)}
.open{--c:var(--open)}.request{--c:var(--request)}.answer{--c:var(--answer)}.push{--c:var(--push)}\
.close{--c:var(--close)}
.inked{fill:var(--c)}.drawn{stroke:var(--c)}";

pub(crate) fn render(picture: &Picture) -> String {
    let mut canvas = Canvas { body: String::new(), y: TOP };
    let mut groups: Vec<(Phase, u32, u32)> = Vec::new();
    for row in picture.rows() {
        let begin = canvas.y;
        match row {
            Row::Step(step) => {
                canvas.step(step);
                match groups.last_mut() {
                    Some((phase, _, end)) if *phase == step.phase && *end == begin => {
                        *end = canvas.y;
                    }
                    _ => groups.push((step.phase, begin, canvas.y)),
                }
            }
            Row::Silence(time) => canvas.silence(time),
            Row::Published => canvas.published(),
        }
    }
    for (phase, begin, end) in groups {
        canvas.group(phase, begin, end);
    }
    canvas.y += 34;
    canvas.sums(picture);
    canvas.remarks(picture);
    let height = canvas.y + 20;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\" aria-labelledby=\"title\">\n\
         <style>{STYLE}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"var(--paper)\"/>\n"
    );
    head(&mut out, picture);
    out.push_str(&canvas.body);
    out.push_str("</svg>\n");
    out
}

fn head(out: &mut String, picture: &Picture) {
    let title = format!("One subscription by {}, one message", picture.via.description());
    let subtitle = format!(
        "topic {}, message '{}': every packet that crossed the wire",
        picture.topic,
        cut(&picture.message, 40)
    );
    let _ = writeln!(
        out,
        "<text id=\"title\" class=\"title\" x=\"24\" y=\"38\">{}</text>\n\
         <text class=\"soft\" x=\"24\" y=\"60\">{}</text>",
        escape(&title),
        escape(&subtitle)
    );
    for (x, name, address) in
        [(CLIENT_X, "client", picture.client), (SERVER_X, "server", picture.server)]
    {
        let left = x - 80;
        let _ = writeln!(
            out,
            "<rect class=\"box\" x=\"{left}\" y=\"80\" width=\"160\" height=\"40\" rx=\"8\"/>\n\
             <text class=\"name middle\" x=\"{x}\" y=\"97\">{name}</text>\n\
             <text class=\"number middle\" x=\"{x}\" y=\"112\">{address}</text>"
        );
    }
    let _ = writeln!(
        out,
        "<text class=\"soft small end\" x=\"{}\" y=\"112\">time</text>\n\
         <text class=\"soft small end\" x=\"{}\" y=\"112\">bytes</text>",
        CLIENT_X - 92,
        WIDTH - 24
    );
}

/// What is drawn so far, from top to bottom.
struct Canvas {
    body: String,
    y: u32,
}

impl Canvas {
    fn lifelines(&mut self, height: u32, class: &str) {
        for x in [CLIENT_X, SERVER_X] {
            let _ = writeln!(self.body, "<path class=\"{class}\" d=\"M{x} {}v{height}\"/>", self.y);
        }
    }

    fn step(&mut self, step: &Step) {
        let has_payload = step.payload_bytes > 0;
        let height = if has_payload { 54 } else { 34 };
        self.lifelines(height, "life");
        let from_y = self.y + height - SLANT - 8;
        let to_y = from_y + SLANT;
        let (from_x, to_x, tip) = match step.from {
            Side::Client => (CLIENT_X + 3, SERVER_X - 3, SERVER_X - 12),
            Side::Server => (SERVER_X - 3, CLIENT_X + 3, CLIENT_X + 12),
        };
        let is_ack = step.words == "ACK";
        let class = if is_ack { "arrow ack drawn" } else { "arrow drawn" };
        let phase = step.phase;
        let _ = writeln!(
            self.body,
            "<g class=\"{phase}\"><path class=\"{class}\" d=\"M{from_x} {from_y}L{tip} {to_y}\"/>\
             <path class=\"inked\" d=\"M{to_x} {to_y}L{tip} {}V{}z\"/></g>",
            to_y - 4,
            to_y + 4
        );
        let text_y = from_y - 3;
        let numbers = escape(&details(step));
        let words = escape(&cut(&step.words, CHARS_MAX));
        if has_payload {
            let _ = writeln!(
                self.body,
                "<g class=\"{phase}\"><text class=\"words middle inked\" x=\"{MIDDLE_X}\" \
                 y=\"{}\">{words}</text></g>\n\
                 <text class=\"number middle\" x=\"{MIDDLE_X}\" y=\"{text_y}\">{numbers}</text>",
                text_y - 15
            );
        } else {
            let _ = writeln!(
                self.body,
                "<text class=\"number middle\" x=\"{MIDDLE_X}\" y=\"{text_y}\"><tspan \
                 class=\"{phase}\" style=\"fill:var(--c);font-weight:600\">{words}</tspan>  \
                 {numbers}</text>"
            );
        }
        let _ = writeln!(
            self.body,
            "<text class=\"number end\" x=\"{}\" y=\"{to_y}\">{}</text>\n\
             <text class=\"number end\" x=\"{}\" y=\"{to_y}\">{}</text>",
            CLIENT_X - 14,
            duration(step.at_us),
            WIDTH - 24,
            grouped(step.wire_bytes)
        );
        self.y += height;
    }

    /// A time that is not drawn to scale.
    fn silence(&mut self, time: f64) {
        self.lifelines(40, "silence");
        let _ = writeln!(
            self.body,
            "<text class=\"soft small middle\" x=\"{MIDDLE_X}\" y=\"{}\">{} without a \
             packet</text>",
            self.y + 24,
            duration(time)
        );
        self.y += 40;
    }

    fn published(&mut self) {
        self.lifelines(36, "life");
        let _ = writeln!(
            self.body,
            "<rect class=\"box\" x=\"{}\" y=\"{}\" width=\"270\" height=\"24\" rx=\"12\"/>\n\
             <text class=\"small middle\" x=\"{MIDDLE_X}\" y=\"{}\">somebody else publishes the \
             message</text>",
            MIDDLE_X - 135,
            self.y + 6,
            self.y + 22
        );
        self.y += 36;
    }

    /// The name of a phase, along its rows.
    fn group(&mut self, phase: Phase, begin: u32, end: u32) {
        let (top, height) = (begin + 6, end - begin - 8);
        let _ = writeln!(
            self.body,
            "<g class=\"{phase}\"><rect class=\"inked\" x=\"24\" y=\"{top}\" width=\"4\" \
             height=\"{height}\" rx=\"2\"/><text class=\"name inked\" x=\"36\" y=\"{}\">{phase}\
             </text></g>",
            begin + 25
        );
    }

    /// The phases' bytes as one bar, and as numbers.
    fn sums(&mut self, picture: &Picture) {
        let (left, room) = (24, WIDTH - 48);
        let total = picture.dialogue.total();
        let mut x = f64::from(left);
        for (phase, sum) in picture.sums() {
            #[allow(clippy::cast_precision_loss, reason = "a few thousand bytes")]
            let width = f64::from(room) * sum.wire_bytes as f64 / total.wire_bytes.max(1) as f64;
            let _ = writeln!(
                self.body,
                "<g class=\"{phase}\"><rect class=\"inked\" x=\"{x:.1}\" y=\"{}\" \
                 width=\"{:.1}\" height=\"12\" rx=\"2\"/></g>",
                self.y,
                (width - 2.0).max(1.0)
            );
            x += width;
        }
        self.y += 34;
        let columns = [320, 430, 540, 650];
        for (x, name) in columns.iter().zip(["packets", "bytes", "headers", "payload"]) {
            let y = self.y;
            let _ = writeln!(
                self.body,
                "<text class=\"soft small end\" x=\"{x}\" y=\"{y}\">{name}</text>"
            );
        }
        for (phase, sum) in picture.sums() {
            self.sum(phase.name(), phase.name(), sum, &columns);
        }
        let dialogue = &picture.dialogue;
        self.sum("client to server", "plain", dialogue.sent_by(Side::Client), &columns);
        self.sum("server to client", "plain", dialogue.sent_by(Side::Server), &columns);
        self.sum("in all", "plain", total, &columns);
        self.y += 12;
    }

    fn sum(&mut self, name: &str, class: &str, sum: Sum, columns: &[u32; 4]) {
        self.y += 20;
        let y = self.y;
        let style = if class == "plain" { "" } else { " style=\"fill:var(--c)\"" };
        let _ = writeln!(
            self.body,
            "<text class=\"{class} name\"{style} x=\"24\" y=\"{y}\">{name}</text>"
        );
        let headers = sum.wire_bytes - sum.payload_bytes;
        let numbers = [sum.packets, sum.wire_bytes, headers, sum.payload_bytes];
        for (x, number) in columns.iter().zip(numbers) {
            let number = grouped(number);
            let _ = writeln!(
                self.body,
                "<text class=\"number end\" x=\"{x}\" y=\"{y}\">{number}</text>"
            );
        }
    }

    fn remarks(&mut self, picture: &Picture) {
        for remark in picture.remarks() {
            self.y += 10;
            for text in lines(&remark, 128) {
                self.y += 18;
                let y = self.y;
                let text = escape(&text);
                let _ = writeln!(
                    self.body,
                    "<text class=\"soft small\" x=\"24\" y=\"{y}\">{text}</text>"
                );
            }
        }
    }
}

fn lines(text: &str, chars_max: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= chars_max => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn cut(text: &str, chars_max: usize) -> String {
    let mut out: String = text.chars().take(chars_max).collect();
    if text.chars().nth(chars_max).is_some() {
        out.push('…');
    }
    out
}

/// A text as XML takes it; what no XML may have is left out.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            _ => out.push(c),
        }
    }
    out
}
