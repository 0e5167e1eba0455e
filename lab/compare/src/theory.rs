//! What arithmetic expects of a poll: events that come independently of it, at a rate λ, and a poll
//! each time that T has passed, at a phase that nobody chose.

use std::time::Duration;

use doorbell::laboratory::HELD;

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

/// Phases of polls that are tried, evenly over the interval, and steps that all of them may take.
const PHASES: (usize, usize) = (20, 400);
const STEPS_MAX: usize = 20_000_000;

/// What polls find of messages whose times are known, when only their phase is left to chance.
///
/// That holds for every process: how messages follow one another is in their times, and errors are
/// the deviation from one phase to another, which for bursts and for equal distances does not fall
/// as messages get more.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct OverPhases {
    /// The standard deviation of the mean wait, in seconds. The mean itself is half an interval.
    pub(crate) wait_deviation: f64,
    /// The share of polls that find nothing, and its standard deviation.
    pub(crate) empty_share: f64,
    pub(crate) empty_deviation: f64,
}

impl OverPhases {
    /// For messages at these times, in their order, of a run that takes so long.
    pub(crate) fn of(times: &[Duration], duration: Duration, interval: f64) -> Self {
        let whole = duration.as_secs_f64();
        let times: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
        let phases = (STEPS_MAX / times.len().max(1)).clamp(PHASES.0, PHASES.1);
        let polled: Vec<(f64, f64)> = (0..phases)
            .map(|number| (float_of(number) + 0.5) / float_of(phases) * interval)
            .map(|phase| polled(&times, whole, interval, phase))
            .collect();
        let (_, wait_deviation) = mean_and_deviation(polled.iter().map(|(wait, _)| *wait));
        let (empty_share, empty_deviation) =
            mean_and_deviation(polled.iter().map(|(_, empty)| *empty));
        Self { wait_deviation, empty_share, empty_deviation }
    }

    /// Of several runs, each with so many polls at phases of their own.
    pub(crate) fn averaged(runs: &[Self], subscribers: u32) -> Self {
        let count = float_of(runs.len().max(1));
        let error = |deviation: fn(&Self) -> f64| {
            let squares: f64 = runs.iter().map(|run| deviation(run).powi(2)).sum();
            (squares / f64::from(subscribers.max(1))).sqrt() / count
        };
        Self {
            wait_deviation: error(|run| run.wait_deviation),
            empty_share: runs.iter().map(|run| run.empty_share).sum::<f64>() / count,
            empty_deviation: error(|run| run.empty_deviation),
        }
    }
}

/// The mean wait for polls of a phase, and the share of those within a run that find nothing.
fn polled(times: &[f64], whole: f64, interval: f64, phase: f64) -> (f64, f64) {
    let (mut waits, mut full, mut last) = (0.0, 0_usize, f64::NEG_INFINITY);
    for at in times {
        let poll = ((at - phase) / interval).ceil().max(0.0) * interval + phase;
        waits += poll - at;
        if poll > last && poll < whole {
            full += 1;
        }
        last = poll;
    }
    let polls = ((whole - phase) / interval).ceil().max(0.0);
    let empty = if polls > 0.0 { 1.0 - float_of(full) / polls } else { 0.0 };
    (waits / float_of(times.len().max(1)), empty)
}

fn mean_and_deviation(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = float_of(values.clone().count().max(1));
    let mean = values.clone().sum::<f64>() / count;
    let squares: f64 = values.map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / count).sqrt())
}

/// Seconds that an event waits for the next poll, on average.
pub(crate) fn mean_wait(interval: f64) -> f64 {
    interval / 2.0
}

/// The part by which the number of messages of a run differs from what was asked for, as chance has
/// it: what is spent on waiting is shared by so many.
pub(crate) fn count_error(process: Process, messages: usize) -> f64 {
    match process {
        Process::Poisson => 1.0 / float_of(messages.max(1)).sqrt(),
        Process::Burst => (f64::from(BURST) / float_of(messages.max(1))).sqrt(),
        Process::Steady | Process::Replay => 0.0,
    }
}

/// The standard deviation of the number of polls in a time, whose phase is left to chance.
pub(crate) fn polls_deviation(seconds: f64, interval: f64) -> f64 {
    let part = (seconds / interval).fract();
    (part * (1.0 - part)).sqrt()
}

/// What things cost on the wire, in bytes both ways with the headers of TCP and IP.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct PushCost {
    /// Each message that comes alone.
    pub(crate) message: f64,
    /// One more in the same write, without another packet and its acknowledgement.
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

/// Seconds that a server holds a long poll's answer back.
pub(crate) const LONGPOLL_HELD: f64 = HELD.as_secs_f64();

impl PollCost {
    /// Bytes a second of long polls that are held back for so long, for a Poisson stream and no
    /// round trip to speak of.
    pub(crate) fn held_rate(&self, rate: f64, held: f64) -> f64 {
        let questions = rate / (1.0 - (-rate * held).exp());
        questions * self.empty + rate * (self.full + self.message)
    }
}

impl PushCost {
    /// Bytes a second at a rate of messages.
    pub(crate) fn rate(&self, rate: f64) -> f64 {
        rate * self.message + self.idle
    }

    /// Bytes a second if the server gathers messages: the first one opens a window of so many
    /// seconds, and what has come by its end goes out together, in one packet.
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
    fn simulated_polls_agree_with_what_is_expected_of_their_times() {
        let (rate, interval, minutes) = (2.0, 0.7, Duration::from_secs(600));
        let mut random = StdRng::seed_from_u64(11);
        for process in [Process::Poisson, Process::Burst, Process::Steady] {
            let (mut far, mut all, mut shares) = (0, 0, 0.0);
            for seed in 0..50 {
                let times = draw(process, rate, minutes, seed);
                let seconds: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
                let (waits, empty, polls) = poll(&seconds, 600.0, interval, random.random());
                let expected = OverPhases::of(&times, minutes, interval);
                let mean = waits.iter().sum::<f64>() / float_of(waits.len());
                // What comes after the last poll is not waited for here.
                let error = expected.wait_deviation + interval / float_of(waits.len());
                far += usize::from((mean - mean_wait(interval)).abs() > 2.0 * error);
                let share = float_of(empty) / float_of(polls);
                let error = expected.empty_deviation + 1.0 / float_of(polls);
                far += usize::from((share - expected.empty_share).abs() > 2.0 * error);
                all += 2;
                shares += expected.empty_share / 50.0;
            }
            assert!(far <= all / 10, "{process:?}: {far} of {all} are far from what is expected");
            let formula = empty_share(process, rate, interval);
            assert!((shares - formula).abs() < 0.02, "{process:?}: {shares} {formula}");
        }
    }

    #[test]
    fn errors_fall_with_more_messages_only_where_these_are_independent() {
        let error = |process, minutes: u64| {
            let duration = Duration::from_secs(60 * minutes);
            OverPhases::of(&draw(process, 2.0, duration, 3), duration, 1.0).wait_deviation
        };
        // T / √12n, and ten times the messages to a burst.
        let (poisson, burst) = (error(Process::Poisson, 20), error(Process::Burst, 20));
        assert!((poisson / (1.0 / (12.0 * 2400.0_f64).sqrt()) - 1.0).abs() < 0.5, "{poisson}");
        assert!((burst / (1.0 / (12.0 * 240.0_f64).sqrt()) - 1.0).abs() < 0.5, "{burst}");
        // At equal distances of half an interval every poll finds the same two.
        let steady = [1, 20].map(|minutes| error(Process::Steady, minutes));
        assert!((steady[0] - steady[1]).abs() < 0.01 && steady[1] > 0.1, "{steady:?}");
    }

    #[test]
    fn more_subscribers_and_rounds_leave_less_to_chance() {
        let one = OverPhases { wait_deviation: 0.3, empty_share: 0.5, empty_deviation: 0.1 };
        let four = OverPhases::averaged(&[one, one], 2);
        assert!((four.wait_deviation - 0.15).abs() < 1e-9 && (four.empty_share - 0.5).abs() < 1e-9);
    }

    #[test]
    fn the_wait_is_not_theory_if_the_phase_is_chosen() {
        // The tests above would notice: polls that follow each event at once wait for nothing.
        let times: Vec<f64> = (0..100).map(f64::from).collect();
        let (waits, ..) = poll(&times, 100.0, 1.0, 0.0);
        assert!(waits.iter().sum::<f64>() < 1e-9);
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
        // Of the five polls of each phase those at 2 to 4 and at 8 to 10 find something, and half
        // of the time another one between.
        let expected = OverPhases::of(&times, Duration::from_secs(10), 2.0);
        assert!((expected.empty_share - 0.5).abs() < 0.01, "{expected:?}");
    }
}
