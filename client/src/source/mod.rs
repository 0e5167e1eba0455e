//! One connection's worth of receiving: whichever way, each yields the same.
//!
//! A source knows nothing of reconnecting, of repeats or of what it said before: that is the
//! [subscription](crate::subscription)'s business.

mod arrival;
mod ndjson;
mod poll;
mod sse;
mod udp;
mod websocket;

use std::time::Duration;

use doorbell_protocol::Transport;
use doorbell_protocol::command::{Command, Format};

pub(crate) use self::arrival::Arrival;
use self::ndjson::Objects;
use self::poll::Polls;
use self::sse::Events;
use self::udp::Datagrams;
use self::websocket::Frames;
use crate::address::Endpoint;
use crate::conversation::Conversation;
use crate::error::Error;
use crate::laboratory::Observation;
use crate::options::Options;
use crate::socket::{SILENCE_DEADLINE, heard};

/// How long a server is asked to hold back a long poll's answer.
const WAIT: Duration = Duration::from_secs(30);

/// An open way of receiving.
pub(crate) enum Source {
    Lines(Conversation),
    WebSocket(Box<Frames>),
    Sse(Events),
    Ndjson(Objects),
    Poll(Box<Polls>),
    Udp(Box<Datagrams>),
}

impl Source {
    /// Connects and asks for the messages of a filter after a place.
    pub(crate) async fn open(options: &Options) -> Result<Self, Error> {
        Ok(match options.via {
            Transport::Tcp => Self::Lines(subscribe(options, options.server.lines().await?).await?),
            Transport::Unix => Self::Lines(subscribe(options, options.server.unix().await?).await?),
            Transport::Websocket => Self::WebSocket(Box::new(Frames::open(options).await?)),
            Transport::Sse => Self::Sse(Events::open(options).await?),
            Transport::Ndjson => Self::Ndjson(Objects::open(options).await?),
            Transport::Longpoll => Self::Poll(Box::new(Polls::held(options, WAIT)?)),
            Transport::Poll => Self::Poll(Box::new(Polls::every(options)?)),
            Transport::Udp => Self::Udp(Box::new(Datagrams::open(options).await?)),
            Transport::Raw => {
                let reason = "raw brings texts without places, so it cannot be resumed";
                return Err(Error::Address(reason.to_owned()));
            }
        })
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

/// Subscribes in lines, over TCP or a Unix socket.
async fn subscribe(options: &Options, endpoint: Endpoint) -> Result<Conversation, Error> {
    let credential = options.server.credential();
    let mut conversation = Conversation::open(&endpoint, credential, &options.observed).await?;
    conversation.say(&Command::Subscribe {
        filter: options.filter.clone(),
        since: Some(options.since.clone()),
        format: Format::Json,
    });
    options.observed.note(Observation::Request);
    Ok(conversation)
}
