//! Messages as lines for people: `2026-11-30 12:34:56  topic  [high]  title — message  #tag`.
//!
//! Messages come from strangers, so whatever could move a terminal's cursor, recolour it or turn
//! the direction of writing is shown, not sent.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use doorbell::Event;
use doorbell_protocol::Kind;
use jiff::Timestamp;
use jiff::tz::TimeZone;

const FAINT: Style = Style::new().dimmed();
const TOPIC: Style = AnsiColor::Cyan.on_default();
const TITLE: Style = Style::new().bold();
const TAGS: Style = AnsiColor::Magenta.on_default();
const URGENT: Style = AnsiColor::Red.on_default().bold();
const HIGH: Style = AnsiColor::Yellow.on_default();

/// What stands before each further line of a message.
const INDENT: &str = "\n          ";

/// Says something to the person at the terminal; that it can't be heard is no reason to stop.
pub(crate) fn talk(text: &str) {
    let _ = writeln!(anstream::stderr(), "doorbell: {}", escape(text, " "));
}

/// A message in colour, without the end of its last line. `zone` is where the reader's clock is.
pub(crate) fn message(event: &Event<'_>, zone: &TimeZone) -> String {
    let topic = escape(event.topic.as_deref().unwrap_or_default(), " ");
    let mut parts = vec![paint(FAINT, &clock(event.time, zone)), paint(TOPIC, &topic)];
    parts.extend(priority(event.priority));
    let text = match event.event {
        Kind::MessageClear => done(event, "seen"),
        Kind::MessageDelete => done(event, "deleted"),
        _ => escape(event.message.as_deref().unwrap_or_default(), INDENT),
    };
    parts.push(match event.title.as_deref() {
        Some(title) => format!("{} — {text}", paint(TITLE, &escape(title, " "))),
        None => text,
    });
    if !event.tags.is_empty() {
        let tags = event.tags.iter().map(|tag| format!("#{}", escape(tag, " ")));
        parts.push(paint(TAGS, &tags.collect::<Vec<_>>().join(" ")));
    }
    if let Some(file) = &event.attachment {
        parts.push(paint(FAINT, &escape(&file.url, " ")));
    }
    parts.join("  ")
}

/// What was done to the messages of a sequence id.
fn done(event: &Event<'_>, what: &str) -> String {
    let of = escape(event.sequence_id.as_deref().unwrap_or_default(), " ");
    paint(FAINT, &format!("{what}: {of}"))
}

fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

fn clock(seconds: u64, zone: &TimeZone) -> String {
    let accepted =
        i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let Some(accepted) = accepted else {
        return "---------- --:--:--".to_owned();
    };
    accepted.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn priority(priority: Option<u8>) -> Option<String> {
    let (style, name) = match priority? {
        1 => (FAINT, "[min]"),
        2 => (FAINT, "[low]"),
        4 => (HIGH, "[high]"),
        5 => (URGENT, "[max]"),
        _ => return None,
    };
    Some(paint(style, name))
}

/// Text from outside, made fit for a terminal. `newline` stands for the end of a line.
pub(crate) fn escape(text: &str, newline: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str(newline),
            '\t' => out.push(c),
            _ if c.is_control() || turns_writing(c) => out.extend(c.escape_unicode()),
            _ => out.push(c),
        }
    }
    out
}

/// The invisible characters that reorder what stands around them, and the two that end a line.
fn turns_writing(c: char) -> bool {
    matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;
    use proptest::prelude::*;

    use super::*;

    fn shown(json: &str) -> String {
        let event: Event<'_> = Event::parse(json.as_bytes()).unwrap();
        message(&event, &TimeZone::UTC)
    }

    #[test]
    fn a_line_has_the_address_of_a_file_wherever_that_lies() {
        let line = shown(
            r#"{"time":1763850000,"event":"message","topic":"t","message":"m",
            "attachment":{"name":"a.jpg","url":"https://x.example/a.jpg"}}"#,
        );
        assert_eq!(
            strip_str(&line).to_string(),
            "2025-11-22 22:20:00  t  m  https://x.example/a.jpg"
        );
    }

    #[test]
    fn a_line_has_time_topic_priority_title_message_and_tags() {
        let line = shown(
            r#"{"time":1763850000,"event":"message","topic":"a.b","message":"hi","title":"T",
                "priority":4,"tags":["x","y"]}"#,
        );
        assert!(line.contains('\u{1b}'));
        assert_eq!(strip_str(&line).to_string(), "2025-11-22 22:20:00  a.b  [high]  T — hi  #x #y");
    }

    #[test]
    fn what_was_done_to_a_message_is_told_in_a_word() {
        let line = shown(
            r#"{"time":1763850000,"event":"message_delete","topic":"a","sequence_id":"s\u001b1"}"#,
        );
        assert_eq!(strip_str(&line).to_string(), "2025-11-22 22:20:00  a  deleted: s\\u{1b}1");
    }

    #[test]
    fn what_is_absent_leaves_nothing() {
        let line = shown(r#"{"time":1763750000,"event":"message","topic":"a","message":"hi"}"#);
        assert_eq!(strip_str(&line).to_string(), "2025-11-21 18:33:20  a  hi");
    }

    #[test]
    fn further_lines_are_indented_and_control_characters_shown() {
        let line = shown(
            r#"{"time":1763850000,"event":"message","topic":"a",
                "message":"one\ntwo \u001b[31m\u009b\r\u202e","title":"x\ny"}"#,
        );
        assert_eq!(
            strip_str(&line).to_string(),
            "2025-11-22 22:20:00  a  x y — one\n          two \\u{1b}[31m\\u{9b}\\u{d}\\u{202e}"
        );
    }

    #[test]
    fn a_time_beyond_every_calendar_is_no_reason_to_fail() {
        let line = shown(r#"{"time":18446744073709551615,"event":"message","topic":"a"}"#);
        assert!(strip_str(&line).to_string().starts_with("---------- --:--:--  a"));
    }

    proptest! {
        #[test]
        fn nothing_that_a_terminal_obeys_is_left(text in any::<String>()) {
            let shown = escape(&text, " ");
            prop_assert!(!shown.chars().any(|c| c != '\t' && c.is_control()));
        }
    }
}
