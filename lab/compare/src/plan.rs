//! What is to be run, checked as a whole before anything is started.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use doorbell::CoalesceWindow;
use doorbell_instruments::Failure;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::contender::{Contender, Places};
use crate::figure::float_of;
use crate::flags::{CompareArguments, INTERVALS_MAX, Mode, Phases, Process};
use crate::outage::{Outage, outage};
use crate::price::Prices;
use crate::replay;
use crate::schedule::{Planned, draw};
use crate::way::Way;

/// Messages of one round.
const MESSAGES_MAX: usize = 1_000_000;
/// Deliveries of one race: one byte is kept of each.
const DELIVERIES_MAX: usize = 100_000_000;
/// Subscribers up to which a cost is measured that is to be projected, unless more are asked for.
const GROWN_SUBSCRIBERS: usize = 200;
/// Descriptors that are not connections: standard streams, the runtime's, the publisher's.
const DESCRIPTORS_RESERVED: u64 = 64;

/// A plan.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) intervals: Vec<Duration>,
    /// In which what is pushed is gathered, beside what is sent at once.
    pub(crate) windows: Vec<CoalesceWindow>,
    /// The ways that were asked for; none means all.
    ways: Vec<Way>,
    pub(crate) process: Process,
    /// Messages a second.
    pub(crate) rate: f64,
    pub(crate) duration: Duration,
    pub(crate) payload: u32,
    pub(crate) topics: u32,
    pub(crate) subscribers: u32,
    pub(crate) mode: Mode,
    pub(crate) rounds: u32,
    pub(crate) seed: u64,
    pub(crate) phases: Phases,
    pub(crate) radio_tail: Duration,
    pub(crate) prices: Option<Prices>,
    pub(crate) outage: Option<Outage>,
    /// Whether it is worked out what many clients would cost.
    pub(crate) projects: bool,
    replayed: Option<Arc<[Planned]>>,
}

impl Plan {
    /// Checks what was asked for.
    pub(crate) fn new(arguments: &CompareArguments) -> Result<Self, Failure> {
        let intervals: BTreeSet<Duration> = arguments.interval.iter().copied().collect();
        let windows: BTreeSet<CoalesceWindow> = arguments.coalesce.iter().copied().collect();
        for (flag, count) in [("interval", intervals.len()), ("coalesce", windows.len())] {
            if count > INTERVALS_MAX {
                return Err(Failure::Usage(format!(
                    "{count} values of --{flag} are too many, limit is {INTERVALS_MAX}"
                )));
            }
        }
        let gathers = arguments.via.is_empty() || arguments.via.iter().any(|way| way.gathers());
        if !windows.is_empty() && !gathers {
            let text = "--coalesce is for what is pushed as a stream, and none of --via is";
            return Err(Failure::Usage(text.to_owned()));
        }
        let mut plan = Self {
            intervals: intervals.into_iter().collect(),
            windows: windows.into_iter().collect(),
            ways: arguments.via.clone(),
            process: arguments.process,
            rate: arguments.rate,
            duration: arguments.duration,
            payload: arguments.payload,
            topics: arguments.topics,
            subscribers: arguments.subscribers,
            mode: arguments.mode,
            rounds: arguments.rounds,
            seed: arguments.seed.unwrap_or_else(rand::random),
            phases: arguments.phase,
            radio_tail: arguments.radio_tail,
            prices: arguments.price.as_deref().map(Prices::read).transpose()?,
            outage: outage(arguments),
            projects: arguments.project.is_some(),
            replayed: None,
        };
        if let Some(outage) = plan.outage.filter(|outage| 2 * outage.length() > plan.duration) {
            return Err(Failure::Usage(format!(
                "an outage of {:?} needs a run of twice the time at least: --duration {:?}",
                outage.length(),
                2 * outage.length()
            )));
        }
        if let Some(path) = &arguments.replay {
            plan.replay(replay::read(path, arguments.speed, MESSAGES_MAX)?);
        }
        let expected = match &plan.replayed {
            Some(planned) => float_of(planned.len()),
            None => plan.rate * plan.duration.as_secs_f64(),
        };
        if expected > float_of(MESSAGES_MAX) {
            return Err(Failure::Usage(format!(
                "{expected:.0} messages are too many, limit is {MESSAGES_MAX}: \
                 lower --rate or --duration"
            )));
        }
        Ok(plan)
    }

    /// Takes the times of a file; what is later than the duration is left out.
    fn replay(&mut self, planned: Vec<Planned>) {
        let mut planned = planned;
        planned.retain(|message| message.at < self.duration);
        // The run ends soon after the last message, not when the time is up.
        let last = planned.last().map_or(Duration::ZERO, |message| message.at);
        self.duration = self.duration.min(last + Duration::from_secs(1));
        self.process = Process::Replay;
        self.rate = float_of(planned.len()) / self.duration.as_secs_f64();
        self.topics = planned.iter().map(|message| message.topic + 1).max().unwrap_or(1);
        let bytes: u64 = planned.iter().map(|message| u64::from(message.bytes)).sum();
        let mean = bytes / (planned.len() as u64).max(1);
        self.payload = u32::try_from(mean).unwrap_or(u32::MAX);
        self.replayed = Some(planned.into());
    }

    /// Bytes of the longest message.
    pub(crate) fn payload_max(&self) -> u32 {
        let replayed = self.replayed.iter().flat_map(|planned| planned.iter());
        replayed.map(|message| message.bytes).max().unwrap_or(0).max(self.payload)
    }

    /// The ways that are compared: those asked for, or all that the server has.
    pub(crate) fn ways(&self, places: &Places) -> Result<Vec<Way>, Failure> {
        if let Some(missing) = self.ways.iter().find(|way| !places.have(**way)) {
            let name = missing.name();
            let missing = missing.needs().unwrap_or("the server has no such listener");
            return Err(Failure::Usage(format!("--via {name}: {missing}")));
        }
        let wanted = |way: &Way| self.ways.is_empty() || self.ways.contains(way);
        Ok(Way::all().filter(|way| wanted(way) && places.have(*way)).collect())
    }

    /// The contenders of these ways.
    pub(crate) fn contenders(&self, ways: &[Way], places: &Places) -> Vec<Contender> {
        Contender::all(ways, &self.intervals, &self.windows, places.poll_interval)
    }

    /// Checks that so many contenders fit into this process.
    pub(crate) fn check_size(&self, contenders: &[Contender]) -> Result<(), Failure> {
        let at_once = match self.mode {
            Mode::Together => contenders.len(),
            Mode::Apart => 1,
        };
        let mut subscribers = at_once * self.subscribers as usize;
        if self.projects {
            subscribers = subscribers.max(self.most_subscribers());
        }
        let limit = raise_descriptors();
        if subscribers as u64 + DESCRIPTORS_RESERVED > limit {
            return Err(Failure::Usage(format!(
                "{subscribers} connections at the same time are too many: this process may open \
                 {limit} files; lower --subscribers, or use --mode apart"
            )));
        }
        let deliveries = self.rate * self.duration.as_secs_f64() * float_of(subscribers);
        if deliveries > float_of(DELIVERIES_MAX) {
            return Err(Failure::Usage(format!(
                "{deliveries:.0} deliveries are too many, limit is {DELIVERIES_MAX}: \
                 lower --rate, --duration or --subscribers"
            )));
        }
        Ok(())
    }

    /// The most subscribers of one contender, if it is worked out what many would cost.
    pub(crate) fn most_subscribers(&self) -> usize {
        GROWN_SUBSCRIBERS.max(self.subscribers as usize)
    }

    /// The windows, in seconds.
    pub(crate) fn windows_s(&self) -> Vec<f64> {
        self.windows.iter().map(|window| window.duration().as_secs_f64()).collect()
    }

    /// The seed of all that is left to chance in a round.
    pub(crate) fn seed_of(&self, round: u32) -> u64 {
        self.seed.wrapping_add(u64::from(round))
    }

    /// The messages of a round. Rounds have different times, contenders of a round the same.
    pub(crate) fn messages(&self, round: u32) -> Arc<[Planned]> {
        if let Some(replayed) = &self.replayed {
            return Arc::clone(replayed);
        }
        let times = draw(self.process, self.rate, self.duration, self.seed_of(round));
        let planned = times.into_iter().zip((0..self.topics).cycle());
        planned.map(|(at, topic)| Planned { at, topic, bytes: self.payload }).collect()
    }
}

/// Lets this process open as many files as it may, and says how many.
fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Where it may not, what there is must do.
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
