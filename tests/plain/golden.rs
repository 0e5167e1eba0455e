//! What both readers of a request answer, in so many words: where their answers are only compared,
//! a change of both at once would pass unnoticed.

use super::requests::{request, with_body};
use super::{Answer, exchange, for_the_library, served};

/// A request, and its status with the headers that browsers and caches go by, some of them
/// shortened as `SHORT` says.
const GOLDEN: &[(&str, &str)] = &[
    ("GET /", "200 | open | text/html; charset=utf-8"),
    ("GET / | accept-encoding: gzip", "200 | open | text/html; charset=utf-8"),
    ("HEAD /", "200 | open | text/html; charset=utf-8"),
    ("POST /", "400 | open | application/json"),
    ("DELETE /", "405 | open | allow: GET,HEAD,POST,PUT | application/json"),
    ("GET /t", "200 | open | text/html; charset=utf-8"),
    ("HEAD /t", "200 | open | text/html; charset=utf-8"),
    ("PUT /t", "200 | open | application/json"),
    ("POST /t", "200 | open | application/json"),
    ("POST /t | origin: http://elsewhere", "200 | open | exposed | application/json"),
    ("POST /t | Priority: huge", "400 | open | application/json"),
    ("POST /t/sequence", "200 | open | application/json"),
    ("PATCH /t", "405 | open | allow: GET,HEAD,POST,PUT | application/json"),
    ("DELETE /t", "405 | open | allow: GET,HEAD,POST,PUT | application/json"),
    (
        "DELETE /t | origin: http://elsewhere",
        "405 | open | exposed | allow: GET,HEAD,POST,PUT | application/json",
    ),
    ("POST /metrics", "405 | open | allow: GET,HEAD | application/json"),
    ("POST /bad%20topic", "400 | open | application/json"),
    ("GET /t/sequence", "404 | open | application/json"),
    ("GET /t/publish", "200 | open | application/json"),
    ("POST /t/publish", "200 | open | application/json"),
    ("HEAD /t/publish", "405 | open | allow: GET,POST,PUT | application/json"),
    ("GET /t/auth", "200 | open | application/json"),
    ("GET /t/ws", "400 | open | application/json"),
    (
        "GET /held/json?poll=1",
        "200 | open | application/x-ndjson; charset=utf-8 | vary: accept-encoding",
    ),
    (
        "GET /held/json?poll=1 | origin: http://elsewhere",
        "200 | open | exposed | application/x-ndjson; charset=utf-8 | vary: accept-encoding",
    ),
    (
        "GET /held/json?poll=1 | accept-encoding: gzip",
        "200 | open | content-encoding: gzip | application/x-ndjson; charset=utf-8 | vary: accept-encoding",
    ),
    (
        "GET /held/json?poll=1 | accept-encoding: br | origin: http://elsewhere",
        "200 | open | exposed | content-encoding: br | application/x-ndjson; charset=utf-8 | vary: accept-encoding",
    ),
    ("GET /held/json?poll=1 | if-none-match: *", "304 | open"),
    ("GET /held/json?poll=1&since=none", "200 | open | application/x-ndjson; charset=utf-8"),
    ("GET /held/json?poll=1&since=never", "400 | open | application/json"),
    (
        "GET /held/sse?poll=1",
        "200 | open | text/event-stream; charset=utf-8 | vary: accept-encoding",
    ),
    ("GET /held/raw?poll=1", "200 | open | text/plain; charset=utf-8 | vary: accept-encoding"),
    (
        "HEAD /held/json?poll=1",
        "200 | open | application/x-ndjson; charset=utf-8 | vary: accept-encoding",
    ),
    ("POST /held/json", "405 | open | allow: GET,HEAD | application/json"),
    ("DELETE /held/json", "405 | open | allow: GET,HEAD | application/json"),
    ("GET /bad%20topic/json?poll=1", "400 | open | application/json"),
    ("GET /v1/health", "200 | open | application/json"),
    ("GET /v1/health | origin: http://elsewhere", "200 | open | exposed | application/json"),
    ("POST /v1/health", "405 | open | allow: GET,HEAD | application/json"),
    ("GET /v1/config", "200 | open | application/json"),
    ("GET /v1/stats", "200 | open | application/json"),
    ("GET /metrics", "200 | open | text/plain; version=0.0.4; charset=utf-8"),
    ("GET /v1/nothing", "404 | open | application/json"),
    ("GET /static/main.js", "200 | open | text/javascript; charset=utf-8"),
    ("GET /static/main.js | accept-encoding: gzip", "200 | open | text/javascript; charset=utf-8"),
    ("GET /static/style.css", "200 | open | text/css; charset=utf-8"),
    ("GET /static/nothing.js", "404 | open | application/json"),
    ("POST /static/main.js", "405 | open | allow: GET,HEAD | application/json"),
    ("GET /nothing/at/all", "404 | open | application/json"),
    ("GET /nothing/at/all | origin: http://elsewhere", "404 | open | exposed | application/json"),
    ("GET //", "307 | open"),
    ("GET /t/", "307 | open"),
    ("GET /%FF", "400 | open | application/json"),
    ("GET />/json?poll=1", "400 | open | application/json"),
    ("ODD /t", "405 | open | allow: GET,HEAD,POST,PUT | application/json"),
    ("OPTIONS /t", "200 | preflight | open | allow: GET,HEAD,POST,PUT"),
    (
        "OPTIONS /t | origin: http://elsewhere",
        "200 | preflight | open | exposed | allow: GET,HEAD,POST,PUT",
    ),
    (
        "OPTIONS /t | origin: http://elsewhere | access-control-request-method: PUT",
        "200 | preflight | open | exposed | allow: GET,HEAD,POST,PUT",
    ),
    (
        "OPTIONS /held/json?poll=1 | origin: http://elsewhere | access-control-request-method: GET",
        "200 | preflight | open | exposed | allow: GET,HEAD",
    ),
    (
        "OPTIONS /nothing/at/all | origin: http://elsewhere | access-control-request-method: GET",
        "200 | preflight | open | exposed",
    ),
    ("OPTIONS *", "200 | preflight | open"),
];

/// Headers, and how `GOLDEN` says them.
const SHORT: [(&str, &str); 4] = [
    (
        "access-control-allow-headers: *,authorization | access-control-allow-methods: GET,PUT,POST,PATCH,DELETE",
        "preflight",
    ),
    ("access-control-allow-origin: *", "open"),
    (
        "access-control-expose-headers: doorbell-next,doorbell-more,doorbell-gap,etag,retry-after",
        "exposed",
    ),
    ("content-type: ", ""),
];

fn facts(answer: &Answer) -> String {
    let told = ["allow", "content-encoding", "content-type", "vary"];
    let mut facts = answer.status.to_string();
    for (name, value) in &answer.headers {
        if told.contains(&name.as_str()) || name.starts_with("access-control-") {
            facts.extend([format!(" | {name}: {value}")]);
        }
    }
    SHORT.iter().fold(facts, |facts, (long, short)| facts.replace(long, short))
}

#[test]
fn what_browsers_and_caches_go_by_stays_as_it_is() {
    let (server, _) = served();
    for (line, expected) in GOLDEN {
        let request = if line.starts_with('P') { with_body(line, "text") } else { request(line) };
        for request in [for_the_library(&request), request] {
            let answer = exchange(&server, &request);
            assert_eq!(facts(&answer), *expected, "{}", String::from_utf8_lossy(&request));
        }
    }
}
