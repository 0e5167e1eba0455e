//! The PROXY header at the beginning of a connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::row;
use crate::support::http::Connection;
use crate::support::{Lines, PATIENCE, Request, TestServer};

const FLAGS: &str = "--trusted-proxies 127.0.0.1 --proxy-protocol tcp --lab on";
const CLIENT: &str = "203.0.113.9:4711";

/// Headers that tell of this client, in both versions.
fn headers() -> [Vec<u8>; 2] {
    let binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x09\x7f\0\0\x01\x12\x67\0\x50";
    [b"PROXY TCP4 203.0.113.9 127.0.0.1 4711 80\r\n".to_vec(), binary.to_vec()]
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Whether the server closes a connection on which these bytes were sent, and says nothing before.
fn is_closed_after(address: SocketAddr, bytes: &[u8]) -> bool {
    let mut stream = connect(address);
    // It may be closed before.
    let _ = stream.write_all(bytes);
    match stream.read(&mut [0]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn a_connection_is_shown_as_that_of_the_client_that_its_proxy_tells_of() {
    let server = TestServer::with(FLAGS);
    for header in headers() {
        let mut stream = connect(server.tcp);
        // What follows it may come with it.
        stream.write_all(&[&header, &b"SUB t\n"[..]].concat()).unwrap();
        let mut lines = Lines::over_tcp(stream);
        assert_eq!([lines.event().kind(), lines.event().kind()], ["open", "ok"]);
        let row = row(&server, CLIENT.parse().unwrap());
        assert_eq!((&row["via"], &row["filter"]), (&"tcp".into(), &"t".into()), "{row}");
        server.publish("t", "by proxy");
        assert_eq!(lines.event().message(), "by proxy");
    }
    // The other listener has no such rule.
    assert_eq!(server.get("/v1/health").status, 200);
}

#[test]
fn http_is_spoken_behind_the_header_and_the_proxy_may_ask_under_any_name() {
    let flags = "--trusted-proxies 127.0.0.1 --proxy-protocol http,tcp";
    let server = TestServer::with(flags);
    for header in headers() {
        let mut connection = Connection::open(server.http);
        connection.write(&header);
        for _ in 0..2 {
            let answer = connection.exchange(&Request::post("/t", "x").host("push.example"));
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
}

#[test]
fn a_proxy_that_speaks_for_itself_is_shown_itself() {
    let server = TestServer::with(FLAGS);
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let mut stream = connect(server.tcp);
        stream.write_all(header).unwrap();
        let local = stream.local_addr().unwrap();
        let mut lines = Lines::over_tcp(stream);
        assert_eq!(lines.event().kind(), "open");
        assert_eq!(row(&server, local)["via"], "tcp");
    }
}

#[test]
fn without_the_header_nothing_is_heard() {
    let server = TestServer::with(&format!("{FLAGS} --unfinished 500ms"));
    for bytes in [
        &b"PUB t hello to you\n"[..],
        b"PROXY TCP4 203.0.113.9\r\nPUB t hello\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
        // Too late.
        b"PROXY TCP4 203.0.113.9 127.0.0.1 47",
        b"",
    ] {
        assert!(is_closed_after(server.tcp, bytes), "{bytes:?}");
    }
    assert_eq!(server.stats()["messages"], 0);
    let rows = server.get("/v1/connections").json();
    assert_eq!(rows["total"], 1, "nothing is left of them: {rows}");
}

#[test]
fn others_than_trusted_proxies_cannot_connect_there() {
    let server = TestServer::with("--trusted-proxies 10.0.0.1 --proxy-protocol tcp");
    for header in headers() {
        assert!(is_closed_after(server.tcp, &[&header, &b"PUB t hello\n"[..]].concat()));
    }
    assert_eq!(server.stats()["messages"], 0);
}

#[test]
fn a_server_that_stops_does_not_wait_for_a_header() {
    let mut server = TestServer::with(FLAGS);
    let mut waiting = connect(server.tcp);
    waiting.write_all(b"PROXY").unwrap();
    assert_eq!(server.stop().code(), Some(0));
    assert!(matches!(waiting.read(&mut [0]), Ok(0) | Err(_)));
}
