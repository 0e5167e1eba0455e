//! The ways of receiving that are compared.

use std::time::Duration;

use clap::ValueEnum;
use doorbell::Via;
use doorbell::laboratory::Habits;

/// The longest that the server holds a long poll's answer back for this client.
pub(crate) const HELD: Duration = Duration::from_secs(30);

/// A way of receiving, by its name in `--via`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Way {
    /// Short poll, a new connection each time
    PollNew,
    /// Short poll on a kept connection
    PollPlain,
    /// Short poll on a kept connection with an `ETag`
    Poll,
    /// Long poll
    Longpoll,
    /// An NDJSON stream
    Ndjson,
    /// Server-sent events
    Sse,
    /// A WebSocket
    Ws,
    /// Lines over TCP
    Tcp,
    /// Lines over a Unix socket
    Unix,
    /// Datagrams, repaired by polls
    Udp,
}

/// What makes a contender slow or quick, and dear or cheap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// It asks when its time has come.
    Poll,
    /// It asks and is made to wait.
    Held,
    /// It is told.
    Push,
}

impl Way {
    /// All of them, slowest first.
    pub(crate) const ALL: [Self; 10] = [
        Self::PollNew,
        Self::PollPlain,
        Self::Poll,
        Self::Longpoll,
        Self::Ndjson,
        Self::Sse,
        Self::Ws,
        Self::Tcp,
        Self::Unix,
        Self::Udp,
    ];

    pub(crate) fn family(self) -> Family {
        match self {
            Self::PollNew | Self::PollPlain | Self::Poll => Family::Poll,
            Self::Longpoll => Family::Held,
            _ => Family::Push,
        }
    }

    /// Its name in `--via`.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// How the client receives so.
    pub(crate) fn via(self) -> Via {
        match self {
            Self::PollNew | Self::PollPlain | Self::Poll => Via::Poll,
            Self::Longpoll => Via::LongPoll,
            Self::Ndjson => Via::Ndjson,
            Self::Sse => Via::Sse,
            Self::Ws => Via::WebSocket,
            Self::Tcp | Self::Unix => Via::Tcp,
            Self::Udp => Via::Udp,
        }
    }

    /// What its polls do beyond asking.
    pub(crate) fn habits(self) -> Habits {
        Habits {
            keeps_connection: self != Self::PollNew,
            sends_etag: !matches!(self, Self::PollNew | Self::PollPlain),
        }
    }
}
