//! What holds whichever way is taken.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::{Event, Lines, Request, TestServer, Transport, datagrams};

#[test]
fn an_event_has_the_same_bytes_on_every_transport() {
    for server in TestServer::plain_and_encrypted() {
        let request = Request::post("/t", "naïve \"text\"\nof two lines 🔔")
            .header("Title", "T")
            .header("Tags", "a,b")
            .header("Priority", "high")
            .header("Actions", "view, Open, https://a.example")
            .header("Markdown", "yes");
        let held = Event::parse(server.send(&request).text().trim_end());
        let mut readers = Transport::ALL.map(|way| (way, way.read(&server, "t", "all")));
        let live = Event::parse(server.send(&request).text().trim_end());
        for (way, reader) in &mut readers {
            let lines = reader.messages(2).into_iter().map(|event| event.line);
            assert_eq!(
                lines.collect::<Vec<_>>(),
                [held.line.clone(), live.line.clone()],
                "{way:?}"
            );
        }
    }
}

#[test]
fn every_transport_selects_by_lists_and_wildcards() {
    for server in TestServer::plain_and_encrypted() {
        let mut readers = Transport::ALL.map(|way| (way, way.read(&server, "a.*,b", "none")));
        let topics = ["a", "a.x", "b", "b.x", "c", "a.y", "a.x.y"];
        let published = topics.map(|topic| server.publish(topic, topic));
        let wanted = [1, 2, 5].map(|index: usize| published[index].clone());
        for (way, reader) in &mut readers {
            assert_eq!(reader.messages(3), wanted, "{way:?}");
        }
    }
}

#[test]
fn every_transport_hands_over_from_held_to_live() {
    for server in TestServer::plain_and_encrypted() {
        let texts: Vec<String> = (0..700).map(|n| format!("message {n}")).collect();
        server.publish_all("t", &texts[..600]);
        let mut readers = Transport::ALL.map(|way| (way, way.read(&server, "t", "all")));
        server.publish_all("t", &texts[600..]);
        let all = server.poll("t", "all");
        assert_eq!(all.len(), 700);
        for (way, reader) in &mut readers {
            assert_eq!(reader.messages(700), all, "{way:?}");
        }
    }
}

#[test]
fn a_reader_from_now_on_misses_nothing_after_it_was_answered() {
    for server in TestServer::plain_and_encrypted() {
        server.publish("t", "before");
        for way in Transport::ALL {
            let mut reader = way.read(&server, "t", "none");
            let event = server.publish("t", "after");
            assert_eq!(reader.message(), event, "{way:?}");
        }
    }
}

#[test]
fn the_newest_of_each_topic_come_first_where_latest_is_asked_for() {
    for server in TestServer::plain_and_encrypted() {
        let [_, b1, a2] = ["a", "b", "a"].map(|topic| server.publish(topic, topic));
        for way in Transport::ALL {
            let mut reader = way.read(&server, "a,b", "latest");
            assert_eq!(reader.messages(2), [b1.clone(), a2.clone()], "{way:?}");
        }
    }
}

#[test]
fn milliseconds_are_refused_and_a_time_within_a_day_is_a_place_that_is_new() {
    let server = TestServer::with("--udp 127.0.0.1:0");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let millis = now * 1000;
    let paths = ["json?poll=1&", "json?poll=1&wait=1s&", "json?", "sse?", "raw?", "ws?"];
    let refusals = paths.map(|path| {
        let request = Request::get(&format!("/t/{path}since={millis}"));
        let request = match path {
            "ws?" => request
                .header("Connection", "Upgrade")
                .header("Upgrade", "websocket")
                .header("Sec-WebSocket-Version", "13")
                .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            _ => request,
        };
        let response = server.send(&request);
        assert_eq!(response.status, 400, "{path}");
        Event::parse(response.text().trim_end())
    });
    let subscribe = format!("SUB t since={millis}");
    let refusals = refusals.into_iter().chain([
        server.lines().ask(&subscribe),
        Lines::greeted_unix(&server.unix()).ask(&subscribe),
        datagrams::ask("127.0.0.1", server.listener("udp"), &subscribe),
    ]);
    for refusal in refusals {
        assert_eq!(refusal.code(), 40008, "{}", refusal.line);
        for said in [&millis.to_string(), "in seconds", "seems to be in milliseconds"] {
            assert!(refusal.line.contains(said), "{}", refusal.line);
        }
    }
    let soon = (now + 80_000).to_string();
    for way in Transport::ALL {
        let mut reader = way.read(&server, "t", &soon);
        let event = server.publish("t", "after");
        assert_eq!(reader.message(), event, "{way:?}");
    }
}
