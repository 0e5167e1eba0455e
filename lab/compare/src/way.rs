//! The ways of receiving that are compared: each transport as well as it can, and polls that do
//! not.

use std::str::FromStr;

use doorbell::Transport;
use doorbell::laboratory::{Habits, RequestHeaders};
use doorbell_protocol::Family;
use serde::{Serialize, Serializer};

/// How everything is asked for that is asked for over HTTP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Style {
    /// Whether answers may come compressed.
    pub(crate) compress: bool,
    pub(crate) headers: RequestHeaders,
}

/// A way of receiving, by its name in `--via`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// Polls, each on a new connection.
    PollNew,
    /// The same over TLS, each taking up the session of the one before.
    PollNewResumed,
    /// Polls over HTTP/2, each on a new connection.
    PollHttp2New,
    /// Polls on a kept connection, without an `ETag`.
    PollPlain,
    /// As `POLL`, less often with each poll that finds nothing.
    PollBackoff,
    /// As `POLL`, at the interval that the server names.
    PollSteered,
    /// Polls on a kept connection of HTTP/2, with an `ETag`.
    PollHttp2,
    /// Server-sent events over HTTP/2.
    SseHttp2,
    /// A transport at its best.
    Best(Transport),
}

impl Way {
    /// Polls on a kept connection, with an `ETag`.
    pub(crate) const POLL: Self = Self::Best(Transport::Poll);
    /// The push that polling is held against.
    pub(crate) const TCP: Self = Self::Best(Transport::Tcp);

    /// All of them, slowest first, and HTTP/2 beside HTTP/1.1.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let first = [Self::PollNew, Self::PollNewResumed, Self::PollHttp2New, Self::PollPlain];
        let best = Transport::ALL.into_iter().flat_map(|transport| {
            let other = match transport {
                Transport::Poll => &[Self::PollBackoff, Self::PollSteered, Self::PollHttp2][..],
                Transport::Sse => &[Self::SseHttp2],
                _ => &[],
            };
            [Self::Best(transport)].into_iter().chain(other.iter().copied())
        });
        first.into_iter().chain(best)
    }

    pub(crate) fn transport(self) -> Transport {
        match self {
            Self::PollNew
            | Self::PollNewResumed
            | Self::PollHttp2New
            | Self::PollPlain
            | Self::PollBackoff
            | Self::PollSteered
            | Self::PollHttp2 => Transport::Poll,
            Self::SseHttp2 => Transport::Sse,
            Self::Best(transport) => transport,
        }
    }

    /// What makes it slow or quick, and dear or cheap.
    pub(crate) fn family(self) -> Family {
        self.transport().family()
    }

    /// Whether each of its polls has a connection of its own, so that nothing stays behind.
    pub(crate) fn connects_anew(self) -> bool {
        matches!(self, Self::PollNew | Self::PollNewResumed | Self::PollHttp2New)
    }

    /// Whether it asks at equal distances, whatever it finds, so that arithmetic knows its wait.
    pub(crate) fn is_even(self) -> bool {
        self.family() == Family::Poll && self != Self::PollBackoff
    }

    /// Whether the server lets messages wait for others, if it is asked to.
    pub(crate) fn gathers(self) -> bool {
        self.family() == Family::Push && self.transport() != Transport::Udp
    }

    /// What it needs beside a listener.
    pub(crate) fn needs(self) -> Option<&'static str> {
        match self {
            Self::PollNewResumed => Some("it is for --tls"),
            Self::PollSteered => Some("it needs a server that names an interval: --poll-interval"),
            _ => None,
        }
    }

    /// How it asks and receives.
    pub(crate) fn habits(self, style: Style) -> Habits {
        let habits = Habits {
            keeps_connection: !self.connects_anew(),
            sends_etag: !self.connects_anew() && self != Self::PollPlain,
            backs_off: self == Self::PollBackoff,
            heeds_server: self == Self::PollSteered,
            resumes_tls: self == Self::PollNewResumed,
            http2: matches!(self, Self::PollHttp2New | Self::PollHttp2 | Self::SseHttp2),
            texts_alone: self == Self::Best(Transport::Raw),
            ..Habits::default()
        };
        Habits { compress: style.compress, headers: style.headers, ..habits }
    }

    /// Its name in `--via`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PollNew => "poll-new",
            Self::PollNewResumed => "poll-new-resumed",
            Self::PollHttp2New => "poll-h2-new",
            Self::PollPlain => "poll-plain",
            Self::PollBackoff => "poll-backoff",
            Self::PollSteered => "poll-steered",
            Self::PollHttp2 => "poll-h2",
            Self::SseHttp2 => "sse-h2",
            Self::Best(transport) => transport.name(),
        }
    }

    /// What it is called where its name in `--via` is not known, beside others of its family.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::PollNew => "new connection each",
            Self::PollNewResumed => "new each, resumed",
            Self::PollHttp2New => "new each, HTTP/2",
            Self::PollPlain => "kept connection",
            Self::PollBackoff => "less often without news",
            Self::PollSteered => "as the server asks",
            Self::PollHttp2 => "with an ETag, HTTP/2",
            Self::SseHttp2 => "SSE over HTTP/2",
            Self::Best(Transport::Poll) => "kept, with an ETag",
            Self::Best(Transport::Longpoll) => "answer held back",
            Self::Best(transport) => transport.description(),
        }
    }

    /// What the help says of it.
    pub(crate) fn help(self) -> &'static str {
        match self {
            Self::PollNew => "Short poll, a new connection each time",
            Self::PollNewResumed => "The same over TLS, each taking up the session before it",
            Self::PollHttp2New => "Short poll over HTTP/2, a new connection each time",
            Self::PollPlain => "Short poll on a kept connection",
            Self::PollBackoff => {
                "Short poll that waits up to eight intervals while it finds nothing"
            }
            Self::PollSteered => "Short poll at the interval that the server names",
            Self::PollHttp2 => "Short poll on a kept connection of HTTP/2 with an `ETag`",
            Self::SseHttp2 => "Server-sent events over HTTP/2",
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

/// One of the names of `--via`.
#[cfg(test)]
impl schemars::JsonSchema for Way {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Way".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names: Vec<&str> = Self::all().map(Self::name).collect();
        schemars::json_schema!({ "description": "A contender of --via.", "enum": names })
    }
}
