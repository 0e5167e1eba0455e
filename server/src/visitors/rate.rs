//! How much in how long, and a bucket that holds no more than that.
//!
//! A bucket is one number: when it will be empty if nothing more comes (the generic cell rate
//! algorithm). It is full while that is as far off as the time of its rate, so that as much as the
//! rate says may come at once, and as much again while it runs out.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// So much at once, and as much again in that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Nothing if there is no limit.
    amount: u64,
    nanos: u64,
    /// How long one stays in a bucket, in parts of a nanosecond: a division for each is slow.
    one: u128,
}

/// Such parts of a nanosecond, as a power of two.
const PARTS: u32 = 32;

impl Rate {
    /// Whatever comes.
    pub const OFF: Self = Self { amount: 0, nanos: 0, one: 0 };

    /// So much in so long; `None` unless there is some of both.
    pub fn new(amount: u64, time: Duration) -> Option<Self> {
        let nanos = u64::try_from(time.as_nanos()).ok()?;
        let one = (u128::from(nanos) << PARTS).checked_div(u128::from(amount))?;
        (one > 0).then_some(Self { amount, nanos, one })
    }

    /// Whether there is no limit.
    pub const fn is_off(self) -> bool {
        self.amount == 0
    }

    /// How long so much stays in a bucket.
    fn time_of(self, cost: u64) -> u64 {
        u64::try_from(u128::from(cost).saturating_mul(self.one) >> PARTS).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Rate {
    /// As its setting is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] = [
            (3_600_000_000_000, "h"),
            (60_000_000_000, "m"),
            (1_000_000_000, "s"),
            (1_000_000, "ms"),
        ];
        if self.is_off() {
            return f.write_str("off");
        }
        let whole = UNITS.into_iter().find(|(unit, _)| self.nanos.is_multiple_of(*unit));
        let (unit, name) = whole.unwrap_or((1_000_000, "ms"));
        write!(f, "{}/{}{name}", self.amount, self.nanos.div_ceil(unit))
    }
}

/// A bucket. Its times are nanoseconds of one clock.
#[derive(Debug, Default)]
pub(super) struct Filled {
    until: AtomicU64,
}

impl Filled {
    /// How long it has no room for one, if it has none.
    pub(super) fn wait(&self, rate: Rate, now: u64) -> Option<Duration> {
        if rate.is_off() {
            return None;
        }
        let most = now.saturating_add(rate.nanos - rate.time_of(1));
        let over = self.until.load(Ordering::Relaxed).checked_sub(most)?;
        (over > 0).then(|| Duration::from_nanos(over))
    }

    /// How much it holds, and how much more goes in at once; `None` if that is not bounded.
    pub(super) fn room(&self, rate: Rate, now: u64) -> Option<(u64, u64)> {
        if rate.is_off() {
            return None;
        }
        let filled = self.until.load(Ordering::Relaxed).saturating_sub(now);
        let free = u128::from(rate.nanos.saturating_sub(filled));
        let room = free * u128::from(rate.amount) / u128::from(rate.nanos.max(1));
        Some((rate.amount, u64::try_from(room).unwrap_or(u64::MAX)))
    }

    /// Puts so much in.
    pub(super) fn add(&self, rate: Rate, cost: u64, now: u64) {
        if rate.is_off() {
            return;
        }
        let time = rate.time_of(cost);
        let added = |until: u64| Some(until.max(now).saturating_add(time));
        let _ = self.until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added);
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self, now: u64) -> bool {
        self.until.load(Ordering::Relaxed) <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn as_much_as_the_rate_says_comes_at_once_and_as_much_again_in_its_time() {
        let rate = Rate::new(60, Duration::from_secs(60)).unwrap();
        let bucket = Filled::default();
        let mut now = 5 * SECOND;
        for _ in 0..60 {
            assert_eq!(bucket.wait(rate, now), None);
            bucket.add(rate, 1, now);
        }
        assert_eq!(bucket.wait(rate, now), Some(Duration::from_secs(1)));
        assert_eq!(bucket.room(rate, now), Some((60, 0)));
        assert_eq!(bucket.room(rate, now + 7 * SECOND), Some((60, 7)));
        assert_eq!(bucket.room(Rate::OFF, now), None);
        now += SECOND - 1;
        assert_eq!(bucket.wait(rate, now), Some(Duration::from_nanos(1)));
        now += 1;
        assert_eq!(bucket.wait(rate, now), None);
        bucket.add(rate, 1, now);
        assert_eq!(bucket.wait(rate, now), Some(Duration::from_secs(1)));
        assert!(!bucket.is_empty(now) && bucket.is_empty(now + 60 * SECOND));
    }

    #[test]
    fn what_is_more_than_a_bucket_holds_is_taken_by_one_with_room_and_waited_for() {
        let rate = Rate::new(100, Duration::from_secs(10)).unwrap();
        let bucket = Filled::default();
        bucket.add(rate, 250, 0);
        assert_eq!(bucket.wait(rate, 0), Some(Duration::from_millis(15_100)));
        assert_eq!(bucket.wait(rate, 16 * SECOND), None);
    }

    #[test]
    fn a_rate_is_written_as_its_setting() {
        for (amount, time, text) in
            [(600, 60_000, "600/1m"), (1, 1_500, "1/1500ms"), (30, 1_800_000, "30/30m")]
        {
            assert_eq!(Rate::new(amount, Duration::from_millis(time)).unwrap().to_string(), text);
        }
        assert_eq!((Rate::OFF.to_string().as_str(), Rate::new(0, Duration::MAX)), ("off", None));
    }
}
