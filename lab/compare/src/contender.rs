//! The contenders: ways of receiving, with their poll intervals.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use doorbell::{
    Client, CoalesceWindow, Endpoint, Filter, Fingerprint, Server, Subscribe, Transport, Trust,
};
use doorbell_instruments::{Failure, Meter};
use doorbell_link::Flows;
use doorbell_protocol::Family;

use crate::way::{Style, Way};

/// At what interval one asks that has not been told yet: less than any server names.
const UNSTEERED: Duration = Duration::from_millis(500);

/// Where the contenders find the server.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) http: Server,
    pub(crate) tcp: Option<Endpoint>,
    pub(crate) unix: Option<Endpoint>,
    /// Where datagrams go, if the server hears them.
    pub(crate) udp: Option<SocketAddr>,
    /// The certificate by which the server is known, where connections are encrypted.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// How everything is asked for.
    pub(crate) style: Style,
    /// What the server asks of those that poll.
    pub(crate) poll_interval: Option<Duration>,
    /// What a link that was put before the server takes there and back.
    pub(crate) round_trip: Duration,
    /// The counts of what is sent, if a link of packets counts it.
    pub(crate) flows: Option<Flows>,
}

/// Where the server is: to be asked about itself, for the publisher, and for the contenders.
#[derive(Clone, Copy)]
pub(crate) struct Where<'a> {
    pub(crate) server: &'a Server,
    pub(crate) publish_at: &'a Server,
    pub(crate) places: &'a Places,
}

/// One way of receiving, to be measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Contender {
    pub(crate) way: Way,
    /// From one poll to the next, if it polls.
    pub(crate) interval: Option<Duration>,
    /// How long the server lets messages wait for others, if it pushes.
    pub(crate) coalesce: CoalesceWindow,
}

impl From<Way> for Contender {
    /// One that is told at once.
    fn from(way: Way) -> Self {
        Self { way, interval: None, coalesce: CoalesceWindow::default() }
    }
}

impl Places {
    /// A meter for one subscription.
    pub(crate) fn meter(&self) -> Arc<Meter> {
        Arc::new(Meter::over(self.flows.clone()))
    }

    /// The same where HTTP and lines are spoken over TLS, by a server that is known by this
    /// certificate. What cannot be encrypted is left out.
    pub(crate) fn encrypted(
        &self,
        (https, tcps): (SocketAddr, Option<SocketAddr>),
        fingerprint: Fingerprint,
    ) -> Result<Self, Failure> {
        let trust = Trust::Certificate(fingerprint);
        let http = format!("https://{https}").parse::<Server>()?.trusting(trust.clone());
        let tcp = match tcps {
            Some(tcps) => match format!("tcps://{tcps}").parse::<Server>()?.trusting(trust) {
                Server::Lines(endpoint, _) => Some(endpoint),
                Server::Http(_) => None,
            },
            None => None,
        };
        let fingerprint = Some(fingerprint);
        Ok(Self { http, tcp, unix: None, udp: None, fingerprint, ..self.clone() })
    }

    /// Whether the server has a way.
    pub(crate) fn have(&self, way: Way) -> bool {
        match way {
            Way::PollNewResumed if self.fingerprint.is_none() => return false,
            Way::PollSteered if self.poll_interval.is_none() => return false,
            _ => {}
        }
        match way.transport() {
            Transport::Tcp => self.tcp.is_some(),
            Transport::Unix => self.unix.is_some(),
            Transport::Udp => self.udp.is_some(),
            Transport::Poll
            | Transport::Longpoll
            | Transport::Ndjson
            | Transport::Sse
            | Transport::Raw
            | Transport::Websocket => true,
        }
    }
}

impl Contender {
    /// A contender for each way, and for each interval if it polls, or for that which the server
    /// names; if it is pushed one that has its messages at once, and one for each window.
    pub(crate) fn all(
        ways: &[Way],
        intervals: &[Duration],
        windows: &[CoalesceWindow],
        named: Option<Duration>,
    ) -> Vec<Self> {
        let each = |way: &Way| {
            let at_once = Self::from(*way);
            match way.family() {
                _ if *way == Way::PollSteered => {
                    named.iter().map(|each| at_once.every(*each)).collect()
                }
                Family::Poll => intervals.iter().map(|each| at_once.every(*each)).collect(),
                _ if way.gathers() => {
                    let gathered = windows.iter().map(|each| at_once.gathered(*each));
                    [at_once].into_iter().chain(gathered).collect()
                }
                _ => vec![at_once],
            }
        };
        ways.iter().flat_map(each).collect()
    }

    /// The same at an interval.
    pub(crate) fn every(self, interval: Duration) -> Self {
        Self { interval: Some(interval), ..self }
    }

    /// The same with a window.
    pub(crate) fn gathered(self, coalesce: CoalesceWindow) -> Self {
        Self { coalesce, ..self }
    }

    /// The interval of which it knows by itself.
    fn own_interval(&self) -> Duration {
        match self.way {
            Way::PollSteered => UNSTEERED,
            _ => self.interval.unwrap_or_default(),
        }
    }

    /// How late its messages may be of themselves.
    pub(crate) fn lateness(&self) -> Duration {
        self.interval.unwrap_or_default().max(self.coalesce.duration())
    }

    /// What it is called, such as `poll 1s`, `tcp` or `tcp +500ms`.
    pub(crate) fn name(&self) -> String {
        match self.interval {
            Some(interval) => format!("{} {interval:?}", self.way.name()),
            None if self.coalesce.is_none() => self.way.name().to_owned(),
            None => format!("{} +{:?}", self.way.name(), self.coalesce.duration()),
        }
    }

    /// A subscription of this kind, from now on.
    pub(crate) fn subscribe(&self, places: &Places, filter: Filter) -> Result<Subscribe, Failure> {
        let transport = self.way.transport();
        let lines = match transport {
            Transport::Tcp => Some(&places.tcp),
            Transport::Unix => Some(&places.unix),
            _ => None,
        };
        let server = match lines {
            None => places.http.clone(),
            Some(Some(endpoint)) => Server::Lines(endpoint.clone(), None),
            Some(None) => {
                let name = self.name();
                return Err(Failure::Usage(format!("the server has no listener for {name}")));
            }
        };
        let subscribe = Client::new(server)
            .subscribe(filter)
            .via(transport)
            .interval(self.own_interval())
            .coalesce(self.coalesce)
            .habits(self.way.habits(places.style));
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
        let names = |ways: &[Way], windows: &[CoalesceWindow]| -> Vec<String> {
            let named = Some(Duration::from_secs(7));
            Contender::all(ways, &intervals, windows, named).iter().map(Contender::name).collect()
        };
        assert_eq!(
            names(&[Way::POLL, Way::TCP, Way::PollNew, Way::PollSteered], &[]),
            ["poll 500ms", "poll 5s", "tcp", "poll-new 500ms", "poll-new 5s", "poll-steered 7s"]
        );
        let windows = ["100ms", "1s"].map(|text| text.parse().unwrap());
        assert_eq!(
            names(&[Way::TCP, Way::Best(Transport::Udp)], &windows),
            ["tcp", "tcp +100ms", "tcp +1s", "udp"]
        );
    }
}
