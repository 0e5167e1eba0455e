//! Counters and histograms that many threads count into at once without meeting: each has a cell of
//! its own, and whoever reads adds them up. Handing out a message counts into several, a million
//! times a second. What is counted, and under which name, is not here but in `metrics`.

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

/// Bounds of a histogram, each twice the one before; one more bucket has all that is above.
const BUCKETS: usize = 24;

/// Observations by their size, in doubling buckets. The sum is in whatever unit its owner adds.
#[derive(Debug, Clone, Default)]
struct Buckets(Arc<[Padded<Cells>; SHARDS]>);

#[derive(Debug, Default)]
struct Cells {
    counts: [AtomicU64; BUCKETS + 1],
    sum: AtomicU64,
}

impl Buckets {
    /// Counts so many that were the same: of so many times the first bound, begun ones whole, and
    /// of this much each in the unit of the sum.
    fn observe(&self, firsts: u128, amount: u64, count: u64) {
        let cells = &self.0[shard()].0;
        // The number of doublings of the first bound that reach it.
        let bucket = (u128::BITS - (firsts.max(1) - 1).leading_zeros()) as usize;
        cells.counts[bucket.min(BUCKETS)].fetch_add(count, Ordering::Relaxed);
        cells.sum.fetch_add(amount.saturating_mul(count), Ordering::Relaxed);
    }

    fn sum(&self) -> u64 {
        self.0.iter().map(|cells| cells.0.sum.load(Ordering::Relaxed)).sum()
    }

    /// Each bucket's upper bound and its count, where the first bound is this.
    #[allow(clippy::cast_precision_loss, reason = "a power of two")]
    fn read(&self, first: f64) -> Vec<(f64, u64)> {
        let count = |bucket: usize| {
            let cells = self.0.iter().map(|cells| &cells.0.counts[bucket]);
            cells.map(|count| count.load(Ordering::Relaxed)).sum::<u64>()
        };
        let bound = |bucket: usize| match bucket {
            BUCKETS => f64::INFINITY,
            _ => first * (1_u64 << bucket) as f64,
        };
        (0..=BUCKETS).map(|bucket| (bound(bucket), count(bucket))).collect()
    }
}

/// How long things took: from 10 µs, doubling, to 84 s. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Delays(Buckets);

impl Delays {
    const FIRST: Duration = Duration::from_micros(10);

    /// Counts so many that were the same.
    pub fn observe(&self, delay: Duration, count: u64) {
        let firsts = delay.as_nanos().div_ceil(Self::FIRST.as_nanos());
        let microseconds = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        self.0.observe(firsts, microseconds, count);
    }
}

impl EncodeMetric for Delays {
    /// In seconds.
    #[allow(clippy::cast_precision_loss, reason = "a sum of seconds needs no 53 bits")]
    fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        encode(encoder, self.0.sum() as f64 / 1e6, &self.0.read(Self::FIRST.as_secs_f64()))
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Delays {
    const TYPE: MetricType = MetricType::Histogram;
}

/// How many things were in each of many: from 1, doubling, to 8 million. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Sizes(Buckets);

impl Sizes {
    /// Counts so many of the same size.
    pub fn observe(&self, size: usize, count: u64) {
        self.0.observe(size as u128, size as u64, count);
    }
}

impl EncodeMetric for Sizes {
    #[allow(clippy::cast_precision_loss, reason = "a sum that is exact for centuries")]
    fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        encode(encoder, self.0.sum() as f64, &self.0.read(1.0))
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Sizes {
    const TYPE: MetricType = MetricType::Histogram;
}

fn encode(
    mut encoder: MetricEncoder<'_>,
    sum: f64,
    buckets: &[(f64, u64)],
) -> Result<(), std::fmt::Error> {
    let count = buckets.iter().map(|(_, count)| count).sum();
    encoder.encode_histogram::<NoLabelSet>(sum, count, buckets, None)
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
                        delays.observe(Duration::from_millis(2), 1);
                    }
                });
            }
        });
        assert_eq!(counter.get(), 60_000);
        assert_eq!(delays.0.sum(), 40_000_000, "microseconds");
        let counts = delays.0.read(1.0).into_iter().map(|(_, count)| count);
        assert_eq!(counts.sum::<u64>(), 20_000);
    }

    #[test]
    fn a_delay_is_in_the_first_bucket_that_holds_it() {
        for (nanoseconds, bucket) in
            [(0, 0), (1, 0), (10_000, 0), (10_001, 1), (20_000, 1), (20_001, 2), (40_000, 2)]
        {
            let delays = Delays::default();
            delays.observe(Duration::from_nanos(nanoseconds), 1);
            let counts = delays.0.read(1e-5);
            assert_eq!(counts.iter().position(|(_, count)| *count == 1), Some(bucket));
            assert!(Duration::from_nanos(nanoseconds).as_secs_f64() <= counts[bucket].0 + 1e-12);
        }
        let delays = Delays::default();
        delays.observe(Duration::from_secs(1_000_000), 1);
        assert_eq!(delays.0.read(1e-5)[BUCKETS], (f64::INFINITY, 1));
    }

    #[test]
    fn a_size_is_in_the_first_bucket_that_holds_it() {
        for (size, bucket) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (1024, 10)] {
            let sizes = Sizes::default();
            sizes.observe(size, 3);
            let counts = sizes.0.read(1.0);
            assert_eq!(counts.iter().position(|(_, count)| *count == 3), Some(bucket));
            assert_eq!(sizes.0.sum(), 3 * size as u64);
        }
    }
}
