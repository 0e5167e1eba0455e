//! WebSockets frame by frame (RFC 6455): what a peer may send, how it is told what it did wrong,
//! and that one which is slow, late or silent costs only itself.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, TestServer};

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;
const LAST: u8 = 0x80;

/// A frame as a client sends it; `first` is its first byte.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xFA, 0x21, 0x3D];
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | u8::try_from(short).unwrap()),
        long @ 126..=0xFFFF => {
            bytes.push(0xfe);
            bytes.extend(u16::try_from(long).unwrap().to_be_bytes());
        }
        long => {
            bytes.push(0xff);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn text(payload: &str) -> Vec<u8> {
    frame(LAST | TEXT, payload.as_bytes())
}

/// A client that sends whatever bytes it likes.
struct Peer(TcpStream);

impl Peer {
    fn open(server: &TestServer, path: &str) -> Self {
        let mut stream = TcpStream::connect(server.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let host = server.http;
        write!(
            stream,
            "GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        Self(stream)
    }

    /// One that has heard the first event.
    fn greeted(server: &TestServer) -> Self {
        let mut peer = Self::open(server, "t/ws");
        let (opcode, said) = peer.hear();
        assert!(opcode == TEXT && said.contains(r#""event":"open""#), "{said}");
        peer
    }

    fn say(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// The next frame: its opcode and what it says.
    fn hear(&mut self) -> (u8, String) {
        let (opcode, said) = self.hear_bytes();
        (opcode, String::from_utf8(said).unwrap())
    }

    fn hear_bytes(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).unwrap();
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                self.0.read_exact(&mut length).unwrap();
                usize::from(u16::from_be_bytes(length))
            }
            short => usize::from(short),
        };
        let mut said = vec![0; length];
        self.0.read_exact(&mut said).unwrap();
        assert_eq!(head[0] & 0xF0, LAST, "the server sends no fragments");
        (head[0] & 0x0F, said)
    }

    /// The code with which the server closes, after whatever it says before; then its end.
    fn closed(&mut self) -> Option<u16> {
        loop {
            let (opcode, said) = self.hear_bytes();
            if opcode == CLOSE {
                assert_eq!(self.0.read(&mut [0]).unwrap(), 0, "nothing follows a close");
                return said.first_chunk().map(|code| u16::from_be_bytes(*code));
            }
        }
    }

    /// Sends bytes for as long as the server takes them; how many.
    fn flood(&mut self, bytes: &[u8]) -> usize {
        self.0.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut taken = 0;
        loop {
            match self.0.write(bytes) {
                Ok(count) => taken += count,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                    return taken;
                }
            }
            assert!(taken < 64 << 20, "the server takes it all");
        }
    }
}

#[test]
fn a_peer_that_pings_and_reads_nothing_is_not_read_on() {
    let server = TestServer::start();
    let pings = frame(LAST | PING, &[b'x'; 125]).repeat(500);
    for path in ["t/ws", "v1/lab?page=abcd1234&topic=t"] {
        let mut peer = Peer::open(&server, path);
        let before = server.resident_bytes();
        peer.flood(&pings);
        let grown = server.resident_bytes().saturating_sub(before);
        assert!(grown < 4 << 20, "{path}: {grown} bytes");
        // Others do not notice.
        let mut other = Peer::greeted(&server);
        other.say(&text("PING still-here"));
        assert!(other.hear().1.contains("still-here"));
    }
}

#[test]
fn every_ping_is_answered_in_its_order() {
    let server = TestServer::start();
    let mut peer = Peer::greeted(&server);
    let pings: Vec<u8> =
        (0..100).flat_map(|n| frame(LAST | PING, format!("ping {n}").as_bytes())).collect();
    peer.say(&pings);
    for n in 0..100 {
        assert_eq!(peer.hear(), (PONG, format!("ping {n}")));
    }
    peer.say(&frame(LAST | PING, b""));
    assert_eq!(peer.hear(), (PONG, String::new()));
}

#[test]
fn a_message_may_come_in_fragments_with_control_frames_between_and_byte_by_byte() {
    let server = TestServer::start();
    let mut peer = Peer::greeted(&server);
    let parts = [
        frame(TEXT, b"PING on"),
        frame(LAST | PING, b"a"),
        frame(CONTINUATION, b""),
        // The fragments part a character.
        frame(CONTINUATION, b"e-\xE2\x82"),
        frame(LAST | PONG, b"nobody asked"),
        frame(LAST | CONTINUATION, b"\xAC"),
    ];
    peer.say(&parts.concat());
    assert_eq!(peer.hear(), (PONG, "a".to_owned()));
    assert!(peer.hear().1.contains("one-€"));
    for byte in parts.concat() {
        peer.say(&[byte]);
    }
    assert_eq!(peer.hear(), (PONG, "a".to_owned()));
    assert!(peer.hear().1.contains("one-€"));
}

#[test]
fn what_is_no_frame_closes_with_1002() {
    let server = TestServer::start();
    let breaches: [(&str, Vec<u8>); 18] = [
        ("RSV1", frame(LAST | 0x40 | TEXT, b"PING")),
        ("RSV2", frame(LAST | 0x20 | TEXT, b"PING")),
        ("RSV3 in a ping", frame(LAST | 0x10 | PING, b"")),
        ("opcode 3", frame(LAST | 0x3, b"")),
        ("opcode 7", frame(LAST | 0x7, b"")),
        ("opcode 11", frame(LAST | 0xB, b"")),
        ("opcode 15", frame(LAST | 0xF, b"")),
        ("not masked", vec![LAST | TEXT, 4, b'P', b'I', b'N', b'G']),
        ("a ping of 126 bytes", frame(LAST | PING, &[b'x'; 126])),
        ("a close of 126 bytes", frame(LAST | CLOSE, &[b'x'; 126])),
        ("half a ping", frame(PING, b"")),
        ("half a close", frame(CLOSE, b"")),
        ("nothing to continue", frame(LAST | CONTINUATION, b"PING")),
        ("a message in a message", [frame(TEXT, b"PI"), text("PING")].concat()),
        ("a binary in a message", [frame(TEXT, b"PI"), frame(LAST | BINARY, b"")].concat()),
        ("half a code", frame(LAST | CLOSE, &[3])),
        (
            "a length above 2^63",
            [&[LAST | TEXT, 0xFF][..], &(1_u64 << 63).to_be_bytes(), &[0; 4]].concat(),
        ),
        ("a reserved length", [&[LAST | PING, 0xff][..], &[0xFF; 12]].concat()),
    ];
    for (what, bytes) in breaches {
        let mut peer = Peer::greeted(&server);
        peer.say(&bytes);
        assert_eq!(peer.closed(), Some(1002), "{what}");
    }
}

#[test]
fn a_close_is_answered_with_its_code_and_a_code_that_must_not_be_sent_with_1002() {
    let server = TestServer::start();
    for code in [1000_u16, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        let mut peer = Peer::greeted(&server);
        peer.say(&frame(LAST | CLOSE, &code.to_be_bytes()));
        assert_eq!(peer.closed(), Some(code));
    }
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        let mut peer = Peer::greeted(&server);
        peer.say(&frame(LAST | CLOSE, &code.to_be_bytes()));
        assert_eq!(peer.closed(), Some(1002), "{code}");
    }
    let mut peer = Peer::greeted(&server);
    // What comes behind a close is not obeyed.
    peer.say(&[frame(LAST | CLOSE, b""), text("PUB t behind")].concat());
    assert_eq!(peer.closed(), None);
    assert_eq!(server.poll("t", "all").len(), 0);
}

#[test]
fn a_text_or_a_reason_that_is_not_utf_8_closes_with_1007() {
    let server = TestServer::start();
    let texts: [&[u8]; 5] = [
        b"PING \xFF",
        b"PING \xC0\xAF",
        b"PING \xED\xA0\x80",
        b"PING \xF4\x90\x80\x80",
        b"\xE2\x82",
    ];
    let mut breaches: Vec<Vec<u8>> = texts.iter().map(|text| frame(LAST | TEXT, text)).collect();
    // Known to be wrong before the message has ended.
    breaches.push(frame(TEXT, b"PING \xF5"));
    breaches.push([frame(TEXT, b"PING \xE2"), frame(CONTINUATION, b"x")].concat());
    breaches.push(frame(LAST | CLOSE, b"\x03\xE8\xFF"));
    for bytes in breaches {
        let mut peer = Peer::greeted(&server);
        peer.say(&bytes);
        assert_eq!(peer.closed(), Some(1007), "{bytes:?}");
    }
}

#[test]
fn a_message_that_is_too_long_closes_with_1009_however_it_comes() {
    let server = TestServer::with("--line-bytes 1000");
    let lines = "PING x\n".repeat(200);
    let fragments: Vec<u8> = std::iter::once(frame(TEXT, b"x"))
        .chain((0..20).map(|_| frame(0, &[b'x'; 100])))
        .flatten()
        .collect();
    for bytes in [text(&"x".repeat(1001)), text(&lines), fragments] {
        let mut peer = Peer::greeted(&server);
        peer.say(&bytes);
        assert_eq!(peer.closed(), Some(1009));
    }
}

#[test]
fn a_frame_or_message_that_is_begun_must_be_finished() {
    let server = TestServer::with("--unfinished 300ms");
    let whole = text("PING x");
    let unfinished: [(&str, Vec<u8>); 6] = [
        ("a byte of a head", whole[..1].to_vec()),
        ("a head", whole[..6].to_vec()),
        ("half a text", whole[..9].to_vec()),
        ("a fragment", frame(TEXT, b"PING x")),
        ("a fragment of whole lines", frame(TEXT, b"PING x\n")),
        ("half a frame behind a whole one", [whole.as_slice(), &whole[..3]].concat()),
    ];
    for path in ["t/ws", "v1/lab?page=abcd1234&topic=t"] {
        for (what, bytes) in &unfinished {
            let mut peer = Peer::open(&server, path);
            let began = Instant::now();
            peer.say(bytes);
            assert_eq!(peer.closed(), Some(1008), "{path}: {what}");
            assert!(began.elapsed() < Duration::from_secs(5), "{path}: {what}");
        }
    }
    // Whoever is heard again and again is never late.
    let mut peer = Peer::greeted(&server);
    for _ in 0..8 {
        peer.say(&whole[..3]);
        std::thread::sleep(Duration::from_millis(100));
        peer.say(&whole[3..]);
        assert!(peer.hear().1.contains("pong"));
    }
}

#[test]
fn a_peer_that_never_answers_a_ping_is_closed_and_one_that_does_stays() {
    let server = TestServer::with("--keepalive 1s");
    let mut living = Peer::greeted(&server);
    let mut mute = Peer::greeted(&server);
    let mut talking = Peer::greeted(&server);
    let began = Instant::now();
    let answering = std::thread::spawn(move || {
        // Any frame is a sign of life.
        while began.elapsed() < Duration::from_secs(20) {
            for (peer, answer) in
                [(&mut living, frame(LAST | PONG, b"")), (&mut talking, text("PING x"))]
            {
                let (opcode, said) = peer.hear();
                assert!(opcode == PING || said.contains("pong"), "{opcode}: {said}");
                if opcode == PING {
                    peer.say(&answer);
                }
            }
        }
    });
    assert_eq!(mute.closed(), Some(1008));
    let after = began.elapsed();
    assert!((14..20).contains(&after.as_secs()), "{after:?}");
    answering.join().unwrap();
    server.await_readers("websocket", 0);
}
