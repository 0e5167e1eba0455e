//! Lost ground is said aloud: on the first event after it, whatever the transport.

use std::fs;

use serde_json::{Value, json};

use crate::support::http::Request;
use crate::support::id::{ahead, foreign};
use crate::support::{Event, TestServer, Transport, eventually, messages, seqs};

/// The gap that a reader is told first, and the messages that come with and after it.
pub(crate) fn told(
    way: Transport,
    server: &TestServer,
    since: &str,
    count: usize,
) -> (Value, Vec<Event>) {
    if matches!(way, Transport::Poll | Transport::LongPoll) {
        let wait = if way == Transport::LongPoll { "&wait=30s" } else { "" };
        let response = server.get(&format!("/t/json?poll=1&since={since}{wait}"));
        let header = response.header("doorbell-gap").expect("the header Doorbell-Gap");
        let gap: Value = serde_json::from_str(header).unwrap();
        let events = response.events();
        assert_eq!(events.first().and_then(Event::gap), Some(&gap), "{way:?}");
        return (gap, events);
    }
    let mut reader = way.read(server, "t", since);
    let first = reader.first().unwrap().clone();
    let events = reader.messages(count);
    let told: Vec<&Value> = std::iter::once(&first).chain(&events).filter_map(Event::gap).collect();
    assert_eq!(told.len(), 1, "told once, by {way:?}");
    // The opening event stands before the loss if its id is the place that was asked for.
    assert!(first.gap().or(events[0].gap()).is_some(), "told on the first event, by {way:?}");
    (told[0].clone(), events)
}

/// The messages, without what is told of their delivery.
pub(crate) fn plain(events: &[Event]) -> Vec<Value> {
    events.iter().map(Event::plain).collect()
}

#[test]
fn what_expired_by_age_is_told_on_every_transport() {
    let server = TestServer::durable("--udp 127.0.0.1:0 --retention-age 1500ms");
    let asked = server.publish("t", "one");
    server.publish("t", "two");
    eventually("both expire", || server.poll("t", "all").is_empty().then_some(()));
    for way in Transport::WITH_IDS {
        let held = server.publish("t", "held");
        let (gap, events) = told(way, &server, asked.id(), 1);
        assert_eq!((&gap["after"], &gap["reason"]), (&json!(asked.id()), &json!("expired")));
        assert_eq!(gap["before"], events[0].id(), "{way:?}: the first that is held");
        assert!(seqs(&events) <= seqs(&[held]), "{way:?}");
    }
}

/// Publishes more than a log of 256 KiB keeps, and waits until it keeps no more than that.
pub(crate) fn overfill(server: &TestServer) -> Vec<Event> {
    server.publish_all("t", &vec!["x".repeat(1000); 400]);
    eventually("the log is cut", || {
        let bytes = server.stats()["log"]["bytes"].as_u64().unwrap();
        (bytes <= 256 << 10).then(|| server.poll("t", "all"))
    })
}

#[test]
fn what_expired_by_size_is_told_on_every_transport() {
    for server in [
        TestServer::durable("--udp 127.0.0.1:0 --retention-bytes 256KiB"),
        TestServer::with("--udp 127.0.0.1:0 --retention-bytes 256KiB"),
    ] {
        let asked = server.publish("t", "one");
        let held = overfill(&server);
        for way in Transport::WITH_IDS {
            let (gap, events) = told(way, &server, asked.id(), held.len());
            let expected =
                json!({"after": asked.id(), "before": held[0].id(), "reason": "expired"});
            assert_eq!(gap, expected, "{way:?}");
            assert_eq!(plain(&events), plain(&held), "{way:?}");
        }
    }
}

#[test]
fn the_newest_message_outlives_a_burst_that_is_larger_than_what_is_kept() {
    for server in [
        TestServer::durable("--retention-bytes 64KiB"),
        TestServer::with("--retention-bytes 64KiB"),
    ] {
        for _ in 0..5 {
            server.publish_all("t", &vec!["x".repeat(1000); 300]);
            let newest = server.poll("t", "latest");
            assert_eq!(newest.len(), 1, "{}", server.stats()["log"]);
        }
    }
}

#[test]
fn who_asks_for_what_expired_is_told_even_if_nothing_is_held() {
    let server = TestServer::durable("--retention-age 500ms");
    let asked = server.publish("t", "one");
    server.publish("t", "two");
    eventually("both expire", || server.poll("t", "all").is_empty().then_some(()));
    for way in Transport::PUSHING {
        let mut reader = way.read(&server, "t", asked.id());
        let gap = reader.first().unwrap().gap().cloned();
        let gap = gap.unwrap_or_else(|| reader.event().gap().expect("a gap").clone());
        assert_eq!((&gap["after"], &gap["reason"]), (&json!(asked.id()), &json!("expired")));
    }
    let poll = server.get(&format!("/t/json?poll=1&since={}", asked.id()));
    assert!(poll.body.is_empty());
    assert!(poll.header("doorbell-gap").is_some_and(|gap| gap.contains("\"expired\"")));
    let next = poll.next().to_owned();
    let then = server.get(&format!("/t/json?poll=1&since={next}"));
    assert_eq!(then.header("doorbell-gap"), None, "told once");
}

#[test]
fn a_stream_tells_in_its_header_that_what_it_asked_for_expired() {
    let server = TestServer::durable("--retention-age 500ms");
    let asked = server.publish("t", "one");
    server.publish("t", "two");
    eventually("both expire", || server.poll("t", "all").is_empty().then_some(()));
    for kind in ["json", "sse", "raw"] {
        let path = format!("/t/{kind}?since={}", asked.id());
        let stream = Request::get(&path).stream_from(server.http);
        let gap = stream.head.header("doorbell-gap").unwrap_or_else(|| panic!("none on {kind}"));
        assert!(gap.contains("\"reason\":\"expired\""), "{gap}");
    }
}

#[test]
fn who_is_within_what_is_held_is_told_of_no_gap() {
    let server = TestServer::durable("--retention-bytes 256KiB");
    let held = overfill(&server);
    for way in Transport::ALL {
        for since in ["all", held[0].id(), "1h"] {
            let mut reader = way.read(&server, "t", since);
            assert!(reader.first().is_none_or(|first| first.gap().is_none()), "{way:?} {since}");
            assert!(reader.message().gap().is_none(), "{way:?} {since}");
        }
    }
}

#[test]
fn an_id_of_another_log_is_told_as_foreign_and_everything_held_follows() {
    let server = TestServer::with("--udp 127.0.0.1:0");
    server.publish_all("t", &["1", "2", "3"]);
    let held = server.poll("t", "all");
    // Of another doorbell, of one whose ids were lower case, and of another program of the dialect.
    let others = ["7q2000000016", "zzAbCdEfGhIj"].map(str::to_owned);
    for since in [foreign(held[1].id())].into_iter().chain(others) {
        for way in Transport::WITH_IDS {
            let (gap, events) = told(way, &server, &since, 3);
            let expected = json!({"after": since, "before": held[0].id(), "reason": "foreign"});
            assert_eq!(gap, expected, "{way:?}");
            assert_eq!(plain(&events), plain(&held), "{way:?}");
        }
    }
}

#[test]
fn a_log_in_memory_is_another_one_after_a_restart() {
    let mut server = TestServer::start();
    let before = server.publish("t", "forgotten");
    server.stop();
    // One start in 134,217,728 draws the same epoch again.
    server.restart();
    server.publish("t", "new");
    let (gap, events) = told(Transport::Tcp, &server, before.id(), 1);
    assert_eq!((&gap["reason"], messages(&events)), (&json!("foreign"), vec!["new"]));
}

#[test]
fn an_id_that_this_log_has_not_reached_is_told_as_a_gap_and_not_guessed_at() {
    let server = TestServer::start();
    let event = server.publish("t", "one");
    let ahead = ahead(event.id(), 1_000_000);
    for way in Transport::PUSHING {
        let reader = way.read(&server, "t", &ahead);
        let gap = reader.first().unwrap().gap().expect("a gap").clone();
        assert_eq!(gap["after"], ahead, "{way:?}");
    }
    let response = server.get(&format!("/t/json?poll=1&since={ahead}"));
    assert!(response.header("doorbell-gap").is_some());
}

#[test]
fn http_answers_tell_a_gap_in_a_header_too() {
    let server = TestServer::start();
    let event = server.publish("t", "x");
    let since = foreign(event.id());
    for kind in ["json", "sse", "raw"] {
        let stream = Request::get(&format!("/t/{kind}?since={since}")).stream_from(server.http);
        let gap = stream.head.header("doorbell-gap").unwrap_or_else(|| panic!("none on {kind}"));
        assert!(gap.contains("\"reason\":\"foreign\""), "{gap}");
        let poll = server.get(&format!("/t/{kind}?poll=1&since={since}"));
        assert_eq!(poll.header("doorbell-gap"), Some(gap), "{kind}");
    }
    let empty = server.get(&format!("/quiet/json?poll=1&since={since}"));
    assert!(empty.body.is_empty() && empty.header("doorbell-gap").is_some());
}

#[test]
fn a_client_that_knows_the_newest_message_is_told_of_its_gap_all_the_same() {
    let server = TestServer::start();
    let event = server.publish("t", "x");
    let tag = server.get("/t/json?poll=1").header("etag").unwrap().to_owned();
    let path = format!("/t/json?poll=1&since={}", foreign(event.id()));
    let response = server.send(&Request::get(&path).header("If-None-Match", &tag));
    assert!(response.header("doorbell-gap").is_some(), "{}", response.status);
}

#[test]
fn a_browser_hears_of_a_gap_in_the_open_event() {
    let server = TestServer::start();
    let event = server.publish("t", "x");
    let since = foreign(event.id());
    let mut stream =
        Request::get("/t/sse").header("Last-Event-ID", &since).stream_from(server.http);
    let open = stream.sse().unwrap();
    assert_eq!(open.name, "open");
    assert_eq!(Event::parse(&open.data).gap().unwrap()["after"], since);
}

#[test]
fn raw_text_is_not_silent_about_a_gap_either() {
    let server = TestServer::start();
    let event = server.publish("t", "text");
    let since = foreign(event.id());
    let mut stream = Request::get(&format!("/t/raw?since={since}")).stream_from(server.http);
    let first = stream.line().unwrap();
    assert!(first.contains("\"gap\":{\"after\""), "{first}");
    assert_eq!(stream.line().as_deref(), Some("text"));
    let mut lines = server.lines();
    let ok = lines.subscribe(format_args!("t since={since} format=raw"));
    assert_eq!(ok.gap().unwrap()["reason"], "foreign");
    assert_eq!(lines.line().as_deref(), Some("text"));
}

#[test]
fn a_reader_that_retention_overtakes_is_never_told_a_broken_story() {
    let server = TestServer::durable("--retention-bytes 256KiB");
    let mut lines = server.lines();
    lines.subscribe("t since=all");
    server.publish_all("t", &vec!["x".repeat(4000); 2000]);
    let mut place = 0;
    while place < 2000 {
        let event = lines.event();
        if event.kind() != "message" && event.gap().is_none() {
            continue;
        }
        if let Some(gap) = event.gap() {
            assert_eq!(gap["reason"], "expired");
            let before = gap["before"].as_str().unwrap();
            let seq = event.seq();
            assert!(event.kind() != "message" || before == event.id(), "{seq} after {gap}");
        } else {
            assert_eq!(event.seq(), place + 1, "without a gap nothing is skipped");
        }
        place = event.seq();
    }
}

/// Stops the server, changes one bit of the message that says so, and starts it again.
fn damage(server: &mut TestServer) {
    server.stop();
    let segment = server.segments().pop().expect("a log has a segment");
    let mut bytes = fs::read(&segment).unwrap();
    let place = bytes.windows(6).position(|bytes| bytes == b"victim").expect("its text");
    bytes[place] ^= 1;
    fs::write(&segment, bytes).unwrap();
    server.restart();
}

#[test]
fn a_damaged_message_is_a_gap_and_the_rest_is_served() {
    let mut server = TestServer::durable("--udp 127.0.0.1:0");
    let published = ["1", "2", "victim", "4", "5"].map(|text| server.publish("t", text));
    damage(&mut server);
    for way in Transport::ALL.into_iter().chain([Transport::Udp]) {
        let mut reader = way.read(&server, "t", "all");
        let heard = reader.messages(4);
        assert_eq!(messages(&heard), ["1", "2", "4", "5"], "{way:?}");
        let gaps: Vec<Option<&Value>> = heard.iter().map(Event::gap).collect();
        let expected = json!({
            "after": published[1].id(), "before": published[3].id(), "reason": "damaged",
        });
        assert_eq!(gaps, [None, None, Some(&expected), None], "{way:?}");
    }
    let response = server.get("/t/json?poll=1&since=all");
    assert!(response.header("doorbell-gap").is_some_and(|gap| gap.contains("damaged")));
    assert_eq!(server.publish("t", "6").seq(), 6, "publishing goes on");
}

#[test]
fn a_damaged_message_of_another_topic_is_no_gap_of_this_one() {
    let mut server = TestServer::durable("");
    server.publish("t", "1");
    server.publish("other", "victim");
    server.publish("t", "3");
    damage(&mut server);
    let mut reader = Transport::Tcp.read(&server, "other", "all");
    let live = server.publish("other", "after");
    let event = reader.event();
    assert_eq!(event.gap().map(|gap| &gap["reason"]), Some(&json!("damaged")), "{}", event.line);
    if event.kind() != "message" {
        assert_eq!(reader.message(), live);
    }
    assert_eq!(messages(&server.poll("t", "all")), ["1", "3"]);
}
