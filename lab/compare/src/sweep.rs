//! `doorbell compare sweep`: bytes against the rate of messages, and the rate at which polling and
//! push change places.

use std::sync::Arc;
use std::time::Duration;

use doorbell::{CoalesceWindow, Transport};
use doorbell_instruments::Failure;
use serde::Serialize;

use crate::contender::{Contender, Where};
use crate::figure::{bytes, count, float, float_of};
use crate::flags::{INTERVALS_MAX, Phases, Process, SweepArguments};
use crate::grid::{Grid, NOTHING, wrap};
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::race::Race;
use crate::schedule::{Planned, Schedule, draw};
use crate::theory::crossover;
use crate::unit_cost::UnitCost;
use crate::way::Way;

/// Ways in a sweep: what asks, and what is told.
pub(crate) const WAYS: [Way; 6] = [
    Way::PollNew,
    Way::PollPlain,
    Way::POLL,
    Way::Best(Transport::Sse),
    Way::Best(Transport::Websocket),
    Way::TCP,
];
/// Subscribers of each, so that the phase of one poll matters less.
const SUBSCRIBERS: usize = 2;

/// How long push gathers in a short one.
const AROUND_WINDOW: Duration = Duration::from_millis(100);
/// Rates of one sweep.
const RATES_MAX: usize = 20;

/// What is swept.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) rates: Vec<f64>,
    pub(crate) intervals: Vec<Duration>,
    pub(crate) duration: Duration,
    pub(crate) coalesce: CoalesceWindow,
    pub(crate) payload: u32,
    pub(crate) seed: u64,
}

/// The result.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Sweep {
    pub(crate) seconds_per_rate: f64,
    pub(crate) payload_bytes: u32,
    pub(crate) seed: u64,
    pub(crate) subscribers: usize,
    pub(crate) interrupted: bool,
    pub(crate) points: Vec<Point>,
    pub(crate) crossovers: Vec<Crossover>,
}

/// One way at one rate, measured.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Point {
    pub(crate) name: String,
    pub(crate) via: Way,
    pub(crate) interval_s: Option<f64>,
    /// How long the server let messages wait for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) coalesce_s: Option<f64>,
    /// Messages a second that were asked for.
    pub(crate) rate: f64,
    /// Messages a second that one subscriber received while it was counted.
    pub(crate) delivered_per_s: f64,
    pub(crate) wire_bytes_per_s: f64,
}

/// Where a poll and push change places, in messages a second.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Crossover {
    pub(crate) poll: String,
    pub(crate) push: String,
    pub(crate) interval_s: f64,
    /// Between the measured points; `None` if one is cheaper at all of them.
    pub(crate) measured: Option<f64>,
    /// Worked out from the unit costs.
    pub(crate) computed: Option<f64>,
    /// The same where push gathers messages for `coalesce_s`.
    pub(crate) measured_coalesced: Option<f64>,
    pub(crate) computed_coalesced: Option<f64>,
    pub(crate) coalesce_s: f64,
}

impl Settings {
    /// Checks what was asked for.
    pub(crate) fn checked(arguments: &SweepArguments) -> Result<Self, Failure> {
        let mut intervals = arguments.interval.clone();
        intervals.sort_unstable();
        intervals.dedup();
        let mut rates = arguments.rates.clone();
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        for (name, count, limit) in
            [("interval", intervals.len(), INTERVALS_MAX), ("rates", rates.len(), RATES_MAX)]
        {
            if count > limit {
                return Err(Failure::Usage(format!(
                    "{count} values of --{name} are too many, limit is {limit}"
                )));
            }
        }
        let longest = intervals.last().copied().unwrap_or_default();
        if longest > arguments.duration {
            return Err(Failure::Usage(format!(
                "--duration {:?} is shorter than --interval {longest:?}: no poll would be counted",
                arguments.duration
            )));
        }
        Ok(Self {
            rates,
            intervals,
            duration: arguments.duration,
            coalesce: arguments.coalesce,
            payload: arguments.payload,
            seed: arguments.seed.unwrap_or_else(rand::random),
        })
    }

    /// How long a short one takes, about.
    pub(crate) const AROUND: Duration = Duration::from_secs(7 * 4);

    /// A short one around the rate at which the two should change places.
    pub(crate) fn around(units: &[UnitCost], interval: Duration, payload: u32, seed: u64) -> Self {
        let interval = interval.min(Duration::from_millis(500));
        let coalesce = CoalesceWindow::new(AROUND_WINDOW).unwrap_or_default();
        let settings = Self {
            rates: Vec::new(),
            intervals: vec![interval],
            duration: Duration::from_secs(3),
            coalesce,
            payload,
            seed,
        };
        let contender = Contender::from(Way::POLL).every(interval);
        let middle = Self::computed(units, &contender, None).unwrap_or(10.0);
        let rates = (-3..=3).map(|step| middle * 2.0_f64.powi(step)).collect();
        Self { rates, ..settings }
    }

    /// Where a poll should change places with push, from unit costs.
    fn computed(
        units: &[UnitCost],
        poll: &Contender,
        window: Option<CoalesceWindow>,
    ) -> Option<f64> {
        let unit = |way: Way| units.iter().find(|unit| unit.via == way);
        let (asks, told) = (unit(poll.way)?.poll?, unit(Way::TCP)?.push?);
        let interval = poll.interval?.as_secs_f64();
        crossover(
            |rate| asks.rate(rate, interval),
            |rate| match window {
                Some(window) => told.coalesced(rate, window.duration().as_secs_f64()),
                None => told.rate(rate),
            },
        )
    }

    /// Runs it, one rate after another.
    pub(crate) async fn run(
        &self,
        at: Where<'_>,
        units: &[UnitCost],
        interrupt: &mut Interrupt,
        progress: &mut Progress,
    ) -> Result<Sweep, Failure> {
        let Where { server, publish_at, places } = at;
        let ways: Vec<Way> = WAYS.into_iter().filter(|way| places.have(*way)).collect();
        let mut contenders = Contender::all(&ways, &self.intervals, &[], None);
        if ways.contains(&Way::TCP) {
            contenders.push(self.gathering());
        }
        let mut sweep = Sweep {
            seconds_per_rate: self.duration.as_secs_f64(),
            payload_bytes: self.payload,
            seed: self.seed,
            subscribers: SUBSCRIBERS,
            interrupted: false,
            points: Vec::new(),
            crossovers: Vec::new(),
        };
        for (index, rate) in self.rates.iter().enumerate() {
            let stage =
                format!("sweep {}/{}: {rate:.2} messages a second", index + 1, self.rates.len());
            progress.stage(stage);
            let schedule = Arc::new(Schedule::new(self.planned(*rate), self.duration)?);
            let (subscribers, seed) = (SUBSCRIBERS, self.seed);
            let contenders = &contenders;
            let race = Race {
                server,
                publish_at,
                places,
                contenders,
                subscribers,
                seed,
                schedule,
                lists: false,
                phases: Phases::Random,
                failing: None,
            };
            let (outcome, finishes) = race.run(interrupt, progress).await?;
            let seconds = outcome.window.as_secs_f64() * float_of(SUBSCRIBERS);
            for (contender, finish) in contenders.iter().zip(finishes) {
                sweep.points.push(Point {
                    name: contender.name(),
                    via: contender.way,
                    interval_s: contender.interval.map(|interval| interval.as_secs_f64()),
                    coalesce_s: (!contender.coalesce.is_none())
                        .then(|| contender.coalesce.duration().as_secs_f64()),
                    rate: *rate,
                    delivered_per_s: float(finish.delivered_in_window) / seconds,
                    wire_bytes_per_s: float(finish.window.bytes_on_wire()) / seconds,
                });
            }
            if outcome.interrupted {
                sweep.interrupted = true;
                break;
            }
        }
        sweep.crossovers = self.crossovers(&contenders, &sweep, units);
        Ok(sweep)
    }

    /// Push that gathers.
    fn gathering(&self) -> Contender {
        Contender::from(Way::TCP).gathered(self.coalesce)
    }

    fn planned(&self, rate: f64) -> Arc<[Planned]> {
        let times = draw(Process::Poisson, rate, self.duration, self.seed);
        times.into_iter().map(|at| Planned { at, topic: 0, bytes: self.payload }).collect()
    }

    fn crossovers(
        &self,
        contenders: &[Contender],
        sweep: &Sweep,
        units: &[UnitCost],
    ) -> Vec<Crossover> {
        let push = sweep.curve(Way::TCP.name());
        let gathered = sweep.curve(&self.gathering().name());
        let polls =
            contenders.iter().filter_map(|contender| Some((contender, contender.interval?)));
        polls
            .map(|(contender, interval)| Crossover {
                poll: contender.name(),
                push: Way::TCP.name().to_owned(),
                interval_s: interval.as_secs_f64(),
                measured: crossing(&sweep.curve(&contender.name()), &push),
                computed: Self::computed(units, contender, None),
                measured_coalesced: crossing(&sweep.curve(&contender.name()), &gathered),
                computed_coalesced: Self::computed(units, contender, Some(self.coalesce)),
                coalesce_s: self.coalesce.duration().as_secs_f64(),
            })
            .collect()
    }
}

impl Sweep {
    /// The measured points of a contender: messages a second and bytes a second.
    pub(crate) fn curve(&self, name: &str) -> Vec<(f64, f64)> {
        let points = self.points.iter().filter(|point| point.name == name);
        let mut curve: Vec<(f64, f64)> = points
            .map(|point| (point.delivered_per_s, point.wire_bytes_per_s))
            .filter(|(rate, bytes)| *rate > 0.0 && *bytes > 0.0)
            .collect();
        curve.sort_by(|a, b| a.0.total_cmp(&b.0));
        curve
    }
}

/// Where the first curve falls below the second, both taken as straight between their points on
/// logarithmic axes.
fn crossing(poll: &[(f64, f64)], push: &[(f64, f64)]) -> Option<f64> {
    let ratio = |rate: f64| Some((between(poll, rate)? / between(push, rate)?).ln());
    let mut rates: Vec<f64> = poll.iter().chain(push).map(|(rate, _)| *rate).collect();
    rates.sort_by(f64::total_cmp);
    let known: Vec<(f64, f64)> =
        rates.into_iter().filter_map(|rate| Some((rate, ratio(rate)?))).collect();
    let pair = known.windows(2).find(|pair| pair[0].1 >= 0.0 && pair[1].1 < 0.0)?;
    let ((low, above), (high, below)) = (pair[0], pair[1]);
    let part = above / (above - below);
    Some((low.ln() + part * (high / low).ln()).exp())
}

/// The value of a curve between its points.
fn between(curve: &[(f64, f64)], at: f64) -> Option<f64> {
    let pair = curve.windows(2).find(|pair| pair[0].0 <= at && at <= pair[1].0)?;
    let ((low, first), (high, second)) = (pair[0], pair[1]);
    if high <= low {
        return Some(first);
    }
    let part = (at / low).ln() / (high / low).ln();
    Some((first.ln() + part * (second / first).ln()).exp())
}

/// The sweep for people.
pub(crate) fn render(sweep: &Sweep) -> String {
    let mut rates: Vec<f64> = sweep.points.iter().map(|point| point.rate).collect();
    rates.dedup();
    let shown: Vec<String> = rates.iter().map(|rate| format!("{rate:.3}")).collect();
    let mut names: Vec<&str> = Vec::new();
    for point in &sweep.points {
        if !names.contains(&point.name.as_str()) {
            names.push(&point.name);
        }
    }
    let mut text = String::new();
    wrap(&mut text, "Bytes a second on the wire of one subscriber, by messages a second:");
    let width = names.iter().map(|name| name.len()).max().unwrap_or(0);
    let mut line = |name: &str, cells: &mut dyn Iterator<Item = String>| {
        let cells = cells.fold(String::new(), |line, cell| format!("{line}{cell:>10}"));
        text += &[name, &" ".repeat(width - name.len()), &cells, "\n"].concat();
    };
    line("", &mut shown.into_iter());
    for name in names {
        let value = |rate: &f64| {
            let at = |point: &&Point| point.name == name && point.rate.total_cmp(rate).is_eq();
            let value = sweep.points.iter().find(at).map(|point| bytes(point.wire_bytes_per_s));
            value.unwrap_or_else(|| NOTHING.to_owned())
        };
        line(name, &mut rates.iter().map(value));
    }
    text.push('\n');
    text += &changes(sweep).render();
    for sentence in sentences(sweep) {
        wrap(&mut text, &sentence);
    }
    text
}

/// Where polling and push change places.
pub(crate) fn changes(sweep: &Sweep) -> Grid {
    let title = "Messages a second above which polling moves fewer bytes than push (tcp)";
    let columns = ["contender", "measured", "worked out", "coalescing: measured", "worked out"];
    let mut grid = Grid::new(title, &columns);
    for crossover in &sweep.crossovers {
        let shown = |rate: Option<f64>, none: &str| rate.map_or_else(|| none.to_owned(), count);
        grid.row(vec![
            crossover.poll.clone(),
            shown(crossover.measured, "not in this range"),
            shown(crossover.computed, "never"),
            shown(crossover.measured_coalesced, "not in this range"),
            shown(crossover.computed_coalesced, "never"),
        ]);
    }
    grid
}

fn sentences(sweep: &Sweep) -> Vec<String> {
    let mut out = Vec::new();
    let window = sweep.crossovers.first().map_or(0.0, |crossover| crossover.coalesce_s);
    out.push(format!(
        "\"coalescing\" is push that gathers messages for {} ms and sends them together, as a \
         subscriber may ask for.",
        window * 1e3
    ));
    let saving = |point: &&Point| {
        let push = sweep.points.iter().find(|push| {
            push.name == Way::TCP.name() && push.rate.total_cmp(&point.rate).is_eq()
        })?;
        Some(push.wire_bytes_per_s / point.wire_bytes_per_s)
    };
    let polls = sweep.points.iter().filter(|point| point.interval_s.is_some());
    let best = polls.filter_map(|point| Some((point, saving(&point)?)));
    if let Some((point, times)) =
        best.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|best| best.1 > 1.0)
    {
        out.push(format!(
            "Polling wins here: at {:.3} messages a second {} moved {times:.1} times fewer bytes than \
             push, and each message waited {:.2} s for it on average.",
            point.rate,
            point.name,
            point.interval_s.unwrap_or_default() / 2.0
        ));
    }
    if sweep.interrupted {
        out.push("The sweep was cut short.".to_owned());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_cross_between_their_points() {
        let poll = [(1.0, 700.0), (2.0, 800.0), (10.0, 1600.0)];
        let push: Vec<(f64, f64)> = [1.0, 3.0, 9.0].map(|rate| (rate, 200.0 * rate)).into();
        let found = crossing(&poll, &push).unwrap();
        // 600 + 100 x = 200 x at six; straight lines on logarithmic axes are close to that.
        assert!((5.0..7.0).contains(&found), "{found}");
        assert_eq!(crossing(&push, &poll[..0]), None);
        assert_eq!(crossing(&[(1.0, 5.0), (9.0, 9.0)], &push), None);
    }
}
