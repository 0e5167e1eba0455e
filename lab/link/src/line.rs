//! One direction of a link: when what is sent now arrives. Pure arithmetic on instants.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::properties::Link;

/// Bytes that may wait before a line with a rate.
const QUEUE_BYTES: u64 = 256 << 10;
/// Bytes under way on a line without a rate, and the most with one.
const UNDER_WAY_BYTES: (u64, u64) = (4 << 20, 16 << 20);

/// The state of one direction.
#[derive(Debug)]
pub(crate) struct Line {
    link: Link,
    random: StdRng,
    /// When the last bit sent so far has left.
    free: Option<Instant>,
    /// When the last chunk arrives.
    last: Option<Instant>,
}

impl Line {
    pub(crate) fn new(link: Link, seed: u64) -> Self {
        Self { link, random: StdRng::seed_from_u64(seed), free: None, last: None }
    }

    /// When a chunk arrives that is given to the line at a moment: after those before it.
    pub(crate) fn arrival(&mut self, sent: Instant, wire_bytes: u64) -> Instant {
        let left = self.left(sent, wire_bytes);
        let arrival = (left + self.delay()).max(self.last.unwrap_or(left));
        self.last = Some(arrival);
        arrival
    }

    /// When its last bit has left: each takes its time, one after the other.
    fn left(&mut self, sent: Instant, wire_bytes: u64) -> Instant {
        let Some(rate) = self.link.rate else {
            return sent;
        };
        let nanoseconds = u128::from(wire_bytes) * 8 * 1_000_000_000 / u128::from(rate);
        let time = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        let left = self.free.map_or(sent, |free| free.max(sent)) + time;
        self.free = Some(left);
        left
    }

    fn delay(&mut self) -> Duration {
        let Link { delay, jitter, .. } = self.link;
        if jitter.is_zero() {
            return delay;
        }
        self.random.random_range(delay.saturating_sub(jitter)..=delay + jitter)
    }

    /// Whether it has a rate.
    pub(crate) fn has_rate(&self) -> bool {
        self.link.rate.is_some()
    }

    /// Whether chance hits, with a share of 0 to 1.
    pub(crate) fn hits(&mut self, share: f64) -> bool {
        self.random.random::<f64>() < share
    }

    /// Bytes that may be under way at once.
    pub(crate) fn room(&self) -> u64 {
        let Some(rate) = self.link.rate else {
            return UNDER_WAY_BYTES.0;
        };
        let time = (self.link.delay + self.link.jitter).as_millis();
        let held = u64::try_from(u128::from(rate) * time / 8000).unwrap_or(u64::MAX);
        held.saturating_add(QUEUE_BYTES).min(UNDER_WAY_BYTES.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_spaces_chunks_and_a_delay_moves_them() {
        let link = Link::parse("delay 10ms rate 8mbit").unwrap();
        let mut way = Line::new(link, 1);
        let now = Instant::now();
        let after = |arrival: Instant| arrival.duration_since(now).as_micros();
        // A byte takes a microsecond.
        assert_eq!(after(way.arrival(now, 1000)), 11_000);
        assert_eq!(after(way.arrival(now, 500)), 11_500);
        assert_eq!(after(way.arrival(now + Duration::from_millis(9), 1)), 19_001);
        assert_eq!(way.room(), 10_000 + (256 << 10));
    }

    #[test]
    fn jitter_stays_in_its_bounds_and_keeps_the_order() {
        let mut way = Line::new(Link::parse("delay 10ms jitter 4ms").unwrap(), 1);
        let now = Instant::now();
        let mut last = now;
        let mut delays = Vec::new();
        for step in 0..1000 {
            let sent = now + Duration::from_millis(20 * step);
            let arrival = way.arrival(sent, 100);
            assert!(arrival >= last);
            last = arrival;
            delays.push((arrival - sent).as_secs_f64() * 1e3);
        }
        let mean = delays.iter().sum::<f64>() / 1000.0;
        assert!(delays.iter().all(|delay| (6.0..=14.0).contains(delay)));
        // Standard error 0.07 ms.
        assert!((mean - 10.0).abs() < 0.35, "{mean}");
    }

    #[test]
    fn the_same_seed_gives_the_same_line() {
        let link = Link::parse("delay 10ms jitter 4ms").unwrap();
        let now = Instant::now();
        let arrivals = |seed| {
            let mut way = Line::new(link, seed);
            (0..20).map(|_| way.arrival(now, 1)).collect::<Vec<_>>()
        };
        assert_eq!(arrivals(3), arrivals(3));
        assert_ne!(arrivals(3), arrivals(4));
    }
}
