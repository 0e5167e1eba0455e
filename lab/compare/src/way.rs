//! The ways of receiving that are compared: each transport as well as it can, and polls that do
//! not.

use std::str::FromStr;
use std::time::Duration;

use doorbell::Transport;
use doorbell::laboratory::Habits;
use doorbell_protocol::Family;
use serde::{Serialize, Serializer};

/// The longest that the server holds a long poll's answer back for this client.
pub(crate) const HELD: Duration = Duration::from_secs(30);

/// A way of receiving, by its name in `--via`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// Polls, each on a new connection.
    PollNew,
    /// Polls on a kept connection, without an `ETag`.
    PollPlain,
    /// A transport at its best.
    Best(Transport),
}

impl Way {
    /// Polls on a kept connection, with an `ETag`.
    pub(crate) const POLL: Self = Self::Best(Transport::Poll);
    /// The push that polling is held against.
    pub(crate) const TCP: Self = Self::Best(Transport::Tcp);

    /// All of them, slowest first. Texts alone have no numbers, so `raw` is not among them.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let best = Transport::ALL.into_iter().filter(|transport| *transport != Transport::Raw);
        [Self::PollNew, Self::PollPlain].into_iter().chain(best.map(Self::Best))
    }

    pub(crate) fn transport(self) -> Transport {
        match self {
            Self::PollNew | Self::PollPlain => Transport::Poll,
            Self::Best(transport) => transport,
        }
    }

    /// What makes it slow or quick, and dear or cheap.
    pub(crate) fn family(self) -> Family {
        self.transport().family()
    }

    /// What its polls do beyond asking.
    pub(crate) fn habits(self) -> Habits {
        match self {
            Self::PollNew => {
                Habits { keeps_connection: false, sends_etag: false, ..Habits::default() }
            }
            Self::PollPlain => Habits { sends_etag: false, ..Habits::default() },
            Self::Best(_) => Habits::default(),
        }
    }

    /// Its name in `--via`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PollNew => "poll-new",
            Self::PollPlain => "poll-plain",
            Self::Best(transport) => transport.name(),
        }
    }

    /// What it is called where its name in `--via` is not known, beside others of its family.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::PollNew => "new connection each",
            Self::PollPlain => "kept connection",
            Self::Best(Transport::Poll) => "kept, with an ETag",
            Self::Best(Transport::Longpoll) => "answer held back",
            Self::Best(transport) => transport.description(),
        }
    }

    /// What the help says of it.
    pub(crate) fn help(self) -> &'static str {
        match self {
            Self::PollNew => "Short poll, a new connection each time",
            Self::PollPlain => "Short poll on a kept connection",
            Self::Best(transport) => match transport {
                Transport::Poll => "Short poll on a kept connection with an `ETag`",
                Transport::Longpoll => "Long poll",
                Transport::Ndjson => "An NDJSON stream",
                Transport::Sse => "Server-sent events",
                Transport::Raw => "Texts alone",
                Transport::Websocket => "A WebSocket",
                Transport::Tcp => "Lines over TCP",
                Transport::Unix => "Lines over a Unix socket",
                Transport::Udp => "Datagrams, repaired by polls",
            },
        }
    }
}

impl FromStr for Way {
    type Err = String;

    /// From [`Self::name`].
    fn from_str(text: &str) -> Result<Self, String> {
        Self::all().find(|way| way.name() == text).ok_or_else(|| format!("no contender is {text}"))
    }
}

impl Serialize for Way {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
