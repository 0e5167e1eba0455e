//! The figures of one contender. What is written as JSON is this, member by member.
//!
//! Names say their units. What is not measured but worked out from measured figures stands in
//! members called `expected` or `computed`.

use doorbell_instruments::Losses;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::both::Both;
use crate::capture::Captured;
use crate::figure::{float, per};
use crate::idle::Idle;
use crate::measure::Dot;
use crate::memory::Memory;
use crate::radio::Radio;
use crate::rearm::Rearm;
use crate::way::Way;

/// One contender, all rounds and subscribers together.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) via: Way,
    pub(crate) interval_s: Option<f64>,
    /// How long the server let messages wait for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) coalesce_s: Option<f64>,
    pub(crate) subscribers: u32,
    pub(crate) published: usize,
    /// Deliveries that are due: accepted messages times subscribers.
    pub(crate) due: usize,
    pub(crate) delivered: usize,
    pub(crate) missed: usize,
    pub(crate) repeated: u64,
    pub(crate) out_of_order: u64,
    pub(crate) gaps: u64,
    pub(crate) disconnects: u64,
    pub(crate) trouble: Option<String>,
    /// From the planned time of publishing to the delivery.
    pub(crate) latency_us: Option<Latency>,
    /// From the publisher's acknowledgement, on the same clock, to the delivery; 0 if that came
    /// first.
    pub(crate) latency_from_accepted_us: Option<Latency>,
    /// Deliveries that came before the publisher heard that the message was stored.
    pub(crate) before_accepted: u64,
    pub(crate) expected: Option<Expected>,
    /// Of long polls: what a round trip between two of them costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rearm: Option<LongPolls>,
    /// What it would cost a phone, worked out from the messages of the first subscriber's first
    /// round and what it sends while it waits.
    pub(crate) radio: Option<Radio>,
    /// How it came through what was made to fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outage: Option<Recovery>,
    /// Of a contender that has its messages by datagrams.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) datagrams: Option<Datagrams>,
    pub(crate) requests: u64,
    pub(crate) empty: u64,
    pub(crate) not_modified: u64,
    pub(crate) connects: u64,
    /// From the first packet of the first connection to the end of the last.
    pub(crate) app_bytes: Both,
    /// As `app_bytes`, with the headers of TCP and IP, handshakes, acknowledgements and closes.
    pub(crate) wire_bytes: Both,
    pub(crate) packets: Both,
    /// Packets among them that acknowledge and do nothing else.
    pub(crate) acks: Both,
    /// Packets among them that a link of packets lost, and segments that have something which had
    /// been sent before; `None` where there is no such link.
    pub(crate) lost_packets: Option<Both>,
    pub(crate) segments_sent_again: Option<Both>,
    /// While messages were published: connecting and waiting for stragglers is not in it.
    pub(crate) window: Window,
    /// Of the window, with what was published in it and came later at what a message costs.
    pub(crate) wire_bytes_per_delivery: Option<f64>,
    /// One standard error, if the run were made again at the rate that was asked for.
    pub(crate) wire_bytes_per_delivery_error: Option<f64>,
    /// The share of them that is the text which was published.
    pub(crate) text_share: Option<f64>,
    pub(crate) packets_per_delivery: Option<f64>,
    /// How often the client was woken for each by bytes that had come, answers without messages and
    /// signs of life included.
    pub(crate) wakeups_per_delivery: Option<f64>,
    /// Measured: the server's processor time less that of publishing. Mode `apart` only.
    pub(crate) server_cpu_us_per_delivery: Option<f64>,
    pub(crate) server_context_switches_per_delivery: Option<f64>,
    /// The same as a share of a core for each subscriber.
    pub(crate) server_cores_per_subscriber: Option<f64>,
    #[serde(flatten)]
    pub(crate) memory: Memory,
    pub(crate) first_event_us: Option<u64>,
    pub(crate) connect_wire_bytes: Option<u64>,
    pub(crate) computed: Computed,
    /// While nothing was published.
    pub(crate) idle: Option<Idle>,
    /// Of a contender over TCP, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) capture: Option<Captured>,
    pub(crate) rounds: Vec<Round>,
    /// Of `latency_us`: pairs of microseconds and how many.
    pub(crate) histogram_us: Vec<(u64, u64)>,
    pub(crate) histogram_from_accepted_us: Vec<(u64, u64)>,
    /// The first subscriber's first deliveries of the first round.
    pub(crate) deliveries: Vec<Dot>,
}

/// How a contender came through an outage.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Recovery {
    /// Subscribers, of all rounds, and those of them that had heard again before the end.
    pub(crate) subscribers: usize,
    pub(crate) again: usize,
    /// From the end of the outage to the first message that came after it; `None` if one of the
    /// subscribers never heard.
    pub(crate) median_again_s: Option<f64>,
    pub(crate) slowest_again_s: Option<f64>,
    /// From the beginning of the outage until all had heard again, or the end of the run: on the
    /// wire, of each subscriber.
    pub(crate) wire_bytes_per_subscriber: f64,
}

/// What datagrams lost, and what it cost to have everything all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Datagrams {
    pub(crate) arrived: u64,
    pub(crate) lost: u64,
    /// Those that arrived after their message had been fetched.
    pub(crate) overtaken: u64,
    pub(crate) repeated: u64,
    /// Messages that were too large for one and were fetched.
    pub(crate) large: u64,
    /// Polls for what was missing.
    pub(crate) repairs: u64,
    /// Bytes of those polls on the wire, both ways.
    pub(crate) repair_wire_bytes: u64,
}

impl Datagrams {
    /// Adds those of another subscriber.
    pub(crate) fn add(&mut self, losses: Losses) {
        self.arrived += losses.arrived;
        self.lost += losses.lost;
        self.overtaken += losses.overtaken;
        self.repeated += losses.repeated;
        self.large += losses.large;
        self.repairs += losses.repairs;
        self.repair_wire_bytes += losses.cost.wire.bytes_in + losses.cost.wire.bytes_out;
    }

    /// Adds those of another round.
    pub(crate) fn plus(&mut self, other: Self) {
        self.arrived += other.arrived;
        self.lost += other.lost;
        self.overtaken += other.overtaken;
        self.repeated += other.repeated;
        self.large += other.large;
        self.repairs += other.repairs;
        self.repair_wire_bytes += other.repair_wire_bytes;
    }
}

/// What theory expects of a poll.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Expected {
    /// Half an interval, and the delay that the quickest contender measured.
    pub(crate) mean_us: f64,
    /// One standard error of the measured mean: what the phase of the polls leaves to chance.
    pub(crate) mean_error_us: f64,
    /// By formula, from the rate that was asked for.
    pub(crate) empty_share: f64,
    /// For the very times that were drawn, on average over the phase of the polls.
    pub(crate) empty_share_of_these_times: f64,
    pub(crate) empty_share_error: f64,
    /// From the unit costs, at the interval that was asked for and the rate at which messages were
    /// delivered while bytes were counted.
    pub(crate) wire_bytes_per_s: f64,
}

/// What theory expects of long polls, and what was measured.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct LongPolls {
    /// From an empty poll to its answer, measured before the run.
    pub(crate) round_trip_us: f64,
    /// By formula, from the rate that was asked for; for a Poisson stream only.
    pub(crate) formula: Option<Rearm>,
    /// For the very times that were drawn.
    pub(crate) of_these_times: Rearm,
    /// How much longer than the quickest push its messages took on average.
    pub(crate) extra_wait_us: f64,
    pub(crate) extra_wait_error_us: f64,
    /// Of each subscriber, those that were answered with messages.
    pub(crate) questions_per_s: f64,
}

/// What is worked out from unit costs.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Computed {
    pub(crate) idle_wire_bytes_per_hour: Option<f64>,
}

/// Traffic while messages were published, all rounds together.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Window {
    pub(crate) seconds: f64,
    pub(crate) delivered: u64,
    pub(crate) requests: u64,
    pub(crate) empty: u64,
    pub(crate) app_bytes: Both,
    pub(crate) wire_bytes: Both,
    pub(crate) packets: Both,
}

impl Window {
    /// The measured share of empty answers.
    pub(crate) fn empty_share(&self) -> Option<f64> {
        per(float(self.empty), self.requests)
    }
}

/// One round of one contender.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Round {
    pub(crate) delivered: usize,
    /// While messages were published, and the bytes on the wire of that time.
    pub(crate) delivered_in_window: u64,
    pub(crate) window_wire_bytes: u64,
    pub(crate) mean_us: f64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: Option<u64>,
    pub(crate) wire_bytes_per_delivery: Option<f64>,
    pub(crate) server_cpu_us_per_delivery: Option<f64>,
}

/// A distribution in microseconds. A percentile is there where some messages lie beyond it.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Latency {
    pub(crate) count: u64,
    pub(crate) mean: f64,
    /// One standard error of the mean, if messages were independent of each other.
    pub(crate) mean_error: f64,
    pub(crate) p50: u64,
    /// Between these the median lies, 19 times in 20, by the ranks of the order statistics.
    pub(crate) p50_range: (u64, u64),
    pub(crate) p90: Option<u64>,
    pub(crate) p99: Option<u64>,
    pub(crate) p999: Option<u64>,
    pub(crate) max: u64,
}

impl Latency {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Option<Self> {
        (!histogram.is_empty()).then(|| Self {
            count: histogram.len(),
            mean: histogram.mean(),
            mean_error: histogram.stdev() / float(histogram.len()).sqrt(),
            p50: histogram.value_at_quantile(0.5),
            p50_range: around_the_median(histogram),
            p90: beyond(histogram, 10),
            p99: beyond(histogram, 100),
            p999: beyond(histogram, 1000),
            max: histogram.max(),
        })
    }
}

/// How many standard deviations to either side 19 of 20 are within.
const NINETEEN_OF_20: f64 = 1.96;

/// The values whose ranks are so far from the middle as chance moves it: the number of messages
/// below the median is binomial.
fn around_the_median(histogram: &Histogram<u64>) -> (u64, u64) {
    let away = NINETEEN_OF_20 / (2.0 * float(histogram.len()).sqrt());
    let at = |quantile: f64| histogram.value_at_quantile(quantile.clamp(0.0, 1.0));
    (at(0.5 - away), at(0.5 + away))
}

/// What one in so many exceeds, if there are so many.
fn beyond(histogram: &Histogram<u64>, one_in: u32) -> Option<u64> {
    let quantile = 1.0 - 1.0 / f64::from(one_in);
    (histogram.len() >= one_in.into()).then(|| histogram.value_at_quantile(quantile))
}

/// The values of a histogram that occur, and how often.
pub(crate) fn recorded(histogram: &Histogram<u64>) -> Vec<(u64, u64)> {
    let values = histogram.iter_recorded();
    values.map(|value| (value.value_iterated_to(), value.count_at_value())).collect()
}

impl Row {
    /// Whether it asks at an interval, so that its messages wait for their turn.
    pub(crate) fn polls(&self) -> bool {
        self.interval_s.is_some()
    }

    /// Bytes both ways with headers while messages were published; those of the application where
    /// there are none.
    pub(crate) fn window_bytes(&self) -> u64 {
        match self.window.wire_bytes.sum() {
            0 => self.window.app_bytes.sum(),
            bytes => bytes,
        }
    }
}

/// The rows of contenders that delivered as much as any did: one that delivered less has no claim
/// to have moved less.
pub(crate) fn complete(rows: &[Row]) -> Vec<&Row> {
    let most = rows.iter().map(|row| row.delivered).max().unwrap_or(0);
    rows.iter().filter(|row| row.delivered == most && most > 0).collect()
}
