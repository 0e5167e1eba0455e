//! What was measured of all rounds, added up, and what follows of the run as a whole.

use std::time::Duration;

use doorbell::Transport;
use doorbell_protocol::Family;

use crate::capture::Seen;
use crate::contender::Contender;
use crate::costs::Costs;
use crate::figure::{float, float_of, percent, time};
use crate::flags::Mode;
use crate::idle;
use crate::measure::micros;
use crate::network::Network;
use crate::plan::Plan;
use crate::race::Outcome;
use crate::radio::Radio;
use crate::rearm::Rearm;
use crate::report::{Generator, Run};
use crate::row::Row;
use crate::schedule::Planned;
use crate::tally::Tally;
use crate::theory::OverPhases;
use crate::unit_cost::UnitCost;
use crate::usage::Spent;
use crate::verdict::Verdict;
use crate::way::Way;

/// Intervals that a run has at least, or it is said.
pub(crate) const INTERVALS_MIN: u32 = 10;
/// A busier generator than this share of a core may be what is measured.
const CPU_SHARE_MAX: f64 = 0.7;
/// The share of the time for publishing by which two runs differ of themselves.
const NOISE: f64 = 0.1;
/// A publisher that is later than this share of a short delay bends it.
const LAG_MAX: Duration = Duration::from_millis(10);

/// What was measured of all rounds.
pub(crate) struct Results {
    pub(crate) tallies: Vec<Tally>,
    pub(crate) run: Run,
    pub(crate) generator: Generator,
    pub(crate) delivered: u64,
    pub(crate) server_cpu: f64,
    pub(crate) baseline: Spent,
    pub(crate) baseline_messages: usize,
}

impl Results {
    pub(crate) fn new(run: Run, contenders: usize) -> Self {
        Self {
            tallies: (0..contenders).map(|_| Tally::default()).collect(),
            run,
            generator: Generator::default(),
            delivered: 0,
            server_cpu: 0.0,
            baseline: Spent::default(),
            baseline_messages: 0,
        }
    }

    /// Takes down what is of all contenders of a race.
    pub(crate) fn take(&mut self, outcome: &Outcome) {
        self.run.interrupted |= outcome.interrupted;
        self.run.published += outcome.accepted.len();
        self.run.accepted += outcome.accepted_count();
        if self.run.trouble.is_none() {
            self.run.trouble.clone_from(&outcome.trouble);
        }
        self.server_cpu += outcome.server.map_or(0.0, |spent| spent.cpu_seconds);
        let share = outcome.own_cpu.as_secs_f64() / outcome.wall.as_secs_f64().max(1e-9);
        self.generator.cpu_share = self.generator.cpu_share.max(share);
        let lag = micros(outcome.latest);
        self.generator.schedule_lag_us = self.generator.schedule_lag_us.max(lag);
    }

    /// Notes what the times of a round let expect of polls, and of long polls over a round trip.
    pub(crate) fn expect(
        &mut self,
        plan: &Plan,
        contenders: &[Contender],
        planned: &[Planned],
        round_trip_us: Option<f64>,
    ) {
        let times: Vec<Duration> = planned.iter().map(|message| message.at).collect();
        for (tally, contender) in self.tallies.iter_mut().zip(contenders) {
            if let Some(interval) = contender.interval {
                let interval = interval.as_secs_f64();
                tally.expect(OverPhases::of(&times, plan.duration, interval));
            }
            if let (Family::Longpoll, Some(micros)) = (contender.way.family(), round_trip_us) {
                tally.expect_rearm(Rearm::of_times(&times, plan.duration, micros / 1e6));
            }
        }
    }

    /// The rows of all contenders. `seen` is what was captured of them.
    pub(crate) fn rows(
        &self,
        plan: &Plan,
        contenders: &[Contender],
        costs: &Costs,
        keepalive: Duration,
        seen: Option<&Seen>,
    ) -> Vec<Row> {
        let unit = |way: Way| costs.units.iter().find(|unit| unit.via == way);
        let means = self.tallies.iter().filter_map(Tally::mean_us);
        let quickest = means.min_by(f64::total_cmp).unwrap_or_default();
        let pushes = self.tallies.iter().zip(contenders);
        let pushes = pushes.filter(|(_, contender)| contender.way.family() == Family::Push);
        let pushes = pushes.filter_map(|(tally, _)| tally.latency());
        let push = pushes.min_by(|left, right| left.mean.total_cmp(&right.mean));
        let rows = self.tallies.iter().zip(contenders).zip(&costs.idle);
        rows.map(|((tally, contender), idle)| {
            let unit = unit(contender.way);
            let mut row = tally.row(contender, plan, unit, quickest);
            if self.run.network == Network::Ethernet {
                let (lost, again) = tally.mishaps();
                (row.lost_packets, row.segments_sent_again) = (Some(lost), Some(again));
            }
            if contender.way.family() == Family::Longpoll {
                let known = costs.round_trip_us().zip(push);
                row.rearm = known.and_then(|(micros, push)| tally.long_polls(plan, micros, push));
            }
            let came = row.deliveries.iter().map(|dot| float(dot.delivered_us) / 1e6);
            let came: Vec<f64> = came.collect();
            // Of a long run the picture has the first messages only.
            let is_whole =
                came.len() >= row.delivered / (row.rounds.len() * plan.subscribers as usize).max(1);
            let length = if is_whole {
                plan.duration.as_secs_f64()
            } else {
                came.last().copied().unwrap_or_default()
            };
            let knows = contender.way.is_even() || !row.polls();
            row.radio = knows.then(|| {
                Radio::new(
                    &came,
                    length,
                    idle::period(contender, keepalive),
                    row.polls(),
                    plan.radio_tail,
                )
            });
            row.idle = idle.or_else(|| idle::scaled(contender, unit?, keepalive));
            // Datagrams are not captured, and a Unix socket has no packets.
            if !matches!(contender.way.transport(), Transport::Udp | Transport::Unix) {
                let captured = seen.map(|seen| seen.of(tally.connections()));
                row.capture = captured.map(|captured| captured.check(row.wire_bytes, row.packets));
            }
            row
        })
        .collect()
    }

    /// Which way is cheapest, of those with these unit costs.
    pub(crate) fn verdict(&self, units: &[UnitCost]) -> Option<Verdict> {
        let run = &self.run;
        Verdict::new(units, &run.intervals_s, &run.coalesce_s, run.rate)
    }

    /// Works out what is of the run as a whole.
    pub(crate) fn conclude(&mut self, plan: &Plan, contenders: &[Contender]) {
        let cpu = self.baseline.cpu_seconds * 1e6;
        match plan.mode {
            Mode::Apart if self.baseline_messages > 0 => {
                let each = cpu / float_of(self.baseline_messages);
                self.run.publishing_cpu_us = Some(each);
                self.run.cpu_noise_us = Some(NOISE * each / f64::from(self.run.subscribers));
            }
            Mode::Together if self.delivered > 0 && self.server_cpu > 0.0 => {
                let per_delivery = self.server_cpu * 1e6 / float(self.delivered);
                self.run.shared_cpu_us_per_delivery = Some(per_delivery);
            }
            _ => {}
        }
        if self.generator.cpu_share > CPU_SHARE_MAX {
            self.generator.warnings.push(format!(
                "this process used {} of a core, so it may be what was measured",
                percent(self.generator.cpu_share)
            ));
        }
        let longest = contenders.iter().filter_map(|contender| contender.interval).max();
        let least = longest.unwrap_or_default() * INTERVALS_MIN;
        if plan.duration < least {
            self.generator.warnings.push(format!(
                "the run is shorter than {INTERVALS_MIN} intervals, so what is said of polls rests on \
                 few of them; --duration {least:?} is long enough"
            ));
        }
        let lag = self.generator.schedule_lag_us;
        if lag > micros(LAG_MAX) {
            self.generator.warnings.push(format!(
                "a message was published {} late, so delays may be those of this process",
                time(float(lag))
            ));
        }
    }
}
