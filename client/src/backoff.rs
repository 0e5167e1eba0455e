//! How long to wait before the next attempt.

use std::time::Duration;

use rand::RngExt;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// Delays with full jitter: a random part of a bound that doubles with each failure in a row, from
/// 100 ms to 10 s. Many clients that lose one server thus come back spread out.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Counts a failure and draws the delay that follows it.
    pub(crate) fn next_delay(&mut self) -> Duration {
        let bound = Self::bound(self.failures);
        self.failures += 1;
        rand::rng().random_range(Duration::ZERO..=bound)
    }

    /// Something worked: the next failure is the first again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    fn bound(failures: u32) -> Duration {
        FIRST.saturating_mul(1 << failures.min(16)).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_up_to_the_longest() {
        let millis: Vec<u128> = (0..9).map(|n| Backoff::bound(n).as_millis()).collect();
        assert_eq!(millis, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(Backoff::bound(u32::MAX), LONGEST);
    }

    #[test]
    fn delays_stay_below_their_bound() {
        let mut backoff = Backoff::default();
        for failures in 0..20 {
            assert!(backoff.next_delay() <= Backoff::bound(failures));
        }
        backoff.reset();
        assert!(backoff.next_delay() <= FIRST);
    }
}
