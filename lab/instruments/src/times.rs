//! Times on a command line.

use std::time::Duration;

use doorbell_protocol::since::parse_duration;

/// The shortest and the longest time from one poll to the next that may be asked for.
pub const INTERVAL: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(3600));

/// Reads a time that is not zero, such as `500ms`, `30s`, `1m30s` or `2h`.
///
/// # Errors
///
/// A sentence that says how times are written.
pub fn time(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|time| !time.is_zero())
        .ok_or_else(|| "write a time such as 500ms, 30s, 1m30s or 2h".to_owned())
}

/// Reads a time between two bounds, both of which may be had.
///
/// # Errors
///
/// A sentence that says how times are written, or the bounds.
pub fn time_between(text: &str, (least, most): (Duration, Duration)) -> Result<Duration, String> {
    let time = time(text)?;
    if (least..=most).contains(&time) {
        Ok(time)
    } else {
        Err(format!("it must be from {least:?} to {} s", most.as_secs()))
    }
}
