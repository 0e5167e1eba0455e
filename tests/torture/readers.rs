//! Those who read until the server is gone, and come back with the last id that they have had.

use std::collections::VecDeque;
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::support::{Event, Request, TestServer, Transport, transport};

/// How long after an empty poll the next one follows.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A filter, and the topics that it selects; no topics are all.
pub(super) struct Filter {
    name: &'static str,
    topics: &'static [&'static str],
}

/// What is read. Each has the topic of the last message.
pub(super) const FILTERS: [Filter; 4] = [
    Filter { name: ">", topics: &[] },
    Filter { name: "b.*,end", topics: &["b.x", "b.y", "end"] },
    Filter { name: "quiet,end", topics: &["quiet", "end"] },
    Filter { name: "a,quiet,end", topics: &["a", "quiet", "end"] },
];

impl Filter {
    pub(super) fn matches(&self, topic: &str) -> bool {
        self.topics.is_empty() || self.topics.contains(&topic)
    }
}

/// Somebody who comes back again and again by one way.
pub(super) struct Reader {
    way: Transport,
    /// The last id, or `all`.
    place: String,
}

/// What somebody asked for, and had.
pub(super) struct Visit {
    way: Transport,
    pub(super) filter: &'static Filter,
    pub(super) since: String,
    pub(super) events: Vec<Event>,
}

impl Display for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {} since {}", self.way, self.filter.name, self.since)
    }
}

impl Reader {
    pub(super) fn new(way: Transport) -> Self {
        Self { way, place: "all".to_owned() }
    }

    /// Goes on from its last id until it has had enough, or the server is gone.
    pub(super) fn visit(
        &mut self,
        server: &TestServer,
        filter: &'static Filter,
        begun: Sender<()>,
        is_enough: impl Fn(&Event) -> bool,
    ) -> Visit {
        let (way, since) = (self.way, self.place.clone());
        let events = read(way, server, filter, &since, begun, is_enough);
        if let Some(last) = events.last() {
            last.id().clone_into(&mut self.place);
        }
        Visit { way, filter, since, events }
    }
}

/// Reads until it is enough, or the server is gone. It says when it has begun.
pub(super) fn read(
    way: Transport,
    server: &TestServer,
    filter: &Filter,
    since: &str,
    begun: Sender<()>,
    is_enough: impl Fn(&Event) -> bool,
) -> Vec<Event> {
    let mut events = Vec::new();
    let mut source = match way {
        Transport::Poll => Source::Polls(Polls::new(server, filter, since, "")),
        Transport::LongPoll => Source::Polls(Polls::new(server, filter, since, "&wait=30s")),
        _ => {
            // A browser that has had nothing has no header yet.
            let is_new = way == Transport::EventSource && since == "all";
            let way = if is_new { Transport::Sse } else { way };
            let reader = way.read(server, filter.name, since);
            events.extend(reader.first().cloned());
            Source::Pushed(reader)
        }
    };
    let _ = begun.send(());
    drop(begun);
    while let Some(event) = source.next() {
        let is_enough = is_enough(&event);
        events.push(event);
        if is_enough {
            break;
        }
    }
    events
}

enum Source {
    Polls(Polls),
    Pushed(transport::Reader),
}

impl Source {
    fn next(&mut self) -> Option<Event> {
        match self {
            Self::Polls(polls) => polls.next(),
            Self::Pushed(reader) => reader.try_event(),
        }
    }
}

/// Poll after poll of a server that may be gone.
struct Polls {
    http: SocketAddr,
    filter: String,
    wait: &'static str,
    place: String,
    events: VecDeque<Event>,
}

impl Polls {
    fn new(server: &TestServer, filter: &Filter, since: &str, wait: &'static str) -> Self {
        let filter = filter.name.replace('>', "%3E");
        let (http, place, events) = (server.http, since.to_owned(), VecDeque::new());
        let mut own = Self { http, filter, wait: "", place, events };
        // So that it has a place before anything happens.
        own.ask().expect("an answer");
        Self { wait, ..own }
    }

    fn next(&mut self) -> Option<Event> {
        while self.events.is_empty() {
            self.ask()?;
        }
        self.events.pop_front()
    }

    fn ask(&mut self) -> Option<()> {
        let Self { filter, wait, place, .. } = self;
        let request = Request::get(&format!("/{filter}/json?poll=1&since={place}{wait}"));
        let response = request.try_send_to(self.http).ok()?;
        assert_eq!(response.status, 200, "{}", response.text());
        if response.next() == self.place {
            std::thread::sleep(POLL_INTERVAL);
        } else {
            response.next().clone_into(&mut self.place);
            self.events.extend(response.events_and_place());
        }
        Some(())
    }
}
