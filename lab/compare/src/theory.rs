//! What arithmetic expects of a poll: events that come independently of it, at a rate λ, and a poll
//! each time that T has passed, at a phase that nobody chose.

use std::time::Duration;

use crate::figure::float_of;
use crate::flags::Process;
use crate::schedule::BURST;

/// The share of polls that find nothing: e^(-λT) for a Poisson stream.
pub(crate) fn empty_share(process: Process, rate: f64, interval: f64) -> f64 {
    match process {
        Process::Poisson | Process::Replay => (-rate * interval).exp(),
        // A burst takes no time beside T, and bursts come independently.
        Process::Burst => (-rate / f64::from(BURST) * interval).exp(),
        Process::Steady => (1.0 - rate * interval).max(0.0),
    }
}

/// The share of polls that find nothing, on average over all phases, for just these times: the
/// parts of the run from which looking back over T meets no event.
pub(crate) fn empty_share_of(times: &[Duration], duration: Duration, interval: f64) -> f64 {
    let whole = duration.as_secs_f64();
    let (mut empty, mut last) = (0.0, f64::NEG_INFINITY);
    for at in times.iter().map(Duration::as_secs_f64).chain([whole]) {
        // Polls between `last + interval` and `at` see nothing.
        empty += (at - (last + interval).max(0.0)).max(0.0);
        last = at;
    }
    if whole > 0.0 { empty / whole } else { 0.0 }
}

/// Seconds that an event waits for the next poll, on average.
pub(crate) fn mean_wait(interval: f64) -> f64 {
    interval / 2.0
}

/// The standard error of the mean wait of so many deliveries: waits are spread evenly over T.
pub(crate) fn mean_wait_error(interval: f64, deliveries: usize) -> f64 {
    interval / (12.0 * float_of(deliveries.max(1))).sqrt()
}

/// The standard error of a share of so many answers.
pub(crate) fn share_error(share: f64, answers: usize) -> f64 {
    (share * (1.0 - share) / float_of(answers.max(1))).sqrt()
}

/// What things cost on the wire, in bytes both ways with the headers of TCP and IP.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(crate) struct PollCost {
    /// A poll that finds nothing.
    pub(crate) empty: f64,
    /// What an answer with messages costs beyond that, without the messages.
    pub(crate) full: f64,
    /// Each message in an answer.
    pub(crate) message: f64,
}

/// What push costs on the wire.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(crate) struct PushCost {
    /// Each message that comes alone.
    pub(crate) message: f64,
    /// The bytes of it that are the message: the rest is framing, headers, the acknowledgement.
    pub(crate) content: f64,
    /// Bytes a second of keepalives.
    pub(crate) idle: f64,
}

impl PollCost {
    /// Bytes a second at a rate of messages and an interval, for a Poisson stream.
    pub(crate) fn rate(&self, rate: f64, interval: f64) -> f64 {
        let full = 1.0 - (-rate * interval).exp();
        (self.empty + full * self.full) / interval + rate * self.message
    }
}

impl PushCost {
    /// Bytes a second at a rate of messages.
    pub(crate) fn rate(&self, rate: f64) -> f64 {
        rate * self.message + self.idle
    }

    /// Bytes a second if the server gathered messages: the first one opens a window of so many
    /// seconds, and what has come by its end goes out together. A model; no server here does it.
    pub(crate) fn coalesced(&self, rate: f64, window: f64) -> f64 {
        let sends = rate / (1.0 + rate * window);
        rate * self.content + sends * (self.message - self.content) + self.idle
    }
}

/// Rates between which a crossing is looked for.
const RATES: (f64, f64) = (1e-4, 1e6);

/// The rate above which polling moves fewer bytes than push, if there is one.
pub(crate) fn crossover(poll: impl Fn(f64) -> f64, push: impl Fn(f64) -> f64) -> Option<f64> {
    let push_is_dearer = |rate: f64| push(rate) > poll(rate);
    let (mut low, mut high) = RATES;
    if push_is_dearer(low) || !push_is_dearer(high) {
        return None;
    }
    while high / low > 1.0 + 1e-6 {
        let middle = (low * high).sqrt();
        if push_is_dearer(middle) { high = middle } else { low = middle }
    }
    Some((low * high).sqrt())
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::schedule::draw;

    const POLL: PollCost = PollCost { empty: 656.0, full: 0.0, message: 100.0 };
    const PUSH: PushCost = PushCost { message: 205.0, content: 100.0, idle: 105.0 / 45.0 };

    /// Polls at a phase, and what they find: each event's wait, and the empty ones among them.
    fn poll(times: &[f64], duration: f64, interval: f64, phase: f64) -> (Vec<f64>, usize, usize) {
        let (mut waits, mut empty, mut polls, mut next) = (Vec::new(), 0, 0, 0);
        let mut at = phase * interval;
        while at < duration {
            let before = next;
            while times.get(next).is_some_and(|time| *time <= at) {
                waits.push(at - times[next]);
                next += 1;
            }
            polls += 1;
            empty += usize::from(next == before);
            at += interval;
        }
        (waits, empty, polls)
    }

    #[test]
    fn simulated_polls_agree_with_the_formulas_within_the_sampling_error() {
        let (rate, interval, minutes) = (2.0, 0.7, Duration::from_secs(600));
        let mut random = StdRng::seed_from_u64(11);
        for process in [Process::Poisson, Process::Burst, Process::Steady] {
            let times = draw(process, rate, minutes, 5);
            let seconds: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
            let (waits, empty, polls) = poll(&seconds, 600.0, interval, random.random());
            let independent =
                if process == Process::Burst { waits.len() / 10 } else { waits.len() };
            let mean = waits.iter().sum::<f64>() / float_of(waits.len());
            let error = mean_wait_error(interval, independent);
            assert!((mean - mean_wait(interval)).abs() < 4.0 * error, "{process:?} {mean}");
            let share = float_of(empty) / float_of(polls);
            let expected = empty_share(process, rate, interval);
            let error = share_error(expected, polls).max(2.0 / float_of(polls));
            assert!((share - expected).abs() < 4.0 * error, "{process:?} {share} {expected}");
            // What is known of the times themselves leaves the phase alone to chance.
            let exact = empty_share_of(&times, minutes, interval);
            assert!((share - exact).abs() < 2.0 * error, "{process:?} {share} {exact}");
        }
    }

    #[test]
    fn the_wait_is_not_theory_if_the_phase_is_chosen() {
        // The test above would notice: polls that follow each event at once wait for nothing.
        let times: Vec<f64> = (0..100).map(f64::from).collect();
        let (waits, ..) = poll(&times, 100.0, 1.0, 0.0);
        let mean = waits.iter().sum::<f64>() / float_of(waits.len());
        assert!((mean - mean_wait(1.0)).abs() > 4.0 * mean_wait_error(1.0, waits.len()));
    }

    #[test]
    fn the_crossover_is_the_one_of_the_simple_formula() {
        for (interval, expected) in [(1.0, 6.2), (5.0, 1.2), (30.0, 0.19), (60.0, 0.08)] {
            let found = crossover(|rate| POLL.rate(rate, interval), |rate| PUSH.rate(rate));
            let found = found.unwrap();
            let simple = (656.0 / interval - 105.0 / 45.0) / 105.0;
            assert!((found / simple - 1.0).abs() < 1e-3, "{interval}: {found} {simple}");
            assert!((found / expected - 1.0).abs() < 0.05, "{interval}: {found}");
        }
    }

    #[test]
    fn a_coalescing_window_removes_the_crossover() {
        let poll = |rate| POLL.rate(rate, 1.0);
        assert!(crossover(poll, |rate| PUSH.coalesced(rate, 0.2)).is_none());
        // And with no window there is none to remove.
        let same = (PUSH.coalesced(3.0, 0.0) - PUSH.rate(3.0)).abs();
        assert!(same < 1e-9);
    }

    #[test]
    fn the_empty_share_of_given_times_looks_back_over_the_interval() {
        let times = [2, 3, 8].map(Duration::from_secs);
        // Empty: before 2, from 5 to 8; and nothing after 10.
        let share = empty_share_of(&times, Duration::from_secs(10), 2.0);
        assert!((share - 0.5).abs() < 1e-9, "{share}");
    }
}
