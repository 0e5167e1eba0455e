//! Long polls: the answer is held back until there is one.

use std::time::{Duration, Instant};

use crate::support::http::Connection;
use crate::support::{Request, TestServer, messages};

/// Sends a long poll and returns its connection once the server holds it.
fn wait_at(server: &TestServer, path: &str) -> Connection {
    let mut connection = Connection::open(server.http);
    connection.write(&Request::get(path).bytes());
    server.await_readers("longpoll", 1);
    connection
}

#[test]
fn a_long_poll_is_answered_as_soon_as_there_is_news() {
    let server = TestServer::start();
    let mut waiting = wait_at(&server, "/t/json?poll=1&since=none&wait=60s");
    let event = server.publish("t", "news");
    let published = Instant::now();
    let response = waiting.response();
    assert!(published.elapsed() < Duration::from_secs(5), "not only when the wait ended");
    assert_eq!((response.events(), response.next()), (vec![event.clone()], event.id()));
    server.await_readers("longpoll", 0);
}

#[test]
fn a_long_poll_is_answered_at_once_with_what_is_held() {
    let server = TestServer::start();
    server.publish("t", "held");
    let began = Instant::now();
    let response = server.get("/t/json?poll=1&since=all&wait=60s");
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(messages(&response.events()), ["held"]);
}

#[test]
fn a_long_poll_is_answered_empty_when_its_wait_ends() {
    let server = TestServer::start();
    let event = server.publish("t", "known");
    let began = Instant::now();
    let response = server.get(&format!("/t/json?poll=1&since={}&wait=300ms", event.id()));
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    assert_eq!((response.status, response.body.len()), (200, 0));
    assert_eq!(response.next(), event.id());
}

#[test]
fn a_long_poll_does_not_wake_for_other_topics() {
    let server = TestServer::start();
    let mut waiting = wait_at(&server, "/orders.*/json?poll=1&since=none&wait=60s");
    server.publish("bills.eu", "no");
    server.publish("orders", "no");
    let event = server.publish("orders.eu", "yes");
    assert_eq!(waiting.response().events(), [event]);
}

#[test]
fn a_long_poll_that_selects_waits_for_what_it_selects() {
    let server = TestServer::start();
    let mut waiting = wait_at(&server, "/t/json?poll=1&since=none&wait=60s&tags=door");
    server.publish("t", "no tags");
    server.send(&Request::post("/t", "tagged").header("Tags", "door"));
    assert_eq!(messages(&waiting.response().events()), ["tagged"]);
}

#[test]
fn a_long_poll_with_the_newest_tag_waits_and_then_says_unchanged() {
    let server = TestServer::start();
    server.publish("t", "one");
    let tag = server.get("/t/json?poll=1").header("etag").unwrap().to_owned();
    let ask = |wait: &str| {
        let path = format!("/t/json?poll=1&since=all&wait={wait}");
        Request::get(&path).header("If-None-Match", &tag)
    };
    assert_eq!(server.send(&ask("200ms")).status, 304);
    let mut waiting = Connection::open(server.http);
    waiting.write(&ask("60s").bytes());
    server.await_readers("longpoll", 1);
    server.publish("t", "two");
    let response = waiting.response();
    assert_eq!((response.status, messages(&response.events())), (200, vec!["two"]));
}

#[test]
fn a_wait_is_seconds_or_a_duration_and_anything_else_is_refused() {
    let server = TestServer::start();
    server.publish("t", "held");
    for wait in ["1", "30s", "1m", "500ms", "0", "1h"] {
        assert_eq!(server.get(&format!("/t/json?poll=1&wait={wait}")).status, 200, "{wait}");
    }
    for wait in ["soon", "-1", "1x"] {
        let response = server.get(&format!("/t/json?poll=1&wait={wait}"));
        assert_eq!((response.status, &response.json()["code"]), (400, &40000.into()), "{wait}");
    }
    assert_eq!(server.get("/v1/config").json()["limits"]["wait_seconds_max"], 60);
}

#[test]
fn many_long_polls_of_one_topic_are_all_answered() {
    let server = TestServer::start();
    let request = Request::get("/t/json?poll=1&since=none&wait=60s").bytes();
    let mut waiting: Vec<Connection> = (0..50).map(|_| Connection::open(server.http)).collect();
    for connection in &mut waiting {
        connection.write(&request);
    }
    server.await_readers("longpoll", 50);
    let event = server.publish("t", "for all");
    for connection in &mut waiting {
        assert_eq!(connection.response().events(), std::slice::from_ref(&event));
    }
}

#[test]
fn requests_sent_behind_a_waiting_long_poll_are_answered_after_it_in_order() {
    let server = TestServer::start();
    let mut waiting = wait_at(&server, "/t/json?poll=1&since=none&wait=60s");
    waiting.write(&Request::get("/v1/health").bytes());
    let (whole, half) = (Request::get("/v1/config").bytes(), 20);
    waiting.write(&whole[..half]);
    server.publish("t", "news");
    assert_eq!(messages(&waiting.response().events()), ["news"]);
    assert_eq!(waiting.response().json()["healthy"], true);
    waiting.write(&whole[half..]);
    assert!(waiting.response().json()["version"].is_string());
}

#[test]
fn a_connection_goes_from_long_poll_to_long_poll_and_to_other_requests() {
    let server = TestServer::start();
    let mut place = "none".to_owned();
    let mut connection = Connection::open(server.http);
    for text in ["one", "two", "three"] {
        let path = format!("/t/json?poll=1&since={place}&wait=60s");
        connection.write(&Request::get(&path).bytes());
        server.await_readers("longpoll", 1);
        server.publish("t", text);
        let response = connection.response();
        assert_eq!(messages(&response.events()), [text]);
        place = response.next().to_owned();
        server.await_readers("longpoll", 0);
        let published = connection.exchange(&Request::post("/other", "in between"));
        assert_eq!(published.status, 200);
    }
}

#[test]
fn a_long_poll_that_is_the_last_request_ends_the_connection_with_its_answer() {
    let server = TestServer::start();
    let path = "/t/json?poll=1&since=none&wait=60s";
    let mut waiting = Connection::open(server.http);
    waiting.write(&Request::get(path).header("Connection", "close").bytes());
    server.await_readers("longpoll", 1);
    server.publish("t", "news");
    let response = waiting.response();
    assert_eq!(messages(&response.events()), ["news"]);
    assert_eq!(response.header("connection"), Some("close"));
    assert!(waiting.is_closed());
}

#[test]
fn an_answer_that_was_waited_for_looks_like_one_that_was_not() {
    let server = TestServer::start();
    let mut waiting = wait_at(&server, "/t/json?poll=1&since=none&wait=60s");
    let id = server.publish("t", "news").id().to_owned();
    let waited = waiting.response();
    let at_once = server.get("/t/json?poll=1&since=all&wait=60s");
    assert_eq!(waited.body, at_once.body);
    for name in ["content-type", "content-length", "doorbell-next", "etag", "cache-control", "vary"]
    {
        assert_eq!(waited.header(name), at_once.header(name), "{name}");
    }
    assert!(waited.header("date").is_some() && waited.next() == id);
}

#[test]
fn a_long_poll_is_compressed_when_asked() {
    let server = TestServer::start();
    let mut waiting = Connection::open(server.http);
    let path = "/t/json?poll=1&since=none&wait=60s";
    waiting.write(&Request::get(path).header("Accept-Encoding", "gzip").bytes());
    server.await_readers("longpoll", 1);
    server.publish("t", &"again and ".repeat(100));
    let response = waiting.response();
    assert_eq!(response.header("content-encoding"), Some("gzip"));
    assert!(response.body.starts_with(&[0x1f, 0x8b]) && response.body.len() < 500);
}

/// Waits for so many keepalives of a stream.
fn hear_keepalives(stream: &mut Connection, count: usize) {
    for _ in 0..count {
        let line = stream.line().expect("a stream that goes on");
        assert!(line.contains("keepalive"), "{line}");
    }
}

#[test]
fn what_is_sent_behind_a_waiting_answer_does_not_end_it() {
    let server = TestServer::with("--unfinished 1s --keepalive 400ms");
    let mut stream = Connection::open(server.http);
    stream.write(&Request::get("/t/json").bytes());
    stream.head().unwrap();
    assert!(stream.line().unwrap().contains("open"));
    stream.write(b"\r\n");
    hear_keepalives(&mut stream, 8);

    let mut waiting = wait_at(&server, "/t/json?poll=1&since=none&wait=3s");
    waiting.write(&Request::get("/v1/health").bytes());
    assert_eq!(waiting.response().status, 200);
    assert_eq!(waiting.response().json()["healthy"], true);
}

#[test]
fn a_request_begun_behind_an_answer_must_still_be_finished_in_time() {
    let server = TestServer::with("--unfinished 500ms");
    let mut waiting = wait_at(&server, "/t/json?poll=1&since=none&wait=60s");
    waiting.write(b"GET /v1/hea");
    server.publish("t", "news");
    assert_eq!(messages(&waiting.response().events()), ["news"]);
    assert!(waiting.is_closed());
}

#[test]
fn more_requests_than_the_library_reads_at_once_wait_behind_an_answer_and_none_is_lost() {
    const BEHIND: usize = 600;
    let server = TestServer::with("--header-bytes 20000");
    let mut waiting = wait_at(&server, "/t/json?poll=1&since=none&wait=60s");
    // The next one waits too, so the connection is taken back again with much of this unread.
    let path = "/t/json?poll=1&since=all&max=1&wait=60s";
    let requests: Vec<u8> = (0..BEHIND).flat_map(|_| Request::get(path).bytes()).collect();
    waiting.write(&requests[..19_000]);
    server.publish("t", "news");
    assert_eq!(messages(&waiting.response().events()), ["news"]);
    waiting.write(&requests[19_000..]);
    for number in 0..BEHIND {
        let response = waiting.response();
        assert_eq!(response.status, 200, "{number}");
        assert_eq!(messages(&response.events()), ["news"], "{number}");
    }
}

#[test]
fn who_asks_for_more_and_then_ends_its_side_gets_the_answer_that_is_due() {
    let server = TestServer::start();
    let mut waiting = wait_at(&server, "/t/json?poll=1&since=none&wait=60s");
    waiting.write(&Request::get("/v1/health").bytes());
    waiting.end_writing();
    server.publish("t", "news");
    assert_eq!(messages(&waiting.response().events()), ["news"]);
}

#[test]
fn one_connection_may_go_on_go_back_and_ask_for_something_else() {
    let server = TestServer::start();
    let mut connection = Connection::open(server.http);
    let mut ask = |filter: &str, since: &str, more: &str| {
        let path = format!("/{filter}/json?poll=1&wait=200ms&since={since}{more}");
        connection.write(&Request::get(&path).bytes());
        let response = connection.response();
        let events = response.events();
        let texts = messages(&events).into_iter().map(str::to_owned).collect::<Vec<_>>();
        (texts, response.next().to_owned())
    };
    let one = server.publish("a", "one");
    let (texts, next) = ask("a", "all", "");
    assert_eq!((texts, next.as_str()), (vec!["one".to_owned()], one.id()));
    assert_eq!(ask("a", &next, "").0, [""; 0], "there is nothing after it yet");
    // Between two polls, of its own topic and of another one.
    server.publish("a", "two");
    server.publish("b", "other");
    let (texts, next) = ask("a", &next, "");
    assert_eq!(texts, ["two"]);
    assert_eq!(ask("a", &next, "").0, [""; 0]);
    assert_eq!(ask("a", one.id(), "").0, ["two"], "back to an earlier place");
    assert_eq!(ask("b", one.id(), "").0, ["other"], "another topic from the same place");
    assert_eq!(ask("a,b", one.id(), "").0, ["two", "other"]);
    assert_eq!(ask("a", one.id(), "&priority=high").0, [""; 0], "on a condition");
    assert_eq!(ask("a", one.id(), "").0, ["two"], "and without it");
    server.publish("a", "three");
    server.publish("a", "four");
    let (texts, next) = ask("a", &next, "&max=1");
    assert_eq!(texts, ["three"], "no more than it asks for");
    assert_eq!(ask("a", &next, "").0, ["four"], "and the rest of it with the next one");
}
