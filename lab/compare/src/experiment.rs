//! One experiment from set-up to report: a comparison, or a sweep over rates.

use std::time::Duration;

use doorbell::Server;
use doorbell_instruments::Failure;
use doorbell_wire::SplitNetwork;

use crate::capture::Tap;
use crate::contender::Contender;
use crate::costs::Costs;
use crate::expect;
use crate::flags::{CompareArguments, Mode, RampArguments};
use crate::growth;
use crate::interrupt::Interrupt;
use crate::machine::Machine;
use crate::network::Between;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::project::Projection;
use crate::ramp;
use crate::report::{Generator, Report, SCHEMA};
use crate::rounds::Rounds;
use crate::row::Row;
use crate::setup::Setup;
use crate::sweep::{self, Settings, Sweep};
use crate::unit_cost::UnitCost;
use crate::way::Way;

/// What is measured before the rounds takes about so long, and each race besides its messages.
const COSTS: Duration = Duration::from_secs(5);
const CONNECTING: Duration = Duration::from_secs(1);

/// A set-up, and the person who waits for the result.
pub(crate) struct Experiment {
    setup: Setup,
    interrupt: Interrupt,
    progress: Progress,
}

impl Experiment {
    /// Connects to a server, or starts those that are needed, beyond the link if there is one.
    pub(crate) async fn open(
        (server, split): (Option<Server>, Option<SplitNetwork>),
        payload: u32,
        between: Between,
        seed: u64,
    ) -> Result<Self, Failure> {
        // From here on a signal ends the run, not the process, which has a server to end.
        let interrupt = Interrupt::new()?;
        let progress = Progress::new();
        let setup = Setup::open(server, payload, between, split, seed).await?;
        Ok(Self { setup, interrupt, progress })
    }

    /// Ends what was started.
    pub(crate) async fn close(self) {
        self.setup.close().await;
    }

    /// Compares, and works out what follows.
    pub(crate) async fn compare(
        &mut self,
        arguments: &CompareArguments,
        plan: &Plan,
    ) -> Result<Report, Failure> {
        if let Some(other) = &arguments.publish_to {
            self.setup.publish_at = other.clone();
        }
        let places = &self.setup.places;
        let ways = plan.ways(places)?;
        let contenders = plan.contenders(&ways, places);
        expect::expect_known(&arguments.expect, &contenders)?;
        plan.check_size(&contenders)?;
        let mut wanted = ways;
        if arguments.report.is_some() {
            wanted.extend(sweep::WAYS.into_iter().filter(|way| places.have(*way)));
        }
        // What a round trip takes is measured of a poll.
        wanted.push(Way::POLL);
        wanted.sort_unstable();
        wanted.dedup();
        self.progress.expect(length(arguments, plan, &contenders));
        let costs = self.costs(&wanted, plan.payload, (&contenders, arguments.idle)).await?;
        let tap = self.tap(arguments.check_capture).await?;
        let rounds = Rounds {
            setup: &self.setup,
            plan,
            contenders: &contenders,
            round_trip_us: costs.round_trip_us(),
            lists: tap.is_some(),
            interrupt: &mut self.interrupt,
            progress: &mut self.progress,
        };
        let mut results = rounds.run().await?;
        let seen = match tap {
            Some(tap) => Some(tap.finish().await?),
            None => None,
        };
        results.conclude(plan, &contenders);
        results.generator.warn_of_dropped(self.setup.dropped());
        results.run.idle_s = arguments.idle.as_secs_f64();
        results.run.kernel_memory = costs.kernel.clone();
        let rows = results.rows(plan, &contenders, &costs, self.setup.keepalive, seen.as_ref());
        let sweep = if arguments.report.is_some() && !results.run.interrupted {
            let interval = plan.intervals.first().copied().unwrap_or(Duration::from_secs(1));
            let settings = Settings::around(&costs.units, interval, plan.payload, plan.seed);
            Some(self.run_sweep(&settings, &costs).await?)
        } else {
            None
        };
        let projection = match arguments.project.filter(|_| !results.run.interrupted) {
            Some(clients) => Some(self.project(clients, plan, &contenders, &rows).await?),
            None => None,
        };
        let compared = |unit: &&UnitCost| contenders.iter().any(|own| own.way == unit.via);
        let units: Vec<UnitCost> = costs.units.iter().filter(compared).copied().collect();
        let verdict = results.verdict(&units);
        Ok(Report {
            schema: SCHEMA,
            expectations: expect::check_all(&arguments.expect, &rows),
            money: plan.prices.as_ref().map(|prices| prices.money(&rows, plan.rate)),
            verdict,
            machine: Machine::this(),
            versions: self.setup.versions(),
            projection,
            run: results.run,
            generator: results.generator,
            contenders: rows,
            units: costs.units,
            compressed_push: costs.compressed,
            sweep,
            ramp: None,
        })
    }

    /// A capture beside the rounds, if one is wanted.
    async fn tap(&self, wanted: bool) -> Result<Option<Tap>, Failure> {
        if !wanted {
            return Ok(None);
        }
        Tap::open(&self.setup.places, self.setup.beyond.as_ref()).await.map(Some)
    }

    async fn project(
        &mut self,
        clients: u64,
        plan: &Plan,
        contenders: &[Contender],
        rows: &[Row],
    ) -> Result<Projection, Failure> {
        let Self { setup, interrupt, progress } = self;
        let lines = growth::measure(setup, plan, contenders, interrupt, progress).await?;
        Ok(Projection::new(clients, plan.most_subscribers(), rows, &lines))
    }

    /// Sweeps over rates and intervals.
    pub(crate) async fn sweep(&mut self, settings: &Settings) -> Result<Report, Failure> {
        let places = &self.setup.places;
        let ways: Vec<Way> = sweep::WAYS.into_iter().filter(|way| places.have(*way)).collect();
        let costs = self.costs(&ways, settings.payload, (&[], Duration::ZERO)).await?;
        let sweep = self.run_sweep(settings, &costs).await?;
        let mut run = self.setup.describe(settings.seed);
        run.payload_bytes = settings.payload;
        run.duration_s = settings.duration.as_secs_f64();
        run.interrupted = sweep.interrupted;
        run.kernel_memory = costs.kernel;
        Ok(Report {
            schema: SCHEMA,
            expectations: Vec::new(),
            money: None,
            verdict: None,
            machine: Machine::this(),
            versions: self.setup.versions(),
            run,
            generator: Generator::default(),
            contenders: Vec::new(),
            units: costs.units,
            compressed_push: costs.compressed,
            projection: None,
            sweep: Some(sweep),
            ramp: None,
        })
    }

    /// Finds how many messages a second each contender keeps.
    pub(crate) async fn ramp(
        &mut self,
        arguments: &RampArguments,
        seed: u64,
    ) -> Result<Report, Failure> {
        let Self { setup, interrupt, progress } = self;
        let ramp = ramp::run(arguments, setup.at(), seed, interrupt, progress).await?;
        let mut run = setup.describe(seed);
        run.payload_bytes = arguments.payload;
        run.duration_s = arguments.duration.as_secs_f64();
        run.subscribers = arguments.subscribers;
        run.intervals_s = vec![arguments.interval.as_secs_f64()];
        run.mode = Mode::Apart;
        run.interrupted = ramp.interrupted;
        Ok(Report {
            schema: SCHEMA,
            expectations: Vec::new(),
            money: None,
            verdict: None,
            machine: Machine::this(),
            versions: setup.versions(),
            run,
            generator: Generator::default(),
            contenders: Vec::new(),
            units: Vec::new(),
            compressed_push: None,
            projection: None,
            sweep: None,
            ramp: Some(ramp),
        })
    }

    async fn run_sweep(&mut self, settings: &Settings, costs: &Costs) -> Result<Sweep, Failure> {
        settings.run(self.setup.at(), &costs.units, &mut self.interrupt, &mut self.progress).await
    }

    async fn costs(
        &mut self,
        ways: &[Way],
        payload: u32,
        watched: (&[Contender], Duration),
    ) -> Result<Costs, Failure> {
        self.progress.stage("measuring what one of each costs");
        tokio::select! {
            costs = Costs::measure(&self.setup, ways, payload, watched) => costs,
            () = self.interrupt.next() => Err(Failure::Failed("interrupted".to_owned())),
        }
    }
}

/// About how long a comparison takes.
fn length(arguments: &CompareArguments, plan: &Plan, contenders: &[Contender]) -> Duration {
    let races = match plan.mode {
        Mode::Together => 1,
        Mode::Apart => contenders.len() + 1,
    };
    let races = u32::try_from(races).unwrap_or(u32::MAX) * plan.rounds;
    // The last messages wait for the next poll.
    let slowest = contenders.iter().map(Contender::lateness).max().unwrap_or_default();
    let slowest = slowest / 2 + CONNECTING;
    let mut length = COSTS.max(arguments.idle) + (plan.duration + slowest) * races;
    if plan.projects {
        let (runs, each) = growth::runs(plan, contenders);
        length += (each + slowest) * runs;
    }
    if arguments.report.is_some() {
        length += Settings::AROUND;
    }
    length
}
