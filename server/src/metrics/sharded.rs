//! Counters that many threads count into at once without meeting: each has a cell of its own, and
//! whoever reads adds them up. Handing out a message counts into several, a million times a second.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::counter::{Atomic, Counter};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Threads that never meet; with more of them some share a cell, which is right but slower.
const SHARDS: usize = 8;

/// The cell of this thread.
fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static OWN: Cell<usize> = const { Cell::new(usize::MAX) });
    OWN.with(|own| {
        if own.get() == usize::MAX {
            own.set(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
        }
        own.get()
    })
}

/// So that no two cells lie in one cache line, nor in two that are fetched together.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded<T>(T);

/// A number that is counted up.
#[derive(Debug, Default)]
pub struct Sharded([Padded<AtomicU64>; SHARDS]);

/// A counter that threads do not fight for.
pub type SharedCounter = Counter<u64, Sharded>;

impl Atomic<u64> for Sharded {
    fn inc(&self) -> u64 {
        self.inc_by(1)
    }

    /// Returns what this thread's cell held, not the sum: nobody asks for it.
    fn inc_by(&self, count: u64) -> u64 {
        self.0[shard()].0.fetch_add(count, Ordering::Relaxed)
    }

    fn get(&self) -> u64 {
        self.0.iter().map(|cell| cell.0.load(Ordering::Relaxed)).sum()
    }
}

/// From 10 µs, doubling, to 84 s; the last bucket has all that is longer.
const BUCKETS: usize = 24;
const FIRST: Duration = Duration::from_micros(10);

/// How long things took. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Delays(Arc<[Padded<Cells>; SHARDS]>);

#[derive(Debug, Default)]
struct Cells {
    counts: [AtomicU64; BUCKETS + 1],
    microseconds: AtomicU64,
}

impl Delays {
    /// Counts one.
    pub fn observe(&self, delay: Duration) {
        self.observe_many(delay, 1);
    }

    /// Counts so many that were the same.
    pub fn observe_many(&self, delay: Duration, count: u64) {
        let cells = &self.0[shard()].0;
        let units = delay.as_nanos().div_ceil(FIRST.as_nanos()).max(1);
        // The number of doublings of the first bound that reach it.
        let bucket = (u128::BITS - (units - 1).leading_zeros()) as usize;
        cells.counts[bucket.min(BUCKETS)].fetch_add(count, Ordering::Relaxed);
        let microseconds = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        cells.microseconds.fetch_add(microseconds.saturating_mul(count), Ordering::Relaxed);
    }

    /// The sum in seconds, and each bucket's upper bound in seconds with its count.
    #[allow(clippy::cast_precision_loss, reason = "a sum of seconds needs no 53 bits")]
    fn read(&self) -> (f64, Vec<(f64, u64)>) {
        let cells = || self.0.iter().map(|cells| &cells.0);
        let sum: u64 = cells().map(|cells| cells.microseconds.load(Ordering::Relaxed)).sum();
        let count = |bucket: usize| {
            cells().map(|cells| cells.counts[bucket].load(Ordering::Relaxed)).sum::<u64>()
        };
        let bound = |bucket: usize| match bucket {
            BUCKETS => f64::MAX,
            _ => FIRST.as_secs_f64() * (1_u64 << bucket) as f64,
        };
        let buckets = (0..=BUCKETS).map(|bucket| (bound(bucket), count(bucket))).collect();
        (sum as f64 / 1e6, buckets)
    }
}

impl EncodeMetric for Delays {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let (sum, buckets) = self.read();
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Delays {
    const TYPE: MetricType = MetricType::Histogram;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_threads_count_adds_up() {
        let counter = SharedCounter::default();
        let delays = Delays::default();
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        counter.inc_by(3);
                        delays.observe(Duration::from_millis(2));
                    }
                });
            }
        });
        assert_eq!(counter.get(), 60_000);
        let (sum, buckets) = delays.read();
        assert!((sum - 40.0).abs() < 1e-6, "{sum}");
        assert_eq!(buckets.iter().map(|(_, count)| count).sum::<u64>(), 20_000);
    }

    #[test]
    fn a_delay_is_in_the_first_bucket_that_holds_it() {
        for (nanoseconds, bucket) in
            [(0, 0), (1, 0), (10_000, 0), (10_001, 1), (20_000, 1), (20_001, 2), (40_000, 2)]
        {
            let delays = Delays::default();
            delays.observe(Duration::from_nanos(nanoseconds));
            let counts = delays.read().1;
            assert_eq!(counts.iter().position(|(_, count)| *count == 1), Some(bucket));
            assert!(Duration::from_nanos(nanoseconds).as_secs_f64() <= counts[bucket].0 + 1e-12);
        }
        let delays = Delays::default();
        delays.observe(Duration::from_secs(1_000_000));
        assert_eq!(delays.read().1[BUCKETS], (f64::MAX, 1));
    }
}
