//! One direction of a link: when what is sent now arrives, if it does. Pure arithmetic on instants,
//! and chance from a seed.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::properties::Link;

/// Bytes that may wait before a line with a rate.
const QUEUE_BYTES: u64 = 256 << 10;
/// Bytes under way on a line without a rate, and the most with one.
const UNDER_WAY_BYTES: (u64, u64) = (4 << 20, 16 << 20);

/// A packet that is overtaken is held back by half of the delay, and by so much at least.
const HOLD_MIN: Duration = Duration::from_millis(5);

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is lost on the way.
    Lost,
    /// The queue before the line has no room for it.
    Dropped,
    /// It arrives.
    Arrives {
        /// When.
        at: Instant,
        /// Whether it is held back, so that later ones overtake it.
        is_late: bool,
        /// Whether it comes twice.
        is_double: bool,
    },
}

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

    /// What becomes of a packet that is given to the line at a moment. Where there is a rate,
    /// packets wait before it for as long as the queue has room, and what comes then is dropped, as
    /// a router does.
    pub(crate) fn fate(&mut self, sent: Instant, wire_bytes: u64) -> Fate {
        // All are drawn each time, so that one share does not change the course of the others.
        let is_lost = self.hits(self.link.loss);
        let is_late = self.hits(self.link.reorder);
        let is_double = self.hits(self.link.duplicate);
        if self.waiting(sent) + wire_bytes > QUEUE_BYTES {
            return Fate::Dropped;
        }
        // What is lost took its place on the line all the same.
        let arrival = self.arrival(sent, wire_bytes);
        if is_lost {
            return Fate::Lost;
        }
        let hold = if is_late { HOLD_MIN.max(self.link.delay / 2) } else { Duration::ZERO };
        Fate::Arrives { at: arrival + hold, is_late, is_double }
    }

    /// Bytes that wait before the line.
    fn waiting(&self, now: Instant) -> u64 {
        let left = self.free.map_or(Duration::ZERO, |free| free.saturating_duration_since(now));
        let bits = left.as_nanos() * u128::from(self.link.rate.unwrap_or(0)) / 1_000_000_000;
        u64::try_from(bits / 8).unwrap_or(u64::MAX)
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
    fn hits(&mut self, share: f64) -> bool {
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

    /// The fates of packets of 1000 bytes, one each millisecond.
    fn fates(link: &str, seed: u64, count: u32) -> Vec<Fate> {
        let mut way = Line::new(Link::parse(link).unwrap(), seed);
        let now = Instant::now();
        (0..count).map(|step| way.fate(now + Duration::from_millis(1) * step, 1000)).collect()
    }

    #[test]
    fn as_many_are_lost_late_and_double_as_was_asked_for() {
        let count = 20_000;
        let fates = fates("delay 10ms loss 2% reorder 5% duplicate 1%", 7, count);
        let share = |wanted: &dyn Fn(&Fate) -> bool, expected: f64| {
            let hits = fates.iter().filter(|fate| wanted(fate)).count();
            let share = f64::from(u32::try_from(hits).unwrap()) / f64::from(count);
            let error = (expected * (1.0 - expected) / f64::from(count)).sqrt();
            assert!((share - expected).abs() < 4.0 * error, "{share}, expected {expected}");
        };
        share(&|fate| *fate == Fate::Lost, 0.02);
        share(&|fate| matches!(fate, Fate::Arrives { is_late: true, .. }), 0.98 * 0.05);
        share(&|fate| matches!(fate, Fate::Arrives { is_double: true, .. }), 0.98 * 0.01);
        // One after another is lost as often as chance has it: the second does not know the first.
        let pairs = fates.windows(2).filter(|pair| pair.iter().all(|fate| *fate == Fate::Lost));
        assert!((1..=22).contains(&pairs.count()), "8 are expected, with a deviation of 2.8");
    }

    #[test]
    fn what_is_held_back_is_overtaken_and_the_rest_keeps_its_order() {
        let mut last = None;
        let mut overtaken = 0;
        for fate in fates("delay 10ms reorder 10%", 7, 1000) {
            match fate {
                Fate::Arrives { at, is_late: true, .. } => {
                    overtaken += usize::from(last.is_some_and(|last| at > last));
                }
                Fate::Arrives { at, .. } => {
                    assert!(last.is_none_or(|last| at >= last));
                    last = Some(at);
                }
                fate => panic!("{fate:?}"),
            }
        }
        // Five milliseconds, so five packets later.
        assert!((60..=140).contains(&overtaken), "{overtaken}");
    }

    #[test]
    fn a_full_queue_drops_what_comes_last_and_takes_again_what_it_has_room_for() {
        let mut way = Line::new(Link::parse("delay 10ms rate 8mbit").unwrap(), 1);
        let now = Instant::now();
        let mut taken = Vec::new();
        for _ in 0..1000 {
            match way.fate(now, 1000) {
                Fate::Arrives { at, .. } => taken.push(at),
                fate => assert_eq!(fate, Fate::Dropped),
            }
        }
        assert_eq!(taken.len() as u64, QUEUE_BYTES / 1000);
        // Each takes a millisecond, and none that was dropped took any.
        let arrival =
            |number: u32| now + Duration::from_millis(10) + Duration::from_millis(1) * number;
        assert_eq!(taken, (1..=262).map(arrival).collect::<Vec<_>>());
        assert_eq!(way.fate(now, 1000), Fate::Dropped);
        let later = now + Duration::from_millis(1);
        assert!(matches!(way.fate(later, 1000), Fate::Arrives { .. }));
        assert_eq!(way.fate(later, 1000), Fate::Dropped);
    }

    #[test]
    fn the_same_seed_loses_the_same_packets() {
        let link = "delay 10ms jitter 3ms loss 20%";
        let lost = |seed| fates(link, seed, 100).iter().map(|fate| *fate == Fate::Lost).collect();
        let first: Vec<bool> = lost(3);
        assert_eq!(first, lost(3));
        assert_ne!(first, lost(4));
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
