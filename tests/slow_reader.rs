//! One reader that stops: it harms nobody, and it is behind, not buffered.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::support::websocket::Socket as WebSocket;
use crate::support::{Event, PATIENCE, Request, TestServer, Transport};

/// Small messages that go by.
const MESSAGES: usize = 20_000;

/// A connection whose kernel takes little.
fn narrow(address: std::net::SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A reader that has subscribed and takes nothing.
struct Stalled {
    kind: &'static str,
    stream: BufReader<TcpStream>,
}

impl Stalled {
    fn all(server: &TestServer) -> Vec<Self> {
        let http = |kind: &'static str| {
            let mut stream = narrow(server.http);
            stream.write_all(&Request::get(&format!("/t/{kind}")).bytes()).unwrap();
            Self { kind, stream: BufReader::new(stream) }
        };
        let mut readers = vec![http("json"), http("sse")];
        let mut stream = narrow(server.tcp);
        stream.write_all(b"SUB t\n").unwrap();
        readers.push(Self { kind: "lines", stream: BufReader::new(stream) });
        server.await_readers("ndjson", 1);
        server.await_readers("sse", 1);
        for reader in &mut readers {
            reader.await_start();
        }
        readers
    }

    /// Reads to the event that begins the conversation.
    fn await_start(&mut self) {
        let start = if self.kind == "lines" { "\"event\":\"ok\"" } else { "\"event\":\"open\"" };
        while !self.line().expect("the start").contains(start) {}
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            // The last line of a connection that was closed may be half of one.
            Ok(_) if line.ends_with('\n') => Some(line),
            Ok(_) | Err(_) => None,
        }
    }

    /// The messages that follow until so many came or the connection ended.
    fn messages(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < count {
            let Some(line) = self.line() else { break };
            // Between the events stand the sizes of chunks and the other fields of server-sent
            // events.
            if let Some(start) = line.find('{') {
                events.push(Event::parse(line[start..].trim_end()));
            }
        }
        events
    }
}

fn texts() -> Vec<String> {
    (0..MESSAGES).map(|n| format!("small message {n}")).collect()
}

fn assert_unbroken(events: &[Event], first: u64, who: &str) {
    for (event, seq) in events.iter().zip(first..) {
        assert_eq!(event.seq(), seq, "{who}");
        assert!(event.gap().is_none(), "{who}: {}", event.line);
    }
}

#[test]
fn a_reader_that_stops_delays_nobody_and_gets_everything_when_it_goes_on() {
    let server = TestServer::start();
    let mut stalled = Stalled::all(&server);
    let quick = Transport::PUSHING.map(|way| way.read(&server, "t", "none"));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for mut reader in quick {
            scope.spawn(move || assert_unbroken(&reader.messages(MESSAGES), 1, "a quick reader"));
        }
        server.publish_all("t", &texts());
    });
    assert!(began.elapsed() < Duration::from_secs(25), "promptly: {:?}", began.elapsed());
    for reader in &mut stalled {
        let events = reader.messages(MESSAGES);
        assert_eq!(events.len(), MESSAGES, "{}", reader.kind);
        assert_unbroken(&events, 1, reader.kind);
    }
}

#[test]
fn a_websocket_that_stops_gets_everything_when_it_goes_on() {
    let server = TestServer::start();
    let mut stalled = WebSocket::over(narrow(server.http), "t/ws");
    assert_eq!(stalled.event().kind(), "open");
    server.publish_all("t", &texts());
    let events: Vec<Event> = (0..MESSAGES).map(|_| stalled.event()).collect();
    assert_unbroken(&events, 1, "the WebSocket");
}

#[test]
fn who_takes_nothing_for_the_write_deadline_is_closed_and_resumes_with_its_id() {
    let server = TestServer::with("--write-deadline 500ms");
    let mut stalled = Stalled::all(&server);
    let mut quick = Transport::Tcp.read(&server, "t", "none");
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            assert_unbroken(&quick.messages(MESSAGES), 1, "the quick reader");
        });
        server.publish_all("t", &texts());
        reading.join().unwrap();
    });
    for transport in ["ndjson", "sse"] {
        server.await_readers(transport, 0);
    }
    server.await_readers("tcp", 1);
    for reader in &mut stalled {
        let events = reader.messages(MESSAGES);
        assert!(events.len() < MESSAGES, "{} was closed", reader.kind);
        assert_unbroken(&events, 1, reader.kind);
        let last = events.last().map_or("all", Event::id);
        let mut resumed = Transport::Tcp.read(&server, "t", last);
        let rest = resumed.messages(MESSAGES - events.len());
        assert_unbroken(&rest, events.len() as u64 + 1, reader.kind);
    }
}

#[test]
fn a_reader_that_is_slow_but_drains_is_not_closed() {
    let server = TestServer::with("--write-deadline 500ms");
    let mut stream = narrow(server.tcp);
    stream.write_all(b"SUB t\n").unwrap();
    let mut slow = Stalled { kind: "lines", stream: BufReader::new(stream) };
    slow.await_start();
    server.publish_all("t", &vec!["x".repeat(1000); 400]);
    // Takes a little, well within each deadline, for several deadlines.
    let mut taken = Vec::new();
    let mut piece = [0; 16 << 10];
    let until = Instant::now() + Duration::from_millis(1800);
    loop {
        let count = slow.stream.read(&mut piece).unwrap();
        assert!(count > 0, "closed although it drains");
        taken.extend_from_slice(&piece[..count]);
        let lines = taken.split(|byte| *byte == b'\n').count() - 1;
        if lines == 400 {
            break;
        }
        if Instant::now() < until {
            std::thread::sleep(Duration::from_millis(40));
        }
    }
    let events: Vec<Event> = String::from_utf8(taken).unwrap().lines().map(Event::parse).collect();
    assert_unbroken(&events, 1, "the slow reader");
}

#[test]
fn stalled_readers_are_not_buffered_in_memory() {
    let server = TestServer::start();
    let stalled: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = narrow(server.tcp);
            stream.write_all(b"SUB t\n").unwrap();
            stream
        })
        .collect();
    server.await_readers("tcp", 100);
    let before = server.resident_bytes();
    server.publish_all("t", &vec!["x".repeat(1000); 10_000]);
    let grown = server.resident_bytes().saturating_sub(before);
    // The log in memory holds 12 MB of these messages, a queue per reader would hold 1.2 GB.
    assert!(grown < 150 << 20, "{} MiB for {} readers", grown >> 20, stalled.len());
}
