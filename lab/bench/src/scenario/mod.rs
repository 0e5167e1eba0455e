//! What is measured. A scenario is a list of cases; in each round every contender runs each case once,
//! in another order each round, on a server of its own.

mod catchup;
mod fanout;
mod grow;
mod idle;
mod latency;
mod polls;
mod publish;
mod sessions;
mod slow;

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use rustix::thread::set_current_timer_slack;

use crate::cli::{Command, Flags};
use crate::failure::{During, Failure, Result};
use crate::generator::load::{Load, Outcome, Pace};
use crate::generator::{From, Generator};
use crate::launch::{Cores, Place};
use crate::machine::{Machine, load, raise_descriptors};
use crate::peer::{Contender, Running, Setting};
use crate::report::{Measured, Report, document};
use crate::stamp::Payload;

/// Before anything is measured, in a whole run and in a first look.
const WARM_UP: Duration = Duration::from_millis(300);
const WARM_UP_QUICK: Duration = Duration::from_millis(100);

/// Runs what was asked for and shows it.
pub(crate) fn run(command: Command) -> Result<()> {
    type Scenario = fn(&Bench) -> Result<Report>;
    let (flags, scenarios): (Flags, &[Scenario]) = match command {
        Command::Floor(floor) => return floor.run(),
        Command::Memory(job) => return job.run(),
        Command::Fanout(flags) => (flags, &[fanout::run]),
        Command::Latency(flags) => (flags, &[latency::run]),
        Command::Publish(flags) => (flags, &[publish::run]),
        Command::Catchup(flags) => (flags, &[catchup::run]),
        Command::Polls(flags) => (flags, &[polls::run]),
        Command::Idle(flags) => (flags, &[idle::run]),
        Command::Slow(flags) => (flags, &[slow::run]),
        Command::Grow(flags) => (flags, &[grow::run]),
        Command::Sessions(flags) => (flags, &[sessions::run]),
        Command::All(flags) => (
            flags,
            &[
                fanout::run,
                latency::run,
                publish::run,
                catchup::run,
                polls::run,
                idle::run,
                slow::run,
                grow::run,
                sessions::run,
            ],
        ),
    };
    raise_descriptors();
    // Planned moments are met as exactly as the kernel can.
    set_current_timer_slack(NonZeroU64::new(1))?;
    let payload = Payload::new(flags.payload(), flags.seed)?;
    let place = flags.pin.first().copied().unwrap_or(Place::Free);
    let bench = Bench { setting: flags.setting()?, payload, cores: Cores::given()?, place, flags };
    println!("{}", Machine::this().line());
    let place = match place {
        Place::Free => "not pinned, the same for all, unless a case says so",
        Place::Apart => "pinned apart",
    };
    println!("load before: {:.2}; servers and generator {place}", load().unwrap_or(f64::NAN));
    let (versions, left_out) = bench.installed();
    for line in &left_out {
        println!("{line}");
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut reports = Vec::new();
    for scenario in scenarios {
        bench.cores.measure(bench.place)?;
        let report = scenario(&bench)?;
        print!("{}", report.table());
        reports.push(report);
        // After each one, so that a long run that is cut short has not been for nothing.
        if let Some(path) = &bench.flags.json {
            let json = document(&reports, &versions, &left_out, &words, bench.flags.seed);
            std::fs::write(path, format!("{json:#}\n"))
                .during(|| format!("--json {}", path.display()))?;
        }
    }
    match reports.iter().map(Report::failed).sum() {
        0 => Ok(()),
        failed => Err(Failure(format!("runs that failed: {failed}; the notes say why"))),
    }
}

/// What every scenario works with.
#[derive(Clone)]
pub(crate) struct Bench {
    pub(crate) flags: Flags,
    pub(crate) setting: Setting,
    payload: Payload,
    cores: Cores,
    /// Where contenders and the generator run.
    pub(crate) place: Place,
}

/// Who takes part in rounds.
pub(crate) trait Named: Copy {
    /// As in `--contenders` and in the tables.
    fn name(self) -> &'static str;
}

impl Named for Contender {
    fn name(self) -> &'static str {
        self.name
    }
}

/// One run of one contender.
#[derive(Debug, Clone)]
pub(crate) struct Trial {
    pub(crate) publishers: usize,
    pub(crate) topics: usize,
    /// Of each topic.
    pub(crate) subscribers: usize,
    /// Topics of one subscriber.
    pub(crate) topics_each: usize,
    pub(crate) pace: Pace,
    pub(crate) duration: Duration,
}

impl Bench {
    /// The same elsewhere.
    pub(crate) fn at(&self, place: Place) -> Self {
        Self { place, ..self.clone() }
    }

    /// The versions of contenders that are there, and a line for each that is not.
    fn installed(&self) -> (BTreeMap<&'static str, String>, Vec<String>) {
        let mut versions = BTreeMap::new();
        let mut left_out = Vec::new();
        for contender in crate::peer::ALL {
            match contender.missing() {
                Some(packages) => left_out.push(format!(
                    "{} is not installed: apt-get install {packages}",
                    contender.name
                )),
                None => {
                    let version = contender.version(&self.setting);
                    versions.insert(contender.name, version.unwrap_or_else(|| "unknown".into()));
                }
            }
        }
        (versions, left_out)
    }

    /// The scenario's contenders that are wanted and installed.
    pub(crate) fn contenders(&self, names: &[&str]) -> Result<Vec<Contender>> {
        let mut wanted = self.flags.contenders(names)?;
        wanted.retain(|contender| contender.missing().is_none());
        if wanted.is_empty() {
            let names = names.join(", ");
            return Err(Failure(format!("nobody is left to be measured of {names}")));
        }
        Ok(wanted)
    }

    /// Runs all contenders in turn for so many rounds, beginning with another one in each. `base` says
    /// with whom one is compared.
    pub(crate) fn rounds<C: Named>(
        &self,
        report: &mut Report,
        case: &[(&'static str, String)],
        contenders: &[C],
        base: impl Fn(&str) -> &'static str,
        measure: impl Fn(C) -> Result<Measured>,
    ) {
        for round in 0..self.flags.rounds() {
            for index in 0..contenders.len() {
                let contender = contenders[(index + round) % contenders.len()];
                let result = measure(contender);
                let words = case.iter().map(|(name, value)| format!("{name} {value}"));
                let words = words.collect::<Vec<_>>().join(", ");
                let verdict = if result.is_ok() { "" } else { ": failed" };
                let name = contender.name();
                eprintln!("round {}, {words}, {name}{verdict}", round + 1);
                let result = result.map_err(|error| error.0);
                report.add(case, (name, base(name)), round, result);
            }
        }
    }

    /// Starts a contender and keeps it where it is told to be.
    pub(crate) fn start(&self, contender: Contender, setting: &Setting) -> Result<Running> {
        self.cores.serve(self.place)?;
        let running = contender.start(setting);
        self.cores.measure(self.place)?;
        running
    }

    /// A generator for so many topics.
    pub(crate) fn generator(&self, topics: usize) -> Result<Generator> {
        Generator::new(self.payload.clone(), topics)
    }

    /// One whole run: start, subscribe, publish, count.
    pub(crate) fn trial(&self, contender: Contender, trial: &Trial) -> Result<Outcome> {
        let running = self.start(contender, &self.setting)?;
        let mut generator = self.generator(trial.topics)?;
        let starts = (0..trial.topics).step_by(trial.topics_each);
        let ranges: Vec<_> = starts
            .map(|start| start..(start + trial.topics_each).min(trial.topics))
            .flat_map(|range| std::iter::repeat_n(range, trial.subscribers))
            .collect();
        generator.subscribe(running.subscribe_at, &running.subscriber, &ranges, From::Now)?;
        if let Some(confirm) = &running.confirm {
            confirm(ranges.len())?;
        }
        let publishers = trial.publishers;
        generator.connect_publishers(running.publish_at, &running.publisher, publishers)?;
        generator.run(&self.load(trial, trial.subscribers), running.program.pid())
    }

    /// One whole run of a contender without subscribers, whose messages come back to their publisher.
    pub(crate) fn echo(&self, contender: Contender, trial: &Trial) -> Result<Outcome> {
        let running = self.start(contender, &self.setting)?;
        let mut generator = self.generator(trial.topics)?;
        generator.connect_publishers(running.publish_at, &running.publisher, trial.publishers)?;
        generator.run(&self.load(trial, 1), running.program.pid())
    }

    fn load(&self, trial: &Trial, subscribers: usize) -> Load {
        Load {
            pace: trial.pace,
            subscribers: subscribers as u32,
            warm_up: self.warm_up(),
            duration: trial.duration,
        }
    }

    /// What passes before anything is measured.
    pub(crate) fn warm_up(&self) -> Duration {
        if self.flags.quick { WARM_UP_QUICK } else { WARM_UP }
    }
}
