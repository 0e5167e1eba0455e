//! Requests in short: all there is to ask, plainly and oddly. `all` are those whose answers end,
//! `STREAMS` those whose answers do not.
//!
//! A request is written as one line: method and target, and behind each ` | ` a header. Every
//! character is one byte on the wire, so `\u{ff}` is a byte that is no UTF-8. `host` and
//! `content-length` are added where the line does not have them.

/// A request as its line says, with a body.
pub(super) fn with_body(line: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut parts = line.split(" | ");
    let start = parts.next().unwrap_or_default();
    let headers: Vec<&str> = parts.collect();
    let has = |name: &str| headers.iter().any(|header| header.starts_with(name));
    let mut head = format!("{start} HTTP/1.1\r\n");
    if !has("host:") {
        head += "host: localhost\r\n";
    }
    head.extend(headers.iter().map(|header| format!("{header}\r\n")));
    let needs_length = !body.is_empty() || start.starts_with('P');
    if needs_length && !has("content-length:") && !has("transfer-encoding:") {
        head.extend([format!("content-length: {}\r\n", body.len())]);
    }
    let mut bytes = latin1(&head);
    bytes.extend(b"\r\n");
    bytes.extend(body);
    bytes
}

/// A request as its line says, without a body.
pub(super) fn request(line: &str) -> Vec<u8> {
    with_body(line, "")
}

/// Each character as one byte.
pub(super) fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).unwrap()).collect()
}

/// All of them. `tag` is what a poll of `held` says in `ETag`.
pub(super) fn all(tag: &str) -> Vec<Vec<u8>> {
    let mut all = of_every_method();
    all.extend(polls(tag));
    all.extend(GETS.iter().map(|target| request(&format!("GET {target}"))));
    all.extend(PUBLISHES.iter().map(|line| with_body(line, "text")));
    all.extend(OTHERS.iter().map(|line| request(line)));
    all.extend(bodies());
    all.extend(of_many_bytes());
    all.extend(BYTES.iter().map(|bytes| latin1(bytes)));
    all
}

/// Every method at every address.
fn of_every_method() -> Vec<Vec<u8>> {
    let methods = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get",
        "ODD",
    ];
    let targets = [
        "/",
        "/t",
        "/t/publish?message=m",
        "/t/send",
        "/t/trigger",
        "/t/auth",
        "/t/ws",
        "/t/sequence",
        "/t/sequence/clear",
        "/t/sequence/delete",
        "/held/json?poll=1",
        "/held/sse?poll=1",
        "/held/raw?poll=1",
        "/v1/health",
        "/v1/config",
        "/v1/stats",
        "/v1/connections",
        "/v1/lab",
        "/metrics",
        "/static/main.js",
        "/nothing/at/all",
    ];
    let lines =
        targets.iter().flat_map(|target| methods.map(|method| format!("{method} {target}")));
    lines.map(|line| request(&line)).collect()
}

/// Polls in every framing, with every parameter, as programs and pages send them.
fn polls(tag: &str) -> Vec<Vec<u8>> {
    let mut polls = Vec::new();
    for framing in ["json", "sse", "raw"] {
        for query in QUERIES {
            let poll = format!("GET /held/{framing}?poll=1{query}");
            polls.extend([
                request(&poll),
                request(&format!("{poll} | origin: http://elsewhere")),
                request(&format!("{poll} | accept-encoding: gzip")),
                request(&format!("{poll} | if-none-match: {tag}")),
            ]);
        }
        for header in POLL_HEADERS {
            let header = header.replace("TAG", tag);
            polls.push(request(&format!("GET /held/{framing}?poll=1 | {header}")));
        }
        for target in ["held,t*", "held%2Cother", "held,other", "*", "held.>", ">", "held.a"] {
            polls.push(request(&format!("GET /{target}/{framing}?poll=1")));
        }
    }
    polls
}

/// What may stand behind `poll=1`.
const QUERIES: &[&str] = &[
    "",
    "&",
    "&&&",
    "&poll",
    "&poll=0",
    "&since=all",
    "&since=none",
    "&since=latest",
    "&since=none&wait=10ms",
    "&since=none&wait=0",
    "&wait=soon",
    "&wait=-1s",
    "&wait=99999999999999999999s",
    "&since=all&max=1",
    "&since=all&max=2&max=1",
    "&max=0",
    "&max=-1",
    "&max=1.5",
    "&max=10000",
    "&max=10001",
    "&max=99999999999999999999",
    "&max=",
    "&since=zzzzzzzzzzzz",
    "&since=000000000000",
    "&since=never",
    "&since=1",
    "&since=10m",
    "&since=0s",
    "&since=-1",
    "&since=99999999999",
    "&since=99999999999999999999999",
    "&since=%61ll",
    "&since=%FF",
    "&since=%",
    "&since=+all",
    "&since=",
    "&SINCE=none",
    "&priority=5",
    "&priority=9",
    "&tags=none",
    "&title=Title",
    "&message=one",
    "&id=000000000000",
    "&odd=%zz&&=&=x&y",
    "&lastEventId=zzzzzzzzzzzz",
];

/// What may stand in the head of a poll.
const POLL_HEADERS: &[&str] = &[
    "accept-encoding: br",
    "accept-encoding: gzip, deflate, br, zstd",
    "accept-encoding: identity",
    "accept-encoding: gzip;q=0",
    "accept-encoding: *",
    "accept-encoding:",
    "accept-encoding: deflate",
    "accept-encoding: GZIP",
    "accept-encoding: identity | accept-encoding: gzip",
    "accept-encoding: \u{ff}",
    "origin: null",
    "origin:",
    "origin: http://elsewhere | accept-encoding: br",
    "origin: http://one | origin: http://two",
    "if-none-match: *",
    "if-none-match: \"nothing\"",
    "if-none-match: \"nothing\", TAG",
    "if-none-match: \"nothing\" | if-none-match: TAG",
    "if-none-match: TAG | accept-encoding: gzip | origin: http://elsewhere",
    "if-none-match:",
    "last-event-id: zzzzzzzzzzzz",
    "last-event-id: never",
    "x-since: none",
    "Since: never",
    "X-Max: 1",
    "x-wait: 10ms | since: none",
    "since: =?utf-8?q?none?=",
    "range: bytes=0-1",
    "if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT",
    "cache-control: no-cache",
    "authorization: Bearer nothing",
    "odd: \u{e9}",
    "content-type: text/plain; charset=utf-16",
    "connection: close",
    "connection: Keep-Alive",
    "cookie: a=b",
    "accept: text/html",
    "te: trailers",
];

/// Targets of `GET`.
const GETS: &[&str] = &[
    "//",
    "//t",
    "/t/",
    "/t//",
    "/t/json/?poll=1",
    "/t//json?poll=1",
    "//held/json?poll=1",
    "/held/json/?poll=1",
    "/./t",
    "/../t",
    "/t/../held/json?poll=1",
    "/.",
    "/..",
    "/v1",
    "/v1/",
    "/v1/health/",
    "/v1/health?x=1",
    "/v1/nothing",
    "/v1/json?poll=1",
    "/v1/connections?max=0",
    "/v1/connections?max=2",
    "/static",
    "/static/",
    "/static//main.js",
    "/static/.",
    "/static/..",
    "/static/../main.js",
    "/static/%2e%2e/main.js",
    "/static/..%2fmain.js",
    "/static/nothing.js",
    "/static/main",
    "/static/main.js?version=1",
    "/static/main%2Ejs",
    "/static/json",
    "/static/%FF",
    "/static/a/b/c",
    "/static/lane/list.js",
    "/static/lane",
    "/static/lane/",
    "/static/lane/../main.js",
    "/static/lane%2Flist.js",
    "/static/./main.js",
    "/static/../web/main.js",
    "/index.html",
    "/favicon.ico",
    "/robots.txt",
    "/docs",
    "/app",
    "/settings",
    "/file/name",
    "/metrics/",
    "/metrics/json?poll=1",
    "/account/json?poll=1",
    "/%74",
    "/t?x",
    "/t?",
    "/?",
    "/?topic=t",
    "/??poll=1",
    "/held/json?%70oll=1",
    "/held/json?poll=%31",
    "/held/json?poll=yes",
    "/held/json?po=1",
    "/held/json?poll=true&since=all",
    "/held/json?since=all&poll=1",
    "/held/json?since=all&poll=1&wait=60",
    "/held/sse?since=all&poll=1&wait=61s",
    "/held/raw?since=all&poll=1&wait=24h",
    "/t%2Fjson",
    "/held%2Fjson?poll=1",
    "/held/%6Ason?poll=1",
    "/hel%64/json?poll=1",
    "/%3E/json?poll=1",
    "/held.%3E/json?poll=1",
    "/held.>/json?poll=1",
    "/%2A/json?poll=1",
    "/%FF",
    "/%FF/json?poll=1",
    "/%C3%A9/json?poll=1",
    "/%",
    "/%zz",
    "/%2",
    "/%/json?poll=1",
    "/a%00b",
    "/t%20",
    "/t%0d%0ax",
    "/t#fragment",
    "/held/json?poll=1#fragment",
    "/held/json?poll=1&x=#",
    "/t\"",
    "/t<",
    "/t|",
    "/t\\",
    "/t{x}",
    "/t^",
    "/t`",
    "/t;v=1",
    "/t:80",
    "/t@",
    "/t+",
    "/t~",
    "/t'",
    "/t()",
    "/t[]",
    "/\u{e9}",
    "/held/json?poll=1&x=\u{e9}",
    "/held/json?poll=1&x={}",
    "/held/json?poll=1&x=\"<>",
    "/held,/json?poll=1",
    "/,/json?poll=1",
    "/held..a/json?poll=1",
    "/.held/json?poll=1",
    "/a/b/json?poll=1",
    "/t/publish",
    "/t/publish?message=m&title=T",
    "/t/publish?message=%FF",
    "/t/publish?message=a+b%20c&tags=x,y&priority=urgent",
    "/t/publish?priority=9",
    "/t/send?message=%F0%9F%94%94",
    "/t/trigger?",
    "/t/publish/",
    "/v1/publish?message=m",
    "/bad%20topic/publish?message=m",
    "/bad%20topic/auth",
    "/held,other/auth",
    "/t/ws?since=all",
    "/t/JSON?poll=1",
    "/t/other",
    "http://localhost/v1/health",
    "http://localhost/held/json?poll=1",
    "http://localhost",
    "HTTP://elsewhere:80/held/json?poll=1",
    "https://localhost/t",
    "ftp://localhost/t",
    "localhost:80",
    "held/json?poll=1",
    "*",
    "",
];

/// Publishes of the body `text`.
const PUBLISHES: &[&str] = &[
    "PUT /t",
    "POST /t",
    "POST /t?title=from+the%20query&priority=5",
    "POST /t?message=from+the+query",
    "POST /t | TAGS: a,b",
    "POST /t | Title: one | title: two",
    "POST /t | X-Title: one | Title: two",
    "POST /t | Title: =?utf-8?q?caf=C3=A9?=",
    "POST /t | Title: =?UTF-8?B?Y2Fmw6k=?= =?UTF-8?Q?_au_lait?=",
    "POST /t | Title: =?iso-8859-1?q?caf=E9?=",
    "POST /t | Title: =?nothing?q?x?=",
    "POST /t | Title: =?utf-8?q?broken",
    "POST /t | Title: caf\u{c3}\u{a9}",
    "POST /t | Title: caf\u{e9}",
    "POST /t | odd: \u{e9}",
    "POST /t | Title:   spaced   ",
    "POST /t | Title:",
    "POST /t | Title:\t tab\tin it",
    "POST /t | Priority: huge",
    "POST /t | Priority: high",
    "POST /t | Priority: u=1, i",
    "POST /t | priority: i",
    "POST /t | Click: https://example.com/ | Icon: https://example.com/i.png",
    "POST /t | Icon: nothing",
    "POST /t | Click: javascript:alert(1)",
    "POST /t | Actions: view, Open, https://example.com/",
    "POST /t | Actions: nothing",
    "POST /t | Actions: [{\"action\":\"view\",\"label\":\"Open\",\"url\":\"https://example.com/\"}]",
    "POST /t | Markdown: yes",
    "POST /t | content-type: text/markdown",
    "POST /t | content-type: text/markdown; charset=utf-8",
    "POST /t | content-type: Text/Markdown",
    "POST /t | content-type: text/plain; charset=iso-8859-1",
    "POST /t | content-type: application/json",
    "POST /t | content-type: application/x-www-form-urlencoded",
    "POST /t | content-encoding: gzip",
    "POST /t | content-encoding: aes128gcm",
    "POST /t | Email: a@example.com",
    "POST /t | Delay: 10m",
    "POST /t | Call: yes",
    "POST /t | Attach: https://example.com/",
    "POST /t | Filename: f",
    "POST /t | Template: yes",
    "POST /t | Cache: no",
    "POST /t | Firebase: no",
    "POST /t | UnifiedPush: 1",
    "POST /t | Poll-ID: 000000000000",
    "POST /t | X-Sequence-ID: one",
    "POST /t | authorization: Basic bm86bm8=",
    "POST /t | origin: http://elsewhere",
    "POST /t | origin: http://elsewhere | accept-encoding: gzip, br",
    "POST /t | accept-encoding: gzip",
    "POST /t | connection: close",
    "POST /t | connection: CLOSE",
    "POST /t | expect: 200-ok",
    "POST /t | te: trailers",
    "POST /t | content-length: 4",
    "POST /t | content-length: 04",
    "POST /t | content-length: +4",
    "POST /t | content-length: -4",
    "POST /t | content-length: 0x4",
    "POST /t | content-length: 4, 4",
    "POST /t | content-length: 4 | content-length: 4",
    "POST /t | content-length: 4 | content-length: 5",
    "POST /t | content-length: four",
    "POST /t | content-length: 99999999999999999999",
    "POST /t | content-length: 4 | transfer-encoding: identity",
    "POST /t/",
    "POST //t",
    "POST /t/sequence",
    "PUT /t/sequence?title=T | Tags: a",
    "POST /t/json",
    "PUT /t/ws",
    "POST /t/publish",
    "POST /t/bad%20sequence",
    "POST /t/%FF",
    "POST /t/a/b",
    "POST /%74",
    "POST /t%2Fsequence",
    "POST /bad%20topic",
    "POST /bad\"topic",
    "POST /%FF",
    "POST /a,b",
    "POST /a.*",
    "POST />",
    "POST /a..b",
    "POST /a.b.c",
    "POST /metrics",
    "POST /v1",
    "POST /v1/health",
    "POST /static/main.js",
    "POST /docs",
    "POST /nothing/at/all",
    "POST http://localhost/t",
    "POST *",
    "PUT /",
    "DELETE /t",
    "DELETE /t/sequence",
    "PATCH /t",
    "GET /held/json?poll=1",
    "GET /v1/health",
    "GET /",
    "HEAD /t",
    "OPTIONS /t",
];

/// What else is asked without a body.
const OTHERS: &[&str] = &[
    "OPTIONS *",
    "OPTIONS /t | origin: http://elsewhere",
    "OPTIONS /t | origin: http://elsewhere | access-control-request-method: PUT",
    "OPTIONS /t | access-control-request-method: PUT",
    "OPTIONS /t | origin: http://elsewhere | access-control-request-method: POST | \
     access-control-request-headers: title,x-odd",
    "OPTIONS /t | origin: null | access-control-request-method: ODD",
    "OPTIONS /held/json?poll=1 | origin: http://elsewhere | access-control-request-method: GET",
    "OPTIONS /nothing/at/all | origin: http://elsewhere | access-control-request-method: GET",
    "OPTIONS /t | origin: http://elsewhere | access-control-request-method: PUT | \
     access-control-request-private-network: true",
    "OPTIONS / | origin: http://elsewhere | access-control-request-method: PUT | connection: close",
    "GET /nothing/at/all | origin: http://elsewhere",
    "DELETE /t | origin: http://elsewhere",
    "GET /v1/health | origin: http://elsewhere | accept-encoding: gzip",
    "GET /v1/health | connection: close",
    "GET /v1/config | accept-encoding: gzip",
    "GET /static/main.js | accept-encoding: gzip, br",
    "GET /static/main.js | if-none-match: *",
    "GET /static/main.js | range: bytes=0-1",
    "GET / | accept-encoding: gzip",
    "GET / | if-none-match: \"nothing\"",
    "GET / | host: elsewhere",
    "GET / | host: elsewhere | host: nowhere",
    "GET / | host:",
    "GET / | x_odd!: value",
    "GET / | x odd: value",
    "GET / | odd: a\u{0}b",
    "GET / | : nothing",
    "GET / | odd : value",
    "GET / | odd: folded\r\n more",
    "GET /t/ws | upgrade: websocket",
    "GET /t/ws | upgrade: h2c",
    "GET /t | upgrade: websocket | connection: upgrade",
    "GET /t/ws | sec-websocket-version: 13 | sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
    "HEAD /held/json?poll=1 | accept-encoding: gzip",
    "HEAD /held/json?poll=1&since=never",
    "HEAD /held/json",
    "HEAD /static/main.js | if-none-match: *",
    "CONNECT localhost:80",
    "CONNECT /t",
];

/// Bodies by their bytes and by how they come.
fn bodies() -> Vec<Vec<u8>> {
    const MESSAGE_MAX: usize = 4096;
    const JSON_MAX: usize = 2 * MESSAGE_MAX + (16 << 10);
    let json = |bytes: usize| {
        let around = r#"{"topic":"t","message":""}"#.len();
        format!(r#"{{"topic":"t","message":"{}"}}"#, "m".repeat(bytes - around))
    };
    let mut all: Vec<Vec<u8>> = ["POST /t", "PUT /t", "POST /t/sequence", "POST /", "PUT /"]
        .iter()
        .flat_map(|line| {
            [
                with_body(line, ""),
                with_body(line, " \r\n\t "),
                with_body(line, b"\xff"),
                with_body(line, b"caf\xc3\xa9 \x00 \x07"),
                with_body(line, "\u{feff}marked"),
                with_body(line, "x".repeat(MESSAGE_MAX)),
                with_body(line, "x".repeat(MESSAGE_MAX + 1)),
                with_body(line, "x".repeat(10_000)),
                with_body(line, "x".repeat(40_000)),
                with_body(&format!("{line} | content-length: 99999999"), ""),
                with_body(&format!("{line} | transfer-encoding: chunked"), "2\r\nxy\r\n0\r\n\r\n"),
                with_body(&format!("{line} | transfer-encoding: chunked"), "zz\r\n"),
            ]
        })
        .collect();
    all.extend(JSONS.iter().map(|body| with_body("POST /", body)));
    all.extend(
        [json(MESSAGE_MAX), json(JSON_MAX), json(JSON_MAX + 1)]
            .map(|body| with_body("POST /", body)),
    );
    for line in ["POST / | Title: header", "POST /?title=query", "PUT / | content-type: text/plain"]
    {
        all.push(with_body(line, r#"{"topic":"t","title":"body"}"#));
    }
    all
}

/// Bodies of `POST /`.
const JSONS: &[&str] = &[
    "{}",
    "[]",
    "null",
    "no json",
    "{\"topic\":\"t\"",
    "{\"topic\":\"t\"} more",
    "{\"topic\":\"t\",\"message\":\"json\"}",
    "{\"topic\":\"t\",\"message\":7}",
    "{\"topic\":7}",
    "{\"topic\":\"a b\"}",
    "{\"topic\":\"metrics\"}",
    "{\"topic\":\"t\",\"topic\":\"u\"}",
    "{\"topic\":\"t\",\"odd\":{\"deep\":[1,2]}}",
    "{\"topic\":\"t\",\"priority\":9}",
    "{\"topic\":\"t\",\"priority\":5,\"tags\":[\"a\"],\"title\":\"T\",\"markdown\":true}",
    "{\"topic\":\"t\",\"delay\":\"10m\"}",
    "{\"topic\":\"t\",\"actions\":[{\"action\":\"view\",\"label\":\"L\",\"url\":\"https://example.com\"}]}",
    "{\"topic\":\"t\",\"message\":\"\\ud800\"}",
];

/// Heads that are long, or have many lines.
fn of_many_bytes() -> Vec<Vec<u8>> {
    let headers = |count: usize| {
        let headers: String = (0..count).map(|number| format!(" | x-{number}: {number}")).collect();
        [
            request(&format!("GET /held/json?poll=1{headers}")),
            with_body(&format!("POST /t{headers}"), "x"),
        ]
    };
    let mut all: Vec<Vec<u8>> =
        [10, 58, 62, 63, 64, 65, 90, 150].into_iter().flat_map(headers).collect();
    for bytes in [127, 128, 129, 1000, 9000, 15_000, 40_000] {
        let name = "n".repeat(bytes);
        all.extend([
            request(&format!("GET /held/json?poll=1&x={name}")),
            request(&format!("GET /{name}/json?poll=1")),
            request(&format!("GET /held/json?poll=1 | odd: {name}")),
            with_body(&format!("POST /{name}"), "x"),
            with_body(&format!("POST /t | Title: {name}"), "x"),
            with_body(&format!("POST /t?tags={name}"), "x"),
        ]);
    }
    all
}

/// What no line of the short form can say.
const BYTES: &[&str] = &[
    "GET /v1/health HTTP/1.0\r\n\r\n",
    "GET /v1/health HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
    "GET /held/json?poll=1 HTTP/1.0\r\nhost: localhost\r\n\r\n",
    "GET /v1/health HTTP/1.1\r\n\r\n",
    "GET /v1/health HTTP/1.2\r\nhost: localhost\r\n\r\n",
    "GET /v1/health HTTP/3\r\nhost: localhost\r\n\r\n",
    "GET /v1/health\r\n\r\n",
    "GET  /v1/health HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "GET /v1/health  HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "GET /v1/health HTTP/1.1\nhost: localhost\n\n",
    "\r\n\r\nGET /v1/health HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "GET /v1/health HTTP/1.1 \r\nhost: localhost\r\n\r\n",
    "GET /v1/health HTTP/1.1\r\nno colon\r\n\r\n",
    "G\u{e9}T / HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "\u{16}\u{3}\u{1}\u{2}\r\n\r\n",
    "GET /t\u{0} HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "GET /a b HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "POST /t HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "POST /t HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\nx",
];

/// Targets whose answers have no end, and headers.
pub(super) const STREAMS: &[&str] = &[
    "/held/json?since=all",
    "/held/sse?since=all",
    "/held/raw?since=all",
    "/held/sse?since=zzzzzzzzzzzz",
    "/held/json",
    "/held/json?poll=0",
    "/held/json?poll=",
    "/held/json?poll=0&poll=1&since=all",
    "/held/json?POLL=1",
    "/held/json??poll=1",
    "/held/json?since=latest&priority=5",
    "/hel%64/json?since=all",
    "/held,t/raw?since=all",
    "/%3E/json?since=1",
    "/held/sse?since=none | last-event-id: zzzzzzzzzzzz",
    "/held/json?since=none | last-event-id: zzzzzzzzzzzz",
    "/held/sse | last-event-id: 000000000000",
    "/held/sse | accept-encoding: gzip",
    "/held/json | origin: http://elsewhere",
    "/held/raw | origin: http://elsewhere | accept-encoding: br",
    "/held/sse | if-none-match: *",
    "/held/json | connection: close",
    "/held/json?poll=1 | x-poll: 0",
    "/held/sse?wait=1ms",
];
