//! The server that is compared, and the runs against it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use doorbell::{Endpoint, Server};
use doorbell_instruments::{Failure, OwnServer};
use doorbell_link::Link;
use serde::Deserialize;

use crate::capture::Tap;
use crate::contender::{Contender, Places};
use crate::flags::{CompareArguments, Mode, Process, Way};
use crate::interrupt::Interrupt;
use crate::machine::Machine;
use crate::memory::KernelSource;
use crate::network::{Between, Network};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::project::Projection;
use crate::race::Race;
use crate::report::{Generator, Report, Run, SCHEMA, Versions};
use crate::results::Results;
use crate::road::Road;
use crate::schedule::{Planned, Schedule};
use crate::sweep::{self, Settings};
use crate::tally::Alone;
use crate::unit::{Bench, Costs, KEEPALIVE};

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
    network: Network,
    /// What was put between contenders and server.
    link: Option<Link>,
    _road: Option<Road>,
    version: Option<String>,
    keepalive: Duration,
    own: Option<OwnServer>,
    /// A second server that sends keepalives often.
    lively: Option<(OwnServer, Places)>,
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
        between: Between,
        seed: u64,
    ) -> Result<Self, Failure> {
        let network = Network::of(between, server.as_ref());
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
        let (road, places) = match between.link {
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
            network,
            link: between.link.or(between.netem),
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
        let watched = (contenders.as_slice(), arguments.idle);
        let costs = self.costs(&wanted, watched, plan.payload, interrupt, progress).await?;
        let tap = if arguments.check_capture { Some(Tap::open(&self.places).await?) } else { None };
        let lists = tap.is_some();
        let mut results = self.rounds(plan, (&contenders, lists), interrupt, progress).await?;
        let seen = match tap {
            Some(tap) => Some(tap.finish().await?),
            None => None,
        };
        results.conclude(plan.mode);
        results.run.idle_s = arguments.idle.as_secs_f64();
        results.run.kernel_memory = costs.kernel.clone();
        let rows = results.rows(plan, &contenders, &costs, self.keepalive, seen.as_ref());
        let units = costs.units;
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
        let nobody = (&[][..], Duration::ZERO);
        let Costs { units, kernel, .. } =
            self.costs(&ways, nobody, settings.payload, interrupt, progress).await?;
        let sweep = settings.run(&self.server, &self.places, &units, interrupt, progress).await?;
        let mut run = self.described(settings.seed);
        run.payload_bytes = settings.payload;
        run.duration_s = settings.duration.as_secs_f64();
        run.interrupted = sweep.interrupted;
        run.kernel_memory = kernel;
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

    /// What one of each costs, and some contenders that are watched while they wait.
    async fn costs(
        &self,
        ways: &[Way],
        (contenders, idle): (&[Contender], Duration),
        payload: u32,
        interrupt: &mut Interrupt,
        progress: &mut Progress,
    ) -> Result<Costs, Failure> {
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
            costs = bench.measure(ways, contenders, idle) => costs,
            () = interrupt.next() => Err(Failure::Failed("interrupted".to_owned())),
        }
    }

    /// All rounds. Those of contenders that race apart are interleaved, each round in another
    /// order.
    async fn rounds(
        &self,
        plan: &Plan,
        (contenders, lists): (&[Contender], bool),
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
                    let race = Race { lists, ..self.race(plan, contenders, &planned)? };
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
                        (contenders, lists),
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
        (contenders, lists): (&[Contender], bool),
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
            let race = Race { lists, ..self.race(plan, one, planned)? };
            let (outcome, finishes) = race.run(interrupt, progress).await?;
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
            lists: false,
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
            network: self.network,
            link: self.network.describe(self.link),
            idle_s: 0.0,
            kernel_memory: KernelSource::default(),
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
