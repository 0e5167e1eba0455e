//! How messages and events stand in a body: as NDJSON, as server-sent events, or as raw text.

use std::ops::RangeInclusive;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use doorbell_protocol::{Error, Event, Gap, Kind};
use futures_util::Stream;
use rand::RngExt;

use crate::clock::unix_micros;
use crate::cursor::{Batch, Cursor};
use crate::message::Message;
use crate::metrics::Transport;
use crate::session::{Encode, Hear, Session};

/// How messages stand in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// One JSON object a line.
    Ndjson,
    /// Server-sent events of the HTML standard, section 9.2.
    Sse,
    /// The texts alone, one a line.
    Raw,
}

/// Milliseconds that a browser waits before it comes back: drawn for each stream, so that those who
/// lose a server together do not come back together.
const SSE_RETRY_MILLIS: RangeInclusive<u64> = 1000..=5000;

impl Framing {
    /// The media type of a body.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson; charset=utf-8",
            Self::Sse => "text/event-stream; charset=utf-8",
            Self::Raw => "text/plain; charset=utf-8",
        }
    }

    /// The transport whose stream has this framing.
    pub(super) fn transport(self) -> Transport {
        match self {
            Self::Ndjson => Transport::Ndjson,
            Self::Sse => Transport::Sse,
            Self::Raw => Transport::Raw,
        }
    }

    /// The messages of a batch; the first one tells of the gap.
    pub(super) fn messages(self, batch: &Batch) -> Bytes {
        let mut gap = batch.gap.as_ref();
        match batch.messages.as_slice() {
            [] => Bytes::new(),
            [only] => self.message(only, gap),
            many => {
                let framed = many.iter().map(|message| self.message(message, gap.take()));
                framed.collect::<Vec<Bytes>>().concat().into()
            }
        }
    }

    /// A message, with what was lost before it.
    fn message(self, message: &Message, gap: Option<&Gap>) -> Bytes {
        match (self, gap) {
            (Self::Ndjson, _) => message.frame_after(gap).line(),
            (Self::Sse, _) => message.frame_after(gap).sse(),
            (Self::Raw, None) => message.raw_line(),
            (Self::Raw, Some(gap)) => [raw_gap(gap), message.raw_line()].concat().into(),
        }
    }

    /// An event that is no message.
    pub(super) fn event(self, event: &Event<'_>) -> Bytes {
        let json = event.to_json();
        match self {
            Self::Ndjson => format!("{json}\n").into(),
            Self::Sse => {
                let (name, retry) = match event.event {
                    Kind::Open => {
                        let millis = rand::rng().random_range(SSE_RETRY_MILLIS);
                        ("open", format!("retry: {millis}\n"))
                    }
                    _ => ("keepalive", String::new()),
                };
                let id = event.id.map(|id| format!("id: {id}\n")).unwrap_or_default();
                format!("event: {name}\n{retry}{id}data: {json}\n\n").into()
            }
            Self::Raw => match &event.gap {
                Some(gap) => raw_gap(gap),
                None => Bytes::from_static(b"\n"),
            },
        }
    }
}

/// Raw text has no place for a gap, and yet it is never silent about one.
fn raw_gap(gap: &Gap) -> Bytes {
    format!("{{\"gap\":{}}}\n", gap.to_json()).into()
}

/// An event that tells the place reached, and the filter.
pub(super) fn event_at(kind: Kind, cursor: &Cursor, gap: Option<Gap>) -> Event<'static> {
    let mut event = Event::new(kind, unix_micros()).at(cursor.place());
    event.topic = cursor.filters().first().map(|filter| filter.to_string().into());
    event.gap = gap;
    event
}

impl Encode for Framing {
    fn transport(&self) -> Transport {
        Framing::transport(*self)
    }

    fn encode(&self, batch: &Batch, cursor: &Cursor) -> Bytes {
        if batch.messages.is_empty() {
            return self.event(&event_at(Kind::Keepalive, cursor, batch.gap.clone()));
        }
        self.messages(batch)
    }
}

impl Hear for Framing {
    fn poll_heard(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

/// An answer that does not end, as a body that is fed.
pub(super) type StreamSession = Session<Framing>;

impl Stream for StreamSession {
    type Item = Result<Bytes, Error>;

    /// The next piece of the body; the end of the body when the server stops.
    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        self.poll_piece(context)
    }
}
