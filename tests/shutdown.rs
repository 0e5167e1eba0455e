//! The end of the server: every session is told, and it comes in time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use socket2::{Domain, Socket, Type};

use crate::support::http::Connection;
use crate::support::server::server_command;
use crate::support::websocket::{self, Heard};
use crate::support::{Lines, PATIENCE, Request, TestServer, eventually};

/// A session of every kind.
struct Sessions {
    idle: Connection,
    waiting: Connection,
    streams: Vec<crate::support::http::Stream>,
    websocket: websocket::Socket,
    lines: Vec<Lines>,
}

fn open_all(server: &TestServer) -> Sessions {
    let mut idle = Connection::open(server.http);
    assert_eq!(idle.exchange(&Request::get("/v1/health")).status, 200);
    let mut waiting = Connection::open(server.http);
    waiting.write(&Request::get("/t/json?poll=1&since=none&wait=60s").bytes());
    server.await_readers("longpoll", 1);
    let streams = ["json", "sse", "raw"].map(|kind| {
        let mut stream = Request::get(&format!("/t/{kind}")).stream_from(server.http);
        assert!(stream.line().is_some(), "it has begun");
        stream
    });
    let mut websocket = websocket::Socket::connect(server.http, "t", "");
    assert_eq!(websocket.event().kind(), "open");
    let mut lines = vec![server.lines(), server.lines(), Lines::greeted_unix(&server.unix())];
    for lines in &mut lines[1..] {
        lines.subscribe("t");
    }
    Sessions { idle, waiting, streams: streams.into(), websocket, lines }
}

impl Sessions {
    fn expect_to_be_told(mut self) {
        assert!(self.idle.is_closed());
        let answer = self.waiting.response();
        assert_eq!((answer.status, answer.body.len(), answer.next().len()), (200, 0, 12));
        for stream in &mut self.streams {
            // The stream of server-sent events has the rest of its open event left.
            while let Some(line) = stream.line() {
                assert!(!line.contains("keepalive"), "{line}");
            }
        }
        let Heard::Close(code, reason) = self.websocket.hear() else {
            panic!("the WebSocket was not closed");
        };
        assert_eq!(code, 1001, "{reason}");
        for lines in &mut self.lines {
            assert_eq!(lines.event().kind(), "close");
            assert_eq!(lines.line(), None);
        }
    }
}

fn end_by(signal: Signal) {
    let mut server = TestServer::durable("");
    server.publish("t", "kept");
    let sessions = open_all(&server);
    let asked = Instant::now();
    server.signal(signal);
    sessions.expect_to_be_told();
    assert_eq!(server.wait().code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert!(!server.unix().exists(), "the Unix socket is tidied away");
    server.restart();
    assert_eq!(server.poll("t", "all").len(), 1);
}

#[test]
fn sigterm_tells_every_session_and_exits_with_zero_within_the_grace() {
    end_by(Signal::TERM);
}

#[test]
fn sessions_over_tls_are_told_the_same() {
    let mut server = TestServer::encrypted("");
    let sessions = open_all(&server);
    server.signal(Signal::TERM);
    sessions.expect_to_be_told();
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn sigint_and_sigquit_do_the_same() {
    end_by(Signal::INT);
    end_by(Signal::QUIT);
}

/// A reader that takes nothing more, while the server has more to write than its buffers hold.
fn stalled_reader(server: &TestServer) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&server.tcp.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"SUB t since=all\n").unwrap();
    let mut first = [0; 1];
    stream.read_exact(&mut first).unwrap();
    let body = "x".repeat(4000);
    server.publish_all("t", &vec![body; 200]);
    stream
}

#[test]
fn one_stalled_session_holds_the_end_up_for_the_grace_and_no_longer() {
    let mut server = TestServer::with("--grace 700ms");
    let _stalled = stalled_reader(&server);
    let asked = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    let took = asked.elapsed();
    assert!(took >= Duration::from_millis(600), "it was given its time: {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_second_signal_cuts_the_grace_short() {
    let mut server = TestServer::with("--grace 60s");
    let _stalled = stalled_reader(&server);
    server.signal(Signal::TERM);
    eventually("the server stops listening", || TcpStream::connect(server.tcp).err());
    assert!(server.is_running(), "it waits for the stalled session");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn nobody_new_is_let_in_while_the_server_ends() {
    let mut server = TestServer::with("--grace 60s");
    let _stalled = stalled_reader(&server);
    server.signal(Signal::TERM);
    eventually("HTTP is closed", || TcpStream::connect(server.http).err());
    eventually("TCP is closed", || TcpStream::connect(server.tcp).err());
    assert!(server.is_running());
}

#[test]
fn publishes_in_flight_are_answered_or_not_stored_half() {
    let mut server = TestServer::durable("");
    let mut lines = server.lines();
    let script: String = (0..2000).map(|n| format!("PUB t {n}\n")).collect();
    lines.write(script.as_bytes());
    server.signal(Signal::TERM);
    let answers = std::iter::from_fn(|| lines.try_event());
    let acknowledged: Vec<String> = answers
        .filter(|answer| answer.kind() == "ok")
        .map(|answer| answer.id().to_owned())
        .collect();
    assert_eq!(server.wait().code(), Some(0));
    server.restart();
    let held = server.get("/t/json?poll=1&since=all&max=10000").events();
    for (n, event) in held.iter().enumerate() {
        assert_eq!(event.message(), n.to_string(), "stored in the order of the lines");
    }
    assert!(held.len() >= acknowledged.len());
    assert!(acknowledged.iter().zip(&held).all(|(id, event)| id == event.id()));
}

#[test]
fn a_server_may_end_with_its_standard_input() {
    let mut command = server_command();
    command.args(["--ephemeral", "--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0", "--udp", "none"]);
    let mut child = command
        .arg("--until-stdin-ends")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("ready "), "{line}");
    // What is said there means nothing.
    child.stdin.as_mut().unwrap().write_all(b"QUIT\n").unwrap();
    assert!(child.try_wait().unwrap().is_none());
    drop(child.stdin.take());
    let status = eventually("its end", || child.try_wait().unwrap());
    assert!(status.success(), "{status}");
}
