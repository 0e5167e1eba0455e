//! How doorbell is spoken to: lines, WebSocket, server-sent events, long polls, `POST`.

use std::ops::Range;

use crate::failure::Result;
use crate::generator::dialect::{Dialect, Effects, Heard, State, Target, lines, push, topic_name};
use crate::generator::{http, websocket};

/// Topics in one filter, as many as a server takes.
const FILTER_TOPICS: usize = 64;

/// A comma list of topics.
fn filter(topics: Range<usize>) -> String {
    topics.map(topic_name).collect::<Vec<_>>().join(",")
}

/// The text of a message in its event. Its length is known, and only the time at which it expires
/// may follow it, so that the generator need not search for it from the front.
fn text_of(json: &[u8], payload: usize) -> Option<&[u8]> {
    let text = match json.strip_suffix(b"\"}") {
        Some(text) => text,
        None => &json[..memchr::memmem::rfind(json, b"\",\"expires\":")?],
    };
    let (members, text) = text.split_at_checked(text.len().checked_sub(payload)?)?;
    members.ends_with(b",\"message\":\"").then_some(text)
}

/// What an event that is no message says.
fn kind_of(json: &[u8]) -> &[u8] {
    let name = b"\"event\":\"";
    let begin = memchr::memmem::find(json, name).map_or(json.len(), |place| place + name.len());
    let end = memchr::memchr(b'"', &json[begin..]).unwrap_or(0);
    &json[begin..begin + end]
}

/// The line protocol over TCP.
pub(super) struct Lines {
    pub(super) payload: usize,
    /// What is acknowledged are publishes, else subscriptions.
    pub(super) publishing: bool,
}

impl Dialect for Lines {
    fn subscribe(&self, topics: Range<usize>, state: &mut State, out: &mut Vec<u8>) -> u32 {
        let since = since(state);
        let end = topics.end;
        let starts = topics.step_by(FILTER_TOPICS);
        starts
            .map(|start| {
                let some = start..end.min(start + FILTER_TOPICS);
                push!(out, "SUB {} since={since}\n", filter(some));
            })
            .count() as u32
    }

    fn publish(&self, to: Target, payload: &[u8], out: &mut Vec<u8>) {
        push!(out, "PUB t{:06} ", to.topic);
        out.extend_from_slice(payload);
        out.push(b'\n');
    }

    fn acknowledges(&self) -> bool {
        true
    }

    fn hear(&self, state: &mut State, bytes: &[u8], effects: &mut Effects<'_>) -> Result<usize> {
        lines(bytes, |line| {
            if let Some(text) = text_of(line, self.payload) {
                note_place(state, line);
                effects.heard(Heard::Message(text));
                return Ok(());
            }
            match kind_of(line) {
                b"ok" if self.publishing => effects.heard(Heard::Acknowledged(1)),
                b"ok" => effects.heard(Heard::Ready),
                b"error" | b"close" => effects.heard(Heard::Refused(line)),
                _ => {}
            }
            Ok(())
        })
    }
}

/// From where on: the place that a receiver was given or has reached, or else from now on.
fn since(state: &State) -> String {
    if state.place.is_empty() {
        "none".into()
    } else {
        String::from_utf8_lossy(&state.place).into()
    }
}

/// Keeps the id of a message, at the beginning of its event, where the state asks for that.
fn note_place(state: &mut State, json: &[u8]) {
    if !state.place.is_empty()
        && let Some(id) = json.strip_prefix(b"{\"id\":\"").and_then(|rest| rest.get(..12))
    {
        state.place.clear();
        state.place.extend_from_slice(id);
    }
}

/// Events in text frames.
pub(super) struct WebSocket {
    pub(super) payload: usize,
}

impl Dialect for WebSocket {
    fn subscribe(&self, topics: Range<usize>, state: &mut State, out: &mut Vec<u8>) -> u32 {
        websocket::open(&format!("/{}/ws?since={}", filter(topics), since(state)), out);
        // Once for the handshake, once for the event `open`.
        2
    }

    fn publish(&self, to: Target, payload: &[u8], out: &mut Vec<u8>) {
        let line = [format!("PUB {} ", topic_name(to.topic)).as_bytes(), payload].concat();
        websocket::text(&line, out);
    }

    fn acknowledges(&self) -> bool {
        true
    }

    fn hear(&self, state: &mut State, bytes: &[u8], effects: &mut Effects<'_>) -> Result<usize> {
        websocket::frames(state, bytes, effects, |json, effects| {
            event(json, self.payload, effects);
            Ok(())
        })
    }
}

/// An event of a stream.
fn event(json: &[u8], payload: usize, effects: &mut Effects<'_>) {
    match text_of(json, payload) {
        Some(text) => effects.heard(Heard::Message(text)),
        None => match kind_of(json) {
            b"open" => effects.heard(Heard::Ready),
            b"error" | b"close" => effects.heard(Heard::Refused(json)),
            _ => {}
        },
    }
}

/// Server-sent events.
pub(super) struct Sse {
    pub(super) payload: usize,
}

impl Dialect for Sse {
    fn subscribe(&self, topics: Range<usize>, state: &mut State, out: &mut Vec<u8>) -> u32 {
        let (filter, since) = (filter(topics), since(state));
        push!(out, "GET /{filter}/sse?since={since} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        1
    }

    fn hear(&self, state: &mut State, bytes: &[u8], effects: &mut Effects<'_>) -> Result<usize> {
        http::chunked(state, bytes, effects, |content, effects| {
            http::events(content, |_, data| event(data, self.payload, effects))
        })
    }
}

/// Polls that wait, one after the other on a kept connection, each from where the last one ended.
pub(super) struct LongPoll {
    pub(super) payload: usize,
}

impl Dialect for LongPoll {
    fn subscribe(&self, topics: Range<usize>, _state: &mut State, out: &mut Vec<u8>) -> u32 {
        // The first poll asks only for the place.
        let filter = filter(topics);
        push!(out, "GET /{filter}/json?poll=1&since=none HTTP/1.1\r\nHost: localhost\r\n\r\n");
        1
    }

    fn hear(&self, state: &mut State, bytes: &[u8], effects: &mut Effects<'_>) -> Result<usize> {
        http::answers(bytes, |head, body| {
            if head.status != 200 {
                effects.heard(Heard::Refused(body));
                return Ok(());
            }
            lines(body, |line| {
                event(line, self.payload, effects);
                Ok(())
            })?;
            if !state.opened {
                state.opened = true;
                effects.heard(Heard::Ready);
            }
            let next = head.header("doorbell-next").unwrap_or_default();
            push!(effects.out, "GET /t{:06}/json?poll=1&wait=60s&since=", state.topic);
            effects.out.extend_from_slice(next);
            effects.out.extend_from_slice(b" HTTP/1.1\r\nHost: localhost\r\n\r\n");
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::STAMP_BYTES;

    #[test]
    fn the_text_of_a_message_is_told_from_everything_else() {
        let text = "x".repeat(STAMP_BYTES);
        let message =
            format!("{{\"id\":\"1\",\"event\":\"message\",\"message\":\"{text}\",\"expires\":12}}");
        assert_eq!(text_of(message.as_bytes(), STAMP_BYTES), Some(text.as_bytes()));
        assert_eq!(text_of(message.as_bytes(), STAMP_BYTES - 1), None);
        let pong = br#"{"event":"pong","message":"word"}"#;
        assert_eq!(text_of(pong, STAMP_BYTES), None);
        assert_eq!(kind_of(pong), b"pong");
        assert_eq!(kind_of(b"{}"), b"");
    }
}
