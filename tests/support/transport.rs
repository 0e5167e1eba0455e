//! Every way to read, behind one face: for what must hold whichever way is taken.

use super::datagrams::Datagrams;
use super::http::{Poller, Request, Stream};
use super::websocket::Socket;
use super::{Event, Lines, TestServer};

/// A way to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Poll after poll.
    Poll,
    /// Long poll after long poll.
    LongPoll,
    /// An NDJSON stream.
    Ndjson,
    /// Server-sent events.
    Sse,
    /// A WebSocket.
    WebSocket,
    /// Lines over TCP.
    Tcp,
    /// Lines over a Unix socket.
    Unix,
    /// Server-sent events, with the place in the header of a browser that comes back.
    EventSource,
    /// Datagrams, with what they lose fetched by polls.
    Udp,
}

impl Transport {
    /// All that lose nothing by themselves and take any place.
    pub(crate) const ALL: [Self; 7] = [
        Self::Poll,
        Self::LongPoll,
        Self::Ndjson,
        Self::Sse,
        Self::WebSocket,
        Self::Tcp,
        Self::Unix,
    ];
    /// All ways to come back with an id. The server must have `--udp`.
    pub(crate) const WITH_IDS: [Self; 9] = [
        Self::Poll,
        Self::LongPoll,
        Self::Ndjson,
        Self::Sse,
        Self::WebSocket,
        Self::Tcp,
        Self::Unix,
        Self::EventSource,
        Self::Udp,
    ];
    /// Those that push: the first event comes by itself.
    pub(crate) const PUSHING: [Self; 5] =
        [Self::Ndjson, Self::Sse, Self::WebSocket, Self::Tcp, Self::Unix];

    /// Begins to read; once this returns, nothing that is published afterwards is missed.
    pub(crate) fn read(self, server: &TestServer, filter: &str, since: &str) -> Reader {
        self.read_as(None, server, filter, since)
    }

    /// The same with a token.
    pub(crate) fn read_as(
        self,
        token: Option<&str>,
        server: &TestServer,
        filter: &str,
        since: &str,
    ) -> Reader {
        let in_address = &filter.replace('>', "%3E");
        let stream = |kind: &str| {
            let path = format!("/{in_address}/{kind}?since={since}");
            Request::get(&path).token(token).stream_from(server.http)
        };
        let poller = |wait| Poller::new(server.http, token, in_address, since, wait);
        let authenticated = |mut lines: Lines| {
            if let Some(token) = token {
                assert_eq!(lines.ask(format_args!("AUTH {token}")).kind(), "ok");
            }
            lines
        };
        let mut reader = match self {
            Self::Poll => return Reader::Poll(poller(None)),
            Self::LongPoll => return Reader::Poll(poller(Some("2s"))),
            Self::Ndjson => Reader::Ndjson(stream("json"), None),
            Self::Sse => Reader::Sse(stream("sse"), None),
            Self::EventSource => {
                let request = Request::get(&format!("/{in_address}/sse")).token(token);
                let request = request.header("Last-Event-ID", since);
                Reader::Sse(request.stream_from(server.http), None)
            }
            Self::Udp => {
                assert_eq!(token, None, "a token is no word for datagrams");
                let (datagrams, first) = Datagrams::subscribe(server, filter, since);
                return Reader::Datagrams(datagrams, Some(first));
            }
            Self::WebSocket => {
                let query = format!("?since={since}");
                let socket = Socket::connect_as(token, server.http, in_address, &query).unwrap();
                Reader::WebSocket(Box::new(socket), None)
            }
            Self::Tcp => Reader::Lines(authenticated(server.lines()), None),
            Self::Unix => Reader::Lines(authenticated(Lines::greeted_unix(&server.unix())), None),
        };
        reader.begin(filter, since);
        reader
    }
}

/// Somebody who reads. The event that begins the conversation (`open`, or `ok` after `SUB`) stands
/// beside the source.
pub(crate) enum Reader {
    /// Polls.
    Poll(Poller),
    /// NDJSON.
    Ndjson(Stream, Option<Event>),
    /// Server-sent events.
    Sse(Stream, Option<Event>),
    /// A WebSocket.
    WebSocket(Box<Socket>, Option<Event>),
    /// Lines.
    Lines(Lines, Option<Event>),
    /// Datagrams.
    Datagrams(Datagrams, Option<Event>),
}

impl Reader {
    fn begin(&mut self, filter: &str, since: &str) {
        if let Self::Lines(lines, first) = self {
            *first = Some(lines.subscribe(format_args!("{filter} since={since}")));
            return;
        }
        let event = self.event();
        assert_eq!(event.kind(), "open");
        let first = match self {
            Self::Ndjson(_, first) | Self::Sse(_, first) | Self::WebSocket(_, first) => first,
            Self::Poll(_) | Self::Lines(..) | Self::Datagrams(..) => {
                unreachable!("these have no open event")
            }
        };
        *first = Some(event);
    }

    /// The event that began the conversation; polls have none.
    pub(crate) fn first(&self) -> Option<&Event> {
        match self {
            Self::Poll(_) => None,
            Self::Ndjson(_, first)
            | Self::Sse(_, first)
            | Self::WebSocket(_, first)
            | Self::Lines(_, first)
            | Self::Datagrams(_, first) => first.as_ref(),
        }
    }

    /// The next event, whatever its kind.
    pub(crate) fn event(&mut self) -> Event {
        match self {
            Self::Poll(poller) => poller.event(),
            Self::Ndjson(stream, _) => stream.event(),
            Self::Sse(stream, _) => {
                let sent = stream.sse().expect("an event before the end");
                let event = Event::parse(&sent.data);
                assert_eq!(sent.id, event.id(), "{}", sent.bytes);
                event
            }
            Self::WebSocket(socket, _) => socket.event(),
            Self::Lines(lines, _) => lines.event(),
            Self::Datagrams(datagrams, _) => {
                datagrams.try_event().expect("an event before the end")
            }
        }
    }

    /// The next event of a server that may be gone; `None` if it is. Not for polls.
    pub(crate) fn try_event(&mut self) -> Option<Event> {
        match self {
            Self::Poll(_) => unreachable!("a poll is not pushed"),
            Self::Ndjson(stream, _) => stream.line_or_break().map(|line| Event::parse(&line)),
            Self::Sse(stream, _) => stream.sse_or_break().map(|sent| Event::parse(&sent.data)),
            Self::WebSocket(socket, _) => socket.try_event(),
            Self::Lines(lines, _) => lines.try_event(),
            Self::Datagrams(datagrams, _) => datagrams.try_event(),
        }
    }

    /// The next message.
    pub(crate) fn message(&mut self) -> Event {
        loop {
            let event = self.event();
            if event.kind() == "message" {
                return event;
            }
            assert_eq!(event.kind(), "keepalive", "{}", event.line);
        }
    }

    /// The next so many messages.
    pub(crate) fn messages(&mut self, count: usize) -> Vec<Event> {
        (0..count).map(|_| self.message()).collect()
    }
}
