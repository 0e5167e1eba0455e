//! The rounds of a comparison: all contenders together, or one after another.

use std::sync::Arc;
use std::time::Duration;

use doorbell_instruments::Failure;

use crate::contender::Contender;
use crate::flags::Mode;
use crate::interrupt::Interrupt;
use crate::outage::Failing;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::race::Race;
use crate::report::Run;
use crate::results::Results;
use crate::schedule::{Planned, Schedule};
use crate::setup::Setup;
use crate::tally::Alone;

/// What the rounds are run on.
pub(crate) struct Rounds<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) plan: &'a Plan,
    pub(crate) contenders: &'a [Contender],
    pub(crate) round_trip_us: Option<f64>,
    /// Whether the connections are wanted one by one.
    pub(crate) lists: bool,
    pub(crate) interrupt: &'a mut Interrupt,
    pub(crate) progress: &'a mut Progress,
}

impl<'a> Rounds<'a> {
    /// Runs all of them, or as many as there are until it is interrupted.
    pub(crate) async fn run(mut self) -> Result<Results, Failure> {
        let plan = self.plan;
        let mut results = Results::new(self.described(), self.contenders.len());
        for round in 0..plan.rounds {
            let planned = plan.messages(round);
            match plan.mode {
                Mode::Together => self.together(&planned, round, &mut results).await?,
                Mode::Apart => self.apart(&planned, round, &mut results).await?,
            }
            results.expect(plan, self.contenders, &planned, self.round_trip_us);
            if results.run.interrupted {
                break;
            }
            results.run.rounds_done += 1;
        }
        Ok(results)
    }

    /// One round of all contenders at once.
    async fn together(
        &mut self,
        planned: &Arc<[Planned]>,
        round: u32,
        results: &mut Results,
    ) -> Result<(), Failure> {
        self.stage(round, &format!("{} contenders", self.contenders.len()));
        let race = self.race(self.contenders, planned, round)?;
        let (outcome, finishes) = race.run(self.interrupt, self.progress).await?;
        results.take(&outcome);
        for (index, finish) in finishes.into_iter().enumerate() {
            results.delivered += finish.latencies.planned.len();
            results.tallies[index].add(&outcome, &finish, None);
        }
        Ok(())
    }

    /// One round of contenders that race one after another, each round in another order, and of
    /// nobody.
    async fn apart(
        &mut self,
        planned: &Arc<[Planned]>,
        round: u32,
        results: &mut Results,
    ) -> Result<(), Failure> {
        self.stage(round, "publishing alone");
        let race = self.race(&[], planned, round)?;
        let (outcome, _) = race.run(self.interrupt, self.progress).await?;
        let baseline = outcome.server;
        results.baseline.add(baseline.unwrap_or_default());
        results.baseline_messages += outcome.accepted.len();
        results.run.interrupted |= outcome.interrupted;
        for index in 0..self.contenders.len() {
            if results.run.interrupted {
                break;
            }
            let index = (index + round as usize) % self.contenders.len();
            let one = &self.contenders[index..=index];
            self.stage(round, &one[0].name());
            let race = self.race(one, planned, round)?;
            let (outcome, finishes) = race.run(self.interrupt, self.progress).await?;
            results.take(&outcome);
            for finish in finishes {
                let alone = baseline.zip(outcome.server).map(|(baseline, spent)| Alone {
                    spent,
                    baseline,
                    wall: outcome.wall,
                });
                results.tallies[index].add(&outcome, &finish, alone);
            }
        }
        Ok(())
    }

    fn stage(&mut self, round: u32, what: &str) {
        self.progress.stage(format!("round {}/{}: {what}", round + 1, self.plan.rounds));
    }

    fn race(
        &self,
        contenders: &'a [Contender],
        planned: &Arc<[Planned]>,
        round: u32,
    ) -> Result<Race<'a>, Failure> {
        Ok(Race {
            server: &self.setup.server,
            publish_at: &self.setup.publish_at,
            places: &self.setup.places,
            contenders,
            subscribers: self.plan.subscribers as usize,
            seed: self.plan.seed_of(round),
            schedule: Arc::new(Schedule::new(Arc::clone(planned), self.plan.duration)?),
            lists: self.lists,
            phases: self.plan.phases,
            failing: self.plan.outage.map(|outage| Failing {
                outage,
                own: self.setup.own.as_ref(),
                link: self.setup.emulated.as_ref(),
            }),
        })
    }

    /// The run as it was asked for.
    fn described(&self) -> Run {
        let plan = self.plan;
        Run {
            rate: plan.rate,
            process: plan.process,
            duration_s: plan.duration.as_secs_f64(),
            payload_bytes: plan.payload,
            topics: plan.topics,
            subscribers: plan.subscribers,
            mode: plan.mode,
            rounds: plan.rounds,
            phase: plan.phases,
            intervals_s: plan.intervals.iter().map(Duration::as_secs_f64).collect(),
            coalesce_s: plan.windows_s(),
            ..self.setup.describe(plan.seed)
        }
    }
}
