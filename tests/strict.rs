//! Requests that nobody should send: they are refused, and nothing behind them is read.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::support::http::Connection;
use crate::support::{PATIENCE, Request, TestServer};

/// Sends bytes as they are and reads to the end.
fn exchange(server: &TestServer, bytes: &str) -> String {
    let mut stream = TcpStream::connect(server.http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes.as_bytes()).unwrap();
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "it ends: {error}");
    }
    String::from_utf8(answer).unwrap()
}

#[test]
fn a_request_that_could_be_understood_in_two_ways_is_refused_and_the_connection_ends() {
    let server = TestServer::start();
    let chunks = "1\r\nx\r\n0\r\n\r\n";
    for (status, request) in [
        ("400", "GET /v1/health HTTP/1.1\r\n\r\n".to_owned()),
        ("400", "GET /v1/health HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n".to_owned()),
        ("400", "GET /v1/health HTTP/1.1\r\nhost: a b\r\n\r\n".to_owned()),
        ("400", "GET /v1/health HTTP/1.1\r\nhost: a/b\r\n\r\n".to_owned()),
        ("400", "GET /v1/health HTTP/1.1\r\nhost: user@a\r\n\r\n".to_owned()),
        ("400", "GET /v1/health HTTP/1.1\r\nhost: a:80x\r\n\r\n".to_owned()),
        ("400", "GET /v1/health HTTP/1.1\r\nhost: [::1\r\n\r\n".to_owned()),
        (
            "400",
            format!(
                "POST /t HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n{chunks}"
            ),
        ),
        (
            "400",
            format!(
                "POST /t HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, chunked\r\n\r\n{chunks}"
            ),
        ),
        (
            "400",
            format!(
                "POST /t HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\
                 transfer-encoding: chunked\r\n\r\n{chunks}"
            ),
        ),
        (
            "417",
            "POST /t HTTP/1.1\r\nhost: a\r\nexpect: x\r\ncontent-length: 1\r\n\r\nx".to_owned(),
        ),
        ("405", "CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n".to_owned()),
    ] {
        let behind = "GET /v1/health HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let answer = exchange(&server, &format!("{request}{behind}"));
        let begin = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&begin), "{request}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{request}: {answer}");
    }
    assert_eq!(server.poll("t", "all").len(), 0);
    for host in ["a", "a.example:8080", "127.0.0.1", "[::1]:80", "xn--bcher-kva.example", "a:"] {
        let request =
            format!("GET /v1/health HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        // Whether it is this server's own is another question.
        let answer = exchange(&server, &request);
        let is_taken = ["200", "421"].iter().any(|status| answer[9..].starts_with(status));
        assert!(is_taken, "{host}: {answer}");
    }
    // Programs from before there were hosts.
    assert!(exchange(&server, "GET /v1/health HTTP/1.0\r\n\r\n").contains(" 200 "));
}

#[test]
fn only_the_first_bytes_of_a_connection_make_it_http_2() {
    let server = TestServer::start();
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let request = "GET /v1/health HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let answer = exchange(&server, &format!("{request}{preface}"));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!answer.contains('\0'), "no frame of HTTP/2: {answer:?}");
}

#[test]
fn every_answer_says_that_it_is_what_it_says() {
    let server = TestServer::start();
    for path in ["/", "/t/json?poll=1", "/v1/health", "/a..b/json", "/t/raw?poll=1", "/metrics"] {
        let answer = server.get(path);
        let all: Vec<&str> = answer.all("x-content-type-options").collect();
        assert_eq!(all, ["nosniff"], "{path}");
    }
    let stream = Request::get("/t/raw").stream_from(server.http);
    assert_eq!(stream.head.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn a_client_that_sends_too_much_comes_to_read_why_it_was_refused() {
    let server = TestServer::with("--attachment-total 0");
    for _ in 0..5 {
        let mut connection = Connection::open(server.http);
        // More than fits into the buffers between.
        let answer = connection.exchange(&Request::post("/t", "x".repeat(3 << 20)));
        assert_eq!((answer.status, &answer.json()["code"]), (413, &41301.into()));
    }
}
