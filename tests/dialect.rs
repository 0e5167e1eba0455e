//! What stock clients of the dialect send when they publish, odd as it may be: nothing of it is
//! lost.

use crate::publish::accepted;
use crate::support::http::Connection;
use crate::support::{Response, TestServer};

/// Each character as one byte.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).unwrap()).collect()
}

/// The answer to a request of those bytes.
fn exchange(server: &TestServer, request: &str) -> Response {
    let mut connection = Connection::open(server.http);
    connection.write(&bytes(request));
    connection.response()
}

#[test]
fn a_header_that_nobody_asks_for_is_not_looked_at() {
    let server = TestServer::start();
    for version in ["1.0", "1.1"] {
        for (target, body) in [("POST /t", "hi"), ("GET /t/json?poll=1", ""), ("GET /t", "")] {
            let answer = exchange(
                &server,
                &format!(
                    "{target} HTTP/{version}\r\nhost: localhost\r\ncookie: n=J\u{f6}rg\r\n\
                     referer: http://x/\u{fc}\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                ),
            );
            assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        }
    }
    let mut connection = Connection::open(server.http);
    connection.write(&bytes(
        "GET /t/ws HTTP/1.1\r\nhost: localhost\r\ncookie: a=\u{e9}\r\nconnection: Upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    ));
    assert_eq!(connection.head().expect("an answer").status, 101);
    assert_eq!(server.poll("t", "all").len(), 2);
}

#[test]
fn a_header_that_carries_a_text_and_is_not_utf_8_is_latin_1() {
    let server = TestServer::start();
    let publish = |headers: &str| {
        let request = format!(
            "POST /t HTTP/1.1\r\nhost: localhost\r\n{headers}\r\ncontent-length: 1\r\n\r\nx"
        );
        accepted(&exchange(&server, &request))
    };
    let event = publish("title: \u{a0}\u{dc}berwachung \r\ntags: caf\u{e9},\u{fc}");
    assert_eq!(event["title"], "\u{dc}berwachung");
    assert_eq!(event["tags"], serde_json::json!(["caf\u{e9}", "\u{fc}"]));
    // As UTF-8 it is what it is, and one odd byte makes all of a value Latin-1.
    assert_eq!(publish("title: \u{c3}\u{a9}")["title"], "\u{e9}");
    assert_eq!(publish("title: \u{c3}\u{a9}\u{e9}")["title"], "\u{c3}\u{a9}\u{e9}");
    assert_eq!(publish("title: =?utf-8?q?=C3=A9?= \u{e9}")["title"], "\u{e9} \u{e9}");
}
