//! The contenders: how each is started, as fast as it can be set, and how one talks to it.

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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Floor(floor::Which),
    Doorbell(Transport),
    /// Subscribers over TCP, publishers over HTTP.
    DoorbellHttp,
    Nats,
    JetStream,
    Redis,
    Mosquitto,
    Nchan(Transport),
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
    Contender { name: "doorbell-tcp", kind: Kind::Doorbell(Transport::Tcp), storage: None },
    Contender { name: "doorbell-ws", kind: Kind::Doorbell(Transport::Websocket), storage: None },
    Contender { name: "doorbell-sse", kind: Kind::Doorbell(Transport::Sse), storage: None },
    Contender {
        name: "doorbell-longpoll",
        kind: Kind::Doorbell(Transport::Longpoll),
        storage: None,
    },
    Contender { name: "doorbell-http", kind: Kind::DoorbellHttp, storage: None },
    Contender {
        name: "doorbell-tcp-ephemeral",
        kind: Kind::Doorbell(Transport::Tcp),
        storage: Some(Storage::Ephemeral),
    },
    Contender {
        name: "doorbell-tcp-always",
        kind: Kind::Doorbell(Transport::Tcp),
        storage: Some(Storage::Always),
    },
    Contender {
        name: "doorbell-http-ephemeral",
        kind: Kind::DoorbellHttp,
        storage: Some(Storage::Ephemeral),
    },
    Contender {
        name: "doorbell-http-always",
        kind: Kind::DoorbellHttp,
        storage: Some(Storage::Always),
    },
    Contender { name: "redis", kind: Kind::Redis, storage: None },
    Contender { name: "nats", kind: Kind::Nats, storage: None },
    Contender { name: "jetstream", kind: Kind::JetStream, storage: None },
    Contender { name: "mosquitto", kind: Kind::Mosquitto, storage: None },
    Contender { name: "nchan-ws", kind: Kind::Nchan(Transport::Websocket), storage: None },
    Contender { name: "nchan-sse", kind: Kind::Nchan(Transport::Sse), storage: None },
    Contender { name: "nchan-longpoll", kind: Kind::Nchan(Transport::Longpoll), storage: None },
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
            Kind::Doorbell(via) => doorbell::start(via, Publishing::Lines, setting),
            Kind::DoorbellHttp => doorbell::start(Transport::Tcp, Publishing::Http, setting),
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
            Kind::Floor(_) | Kind::Doorbell(_) | Kind::DoorbellHttp => return None,
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
            Kind::Doorbell(_) | Kind::DoorbellHttp => {
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
