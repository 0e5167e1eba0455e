//! What a contender did: latencies, and what is missing or came twice.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

/// Microseconds: no latency of a run is longer than the longest run with its longest interval.
const LATENCY_MAX: u64 = 3 * 3600 * 1_000_000;
/// Deliveries of one contender that are kept one by one, for the picture of the run.
const DOTS_MAX: usize = 4000;

/// A message's way through time, in microseconds after the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Dot {
    pub(crate) sequence: usize,
    pub(crate) planned_us: u64,
    pub(crate) delivered_us: u64,
}

/// An empty histogram of latencies in microseconds, three digits exact.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(LATENCY_MAX, 3).expect("constant bounds that fit")
}

/// Microseconds, saturating.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The latencies of all subscribers of one contender.
#[derive(Debug)]
pub(crate) struct Latencies {
    /// Microseconds from planned to delivered, of each message's first delivery.
    pub(crate) planned: Histogram<u64>,
    /// Microseconds from acknowledged to delivered; 0 if it was delivered first.
    pub(crate) accepted: Histogram<u64>,
    /// Deliveries that came before the publisher heard that the message was stored.
    pub(crate) before_accepted: u64,
    pub(crate) dots: Vec<Dot>,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { planned: histogram(), accepted: histogram(), before_accepted: 0, dots: Vec::new() }
    }
}

impl Latencies {
    /// Takes one delivery down. Without an acknowledgement yet, `accepted` is `None`.
    fn record(&mut self, planned: Duration, accepted: Option<Duration>) {
        self.planned.saturating_record(micros(planned));
        self.before_accepted += u64::from(accepted.is_none());
        self.accepted.saturating_record(micros(accepted.unwrap_or_default()));
    }

    /// Adds those of another round.
    pub(crate) fn add(&mut self, other: &Self) {
        // Both have the same bounds.
        self.planned.add(&other.planned).expect("histograms of one shape");
        self.accepted.add(&other.accepted).expect("histograms of one shape");
        self.before_accepted += other.before_accepted;
    }
}

/// The latencies, shared by the subscribers.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    latencies: Mutex<Latencies>,
    /// Subscribers that have heard again after an outage.
    again: AtomicUsize,
}

impl Shared {
    /// Takes one delivery down, and its dot if it is one of the first.
    pub(crate) fn record(&self, planned: Duration, accepted: Option<Duration>, dot: Option<Dot>) {
        let mut latencies = self.lock();
        latencies.record(planned, accepted);
        if latencies.dots.len() < DOTS_MAX {
            latencies.dots.extend(dot);
        }
    }

    /// A subscriber has heard again.
    pub(crate) fn heard_again(&self) {
        self.again.fetch_add(1, Ordering::Relaxed);
    }

    /// How many subscribers have.
    pub(crate) fn again(&self) -> usize {
        self.again.load(Ordering::Relaxed)
    }

    /// How many deliveries were recorded so far.
    pub(crate) fn count(&self) -> u64 {
        self.lock().planned.len()
    }

    /// Takes what was recorded.
    pub(crate) fn take(&self) -> Latencies {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Latencies> {
        // Each record is whole before anything in it can fail.
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The record of one subscriber.
#[derive(Debug, Default)]
pub(crate) struct Measure {
    seen: Vec<bool>,
    highest: Option<usize>,
    pub(crate) delivered: usize,
    pub(crate) repeated: u64,
    pub(crate) out_of_order: u64,
    pub(crate) gaps: u64,
    pub(crate) disconnects: u64,
    /// After the end of an outage, when the first message came.
    pub(crate) heard_again: Option<Duration>,
    /// The last thing that went wrong.
    pub(crate) trouble: Option<String>,
}

impl Measure {
    /// A record for so many messages.
    pub(crate) fn new(messages: usize) -> Self {
        Self { seen: vec![false; messages], ..Self::default() }
    }

    /// Takes one delivery down; says whether it is the message's first.
    pub(crate) fn deliver(&mut self, sequence: usize) -> bool {
        let Some(seen) = self.seen.get_mut(sequence) else {
            return false;
        };
        if std::mem::replace(seen, true) {
            self.repeated += 1;
            return false;
        }
        self.delivered += 1;
        if self.highest.is_some_and(|highest| sequence < highest) {
            self.out_of_order += 1;
        }
        self.highest = self.highest.max(Some(sequence));
        true
    }

    /// How many of the accepted messages were not delivered.
    pub(crate) fn missed(&self, accepted: &[bool]) -> usize {
        let both = accepted.iter().zip(&self.seen);
        both.filter(|(accepted, seen)| **accepted && !**seen).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_repeated_and_disordered_messages_are_counted() {
        let mut measure = Measure::new(5);
        let first: Vec<bool> = [0, 3, 1, 1, 9].map(|sequence| measure.deliver(sequence)).into();
        assert_eq!(first, [true, true, true, false, false]);
        assert_eq!((measure.delivered, measure.repeated), (3, 1));
        assert_eq!(measure.out_of_order, 1);
        assert_eq!(measure.missed(&[true, true, true, true, false]), 1);
    }

    #[test]
    fn latencies_are_merged_not_averaged() {
        let ms = Duration::from_millis;
        let shared = Shared::default();
        shared.record(ms(1), Some(ms(1)), None);
        let mut all = shared.take();
        for _ in 0..9 {
            shared.record(ms(100), None, None);
        }
        all.add(&shared.take());
        assert_eq!((all.planned.len(), all.before_accepted), (10, 9));
        assert!(all.planned.value_at_quantile(0.5) >= 100_000);
        assert_eq!(all.accepted.value_at_quantile(0.5), 0);
    }
}
