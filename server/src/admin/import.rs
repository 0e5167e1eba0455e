//! Messages as JSON lines, on their way into a log.

use std::io::{self, BufRead};

use doorbell_protocol::Event;

use crate::clock::{Clock, Now, SystemClock};
use crate::log::Log;

/// Stores the messages that come as JSON lines on standard input, with their times; how many.
pub(super) fn stored_lines(log: &dyn Log) -> Result<u64, String> {
    let mut count = 0_u64;
    for (index, line) in io::stdin().lock().lines().enumerate() {
        let wrong = |why: &str| format!("line {}: {why}", index + 1);
        let line = line.map_err(|error| wrong(&error.to_string()))?;
        if line.trim().is_empty() {
            continue;
        }
        let event = Event::parse(line.as_bytes()).map_err(|error| wrong(&error.to_string()))?;
        if !event.event.is_published() {
            continue;
        }
        let time_us = if event.time_us > 0 { event.time_us } else { event.time * 1_000_000 };
        let draft = event.into_draft().map_err(|error| wrong(error.text()))?;
        let now = Now { unix_us: time_us, ..SystemClock.now() };
        log.append(&[draft.into()], now).map_err(|error| wrong(&error.to_string()))?;
        count += 1;
    }
    Ok(count)
}
