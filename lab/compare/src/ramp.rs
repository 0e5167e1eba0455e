//! `doorbell compare ramp`: one contender after another at rates that double, until it or this
//! process cannot keep one.
//!
//! A rate is kept if everything arrived, half of it within the bound (and, of polls, within an
//! interval on top), and the messages were published when they were planned. What could not be kept
//! is said with what gave way first.

use std::sync::Arc;
use std::time::Duration;

use doorbell_instruments::Failure;
use serde::Serialize;

use crate::contender::{Contender, Places, Where};
use crate::figure::{count, float, percent, time};
use crate::flags::{Phases, Process, RampArguments};
use crate::grid::{Grid, NOTHING, wrap};
use crate::interrupt::Interrupt;
use crate::measure::micros;
use crate::progress::Progress;
use crate::race::{Finish, Outcome, Race};
use crate::row::Latency;
use crate::schedule::{Planned, Schedule, draw};
use crate::way::Way;

/// A publisher that is later than this has not kept the rate.
const LAG_MAX: Duration = Duration::from_millis(100);
/// Messages of one step: enough for any rate that a machine keeps.
const MESSAGES_MAX: f64 = 1e6;
/// A busier generator than this share of a core may be what gave way.
const CPU_SHARE_MAX: f64 = 0.9;

/// The result.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Ramp {
    pub(crate) seconds_per_step: f64,
    pub(crate) subscribers: u32,
    pub(crate) within_us: u64,
    pub(crate) interrupted: bool,
    pub(crate) contenders: Vec<Climb>,
}

/// How far one contender came.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Climb {
    pub(crate) name: String,
    pub(crate) via: Way,
    pub(crate) steps: Vec<Step>,
}

/// One rate.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Step {
    /// Messages a second that were asked for; each goes to every subscriber.
    pub(crate) rate: f64,
    pub(crate) p50_us: Option<u64>,
    pub(crate) p99_us: Option<u64>,
    pub(crate) server_cores: Option<f64>,
    /// Of this process, 1 being one core.
    pub(crate) generator_cores: f64,
    /// Why the rate was not kept.
    pub(crate) broke: Option<&'static str>,
}

impl Climb {
    /// The last step that was kept.
    fn kept(&self) -> Option<&Step> {
        self.steps.iter().rev().find(|step| step.broke.is_none())
    }

    /// The step that was not.
    fn broken(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.broke.is_some())
    }
}

/// Runs it.
pub(crate) async fn run(
    arguments: &RampArguments,
    at: Where<'_>,
    seed: u64,
    interrupt: &mut Interrupt,
    progress: &mut Progress,
) -> Result<Ramp, Failure> {
    let mut ramp = Ramp {
        seconds_per_step: arguments.duration.as_secs_f64(),
        subscribers: arguments.subscribers,
        within_us: micros(arguments.within),
        interrupted: false,
        contenders: Vec::new(),
    };
    let ways = ways(arguments, at.places)?;
    for contender in Contender::all(&ways, &[arguments.interval], &[], None) {
        let mut climb = Climb { name: contender.name(), via: contender.way, steps: Vec::new() };
        let mut rate = arguments.from;
        while rate <= arguments.to && rate * arguments.duration.as_secs_f64() <= MESSAGES_MAX {
            progress.stage(format!("{} at {} messages a second", climb.name, count(rate)));
            let (step, interrupted) =
                step(arguments, at, &contender, rate, seed, interrupt, progress).await?;
            if interrupted {
                ramp.interrupted = true;
                break;
            }
            let broke = step.broke.is_some();
            climb.steps.push(step);
            if broke {
                break;
            }
            rate *= 2.0;
        }
        ramp.contenders.push(climb);
        if ramp.interrupted {
            break;
        }
    }
    Ok(ramp)
}

fn ways(arguments: &RampArguments, places: &Places) -> Result<Vec<Way>, Failure> {
    let wanted = |way: &Way| arguments.via.is_empty() || arguments.via.contains(way);
    let ways: Vec<Way> = Way::all().filter(|way| wanted(way) && places.have(*way)).collect();
    match arguments.via.iter().find(|way| !ways.contains(way)) {
        Some(missing) => {
            let name = missing.name();
            Err(Failure::Usage(format!("--via {name}: the server has no such listener")))
        }
        None => Ok(ways),
    }
}

async fn step(
    arguments: &RampArguments,
    at: Where<'_>,
    contender: &Contender,
    rate: f64,
    seed: u64,
    interrupt: &mut Interrupt,
    progress: &Progress,
) -> Result<(Step, bool), Failure> {
    let times = draw(Process::Poisson, rate, arguments.duration, seed);
    let planned: Arc<[Planned]> =
        times.into_iter().map(|at| Planned { at, topic: 0, bytes: arguments.payload }).collect();
    let run = Race {
        server: at.server,
        publish_at: at.publish_at,
        places: at.places,
        contenders: std::slice::from_ref(contender),
        subscribers: arguments.subscribers as usize,
        seed,
        schedule: Arc::new(Schedule::new(planned, arguments.duration)?),
        lists: false,
        phases: Phases::Random,
        failing: None,
    };
    let (outcome, finishes) = run.run(interrupt, progress).await?;
    let interrupted = outcome.interrupted;
    let finish = finishes.into_iter().next();
    let finish = finish.ok_or_else(|| Failure::Failed("nobody subscribed".to_owned()))?;
    let within = arguments.within + contender.interval.unwrap_or_default();
    Ok((judge(rate, within, &outcome, &finish), interrupted))
}

/// Whether a rate was kept.
fn judge(rate: f64, within: Duration, outcome: &Outcome, finish: &Finish) -> Step {
    let latency = Latency::of(&finish.latencies.planned);
    let wall = outcome.wall.as_secs_f64().max(f64::MIN_POSITIVE);
    let generator_cores = outcome.own_cpu.as_secs_f64() / wall;
    let missed: usize =
        finish.measures.iter().map(|measure| measure.missed(&outcome.accepted)).sum();
    let is_late = latency.is_none_or(|latency| latency.p50 > micros(within));
    let refused = outcome.accepted.iter().any(|accepted| !accepted) || outcome.trouble.is_some();
    let has_given_way = missed > 0 || is_late || refused || outcome.latest > LAG_MAX;
    let broke = match () {
        () if !has_given_way => None,
        () if generator_cores > CPU_SHARE_MAX => Some("this process has no time left"),
        () if refused => Some("the server refused messages"),
        () if missed > 0 => Some("messages were missing at the end"),
        () if is_late => Some("half of the messages were later than the bound"),
        () => Some("messages could not be published in time"),
    };
    Step {
        rate,
        p50_us: latency.map(|latency| latency.p50),
        p99_us: latency.and_then(|latency| latency.p99),
        server_cores: outcome.server.map(|spent| spent.cpu_seconds / wall),
        generator_cores,
        broke,
    }
}

/// The ramp for people.
pub(crate) fn render(ramp: &Ramp) -> String {
    let mut text = String::new();
    let best = ramp.contenders.iter().filter_map(|climb| Some((climb, climb.kept()?)));
    if let Some((climb, step)) = best.max_by(|a, b| a.1.rate.total_cmp(&b.1.rate)) {
        wrap(
            &mut text,
            &format!(
                "The highest rate was kept by {}: {} messages a second to each of {} subscribers, \
                 half of them within {}. A rate is kept if all of it arrived, half within {}, and \
                 polls an interval more; the next one was twice as high.",
                climb.name,
                count(step.rate),
                ramp.subscribers,
                step.p50_us.map_or_else(String::new, |p50| time(float(p50))),
                time(float(ramp.within_us)),
            ),
        );
        text.push('\n');
    }
    text += &grid(ramp).render();
    if ramp.interrupted {
        wrap(&mut text, "It was cut short.");
    }
    text
}

fn grid(ramp: &Ramp) -> Grid {
    let columns =
        ["contender", "kept", "p50", "p99", "server", "this process", "not kept", "because"];
    let mut grid = Grid::new("Messages a second that were kept", &columns);
    for climb in &ramp.contenders {
        let of = |show: &dyn Fn(&Step) -> Option<String>| {
            climb.kept().and_then(show).unwrap_or_else(|| NOTHING.to_owned())
        };
        let broken = climb.broken();
        grid.row(vec![
            climb.name.clone(),
            of(&|step| Some(count(step.rate))),
            of(&|step| step.p50_us.map(|p50| time(float(p50)))),
            of(&|step| step.p99_us.map(|p99| time(float(p99)))),
            of(&|step| step.server_cores.map(percent)),
            of(&|step| Some(percent(step.generator_cores))),
            broken.map_or_else(|| NOTHING.to_owned(), |step| count(step.rate)),
            broken.and_then(|step| step.broke).unwrap_or(NOTHING).to_owned(),
        ]);
    }
    grid
}
