//! Requests that the server reads by itself, beside the same ones left to its HTTP library: no
//! answer tells which of the two has read its request.

mod golden;
mod requests;

use serde_json::Value;

use self::requests::{STREAMS, all, request};
use crate::support::http::{Connection, Response};
use crate::support::{Event, Request, TestServer, messages};

/// The same request, made so that only the library reads it: with an option of the connection that
/// means nothing.
fn for_the_library(request: &[u8]) -> Vec<u8> {
    let end = request.windows(4).position(|bytes| bytes == b"\r\n\r\n").filter(|end| *end > 0);
    let Some(end) = end else { return request.to_vec() };
    let (head, rest) = request.split_at(end);
    let lines: Vec<&[u8]> = head.split(|byte| *byte == b'\n').collect();
    let own = lines.iter().position(|line| line.starts_with(b"connection: "));
    let mut changed = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            changed.push(b'\n');
        }
        if own == Some(index) {
            changed.extend([line.trim_ascii_end(), b", x-nothing\r"].concat());
        } else {
            changed.extend(*line);
        }
    }
    if own.is_none() {
        changed.extend(b"\r\nconnection: x-nothing");
    } else if own == Some(lines.len() - 1) {
        // The last line has its end in the rest.
        changed.pop();
    }
    [&changed, rest].concat()
}

/// An answer without what is new each time.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    /// Whether the server answers another request on the same connection.
    goes_on: bool,
}

/// Sends a request on a connection of its own, and another one behind its answer.
fn exchange(server: &TestServer, request: &[u8]) -> Answer {
    let mut connection = Connection::open(server.http);
    connection.write(request);
    let is_head = request.starts_with(b"HEAD ");
    let response =
        if is_head { connection.head().expect("an answer") } else { connection.response() };
    comparable(&response, varies(request), connection.goes_on())
}

/// Whether what is answered changes with each request: what was counted so far, or the id of a new
/// message, whose length alone is seen by `HEAD`.
fn varies(request: &[u8]) -> bool {
    let counts: [&[u8]; 3] = [b"GET /v1/stats", b"GET /v1/connections", b"GET /metrics"];
    request.starts_with(b"HEAD ") || counts.iter().any(|count| request.starts_with(count))
}

fn comparable(response: &Response, varies: bool, goes_on: bool) -> Answer {
    let mut body = String::from_utf8_lossy(&response.body).into_owned();
    let mut headers = response.headers.clone();
    let is_poll = response.header("doorbell-next").is_some();
    let mut has_length = true;
    if let Ok(Value::Object(mut members)) = serde_json::from_str(&body)
        && members.contains_key("seq")
        && !is_poll
    {
        for name in ["id", "seq", "time", "time_us"] {
            members.remove(name).unwrap_or_else(|| panic!("no {name}: {response:?}"));
        }
        // What is not kept does not expire.
        members.remove("expires");
        if let Some(Value::Object(file)) = members.get_mut("attachment") {
            // Each has an address of its own, if it is kept here.
            if file.remove("expires").is_some() {
                file.remove("url");
            }
        }
        body = Value::Object(members).to_string();
        // A seq may have a digit more than the one before.
        has_length = false;
    } else if varies && response.status == 200 {
        body.clear();
        has_length = false;
    }
    headers.retain(|(name, _)| has_length || name != "content-length");
    // That there is a date counts, not which.
    for (_, value) in headers.iter_mut().filter(|(name, _)| name == "date") {
        value.clear();
    }
    headers.sort();
    Answer { status: response.status, headers, body, goes_on }
}

/// A server that holds something, and the tag of that.
fn served() -> (TestServer, String) {
    let server = TestServer::with("--allow-origin *");
    server.publish("held", "one");
    server.publish("held", &"two ".repeat(20));
    server.publish("held.a", "three");
    let tag = server.get("/held/json?poll=1").header("etag").unwrap().to_owned();
    (server, tag)
}

#[test]
fn an_answer_is_the_same_whichever_way_its_request_was_read() {
    let (server, tag) = served();
    let requests = all(&tag);
    let differences = requests.iter().filter_map(|request| {
        let by_library = exchange(&server, &for_the_library(request));
        let by_itself = exchange(&server, request);
        let begin = String::from_utf8_lossy(&request[..request.len().min(300)]);
        (by_itself != by_library)
            .then(|| format!("{begin:?}\n  plain   {by_itself:?}\n  library {by_library:?}"))
    });
    assert_eq!(differences.collect::<Vec<_>>().join("\n"), "");
}

#[test]
fn polls_one_after_another_are_answered_the_same_as_well() {
    let (server, tag) = served();
    let (mut plain, mut library) = (Connection::open(server.http), Connection::open(server.http));
    let polls = all(&tag);
    let goes_on = |request: &&Vec<u8>| {
        request.starts_with(b"GET /held/")
            && !request.windows(12).any(|part| part == b"connection: ")
    };
    let polls: Vec<_> = polls.iter().filter(goes_on).filter(|poll| poll.len() < 1000).collect();
    assert!(polls.len() > 200, "{}", polls.len());
    for poll in polls {
        plain.write(poll);
        library.write(&for_the_library(poll));
        let answers = [&mut plain, &mut library].map(Connection::response);
        let ended = answers.iter().any(|answer| answer.header("connection") == Some("close"));
        let [by_itself, by_library] = answers.map(|answer| comparable(&answer, false, true));
        assert_eq!(by_itself, by_library, "{}", String::from_utf8_lossy(poll));
        if ended {
            (plain, library) = (Connection::open(server.http), Connection::open(server.http));
        }
    }
}

#[test]
fn a_stream_begins_and_goes_on_the_same_whichever_way_its_request_was_read() {
    let (server, _) = served();
    for line in STREAMS {
        let request = request(&format!("GET {line}"));
        let streams = [for_the_library(&request), request].map(|request| {
            let mut connection = Connection::open(server.http);
            connection.write(&request);
            connection.into_stream()
        });
        let last = Request::post("/held", "last").header("Priority", "5");
        assert_eq!(server.send(&last).status, 200);
        let told = streams.map(|mut stream| {
            let mut lines = Vec::new();
            while !lines.last().is_some_and(|line: &String| line.contains("last")) {
                lines.push(stream.line().expect("another line"));
            }
            // These two say when the stream began and when to come back.
            lines.retain(|line| !line.contains(r#""event":"open""#) && !line.starts_with("retry:"));
            (comparable(&stream.head, false, true), lines)
        });
        assert_eq!(told[0], told[1], "{line}");
    }
}

#[test]
fn a_request_may_come_in_two_pieces_cut_anywhere() {
    let server = TestServer::start();
    let post = Request::post("/t?title=T", "the whole text").header("Tags", "a");
    let poll = Request::get("/t/json?poll=1&since=latest").header("X-Odd", "odd");
    let (post, poll) = (post.bytes(), poll.bytes());
    let mut connection = Connection::open(server.http);
    for cut in 1..post.len().max(poll.len()) {
        for request in [&post, &poll] {
            let (begin, end) = request.split_at(cut.min(request.len() - 1));
            connection.write(begin);
            // An answer on another connection: the server has had the time to read the first piece.
            assert_eq!(server.get("/v1/health").status, 200);
            connection.write(end);
            let response = connection.response();
            assert_eq!(response.status, 200, "{cut}");
            assert_eq!(messages(&response.events()), ["the whole text"], "{cut}");
        }
    }
}

#[test]
fn requests_sent_together_are_answered_in_their_order() {
    let server = TestServer::start();
    let poll = Request::get("/t/json?poll=1&since=all");
    let refused = Request::post("/t", "x").header("Priority", "huge");
    let mut together: Vec<Request> = Vec::new();
    for number in 0..20 {
        together.push(Request::post("/t", number.to_string()));
        together.extend((number == 7).then(|| refused.clone()));
        together.extend((number == 11).then(|| poll.clone()));
    }
    together.push(Request::post("/t", "last").header("Connection", "close"));
    together.push(Request::post("/t", "too late"));
    let mut connection = Connection::open(server.http);
    connection.write(&together.iter().flat_map(Request::bytes).collect::<Vec<_>>());
    let published = |response: &Response| Event::parse(response.text()).message().to_owned();
    for number in 0..20_usize {
        let response = connection.response();
        assert_eq!(published(&response), number.to_string());
        if number == 7 {
            assert_eq!(connection.response().status, 400);
        }
        if number == 11 {
            // What was published before it is there, what comes after it is not.
            assert_eq!(connection.response().events().len(), 12);
        }
    }
    let last = connection.response();
    assert_eq!((published(&last).as_str(), last.header("connection")), ("last", Some("close")));
    assert!(connection.is_closed());
    assert_eq!(server.poll("t", "all").len(), 21);
}
