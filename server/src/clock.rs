//! The wall clock, as the wire tells it.

use std::time::SystemTime;

/// Microseconds since the unix epoch; 0 where the clock stands before it.
pub fn unix_micros() -> u64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX)
}

/// Seconds since the unix epoch; 0 where the clock stands before it.
pub fn unix_seconds() -> u64 {
    unix_micros() / 1_000_000
}
