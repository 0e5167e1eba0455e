//! HTTP answers that do not end: NDJSON, server-sent events, raw text.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use doorbell_protocol::{Error, Event, Filter, Gap, Kind};
use futures_util::Stream;
use tokio::time::Instant;

use super::App;
use crate::alarm::Alarm;
use crate::clock::unix_micros;
use crate::connections::Serving;
use crate::cursor::{Batch, Cursor, PageLimit};
use crate::limits::{BATCH_BYTES_MAX, BATCH_MESSAGES_MAX};
use crate::line::Manners;
use crate::message::Message;
use crate::metrics::{Connected, Transport};
use crate::stop::Listener;

/// How messages stand in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// One JSON object a line.
    Ndjson,
    /// Server-sent events of the HTML standard, section 9.2.
    Sse,
    /// The texts alone, one a line.
    Raw,
}

/// What a browser waits before it comes back.
const SSE_RETRY: &str = "retry: 1000\n";

impl Framing {
    pub(crate) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Ndjson => "application/x-ndjson; charset=utf-8",
            Self::Sse => "text/event-stream; charset=utf-8",
            Self::Raw => "text/plain; charset=utf-8",
        })
    }

    pub(crate) fn transport(self) -> Transport {
        match self {
            Self::Ndjson => Transport::Ndjson,
            Self::Sse => Transport::Sse,
            Self::Raw => Transport::Raw,
        }
    }

    /// A message, with what was lost before it.
    pub(crate) fn message(self, message: &Message, gap: Option<&Gap>) -> Bytes {
        match (self, gap) {
            (Self::Ndjson, _) => message.frame_after(gap).line(),
            (Self::Sse, _) => message.frame_after(gap).sse(),
            (Self::Raw, None) => message.raw_line(),
            (Self::Raw, Some(gap)) => [raw_gap(gap), message.raw_line()].concat().into(),
        }
    }

    /// An event that is no message.
    fn event(self, event: &Event<'_>) -> Bytes {
        let json = event.to_json();
        match self {
            Self::Ndjson => format!("{json}\n").into(),
            Self::Sse => {
                let (name, retry) = match event.event {
                    Kind::Open => ("open", SSE_RETRY),
                    _ => ("keepalive", ""),
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

/// Streams a cursor for as long as the client stays.
pub(crate) fn stream(
    app: App,
    mut cursor: Cursor,
    filter: Filter,
    framing: Framing,
    serving: Serving,
) -> Response {
    serving.reads(cursor.progress());
    let gap = cursor.take_gap();
    let metrics = app.manners.metrics.of(framing.transport());
    metrics.gaps.inc_by(u64::from(gap.is_some()));
    let header = gap.as_ref().and_then(|gap| HeaderValue::try_from(gap.to_json()).ok());
    let mut open = Event::new(Kind::Open, unix_micros()).at(cursor.place());
    open.topic = Some(filter.to_string().into());
    open.gap = gap;
    let next_keepalive = Instant::now() + app.manners.keepalive;
    let session = Session {
        _serving: serving,
        first: Some(framing.event(&open)),
        _connected: app.manners.metrics.of(framing.transport()).connected(),
        next_keepalive,
        alarm: Alarm::new(next_keepalive),
        stopped: app.manners.stop.listener(),
        manners: app.manners,
        filter,
        cursor,
        framing,
        began: std::time::Instant::now(),
    };
    let body = Body::from_stream(session);
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, framing.content_type());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Asks proxies of the nginx kind not to hold back what is pushed.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    if let Some(gap) = header {
        headers.insert("doorbell-gap", gap);
    }
    response
}

struct Session {
    /// The `open` event, until it is sent.
    first: Option<Bytes>,
    cursor: Cursor,
    filter: Filter,
    framing: Framing,
    manners: Arc<Manners>,
    _connected: Connected,
    _serving: Serving,
    next_keepalive: Instant,
    alarm: Alarm,
    stopped: Listener,
    began: std::time::Instant,
}

impl Stream for Session {
    type Item = Result<Bytes, Error>;

    /// The next piece of the body; the end of the body when the server stops.
    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if self.stopped.poll_stopped(context).is_ready() {
            return Poll::Ready(None);
        }
        let limit = PageLimit { messages: BATCH_MESSAGES_MAX, bytes: BATCH_BYTES_MAX };
        let due = self.next_keepalive;
        let batch = match self.cursor.poll_next(limit, context) {
            Poll::Ready(batch) => batch,
            Poll::Pending => {
                ready!(self.alarm.poll_until(due, context));
                Ok(Batch::default())
            }
        };
        self.next_keepalive = Instant::now() + self.manners.keepalive;
        Poll::Ready(Some(batch.map(|batch| self.frame(&batch))))
    }
}

impl Session {
    fn frame(&self, batch: &Batch) -> Bytes {
        let gap = batch.gap.as_ref();
        let mut framed: Vec<Bytes> = Vec::with_capacity(batch.messages.len());
        for (index, message) in batch.messages.iter().enumerate() {
            framed.push(self.framing.message(message, gap.filter(|_| index == 0)));
        }
        let piece = match framed.as_slice() {
            [] => {
                let mut event = Event::new(Kind::Keepalive, unix_micros()).at(self.cursor.place());
                event.topic = Some(self.filter.to_string().into());
                event.gap.clone_from(&batch.gap);
                return self.framing.event(&event);
            }
            [only] => only.clone(),
            many => many.concat().into(),
        };
        let metrics = self.manners.metrics.of(self.framing.transport());
        metrics.delivered(&batch.messages, piece.len(), usize::from(gap.is_some()), self.began);
        piece
    }
}
