//! A session: what it tells by itself, what it does when it is told nonsense, and its end.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::{self, Message, client};

use super::{Watch, await_gone, await_row, rows};
use crate::support::{Lines, TestServer, eventually};

/// Sessions at the same time.
const SESSIONS_MAX: usize = 16;

#[test]
fn it_greets_and_then_tells_the_table_and_the_sums_again_and_again() {
    let server = TestServer::start();
    let lines = server.lines();
    let mut watch = Watch::open(&server, "page", "t");
    let hello = watch.hear();
    assert_eq!((&hello["kind"], &hello["udp"]), (&"hello".into(), &false.into()));
    assert_eq!(hello["trace"], false);
    assert_eq!(hello["trace_reason"], "start the server with --trace");
    for _ in 0..2 {
        let table = watch.of_kind("table");
        let rows = table["rows"].as_array().unwrap();
        assert_eq!((&table["total"], rows.len()), (&2.into(), 2), "{table}");
        assert_eq!((&rows[0]["via"], &rows[1]["via"]), (&"lab".into(), &"tcp".into()));
        assert_eq!(rows[0]["peer"], watch.local.to_string());
        assert_eq!(watch.of_kind("wire")["lanes"].as_object().unwrap().len(), 0);
    }
    drop(lines);
    watch.await_frame("the other one is gone", |frame| (frame["total"] == 1).then_some(()));
}

#[test]
fn the_table_is_left_out_where_it_is_not_wanted() {
    let server = TestServer::start();
    let mut watch = Watch::greeted(&server, "page", "t");
    watch.say_and_wait(r#"{"table":false}"#);
    for _ in 0..2 {
        assert_eq!(watch.hear()["kind"], "wire");
    }
    watch.say(r#"{"table":true}"#);
    watch.of_kind("table");
}

#[test]
fn a_table_has_fifty_rows_at_most_and_always_those_of_the_pages_lanes() {
    let server = TestServer::start();
    let mut watch = Watch::greeted(&server, "page", "t");
    let stream = TcpStream::connect(server.http).unwrap();
    let own = stream.local_addr().unwrap().to_string();
    let mut poller = crate::support::http::Connection::over(stream);
    let request = crate::support::Request::get("/t/json?poll=1&lane=page.poll");
    assert_eq!(poller.exchange(&request).status, 200);
    let _lines: Vec<Lines> = (0..60).map(|_| server.lines()).collect();
    watch.await_frame("a full table", |frame| {
        let rows = frame["rows"].as_array().filter(|_| frame["total"] == 62)?;
        assert_eq!(rows.len(), 50);
        let row = rows.iter().find(|row| row["peer"] == own).expect("the poller's row");
        assert_eq!(row["lane"], "poll");
        let numbers: Vec<u64> = rows.iter().map(|row| row["number"].as_u64().unwrap()).collect();
        assert!(numbers.is_sorted_by(|one, next| one > next), "the newest first: {numbers:?}");
        Some(())
    });
    // Of another page's lanes nothing is said.
    let mut other = Watch::greeted(&server, "other", "t");
    let table = other.of_kind("table");
    assert!(table["rows"].as_array().unwrap().iter().all(|row| row.get("lane").is_none()));
}

#[test]
fn nonsense_is_answered_with_an_error_and_the_session_goes_on() {
    let server = TestServer::start();
    let mut watch = Watch::greeted(&server, "page", "t");
    for (frame, expected) in [
        ("hello", "'hello' is no JSON object"),
        (r#"{"run":["sse"]}"#, "is not a list of tcp and udp"),
        (r#"{"run":["udp"]}"#, "the server has no UDP listener, start it with --udp"),
        (r#"{"trace":"ws"}"#, "start the server with --trace"),
        (r#"{"trace":"WS"}"#, "lane 'WS' is not 1 to 16 of a-z"),
        (r#"{"table":1}"#, "table '1' is not true or false"),
        (r#"{"colour":"red"}"#, "'colour' is none of run, trace and table"),
    ] {
        watch.say(frame);
        let error = watch.of_kind("error")["error"].as_str().unwrap().to_owned();
        assert!(error.contains(expected), "{frame}: {error}");
    }
    watch.of_kind("table");
    watch.say(&format!("{{\"run\":[{}]}}", "\"tcp\",".repeat(1000)));
    let code = watch.await_frame("the end of a frame that is too long", serde_json::Value::as_u64);
    assert_eq!(code, 1009);
}

#[test]
fn a_page_that_goes_is_forgotten() {
    let server = TestServer::start();
    let watch = Watch::greeted(&server, "page", "t");
    let own = watch.local;
    await_row(&server, own, "it is there", |row| row["via"] == "lab");
    drop(watch);
    await_gone(&server, own);
}

#[test]
fn there_are_so_many_sessions_and_no_more() {
    let server = TestServer::start();
    let mut watches: Vec<Watch> =
        (0..SESSIONS_MAX).map(|n| Watch::greeted(&server, &format!("page{n}"), "t")).collect();
    let address = "ws://localhost/v1/lab?page=page&topic=t";
    let knock = || client(address, TcpStream::connect(server.http).unwrap()).err();
    let Some(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(refused))) = knock()
    else {
        panic!("one session too many was let in");
    };
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    watches.pop();
    eventually("the place is free again", || knock().is_none().then_some(()));
}

#[test]
fn the_end_of_the_server_is_told_and_holds_nothing_up() {
    let mut server = TestServer::with("--udp 127.0.0.1:0");
    let mut watches: Vec<Watch> =
        (0..3).map(|n| Watch::greeted(&server, &format!("page{n}"), "t")).collect();
    for watch in &mut watches {
        watch.say(r#"{"run":["tcp","udp"]}"#);
        for _ in 0..2 {
            assert_eq!(watch.of_kind("subscriber")["state"], "up");
        }
    }
    let asked = Instant::now();
    server.signal(rustix::process::Signal::TERM);
    for watch in &mut watches {
        let code = watch.await_frame("the end", serde_json::Value::as_u64);
        assert_eq!(code, 1001);
    }
    assert_eq!(server.wait().code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}

#[test]
fn a_page_that_takes_nothing_is_closed_and_what_ran_for_it_ends() {
    let server = TestServer::with("--write-deadline 500ms");
    let mut watch = Watch::greeted(&server, "page", "t");
    watch.say(r#"{"run":["tcp"]}"#);
    assert_eq!(watch.of_kind("subscriber")["state"], "up");
    let _lines: Vec<Lines> = (0..50).map(|_| server.lines()).collect();
    // Tables fill the buffers; nobody reads them.
    watch.socket.send(Message::text("{}")).unwrap();
    let publishing = Instant::now();
    while rows(&server).iter().any(|row| row["via"] == "lab" || row["filter"] == "t") {
        assert!(publishing.elapsed() < Duration::from_secs(60), "the session is still there");
        server.publish_all("t", &vec!["x"; 500]);
    }
}
