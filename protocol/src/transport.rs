//! The ways of receiving: one list, by which all that is told or drawn for each of them is kept.
//!
//! It has names and titles, and nothing of how a transport works.

use std::fmt;
use std::str::FromStr;

use crate::code::{Code, Error, quoted};

/// A way by which a reader gets its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Asked for over HTTP and answered at once.
    Poll,
    /// Asked for over HTTP; the answer waits until there is news.
    Longpoll,
    /// Lines of JSON, in one HTTP answer that does not end.
    Ndjson,
    /// Server-sent events, in one HTTP answer that does not end.
    Sse,
    /// Texts alone, in one HTTP answer that does not end.
    Raw,
    /// Frames of a WebSocket.
    Websocket,
    /// Lines over TCP.
    Tcp,
    /// Lines over a Unix socket.
    Unix,
    /// Datagrams.
    Udp,
}

/// Which side takes the initiative when there is a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// The client asks when its time has come.
    Poll,
    /// The client asks, and the server keeps it waiting until there is an answer.
    Longpoll,
    /// The server tells it.
    Push,
}

impl Family {
    /// Its name on the wire: `poll`, `longpoll` or `push`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Longpoll => "longpoll",
            Self::Push => "push",
        }
    }
}

impl Transport {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 9] = [
        Self::Poll,
        Self::Longpoll,
        Self::Ndjson,
        Self::Sse,
        Self::Raw,
        Self::Websocket,
        Self::Tcp,
        Self::Unix,
        Self::Udp,
    ];

    /// The name by which a client chooses it: `poll`, `ws`, `tcp` and so on.
    pub const fn name(self) -> &'static str {
        self.words().0
    }

    /// The name under which the server counts it: [`Self::name`], but for `websocket`.
    pub const fn metric_name(self) -> &'static str {
        match self {
            Self::Websocket => "websocket",
            other => other.name(),
        }
    }

    /// Which side takes the initiative.
    pub const fn family(self) -> Family {
        match self {
            Self::Poll => Family::Poll,
            Self::Longpoll => Family::Longpoll,
            Self::Ndjson
            | Self::Sse
            | Self::Raw
            | Self::Websocket
            | Self::Tcp
            | Self::Unix
            | Self::Udp => Family::Push,
        }
    }

    /// What a person calls it, short, as a heading: `Long poll`.
    pub const fn title(self) -> &'static str {
        self.words().1
    }

    /// What a person calls it, in full, inside a sentence: `lines over TCP`.
    pub const fn description(self) -> &'static str {
        self.words().2
    }

    /// Name, title and description.
    const fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Poll => ("poll", "Polling", "polling"),
            Self::Longpoll => ("longpoll", "Long poll", "long polling"),
            Self::Ndjson => ("ndjson", "NDJSON", "NDJSON over HTTP"),
            Self::Sse => ("sse", "SSE", "server-sent events"),
            Self::Raw => ("raw", "Raw", "plain text over HTTP"),
            Self::Websocket => ("ws", "WebSocket", "WebSocket"),
            Self::Tcp => ("tcp", "TCP", "lines over TCP"),
            Self::Unix => ("unix", "Unix socket", "Unix socket"),
            Self::Udp => ("udp", "UDP", "UDP"),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Transport {
    type Err = Error;

    /// From [`Self::name`].
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|transport| transport.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::new(Code::BadRequest, format!("transport {} is none of {names}", quoted(text)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_in_the_list_once_in_its_place_and_has_a_name_of_its_own() {
        for (index, transport) in Transport::ALL.into_iter().enumerate() {
            assert_eq!(transport as usize, index);
            assert_eq!(transport.to_string().parse(), Ok(transport));
        }
    }

    #[test]
    fn the_table_in_the_protocols_paper_is_this_list() {
        let paper = include_str!("../../docs/protocol.md");
        for transport in Transport::ALL {
            let (name, family) = (transport.name(), transport.family().name());
            let row = format!("| `{name}` | {family} | {} |", transport.title());
            assert!(paper.lines().any(|line| line.starts_with(&row)), "{row}");
        }
    }

    #[test]
    fn another_name_is_refused_with_those_there_are() {
        let error = "websocket".parse::<Transport>().unwrap_err();
        assert_eq!(
            error.text(),
            "transport 'websocket' is none of poll, longpoll, ndjson, sse, raw, ws, tcp, unix, udp"
        );
    }
}
