//! Line clients that have ended their side: one that still listens is served for as long as it
//! likes, and one that has gone gives its place back soon.

use std::time::{Duration, Instant};

use crate::support::{Lines, TestServer, eventually};

const PLACES: usize = 60;

fn connect(server: &TestServer, over_unix: bool) -> Lines {
    if over_unix { Lines::greeted_unix(&server.unix()) } else { Lines::greeted(server.tcp) }
}

#[test]
fn whoever_subscribes_and_closes_leaves_its_place_within_seconds() {
    let server = TestServer::with(&format!("--connections {PLACES}"));
    for over_unix in [false, true] {
        for _ in 0..PLACES * 2 {
            // One connection at a time. Most places stay with those that are there for sure.
            connect(&server, over_unix).subscribe("t");
        }
        let closed = Instant::now();
        eventually("all places but the one that asks are free", || {
            (server.stats()["sockets"] == 1).then_some(())
        });
        let after = closed.elapsed();
        assert!(after < Duration::from_secs(10), "over_unix: {over_unix}: {after:?}");
    }
}

#[test]
fn a_listener_that_has_ended_its_side_is_served_for_many_keepalives() {
    let server = TestServer::with("--keepalive 700ms");
    for over_unix in [false, true] {
        let mut lines = connect(&server, over_unix);
        lines.subscribe("t");
        lines.finish_writing();
        for n in 0..6 {
            assert_eq!(lines.event().kind(), "keepalive", "over_unix: {over_unix}, {n}");
        }
        let event = server.publish("t", "still here");
        let heard = std::iter::repeat_with(|| lines.event());
        assert_eq!(heard.take(3).find(|heard| heard.kind() == "message"), Some(event));
    }
}

#[test]
fn so_many_may_have_ended_their_side_and_no_more() {
    let server = TestServer::with("--connections 40");
    let listen = || {
        let mut lines = server.lines();
        lines.subscribe("t");
        lines.finish_writing();
        lines
    };
    let mut listening: Vec<Lines> = (0..10).map(|_| listen()).collect();
    // Each is looked at when it is heard, so the last one may be any of them.
    listening.push(listen());
    let event = server.publish("t", "for the ten");
    let heard: Vec<_> = listening
        .iter_mut()
        .map(|lines| {
            loop {
                let event = lines.event();
                if event.kind() != "keepalive" {
                    break event;
                }
            }
        })
        .collect();
    assert_eq!(heard.iter().filter(|heard| **heard == event).count(), 10);
    let refused = heard.iter().find(|heard| heard.kind() == "error").expect("one is refused");
    assert_eq!(refused.code(), 50301);
    assert!(refused["error"].as_str().unwrap().contains("10"), "{}", refused.line);
}
