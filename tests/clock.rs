//! A clock on the wall that goes either way, under the real server.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Event, Request, TestServer, eventually, messages, skip_unless_ci};

/// A clock that stands where it is set, for servers that are started by it.
struct FalseClock {
    folder: TempDir,
    library: PathBuf,
}

impl FalseClock {
    /// `None` where there is no library that tells a program another time.
    fn new() -> Option<Self> {
        let found = Command::new("find").args(["/usr/lib", "-name", "libfaketimeMT.so.1"]).output();
        let found = String::from_utf8(found.unwrap().stdout).unwrap();
        let Some(library) = found.lines().next() else {
            skip_unless_ci("libfaketime");
            return None;
        };
        let clock = Self { folder: tempfile::tempdir().unwrap(), library: library.into() };
        clock.set("2026-11-29 12:00:00");
        Some(clock)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("time")
    }

    fn set(&self, time: &str) {
        fs::write(self.file(), format!("@{time}\n")).unwrap();
    }

    fn server(&self, flags: &str) -> TestServer {
        let variables = vec![
            ("LD_PRELOAD", self.library.clone()),
            ("FAKETIME_TIMESTAMP_FILE", self.file()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("TZ", "UTC".into()),
        ];
        TestServer::durable_with(flags, variables)
    }
}

fn time(event: &Event) -> u64 {
    serde_json::from_str::<Value>(&event.line).unwrap()["time"].as_u64().unwrap()
}

/// How far a time is from another one, in seconds.
fn is_near(event: &Event, expected: u64) -> bool {
    time(event).abs_diff(expected) < 60
}

#[test]
fn a_clock_that_once_said_2030_marks_one_message_and_no_other() {
    const NOON: u64 = 1_795_953_600;
    let Some(clock) = FalseClock::new() else { return };
    let mut server = clock.server("--retention-age 12h");
    let first = server.publish("a", "A");
    clock.set("2030-01-01 00:00:00");
    let ahead = server.publish("a", "B");
    clock.set("2026-11-29 12:05:00");
    let third = server.publish("a", "C");
    clock.set("2026-11-29 14:00:00");
    let fourth = server.publish("a", "D");
    assert!(is_near(&first, NOON) && is_near(&third, NOON + 300), "{}", third.line);
    assert!(is_near(&fourth, NOON + 7200) && time(&ahead) > NOON + 80_000_000);
    assert_eq!(messages(&server.poll("a", "10m")), ["D"]);
    assert_eq!(messages(&server.poll("a", "3h")), ["A", "B", "C", "D"]);
    server.stop();
    server.restart();
    let fifth = server.publish("a", "E");
    assert!(is_near(&fifth, NOON + 7200), "{}", fifth.line);
    // Back by an hour, and a start there.
    clock.set("2026-11-29 13:00:00");
    let sixth = server.publish("a", "F");
    server.stop();
    server.restart();
    let seventh = server.publish("a", "G");
    assert!(is_near(&sixth, NOON + 3600) && is_near(&seventh, NOON + 3600));
    let held = server.poll("a", "all");
    assert_eq!(messages(&held), ["A", "B", "C", "D", "E", "F", "G"]);
    let ids: Vec<&str> = held.iter().map(Event::id).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    // Years ahead, while it runs: nothing is as old as that.
    clock.set("2031-01-01 00:00:00");
    let eighth = server.publish("a", "H");
    assert_eq!(server.poll("a", seventh.id()), [eighth]);
    assert_eq!(server.poll("a", "all").len(), 8);
}

#[test]
fn a_message_that_waits_is_due_when_the_clock_of_the_wall_says_so() {
    let Some(clock) = FalseClock::new() else { return };
    let mut server = clock.server("--retention-age 10d");
    let later = |server: &TestServer, text: &str, delay: &str| {
        let response = server.send(&Request::post("/a", text).header("In", delay));
        assert_eq!(response.status, 200, "{}", response.text());
    };
    let await_published = |server: &TestServer, texts: &[&str]| {
        eventually("what is due is published", || {
            (messages(&server.poll("a", "all")) == texts).then_some(())
        });
    };
    later(&server, "an hour", "1h");
    later(&server, "at two", "tomorrow, 2pm");
    clock.set("2026-11-29 13:00:01");
    await_published(&server, &["an hour"]);
    server.kill();
    clock.set("2026-11-30 14:00:01");
    server.restart();
    await_published(&server, &["an hour", "at two"]);
}

#[test]
fn a_message_that_waits_is_not_late_when_the_clock_is_set_back_by_years() {
    let Some(clock) = FalseClock::new() else { return };
    let server = clock.server("--retention-age 10d");
    assert_eq!(server.send(&Request::post("/a", "soon").header("In", "10s")).status, 200);
    clock.set("2020-01-01 00:00:00");
    let published = eventually("what is due is published", || server.poll("a", "all").pop());
    assert_eq!(published.message(), "soon");
}

#[test]
fn what_is_due_is_published_once_whenever_the_server_dies() {
    let Some(clock) = FalseClock::new() else { return };
    let mut server = clock.server("--retention-age 10d");
    let mut texts = Vec::new();
    for round in 0..8 {
        let new: Vec<String> = (0..20).map(|number| format!("{round} {number}")).collect();
        for text in &new {
            let request = Request::post("/a", text).header("In", "10m");
            assert_eq!(server.send(&request).status, 200);
        }
        texts.extend(new);
        clock.set(&format!("2026-11-29 {}:00:00", 13 + round));
        // From before the first of them is published to after all are forgotten.
        std::thread::sleep(std::time::Duration::from_millis(150 * round));
        server.kill();
        server.restart();
    }
    let published = eventually("all are published", || {
        let events = server.poll("a", "all");
        (events.len() >= texts.len()).then_some(events)
    });
    let mut found = messages(&published);
    found.sort_unstable();
    texts.sort_unstable();
    assert_eq!(found, texts);
}
