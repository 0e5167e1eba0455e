//! One connection's worth of receiving: whichever way, each yields the same.
//!
//! A source knows nothing of reconnecting, of repeats or of what it said before: that is the
//! [subscription](crate::subscription)'s business.

mod arrival;
mod ndjson;
mod poll;
mod sse;
mod texts;
mod udp;
mod websocket;

use doorbell_protocol::Transport;
use doorbell_protocol::command::{Command, Format};

pub(crate) use self::arrival::Arrival;
use self::ndjson::Objects;
use self::poll::Polls;
use self::sse::Events;
use self::texts::Texts;
use self::udp::Datagrams;
use self::websocket::Frames;
use crate::address::Endpoint;
use crate::conversation::Conversation;
use crate::error::Error;
use crate::laboratory::{HELD, Observation};
use crate::options::Options;
use crate::socket::Silence;

/// An open connection, and how long it may be silent.
pub(crate) struct Source {
    way: Way,
    silence: Silence,
}

/// An open way of receiving.
enum Way {
    Lines(Conversation),
    WebSocket(Box<Frames>),
    Sse(Events),
    Ndjson(Objects),
    Texts(Texts),
    Poll(Box<Polls>),
    Udp(Box<Datagrams>),
}

impl Source {
    /// Connects and asks for the messages of a filter after a place.
    pub(crate) async fn open(options: &Options) -> Result<Self, Error> {
        let hold = options.habits.period.unwrap_or(HELD);
        let way = match options.via {
            Transport::Tcp => Way::Lines(subscribe(options, options.server.lines().await?).await?),
            Transport::Unix => Way::Lines(subscribe(options, options.server.unix().await?).await?),
            Transport::Websocket => Way::WebSocket(Box::new(Frames::open(options).await?)),
            Transport::Sse => Way::Sse(Events::open(options).await?),
            Transport::Ndjson => Way::Ndjson(Objects::open(options).await?),
            Transport::Longpoll => Way::Poll(Box::new(Polls::held(options, hold)?)),
            Transport::Poll => Way::Poll(Box::new(Polls::every(options)?)),
            Transport::Udp => Way::Udp(Box::new(Datagrams::open(options).await?)),
            Transport::Raw if options.habits.texts_alone => Way::Texts(Texts::open(options).await?),
            Transport::Raw => {
                let reason = "raw brings texts without places, so it cannot be resumed";
                return Err(Error::Address(reason.to_owned()));
            }
        };
        Ok(Self { way, silence: Silence::default() })
    }

    /// Whether it has handed out all that the server held when it was last asked.
    pub(crate) fn is_through(&self) -> bool {
        matches!(&self.way, Way::Poll(polls) if polls.is_through())
    }

    /// The next step.
    pub(crate) async fn next(&mut self) -> Result<Arrival, Error> {
        let silence = self.silence;
        let arrival = match &mut self.way {
            Way::Lines(conversation) => {
                let silence = conversation.silence();
                Arrival::from_event(silence.hear(conversation.hear()).await?)?
            }
            Way::WebSocket(frames) => Arrival::from_event(frames.next(silence).await?)?,
            Way::Sse(events) => {
                let received = events.next(silence).await?;
                Arrival { retry: events.retry(), ..Arrival::from_event(received)? }
            }
            Way::Ndjson(objects) => Arrival::from_event(objects.next(silence).await?)?,
            Way::Texts(texts) => texts.next(silence).await?,
            Way::Poll(polls) => polls.next().await?,
            Way::Udp(datagrams) => datagrams.next().await?,
        };
        if let Some(seconds) = arrival.keepalive {
            self.silence = Silence::with_keepalive(seconds);
        }
        Ok(arrival)
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
        coalesce: options.coalesce,
    });
    options.observed.note(Observation::Request);
    Ok(conversation)
}
