//! HTTP answers that do not end: NDJSON, server-sent events, raw text.
//!
//! What stands in them and when is said here; they are written by whoever has the connection.

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

use crate::alarm::Alarm;
use crate::clock::unix_micros;
use crate::connections::Serving;
use crate::cursor::{Batch, Cursor, PageLimit};
use crate::limits::GROUP_AFTER;
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

/// An answer that does not end.
pub(crate) struct Endless {
    /// Its head.
    pub(crate) head: Response,
    pub(crate) session: Session,
}

impl Endless {
    /// Streams a cursor for as long as the client stays.
    pub(crate) fn new(
        manners: &Arc<Manners>,
        mut cursor: Cursor,
        filter: Filter,
        framing: Framing,
        serving: Serving,
    ) -> Self {
        let gap = cursor.take_gap();
        let metrics = manners.metrics.of(framing.transport());
        metrics.gaps.inc_by(u64::from(gap.is_some()));
        let header = gap.as_ref().and_then(|gap| HeaderValue::try_from(gap.to_json()).ok());
        let mut open = Event::new(Kind::Open, unix_micros()).at(cursor.place());
        open.topic = Some(filter.to_string().into());
        open.gap = gap;
        let reader = Reader {
            filter,
            framing,
            _connected: metrics.connected(),
            serving,
            began: std::time::Instant::now(),
        };
        let mut session = reader.resume(manners.clone(), cursor, Instant::now());
        session.first = Some(framing.event(&open));
        let mut head = Response::default();
        let headers = head.headers_mut();
        headers.insert(header::CONTENT_TYPE, framing.content_type());
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // Asks proxies of the nginx kind not to hold back what is pushed.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        if let Some(gap) = header {
            headers.insert("doorbell-gap", gap);
        }
        Self { head, session }
    }
}

impl IntoResponse for Endless {
    fn into_response(self) -> Response {
        self.head.map(|_| Body::from_stream(self.session))
    }
}

/// What is left of a session while it only waits.
pub(crate) struct Reader {
    filter: Filter,
    framing: Framing,
    _connected: Connected,
    serving: Serving,
    began: std::time::Instant,
}

impl Reader {
    /// Over what it is served.
    pub(crate) fn transport(&self) -> Transport {
        self.framing.transport()
    }

    /// Shows others which reader this is now.
    pub(crate) fn reads(&self, cursor: &Cursor) {
        self.serving.reads(cursor.progress());
    }

    /// A batch as a piece of the body; a sign of life if there is nothing in it.
    pub(crate) fn piece(&self, batch: &Batch, cursor: &Cursor) -> Bytes {
        let mut gap = batch.gap.as_ref();
        let framed: Vec<Bytes> = batch
            .messages
            .iter()
            .map(|message| self.framing.message(message, gap.take()))
            .collect();
        match framed.as_slice() {
            [] => {
                let mut event = Event::new(Kind::Keepalive, unix_micros()).at(cursor.place());
                event.topic = Some(self.filter.to_string().into());
                event.gap.clone_from(&batch.gap);
                self.framing.event(&event)
            }
            [only] => only.clone(),
            many => many.concat().into(),
        }
    }

    /// A session that goes on at the place of this cursor. The client was last sent something at
    /// `spoken_to`.
    pub(crate) fn resume(
        self,
        manners: Arc<Manners>,
        cursor: Cursor,
        spoken_to: Instant,
    ) -> Session {
        self.reads(&cursor);
        let next_keepalive = spoken_to + manners.keepalive;
        Session {
            reader: self,
            first: None,
            cursor,
            next_keepalive,
            idle_at: Instant::now() + GROUP_AFTER,
            alarm: Alarm::new(next_keepalive),
            stopped: manners.stop.listener(),
            manners,
        }
    }
}

/// A reader whose answer is being written.
pub(crate) struct Session {
    reader: Reader,
    /// The `open` event, until it is sent.
    first: Option<Bytes>,
    cursor: Cursor,
    next_keepalive: Instant,
    /// When it has waited long enough to wait with others.
    idle_at: Instant,
    alarm: Alarm,
    stopped: Listener,
    manners: Arc<Manners>,
}

/// What a session waits for.
pub(crate) enum Happening {
    /// The next piece of the body.
    Piece(Result<Bytes, Error>),
    /// There is nothing but news to wait for, such as others wait for as well.
    Idle,
    /// The server stops.
    Stop,
}

impl Session {
    /// What happens next. `may_wait`: whether its connection has nothing else to do.
    pub(crate) fn poll_happening(
        &mut self,
        may_wait: bool,
        context: &mut Context<'_>,
    ) -> Poll<Happening> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Happening::Piece(Ok(first)));
        }
        if self.stopped.poll_stopped(context).is_ready() {
            return Poll::Ready(Happening::Stop);
        }
        let batch = match self.cursor.poll_next(PageLimit::BATCH, context) {
            Poll::Ready(batch) => batch,
            Poll::Pending => {
                let may_wait = may_wait && self.cursor.sole_filter().is_some();
                let due = if may_wait { self.idle_at } else { self.next_keepalive };
                ready!(self.alarm.poll_until(due.min(self.next_keepalive), context));
                if may_wait && self.idle_at <= Instant::now() {
                    return Poll::Ready(Happening::Idle);
                }
                Ok(Batch::default())
            }
        };
        self.next_keepalive = Instant::now() + self.manners.keepalive;
        Poll::Ready(Happening::Piece(batch.map(|batch| self.deliver(&batch))))
    }

    fn deliver(&self, batch: &Batch) -> Bytes {
        let piece = self.reader.piece(batch, &self.cursor);
        if !batch.messages.is_empty() {
            let metrics = self.manners.metrics.of(self.reader.transport());
            let gaps = usize::from(batch.gap.is_some());
            metrics.delivered(1, &batch.messages, piece.len(), gaps, self.reader.began);
        }
        piece
    }

    /// Takes it apart: it only waits. The last is when the client was last sent something.
    pub(crate) fn wait(self) -> (Reader, Cursor, Instant) {
        (self.reader, self.cursor, self.next_keepalive - self.manners.keepalive)
    }
}

impl Stream for Session {
    type Item = Result<Bytes, Error>;

    /// The next piece of the body; the end of the body when the server stops.
    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        Poll::Ready(match ready!(self.poll_happening(false, context)) {
            Happening::Piece(piece) => Some(piece),
            Happening::Stop | Happening::Idle => None,
        })
    }
}
