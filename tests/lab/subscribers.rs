//! The subscribers that the server runs for a page.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use super::{Watch, await_gone, await_row};
use crate::support::access::token;
use crate::support::{AccessFile, Request, TestServer};

/// Messages that go by.
const MESSAGES: usize = 3000;

/// Both subscribers, up.
fn up(watch: &mut Watch) -> HashMap<String, SocketAddr> {
    watch.say(r#"{"run":["tcp","udp"]}"#);
    let mut ends = HashMap::new();
    while ends.len() < 2 {
        let told = watch.of_kind("subscriber");
        assert_eq!(told["state"], "up", "{told}");
        let local = told["local"].as_str().unwrap().parse().unwrap();
        ends.insert(told["via"].as_str().unwrap().to_owned(), local);
    }
    ends
}

fn await_off(watch: &mut Watch, ways: usize) {
    for _ in 0..ways {
        let told = watch.of_kind("subscriber");
        assert_eq!(told["state"], "off", "{told}");
    }
}

#[test]
fn where_nobody_may_anything_unasked_they_read_by_the_right_of_their_page() {
    let access = AccessFile::new(&token("admin", "admin = true\nallow = [\"pubsub t\"]"));
    let server = TestServer::with(&format!("{} --udp 127.0.0.1:0", access.flag()));
    let mut watch = Watch::open(&server, "page&auth=QmVhcmVyIHRrX2FkbWlu", "t");
    assert_eq!(watch.hear()["kind"], "hello");
    up(&mut watch);
    let publish = Request::post("/t", "x").token(Some("tk_admin"));
    let id = server.send(&publish).json()["id"].clone();
    for _ in 0..2 {
        assert_eq!(watch.of_kind("arrival")["id"], id);
    }
    let mut watch = Watch::open(&server, "other&auth=QmVhcmVyIHRrX2FkbWlu", "secret");
    watch.say(r#"{"run":["tcp","udp"]}"#);
    for _ in 0..2 {
        let told = watch.of_kind("subscriber");
        assert!(told["why"].as_str().is_some_and(|why| why.contains("secret")), "{told}");
    }
}

#[test]
fn each_message_reaches_each_of_them_once() {
    let server = TestServer::with("--udp 127.0.0.1:0");
    let mut watch = Watch::greeted(&server, "page", "t");
    up(&mut watch);
    let mut ids: Vec<String> = Vec::new();
    for n in 0..30 {
        server.publish("elsewhere", "x");
        ids.push(server.publish("t", &n.to_string()).id().to_owned());
    }
    let mut arrived: HashMap<String, Vec<String>> = HashMap::new();
    watch.await_frame("all arrive", |frame| {
        assert_ne!(frame["kind"], "lost", "{frame}");
        if frame["kind"] == "arrival" {
            let after = Duration::from_micros(frame["after_us"].as_u64().unwrap());
            assert!(after < super::FRAME_WAIT_MAX, "{frame}");
            let way = arrived.entry(frame["via"].as_str().unwrap().to_owned()).or_default();
            way.push(frame["id"].as_str().unwrap().to_owned());
        }
        let all = arrived.len() == 2 && arrived.values().all(|heard| heard.len() >= ids.len());
        all.then_some(())
    });
    assert_eq!((&arrived["tcp"], &arrived["udp"]), (&ids, &ids));
}

#[test]
fn they_are_connections_like_any_other_and_vanish_when_they_are_stopped() {
    let server = TestServer::with("--udp 127.0.0.1:0");
    let mut watch = Watch::greeted(&server, "page", "t");
    let ends = up(&mut watch);
    for way in ["tcp", "udp"] {
        let row = await_row(&server, ends[way], way, |row| row["filter"] == "t");
        assert_eq!(row["via"], way);
        let own = ends[way].to_string();
        watch.await_frame("the page is told which row is its own", |frame| {
            let rows = frame["rows"].as_array()?;
            let row = rows.iter().find(|row| row["peer"] == own)?;
            assert_eq!(row["lane"], way, "{row}");
            Some(())
        });
    }
    server.publish("t", "x");
    let wire = watch.await_frame("both are charged", |frame| {
        let lanes = frame["lanes"].as_object()?;
        (lanes.len() == 2).then(|| lanes.clone())
    });
    for way in ["tcp", "udp"] {
        assert_eq!(wire[way]["connections"], 1, "{way}");
        assert!(wire[way]["bytes_out"].as_u64().unwrap() > 100, "{way}");
    }
    watch.say(r#"{"run":["udp"]}"#);
    await_off(&mut watch, 1);
    await_gone(&server, ends["tcp"]);
    await_row(&server, ends["udp"], "the other one stays", |row| row["filter"] == "t");
    watch.say(r#"{"run":[]}"#);
    await_off(&mut watch, 1);
    await_gone(&server, ends["udp"]);
    let again = up(&mut watch);
    assert_ne!(again, ends, "sockets of their own each time");
}

#[test]
fn they_end_with_their_session() {
    let server = TestServer::with("--udp 127.0.0.1:0");
    let mut watch = Watch::greeted(&server, "page", "t");
    let ends = up(&mut watch);
    drop(watch);
    await_gone(&server, ends["tcp"]);
    await_gone(&server, ends["udp"]);
}

#[test]
fn a_page_that_does_not_read_makes_its_own_subscriber_slow_and_nothing_is_lost_over_tcp() {
    let server = TestServer::start();
    let mut watch = Watch::greeted(&server, "page", "t");
    watch.say(r#"{"run":["tcp"],"table":false}"#);
    assert_eq!(watch.of_kind("subscriber")["state"], "up");
    server.publish_all("t", &vec!["x".repeat(100); MESSAGES]);
    let mut arrived: Vec<Value> = Vec::new();
    watch.await_frame("all arrive", |frame| {
        if frame["kind"] == "arrival" {
            arrived.push(frame["id"].clone());
        }
        (arrived.len() == MESSAGES).then_some(())
    });
    assert!(arrived.is_sorted_by(|one, next| one.as_str() < next.as_str()), "each once, in order");
}
