//! The user's own traffic: times, sizes and topics from a file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use doorbell_instruments::Failure;
use serde::Deserialize;

use crate::flags::PAYLOAD_MIN;
use crate::schedule::Planned;

/// Bytes of one line of the file.
const LINE_BYTES_MAX: u64 = 4 << 20;
/// Topics of one run.
const TOPICS_MAX: usize = 10_000;

/// A line of the file. `time_us` is more exact, so it wins.
#[derive(Debug, Deserialize)]
struct Line {
    #[serde(default)]
    time: Option<f64>,
    #[serde(default)]
    time_us: Option<u64>,
    #[serde(default)]
    event: Option<String>,
    #[serde(default)]
    topic: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

impl Line {
    fn seconds(&self) -> Option<f64> {
        #[allow(clippy::cast_precision_loss, reason = "microseconds since 1970 fit 53 bits")]
        let exact = self.time_us.map(|micros| micros as f64 / 1e6);
        exact.or(self.time).filter(|time| time.is_finite())
    }
}

/// Reads a file: messages in the order of their times, the first one at once.
pub(crate) fn read(path: &Path, speed: f64, max: usize) -> Result<Vec<Planned>, Failure> {
    let name = path.display();
    let unreadable = |error| Failure::Usage(format!("{name} cannot be read: {error}"));
    let reader = BufReader::new(File::open(path).map_err(unreadable)?);
    parse(reader, speed, max).map_err(|error| match error {
        Failure::Usage(text) => Failure::Usage(format!("{name}: {text}")),
        error => error,
    })
}

fn parse(mut reader: impl BufRead, speed: f64, max: usize) -> Result<Vec<Planned>, Failure> {
    let mut topics: HashMap<String, u32> = HashMap::new();
    let mut messages: Vec<(f64, u32, u32)> = Vec::new();
    let mut text = Vec::new();
    for number in 1.. {
        text.clear();
        if reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut text)? == 0 {
            break;
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        let wrong = |reason: String| Failure::Usage(format!("line {number}: {reason}"));
        let line: Line = serde_json::from_slice(&text)
            .map_err(|error| wrong(format!("no JSON object with a time: {error}")))?;
        if line.event.as_deref().is_some_and(|event| event != "message") {
            continue;
        }
        let seconds =
            line.seconds().ok_or_else(|| wrong("it has neither time nor time_us".to_owned()))?;
        let count = u32::try_from(topics.len()).unwrap_or(u32::MAX);
        let topic = *topics.entry(line.topic.unwrap_or_default()).or_insert(count);
        let bytes = line.message.map_or(0, |message| message.len());
        let least = usize::try_from(PAYLOAD_MIN).unwrap_or(0);
        messages.push((seconds, topic, u32::try_from(bytes.max(least)).unwrap_or(u32::MAX)));
        if messages.len() > max || topics.len() > TOPICS_MAX {
            return Err(wrong(format!("more than {max} messages or {TOPICS_MAX} topics")));
        }
    }
    messages.sort_by(|a, b| a.0.total_cmp(&b.0));
    let Some((first, ..)) = messages.first().copied() else {
        return Err(Failure::Usage("there is no message in it".to_owned()));
    };
    let planned = messages.into_iter().map(|(seconds, topic, bytes)| {
        let at = Duration::try_from_secs_f64((seconds - first) / speed);
        Some(Planned { at: at.ok()?, topic, bytes })
    });
    planned
        .collect::<Option<_>>()
        .ok_or_else(|| Failure::Usage("its times are too far apart".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(text: &str, speed: f64) -> Result<Vec<Planned>, String> {
        parse(text.as_bytes(), speed, 3).map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn times_sizes_and_topics_are_kept() {
        let text = "{\"time\":102.5,\"topic\":\"b\",\"message\":\"a message of some length\"}\n\n\
            {\"time_us\":100000000,\"time\":7,\"topic\":\"a\"}\n\
            {\"event\":\"keepalive\",\"time\":101}\n";
        let planned = planned(text, 2.0).unwrap();
        assert_eq!(planned[0], Planned { at: Duration::ZERO, topic: 1, bytes: 12 });
        let second = Planned { at: Duration::from_millis(1250), topic: 0, bytes: 24 };
        assert_eq!(planned[1], second);
        assert_eq!(planned.len(), 2);
    }

    #[test]
    fn what_cannot_be_replayed_is_refused_with_its_line() {
        for (text, expected) in [
            ("", "no message in it"),
            ("{\"time\":1}\nhello\n", "line 2: no JSON object"),
            ("{\"message\":\"x\"}\n", "line 1: it has neither time"),
            ("{\"time\":1}\n{\"time\":1}\n{\"time\":1}\n{\"time\":1}\n", "more than 3 messages"),
            ("{\"time\":0}\n{\"time\":1e300}\n", "too far apart"),
        ] {
            let error = planned(text, 1.0).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
