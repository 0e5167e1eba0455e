//! The descriptions for machines, `docs/openapi.json` and `docs/asyncapi.json`, held against a
//! server that runs and against its table of addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{PATIENCE, Request, Response, TestServer};

fn source(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(name)).unwrap()
}

/// A description whose references are followed.
struct Described(Value);

impl Described {
    fn read(name: &str) -> Self {
        Self(serde_json::from_str(&source(name)).unwrap())
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => {
                let found = self.0.pointer(reference.trim_start_matches('#'));
                self.resolve(found.unwrap_or_else(|| panic!("{reference} is nowhere")))
            }
            None => value,
        }
    }

    /// What a value has that its schema does not allow: a type, a name that is missing, a word that
    /// is none of those listed.
    fn faults(&self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        let schema = self.resolve(schema);
        let is_right = match schema["type"].as_str() {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("number") => value.is_number(),
            Some("boolean") => value.is_boolean(),
            _ => true,
        };
        let is_listed = schema["enum"].as_array().is_none_or(|words| words.contains(value));
        if !is_right || !is_listed {
            faults.push(format!("{at}: {value}"));
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            if value.get(name.as_str().unwrap()).is_none() {
                faults.push(format!("{at}: no {name}"));
            }
        }
        for (name, member) in value.as_object().into_iter().flatten() {
            let own = &schema["properties"][name];
            let described = if own.is_null() { &schema["additionalProperties"] } else { own };
            if described.is_null() && schema["properties"].is_object() {
                faults.push(format!("{at}: {name} is not described"));
            }
            self.faults(described, member, &format!("{at}.{name}"), faults);
        }
        for member in value.as_array().into_iter().flatten() {
            self.faults(&schema["items"], member, &format!("{at}[]"), faults);
        }
    }

    fn assert_fits(&self, schema: &Value, value: &Value, at: &str) {
        let mut faults = Vec::new();
        self.faults(schema, value, at, &mut faults);
        assert!(faults.is_empty(), "{faults:?} in {value}");
    }
}

/// One method of one address.
struct Operation<'a> {
    path: &'a str,
    method: String,
    described: &'a Value,
    parameters: Vec<&'a Value>,
}

const METHODS: [&str; 4] = ["get", "post", "put", "delete"];

fn operations(api: &Described) -> Vec<Operation<'_>> {
    let mut operations = Vec::new();
    for (path, item) in api.0["paths"].as_object().unwrap() {
        let shared = item["parameters"].as_array().into_iter().flatten();
        for method in METHODS.into_iter().filter(|method| item.get(method).is_some()) {
            let described = &item[method];
            let own = described["parameters"].as_array().into_iter().flatten();
            let parameters = shared.clone().chain(own).map(|one| api.resolve(one)).collect();
            operations.push(Operation {
                path,
                method: method.to_uppercase(),
                described,
                parameters,
            });
        }
    }
    operations
}

impl Operation<'_> {
    fn parameters(&self, place: &str) -> impl Iterator<Item = (&str, &str)> {
        let found = self.parameters.iter().filter(move |one| one["in"] == place);
        found.map(|one| (one["name"].as_str().unwrap(), one["example"].as_str().unwrap()))
    }

    /// Its address with the examples of the description in it.
    fn address(&self) -> String {
        let fill = |path: String, (name, example): (&str, &str)| {
            path.replace(&format!("{{{name}}}"), example)
        };
        self.parameters("path").fold(self.path.to_owned(), fill)
    }

    /// A request with the example of its body. What would not end is asked as a poll.
    fn request(&self, query: &[(&str, &str)], header: Option<(&str, &str)>) -> Request {
        let streams = ["/{filter}/json", "/{filter}/sse", "/{filter}/raw"].contains(&self.path);
        let mut query = query.to_vec();
        if streams && query.iter().all(|(name, _)| *name != "poll") {
            query.push(("poll", "1"));
        }
        let escape =
            |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let query: Vec<String> =
            query.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
        let mut request =
            Request::new(&self.method, &format!("{}?{}", self.address(), query.join("&")));
        let content = &self.described["requestBody"]["content"];
        for kind in ["application/json", "text/plain"] {
            if let Some(example) = content[kind].get("example") {
                let text = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
                request = request.header("Content-Type", kind).body(text);
            }
        }
        match header {
            Some((name, value)) => request.header(name, value),
            None => request,
        }
    }

    /// Asks it, and expects an answer that is described.
    fn ask(&self, api: &Described, server: &TestServer, request: &Request) -> Response {
        let response = server.send(request);
        self.assert_described(api, &response, &format!("{request:?}"));
        response
    }

    fn assert_described(&self, api: &Described, response: &Response, at: &str) {
        let described = &self.described["responses"][response.status.to_string()];
        assert!(!described.is_null(), "{} is not described: {at}, {response:?}", response.status);
        let described = api.resolve(described);
        let kind = response.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap();
        let content = &described["content"];
        if !response.body.is_empty() && content.is_object() {
            let is_described = content.get(kind).or(content.get("*/*")).is_some();
            assert!(is_described, "{kind} is not described: {at}");
        }
        let schema = &content[kind]["schema"];
        match kind {
            "application/json" => api.assert_fits(schema, &response.json(), at),
            "application/x-ndjson" => {
                for event in response.events() {
                    api.assert_fits(schema, &event.plain(), at);
                }
            }
            _ => {}
        }
        for (name, _) in described["headers"].as_object().into_iter().flatten() {
            let name = name.to_lowercase();
            let is_seldom = ["doorbell-more", "doorbell-gap", "retry-after"].contains(&&*name);
            assert!(is_seldom || response.header(&name).is_some(), "no {name}: {at}");
        }
    }
}

#[test]
fn every_operation_and_parameter_that_is_described_is_answered_as_described() {
    let api = Described::read("docs/openapi.json");
    let server = TestServer::start();
    server.publish("orders.eu", "one");
    // A delay that waits holds its message back, which is no matter here.
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    for operation in operations(&api) {
        if operation.path == "/v1/lab" || operation.path == "/{filter}/ws" {
            // Without an upgrade they are refused; with one they are asked below.
            let response = operation.ask(&api, &server, &operation.request(&[], None));
            assert_eq!(response.status, 400);
            continue;
        }
        let mut count = |response: &Response| *statuses.entry(response.status).or_default() += 1;
        let required: Vec<(&str, &str)> = if operation.path == "/v1/ticket" {
            operation.parameters("query").collect()
        } else {
            Vec::new()
        };
        count(&operation.ask(&api, &server, &operation.request(&required, None)));
        for (name, example) in operation.parameters("query") {
            let mut query = vec![(name, example)];
            if name == "wait" || name == "max" || name == "scheduled" {
                query.push(("poll", "1"));
            }
            let response = operation.ask(&api, &server, &operation.request(&query, None));
            let may_fail = ["email", "filter", "template"].contains(&name);
            assert!(response.status < 400 || may_fail, "{} {name}: {response:?}", operation.path);
            count(&response);
        }
        for header in operation.parameters("header") {
            count(&operation.ask(&api, &server, &operation.request(&[], Some(header))));
        }
    }
    assert!(statuses[&200] > 150, "{statuses:?}");
}

#[test]
fn the_statuses_that_are_described_are_met() {
    let api = Described::read("docs/openapi.json");
    let server = TestServer::start();
    let long = "x".repeat(5000);
    let stored = server.send(&Request::post("/t?filename=a.txt", "0123456789"));
    let file = stored.json()["attachment"]["url"].as_str().unwrap().to_owned();
    let file = &file[file.find("/file/").unwrap()..];
    let etag = server.get("/t/json?poll=1").header("etag").unwrap().to_owned();
    let upgrade = |path: &str| {
        Request::get(path)
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    let cases: [(&str, &str, Request, u16); 15] = [
        ("/{topic}", "POST", Request::post("/a..b", "x"), 400),
        ("/{topic}", "POST", Request::post("/t", "x").header("Content-Encoding", "odd"), 415),
        ("/{topic}", "POST", Request::post("/t", "x").host("evil.example"), 421),
        ("/{topic}", "GET", Request::get("/a..b"), 400),
        ("/", "POST", Request::post("/", format!("{{\"topic\":\"t\",\"title\":\"{long}\"}}")), 400),
        ("/{filter}/json", "GET", Request::get("/t/json?poll=1&since=soon"), 400),
        (
            "/{filter}/json",
            "GET",
            Request::get("/t/json?poll=1").header("If-None-Match", &etag),
            304,
        ),
        ("/{filter}/auth", "GET", Request::get("/a..b/auth"), 400),
        ("/file/{name}", "GET", Request::get(file), 200),
        ("/file/{name}", "GET", Request::get(file).header("Range", "bytes=2-3"), 206),
        ("/file/{name}", "GET", Request::get(file).header("Range", "bytes=99-"), 416),
        ("/file/{name}", "GET", Request::get("/file/unknown"), 404),
        ("/v1/connections", "GET", Request::get("/v1/connections?max=0"), 400),
        ("/{filter}/ws", "GET", upgrade("/t/ws"), 101),
        ("/v1/lab", "GET", upgrade("/v1/lab?page=page1&topic=t"), 101),
    ];
    let operations = operations(&api);
    for (path, method, request, expected) in cases {
        let operation = operations.iter().find(|one| one.path == path && one.method == method);
        let operation = operation.unwrap();
        if expected == 101 {
            assert!(operation.described["responses"]["101"].is_object(), "{path}");
            let mut stream = TcpStream::connect(server.http).unwrap();
            stream.write_all(&request.bytes()).unwrap();
            let mut status = String::new();
            BufReader::new(stream).read_line(&mut status).unwrap();
            assert!(status.starts_with("HTTP/1.1 101 "), "{path}: {status}");
            continue;
        }
        let response = operation.ask(&api, &server, &request);
        assert_eq!(response.status, expected, "{request:?}: {response:?}");
    }
    let hidden = TestServer::with("--lab off --attachment-total 0");
    for (path, method, request, expected) in [
        ("/v1/connections", "GET", Request::get("/v1/connections"), 404),
        ("/{topic}", "PUT", Request::new("PUT", "/t").body(&long), 413),
        ("/{topic}", "POST", Request::post("/t?filename=x", "x"), 400),
    ] {
        let operation = operations.iter().find(|one| one.path == path && one.method == method);
        let response = operation.unwrap().ask(&api, &hidden, &request);
        assert_eq!(response.status, expected, "{request:?}: {response:?}");
    }
}

#[test]
fn every_address_of_the_server_is_described_with_its_methods_and_no_other() {
    let api = Described::read("docs/openapi.json");
    let paths = api.0["paths"].as_object().unwrap();
    let nameless = |path: &str| {
        let parts = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
        parts.collect::<Vec<_>>().join("/")
    };
    let described: BTreeSet<String> = paths.keys().map(|path| nameless(path)).collect();
    assert_eq!(described, addresses(&source("server/src/http/dispatch.rs")));

    let server = TestServer::start();
    for (path, item) in paths {
        let filled = path.replace("{filter}", "a").replace("{topic}", "a");
        let filled =
            filled.replace("{sequence_id}", "b").replace("{name}", "c").replace("{file}", "d");
        let response = server.send(&Request::new("PATCH", &filled));
        assert_eq!(response.status, 405, "{path}");
        let allowed = response.header("allow").unwrap().split(',').filter(|name| *name != "HEAD");
        let allowed: BTreeSet<String> = allowed.map(str::to_lowercase).collect();
        let told = METHODS.iter().filter(|method| item.get(**method).is_some());
        let mut told: BTreeSet<String> = told.map(|&method| method.to_owned()).collect();
        if path == "/{topic}/{sequence_id}" {
            // Its GET is a 404, and not a method that is not allowed.
            told.insert("get".to_owned());
        }
        assert_eq!(told, allowed, "{path}");
    }
}

/// The addresses of the one table of the server, what may be anything as `{}`.
fn addresses(code: &str) -> BTreeSet<String> {
    let table = code.split("match segments {").nth(1).unwrap();
    let table = table.split("_ => None").next().unwrap();
    let mut found = BTreeSet::from(["/static/{}".to_owned()]);
    for line in table.lines().map(str::trim).filter(|line| line.starts_with('[')) {
        let Some((pattern, _)) = line.split_once("] =>").or_else(|| line.split_once("] if")) else {
            // A pattern with a condition on the next line is of what has none.
            continue;
        };
        let mut paths = vec![String::new()];
        for part in pattern.trim_start_matches('[').split(", ") {
            let words: Vec<&str> = part.split('"').skip(1).step_by(2).collect();
            if part == ".." || words == [""] {
                break;
            }
            let words = if words.is_empty() { vec!["{}"] } else { words };
            paths = paths
                .iter()
                .flat_map(|path| words.iter().map(move |word| format!("{path}/{word}")))
                .collect();
        }
        found.extend(paths.into_iter().map(|path| if path.is_empty() { "/".into() } else { path }));
    }
    found
}

#[test]
fn every_line_that_is_described_is_heard_and_what_is_said_is_described() {
    let api = Described::read("docs/asyncapi.json");
    let messages = api.0["components"]["messages"].as_object().unwrap();
    for (_, operation) in api.0["operations"].as_object().unwrap() {
        let channel = api.resolve(&operation["channel"]);
        assert!(channel["messages"].is_object());
        for message in operation["messages"].as_array().unwrap() {
            assert!(api.resolve(message)["payload"].is_object());
        }
    }
    let server = TestServer::with("--udp 127.0.0.1:0");
    let example = |name: &str| messages[name]["examples"][0]["payload"].as_str().unwrap();
    let lines =
        ["Subscribe", "PublishText", "PublishJson", "Unsubscribe", "Ping", "Authenticate", "Quit"];
    let channel = api.0["channels"]["lines"]["messages"].as_object().unwrap();
    let named: BTreeSet<&str> = channel.keys().map(String::as_str).collect();
    assert_eq!(named, lines.iter().copied().chain(["Event"]).collect());
    let mut stream = TcpStream::connect(server.tcp).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut events: Vec<Value> = Vec::new();
    let mut heard = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut hear = |until: &str| {
        while events.iter().all(|event| event["event"] != until) {
            events.push(serde_json::from_str(&heard.next().unwrap().unwrap()).unwrap());
        }
    };
    // What is to be heard is not unsubscribed from before.
    for (said, until) in [(&lines[..3], "message"), (&lines[3..], "close")] {
        let said: String = said.iter().map(|name| format!("{}\n", example(name))).collect();
        stream.write_all(said.as_bytes()).unwrap();
        hear(until);
    }
    for event in &events {
        api.assert_fits(&json!({"$ref": "#/components/schemas/Event"}), event, "lines");
    }
    let kinds: BTreeSet<&str> =
        events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(kinds, BTreeSet::from(["open", "ok", "message", "pong", "error", "close"]));
    assert_eq!(events.iter().filter(|event| event["event"] == "error").count(), 1, "AUTH alone");

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let ask = |text: &str| {
        socket.send_to(text.as_bytes(), server.listener("udp")).unwrap();
        let mut buffer = [0; 2000];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let cookie = ask(&format!("{:<40}", example("DatagramSubscribe")));
    let cookie = cookie.trim();
    assert!(cookie.starts_with("cookie="), "{cookie}");
    for (name, kind) in
        [("DatagramSubscribe", "ok"), ("DatagramPing", "pong"), ("DatagramQuit", "close")]
    {
        let heard = ask(&format!("{} {cookie}", example(name)));
        let event: Value = serde_json::from_str(&heard).unwrap();
        assert_eq!(event["event"], kind, "{name}: {event}");
    }
}
