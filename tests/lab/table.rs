//! `/v1/connections`: who is connected, and what each one is served.

use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use doorbell_wire::{Ip, Opener, tcp_info};
use serde_json::Value;
use socket2::{Domain, SockRef, Socket, Type};

use super::{await_gone, await_row, find, rows};
use crate::support::http::Connection;
use crate::support::websocket;
use crate::support::{Lines, PATIENCE, Request, TestServer, skip};

/// Messages that go by.
const MESSAGES: usize = 1000;
/// Connections on which a packet may be sent twice before a test gives up.
const ATTEMPTS: usize = 5;

fn reads(row: &Value) -> bool {
    row.get("filter").is_some()
}

#[test]
fn a_plain_connection_is_shown_from_its_coming_to_its_going() {
    let server = TestServer::start();
    // As `nc` makes it.
    let stream = TcpStream::connect(server.tcp).unwrap();
    let own = stream.local_addr().unwrap();
    let mut lines = Lines::over_tcp(stream);
    assert_eq!(lines.event().kind(), "open");
    let row = await_row(&server, own, "it is there", |row| row["bytes_in"] == 0);
    assert_eq!((&row["via"], &row["local"]), (&"tcp".into(), &server.tcp.to_string().into()));
    assert!(!reads(&row) && row.get("place").is_none() && row.get("behind").is_none(), "{row}");
    assert!(row["number"].as_u64().unwrap() > 0 && row["age_s"].as_f64().unwrap() >= 0.0);
    lines.ask("PING");
    await_row(&server, own, "its line is counted", |row| row["bytes_in"] == 5);
    lines.subscribe("t,u.*");
    let row = await_row(&server, own, "it reads", reads);
    assert_eq!((&row["filter"], &row["behind"]), (&"t,u.*".into(), &0.into()));
    lines.subscribe("v");
    await_row(&server, own, "it reads both", |row| row["filter"] == "t,u.*,v");
    let id = server.publish("t", "x").id().to_owned();
    assert_eq!(lines.event().id(), id);
    await_row(&server, own, "it waits", |row| row["place"] == id && row["behind"] == 0);
    lines.ask("UNSUB v");
    lines.ask("UNSUB t,u.*");
    await_row(&server, own, "it reads nothing", |row| !reads(row) && row.get("place").is_none());
    drop(lines);
    await_gone(&server, own);
}

#[test]
fn a_subscriber_whose_connection_is_reset_is_gone_at_once() {
    let server = TestServer::start();
    let stream = TcpStream::connect(server.tcp).unwrap();
    let own = stream.local_addr().unwrap();
    let socket = SockRef::from(&stream).try_clone().unwrap();
    let mut lines = Lines::over_tcp(stream);
    assert_eq!(lines.event().kind(), "open");
    lines.subscribe("t");
    await_row(&server, own, "it reads", reads);
    server.publish("t", "x");
    assert_eq!(lines.event().message(), "x");
    socket.set_linger(Some(Duration::ZERO)).unwrap();
    drop((socket, lines));
    await_gone(&server, own);
}

#[test]
fn the_kernels_figures_are_those_of_the_other_end() {
    let server = TestServer::start();
    assert_figures_agree(&server, server.tcp);
}

#[test]
fn ipv4_at_a_listener_of_ipv6_has_them_too() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return skip("no IPv6 on this machine");
    }
    let server = TestServer::with("--tcp [::]:0 --anonymous read-write --lab on");
    let port = server.tcp.port();
    for host in ["127.0.0.1", "::1"] {
        assert_figures_agree(&server, SocketAddr::new(host.parse().unwrap(), port));
    }
}

/// On a machine that has no processor to spare a packet may be sent twice, and then the two ends
/// count differently: another connection is tried.
fn assert_figures_agree(server: &TestServer, address: SocketAddr) {
    let agree = (0..ATTEMPTS).any(|_| figures_agree(server, address));
    assert!(agree, "on none of {ATTEMPTS} connections");
}

fn figures_agree(server: &TestServer, address: SocketAddr) -> bool {
    let stream = TcpStream::connect(address).unwrap();
    let own = stream.local_addr().unwrap();
    let other = stream.try_clone().unwrap();
    let mut lines = Lines::over_tcp(stream);
    assert_eq!(lines.event().kind(), "open");
    lines.subscribe("t");
    for n in 0..20 {
        let text = format!("message {n}");
        server.publish("t", &text);
        assert_eq!(lines.event().message(), text);
    }
    // An acknowledgement may be on its way: both are looked at until it has come.
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        let row = find(server, own).unwrap();
        assert!(row["rtt_us"].is_u64() && row["min_rtt_us"].is_u64(), "{row}");
        let counts = tcp_info(&other).unwrap();
        let wire = counts.wire(Opener::Active, Ip::of(own.ip()));
        let expected = [
            ("bytes_in", counts.bytes_sent),
            ("bytes_out", counts.bytes_received),
            ("segments_in", wire.packets_out),
            ("segments_out", wire.packets_in),
            ("wire_in", wire.bytes_out),
            ("wire_out", wire.bytes_in),
        ];
        if expected.iter().all(|(name, value)| row[*name] == *value) {
            return true;
        }
    }
    false
}

#[test]
fn who_stops_reading_falls_behind_and_nobody_else_does() {
    let server = TestServer::start();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&server.tcp.into()).unwrap();
    let mut stalled = TcpStream::from(socket);
    stalled.write_all(b"SUB t\n").unwrap();
    let stalled_end = stalled.local_addr().unwrap();
    await_row(&server, stalled_end, "it reads", reads);
    let stream = TcpStream::connect(server.tcp).unwrap();
    let quick_end = stream.local_addr().unwrap();
    let mut quick = Lines::over_tcp(stream);
    assert_eq!(quick.event().kind(), "open");
    quick.subscribe("t");
    let stream = TcpStream::connect(server.tcp).unwrap();
    let quiet_end = stream.local_addr().unwrap();
    let mut quiet = Lines::over_tcp(stream);
    assert_eq!(quiet.event().kind(), "open");
    quiet.subscribe("quiet");
    std::thread::scope(|scope| {
        scope.spawn(|| quick.events(MESSAGES));
        server.publish_all("t", &vec!["x".repeat(1000); MESSAGES]);
    });
    let behind = |row: &Value| row["behind"].as_u64().unwrap();
    let row = await_row(&server, stalled_end, "it is behind", |row| behind(row) > 100);
    assert!(behind(&row) < MESSAGES as u64, "something went into the buffers: {row}");
    await_row(&server, quick_end, "the quick one is not", |row| behind(row) == 0);
    let row = find(&server, quiet_end).unwrap();
    assert_eq!(behind(&row), 0, "who waits for another topic is not behind: {row}");
    let mut stalled = Lines::over_tcp(stalled);
    stalled.events(2 + MESSAGES);
    await_row(&server, stalled_end, "it has caught up", |row| behind(row) == 0);
}

#[test]
fn a_reader_over_a_unix_socket_is_shown_with_its_path() {
    let server = TestServer::start();
    let mut lines = Lines::greeted_unix(&server.unix());
    lines.subscribe("t");
    let rows = rows(&server);
    let row = rows.iter().find(|row| row["via"] == "unix").unwrap();
    assert_eq!(row["local"], server.unix().display().to_string());
    assert_eq!((&row["filter"], &row["bytes_in"]), (&"t".into(), &6.into()));
    assert!(row["bytes_out"].as_u64().unwrap() > 100, "{row}");
    for absent in ["peer", "rtt_us", "segments_in", "wire_in"] {
        assert!(row.get(absent).is_none(), "{absent} in {row}");
    }
}

#[test]
fn a_reader_by_datagrams_is_shown_with_its_packets() {
    let server = TestServer::with("--udp 127.0.0.1:0");
    let config = server.get("/v1/config").json();
    let udp: SocketAddr = config["listen"]["udp"].as_str().unwrap().parse().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(udp).unwrap();
    let own = socket.local_addr().unwrap();
    let hear = || {
        let mut buffer = [0; 2000];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    socket.send(b"SUB t                \n").unwrap();
    let cookie = hear();
    assert!(find(&server, own).is_none(), "nothing is kept for who has not shown that it hears");
    let request = format!("SUB t {cookie}");
    socket.send(request.as_bytes()).unwrap();
    let ok = hear().len() as u64;
    // What it heard is counted right after it was sent.
    let counted = |row: &Value| reads(row) && row["bytes_out"] != 0;
    let row = await_row(&server, own, "it reads", counted);
    assert_eq!((&row["via"], &row["filter"]), (&"udp".into(), &"t".into()));
    assert_eq!(row["local"], udp.to_string());
    let sent = request.len() as u64;
    for (name, value) in [
        ("bytes_in", sent),
        ("bytes_out", ok),
        ("segments_in", 1),
        ("segments_out", 1),
        ("wire_in", sent + 28),
        ("wire_out", ok + 28),
    ] {
        assert_eq!(row[name], value, "{name} in {row}");
    }
    let id = server.publish("t", "x").id().to_owned();
    await_row(&server, own, "it waits", |row| row["place"] == id && row["behind"] == 0);
    socket.send(format!("QUIT {cookie}").as_bytes()).unwrap();
    await_gone(&server, own);
}

#[test]
fn an_http_connection_is_shown_with_what_it_is_served() {
    let server = TestServer::start();
    let stream = TcpStream::connect(server.http).unwrap();
    let own = stream.local_addr().unwrap();
    let mut connection = Connection::over(stream);
    assert_eq!(connection.exchange(&Request::get("/t/json?poll=1")).status, 200);
    await_row(&server, own, "a poll is over", |row| row["via"] == "http" && !reads(row));
    connection.write(&Request::get("/t/json?poll=1&since=none&wait=60s").bytes());
    let is = |row: &Value, via| row["via"] == via && row["filter"] == "t" && row["behind"] == 0;
    await_row(&server, own, "a long poll waits", |row| is(row, "longpoll"));
    server.publish("t", "x");
    assert_eq!(connection.response().events().len(), 1);
    await_row(&server, own, "it is answered", |row| row["via"] == "http" && !reads(row));
    for (kind, via) in [("json", "ndjson"), ("sse", "sse"), ("raw", "raw")] {
        let stream = TcpStream::connect(server.http).unwrap();
        let own = stream.local_addr().unwrap();
        let mut connection = Connection::over(stream);
        connection.write(&Request::get(&format!("/t/{kind}")).bytes());
        await_row(&server, own, via, |row| is(row, via));
        drop(connection);
        await_gone(&server, own);
    }
    let stream = TcpStream::connect(server.http).unwrap();
    let own = stream.local_addr().unwrap();
    let mut socket = websocket::Socket::over(stream, "t/ws");
    assert_eq!(socket.event().kind(), "open");
    await_row(&server, own, "ws", |row| is(row, "ws"));
    socket.say("SUB u");
    assert_eq!(socket.event().kind(), "ok");
    await_row(&server, own, "two filters", |row| row["filter"] == "t,u");
}

#[test]
fn the_newest_come_first_and_no_more_than_asked_for() {
    let server = TestServer::start();
    let _lines: Vec<Lines> = (0..3).map(|_| server.lines()).collect();
    let listing = server.get("/v1/connections?max=2").json();
    let numbers: Vec<u64> =
        listing["rows"].as_array().unwrap().iter().map(|r| r["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers.len(), 2);
    assert!(numbers[0] > numbers[1], "{numbers:?}");
    assert!(
        listing["total"].as_u64().unwrap() >= 4,
        "those three and the one that asks: {listing}"
    );
    assert_eq!(listing["rows"][0]["via"], "http", "the one that asks is the newest");
}
