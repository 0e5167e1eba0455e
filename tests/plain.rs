//! Requests that the server reads by itself, beside the same ones left to its HTTP library: nobody can tell
//! them apart by their answers.

use serde_json::Value;

use crate::support::http::{Connection, Response};
use crate::support::{Event, Request, TestServer, messages};

/// The same request, made so that only the library reads it: with an option of the connection that means
/// nothing.
fn for_the_library(request: &Request) -> Request {
    request.clone().header("Connection", "keep-alive, x-nothing")
}

/// What must be the same: all but the moment, and what is new with each publish.
fn comparable(response: &Response) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let mut body = response.body.clone();
    let mut headers = response.headers.clone();
    headers.retain(|(name, _)| name != "date");
    if let Ok(Value::Object(mut members)) = serde_json::from_slice(&body)
        && members.contains_key("seq")
    {
        for name in ["id", "seq", "time", "time_us", "expires"] {
            members.remove(name).unwrap_or_else(|| panic!("no {name}: {response:?}"));
        }
        body = serde_json::to_vec(&members).unwrap();
        // A seq may have a digit more than the one before.
        headers.retain(|(name, _)| name != "content-length");
    }
    headers.sort();
    (response.status, headers, body)
}

/// Requests for one topic that holds `held`.
fn requests(tag: &str) -> Vec<Request> {
    let get = |path: &str| Request::get(path);
    let long = "again and ".repeat(50);
    let mut requests = vec![
        get("/v1/health"),
        get("/v1/config"),
        get("/t"),
        get("/nothing/here"),
        get("/static/json"),
        get("/v1/json?poll=1"),
        get("/t/auth"),
        get("/t/ws"),
        get("/t/publish?message=m&title=T"),
        Request::new("DELETE", "/t/json"),
        Request::new("OPTIONS", "/t").header("Origin", "http://elsewhere"),
        Request::new("PUT", "/t").body("put"),
        Request::post("/t", "posted"),
        Request::post("/t", ""),
        Request::post("/t", long).header("Title", "=?utf-8?q?caf=C3=A9?="),
        Request::post("/t?title=from+the%20query&priority=5", "x").header("TAGS", "a,b"),
        Request::post("/t", "x").header("Priority", "huge"),
        Request::post("/t", "x".repeat(4097)),
        Request::post("/t", b"\xff"),
        Request::post("/t", "x").header("X-Odd", "\u{e9}"),
        Request::post("/metrics", "x"),
        Request::post("/bad%20topic", "x"),
        Request::post("/t/sequence", "x"),
        Request::post("/", r#"{"topic":"t","message":"json"}"#),
        Request::post("/", "no json"),
    ];
    for framing in ["json", "sse", "raw"] {
        for query in [
            "",
            "&since=all",
            "&since=none",
            "&since=none&wait=10ms",
            "&since=all&max=1",
            "&since=zzzzzzzzzzzz",
            "&since=never",
            "&max=0",
            "&wait=soon",
            "&since=%61ll",
            "&priority=9",
            "&tags=none",
            "&poll",
        ] {
            let poll = get(&format!("/held/{framing}?poll=1{query}"));
            requests.extend([
                poll.clone().header("Origin", "http://elsewhere"),
                poll.clone().header("Accept-Encoding", "gzip"),
                poll.clone().header("If-None-Match", tag),
                poll,
            ]);
        }
        requests.push(get(&format!("/held,t*/{framing}?poll=1")));
        requests.push(get(&format!("/held%2Cother/{framing}?poll=1")));
        requests.push(get(&format!("/held/{framing}?since=never")));
    }
    requests
}

#[test]
fn an_answer_is_the_same_whoever_has_read_the_request() {
    let server = TestServer::start();
    server.publish("held", "one");
    server.publish("held", &"two ".repeat(20));
    let tag = server.get("/held/json?poll=1").header("etag").unwrap().to_owned();
    let (mut plain, mut library) = (Connection::open(server.http), Connection::open(server.http));
    for request in requests(&tag) {
        let by_library = library.exchange(&for_the_library(&request));
        let by_itself = plain.exchange(&request);
        assert_eq!(comparable(&by_itself), comparable(&by_library), "{request:?}");
        assert!(by_itself.header("date").is_some(), "{request:?}");
        if by_itself.header("connection") == Some("close") {
            (plain, library) = (Connection::open(server.http), Connection::open(server.http));
        }
    }
}

#[test]
fn a_stream_begins_the_same_whoever_has_read_the_request() {
    let server = TestServer::start();
    server.publish("t", "held");
    for path in ["/t/json?since=all", "/t/sse?since=zzzzzzzzzzzz", "/t/raw?since=all"] {
        let request = Request::get(path).header("Origin", "http://elsewhere");
        let heads = [request.clone(), for_the_library(&request)].map(|request| {
            let stream = request.stream_from(server.http);
            comparable(&stream.head)
        });
        assert_eq!(heads[0], heads[1], "{path}");
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
