//! What a reader gets that comes back with a place, whatever became of the log meanwhile: exactly
//! what comes next, or a gap that says why not. On every transport alike.

use std::collections::HashSet;

use serde_json::json;

use crate::gaps::{overfill, plain, told};
use crate::support::{Event, TestServer, Transport};

fn server(flags: &str) -> TestServer {
    TestServer::durable(&format!("--udp 127.0.0.1:0 {flags}"))
}

fn publish(server: &TestServer, texts: &[&str]) -> Vec<Event> {
    texts.iter().map(|text| server.publish("t", text)).collect()
}

fn ids<'a>(events: &[&'a [Event]]) -> HashSet<&'a str> {
    events.iter().copied().flatten().map(Event::id).collect()
}

/// Asserts that just these messages come after a place, and no gap.
fn assert_exact(server: &TestServer, place: &str, expected: &[Event]) {
    for way in Transport::WITH_IDS {
        let mut reader = way.read(server, "t", place);
        let heard = reader.messages(expected.len());
        let gap = reader.first().into_iter().chain(&heard).find_map(Event::gap);
        assert_eq!(gap, None, "{way:?} since {place}");
        assert_eq!(plain(&heard), plain(expected), "{way:?} since {place}");
    }
}

/// Asserts that a place is told as a gap of this kind, and just these messages come after it.
fn assert_told(server: &TestServer, place: &str, reason: &str, expected: &[Event]) {
    for way in Transport::WITH_IDS {
        let (gap, events) = told(way, server, place, expected.len());
        let right = json!({"after": place, "before": expected[0].id(), "reason": reason});
        assert_eq!(gap, right, "{way:?}");
        assert_eq!(plain(&events), plain(expected), "{way:?} since {place}");
    }
}

#[test]
fn a_place_is_exact_however_many_starts_lie_between() {
    let mut server = server("");
    let mut published = Vec::new();
    // Each with how many messages were published before it.
    let mut places = Vec::new();
    for run in 0..6 {
        let opened = server.lines().subscribe("t since=none").id().to_owned();
        places.push((opened, published.len()));
        // One start sees no message at all.
        for text in if run == 3 { &[][..] } else { &["one", "two"] } {
            let event = server.publish("t", text);
            published.push(event.clone());
            places.push((event.id().to_owned(), published.len()));
        }
        if run % 2 == 0 {
            server.kill();
        } else {
            server.stop();
        }
        server.restart();
    }
    published.push(server.publish("t", "the end"));
    assert_eq!(ids(&[&published]).len(), published.len());
    for (place, before) in &places {
        assert_exact(&server, place, &published[*before..]);
    }
}

/// A log that was put back to a copy of itself, which a server wrote to that went on afterwards.
struct Restored {
    server: TestServer,
    /// What the copy has.
    held: Vec<Event>,
    /// What was published after it was made.
    gone: Vec<Event>,
}

impl Restored {
    fn of_a_running_server() -> Self {
        let mut server = server("");
        let held = publish(&server, &["m0", "m1", "m2"]);
        let copy = server.copy_data("copy");
        let gone = publish(&server, &["m3", "m4", "m5", "m6", "m7"]);
        server.stop();
        server.restore_data(&copy);
        server.restart();
        Self { server, held, gone }
    }

    fn of_a_stopped_server() -> Self {
        let mut server = server("");
        let held = publish(&server, &["m0", "m1", "m2"]);
        server.stop();
        let copy = server.copy_data("copy");
        server.restart();
        let gone = publish(&server, &["m3", "m4", "m5", "m6", "m7"]);
        server.stop();
        server.restore_data(&copy);
        server.restart();
        Self { server, held, gone }
    }
}

#[test]
fn a_place_that_a_restored_copy_does_not_have_is_told_as_lost_and_nothing_held_is_skipped() {
    let Restored { server, held, gone } = Restored::of_a_running_server();
    let new = publish(&server, &["n0", "n1", "n2"]);
    for place in &gone {
        assert_told(&server, place.id(), "lost", &new);
    }
    for (index, place) in held.iter().enumerate() {
        assert_exact(&server, place.id(), &[&held[index + 1..], &new].concat());
    }
    assert_eq!(ids(&[&held, &gone, &new]).len(), 11, "no id stands for two messages");
}

#[test]
fn a_place_that_is_ahead_of_a_restored_copy_misses_nothing_that_is_published_then() {
    let Restored { server, gone, .. } = Restored::of_a_running_server();
    let place = gone.last().unwrap().id();
    let poll = server.get(&format!("/t/json?poll=1&since={place}"));
    assert!(poll.header("doorbell-gap").unwrap().contains("\"reason\":\"lost\""));
    assert!(poll.body.is_empty());
    let next = poll.next();
    let pushing = Transport::PUSHING.into_iter().chain([Transport::EventSource, Transport::Udp]);
    let mut readers: Vec<_> = pushing.map(|way| (way, way.read(&server, "t", place))).collect();
    let new = server.publish("t", "n0");
    for (way, reader) in &mut readers {
        let gap = reader.first().unwrap().gap().expect("a gap").clone();
        assert_eq!(gap["reason"], "lost", "{way:?}");
        assert_eq!(plain(&reader.messages(1)), [new.plain()], "{way:?}");
    }
    assert_eq!(server.poll("t", next), [new]);
}

#[test]
fn a_place_of_a_start_that_a_restored_copy_never_had_is_foreign_and_everything_held_follows() {
    let Restored { server, held, gone } = Restored::of_a_stopped_server();
    let new = publish(&server, &["n0", "n1", "n2", "n3", "n4"]);
    let everything = [&held[..], &new].concat();
    for place in &gone {
        assert_told(&server, place.id(), "foreign", &everything);
    }
    assert_exact(&server, held[0].id(), &everything[1..]);
    assert_eq!(ids(&[&everything, &gone]).len(), 13, "no id stands for two messages");
}

#[test]
fn a_place_of_a_start_that_is_no_longer_remembered_has_expired() {
    let mut server = server("--retention-bytes 256KiB");
    let opened = server.lines().subscribe("t since=none").id().to_owned();
    let first = server.publish("t", "one");
    for _ in 0..3 {
        server.kill();
        server.restart();
    }
    let held = overfill(&server);
    // Where it is remembered what became of the first start, and where it no longer is.
    for _ in 0..2 {
        for place in [&opened, first.id()] {
            assert_told(&server, place, "expired", &held);
        }
        server.stop();
        server.restart();
    }
}

#[test]
fn a_place_of_a_start_that_saw_no_message_has_expired_as_any_other() {
    let mut server = server("--retention-bytes 256KiB");
    let place = server.lines().subscribe("t since=none").id().to_owned();
    server.kill();
    server.restart();
    // What was let go takes with it what its segments remembered.
    overfill(&server);
    let held = overfill(&server);
    for _ in 0..2 {
        assert_told(&server, &place, "expired", &held);
        server.stop();
        server.restart();
    }
}
