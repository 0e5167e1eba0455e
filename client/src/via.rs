//! The ways of receiving.

use std::fmt;
use std::time::Duration;

/// How messages reach a [`Subscription`](crate::Subscription).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Via {
    /// Pushed as lines over TCP or a Unix socket.
    #[default]
    Tcp,
    /// Pushed as frames of a WebSocket.
    WebSocket,
    /// Pushed as server-sent events, one HTTP answer that does not end.
    Sse,
    /// Pushed as lines of JSON, one HTTP answer that does not end.
    Ndjson,
    /// Pushed as datagrams; what they lose is noticed and fetched over HTTP.
    Udp,
    /// Asked for over HTTP; the server holds the answer back until there is something to say.
    LongPoll,
    /// Asked for over HTTP each time that this interval has passed, at polling's best: on one kept
    /// connection, with an `ETag` so that no news costs a `304`.
    Poll(Duration),
    /// As [`Poll`](Self::Poll), on a kept connection but without the `ETag`.
    PollPlain(Duration),
    /// As [`PollPlain`](Self::PollPlain), with a new connection for each poll.
    PollNew(Duration),
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::WebSocket => "ws",
            Self::Sse => "sse",
            Self::Ndjson => "ndjson",
            Self::Udp => "udp",
            Self::LongPoll => "longpoll",
            Self::Poll(_) => "poll",
            Self::PollPlain(_) => "poll-plain",
            Self::PollNew(_) => "poll-new",
        })
    }
}
