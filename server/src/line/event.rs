//! What the server says in lines: events that are no messages, and how an event becomes a line.

use bytes::Bytes;
use doorbell_protocol::{Error, Event, Filter, Gap, Kind};

use crate::clock::unix_micros;
use crate::cursor::Cursor;
use crate::message::Message;
use crate::session::Ending;

/// Bytes that the line about one command nearly always fits in.
pub(super) const LINE_BYTES: usize = 192;

/// An event as a line, with its `\n`.
pub(super) fn line(event: &Event<'_>) -> Bytes {
    let mut line = Vec::with_capacity(LINE_BYTES);
    push_line(event, &mut line);
    line.into()
}

/// Appends an event as a line, with its `\n`.
pub(super) fn push_line(event: &Event<'_>, lines: &mut Vec<u8>) {
    event.write_json(lines);
    lines.push(b'\n');
}

/// The server speaks first. Tells what was lost before the cursor's place.
pub(super) fn open(cursor: &mut Cursor) -> Event<'static> {
    let mut event = at(Kind::Open, cursor);
    match cursor.filters().first() {
        Some(filter) => event.topic = Some(filter.to_string().into()),
        None => {
            let help = if cursor.access().is_nothing() {
                "doorbell: AUTH token first; then SUB, UNSUB, PUB, PING, QUIT"
            } else {
                "doorbell: SUB filter, UNSUB filter, PUB topic text, PING, QUIT"
            };
            event.message = Some(help.into());
        }
    }
    event.gap = cursor.take_gap();
    event
}

/// The answer to `SUB`. Tells what was lost before the cursor's place.
pub(super) fn subscribed(filter: &Filter, cursor: &mut Cursor) -> Event<'static> {
    let mut event = unsubscribed(filter, cursor);
    event.gap = cursor.take_gap();
    event
}

/// The answer to `UNSUB`.
pub(super) fn unsubscribed(filter: &Filter, cursor: &Cursor) -> Event<'static> {
    let mut event = at(Kind::Ok, cursor);
    event.topic = Some(filter.to_string().into());
    event
}

/// The answer to `AUTH`.
pub(super) fn authenticated(cursor: &Cursor) -> Event<'static> {
    at(Kind::Ok, cursor)
}

/// The answer to a publish: where the message is.
pub(super) fn stored(message: &Message) -> Event<'_> {
    let mut event = Event::new(Kind::Ok, message.time_us()).at(message.id());
    event.topic = Some(message.topic().as_str().into());
    event
}

/// The answer to `PING`.
pub(super) fn pong(word: Option<String>) -> Event<'static> {
    let mut event = Event::new(Kind::Pong, unix_micros());
    event.message = word.map(Into::into);
    event
}

/// A sign of life, or what was lost where no message follows.
pub(super) fn keepalive(cursor: &Cursor, gap: Option<Gap>) -> Event<'static> {
    let mut event = at(Kind::Keepalive, cursor);
    event.gap = gap;
    event
}

/// A refusal.
pub(super) fn error(error: &Error) -> Event<'static> {
    Event::error(error, unix_micros())
}

/// The last event.
pub(super) fn close(cursor: &Cursor, ending: &Ending) -> Event<'static> {
    let mut event = at(Kind::Close, cursor);
    event.message = Some(ending.text().to_owned().into());
    event
}

/// An event that tells the place reached.
fn at(kind: Kind, cursor: &Cursor) -> Event<'static> {
    Event::new(kind, unix_micros()).at(cursor.place())
}
