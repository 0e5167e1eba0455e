//! Phones that are woken by another server: what that server is told, and what its own readers see.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use sha2::{Digest, Sha256};

use crate::support::access::{AccessFile, token};
use crate::support::server::{run, server_command};
use crate::support::transport::Transport;
use crate::support::{Event, Request, TestServer, eventually};

const BASE_URL: &str = "https://push.example.com/bell";

/// The flags of a server whose phones another one wakes.
fn flags(upstream: &TestServer) -> String {
    let to = upstream.http;
    format!("--base-url {BASE_URL} --upstream http://{to} --outbound-allow 127.0.0.0/8")
}

/// What a topic is called there.
fn hash(topic: &str) -> String {
    let hash = Sha256::digest(format!("{BASE_URL}/{topic}"));
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn each_message_wakes_its_phones_by_a_request_that_says_nothing_but_its_id() {
    let upstream = TestServer::start();
    let server = TestServer::with(&flags(&upstream));
    let mut woken = Transport::Sse.read(&upstream, &hash("orders.eu"), "none");
    let by_http = server.publish("orders.eu", "secret");
    let by_line = server.lines().ask(format_args!("PUB orders.eu secret"));
    for id in [by_http.id(), by_line.id()] {
        let request = woken.event();
        assert_eq!(request.kind(), "poll_request", "{}", request.line);
        assert_eq!(request["poll_id"], id, "{}", request.line);
        assert_eq!(request.message(), "New message");
        assert!(!request.line.contains("secret"));
    }
    eventually("both are counted", || (server.calls("upstream", "sent", None) == 2).then_some(()));
    assert_eq!(
        (server.calls("upstream", "failed", None), server.calls("upstream", "dropped", None)),
        (0, 0)
    );
}

#[test]
fn only_what_is_said_to_people_wakes_them() {
    let upstream = TestServer::start();
    let server = TestServer::with(&flags(&upstream));
    let mut woken = Transport::Ndjson.read(&upstream, &hash("t"), "none");
    let accepted = |request: &Request| {
        let response = server.send(request);
        assert_eq!(response.status, 200, "{}", response.text());
    };
    accepted(&Request::post("/t?up=1", b"\xff\xfe\x00"));
    accepted(&Request::new("DELETE", "/t/s"));
    accepted(&Request::new("PUT", "/t/s/clear"));
    accepted(&Request::post("/t", "").header("X-Poll-ID", "elsewhere"));
    let passing = server.send(&Request::post("/t", "passes").header("Cache", "no"));
    assert_eq!(woken.event()["poll_id"], Event::parse(passing.text().trim_end()).id());
}

#[test]
fn a_poll_request_is_told_and_not_kept_on_every_way_to_publish_it() {
    let server = TestServer::start();
    for way in Transport::PUSHING {
        let mut reader = way.read(&server, "t", "none");
        for request in [
            Request::post("/t", "dropped").header("X-Poll-ID", "abc"),
            Request::post("/t?poll-id=abc", "dropped"),
            Request::get("/t/publish?poll-id=abc&message=dropped"),
            Request::post("/", r#"{"topic":"t","message":"dropped"}"#).header("Poll-ID", "abc"),
        ] {
            let response = server.send(&request);
            assert_eq!(response.status, 200, "{}", response.text());
            let event = reader.event();
            assert_eq!((event.kind(), event.message()), ("poll_request", "New message"), "{way:?}");
            assert_eq!(event["poll_id"], "abc");
        }
    }
    assert!(server.poll("t", "all").is_empty(), "it is not kept");
    let long = "x".repeat(65);
    for wrong in ["a b", long.as_str()] {
        let response = server.send(&Request::post("/t", "x").header("X-Poll-ID", wrong));
        assert_eq!(response.json()["code"], 40000, "{}", response.text());
    }
}

#[test]
fn the_upstream_is_told_who_asks_by_the_token_of_a_file() {
    let file = AccessFile::new(&token("phones", "allow = [\"pub >\"]"));
    let upstream = TestServer::with(&file.flag());
    let secret = file.path().with_file_name("token");
    fs::write(&secret, "tk_phones\n").unwrap();
    let own = format!("{} --upstream-token-file {}", flags(&upstream), secret.display());
    let (known, unknown) = (TestServer::with(&own), TestServer::with(&flags(&upstream)));
    known.publish("t", "x");
    unknown.publish("t", "x");
    eventually("the one is let in", || (known.calls("upstream", "sent", None) == 1).then_some(()));
    eventually("the other is not", || {
        (unknown.calls("upstream", "failed", None) == 1).then_some(())
    });
    eventually("that is said", || unknown.stderr().contains("403").then_some(()));
    assert!(!known.stderr().contains("tk_phones"));
}

#[test]
fn an_upstream_that_is_not_of_the_public_internet_is_not_called_unless_a_flag_allows_it() {
    let upstream = TestServer::start();
    let port = upstream.http.port();
    // Each is this machine.
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0"] {
        let to = format!("http://{host}:{port}");
        let server = TestServer::with(&format!("--base-url {BASE_URL} --upstream {to}"));
        server.publish("t", "x");
        eventually("the call is refused", || {
            (server.calls("upstream", "failed", None) == 1).then_some(())
        });
        let said = "is called only if --outbound-allow names its network";
        eventually("that is said", || server.stderr().contains(said).then_some(()));
    }
    assert_eq!(upstream.stats()["messages"], 0);
}

#[test]
fn an_upstream_that_does_not_answer_delays_no_publish_and_what_is_dropped_is_counted() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let to = silent.local_addr().unwrap();
    let server = TestServer::with(&format!(
        "--base-url {BASE_URL} --upstream http://{to} --outbound-allow 127.0.0.0/8"
    ));
    let texts: Vec<String> = (0..1500).map(|number| number.to_string()).collect();
    server.publish_all("t", &texts);
    assert_eq!(server.stats()["messages"], 1500);
    eventually("some are dropped", || {
        (server.calls("upstream", "dropped", None) == 1500 - 1024).then_some(())
    });
    eventually("that is said", || server.stderr().contains("too many wait").then_some(()));
}

#[test]
fn a_stop_waits_a_moment_for_what_is_on_its_way_and_says_what_was_not_done() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let to = silent.local_addr().unwrap();
    let mut server = TestServer::with(&format!(
        "--base-url {BASE_URL} --upstream http://{to} --outbound-allow 127.0.0.0/8"
    ));
    server.publish_all("t", &["1", "2", "3"]);
    // It is called: the requests wait for an answer.
    let _called = silent.accept().unwrap();
    let began = std::time::Instant::now();
    assert!(server.stop().success());
    assert!(began.elapsed().as_secs() < 4, "{:?}", began.elapsed());
    assert!(server.stderr().contains("the server has stopped"), "{}", server.stderr());
}

#[test]
fn an_upstream_without_the_servers_own_address_is_an_error_at_the_start() {
    let mut command = server_command();
    command.args(["--ephemeral", "--http", "127.0.0.1:0", "--tcp", "none"]);
    let output = run(command.args(["--upstream", "https://ntfy.example"]));
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("--upstream") && said.contains("--base-url"), "{said}");
}

/// Takes one call and does not answer it: whom it is about, and the connection.
fn call(listener: &TcpListener) -> (String, TcpStream) {
    let (mut stream, _) = listener.accept().unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let id = head.lines().find_map(|line| line.strip_prefix("x-poll-id: ")).unwrap();
    (id.to_owned(), stream)
}

fn answer(mut stream: TcpStream) {
    stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").unwrap();
}

#[test]
fn what_was_not_answered_when_the_server_died_or_stopped_is_told_by_the_next_start_and_no_other() {
    for is_killed in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let mut server = TestServer::durable(&format!(
            "--base-url {BASE_URL} --upstream http://{to} --outbound-allow 127.0.0.0/8"
        ));
        let ids: Vec<String> =
            ["1", "2", "3"].map(|text| server.publish("t", text).id().to_owned()).into();
        let mut calls: Vec<_> = (0..3).map(|_| call(&listener)).collect();
        let first = calls.iter().position(|(id, _)| *id == ids[0]).unwrap();
        answer(calls.swap_remove(first).1);
        let place = server.data().join("relay.place");
        eventually("it is kept that the first one was told", || {
            (fs::read_to_string(&place).ok()?.trim() == ids[0]).then_some(())
        });
        if is_killed {
            server.kill();
        } else {
            server.stop();
        }
        drop(calls);
        server.restart();
        let again = [call(&listener), call(&listener)];
        let mut told: Vec<&str> = again.iter().map(|(id, _)| id.as_str()).collect();
        told.sort_unstable();
        assert_eq!(told, ids[1..], "killed: {is_killed}");
        for (_, stream) in again {
            answer(stream);
        }
        eventually("all are told", || (server.calls("upstream", "sent", None) == 2).then_some(()));
        server.stop();
        server.restart();
        let next = server.publish("t", "4");
        assert_eq!(call(&listener).0, next.id(), "killed: {is_killed}");
    }
}
