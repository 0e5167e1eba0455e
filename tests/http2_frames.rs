//! HTTP/2 frame by frame (RFC 9113): what a peer leaves unfinished, does not take or does not
//! answer ends, and costs the other streams nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, TestServer};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const WINDOW_UPDATE: u8 = 0x8;
const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The headers of a `GET`, by numbers of the static table (RFC 7541, appendix A).
fn get(path: &str) -> Vec<u8> {
    let literal = |index: u8, text: &str| {
        [&[index, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
    };
    [vec![0x82, 0x86], literal(0x04, path), literal(0x01, "localhost")].concat()
}

fn request(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &get(path))
}

fn window(stream: u32, bytes: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
}

/// The setting of the window that every stream begins with.
fn initial_window(bytes: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[&[0, 4][..], &bytes.to_be_bytes()].concat())
}

struct Peer {
    stream: TcpStream,
    answers_pings: bool,
}

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Peer {
    fn open(server: &TestServer, bytes: &[u8]) -> Self {
        let mut stream = TcpStream::connect(server.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(bytes).unwrap();
        Self { stream, answers_pings: true }
    }

    fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next frame; `None` when the server has closed.
    fn hear(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        match self.stream.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) => {
                let ends = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset];
                assert!(ends.contains(&error.kind()), "{error}");
                return None;
            }
        }
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload).ok()?;
        if kind == PING && flags & ACK == 0 && self.answers_pings {
            self.say(&frame(PING, ACK, 0, &payload));
        }
        Some(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    /// Hears until the answer to a stream has come whole.
    fn answer(&mut self, stream: u32) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let frame = self.hear().expect("an answer before the end");
            if frame.stream == stream {
                assert_ne!(frame.kind, RST_STREAM, "{frame:?}");
                if frame.kind == DATA {
                    body.extend(frame.payload);
                }
                if matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0 {
                    return body;
                }
            }
        }
    }

    fn closed(&mut self) -> bool {
        while self.hear().is_some() {}
        true
    }
}

#[test]
fn what_is_begun_must_be_finished_and_a_request_made() {
    let server = TestServer::with("--unfinished 300ms");
    let settings = initial_window(65_535);
    let preface = [&PREFACE.to_vec()[..], &settings].concat();
    let asked = [&preface[..], &request(1, "/v1/health")].concat();
    let open_headers = frame(HEADERS, END_STREAM, 3, &get("/v1/health"));
    for (what, bytes) in [
        ("half a preface", PREFACE[..18].to_vec()),
        ("no request", preface.clone()),
        ("headers that do not end", [&preface[..], &frame(HEADERS, 0, 1, &get("/"))].concat()),
        ("headers that do not end, later", [&asked[..], &open_headers].concat()),
        ("half a head, later", [&asked[..], &open_headers[..4]].concat()),
        ("half a frame, later", [&asked[..], &open_headers[..12]].concat()),
    ] {
        let mut peer = Peer::open(&server, &bytes);
        let began = Instant::now();
        assert!(peer.closed(), "{what}");
        assert!(began.elapsed() < Duration::from_secs(5), "{what}: {:?}", began.elapsed());
    }
    let mut peer = Peer::open(&server, &asked);
    peer.answer(1);
    std::thread::sleep(Duration::from_secs(1));
    peer.say(&request(3, "/v1/health"));
    assert_eq!(peer.answer(3), br#"{"healthy":true}"#, "a quiet one stays");
}

#[test]
fn a_stream_that_is_not_taken_is_reset_and_the_others_go_on() {
    let server = TestServer::with("--write-deadline 1s");
    let text = "x".repeat(4000);
    for _ in 0..50 {
        server.publish("big", &text);
    }
    let poll = "/big/json?poll=1&since=all";
    let long = [(1, poll), (3, "/static/style.css")];
    let short = [(5, "/v1/health"), (7, "/t/sse")];
    // No window at all, or one that holds a part of a long answer.
    for (bytes, stalled) in [(0, [long, short].concat()), (1000, long.to_vec())] {
        let mut peer = Peer::open(&server, &[PREFACE, &initial_window(bytes)].concat());
        for (stream, path) in &stalled {
            peer.say(&request(*stream, path));
        }
        // This one is taken.
        peer.say(&[request(9, "/t/json"), window(9, 1 << 20)].concat());
        let mut reset = Vec::new();
        while reset.len() < stalled.len() {
            let frame = peer.hear().expect("the connection goes on");
            if frame.kind == RST_STREAM {
                reset.push(frame.stream);
            }
        }
        reset.sort_unstable();
        let expected: Vec<u32> = stalled.iter().map(|(stream, _)| *stream).collect();
        assert_eq!(reset, expected, "window {bytes}");
        server.publish("t", "goes on");
        loop {
            let frame = peer.hear().expect("the connection goes on");
            assert_ne!(frame.kind, RST_STREAM);
            if frame.stream == 9 && String::from_utf8_lossy(&frame.payload).contains("goes on") {
                break;
            }
        }
    }
}

#[test]
fn streams_that_are_not_taken_hold_little_and_no_longer_than_the_deadline() {
    let server = TestServer::with("--write-deadline 2s");
    let text = "x".repeat(4000);
    for _ in 0..200 {
        server.publish("big", &text);
    }
    let before = server.resident_bytes();
    let mut peers: Vec<Peer> =
        (0..4).map(|_| Peer::open(&server, &[PREFACE, &initial_window(0)].concat())).collect();
    for peer in &mut peers {
        for n in 0..100 {
            peer.say(&request(2 * n + 1, "/big/json?poll=1&since=all&max=10000"));
        }
    }
    for peer in &mut peers {
        let mut resets = 0;
        while resets < 100 {
            resets += usize::from(peer.hear().expect("goes on").kind == RST_STREAM);
        }
    }
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 100 << 20, "{} MiB", grown >> 20);
    // Whoever takes it is served.
    assert_eq!(server.poll("big", "all").len(), 200);
}

#[test]
fn a_long_answer_arrives_whole_through_a_small_window() {
    let server = TestServer::start();
    let texts: Vec<String> = (0..20).map(|n| format!("{n}").repeat(2000)).collect();
    server.publish_all("big", &texts);
    let mut peer = Peer::open(&server, &[PREFACE, &initial_window(1000)].concat());
    peer.say(&request(1, "/big/raw?poll=1&since=all"));
    let mut body = Vec::new();
    loop {
        let frame = peer.hear().expect("an answer");
        if frame.stream != 1 {
            continue;
        }
        if frame.kind == DATA {
            let taken = u32::try_from(frame.payload.len()).unwrap();
            body.extend(frame.payload);
            if taken > 0 {
                peer.say(&[window(1, taken), window(0, taken)].concat());
            }
        }
        if frame.flags & END_STREAM != 0 {
            break;
        }
    }
    let whole: String = texts.iter().map(|text| format!("{text}\n")).collect();
    assert_eq!(String::from_utf8(body).unwrap(), whole);
}

#[test]
fn a_peer_that_answers_no_ping_is_closed() {
    let server = TestServer::with("--keepalive 1s");
    let mut peer = Peer::open(&server, &[PREFACE, &initial_window(65_535)].concat());
    peer.answers_pings = false;
    peer.say(&request(1, "/t/json"));
    let began = Instant::now();
    assert!(peer.closed());
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
}
