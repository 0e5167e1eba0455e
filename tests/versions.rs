//! Messages with a sequence id: new versions of one, and what is done to all of them.

use crate::support::access::{AccessFile, token};
use crate::support::browser::{Look, in_browser};
use crate::support::client::client;
use crate::support::http::Connection;
use crate::support::server::run;
use crate::support::transport::{Reader, Transport};
use crate::support::{Event, Request, TestServer};

/// The next event that was published, whatever it does.
fn published(reader: &mut Reader) -> Event {
    loop {
        let event = reader.event();
        if event.kind() != "keepalive" {
            return event;
        }
    }
}

fn told(event: &Event) -> (&str, &str) {
    (event.kind(), event["sequence_id"].as_str().unwrap_or_default())
}

fn done(server: &TestServer, method: &str, path: &str) -> Event {
    let response = server.send(&Request::new(method, path));
    assert_eq!(response.status, 200, "{method} {path}: {}", response.text());
    Event::parse(response.text().trim_end())
}

#[test]
fn what_is_done_to_a_message_reaches_every_reader_and_stays_in_the_log() {
    for (mut server, restarts) in
        [(TestServer::with("--udp 127.0.0.1:0"), 0), (TestServer::durable("--udp 127.0.0.1:0"), 1)]
    {
        server.publish("t", "before");
        let ways = || Transport::ALL.into_iter().chain([Transport::Udp]);
        let mut readers: Vec<_> = ways().map(|way| (way, way.read(&server, "t", "none"))).collect();
        let first = Event::parse(server.send(&Request::post("/t/s", "one")).text().trim_end());
        let second = Event::parse(server.send(&Request::post("/t/s", "two")).text().trim_end());
        let clear = done(&server, "PUT", "/t/s/clear");
        let delete = done(&server, "DELETE", "/t/s");
        assert_eq!(told(&clear), ("message_clear", "s"));
        assert_eq!(told(&delete), ("message_delete", "s"));
        assert!(delete["message"].is_null(), "{}", delete.line);
        assert!(delete["expires"].is_number(), "{}", delete.line);
        let after = server.publish("t", "after");
        let all = [first, second, clear, delete, after];
        assert!(all.is_sorted_by(|one, next| one.id() < next.id()));
        for (way, reader) in &mut readers {
            let read = [(); 5].map(|()| published(reader).plain());
            assert_eq!(read, all.each_ref().map(Event::plain), "{way:?}");
        }
        drop(readers);
        for restart in 0..=restarts {
            if restart > 0 {
                server.kill();
                server.restart();
            }
            for way in ways() {
                let mut reader = way.read(&server, "t", "all");
                assert_eq!(published(&mut reader).message(), "before", "{way:?}");
                let read = [(); 5].map(|()| published(&mut reader).plain());
                assert_eq!(read, all.each_ref().map(Event::plain), "{way:?}");
                let mut behind = way.read(&server, "t", all[2].id());
                assert_eq!(published(&mut behind).plain(), all[3].plain(), "{way:?}");
            }
        }
    }
}

#[test]
fn every_address_of_the_dialect_clears_or_deletes() {
    let server = TestServer::start();
    let kind = |method: &str, path: &str| done(&server, method, path).kind().to_owned();
    for method in ["GET", "PUT", "POST"] {
        for word in ["clear", "read"] {
            assert_eq!(kind(method, &format!("/t/s/{word}")), "message_clear");
        }
        assert_eq!(kind(method, "/t/s/delete"), "message_delete");
    }
    assert_eq!(kind("DELETE", "/t/s"), "message_delete");
    assert_eq!(server.poll("t", "all").len(), 10);
    for (method, path, code) in [
        ("DELETE", "/t/s/clear", 405),
        ("DELETE", "/t/publish", 405),
        ("DELETE", "/t", 405),
        ("DELETE", "/t/s.s", 400),
        ("PUT", "/t..t/s/clear", 400),
        ("PUT", "/t/s/forget", 404),
    ] {
        let response = server.send(&Request::new(method, path));
        assert_eq!(response.status, code, "{method} {path}: {}", response.text());
    }
    assert_eq!(server.poll("t", "all").len(), 10, "what was refused did nothing");
}

#[test]
fn a_poll_that_waits_is_answered_by_what_is_done_to_a_message() {
    let server = TestServer::start();
    let message = server.publish("t", "x");
    let mut long_poll = Connection::open(server.http);
    let path = format!("/t/json?poll=1&since={}&wait=30s", message.id());
    long_poll.write(&Request::get(&path).bytes());
    server.await_readers("longpoll", 1);
    // A message without a sequence id is called by its own.
    done(&server, "DELETE", &format!("/t/{}", message.id()));
    let response = long_poll.response();
    assert_eq!(told(&response.events()[0]), ("message_delete", message.id()));
}

#[test]
fn whoever_may_publish_may_take_back_and_nobody_else() {
    let rules = [token("writer", "allow = [\"pub t\"]"), token("reader", "allow = [\"sub t\"]")];
    let file = AccessFile::new(&rules.concat());
    let server = TestServer::with(&file.flag());
    for (name, status) in [("writer", 200), ("reader", 403)] {
        for (method, path) in [("DELETE", "/t/s"), ("PUT", "/t/s/clear"), ("GET", "/t/s/delete")] {
            let request = Request::new(method, path).token(Some(&format!("tk_{name}")));
            assert_eq!(server.send(&request).status, status, "{name} {method} {path}");
        }
    }
}

#[test]
fn the_client_tells_what_was_done_to_a_message() {
    let server = TestServer::start();
    server.send(&Request::post("/t/s", "one"));
    done(&server, "PUT", "/t/s/clear");
    done(&server, "DELETE", "/t/s");
    for via in ["tcp", "ws", "sse", "longpoll", "poll"] {
        let words = ["sub", "t", "--since", "all", "--count", "3", "--via", via];
        let output = String::from_utf8(run(&mut client(&server, &words)).stdout).unwrap();
        let after_time = "2026-11-30 21:51:48".len();
        let lines: Vec<_> = output.lines().map(|line| line.split_at(after_time).1).collect();
        assert_eq!(lines, ["  t  one", "  t  seen: s", "  t  deleted: s"], "{via}");
    }
}

#[test]
fn the_page_shows_the_newest_version_and_lets_go_of_what_was_deleted() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&format!(
            "http://{}/lab?topic=t&demo=off&interval=0.5&lanes=poll,ws",
            server.http
        ))
        .await;
        page.until("ws-state", |text| text == "connected").await;
        server.send(&Request::post("/t/s", "first version"));
        server.send(&Request::post("/t/r", "another message"));
        page.until("messages", |text| text.contains("first version")).await;
        server.send(&Request::post("/t/s", "second version"));
        let text = page.until("messages", |text| text.contains("second version")).await;
        assert!(!text.contains("first version"), "{text}");
        done(&server, "DELETE", "/t/s");
        let text = page.until("messages", |text| !text.contains("second version")).await;
        assert!(text.contains("another message"), "{text}");
        page.until("poll-messages", |text| text == "4").await;
        for id in ["poll-missed", "ws-missed", "poll-repeated", "ws-repeated"] {
            assert_eq!(page.number(id).await, 0, "{id}");
        }
    });
}
