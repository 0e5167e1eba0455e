//! How long a phone's radio stays awake for a contender: worked out from the times at which packets
//! crossed, with the tail of the radio's high state behind each of them.
//!
//! A radio of LTE stays in its high state for some ten seconds after the last packet (the
//! inactivity timer of its network, which most set near that), and takes about a watt there (Huang
//! and others, "A close examination of performance and power characteristics of 4G LTE networks",
//! 2012: 1.06 W in the tail). What it takes to wake up, and what the screen takes, is not in it.

use std::time::Duration;

use serde::Serialize;

/// Watts in the high state.
const WATTS: f64 = 1.06;
/// Watt hours of a phone's battery.
const BATTERY_WATT_HOURS: f64 = 15.0;

/// What a contender would cost a phone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Radio {
    /// After each packet the radio is awake for so long.
    pub(crate) tail_s: f64,
    /// The share of the time in which it is.
    pub(crate) awake_share: f64,
    /// The share of a battery that this takes in a day.
    pub(crate) battery_share_per_day: f64,
}

impl Radio {
    /// For messages that came at these seconds of a run, over a way that shows a sign of life after
    /// each `period` without any; for a poll the period is the interval, whatever comes.
    pub(crate) fn new(
        messages: &[f64],
        length: f64,
        period: Duration,
        is_poll: bool,
        tail: Duration,
    ) -> Self {
        let (period, tail) = (period.as_secs_f64(), tail.as_secs_f64());
        let awake = if is_poll {
            (tail / period).min(1.0)
        } else {
            awake(messages, length, period, tail) / length.max(f64::MIN_POSITIVE)
        };
        Self {
            tail_s: tail,
            awake_share: awake,
            battery_share_per_day: awake * WATTS * 24.0 / BATTERY_WATT_HOURS,
        }
    }
}

/// Seconds in which it is awake.
fn awake(messages: &[f64], length: f64, period: f64, tail: f64) -> f64 {
    let mut last = 0.0;
    let mut awake = 0.0;
    for at in messages.iter().copied().chain([length]) {
        let quiet = (at - last).max(0.0);
        // A sign of life at the end of each whole period, and a tail behind each packet.
        let signs = (quiet / period).floor();
        awake += signs * tail.min(period) + (quiet - signs * period).min(tail);
        last = at;
    }
    awake.min(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::float_of;

    const TAIL: Duration = Duration::from_secs(10);

    fn share(messages: &[f64], length: f64, period: u64, is_poll: bool) -> f64 {
        let period = Duration::from_secs(period);
        Radio::new(messages, length, period, is_poll, TAIL).awake_share
    }

    #[test]
    fn the_radio_sleeps_only_where_packets_are_further_apart_than_its_tail() {
        // A poll each five seconds never lets it sleep; one a minute does for five sixths.
        assert!((share(&[], 600.0, 5, true) - 1.0).abs() < 1e-9);
        assert!((share(&[1.0], 600.0, 60, true) - 1.0 / 6.0).abs() < 1e-9);
        // A push that waits shows each 40 s that it lives.
        assert!((share(&[], 400.0, 40, false) - 0.25).abs() < 1e-9);
        // Two messages whose tails overlap count once: 15 s, and the first tail.
        assert!((share(&[100.0, 105.0], 1000.0, 2000, false) - 0.025).abs() < 1e-9);
    }

    #[test]
    fn random_messages_keep_it_awake_as_often_as_a_tail_is_not_empty() {
        let times: Vec<f64> = crate::schedule::draw(
            crate::flags::Process::Poisson,
            0.05,
            Duration::from_secs(100_000),
            3,
        )
        .iter()
        .map(Duration::as_secs_f64)
        .collect();
        let expected = 1.0 - (-0.05_f64 * 10.0).exp();
        let found = share(&times, 1e5, 1_000_000, false);
        assert!((found / expected - 1.0).abs() < 0.03, "{found} {expected}");
        assert!(float_of(times.len()) > 4_000.0);
    }
}
