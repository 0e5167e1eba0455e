//! The line protocol over a Unix socket.

use std::os::unix::fs::PermissionsExt;

use crate::support::{Lines, TestServer};

#[test]
fn the_conversation_is_the_same_as_over_tcp() {
    let server = TestServer::start();
    let held = server.publish("t", "held");
    let mut lines = Lines::greeted_unix(&server.unix());
    assert_eq!(lines.ask("PING x").message(), "x");
    let ok = lines.ask("PUB other text");
    assert_eq!(ok.kind(), "ok");
    lines.subscribe("t since=all");
    assert_eq!(lines.event(), held);
    let live = server.publish("t", "live");
    assert_eq!(lines.event(), live);
    assert_eq!(lines.ask("WHAT").code(), 40000);
    assert_eq!(lines.ask("QUIT").kind(), "close");
    assert_eq!(lines.line(), None);
    assert_eq!(server.poll("other", "all")[0].id(), ok.id());
}

#[test]
fn a_half_closed_connection_still_receives() {
    let server = TestServer::start();
    let mut lines = Lines::greeted_unix(&server.unix());
    lines.subscribe("t");
    lines.finish_writing();
    let event = server.publish("t", "x");
    assert_eq!(lines.event(), event);
}

#[test]
fn a_socket_that_a_crash_left_behind_is_replaced() {
    let mut server = TestServer::durable("");
    server.kill();
    assert!(server.unix().exists(), "left behind");
    server.restart();
    let mut lines = Lines::greeted_unix(&server.unix());
    assert_eq!(lines.ask("PING").kind(), "pong");
}

#[test]
fn the_socket_goes_when_the_server_ends() {
    let mut server = TestServer::start();
    assert!(server.unix().exists());
    server.stop();
    assert!(!server.unix().exists());
}

#[test]
fn the_socket_is_for_its_owner_alone_unless_its_mode_says_more() {
    for (flags, mode) in [("", 0o600), ("--unix-mode 660", 0o660), ("--unix-mode 0666", 0o666)] {
        let server = TestServer::with(flags);
        let found = std::fs::metadata(server.unix()).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{flags}");
        assert_eq!(Lines::greeted_unix(&server.unix()).ask("PING").kind(), "pong");
    }
}
