//! The contenders: how each is started, as fast as it can be set, and how one talks to it.

mod cluster;
pub(crate) mod doorbell;
pub(crate) mod floor;
mod jetstream;
mod mosquitto;
mod nats;
mod nchan;
mod post;
mod redis;
mod running;

use doorbell_protocol::Transport;

use self::doorbell::Publishing;
pub(crate) use self::running::{Running, Setting, Storage};
use crate::failure::Result;

/// Something that takes part in rounds.
pub(crate) trait Named: Copy {
    /// As in `--contenders` and in the tables.
    fn name(self) -> &'static str;
}

impl Named for Contender {
    fn name(self) -> &'static str {
        self.name
    }
}

/// Something that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contender {
    /// As in `--contenders` and in the tables.
    pub(crate) name: &'static str,
    kind: Kind,
    /// How it stores, where its name says so; else as it is set.
    storage: Option<Storage>,
    /// Whether it is the earlier build of doorbell.
    is_earlier: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Floor(floor::Which),
    Doorbell(Transport),
    /// Lines over TLS.
    DoorbellTls,
    /// Subscribers over TCP, publishers over HTTP.
    DoorbellHttp,
    /// Fronts of three servers of NATS, so many; the last has the subscribers.
    DoorbellCluster(usize),
    Nats,
    JetStream,
    JetStreamCluster,
    Redis,
    Mosquitto,
    Nchan(Transport),
}

/// All of them.
pub(crate) const ALL: &[Contender] = &[
    contender("floor", Kind::Floor(floor::Which::Each)),
    contender("floor-batch", Kind::Floor(floor::Which::Batch)),
    contender("floor-tls", Kind::Floor(floor::Which::EachTls)),
    contender("floor-batch-tls", Kind::Floor(floor::Which::BatchTls)),
    contender("floor-keep", Kind::Floor(floor::Which::Keep)),
    contender("floor-log", Kind::Floor(floor::Which::Log)),
    contender("floor-longpoll", Kind::Floor(floor::Which::LongPoll)),
    contender("floor-echo", Kind::Floor(floor::Which::Echo)),
    contender("floor-append", Kind::Floor(floor::Which::Append)),
    contender("floor-sync", Kind::Floor(floor::Which::Sync)),
    contender("floor-http", Kind::Floor(floor::Which::Http)),
    contender("floor-http-pieces", Kind::Floor(floor::Which::Http)),
    contender("doorbell-tcp", Kind::Doorbell(Transport::Tcp)),
    contender("doorbell-ws", Kind::Doorbell(Transport::Websocket)),
    contender("doorbell-sse", Kind::Doorbell(Transport::Sse)),
    contender("doorbell-longpoll", Kind::Doorbell(Transport::Longpoll)),
    contender("doorbell-tcp-tls", Kind::DoorbellTls),
    contender("doorbell-http", Kind::DoorbellHttp),
    contender("doorbell-tcp-ephemeral", Kind::Doorbell(Transport::Tcp)).storing(Storage::Ephemeral),
    contender("doorbell-tcp-always", Kind::Doorbell(Transport::Tcp)).storing(Storage::Always),
    contender("doorbell-http-ephemeral", Kind::DoorbellHttp).storing(Storage::Ephemeral),
    contender("doorbell-http-always", Kind::DoorbellHttp).storing(Storage::Always),
    contender("doorbell-cluster", Kind::DoorbellCluster(1)),
    contender("doorbell-two-fronts", Kind::DoorbellCluster(2)),
    contender("jetstream-cluster", Kind::JetStreamCluster),
    contender("redis", Kind::Redis),
    contender("nats", Kind::Nats),
    contender("jetstream", Kind::JetStream),
    contender("mosquitto", Kind::Mosquitto),
    contender("nchan-ws", Kind::Nchan(Transport::Websocket)),
    contender("nchan-sse", Kind::Nchan(Transport::Sse)),
    contender("nchan-longpoll", Kind::Nchan(Transport::Longpoll)),
];

/// One that stores as it is set.
const fn contender(name: &'static str, kind: Kind) -> Contender {
    Contender { name, kind, storage: None, is_earlier: false }
}

impl Contender {
    /// The same, but that it stores like this.
    const fn storing(self, storage: Storage) -> Self {
        Self { storage: Some(storage), ..self }
    }

    /// The same of the earlier build, if it is doorbell.
    pub(crate) fn earlier(self) -> Option<Self> {
        match self.kind {
            Kind::Doorbell(_)
            | Kind::DoorbellTls
            | Kind::DoorbellHttp
            | Kind::DoorbellCluster(_) => {
                // A few names, for as long as the program runs.
                let name = format!("earlier-{}", self.name).leak();
                Some(Self { name, is_earlier: true, ..self })
            }
            _ => None,
        }
    }

    /// By its name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        ALL.iter().find(|contender| contender.name == name).copied()
    }

    /// Starts it.
    pub(crate) fn start(self, setting: &Setting) -> Result<Running> {
        let storage = self.storage.unwrap_or(setting.storage);
        let mut setting = Setting { storage, ..setting.clone() };
        if let (true, Some(earlier)) = (self.is_earlier, &setting.earlier_binary) {
            setting.server_binary.clone_from(earlier);
        }
        let setting = &setting;
        match self.kind {
            Kind::Floor(which) => floor::start(which),
            Kind::Doorbell(via) => doorbell::start(via, Publishing::Lines, setting),
            Kind::DoorbellTls => doorbell::start_encrypted(setting),
            Kind::DoorbellHttp => doorbell::start(Transport::Tcp, Publishing::Http, setting),
            Kind::DoorbellCluster(fronts) => doorbell::start_cluster(fronts, setting),
            Kind::JetStreamCluster => jetstream::start_cluster(),
            Kind::Nats => nats::start(),
            Kind::JetStream => jetstream::start(setting),
            Kind::Redis => redis::start(),
            Kind::Mosquitto => mosquitto::start(),
            Kind::Nchan(via) => nchan::start(via),
        }
    }

    /// The Debian packages that bring it, where they are not installed.
    pub(crate) fn missing(self) -> Option<&'static str> {
        let (program, packages) = match self.kind {
            Kind::Floor(_) | Kind::Doorbell(_) | Kind::DoorbellTls | Kind::DoorbellHttp => {
                return None;
            }
            Kind::DoorbellCluster(_) | Kind::JetStreamCluster => {
                return cluster::program().is_none().then_some(nats::PACKAGES);
            }
            Kind::Nats | Kind::JetStream => ("nats-server", nats::PACKAGES),
            Kind::Redis => ("redis-server", redis::PACKAGES),
            Kind::Mosquitto => ("mosquitto", mosquitto::PACKAGES),
            Kind::Nchan(_) => return nchan::missing(),
        };
        crate::launch::find(program).is_none().then_some(packages)
    }

    /// Which version of it is installed.
    pub(crate) fn version(self, setting: &Setting) -> Option<String> {
        let (program, flag) = match self.kind {
            Kind::Floor(_) => return Some(concat!("bench ", env!("CARGO_PKG_VERSION")).into()),
            Kind::JetStreamCluster => {
                return crate::launch::version(&cluster::program()?, "--version");
            }
            Kind::Doorbell(_)
            | Kind::DoorbellTls
            | Kind::DoorbellHttp
            | Kind::DoorbellCluster(_) => {
                return crate::launch::version(&setting.server_binary, "--version");
            }
            Kind::Nats | Kind::JetStream => ("nats-server", "--version"),
            Kind::Redis => ("redis-server", "--version"),
            Kind::Mosquitto => ("mosquitto", "-h"),
            Kind::Nchan(_) => ("nginx", "-v"),
        };
        crate::launch::version(&crate::launch::find(program)?, flag)
    }
}
