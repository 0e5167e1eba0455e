//! One connection's worth of receiving: whichever way, each yields the same.
//!
//! A source knows nothing of reconnecting, of repeats or of what it said before: that is the
//! [subscription](crate::subscription)'s business.

mod ndjson;
mod poll;
mod sse;
mod udp;
mod websocket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use doorbell_protocol::command::{Command, Format};
use doorbell_protocol::event::{Gap, Kind};
use doorbell_protocol::{Filter, Id, Since};

use crate::address::Server;
use crate::conversation::Conversation;
use crate::error::{Error, Refusal};
use crate::http::HttpClient;
use crate::received::Received;
use crate::socket::{Meter, SILENCE_DEADLINE, heard};
use crate::via::Via;

/// How long a server is asked to hold back a long poll's answer.
const WAIT: Duration = Duration::from_secs(30);

/// One step of a source.
#[derive(Debug, Default)]
pub(crate) struct Arrival {
    /// Messages that were lost before what follows.
    pub(crate) gap: Option<Gap>,
    /// A message.
    pub(crate) message: Option<Received>,
    /// The place that is reached after this step.
    pub(crate) place: Option<Id>,
}

impl Arrival {
    fn from_event(received: Received) -> Result<Self, Error> {
        let event = &received.event;
        match event.event {
            Kind::Close => return Err(Error::Closed),
            Kind::Error => return Err(Error::Refused(Refusal::from_event(event))),
            Kind::Message if event.id.is_none() => {
                return Err(Error::Unexpected("a message without an id".to_owned()));
            }
            _ => {}
        }
        Ok(Self {
            gap: event.gap.clone(),
            place: event.id,
            message: (event.event == Kind::Message).then_some(received),
        })
    }
}

/// An open way of receiving.
pub(crate) enum Source {
    Lines(Conversation),
    WebSocket(Box<websocket::Frames>),
    Sse(sse::Events),
    Ndjson(ndjson::Objects),
    Poll(Box<poll::Polls>),
    Udp(Box<udp::Datagrams>),
}

impl Source {
    /// Connects and asks for the messages of a filter after a place.
    pub(crate) async fn open(
        via: Via,
        server: &Server,
        filter: &Filter,
        since: Since,
        meter: &Arc<Meter>,
    ) -> Result<Self, Error> {
        if via == Via::Tcp {
            return subscribe(server, filter, since, meter).await;
        }
        let authority = server.http()?;
        let path = path(filter);
        if via == Via::WebSocket {
            let frames = websocket::Frames::open(authority, &path, &since, meter).await?;
            return Ok(Self::WebSocket(Box::new(frames)));
        }
        let client = HttpClient::new(authority.clone(), Arc::clone(meter));
        Ok(match via {
            Via::LongPoll => Self::Poll(Box::new(poll::Polls::held(client, path, since, WAIT))),
            Via::Poll(interval) | Via::PollPlain(interval) | Via::PollNew(interval) => {
                let habits = poll::Habits {
                    keeps_connection: !matches!(via, Via::PollNew(_)),
                    sends_etag: matches!(via, Via::Poll(_)),
                };
                Self::Poll(Box::new(poll::Polls::every(client, path, since, interval, habits)))
            }
            Via::Ndjson => Self::Ndjson(ndjson::Objects::open(client, &path, &since).await?),
            _ => Self::Sse(sse::Events::open(client, &path, &since).await?),
        })
    }

    /// Subscribes by datagrams: to `relay` if there is one, else to where the server hears them.
    pub(crate) async fn open_udp(
        relay: Option<SocketAddr>,
        server: &Server,
        filter: &Filter,
        since: Since,
        meter: &Arc<Meter>,
    ) -> Result<Self, Error> {
        let address = match relay {
            Some(relay) => relay,
            None => server.udp().await?,
        };
        let client = HttpClient::new(server.http()?.clone(), Arc::clone(meter));
        let path = path(filter);
        let datagrams = udp::Datagrams::open(address, client, path, filter, since, meter).await?;
        Ok(Self::Udp(Box::new(datagrams)))
    }

    /// The next step.
    pub(crate) async fn next(&mut self) -> Result<Arrival, Error> {
        match self {
            Self::Lines(conversation) => {
                let received = heard(SILENCE_DEADLINE, conversation.hear()).await?;
                Arrival::from_event(received)
            }
            Self::WebSocket(frames) => Arrival::from_event(frames.next().await?),
            Self::Sse(events) => Arrival::from_event(events.next().await?),
            Self::Ndjson(objects) => Arrival::from_event(objects.next().await?),
            Self::Poll(polls) => polls.next().await,
            Self::Udp(datagrams) => datagrams.next().await,
        }
    }
}

async fn subscribe(
    server: &Server,
    filter: &Filter,
    since: Since,
    meter: &Arc<Meter>,
) -> Result<Source, Error> {
    let mut conversation = Conversation::open(&server.lines().await?, meter).await?;
    conversation.say(&Command::Subscribe {
        filter: filter.clone(),
        since: Some(since),
        format: Format::Json,
    });
    meter.count_request();
    Ok(Source::Lines(conversation))
}

/// A filter as the first segment of a path. Of its letters only `>` may not stand there.
fn path(filter: &Filter) -> String {
    format!("/{}", filter.to_string().replace('>', "%3E"))
}
