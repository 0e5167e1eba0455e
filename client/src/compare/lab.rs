//! The server that is compared, and the runs against it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use doorbell::link::Link;
use doorbell::{Endpoint, Server};
use serde::Deserialize;

use super::contender::{Contender, Places};
use super::figure::{float, float_of, percent, time};
use super::flags::{CompareArguments, Mode, Process, Way};
use super::interrupt::Interrupt;
use super::machine::Machine;
use super::measure::micros;
use super::own_server::OwnServer;
use super::plan::Plan;
use super::progress::Progress;
use super::project::Projection;
use super::race::{Outcome, Race};
use super::report::{Generator, Report, Row, Run, SCHEMA, Versions};
use super::road::Road;
use super::schedule::{Planned, Schedule};
use super::sweep::{self, Settings};
use super::tally::{Alone, Tally};
use super::theory;
use super::unit::{Bench, KEEPALIVE, Unit};
use super::usage::Spent;
use crate::cli::Failure;

/// A busier generator than this share of a core may be what is measured.
const CPU_SHARE_MAX: f64 = 0.7;
/// The share of the time for publishing by which two runs differ of themselves.
const NOISE: f64 = 0.1;
/// A publisher that is later than this share of a short delay bends it.
const LAG_MAX: Duration = Duration::from_millis(10);

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    keepalive_seconds: Option<f64>,
    #[serde(default)]
    listen: Listen,
}

#[derive(Deserialize, Default)]
struct Listen {
    #[serde(default)]
    unix: Option<std::path::PathBuf>,
    #[serde(default)]
    udp: Option<String>,
}

/// A server, and what it says about itself.
pub(crate) struct Lab {
    server: Server,
    places: Places,
    /// What was put between contenders and server.
    link: Option<Link>,
    _road: Option<Road>,
    version: Option<String>,
    keepalive: Duration,
    own: Option<OwnServer>,
    /// A second server that sends keepalives often.
    lively: Option<(OwnServer, Places)>,
}

/// What was measured of all rounds.
struct Results {
    tallies: Vec<Tally>,
    run: Run,
    generator: Generator,
    delivered: u64,
    server_cpu: f64,
    baseline: Spent,
    baseline_messages: usize,
}

/// Asks a server where it listens.
async fn places(server: &Server) -> Result<(Places, Config), Failure> {
    server.http()?;
    let config = server.about("/v1/config").await?;
    let config: Config = serde_json::from_slice(&config).map_err(|error| {
        Failure::Failed(format!("/v1/config of {server} is not that of doorbell: {error}"))
    })?;
    let tcp = match server.lines().await? {
        Endpoint::Unix(_) => None,
        endpoint @ Endpoint::Tcp(_) => Some(endpoint),
    };
    // A socket of another machine is not in this one's folders.
    let unix = config.listen.unix.clone().filter(|path| path.exists()).map(Endpoint::Unix);
    let udp = match config.listen.udp {
        Some(_) => Some(server.udp().await?),
        None => None,
    };
    Ok((Places { http: server.clone(), tcp, unix, udp }, config))
}

impl Lab {
    /// Connects to a server, or starts one for the purpose, and a second one for keepalives.
    pub(crate) async fn open(
        server: Option<Server>,
        payload: u32,
        link: Option<Link>,
        seed: u64,
    ) -> Result<Self, Failure> {
        let (server, own, lively) = match server {
            Some(server) => (server, None, None),
            None => {
                let own = OwnServer::start_for(payload, None).await?;
                let lively = OwnServer::start_for(payload, Some(KEEPALIVE)).await?;
                let (places, _) = places(lively.address()).await?;
                (own.address().clone(), Some(own), Some((lively, places)))
            }
        };
        let (places, config) = places(&server).await?;
        let (road, places) = match link {
            Some(link) => {
                let (road, places) = Road::build(link, &places, seed).await?;
                (Some(road), places)
            }
            None => (None, places),
        };
        let keepalive = config.keepalive_seconds.filter(|seconds| seconds.is_finite());
        Ok(Self {
            server,
            places,
            link,
            _road: road,
            version: config.version,
            keepalive: Duration::from_secs_f64(keepalive.unwrap_or(45.0).max(0.1)),
            own,
            lively,
        })
    }

    /// Ends what was started.
    pub(crate) async fn close(self) {
        for server in self.own.into_iter().chain(self.lively.map(|(server, _)| server)) {
            server.stop().await;
        }
    }

    /// Compares, and works out what follows.
    pub(crate) async fn compare(
        &self,
        arguments: &CompareArguments,
        plan: &Plan,
        interrupt: &mut Interrupt,
        progress: &mut Progress,
    ) -> Result<Report, Failure> {
        let ways = plan.ways(&self.places)?;
        let contenders = Contender::all(&ways, &plan.intervals);
        plan.check_size(&contenders)?;
        let mut wanted = ways;
        if arguments.report.is_some() {
            let more = sweep::WAYS.into_iter().filter(|way| way.is_at(&self.places));
            wanted.extend(more);
            wanted.sort_unstable();
            wanted.dedup();
        }
        let units = self.units(&wanted, plan.payload, interrupt, progress).await?;
        let mut results = self.rounds(plan, &contenders, interrupt, progress).await?;
        results.conclude(plan.mode);
        let rows = results.rows(plan, &contenders, &units);
        let sweep = if arguments.report.is_some() && !results.run.interrupted {
            let interval = plan.intervals.first().copied().unwrap_or(Duration::from_secs(1));
            let settings = Settings::around(&units, interval, plan.payload, plan.seed);
            Some(settings.run(&self.server, &self.places, &units, interrupt, progress).await?)
        } else {
            None
        };
        Ok(Report {
            schema: SCHEMA,
            machine: Machine::this(),
            versions: self.versions(),
            projection: arguments
                .project
                .map(|clients| Projection::new(clients, &rows, results.run.cpu_noise_us)),
            run: results.run,
            generator: results.generator,
            contenders: rows,
            units,
            sweep,
        })
    }

    /// Sweeps over rates and intervals.
    pub(crate) async fn sweep(
        &self,
        settings: &Settings,
        interrupt: &mut Interrupt,
        progress: &mut Progress,
    ) -> Result<Report, Failure> {
        let ways: Vec<Way> =
            sweep::WAYS.into_iter().filter(|way| way.is_at(&self.places)).collect();
        let units = self.units(&ways, settings.payload, interrupt, progress).await?;
        let sweep = settings.run(&self.server, &self.places, &units, interrupt, progress).await?;
        let mut run = self.described(settings.seed);
        run.payload_bytes = settings.payload;
        run.duration_s = settings.duration.as_secs_f64();
        run.interrupted = sweep.interrupted;
        Ok(Report {
            schema: SCHEMA,
            machine: Machine::this(),
            versions: self.versions(),
            run,
            generator: Generator::default(),
            contenders: Vec::new(),
            units,
            projection: None,
            sweep: Some(sweep),
        })
    }

    fn versions(&self) -> Versions {
        Versions { client: env!("CARGO_PKG_VERSION"), server: self.version.clone() }
    }

    async fn units(
        &self,
        ways: &[Way],
        payload: u32,
        interrupt: &mut Interrupt,
        progress: &mut Progress,
    ) -> Result<Vec<Unit>, Failure> {
        progress.stage("measuring what one of each costs");
        let bench = Bench {
            server: &self.server,
            places: &self.places,
            lively: self.lively.as_ref().map(|(_, places)| places),
            keepalive: self.keepalive,
            payload: payload as usize,
            crowds: self.own.is_some(),
        };
        tokio::select! {
            units = bench.measure(ways) => units,
            () = interrupt.next() => Err(Failure::Failed("interrupted".to_owned())),
        }
    }

    /// All rounds. Those of contenders that race apart are interleaved, each round in another
    /// order.
    async fn rounds(
        &self,
        plan: &Plan,
        contenders: &[Contender],
        interrupt: &mut Interrupt,
        progress: &mut Progress,
    ) -> Result<Results, Failure> {
        let mut results = Results::new(self.run(plan), contenders.len());
        for round in 0..plan.rounds {
            let planned = plan.messages(round);
            let name = format!("round {}/{}", round + 1, plan.rounds);
            match plan.mode {
                Mode::Together => {
                    progress.stage(format!("{name}: {} contenders", contenders.len()));
                    let race = self.race(plan, contenders, &planned)?;
                    let (outcome, finishes) = race.run(interrupt, progress).await?;
                    results.take(&outcome);
                    for (index, finish) in finishes.into_iter().enumerate() {
                        results.delivered += finish.latencies.planned.len();
                        results.tallies[index].add(&outcome, &finish, None);
                    }
                }
                Mode::Apart => {
                    self.apart(
                        plan,
                        contenders,
                        &planned,
                        (round, &name),
                        &mut results,
                        interrupt,
                        progress,
                    )
                    .await?;
                }
            }
            results.expect_empty(plan, contenders, &planned);
            if results.run.interrupted {
                break;
            }
            results.run.rounds_done += 1;
        }
        Ok(results)
    }

    /// One round of contenders that race one after another, and of nobody.
    #[allow(clippy::too_many_arguments, reason = "what a round needs")]
    async fn apart(
        &self,
        plan: &Plan,
        contenders: &[Contender],
        planned: &Arc<[Planned]>,
        (round, name): (u32, &str),
        results: &mut Results,
        interrupt: &mut Interrupt,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        progress.stage(format!("{name}: publishing alone"));
        let (outcome, _) = self.race(plan, &[], planned)?.run(interrupt, progress).await?;
        let baseline = outcome.server;
        results.baseline.add(baseline.unwrap_or_default());
        results.baseline_messages += outcome.accepted.len();
        results.run.interrupted |= outcome.interrupted;
        for index in 0..contenders.len() {
            if results.run.interrupted {
                break;
            }
            let index = (index + round as usize) % contenders.len();
            let one = &contenders[index..=index];
            progress.stage(format!("{name}: {}", one[0].name()));
            let (outcome, finishes) =
                self.race(plan, one, planned)?.run(interrupt, progress).await?;
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

    fn race<'a>(
        &'a self,
        plan: &Plan,
        contenders: &'a [Contender],
        planned: &Arc<[Planned]>,
    ) -> Result<Race<'a>, Failure> {
        Ok(Race {
            server: &self.server,
            places: &self.places,
            contenders,
            subscribers: plan.subscribers as usize,
            schedule: Arc::new(Schedule::new(Arc::clone(planned), plan.duration)?),
        })
    }

    fn run(&self, plan: &Plan) -> Run {
        Run {
            rate: plan.rate,
            process: plan.process,
            duration_s: plan.duration.as_secs_f64(),
            payload_bytes: plan.payload,
            topics: plan.topics,
            subscribers: plan.subscribers,
            mode: plan.mode,
            rounds: plan.rounds,
            ..self.described(plan.seed)
        }
    }

    /// A run of which nothing is known but where and with what seed.
    fn described(&self, seed: u64) -> Run {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Run {
            command: std::env::args().collect(),
            began: now.map_or(0, |now| now.as_secs()),
            server: self.server.to_string(),
            own_server: self.own.is_some(),
            seed,
            rate: 0.0,
            process: Process::Poisson,
            duration_s: 0.0,
            payload_bytes: 0,
            topics: 1,
            subscribers: 1,
            mode: Mode::Together,
            rounds: 1,
            rounds_done: 0,
            keepalive_s: self.keepalive.as_secs_f64(),
            link: match self.link {
                Some(link) => format!("An emulated link stood before the server: {link}."),
                None => "No network was emulated: loopback hides round trips and loss.".to_owned(),
            },
            interrupted: false,
            published: 0,
            accepted: 0,
            trouble: None,
            publishing_cpu_us: None,
            cpu_noise_us: None,
            shared_cpu_us_per_delivery: None,
        }
    }
}

impl Results {
    fn new(run: Run, contenders: usize) -> Self {
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
    fn take(&mut self, outcome: &Outcome) {
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

    fn expect_empty(&mut self, plan: &Plan, contenders: &[Contender], planned: &[Planned]) {
        let times: Vec<Duration> = planned.iter().map(|message| message.at).collect();
        for (tally, contender) in self.tallies.iter_mut().zip(contenders) {
            if let Some(interval) = contender.interval {
                let interval = interval.as_secs_f64();
                tally.expect_empty(theory::empty_share_of(&times, plan.duration, interval));
            }
        }
    }

    /// The rows, and what is said about the run as a whole.
    fn rows(&self, plan: &Plan, contenders: &[Contender], units: &[Unit]) -> Vec<Row> {
        let unit = |way: Way| units.iter().find(|unit| unit.via == way);
        let means = self.tallies.iter().filter_map(Tally::mean_us);
        let quickest = means.min_by(f64::total_cmp).unwrap_or_default();
        let rows = self.tallies.iter().zip(contenders);
        rows.map(|(tally, contender)| tally.row(contender, plan, unit(contender.way), quickest))
            .collect()
    }

    /// Works out what is of the run as a whole.
    fn conclude(&mut self, mode: Mode) {
        let cpu = self.baseline.cpu_seconds * 1e6;
        match mode {
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
        let lag = self.generator.schedule_lag_us;
        if lag > micros(LAG_MAX) {
            self.generator.warnings.push(format!(
                "a message was published {} late, so delays may be those of this process",
                time(float(lag))
            ));
        }
    }
}
