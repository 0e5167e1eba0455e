//! Adds up what a contender did, over its subscribers and rounds, and makes a row of it.

use std::time::Duration;

use doorbell::Transport;
use doorbell_instruments::{Connection, Traffic};
use doorbell_link::Mishaps;

use crate::both::Both;
use crate::contender::Contender;
use crate::figure::{float, float_of, per};
use crate::flags::Process;
use crate::measure::Latencies;
use crate::plan::Plan;
use crate::race::{Finish, Outcome};
use crate::rearm::Rearm;
use crate::row::{
    Computed, Datagrams, Expected, Latency, LongPolls, Recovery, Round, Row, Window, recorded,
};
use crate::theory::{self, OverPhases};
use crate::unit_cost::UnitCost;
use crate::usage::Spent;

/// The sums of one contender.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    latencies: Latencies,
    published: usize,
    due: usize,
    delivered: usize,
    missed: usize,
    repeated: u64,
    out_of_order: u64,
    gaps: u64,
    disconnects: u64,
    datagrams: Datagrams,
    trouble: Option<String>,
    whole: Traffic,
    window: Traffic,
    window_seconds: f64,
    window_delivered: u64,
    /// What the server used for it alone, and in how many seconds; `None` if it was not alone.
    server: Option<(Spent, f64)>,
    /// What the times of each round let expect of polls.
    phases: Vec<OverPhases>,
    /// And of long polls.
    rearms: Vec<Rearm>,
    rounds: Vec<Round>,
    connections: Vec<Connection>,
    /// After an outage, when each subscriber heard again, and what that moved.
    again: Vec<Option<Duration>>,
    outage: Option<Traffic>,
}

/// Bytes of a message, and their standard error.
#[derive(Debug, Clone, Copy)]
struct Each {
    bytes: f64,
    error: f64,
}

/// What the server used for it alone, less what it uses for publishing.
pub(crate) struct Alone {
    pub(crate) spent: Spent,
    pub(crate) baseline: Spent,
    pub(crate) wall: Duration,
}

impl Tally {
    /// Adds a race.
    pub(crate) fn add(&mut self, outcome: &Outcome, finish: &Finish, alone: Option<Alone>) {
        let delivered: usize = finish.measures.iter().map(|measure| measure.delivered).sum();
        let server = alone.map(|alone| {
            let spent = Spent {
                cpu_seconds: alone.spent.cpu_seconds - alone.baseline.cpu_seconds,
                context_switches: alone
                    .spent
                    .context_switches
                    .saturating_sub(alone.baseline.context_switches),
            };
            (spent, alone.wall.as_secs_f64())
        });
        self.rounds.extend(round(finish, delivered, server.map(|(spent, _)| spent)));
        for measure in &finish.measures {
            self.missed += measure.missed(&outcome.accepted);
            self.repeated += measure.repeated;
            self.out_of_order += measure.out_of_order;
            self.gaps += measure.gaps;
            self.disconnects += measure.disconnects;
            if measure.trouble.is_some() {
                self.trouble.clone_from(&measure.trouble);
            }
        }
        if let Some(outage) = finish.outage {
            self.again.extend(finish.measures.iter().map(|measure| measure.heard_again));
            self.outage = Some(self.outage.unwrap_or_default().plus(outage));
        }
        self.published += outcome.accepted.len();
        self.due += outcome.accepted_count() * finish.measures.len();
        self.delivered += delivered;
        self.datagrams.plus(finish.datagrams);
        self.whole = self.whole.plus(finish.whole);
        self.window = self.window.plus(finish.window);
        self.window_seconds += outcome.window.as_secs_f64();
        self.window_delivered += finish.delivered_in_window;
        if self.latencies.dots.is_empty() {
            self.latencies.dots.clone_from(&finish.latencies.dots);
        }
        self.latencies.add(&finish.latencies);
        self.connections.extend(&finish.connections);
        if let Some((spent, wall)) = server {
            let sum = self.server.get_or_insert_default();
            sum.0.add(spent);
            sum.1 += wall;
        }
    }

    /// The mean delay in microseconds.
    pub(crate) fn mean_us(&self) -> Option<f64> {
        self.latency().map(|latency| latency.mean)
    }

    /// The connections of all rounds, if they were wanted.
    pub(crate) fn connections(&self) -> &[Connection] {
        &self.connections
    }

    /// Notes what a round's times let expect of polls.
    pub(crate) fn expect(&mut self, phases: OverPhases) {
        self.phases.push(phases);
    }

    /// Notes what a round's times let expect of long polls.
    pub(crate) fn expect_rearm(&mut self, rearm: Rearm) {
        self.rearms.push(rearm);
    }

    /// What theory expects of long polls over a round trip, and what was measured. `push` is the
    /// quickest that does not ask.
    pub(crate) fn long_polls(
        &self,
        plan: &Plan,
        round_trip_us: f64,
        push: Latency,
    ) -> Option<LongPolls> {
        let latency = Latency::of(&self.latencies.planned)?;
        let full = self.window.requests.saturating_sub(self.window.empty);
        let seconds = self.window_seconds * f64::from(plan.subscribers);
        Some(LongPolls {
            round_trip_us,
            formula: (plan.process == Process::Poisson)
                .then(|| Rearm::formula(plan.rate, round_trip_us / 1e6)),
            of_these_times: Rearm::mean(&self.rearms)?,
            extra_wait_us: latency.mean - push.mean,
            extra_wait_error_us: latency.mean_error.hypot(push.mean_error),
            questions_per_s: float(full) / seconds,
        })
    }

    /// How it came through an outage.
    fn recovery(&self) -> Option<Recovery> {
        let outage = self.outage?;
        let mut again: Vec<f64> = self.again.iter().flatten().map(Duration::as_secs_f64).collect();
        again.sort_by(f64::total_cmp);
        let has_all = again.len() == self.again.len();
        let at = |index: usize| again.get(index).copied().filter(|_| has_all);
        Some(Recovery {
            subscribers: self.again.len(),
            again: again.len(),
            median_again_s: at(again.len() / 2),
            slowest_again_s: at(again.len().saturating_sub(1)),
            wire_bytes_per_subscriber: per(float(outage.bytes_on_wire()), self.again.len() as u64)?,
        })
    }

    /// Packets that a link lost, and segments that were sent again.
    pub(crate) fn mishaps(&self) -> (Both, Both) {
        let Mishaps { lost_out, lost_in, again_out, again_in } = self.whole.mishaps;
        (Both { r#in: lost_in, out: lost_out }, Both { r#in: again_in, out: again_out })
    }

    /// The delays.
    pub(crate) fn latency(&self) -> Option<Latency> {
        Latency::of(&self.latencies.planned)
    }

    /// The row of a contender. `quickest` is the mean delay of the quickest contender, in
    /// microseconds: what there is besides waiting for a turn.
    pub(crate) fn row(
        &self,
        contender: &Contender,
        plan: &Plan,
        unit: Option<&UnitCost>,
        quickest: f64,
    ) -> Row {
        let delivered = self.delivered as u64;
        let each = self.bytes_of_each(contender, plan, unit);
        let subscribers = f64::from(plan.subscribers);
        let spent = self.server.map(|(spent, _)| spent);
        let cores = self.server.map(|(spent, wall)| spent.cpu_seconds / wall / subscribers);
        let message = message_cost(contender, unit);
        let rounds = self
            .rounds
            .iter()
            .map(|round| Round { wire_bytes_per_delivery: each_of(round, message), ..*round });
        Row {
            name: contender.name(),
            via: contender.way,
            interval_s: contender.interval.map(|interval| interval.as_secs_f64()),
            coalesce_s: (!contender.coalesce.is_none())
                .then(|| contender.coalesce.duration().as_secs_f64()),
            subscribers: plan.subscribers,
            published: self.published,
            due: self.due,
            delivered: self.delivered,
            missed: self.missed,
            repeated: self.repeated,
            out_of_order: self.out_of_order,
            gaps: self.gaps,
            disconnects: self.disconnects,
            trouble: self.trouble.clone(),
            latency_us: Latency::of(&self.latencies.planned),
            latency_from_accepted_us: Latency::of(&self.latencies.accepted),
            before_accepted: self.latencies.before_accepted,
            expected: self.expected(contender, plan, unit, quickest),
            rearm: None,
            radio: None,
            outage: self.recovery(),
            datagrams: (contender.way.transport() == Transport::Udp).then_some(self.datagrams),
            requests: self.whole.requests,
            empty: self.whole.empty,
            not_modified: self.whole.not_modified,
            connects: self.whole.connects,
            app_bytes: app_bytes(self.whole),
            wire_bytes: wire_bytes(self.whole),
            packets: packets(self.whole),
            acks: Both { r#in: self.whole.wire.acks_in, out: self.whole.wire.acks_out },
            lost_packets: None,
            segments_sent_again: None,
            window: self.window(),
            wire_bytes_per_delivery: each.map(|each| each.bytes),
            wire_bytes_per_delivery_error: each.map(|each| each.error),
            text_share: each.map(|each| f64::from(plan.payload) / each.bytes),
            packets_per_delivery: per(float(packets(self.window).sum()), self.window_delivered)
                .filter(|packets| *packets > 0.0),
            wakeups_per_delivery: per(float(self.window.reads), self.window_delivered),
            server_cpu_us_per_delivery: spent
                .and_then(|spent| per(spent.cpu_seconds * 1e6, delivered)),
            server_context_switches_per_delivery: spent
                .and_then(|spent| per(float(spent.context_switches), delivered)),
            server_cores_per_subscriber: cores,
            memory: unit.map(|unit| unit.memory).unwrap_or_default(),
            first_event_us: unit.map(|unit| unit.first_event_us),
            connect_wire_bytes: unit.map(|unit| unit.connect_bytes),
            computed: Computed {
                idle_wire_bytes_per_hour: unit
                    .and_then(|unit| unit.idle_bytes_per_hour(contender.interval)),
            },
            idle: None,
            capture: None,
            rounds: rounds.collect(),
            histogram_us: recorded(&self.latencies.planned),
            histogram_from_accepted_us: recorded(&self.latencies.accepted),
            deliveries: self.latencies.dots.clone(),
        }
    }

    /// Bytes on the wire for each message, of those while messages were published. What was
    /// published in that time and came later is added at what a message costs, or slow polls would
    /// seem dear: all of their questions are counted, and of the answers the last are missing.
    fn bytes_of_each(
        &self,
        contender: &Contender,
        plan: &Plan,
        unit: Option<&UnitCost>,
    ) -> Option<Each> {
        let message = message_cost(contender, unit);
        let all = self.rounds.iter().copied().reduce(|sum, round| Round {
            delivered: sum.delivered + round.delivered,
            delivered_in_window: sum.delivered_in_window + round.delivered_in_window,
            window_wire_bytes: sum.window_wire_bytes + round.window_wire_bytes,
            ..sum
        })?;
        let bytes = each_of(&all, message)?;
        let delivered = float_of(all.delivered);
        // Chance has a say in how many messages share what is spent on waiting, and in how often
        // was asked in the time.
        let shared = (bytes - message).max(0.0);
        let runs = f64::from(plan.subscribers) * float_of(self.rounds.len().max(1));
        let messages = self.delivered / (plan.subscribers as usize).max(1);
        let by_count = shared * theory::count_error(plan.process, messages);
        let by_phase = match (unit.and_then(|unit| unit.poll), contender.interval) {
            (Some(cost), Some(interval)) if contender.way.is_even() => {
                let seconds = plan.duration.as_secs_f64();
                let polls = theory::polls_deviation(seconds, interval.as_secs_f64());
                polls * runs.sqrt() * cost.empty / delivered
            }
            _ => 0.0,
        };
        Some(Each { bytes, error: by_count.hypot(by_phase) })
    }

    fn window(&self) -> Window {
        Window {
            seconds: self.window_seconds,
            delivered: self.window_delivered,
            requests: self.window.requests,
            empty: self.window.empty,
            app_bytes: app_bytes(self.window),
            wire_bytes: wire_bytes(self.window),
            packets: packets(self.window),
        }
    }

    fn expected(
        &self,
        contender: &Contender,
        plan: &Plan,
        unit: Option<&UnitCost>,
        quickest: f64,
    ) -> Option<Expected> {
        if !contender.way.is_even() || self.rounds.is_empty() {
            return None;
        }
        let interval = contender.interval?.as_secs_f64();
        let cost = unit?.poll?;
        let phases = OverPhases::averaged(&self.phases, plan.subscribers);
        let full = 1.0 - phases.empty_share;
        let seconds = self.window_seconds * f64::from(plan.subscribers);
        let rate = float(self.window_delivered) / seconds.max(f64::MIN_POSITIVE);
        let bytes = (cost.empty + full * cost.full) / interval + rate * cost.message;
        Some(Expected {
            mean_us: theory::mean_wait(interval) * 1e6 + quickest,
            mean_error_us: phases.wait_deviation * 1e6,
            empty_share: theory::empty_share(plan.process, plan.rate, interval),
            empty_share_of_these_times: phases.empty_share,
            empty_share_error: phases.empty_deviation,
            wire_bytes_per_s: bytes * f64::from(plan.subscribers),
        })
    }
}

/// What a message costs beyond asking, waiting, and the packets that it shares.
fn message_cost(contender: &Contender, unit: Option<&UnitCost>) -> f64 {
    let poll = unit.and_then(|unit| unit.poll).map(|cost| cost.message);
    let push = unit.and_then(|unit| unit.push);
    let push =
        push.map(|cost| if contender.coalesce.is_none() { cost.message } else { cost.content });
    poll.or(push).unwrap_or_default()
}

/// Bytes of each message of a round, of which each costs so many at least.
fn each_of(round: &Round, message: f64) -> Option<f64> {
    let later = float_of(round.delivered) - float(round.delivered_in_window);
    per(float(round.window_wire_bytes) + later * message, round.delivered as u64)
}

fn round(finish: &Finish, delivered: usize, spent: Option<Spent>) -> Option<Round> {
    let latency = Latency::of(&finish.latencies.planned)?;
    Some(Round {
        delivered,
        delivered_in_window: finish.delivered_in_window,
        window_wire_bytes: finish.window.bytes_on_wire(),
        mean_us: latency.mean,
        p50_us: latency.p50,
        p99_us: latency.p99,
        // Once it is known what one costs.
        wire_bytes_per_delivery: None,
        server_cpu_us_per_delivery: spent
            .and_then(|spent| per(spent.cpu_seconds * 1e6, delivered as u64)),
    })
}

fn app_bytes(traffic: Traffic) -> Both {
    Both { r#in: traffic.bytes_in, out: traffic.bytes_out }
}

fn wire_bytes(traffic: Traffic) -> Both {
    Both { r#in: traffic.wire.bytes_in, out: traffic.wire.bytes_out }
}

fn packets(traffic: Traffic) -> Both {
    Both { r#in: traffic.wire.packets_in, out: traffic.wire.packets_out }
}
