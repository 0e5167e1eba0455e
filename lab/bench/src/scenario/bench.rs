//! What every scenario works with: contenders, rounds, and whole runs.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::batches::Batches;
use crate::cli::Flags;
use crate::failure::{Failure, Result};
use crate::generator::Generator;
use crate::generator::load::{Load, Outcome, Pace};
use crate::generator::subscribers::From;
use crate::launch::{Cores, Place, version};
use crate::peer::{Contender, Named, Running, Setting};
use crate::report::{Measured, Report};
use crate::stamp::Payload;

/// Before anything is measured, in a whole run and in a first look.
const WARM_UP: Duration = Duration::from_millis(300);
const WARM_UP_QUICK: Duration = Duration::from_millis(100);

/// What every scenario works with.
#[derive(Clone)]
pub(crate) struct Bench {
    pub(crate) flags: Flags,
    pub(crate) setting: Setting,
    pub(super) payload: Payload,
    pub(super) cores: Cores,
    /// Where contenders and the generator run.
    pub(crate) place: Place,
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
    pub(super) fn installed(&self) -> (BTreeMap<&'static str, String>, Vec<String>) {
        let mut versions = BTreeMap::new();
        let mut left_out = Vec::new();
        if let Some(earlier) = &self.setting.earlier_binary {
            let version = version(earlier, "--version");
            versions.insert("earlier-doorbell", version.unwrap_or_else(|| "unknown".into()));
        }
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

    /// The scenario's contenders that are wanted and installed, and the earlier build of each that
    /// has one.
    pub(crate) fn contenders(&self, names: &[&str]) -> Result<Vec<Contender>> {
        let mut wanted = self.flags.contenders(names)?;
        if self.setting.earlier_binary.is_some() {
            let both = |contender: Contender| [Some(contender), contender.earlier()];
            wanted = wanted.into_iter().flat_map(both).flatten().collect();
        }
        wanted.retain(|contender| contender.missing().is_none());
        if wanted.is_empty() {
            let names = names.join(", ");
            return Err(Failure(format!("nobody is left to be measured of {names}")));
        }
        Ok(wanted)
    }

    /// Runs all contenders in turn for so many rounds, beginning with another one in each. `base`
    /// says with whom one is compared.
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
        if running.encrypted {
            generator.encrypt()?;
        }
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
        let batches = || running.http.map_or(Ok(None), Batches::read);
        let before = batches()?;
        let load = self.load(trial, trial.subscribers);
        let mut outcome = generator.run(&load, running.program.pid())?;
        outcome.batches = batches()?.zip(before).map(|(after, before)| after.since(&before));
        Ok(outcome)
    }

    /// One whole run of a contender without subscribers, whose messages come back to their
    /// publisher.
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
