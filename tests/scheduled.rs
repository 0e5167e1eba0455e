//! Messages that are published later: how they are asked for, listed, taken back and delivered.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::support::access::{AccessFile, token};
use crate::support::client::client;
use crate::support::server::run;
use crate::support::transport::Transport;
use crate::support::{Event, Request, TestServer, eventually, messages};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn accepted(server: &TestServer, request: &Request) -> Event {
    let response = server.send(request);
    assert_eq!(response.status, 200, "{request:?}: {}", response.text());
    Event::parse(response.text().trim_end())
}

fn later(server: &TestServer, path: &str, text: &str, delay: &str) -> Event {
    accepted(server, &Request::post(path, text).header("In", delay))
}

/// What waits for a filter.
fn waiting(server: &TestServer, filter: &str) -> Vec<Event> {
    server.get(&format!("/{filter}/json?poll=1&since=none&sched=1")).events()
}

fn due_in(event: &Event) -> u64 {
    event["time"].as_u64().unwrap().saturating_sub(now())
}

#[test]
fn a_delay_is_said_in_any_of_its_names_and_forms_on_every_way_to_publish() {
    let server = TestServer::start();
    for name in ["Delay", "X-Delay", "At", "X-At", "In", "X-In"] {
        let event = accepted(&server, &Request::post("/t", "x").header(name, "1h"));
        assert!((3590..=3600).contains(&due_in(&event)), "{name}: {}", event.line);
        let path = format!("/t?{}=1h", name.to_lowercase());
        let event = accepted(&server, &Request::post(&path, "x"));
        assert!((3590..=3600).contains(&due_in(&event)), "{path}: {}", event.line);
        assert!(event["expires"].is_null(), "{}", event.line);
    }
    let soon = (now() + 100).to_string();
    for (delay, expected) in [
        (soon.as_str(), 100),
        ("2 days", 172_800),
        ("in 90 minutes", 5400),
        ("1h30m", 5400),
        ("tomorrow", 86_400),
    ] {
        let json = json!({"topic": "t", "message": "x", "delay": delay}).to_string();
        let by_json = accepted(&server, &Request::post("/", &json));
        let by_line = server.lines().ask(format_args!("PUBJ {json}"));
        assert_eq!(by_line.kind(), "ok", "{}", by_line.line);
        let by_get = Request::get(&format!("/t/publish?delay={}", delay.replace(' ', "+")));
        for event in [by_json, accepted(&server, &by_get)] {
            assert!(due_in(&event).abs_diff(expected) <= 10, "{delay}: {}", event.line);
        }
    }
    assert!(server.poll("t", "all").is_empty(), "nobody is told before the time");
    assert_eq!(waiting(&server, "t").len(), 12 + 15);
}

#[test]
fn each_fault_of_a_delay_has_its_number() {
    let server = TestServer::start();
    for (delay, code) in [
        ("soon", 40004),
        ("10 parsecs", 40004),
        ("9s", 40005),
        ("1500000000", 40005),
        ("73h", 40006),
        ("4 days", 40006),
        ("9999999999", 40006),
        ("99999999999999999999999", 40006),
    ] {
        let response = server.send(&Request::post("/t", "x").header("Delay", delay));
        assert_eq!(response.json()["code"], code, "{delay}: {}", response.text());
        let json = json!({"topic": "t", "delay": delay});
        assert_eq!(server.lines().ask(format_args!("PUBJ {json}")).code(), code, "{delay}");
    }
    for (name, value, code) in [("Cache", "no", 40002), ("Email", "a@b.example", 40001)] {
        let request = Request::post("/t", "x").header("Delay", "1h").header(name, value);
        assert_eq!(server.send(&request).json()["code"], code, "{name}");
    }
    assert!(waiting(&server, "t").is_empty());
}

#[test]
fn what_is_due_is_published_once_to_every_reader_whatever_happens_meanwhile() {
    for (mut server, is_durable) in [
        (TestServer::with("--udp 127.0.0.1:0"), false),
        (TestServer::durable("--udp 127.0.0.1:0"), true),
        (TestServer::durable("--udp 127.0.0.1:0 --sync always"), true),
    ] {
        let before = server.publish("t", "before");
        let first = later(&server, "/t", "first", "10s");
        let second = later(&server, "/t/s", "second", "11s");
        assert!(first.id() > before.id() && second.id() > first.id());
        if is_durable {
            server.kill();
            server.restart();
        }
        assert_eq!(messages(&waiting(&server, "t")), ["first", "second"]);
        let ways = Transport::ALL.into_iter().chain([Transport::Udp]);
        let mut readers: Vec<_> =
            ways.map(|way| (way, way.read(&server, "t", before.id()))).collect();
        let began = Instant::now();
        let came: Vec<_> = readers
            .iter_mut()
            .map(|(way, reader)| {
                let events = [reader.message(), reader.message()];
                assert_eq!(messages(&events), ["first", "second"], "{way:?}");
                events
            })
            .collect();
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
        for [one, other] in &came {
            assert!(one.id() > second.id(), "a place of its own: {}", one.line);
            assert_eq!(
                (&one["sequence_id"], &other["sequence_id"]),
                (&json!(first.id()), &json!("s"))
            );
            assert!(one["time"].as_u64() >= first["time"].as_u64(), "{}", one.line);
            assert_eq!((one.plain(), other.plain()), (came[0][0].plain(), came[0][1].plain()));
        }
        drop(readers);
        assert!(waiting(&server, "t").is_empty());
        // It stands in the file for some seconds more.
        for _ in 0..if is_durable { 2 } else { 0 } {
            server.kill();
            server.restart();
            server.publish("t", "after");
            assert!(waiting(&server, "t").is_empty(), "what was published waits no more");
        }
        let held = server.poll("t", "all");
        let twice = messages(&held).iter().filter(|text| **text == "first").count();
        assert_eq!(twice, 1, "{held:?}");
        let behind = server.get(&format!("/t/json?poll=1&since={}", first.id()));
        assert_eq!(behind.header("doorbell-gap"), None, "the answer's id is a place");
        assert_eq!(messages(&behind.events())[..2], ["first", "second"]);
    }
}

#[test]
fn what_waits_is_replaced_and_taken_back_by_its_sequence_id() {
    let mut server = TestServer::durable("");
    later(&server, "/t/s", "one", "1h");
    later(&server, "/other/s", "of another topic", "1h");
    later(&server, "/t/s", "two", "2h");
    assert_eq!(messages(&waiting(&server, "t")), ["two"]);
    let unnamed = later(&server, "/t", "three", "30m");
    assert_eq!(messages(&waiting(&server, "t")), ["three", "two"]);
    let delete = accepted(&server, &Request::new("DELETE", &format!("/t/{}", unnamed.id())));
    assert_eq!(delete.kind(), "message_delete");
    assert_eq!(messages(&waiting(&server, "t")), ["two"]);
    later(&server, "/t/r", "four", "30m");
    accepted(&server, &Request::new("PUT", "/t/r/clear"));
    // What is published at once under the name takes the place of what was to come.
    accepted(&server, &Request::post("/t/s", "five"));
    assert!(waiting(&server, "t").is_empty());
    for _ in 0..2 {
        server.kill();
        server.restart();
        assert!(waiting(&server, "t").is_empty());
        assert_eq!(messages(&waiting(&server, "*")), ["of another topic"]);
    }
    let held = server.poll("t", "all");
    let kinds: Vec<_> = held.iter().map(Event::kind).collect();
    assert_eq!(kinds, ["message_delete", "message_clear", "message"]);
}

#[test]
fn a_poll_lists_what_waits_behind_what_is_held_and_only_if_it_is_asked() {
    let server = TestServer::start();
    later(&server, "/a", "later", "2h");
    later(&server, "/b", "sooner", "1h");
    server.publish("a", "held");
    let texts = |path: &str| {
        let response = server.get(path);
        assert!(response.header("doorbell-next").is_some());
        messages(&response.events()).join(" ")
    };
    for name in ["scheduled", "sched"] {
        assert_eq!(texts(&format!("/a,b/json?poll=1&{name}=1")), "held sooner later");
    }
    assert_eq!(texts("/a,b/json?poll=1&sched=1&message=later"), "later");
    assert_eq!(texts("/a/json?poll=1&sched=1"), "held later");
    assert_eq!(texts("/a,b/json?poll=1"), "held");
    server.publish_all("a", &vec!["x".repeat(100); 1000]);
    let response = server.get("/a/json?poll=1&sched=1");
    assert_eq!(response.header("transfer-encoding"), Some("chunked"));
    let events = response.events();
    assert_eq!((events.len(), events.last().unwrap().message()), (1002, "later"));
    let etag = response.header("etag").unwrap().to_owned();
    let known = Request::get("/a/json?poll=1&sched=1").header("If-None-Match", &etag);
    assert_eq!(server.send(&known).status, 200, "the tag says nothing of what waits");
}

#[test]
fn no_more_wait_than_may() {
    let server = TestServer::with("--schedule-max 2");
    for text in ["one", "two"] {
        later(&server, "/t", text, "1h");
    }
    let refused = server.send(&Request::post("/t", "three").header("In", "1h"));
    assert_eq!((refused.status, &refused.json()["code"]), (507, &json!(50701)));
    assert!(refused.json()["error"].as_str().unwrap().contains('2'), "{}", refused.text());
    let none = TestServer::with("--schedule-max 0");
    assert_eq!(none.send(&Request::post("/t", "x").header("In", "1h")).status, 507);
}

#[test]
fn rights_are_those_of_the_moment_at_which_it_was_accepted() {
    let writer = token("writer", "allow = [\"pub t\"]");
    let reader = token("reader", "allow = [\"sub t\"]");
    let file = AccessFile::new(&(writer + &reader));
    let server = TestServer::with(&file.flag());
    let publish = Request::post("/t", "x").header("In", "10s");
    assert_eq!(server.send(&publish.clone().token(Some("tk_reader"))).status, 403);
    assert_eq!(server.send(&publish.token(Some("tk_writer"))).status, 200);
    let list = Request::get("/t/json?poll=1&sched=1");
    assert_eq!(server.send(&list.clone().token(Some("tk_writer"))).status, 403);
    assert_eq!(server.send(&list.token(Some("tk_reader"))).events().len(), 1);
    file.apply(&reader);
    let poll = Request::get("/t/json?poll=1").token(Some("tk_reader"));
    eventually("it comes although its publisher may publish no more", || {
        (server.send(&poll).events().len() == 1).then_some(())
    });
}

#[test]
fn the_client_publishes_later() {
    let server = TestServer::start();
    let words = ["pub", "t", "--delay", "30 min", "--sequence-id", "s", "tea", "is", "ready"];
    assert!(run(&mut client(&server, &words)).status.success());
    let events = waiting(&server, "t");
    assert_eq!((messages(&events), &events[0]["sequence_id"]), (vec!["tea is ready"], &json!("s")));
}

#[test]
fn a_copy_of_the_log_has_what_waits() {
    let mut server = TestServer::durable("");
    later(&server, "/t", "x", "1h");
    let copy = server.copy_data("copy");
    accepted(&server, &Request::post("/t", "y"));
    server.stop();
    server.restore_data(&copy);
    server.restart();
    assert_eq!(messages(&waiting(&server, "t")), ["x"]);
}
