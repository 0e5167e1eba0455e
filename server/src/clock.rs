//! What time it is: of the wall, as the wire tells it, and since the machine started, as durations
//! are measured. Only the second one never jumps.

use std::fmt::Debug;
use std::time::SystemTime;

use rustix::time::{ClockId, clock_gettime};

/// One moment, by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Unix microseconds; 0 where the clock stands before 1970. It may go either way at any time.
    pub unix_us: u64,
    /// Microseconds since the machine started, also while it slept.
    pub since_boot_us: i64,
}

/// Tells the time.
pub trait Clock: Debug + Send + Sync {
    /// What time it is.
    fn now(&self) -> Now;
}

/// The clocks of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let boot = clock_gettime(ClockId::Boottime);
        let since_boot_us = boot.tv_sec.saturating_mul(1_000_000) + boot.tv_nsec / 1000;
        Now { unix_us: unix_micros(), since_boot_us }
    }
}

/// Microseconds since the unix epoch; 0 where the clock stands before it.
pub fn unix_micros() -> u64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX)
}

/// Seconds since the unix epoch; 0 where the clock stands before it.
pub fn unix_seconds() -> u64 {
    unix_micros() / 1_000_000
}
