//! The set-up of an experiment: the server that is compared, what was put before it, and a second
//! server for keepalives.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use doorbell::{Endpoint, Server};
use doorbell_instruments::{Failure, OwnServer, OwnServerSettings};
use doorbell_link::PacketLink;
use doorbell_wire::{Device, Namespace, SplitNetwork};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::contender::{Places, Where};
use crate::emulated::{Emulated, RelaySetup};
use crate::flags::{Mode, Phases, Process};
use crate::memory::KernelSource;
use crate::network::{Between, EmulatedLink, Network, congestion_control};
use crate::outage::Outage;
use crate::report::{Run, Versions};
use crate::unit_cost::KEEPALIVE;

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    keepalive_seconds: Option<f64>,
    #[serde(default)]
    poll_interval_seconds: Option<u64>,
    #[serde(default)]
    listen: Listen,
}

#[derive(Deserialize, Default)]
struct Listen {
    #[serde(default)]
    unix: Option<PathBuf>,
    #[serde(default)]
    udp: Option<String>,
}

/// A server, and what it says about itself.
pub(crate) struct Setup {
    /// Where the server is asked about itself.
    pub(crate) server: Server,
    /// Where messages are published: there but past an emulated link, or at another server of the
    /// same log.
    pub(crate) publish_at: Server,
    /// Where the contenders connect to.
    pub(crate) places: Places,
    network: Network,
    between: Between,
    pub(crate) emulated: Option<Emulated>,
    /// The server's network, if it has one of its own.
    pub(crate) beyond: Option<Namespace>,
    version: Option<String>,
    /// From one sign of life to the next.
    pub(crate) keepalive: Duration,
    /// The server, if it was started for the purpose.
    pub(crate) own: Option<Mutex<OwnServer>>,
    /// A second server that sends keepalives often.
    lively: Option<(OwnServer, Places)>,
}

/// The command that makes a run with this seed again.
fn repeat(arguments: impl Iterator<Item = String>, seed: u64) -> String {
    let quoted = |word: String| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.,:/=%+@".contains(c);
        if word.chars().all(is_plain) && !word.is_empty() {
            word
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    let mut words: Vec<String> = arguments.collect();
    let has_seed = words.iter().any(|word| word == "--seed" || word.starts_with("--seed="));
    if !has_seed {
        words.extend(["--seed".to_owned(), seed.to_string()]);
    }
    words.into_iter().map(quoted).fold("doorbell".to_owned(), |line, word| line + " " + &word)
}

/// Asks a server where it listens.
async fn places(server: &Server, between: &Between) -> Result<(Places, Config), Failure> {
    server.http()?;
    if server.is_encrypted() {
        let text = format!("{server}: what is compared is compared in the clear; give its http://");
        return Err(Failure::Usage(text));
    }
    let config = server.about("/v1/config").await?;
    let config: Config = serde_json::from_slice(&config).map_err(|error| {
        Failure::Failed(format!("/v1/config of {server} is not that of doorbell: {error}"))
    })?;
    let tcp = match server.lines().await? {
        Endpoint::Unix(_) => None,
        endpoint => Some(endpoint),
    };
    // A socket of another machine is not in this one's folders.
    let unix = config.listen.unix.clone().filter(|path| path.exists()).map(Endpoint::Unix);
    let udp = match config.listen.udp {
        Some(_) => Some(server.udp().await?),
        None => None,
    };
    let (style, round_trip) = (between.style, between.round_trip());
    let http = server.clone();
    let poll_interval = config.poll_interval_seconds.map(Duration::from_secs);
    let places = Places {
        http,
        tcp,
        unix,
        udp,
        fingerprint: None,
        style,
        poll_interval,
        round_trip,
        flows: None,
    };
    Ok((places, config))
}

/// Where an own server is reached: over TLS if it speaks that.
fn encrypted(places: Places, own: &OwnServer) -> Result<Places, Failure> {
    match own.encrypted() {
        Some((https, tcps, fingerprint)) => places.encrypted((https, Some(tcps)), fingerprint),
        None => Ok(places),
    }
}

impl Setup {
    /// Connects to a server, or starts one for the purpose, and a second one for keepalives.
    pub(crate) async fn open(
        server: Option<Server>,
        payload: u32,
        between: Between,
        split: Option<SplitNetwork>,
        seed: u64,
    ) -> Result<Self, Failure> {
        let network = Network::of(split.is_some(), server.as_ref());
        if let (Some(server), Some(flag)) = (&server, between.needs_own_server()) {
            return Err(Failure::Usage(format!("{flag} needs a server of its own, not {server}")));
        }
        let (tls, compress) = (between.tls, between.style.compress);
        let link = between.emulated();
        let (packets, beyond) = match split {
            Some(SplitNetwork { client, server, beyond }) => {
                let link = link.unwrap_or_default();
                (Some(PacketLink::start(link, client, server, seed)?), Some(beyond))
            }
            None => (None, None),
        };
        let (server, own, lively) = match server {
            Some(server) => (server, None, None),
            None => {
                let durable = matches!(between.outage, Some(Outage::Restart(_)));
                let settings = OwnServerSettings {
                    message_bytes: payload,
                    tls,
                    compress,
                    poll_interval: between.poll_interval,
                    beyond: beyond.clone(),
                    ..Default::default()
                };
                let lively = OwnServerSettings { keepalive: Some(KEEPALIVE), ..settings.clone() };
                let own = OwnServer::start_for(OwnServerSettings { durable, ..settings }).await?;
                let lively = OwnServer::start_for(lively).await?;
                let (mut places, _) = places(lively.address(), &between).await?;
                places.flows = packets.as_ref().map(|link| link.flows().clone());
                let places = encrypted(places, &lively)?;
                (own.address().clone(), Some(Mutex::new(own)), Some((lively, places)))
            }
        };
        let (mut places, config) = places(&server, &between).await?;
        // A Unix socket has no network before it: it is published there, and it takes no part.
        let past_the_link = places.unix.clone().filter(|_| packets.is_some());
        let publish_at =
            past_the_link.map_or_else(|| server.clone(), |unix| Server::Lines(unix, None));
        places.unix = places.unix.filter(|_| link.is_none());
        places.flows = packets.as_ref().map(|link| link.flows().clone());
        if let Some(own) = &own {
            places = encrypted(places, &*own.lock().await)?;
        }
        let (emulated, places) = match (packets, link) {
            (Some(packets), _) => (Some(Emulated::Packets(packets)), places),
            (None, Some(link)) => {
                let (relays, places) = RelaySetup::build(link, &places, seed).await?;
                (Some(Emulated::Relays(relays)), places)
            }
            (None, None) => (None, places),
        };
        let keepalive = config.keepalive_seconds.filter(|seconds| seconds.is_finite());
        Ok(Self {
            publish_at,
            server,
            places,
            network,
            between,
            emulated,
            beyond,
            version: config.version,
            keepalive: Duration::from_secs_f64(keepalive.unwrap_or(40.0).max(0.1)),
            own,
            lively,
        })
    }

    /// Ends what was started.
    pub(crate) async fn close(self) {
        for server in
            self.own.map(Mutex::into_inner).into_iter().chain(self.lively.map(|(server, _)| server))
        {
            server.stop().await;
        }
    }

    /// How many packets the kernels dropped because the link did not take them in time.
    pub(crate) fn dropped(&self) -> u64 {
        let Some(beyond) = &self.beyond else {
            return 0;
        };
        let here = Device::dropped().unwrap_or(0);
        here + beyond.run(Device::dropped).and_then(|dropped| dropped).unwrap_or(0)
    }

    pub(crate) fn at(&self) -> Where<'_> {
        let Self { server, publish_at, places, .. } = self;
        Where { server, publish_at, places }
    }

    /// Whether the server was started for the purpose.
    pub(crate) fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Where a server is that sends keepalives often.
    pub(crate) fn lively(&self) -> Option<&Places> {
        self.lively.as_ref().map(|(_, places)| places)
    }

    pub(crate) fn versions(&self) -> Versions {
        Versions { client: env!("CARGO_PKG_VERSION"), server: self.version.clone() }
    }

    /// A run of which nothing is known but where and with what seed.
    pub(crate) fn describe(&self, seed: u64) -> Run {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let link = self.between.link.map(|link| EmulatedLink::new(link, self.network));
        Run {
            command: std::env::args().collect(),
            repeat: repeat(std::env::args().skip(1), seed),
            began: now.map_or(0, |now| now.as_secs()),
            server: self.server.to_string(),
            own_server: self.is_own(),
            log_in_memory: self.is_own()
                && !matches!(self.between.outage, Some(Outage::Restart(_))),
            phase: Phases::Random,
            outage: self.between.outage,
            tls: self.between.tls,
            compress: self.between.style.compress,
            headers: self.between.headers,
            intervals_s: Vec::new(),
            coalesce_s: Vec::new(),
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
            link: self.network.describe(link.as_ref()),
            emulated_link: link,
            congestion_control: congestion_control(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_made_again_by_the_same_words_and_its_seed() {
        let words = |text: &str| text.split('|').map(str::to_owned).collect::<Vec<_>>().into_iter();
        assert_eq!(
            repeat(words("compare|--link|delay 40ms|--json"), 7),
            "doorbell compare --link 'delay 40ms' --json --seed 7"
        );
        for given in ["compare|--seed|9", "compare|--seed=9"] {
            assert!(!repeat(words(given), 7).contains('7'), "{given}");
        }
        assert_eq!(repeat(words("it's"), 7), "doorbell 'it'\\''s' --seed 7");
    }
}
