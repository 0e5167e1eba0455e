//! The contenders: ways of receiving, with their poll intervals.

use std::net::SocketAddr;
use std::time::Duration;

use clap::ValueEnum;
use doorbell::laboratory::Habits;
use doorbell::{Client, Endpoint, Filter, Server, Subscribe, Via};
use doorbell_instruments::Failure;

use crate::flags::Way;

/// Where the contenders find the server.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) http: Server,
    pub(crate) tcp: Option<Endpoint>,
    pub(crate) unix: Option<Endpoint>,
    /// Where datagrams go, if the server hears them.
    pub(crate) udp: Option<SocketAddr>,
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

/// One way of receiving, to be measured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Contender {
    pub(crate) way: Way,
    /// From one poll to the next, if it polls.
    pub(crate) interval: Option<Duration>,
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

    /// Whether the server has it.
    pub(crate) fn is_at(self, places: &Places) -> bool {
        match self {
            Self::Tcp => places.tcp.is_some(),
            Self::Unix => places.unix.is_some(),
            Self::Udp => places.udp.is_some(),
            _ => true,
        }
    }

    fn via(self) -> Via {
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
    fn habits(self) -> Habits {
        Habits {
            keeps_connection: self != Self::PollNew,
            sends_etag: !matches!(self, Self::PollNew | Self::PollPlain),
        }
    }
}

impl Contender {
    /// A contender for each way, and for each interval if it polls.
    pub(crate) fn all(ways: &[Way], intervals: &[Duration]) -> Vec<Self> {
        let each = |way: &Way| match way.family() {
            Family::Poll => intervals
                .iter()
                .map(|interval| Self { way: *way, interval: Some(*interval) })
                .collect(),
            _ => vec![Self { way: *way, interval: None }],
        };
        ways.iter().flat_map(each).collect()
    }

    /// What it is called, such as `poll 1s` or `tcp`.
    pub(crate) fn name(&self) -> String {
        match self.interval {
            Some(interval) => format!("{} {interval:?}", self.way.name()),
            None => self.way.name(),
        }
    }

    /// A subscription of this kind, from now on.
    pub(crate) fn subscribe(&self, places: &Places, filter: Filter) -> Result<Subscribe, Failure> {
        let lines = match self.way {
            Way::Tcp => Some(&places.tcp),
            Way::Unix => Some(&places.unix),
            _ => None,
        };
        let server = match lines {
            None => places.http.clone(),
            Some(Some(endpoint)) => Server::Lines(endpoint.clone()),
            Some(None) => {
                let name = self.name();
                return Err(Failure::Usage(format!("the server has no listener for {name}")));
            }
        };
        let subscribe = Client::new(server)
            .subscribe(filter)
            .via(self.way.via())
            .interval(self.interval.unwrap_or_default())
            .habits(self.way.habits());
        Ok(match places.udp {
            Some(relay) => subscribe.through(relay),
            None => subscribe,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_interval_makes_a_contender_of_what_polls() {
        let intervals = [Duration::from_millis(500), Duration::from_secs(5)];
        let names: Vec<String> = Contender::all(&[Way::Poll, Way::Tcp, Way::PollNew], &intervals)
            .iter()
            .map(Contender::name)
            .collect();
        assert_eq!(names, ["poll 500ms", "poll 5s", "tcp", "poll-new 500ms", "poll-new 5s"]);
    }
}
