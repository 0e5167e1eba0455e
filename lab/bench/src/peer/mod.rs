//! The contenders: how each is started, as fast as it can be set, and how one talks to it.

pub(crate) mod doorbell;
pub(crate) mod floor;
mod jetstream;
mod mosquitto;
mod nats;
mod nchan;
mod redis;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use crate::failure::Result;
use crate::generator::dialect::Dialect;
use crate::launch::Program;

/// How durable a contender's log is, where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Storage {
    /// In memory
    Ephemeral,
    /// On disk; survives the death of the process
    Os,
    /// On disk; survives the death of the machine
    Always,
}

/// What a contender is started with.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// Where doorbell's server is.
    pub(crate) server_binary: PathBuf,
    pub(crate) storage: Storage,
    /// Signs of life on quiet connections.
    pub(crate) keepalive: Option<Duration>,
    /// A reader that takes nothing for this long is closed.
    pub(crate) write_deadline: Option<Duration>,
    /// Bytes of a message.
    pub(crate) payload: usize,
}

/// A running contender, and how to talk to it.
pub(crate) struct Running {
    pub(crate) program: Program,
    pub(crate) subscribe_at: SocketAddr,
    pub(crate) publish_at: SocketAddr,
    /// Where it can be polled, if it can.
    pub(crate) http: Option<SocketAddr>,
    pub(crate) subscriber: Rc<dyn Dialect>,
    pub(crate) publisher: Rc<dyn Dialect>,
    /// Waits until so many subscribers stand, for those whose protocol does not say it.
    pub(crate) confirm: Option<Box<dyn Fn(usize) -> Result<()>>>,
}

/// Something that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contender {
    /// As in `--contenders` and in the tables.
    pub(crate) name: &'static str,
    kind: Kind,
    /// How it stores, where its name says so; else as it is set.
    storage: Option<Storage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Floor(floor::Which),
    Doorbell(doorbell::Via),
    Nats,
    JetStream,
    Redis,
    Mosquitto,
    Nchan(nchan::Via),
}

/// All of them.
pub(crate) const ALL: &[Contender] = &[
    Contender { name: "floor", kind: Kind::Floor(floor::Which::Each), storage: None },
    Contender { name: "floor-batch", kind: Kind::Floor(floor::Which::Batch), storage: None },
    Contender { name: "floor-keep", kind: Kind::Floor(floor::Which::Keep), storage: None },
    Contender { name: "floor-longpoll", kind: Kind::Floor(floor::Which::LongPoll), storage: None },
    Contender { name: "floor-echo", kind: Kind::Floor(floor::Which::Echo), storage: None },
    Contender { name: "floor-append", kind: Kind::Floor(floor::Which::Append), storage: None },
    Contender { name: "floor-sync", kind: Kind::Floor(floor::Which::Sync), storage: None },
    Contender { name: "floor-http", kind: Kind::Floor(floor::Which::Http), storage: None },
    Contender { name: "doorbell-tcp", kind: Kind::Doorbell(doorbell::Via::Tcp), storage: None },
    Contender {
        name: "doorbell-ws",
        kind: Kind::Doorbell(doorbell::Via::WebSocket),
        storage: None,
    },
    Contender { name: "doorbell-sse", kind: Kind::Doorbell(doorbell::Via::Sse), storage: None },
    Contender {
        name: "doorbell-longpoll",
        kind: Kind::Doorbell(doorbell::Via::LongPoll),
        storage: None,
    },
    Contender { name: "doorbell-http", kind: Kind::Doorbell(doorbell::Via::Http), storage: None },
    Contender {
        name: "doorbell-tcp-ephemeral",
        kind: Kind::Doorbell(doorbell::Via::Tcp),
        storage: Some(Storage::Ephemeral),
    },
    Contender {
        name: "doorbell-tcp-always",
        kind: Kind::Doorbell(doorbell::Via::Tcp),
        storage: Some(Storage::Always),
    },
    Contender {
        name: "doorbell-http-ephemeral",
        kind: Kind::Doorbell(doorbell::Via::Http),
        storage: Some(Storage::Ephemeral),
    },
    Contender {
        name: "doorbell-http-always",
        kind: Kind::Doorbell(doorbell::Via::Http),
        storage: Some(Storage::Always),
    },
    Contender { name: "redis", kind: Kind::Redis, storage: None },
    Contender { name: "nats", kind: Kind::Nats, storage: None },
    Contender { name: "jetstream", kind: Kind::JetStream, storage: None },
    Contender { name: "mosquitto", kind: Kind::Mosquitto, storage: None },
    Contender { name: "nchan-ws", kind: Kind::Nchan(nchan::Via::WebSocket), storage: None },
    Contender { name: "nchan-sse", kind: Kind::Nchan(nchan::Via::Sse), storage: None },
    Contender { name: "nchan-longpoll", kind: Kind::Nchan(nchan::Via::LongPoll), storage: None },
];

impl Contender {
    /// By its name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        ALL.iter().find(|contender| contender.name == name).copied()
    }

    /// Starts it.
    pub(crate) fn start(self, setting: &Setting) -> Result<Running> {
        let storage = self.storage.unwrap_or(setting.storage);
        let setting = &Setting { storage, ..setting.clone() };
        match self.kind {
            Kind::Floor(which) => floor::start(which),
            Kind::Doorbell(via) => doorbell::start(via, setting),
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
            Kind::Floor(_) | Kind::Doorbell(_) => return None,
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
            Kind::Doorbell(_) => {
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
