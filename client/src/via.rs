//! The ways of receiving.

use std::fmt;

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
    /// Asked for over HTTP each time that an interval has passed.
    Poll,
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
            Self::Poll => "poll",
        })
    }
}
