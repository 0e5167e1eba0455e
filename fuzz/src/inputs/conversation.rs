//! The server's own readers, over streams in memory. Nothing panics, and it does not matter in
//! which pieces something came or which of two readers read it. Each conversation is ended by what
//! is said last; where that means something else by what came before, the server falls silent.

use std::cell::RefCell;
use std::fmt::Debug;
use std::time::Duration;

use crate::served::{Heard, Served, Service};

pub(crate) const HTTP: &[&str] = &[
    "GET ",
    "POST ",
    "PUT ",
    "HEAD ",
    "OPTIONS ",
    "PRI ",
    "/t",
    "/t/json?poll=1",
    "&since=all",
    "/t/sse",
    "/t/raw?poll=1",
    "/t/publish?message=x",
    "/v1/health",
    " HTTP/1.1\r\n",
    " HTTP/1.0\r\n",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "host: localhost\r\n",
    "content-length: ",
    "content-length: 4\r\n\r\nabcd",
    "transfer-encoding: chunked\r\n",
    "4\r\nabcd\r\n",
    "0\r\n\r\n",
    "connection: close\r\n",
    "connection: keep-alive\r\n",
    "expect: 100-continue\r\n",
    "title: =?utf-8?B?w6k=?=\r\n",
    "title: =?iso-8859-1?Q?=e9?=\r\n",
    "tags: a,b\r\n",
    "priority: 5\r\n",
    "icon: ",
    "accept-encoding: gzip\r\n",
    "if-none-match: ",
    "%2e",
    "%ff",
    "?",
    "&",
    "=",
    " ",
    "\t",
    "upgrade: websocket\r\n",
    "origin: null\r\n",
];

/// Requests that begin a conversation whose others are read by the server's own reader, and by its
/// HTTP library.
const PLAIN: &[u8] = b"GET /v1/health HTTP/1.1\r\nhost: localhost\r\n\r\n";
const LIBRARY: &[u8] =
    b"GET /v1/health HTTP/1.1\r\nhost: localhost\r\nconnection: keep-alive, x-nothing\r\n\r\n";

/// The request that ends one.
const LAST: &[u8] =
    b"\r\n\r\nGET /v1/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// Asks for a WebSocket to the topic `t`.
const UPGRADE: &[u8] = b"GET /t/ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\n\
    upgrade: websocket\r\nsec-websocket-version: 13\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A frame with the line `QUIT`.
const QUIT: &[u8] = b"\x81\x84\0\0\0\0QUIT";
/// Bytes of a line of the server: a message of the longest kind, escaped.
const LINE_BYTES_MAX: usize = 64 << 10;
/// A server that is silent for so long has no more to say, such as one that streams.
const SILENCE: Duration = Duration::from_millis(5);
/// On a machine that is busy it may only be late: before it is blamed, it is waited for.
const SILENCE_IN_DOUBT: Duration = Duration::from_secs(2);

/// What is said, to whom, and in pieces of how many bytes.
type Said<'a> = (Service, &'a [u8], usize);

/// Says two things that mean the same to two servers that hold the same, and compares what is made
/// of what is heard. What must end is waited for until it has.
fn compare<T: PartialEq + Debug>(said: [Said; 2], must_end: bool, of: impl Fn(&[u8]) -> T) -> T {
    thread_local! {
        static SERVED: RefCell<[Served; 2]> = RefCell::new([Served::start(), Served::start()]);
    }
    let hear = |silence| {
        SERVED.with_borrow_mut(|servers| {
            let [first, second] = servers;
            [(first, said[0]), (second, said[1])].map(|(server, (service, said, piece))| {
                server.converse(service, said, piece, silence)
            })
        })
    };
    let made = |heard: [Heard; 2]| heard.map(|heard| (of(&heard.bytes), heard.ended));
    let heard = hear(SILENCE);
    if !must_end || heard.iter().all(|heard| heard.ended) {
        let [first, second] = made(heard);
        if first == second {
            return first.0;
        }
    }
    let [first, second] = made(hear(SILENCE_IN_DOUBT));
    assert_eq!(first, second);
    assert!(first.1 || !must_end, "it did not end");
    first.0
}

/// Both readers of HTTP make the same of the same bytes.
pub(crate) fn http(bytes: &[u8]) {
    let plain = [PLAIN, bytes, LAST].concat();
    let library = [LIBRARY, bytes, LAST].concat();
    // What was counted so far is not the same, and two compressed answers differ by their ids.
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    let varies = ["/v1/", "/metrics", "gzip", "br"].iter().any(|word| text.contains(word));
    // The library may or may not have met what is wrong with chunks when it answers.
    let may_end = text.contains("transfer-encoding");
    compare(
        [(Service::Http, &plain, plain.len()), (Service::Http, &library, library.len())],
        false,
        |heard| match comparable(heard) {
            _ if varies => String::new(),
            heard if may_end => without_last_words(&heard).replace("connection: close\n", ""),
            heard => without_last_words(&heard).to_owned(),
        },
    );
}

/// What was heard before the connection was closed for what is no request: one reader says why, and
/// the other does not.
fn without_last_words(heard: &str) -> &str {
    let lasts =
        ["# Bad Request\nconnection: close", "# Request Header Fields Too Large\nconnection"];
    let last = lasts.iter().filter_map(|last| heard.find(last)).min();
    &heard[..last.unwrap_or(heard.len())]
}

/// Lines mean the same in whatever pieces they come.
pub(crate) fn lines(bytes: &[u8]) {
    let said = [bytes, b"\nQUIT\n"].concat();
    let heard =
        compare([(Service::Lines, &said, said.len()), (Service::Lines, &said, 3)], true, answers);
    assert!(heard.iter().all(|line| line.len() <= LINE_BYTES_MAX));
}

/// Frames mean the same in whatever pieces they come, and what comes back are frames.
pub(crate) fn websocket(bytes: &[u8]) {
    let said = [UPGRADE, bytes, QUIT].concat();
    compare([(Service::Http, &said, said.len()), (Service::Http, &said, 5)], true, |heard| {
        assert!(heard.starts_with(b"HTTP/1.1 101 "));
        let head = heard.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        frames(&heard[head + 4..])
    });
}

/// The code of the close frame, if one came.
fn frames(mut bytes: &[u8]) -> Option<u16> {
    while let [first, second, rest @ ..] = bytes {
        assert!(matches!(first, 0x81 | 0x88..=0x8A), "a first byte of {first:#x}");
        let (length, rest) = match second {
            126 => (u16::from_be_bytes([rest[0], rest[1]]).into(), &rest[2..]),
            127 => panic!("a frame of more than a line"),
            short => (usize::from(*short), rest),
        };
        let payload = &rest[..length];
        bytes = &rest[length..];
        match first {
            0x81 => assert!(str::from_utf8(payload).is_ok()),
            0x88 => {
                let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                assert!(matches!(code, 1000..=1003 | 1005 | 1007..=1014 | 3000..=4999), "{code}");
                assert!(bytes.is_empty(), "{bytes:x?} behind a close");
                return Some(code);
            }
            _ => assert!(length <= 125),
        }
    }
    None
}

/// Text without what is new each time: numbers, and words as long as an id.
fn masked(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut masked = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_alphanumeric() {
            word.push(c);
            continue;
        }
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        masked += if !word.is_empty() && (is_number || word.len() == 12) { "#" } else { &word };
        word.clear();
        masked.push(c);
    }
    masked
}

/// Answers of HTTP without what is new each time, and without the order of their headers.
fn comparable(bytes: &[u8]) -> String {
    let masked = masked(bytes);
    let mut lines = Vec::new();
    // Where the headers of an answer begin.
    let mut headers = None;
    for line in masked.lines() {
        // Sizes of chunks are written in any case, and where chunks end says nothing.
        let is_size = line.bytes().all(|byte| byte == b'#' || byte.is_ascii_hexdigit());
        if !is_size && !line.starts_with("date: ") {
            lines.push(line);
        }
        if line.is_empty() {
            let begin = headers.take().unwrap_or(lines.len());
            lines[begin..].sort_unstable();
        } else if line.contains("HTTP/#.# ") {
            headers.get_or_insert(lines.len());
        }
    }
    lines.join("\n")
}

/// Answers in their order. Which messages come, and which gaps are told where none comes, depends
/// on what is held and subscribed to at that time.
fn answers(bytes: &[u8]) -> Vec<String> {
    let text = masked(bytes);
    let of_a_subscription = |line: &str| {
        ["message", "keepalive"].iter().any(|kind| line.contains(&format!("\"event\":\"{kind}\"")))
    };
    let is_answer = |line: &&str| line.contains("\"time_us\":") && !of_a_subscription(line);
    text.lines().filter(is_answer).map(str::to_owned).collect()
}
