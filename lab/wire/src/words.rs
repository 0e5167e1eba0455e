//! What a segment carries, in a few words: the payload of one segment as a person would name it.
//!
//! Payloads come from strangers: control characters and those that turn the direction of writing
//! are written out. A payload is looked at by itself, so one that begins in the middle of
//! something is only counted.

use doorbell_protocol::event::{Event, Kind};

/// Characters of one description.
const CHARS_MAX: usize = 72;
/// Characters of a message or of a request's address in it.
const QUOTE_CHARS_MAX: usize = 32;
/// Events of one segment that are named.
const EVENTS_MAX: usize = 3;

/// What a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sense {
    /// A request, or a command of the line protocol.
    Request {
        /// Whether it is a poll: what follows until the next request answers it.
        is_poll: bool,
    },
    /// The head of an HTTP answer, or the answer to a command.
    Answer,
    /// An event of a stream.
    Event,
    /// A goodbye.
    Goodbye,
    /// A part of something longer.
    Part,
}

/// What a client's payload says.
pub(crate) fn of_client(payload: &[u8]) -> (Sense, String) {
    if let Some(frames) = frames(payload, true) {
        let close = frames.iter().any(|frame| frame.opcode == CLOSE);
        let sense = if close { Sense::Goodbye } else { Sense::Request { is_poll: false } };
        return (sense, join(frames.iter().map(Frame::words).collect()));
    }
    let text = String::from_utf8_lossy(payload);
    let line = text.lines().next().unwrap_or_default();
    if let Some(request) = line.strip_suffix(" HTTP/1.1") {
        let mut words = shortened(request, 2 * QUOTE_CHARS_MAX);
        if header(&text, "if-none-match").is_some() {
            words.push_str(", If-None-Match");
        }
        if header(&text, "upgrade").is_some() {
            words.push_str(", Upgrade");
        }
        let is_poll = request.contains("poll=1");
        return (Sense::Request { is_poll }, shortened(&words, CHARS_MAX));
    }
    let verb = line.split(' ').next().unwrap_or_default();
    if !verb.is_empty() && verb.bytes().all(|b| b.is_ascii_alphabetic()) {
        let is_quit = verb.eq_ignore_ascii_case("quit");
        let sense = if is_quit { Sense::Goodbye } else { Sense::Request { is_poll: false } };
        return (sense, shortened(line.trim_end(), CHARS_MAX));
    }
    (Sense::Part, bytes(payload))
}

/// What a server's payload says.
pub(crate) fn of_server(payload: &[u8]) -> (Sense, String) {
    if let Some(frames) = frames(payload, false) {
        let events: Vec<_> = frames.iter().filter_map(|frame| event(frame.payload)).collect();
        let close = frames.iter().any(|frame| frame.opcode == CLOSE);
        let sense = if close { Sense::Goodbye } else { sense(&events) };
        return (sense, join(frames.iter().map(Frame::words).collect()));
    }
    let text = String::from_utf8_lossy(payload);
    let mut words = Vec::new();
    let status = text.lines().next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
    if let Some(status) = status {
        words.push(shortened(status.trim_end(), QUOTE_CHARS_MAX));
        if header(&text, "content-length") == Some("0") {
            words.push("empty".to_owned());
        }
    }
    let lines = payload.split(|byte| *byte == b'\n');
    let events: Vec<_> = lines.filter_map(event).collect();
    words.extend(events.iter().map(|(_, words)| words.clone()));
    let is_last_chunk = payload == b"0\r\n\r\n" || payload.ends_with(b"\r\n0\r\n\r\n");
    if events.is_empty() && is_last_chunk {
        words.push("end of the answer".to_owned());
    }
    let sense = match status {
        Some(_) => Sense::Answer,
        None => sense(&events),
    };
    if words.is_empty() {
        return (sense, bytes(payload));
    }
    (sense, join(words))
}

fn sense(events: &[(Kind, String)]) -> Sense {
    match events.first().map(|(kind, _)| *kind) {
        None => Sense::Part,
        Some(Kind::Ok | Kind::Error | Kind::Pong) => Sense::Answer,
        Some(Kind::Close) => Sense::Goodbye,
        Some(_) => Sense::Event,
    }
}

/// The event on a line, of JSON or of server-sent events.
fn event(line: &[u8]) -> Option<(Kind, String)> {
    let line = line.strip_prefix(b"data:").unwrap_or(line).trim_ascii();
    if !line.starts_with(b"{") {
        return None;
    }
    let event = Event::parse(line).ok()?;
    let words = match event.event {
        Kind::Message => {
            let message = event.message.as_deref().unwrap_or_default();
            format!("message '{}'", shortened(message, QUOTE_CHARS_MAX))
        }
        Kind::Error => {
            let error = event.error.as_deref().unwrap_or_default();
            format!("error: {}", shortened(error, QUOTE_CHARS_MAX))
        }
        kind => format!("{kind:?}").to_lowercase(),
    };
    Some((event.event, words))
}

fn join(mut words: Vec<String>) -> String {
    let more = words.len().saturating_sub(EVENTS_MAX + 1);
    words.truncate(EVENTS_MAX + 1);
    let mut text = words.join(", ");
    if more > 0 {
        text = format!("{text} and {more} more");
    }
    shortened(&text, CHARS_MAX)
}

fn bytes(payload: &[u8]) -> String {
    match payload.len() {
        1 => "1 byte".to_owned(),
        length => format!("{length} bytes"),
    }
}

/// The value of a header of a request or an answer.
fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let head = text.split("\r\n\r\n").next()?;
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// So many characters of a text, none of which a terminal obeys.
fn shortened(text: &str, chars_max: usize) -> String {
    let mut out = String::new();
    let mut chars = 0;
    for c in text.chars() {
        let is_turning = matches!(
            c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        );
        let shown = match c {
            _ if c.is_control() || is_turning => c.escape_default().to_string(),
            _ => c.to_string(),
        };
        chars += shown.chars().count();
        if chars > chars_max {
            out.push('…');
            break;
        }
        out.push_str(&shown);
    }
    out
}

const CLOSE: u8 = 8;

/// A frame of a WebSocket. The payload of a client's is masked and not unmasked here.
struct Frame<'a> {
    opcode: u8,
    is_masked: bool,
    payload: &'a [u8],
}

impl Frame<'_> {
    fn words(&self) -> String {
        let code = (!self.is_masked && self.opcode == CLOSE).then_some(self.payload);
        let code =
            code.and_then(|payload| payload.first_chunk().map(|code| u16::from_be_bytes(*code)));
        match self.opcode {
            CLOSE => match code {
                Some(code) => format!("WebSocket close {code}"),
                None => "WebSocket close".to_owned(),
            },
            9 => "WebSocket ping".to_owned(),
            10 => "WebSocket pong".to_owned(),
            _ if self.is_masked => format!("WebSocket text, {} bytes", self.payload.len()),
            _ => match event(self.payload) {
                Some((_, words)) => words,
                None => bytes(self.payload),
            },
        }
    }
}

/// The frames of a payload; `None` if it is not made of whole ones.
fn frames(mut payload: &[u8], is_masked: bool) -> Option<Vec<Frame<'_>>> {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = payload {
        // The last frame of a message, no extension, and masked if it is the client's.
        let (fin, opcode) = (first & 0xf0, first & 0x0f);
        if fin != 0x80 || !matches!(opcode, 1 | 2 | 8..=10) || (second & 0x80 != 0) != is_masked {
            return None;
        }
        let (length, rest) = match second & 0x7f {
            126 => {
                let (length, rest) = rest.split_first_chunk()?;
                (u64::from(u16::from_be_bytes(*length)), rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk()?;
                (u64::from_be_bytes(*length), rest)
            }
            length => (u64::from(length), rest),
        };
        let rest = if is_masked { rest.get(4..)? } else { rest };
        let (own, next) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        frames.push(Frame { opcode, is_masked, payload: own });
        payload = next;
    }
    (payload.is_empty() && !frames.is_empty()).then_some(frames)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MESSAGE: &str = r#"{"id":"00004ziepp2I","time":1,"event":"message","message":"hi"}"#;
    const OPEN: &str = r#"{"id":"00004ziepp2H","time":1,"event":"open"}"#;
    const OK: &str = r#"{"id":"00004ziepp2H","time":1,"event":"ok"}"#;

    #[test]
    fn what_clients_say_is_named() {
        for (payload, sense, words) in [
            ("SUB demo\n", Sense::Request { is_poll: false }, "SUB demo"),
            ("quit\r\n", Sense::Goodbye, "quit"),
            (
                "GET /demo/json?poll=1&since=none HTTP/1.1\r\nIf-None-Match: \"x\"\r\n\r\n",
                Sense::Request { is_poll: true },
                "GET /demo/json?poll=1&since=none, If-None-Match",
            ),
            (
                "GET /demo/ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
                Sense::Request { is_poll: false },
                "GET /demo/ws, Upgrade",
            ),
            ("\u{88}", Sense::Part, "2 bytes"),
        ] {
            assert_eq!(of_client(payload.as_bytes()), (sense, words.to_owned()));
        }
        let close = [0x88, 0x82, 1, 2, 3, 4, 9, 9];
        assert_eq!(of_client(&close), (Sense::Goodbye, "WebSocket close".to_owned()));
    }

    #[test]
    fn what_servers_say_is_named() {
        for (payload, sense, words) in [
            (format!("{OPEN}\n"), Sense::Event, "open"),
            (format!("{OK}\n{MESSAGE}\n"), Sense::Answer, "ok, message 'hi'"),
            (format!("4c\r\nid: 1\ndata: {MESSAGE}\n\n\r\n"), Sense::Event, "message 'hi'"),
            ("HTTP/1.1 304 Not Modified\r\n\r\n".to_owned(), Sense::Answer, "304 Not Modified"),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned(),
                Sense::Answer,
                "200 OK, empty",
            ),
            (format!("HTTP/1.1 200 OK\r\n\r\n{MESSAGE}\n"), Sense::Answer, "200 OK, message 'hi'"),
            ("0\r\n\r\n".to_owned(), Sense::Part, "end of the answer"),
            ("abc".to_owned(), Sense::Part, "3 bytes"),
        ] {
            assert_eq!(of_server(payload.as_bytes()), (sense, words.to_owned()));
        }
        let length = u8::try_from(MESSAGE.len()).unwrap();
        let frame = [&[0x81, length], MESSAGE.as_bytes()].concat();
        assert_eq!(of_server(&frame), (Sense::Event, "message 'hi'".to_owned()));
        let close = [0x88, 2, 3, 0xe8];
        assert_eq!(of_server(&close), (Sense::Goodbye, "WebSocket close 1000".to_owned()));
    }

    proptest! {
        #[test]
        fn any_payload_is_described_harmlessly(
            start in "(HTTP/1.1 |GET |SUB |data: |\\{\"event\":\"message\",\"message\":\"|)",
            rest in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let payload = [start.as_bytes(), &rest].concat();
            for (_, words) in [of_client(&payload), of_server(&payload)] {
                prop_assert!(!words.chars().any(char::is_control));
                prop_assert!(words.chars().count() <= CHARS_MAX + 1);
            }
        }
    }
}
