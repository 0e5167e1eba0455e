//! HTTP answers that do not end: NDJSON, server-sent events, raw text; and who may ask for them.

use std::process::Command;

use crate::support::client::RunningClient;
use crate::support::http::Stream;
use crate::support::{Event, Request, TestServer, eventually};

fn open(server: &TestServer, path: &str) -> Stream {
    let stream = Request::get(path).stream_from(server.http);
    assert_eq!(stream.head.status, 200);
    stream
}

fn next_messages(stream: &mut Stream, count: usize) -> Vec<Event> {
    let events = std::iter::repeat_with(|| stream.event());
    events.filter(|event| event.kind() == "message").take(count).collect()
}

#[test]
fn a_stream_begins_with_an_open_event_that_carries_its_place() {
    let server = TestServer::start();
    let last = server.publish("t", "before");
    let mut stream = open(&server, "/t,other/json");
    assert_eq!(stream.head.header("content-type"), Some("application/x-ndjson; charset=utf-8"));
    let event = stream.event();
    assert_eq!((event.kind(), event.id()), ("open", last.id()));
    assert_eq!(event["topic"], "t,other", "as it was subscribed");
    assert_eq!(event.members(), ["event", "id", "seq", "time", "time_us", "topic"]);
}

#[test]
fn a_stream_hands_over_from_what_is_held_to_what_is_published() {
    let server = TestServer::start();
    let held = ["one", "two"].map(|text| server.publish("t", text));
    let mut stream = open(&server, "/t/json?since=all");
    let live = ["three", "four"].map(|text| server.publish("t", text));
    assert_eq!(stream.event().kind(), "open");
    assert_eq!(next_messages(&mut stream, 4), [held, live].concat());
}

#[test]
fn a_stream_without_since_begins_now() {
    let server = TestServer::start();
    server.publish("t", "before");
    let mut stream = open(&server, "/t/json");
    let event = server.publish("t", "after");
    assert_eq!(next_messages(&mut stream, 1), [event]);
}

#[test]
fn a_stream_has_wildcards_lists_and_conditions() {
    let server = TestServer::start();
    let mut stream = open(&server, "/a.*,b/json?priority=high");
    let publish = |topic: &str, priority: &str| {
        let request = Request::post(&format!("/{topic}"), topic).header("Priority", priority);
        Event::parse(server.send(&request).text().trim_end())
    };
    publish("a.x", "low");
    publish("c", "high");
    let first = publish("a.y", "4");
    publish("a", "high");
    let second = publish("b", "high");
    assert_eq!(next_messages(&mut stream, 2), [first, second]);
}

#[test]
fn server_sent_events_have_the_bytes_that_the_interface_draws() {
    let server = TestServer::start();
    let held = server.publish("t", "one\ntwo");
    let mut stream = open(&server, "/t/sse?since=all");
    assert_eq!(stream.head.header("content-type"), Some("text/event-stream; charset=utf-8"));
    let first = stream.sse().unwrap();
    assert_eq!(first.name, "open");
    assert_eq!(first.id, Event::parse(&first.data).id());
    assert!(first.bytes.contains("retry: "), "{}", first.bytes);
    let message = stream.sse().unwrap();
    assert_eq!(message.bytes, format!("id: {}\ndata: {}\n\n", held.id(), held.line));
}

#[test]
fn a_stream_comes_in_gzip_to_whoever_asks_while_there_is_a_turn() {
    let mut server = TestServer::with("--compressed-streams 2 --keepalive 100ms");
    let ask = |path: &str, coding: &str| {
        Request::get(path).header("Accept-Encoding", coding).stream_from(server.http)
    };
    let coded = |stream: &Stream| stream.head.header("content-encoding") == Some("gzip");
    let mut stream = ask("/t/json", "br;q=1, gzip;q=0.5");
    assert!(coded(&stream));
    let open = stream.event();
    assert_eq!(open.kind(), "open");
    // Whatever comes can be read at once: messages alone, many together, signs of life.
    assert_eq!(stream.event().kind(), "keepalive");
    let sent: Vec<Event> = (0..20).map(|n| server.publish("t", &format!("ring {n}"))).collect();
    assert_eq!(next_messages(&mut stream, 20), sent);
    for coding in ["identity", "br", "gzip;q=0"] {
        assert!(!coded(&ask("/t/json", coding)), "{coding}");
    }
    let mut held = ask("/t/sse?since=all", "gzip");
    assert!(coded(&held));
    let texts =
        std::iter::repeat_with(|| held.sse().unwrap()).filter(|event| event.name.is_empty());
    let texts: Vec<String> = texts.take(20).map(|event| event.data).collect();
    assert_eq!(texts, sent.iter().map(|event| event.line.clone()).collect::<Vec<_>>());
    let mut third = ask("/t/json", "gzip");
    assert!(!coded(&third), "without a turn it comes as it is");
    assert_eq!(third.event().kind(), "open");
    drop(held);
    eventually("the turn is free", || coded(&ask("/t/raw", "gzip")).then_some(()));
    server.stop();
    // The end is proper: that of the chunks, and that of the coding within.
    while stream.line().is_some() {}
}

#[test]
fn a_stock_client_reads_a_stream_in_gzip_over_either_http() {
    let server = TestServer::with("--compressed-streams 2");
    let url = format!("http://{}/t/json?since=all", server.http);
    let held = server.publish("t", "held");
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let mut command = Command::new("curl");
        let mut curl = RunningClient::start(command.args(["-sNi", "--compressed", version, &url]));
        let lines = std::iter::from_fn(|| curl.line());
        let headers: Vec<String> = lines.take_while(|line| !line.trim().is_empty()).collect();
        assert!(headers.iter().any(|line| line.trim() == "content-encoding: gzip"), "{headers:?}");
        assert_eq!(Event::parse(&curl.line().unwrap()).kind(), "open");
        assert_eq!(curl.line().unwrap(), held.line);
        // It is there as soon as it is published.
        let live = server.publish("t", version);
        assert_eq!(
            std::iter::from_fn(|| curl.line()).find(|line| *line == live.line),
            Some(live.line)
        );
    }
}

#[test]
fn an_event_source_that_comes_back_goes_on_where_it_was() {
    let server = TestServer::start();
    let events = ["one", "two", "three"].map(|text| server.publish("t", text));
    // The address of an EventSource never changes; its header does.
    let request = Request::get("/t/sse?since=all").header("Last-Event-ID", events[1].id());
    let mut stream = request.stream_from(server.http);
    assert_eq!(stream.sse().unwrap().name, "open");
    assert_eq!(stream.sse().unwrap().data, events[2].line);
}

#[test]
fn a_last_id_may_come_in_the_query_as_polyfills_send_it() {
    let server = TestServer::start();
    let events = ["one", "two", "three"].map(|text| server.publish("t", text));
    for name in ["lastEventId", "Last-Event-ID", "last-event-id"] {
        for path in ["sse", "json"] {
            let mut stream =
                open(&server, &format!("/t/{path}?since=all&{name}={}", events[1].id()));
            assert_eq!(text_of_next(path, &mut stream), "three", "{name} {path}");
        }
        let poll = format!("/t/sse?poll=1&since=all&{name}={}", events[1].id());
        let polled = server.get(&poll);
        assert!(polled.text().contains("three") && !polled.text().contains("two"), "{name}");
        // Before the first message a polyfill has none.
        let mut stream = open(&server, &format!("/t/json?since=all&{name}="));
        assert_eq!(text_of_next("json", &mut stream), "one", "{name}");
    }
}

/// The text of the next message, whatever comes before it.
fn text_of_next(path: &str, stream: &mut Stream) -> String {
    loop {
        let event = match path {
            "sse" => Event::parse(&stream.sse().unwrap().data),
            _ => stream.event(),
        };
        if event.kind() == "message" {
            return event.message().to_owned();
        }
    }
}

#[test]
fn what_an_event_source_brings_that_is_no_id_here_is_told_as_a_gap_and_refused_never() {
    let server = TestServer::start();
    let held = server.publish("t", "one");
    let long = "x".repeat(9000);
    for last in ["1700000000", "10m", "all", "none", "latest", "42", "a \u{fc} b", &long] {
        let request = Request::get("/t/sse").header("Last-Event-ID", last);
        let mut stream = request.stream_from(server.http);
        assert_eq!(stream.head.status, 200, "{last:.20}");
        let opened = Event::parse(&stream.sse().unwrap().data);
        assert_eq!(opened["gap"]["reason"], "foreign", "{last:.20}");
        let after = opened["gap"]["after"].as_str().unwrap();
        assert!(last.starts_with(after.trim_end_matches('…')), "{last:.20}: {after}");
        assert!(after.len() <= 128 + '…'.len_utf8(), "{} bytes", after.len());
        assert_eq!(stream.sse().unwrap().data, held.line, "{last:.20}");
    }
}

#[test]
fn when_to_come_back_is_drawn_for_each_stream_between_one_second_and_five() {
    let server = TestServer::start();
    let drawn = || -> u64 {
        let first = open(&server, "/t/sse").sse().unwrap().bytes;
        let line = first.lines().find_map(|line| line.strip_prefix("retry: "));
        line.unwrap_or_else(|| panic!("no retry in {first}")).parse().unwrap()
    };
    let drawn: std::collections::BTreeSet<u64> = std::iter::repeat_with(drawn).take(20).collect();
    assert!(drawn.len() > 10, "{drawn:?}");
    assert!(drawn.iter().all(|millis| (1000..=5000).contains(millis)), "{drawn:?}");
}

#[test]
fn an_open_event_says_how_often_the_server_shows_that_it_lives_if_that_is_seldom() {
    let server = TestServer::with("--keepalive 300s");
    assert_eq!(open(&server, "/t/json").event()["keepalive"], 300);
    let opened = crate::support::websocket::Socket::connect(server.http, "t", "").event();
    assert_eq!(opened["keepalive"], 300);
    let mut lines = crate::support::Lines::connect(server.tcp);
    assert_eq!(lines.event()["keepalive"], 300);
    let part = TestServer::with("--keepalive 41500ms");
    assert_eq!(open(&part, "/t/json").event()["keepalive"], 42, "whole seconds, and no fewer");
    let usual = TestServer::start();
    assert!(open(&usual, "/t/json").event()["keepalive"].is_null());
}

#[test]
fn an_event_source_that_has_seen_no_message_comes_back_too() {
    let server = TestServer::with("--keepalive 100ms");
    let mut stream = open(&server, "/t/sse");
    let open_id = stream.sse().unwrap().id;
    let keepalive = stream.sse().unwrap();
    assert_eq!((keepalive.name.as_str(), &keepalive.id), ("keepalive", &open_id));
    drop(stream);
    let missed = server.publish("t", "while it was away");
    for id in [open_id, keepalive.id] {
        let request = Request::get("/t/sse").header("Last-Event-ID", &id);
        let mut stream = request.stream_from(server.http);
        assert_eq!(stream.sse().unwrap().name, "open");
        assert_eq!(stream.sse().unwrap().data, missed.line);
    }
}

#[test]
fn raw_is_the_texts_alone_a_line_each() {
    let server = TestServer::start();
    server.publish("t", "one\ntwo");
    let mut stream = open(&server, "/t/raw?since=all");
    assert_eq!(stream.head.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(stream.line().as_deref(), Some(""), "open is an empty line");
    assert_eq!(stream.line().as_deref(), Some("one two"));
    server.publish("t", "three");
    assert_eq!(stream.line().as_deref(), Some("three"));
}

#[test]
fn a_quiet_stream_shows_that_it_lives_and_where_it_is() {
    let server = TestServer::with("--keepalive 100ms");
    let mut ndjson = open(&server, "/t/json");
    let mut raw = open(&server, "/t/raw");
    let mut sse = open(&server, "/t/sse");
    assert_eq!(ndjson.event().kind(), "open");
    assert_eq!(sse.sse().unwrap().name, "open");
    let elsewhere = server.publish("other", "moves the place on");
    for _ in 0..2 {
        let event = ndjson.event();
        assert_eq!(event.kind(), "keepalive");
        assert_eq!(event["topic"], "t");
        assert_eq!(sse.sse().unwrap().name, "keepalive");
        assert_eq!(raw.line().as_deref(), Some(""));
    }
    assert!(ndjson.event().id() <= elsewhere.id());
    let event = server.publish("t", "news");
    assert_eq!(next_messages(&mut ndjson, 1), [event]);
}

#[test]
fn the_place_of_a_keepalive_is_one_to_go_on_from() {
    let server = TestServer::with("--keepalive 100ms");
    let mut stream = open(&server, "/t/json?since=all");
    stream.event();
    server.publish("t", "seen");
    next_messages(&mut stream, 1);
    let keepalive = stream.event();
    assert_eq!(keepalive.kind(), "keepalive");
    drop(stream);
    let missed = server.publish("t", "missed");
    assert_eq!(server.poll("t", keepalive.id()), [missed]);
}

#[test]
fn bad_requests_for_streams_are_refused_before_they_begin() {
    let server = TestServer::start();
    for kind in ["json", "sse", "raw"] {
        for (path, code) in [
            (format!("/a..b/{kind}"), 40009),
            (format!("/v1/{kind}"), 40010),
            (format!("/t/{kind}?since=soon"), 40008),
            (format!("/t/{kind}?priority=9"), 40007),
        ] {
            let response = server.get(&path);
            assert_eq!((response.status, &response.json()["code"]), (400, &code.into()), "{path}");
        }
    }
}

#[test]
fn any_page_may_read_if_it_is_allowed_and_sees_the_headers_of_a_poll() {
    let server = TestServer::with("--allow-origin *");
    let with_origin = |path: &str| Request::get(path).header("Origin", "https://page.example");
    let poll = server.send(&with_origin("/t/json?poll=1"));
    assert_eq!(poll.header("access-control-allow-origin"), Some("*"));
    let exposed = poll.header("access-control-expose-headers").unwrap().to_lowercase();
    for header in ["doorbell-next", "doorbell-more", "doorbell-gap", "etag"] {
        assert!(exposed.contains(header), "{header} in {exposed}");
    }
    for kind in ["json", "sse", "raw"] {
        let stream = with_origin(&format!("/t/{kind}")).stream_from(server.http);
        assert_eq!(stream.head.header("access-control-allow-origin"), Some("*"), "{kind}");
    }
}

#[test]
fn a_preflight_allows_every_way_to_publish() {
    let server = TestServer::with("--allow-origin *");
    for path in ["/t", "/", "/t/json", "/t/publish"] {
        let request = Request::new("OPTIONS", path)
            .header("Origin", "https://page.example")
            .header("Access-Control-Request-Method", "PUT")
            .header("Access-Control-Request-Headers", "x-title,priority");
        let response = server.send(&request);
        assert!(matches!(response.status, 200 | 204), "{path}: {}", response.status);
        assert_eq!(response.header("access-control-allow-origin"), Some("*"), "{path}");
        let methods = response.header("access-control-allow-methods").unwrap();
        for method in ["GET", "POST", "PUT"] {
            assert!(methods.contains(method), "{path}: {methods}");
        }
        let headers = response.header("access-control-allow-headers").unwrap();
        // The asterisk stands for every header but this one.
        assert!(headers.contains('*') && headers.contains("authorization"), "{path}: {headers}");
    }
}

#[test]
fn the_permission_check_of_the_dialect_says_yes() {
    let server = TestServer::start();
    let response = server.get("/a,b.c/auth");
    assert_eq!((response.status, response.text().trim()), (200, "{\"success\":true}"));
}
