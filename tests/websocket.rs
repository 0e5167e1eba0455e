//! The WebSocket: events out as text frames, lines of the line protocol in.

use crate::support::http::Connection;
use crate::support::websocket::{Heard, Socket};
use crate::support::{Request, TestServer, messages};

#[test]
fn a_socket_begins_with_open_and_then_pushes() {
    let server = TestServer::start();
    let last = server.publish("t", "before");
    let mut socket = Socket::connect(server.http, "t,other", "");
    let open = socket.event();
    assert_eq!((open.kind(), open.id()), ("open", last.id()));
    assert_eq!(open["topic"], "t,other");
    let event = server.publish("t", "after");
    assert_eq!(socket.event(), event);
}

#[test]
fn since_and_conditions_are_in_the_query() {
    let server = TestServer::start();
    let first = server.publish("t", "one");
    server.send(&Request::post("/t", "two").header("Tags", "x"));
    server.publish("t", "three");
    let mut socket = Socket::connect(server.http, "t", &format!("?since={}", first.id()));
    socket.event();
    assert_eq!(messages(&[socket.event(), socket.event()]), ["two", "three"]);
    let mut socket = Socket::connect(server.http, "t", "?since=all&tags=x");
    socket.event();
    assert_eq!(socket.event().message(), "two");
}

#[test]
fn lines_of_the_line_protocol_are_taken_in() {
    let server = TestServer::start();
    let mut socket = Socket::connect(server.http, "t", "");
    assert_eq!(socket.event().kind(), "open");
    assert_eq!(socket.ask("PING x").message(), "x");
    let ok = socket.ask("PUB other by websocket");
    assert_eq!(ok.kind(), "ok");
    assert_eq!(server.poll("other", "all")[0].id(), ok.id());
    assert_eq!(socket.ask("SUB other since=all\n").kind(), "ok");
    assert_eq!(socket.event().message(), "by websocket");
    assert_eq!(socket.ask("UNSUB t").kind(), "ok");
    server.publish("t", "not wanted any more");
    let event = server.publish("other", "wanted");
    assert_eq!(socket.event(), event);
    assert_eq!(socket.ask("NONSENSE").code(), 40000);
    assert_eq!(socket.ask("AUTH x").code(), 40101);
}

#[test]
fn one_frame_may_hold_several_lines() {
    let server = TestServer::start();
    let mut socket = Socket::connect(server.http, "t", "");
    socket.event();
    socket.say("PING 1\nPING 2\r\nPING 3");
    for word in ["1", "2", "3"] {
        assert_eq!(socket.event().message(), word);
    }
}

#[test]
fn bytes_that_are_no_text_are_an_error_and_the_socket_goes_on() {
    let server = TestServer::start();
    let mut socket = Socket::connect(server.http, "t", "");
    socket.event();
    socket.say_bytes(b"PUB t \xff\xfe");
    assert_eq!(socket.event().code(), 40011);
    assert_eq!(socket.ask("PING").kind(), "pong");
}

#[test]
fn a_quiet_socket_is_pinged_and_sent_no_keepalive_events() {
    let server = TestServer::with("--keepalive 100ms");
    let mut socket = Socket::connect(server.http, "t", "");
    assert_eq!(socket.event().kind(), "open");
    for _ in 0..3 {
        assert_eq!(socket.hear(), Heard::Ping);
    }
    let event = server.publish("t", "x");
    assert_eq!(socket.event(), event);
}

#[test]
fn pongs_that_nobody_asked_for_are_passed_over() {
    let server = TestServer::start();
    let mut sockets = ["a", "b"].map(|_| Socket::connect(server.http, "t", ""));
    for socket in &mut sockets {
        assert_eq!(socket.event().kind(), "open");
    }
    for round in 0..20 {
        for _ in 0..500 {
            sockets[0].pong();
        }
        let event = server.publish("t", &round.to_string());
        for socket in &mut sockets {
            assert_eq!(socket.event(), event);
        }
    }
    assert_eq!(sockets[0].ask("PING").kind(), "pong");
}

#[test]
fn quit_closes_normally() {
    let server = TestServer::start();
    let mut socket = Socket::connect(server.http, "t", "");
    socket.event();
    socket.say("QUIT");
    assert!(matches!(socket.hear(), Heard::Close(1000, _)));
}

#[test]
fn a_line_longer_than_the_limit_closes_the_socket() {
    let server = TestServer::with("--line-bytes 1000");
    let mut socket = Socket::connect(server.http, "t", "");
    socket.event();
    socket.say(&"x".repeat(2000));
    loop {
        match socket.hear() {
            Heard::Event(event) => assert_eq!(event.kind(), "error", "{}", event.line),
            Heard::Ping => {}
            Heard::Close(code, _) => {
                assert_eq!(code, 1009);
                return;
            }
        }
    }
}

#[test]
fn a_plain_request_is_told_that_this_is_a_websocket() {
    let server = TestServer::start();
    let response = server.get("/t/ws");
    assert_eq!((response.status, &response.json()["code"]), (400, &40016.into()));
}

#[test]
fn a_bad_filter_or_since_is_refused_before_the_upgrade() {
    let server = TestServer::start();
    for path in ["/a..b/ws", "/t/ws?since=soon"] {
        let mut connection = Connection::open(server.http);
        let request = Request::get(path)
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        connection.write(&request.bytes());
        assert_eq!(connection.head().unwrap().status, 400, "{path}");
    }
}

#[test]
fn a_page_of_any_origin_may_open_a_socket_where_all_are_allowed() {
    let server = TestServer::with("--allow-origin *");
    let mut connection = Connection::open(server.http);
    let request = Request::get("/t/ws")
        .header("Origin", "https://page.example")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    connection.write(&request.bytes());
    let head = connection.head().unwrap();
    assert_eq!(head.status, 101);
    assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

#[test]
fn a_client_that_closes_is_answered_by_a_close_frame() {
    let server = TestServer::start();
    let mut socket = Socket::connect(server.http, "t", "");
    socket.event();
    socket.close();
    assert_eq!(socket.hear(), Heard::Close(1000, "enough".to_owned()));
}

#[test]
fn a_poll_by_websocket_is_what_is_held_and_then_the_end() {
    let server = TestServer::start();
    let held = ["one", "two", "three"].map(|text| server.publish("t", text));
    let all = |query: &str| {
        let mut socket = Socket::connect(server.http, "t", query);
        let mut events = Vec::new();
        loop {
            match socket.hear() {
                Heard::Event(event) => events.push(event),
                Heard::Ping => {}
                Heard::Close(code, _) => return (events, code),
            }
        }
    };
    assert_eq!(all("?poll=1"), (held.to_vec(), 1000));
    assert_eq!(all(&format!("?poll=yes&since={}", held[0].id())), (held[1..].to_vec(), 1000));
    assert_eq!(all("?po=1&since=latest"), (held[2..].to_vec(), 1000));
    assert_eq!(all("?poll=1&since=none"), (Vec::new(), 1000));
    // Where nothing follows a loss, it is told all the same.
    server.publish("other", "newest");
    let (told, _) = all(&format!("?poll=1&since={}", crate::support::id::foreign(held[0].id())));
    assert_eq!(told[0]["gap"]["reason"], "foreign");
    assert_eq!(messages(&told[told.len() - 3..]), ["one", "two", "three"]);
}
