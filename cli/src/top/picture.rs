//! What was seen, as a text of columns.

use std::collections::HashMap;
use std::fmt::Write as _;

use doorbell::Server;

use super::look::{Connections, Counters, Look, Row};
use crate::text::escape;

/// Characters of the longest filter that is shown.
const FILTER_CHARS_MAX: usize = 24;

/// The text. Rates are those since the look before; without one, the means since the beginning.
pub(super) fn picture(server: &Server, look: &Look, before: Option<&Look>) -> String {
    let mut text = String::new();
    head(&mut text, server, look, before);
    ways(&mut text, look, before);
    match &look.connections {
        Ok(connections) => table(&mut text, connections, look, before),
        Err(reason) => {
            line(&mut text, &format!("Connections are not shown: {}", escape(reason, " ")));
        }
    }
    text
}

fn head(text: &mut String, server: &Server, look: &Look, before: Option<&Look>) {
    let stats = &look.stats;
    let seconds = seconds(look, before, stats.uptime_seconds);
    let earlier = |pick: fn(&Look) -> u64| before.map_or(0, pick);
    line(text, &format!("{server}, up {}", time(stats.uptime_seconds)));
    line(
        text,
        &format!(
            "published {} ({}/s), refused {}; delivered {} ({}/s); polls {}, empty {}",
            stats.messages,
            rate(stats.messages, earlier(|look| look.stats.messages), seconds),
            stats.messages_refused,
            stats.deliveries,
            rate(stats.deliveries, earlier(|look| look.stats.deliveries), seconds),
            stats.polls,
            stats.polls_empty,
        ),
    );
    let cpu = before.map_or(0.0, |look| look.stats.process.cpu_seconds);
    line(
        text,
        &format!(
            "topics {}, sockets {}, log {}, memory {}, processor {:.0} %\n",
            stats.topics,
            stats.sockets,
            bytes(stats.log.bytes),
            stats.process.resident_bytes.map_or_else(|| "-".to_owned(), bytes),
            100.0 * (stats.process.cpu_seconds - cpu).max(0.0) / seconds,
        ),
    );
}

fn ways(text: &mut String, look: &Look, before: Option<&Look>) {
    line(text, "WAY         READERS  DELIVERED    PER S     BYTES  BYTES/S  GAPS");
    let seconds = seconds(look, before, look.stats.uptime_seconds);
    for (name, counters) in &look.stats.transports {
        if counters.readers == 0 && counters.deliveries == 0 {
            continue;
        }
        let earlier = before.and_then(|look| look.stats.transports.get(name));
        let earlier = earlier.copied().unwrap_or_default();
        let Counters { deliveries, bytes: sent, readers, gaps } = counters;
        line(
            text,
            &format!(
                "{:<10} {readers:>8} {deliveries:>10} {:>8} {:>9} {:>8} {gaps:>5}",
                fit(name, 10),
                rate(*deliveries, earlier.deliveries, seconds),
                bytes(*sent),
                bytes_a_second(*sent, earlier.bytes, seconds),
            ),
        );
    }
    text.push('\n');
}

/// Those that are behind come first, the furthest before the others.
fn table(text: &mut String, connections: &Connections, look: &Look, before: Option<&Look>) {
    let (total, shown) = (connections.total, connections.rows.len());
    line(
        text,
        "CONNECTION  VIA       PEER                   AGE      READS                     BEHIND   \
         OUT/S     OUT      IN/S      IN       RTT",
    );
    let earlier: HashMap<u64, &Row> = before
        .and_then(|look| look.connections.as_ref().ok())
        .map(|connections| connections.rows.iter().map(|row| (row.number, row)).collect())
        .unwrap_or_default();
    let mut rows: Vec<&Row> = connections.rows.iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.behind));
    for row in rows {
        let seen = earlier.get(&row.number);
        let seconds = seconds(look, before.filter(|_| seen.is_some()), row.age_s);
        let (out_before, in_before) = seen.map_or((0, 0), |row| (row.bytes_out, row.bytes_in));
        let reads = row.filter.as_deref().unwrap_or("-");
        let behind = row.filter.as_ref().map(|_| row.behind.to_string());
        line(
            text,
            &format!(
                "{:>10}  {:<8}  {:<21}  {:<7}  {:<24}  {:>6}  {:>7} {:>7}  {:>7} {:>7}  {:>8}",
                row.number,
                fit(&row.via, 8),
                fit(row.client.as_ref().unwrap_or(&row.peer), 21),
                time(row.age_s),
                fit(reads, FILTER_CHARS_MAX),
                behind.as_deref().unwrap_or("-"),
                bytes_a_second(row.bytes_out, out_before, seconds),
                bytes(row.bytes_out),
                bytes_a_second(row.bytes_in, in_before, seconds),
                bytes(row.bytes_in),
                row.rtt_us.map_or_else(|| "-".to_owned(), micros),
            ),
        );
    }
    if total > shown {
        line(text, &format!("Older ones that are not shown: {}", total - shown));
    }
}

/// Seconds since the look before; without one, since the beginning, and
/// no shorter time than one.
fn seconds(look: &Look, before: Option<&Look>, age: f64) -> f64 {
    let since = before.map(|before| look.at.duration_since(before.at).as_secs_f64());
    since.unwrap_or(age.max(1.0)).max(0.001)
}

#[allow(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
fn rate(now: u64, before: u64, seconds: f64) -> String {
    let rate = now.saturating_sub(before) as f64 / seconds;
    if rate < 100.0 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate needs no 53 bits, and is not negative"
)]
fn bytes_a_second(now: u64, before: u64, seconds: f64) -> String {
    bytes((now.saturating_sub(before) as f64 / seconds).round() as u64)
}

/// Three digits and a unit.
#[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
fn bytes(count: u64) -> String {
    let mut rest = count as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if rest < 999.5 {
            let digits = usize::from(rest < 9.95 && unit != "B");
            return format!("{rest:.digits$} {unit}");
        }
        rest /= 1000.0;
    }
    format!("{rest:.1} TB")
}

fn micros(count: u64) -> String {
    if count < 1000 { format!("{count} µs") } else { format!("{} ms", count / 1000) }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole seconds are shown, and none is negative"
)]
fn time(seconds: f64) -> String {
    let seconds = seconds as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// What comes from outside, fit for a terminal and for its column.
fn fit(text: &str, chars: usize) -> String {
    let text = escape(text, " ");
    if text.chars().count() <= chars {
        return text;
    }
    text.chars().take(chars - 1).chain(['…']).collect()
}

fn line(text: &mut String, line: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{}", line.trim_end_matches(' '));
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn look(at: Instant, stats: &str, connections: &str) -> Look {
        let connections = serde_json::from_str(connections).map_err(|error| error.to_string());
        Look { at, stats: serde_json::from_str(stats).unwrap(), connections }
    }

    #[test]
    fn rates_are_those_since_the_look_before_and_who_is_behind_comes_first() {
        let server = "http://127.0.0.1:8080".parse().unwrap();
        let at = Instant::now();
        let first = look(at, r#"{"messages":10,"uptime_seconds":5}"#, r#"{"total":0,"rows":[]}"#);
        assert!(picture(&server, &first, None).contains("published 10 (2.0/s)"));
        let second = look(
            at + Duration::from_secs(2),
            r#"{"messages":16,"uptime_seconds":7,
                "transports":{"tcp":{"readers":1,"deliveries":3,"bytes":2000}}}"#,
            r#"{"total":3,"rows":[{"number":7,"via":"http","age_s":1},
                {"number":6,"via":"tcp","filter":"a\u001b.>","behind":12,"age_s":90,"rtt_us":80}]}"#,
        );
        let text = picture(&server, &second, Some(&first));
        assert!(text.contains("published 16 (3.0/s)"), "{text}");
        assert!(
            text.contains("tcp               1          3      1.5    2.0 kB   1.0 kB     0"),
            "{text}"
        );
        let rows: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("CONN")).collect();
        assert!(rows[1].contains("tcp") && rows[1].contains("1 min"), "{text}");
        assert!(rows[1].contains("a\\u{1b}.>") && rows[1].contains("  12  "), "{text}");
        assert!(rows[2].contains("http"), "{text}");
        assert_eq!(rows[3], "Older ones that are not shown: 1");
    }

    #[test]
    fn a_server_that_shows_nobody_is_told_with_its_reason() {
        let server = "http://127.0.0.1:8080".parse().unwrap();
        let hidden = look(Instant::now(), "{}", "not shown");
        assert!(picture(&server, &hidden, None).contains("Connections are not shown: "));
    }

    #[test]
    fn quantities_have_three_digits() {
        for (count, expected) in
            [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (9949, "9.9 kB"), (123_456, "123 kB")]
        {
            assert_eq!(bytes(count), expected);
        }
        assert_eq!((micros(80), micros(1500)), ("80 µs".to_owned(), "1 ms".to_owned()));
    }
}
