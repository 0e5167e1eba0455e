//! Tickets: one reader, once; and what the server says of whoever asks.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::PathBuf;

use tempfile::TempDir;

use crate::support::server::{run, server_command};
use crate::support::{Event, PATIENCE, Request, Response, TestServer};

/// A server, its access file, and a token that may read `orders.>`.
struct Guarded {
    server: TestServer,
    folder: TempDir,
    token: String,
}

impl Guarded {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let token = add(&folder, "reader", "pubsub orders.>");
        let flags = format!("--access {} --udp 127.0.0.1:0", file(&folder).display());
        Self { server: TestServer::with(&flags), folder, token }
    }

    fn authorised(&self, request: Request) -> Response {
        let token = format!("Bearer {}", self.token);
        self.server.send(&request.header("authorization", &token))
    }

    fn ticket(&self, filter: &str) -> String {
        let answer = self.authorised(Request::post("/v1/ticket", format!("filter={filter}")));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let json = answer.json();
        assert!(json["expires"].as_u64().unwrap() > 1_700_000_000);
        json["ticket"].as_str().unwrap().to_owned()
    }

    fn publish(&self, topic: &str, text: &str) {
        assert_eq!(self.authorised(Request::post(&format!("/{topic}"), text)).status, 200);
    }

    fn command(&self, words: &[&str]) {
        let output = run(server_command().args(words).arg("--access").arg(file(&self.folder)));
        assert!(output.status.success(), "{output:?}");
    }
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("access.toml")
}

/// Adds a token, and returns it.
fn add(folder: &TempDir, name: &str, rule: &str) -> String {
    let mut command = server_command();
    let output = run(command
        .args(["token", "add", name, "--allow", rule])
        .args(["--access".as_ref(), file(folder).as_os_str()]));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_ticket_opens_one_stream_and_no_other() {
    let guarded = Guarded::start();
    let ticket = guarded.ticket("orders.%3E");
    let path = format!("/orders.%3E/sse?ticket={ticket}");
    let mut stream = Request::get(&path).stream_from(guarded.server.http);
    assert_eq!(stream.head.status, 200);
    guarded.publish("orders.a", "x");
    while !stream.sse().unwrap().name.is_empty() {}
    let again = guarded.server.get(&path);
    assert_eq!((again.status, again.json()["code"].as_u64()), (401, Some(40101)));
    assert!(again.text().contains("the ticket is wrong, was used, or has expired"));
    assert!(!again.text().contains(&ticket));
}

#[test]
fn a_ticket_is_for_its_filter_and_for_reading_alone() {
    let guarded = Guarded::start();
    let ticket = guarded.ticket("orders.a");
    let foreign = guarded.server.get(&format!("/orders.b/json?poll=1&ticket={ticket}"));
    assert_eq!(foreign.status, 401, "{}", foreign.text());
    assert!(foreign.text().contains("for another filter"));
    let ticket = guarded.ticket("orders.a");
    let publish = guarded.server.get(&format!("/orders.a/publish?message=x&ticket={ticket}"));
    assert_eq!(publish.status, 401, "{}", publish.text());
    let both = Request::get(&format!("/orders.a/json?poll=1&ticket={ticket}"));
    assert_eq!(guarded.authorised(both).status, 400);
    assert_eq!(guarded.server.get(&format!("/orders.a/json?poll=1&ticket={ticket}")).status, 200);
}

#[test]
fn a_ticket_is_made_for_what_may_be_read_by_whoever_may() {
    let guarded = Guarded::start();
    let refused = guarded.authorised(Request::post("/v1/ticket?filter=news", ""));
    assert_eq!((refused.status, refused.json()["code"].as_u64()), (403, Some(40301)));
    assert_eq!(guarded.authorised(Request::post("/v1/ticket", "")).status, 400);
    assert_eq!(guarded.server.send(&Request::post("/v1/ticket?filter=news", "")).status, 403);
    let get = guarded.authorised(Request::get("/v1/ticket?filter=orders.a"));
    assert_eq!((get.status, get.header("allow")), (405, Some("POST,PUT")));
    for _ in 0..64 {
        guarded.ticket("orders.a");
    }
    let more = guarded.authorised(Request::post("/v1/ticket?filter=orders.a", ""));
    assert_eq!(more.status, 429);
    assert!(more.text().contains("limit is 64"), "{}", more.text());
}

#[test]
fn a_reader_by_a_ticket_ends_with_the_token_that_it_was_made_with() {
    let guarded = Guarded::start();
    let other = add(&guarded.folder, "other", "pub orders.a");
    let path = format!("/orders.a/json?ticket={}", guarded.ticket("orders.a"));
    let mut stream = TcpStream::connect(guarded.server.http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&Request::get(&path).bytes()).unwrap();
    let mut beginning = [0; 16];
    stream.read_exact(&mut beginning).unwrap();
    assert_eq!(&beginning[..15], b"HTTP/1.1 200 OK");
    let unused = guarded.ticket("orders.a");
    guarded.command(&["token", "revoke", "reader"]);
    let late = Request::post("/orders.a", "too late");
    let late = late.header("authorization", &format!("Bearer {other}"));
    assert_eq!(guarded.server.send(&late).status, 200);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(!String::from_utf8_lossy(&rest).contains("too late"));
    assert_eq!(guarded.server.get(&format!("/orders.a/json?poll=1&ticket={unused}")).status, 401);
}

#[test]
fn a_page_need_not_know_whether_there_is_an_access_file() {
    let server = TestServer::start();
    let answer = server.send(&Request::post("/v1/ticket?filter=a", ""));
    let ticket = answer.json()["ticket"].as_str().unwrap().to_owned();
    assert_eq!(server.get(&format!("/a/json?poll=1&ticket={ticket}")).status, 200);
}

#[test]
fn a_ticket_lets_datagrams_through_also_when_their_first_was_answered_in_vain() {
    let guarded = Guarded::start();
    let config = guarded.authorised(Request::get("/v1/config")).json();
    let udp: std::net::SocketAddr = config["listen"]["udp"].as_str().unwrap().parse().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(udp).unwrap();
    let ask = |line: &str| {
        let mut buffer = [0; 2048];
        socket.send(line.as_bytes()).unwrap();
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let cookie = ask("SUB orders.a                \n").trim().to_owned();
    let refused = Event::parse(&ask(&format!("SUB orders.a {cookie}\n")));
    assert_eq!(refused.code(), 40301);
    let ticket = guarded.ticket("orders.a");
    let subscribe = format!("SUB orders.a ticket={ticket} {cookie}\n");
    assert_eq!(Event::parse(&ask(&subscribe)).kind(), "ok");
    assert_eq!(Event::parse(&ask(&subscribe)).kind(), "ok", "its answer may have been lost");
    let other = Event::parse(&ask(&format!("SUB orders.b ticket={ticket} {cookie}\n")));
    assert_eq!(other.code(), 40101);
    assert!(!guarded.server.stderr().contains(&ticket));
}

#[test]
fn an_account_is_told_to_whoever_it_is() {
    let guarded = Guarded::start();
    let account = guarded.authorised(Request::get("/v1/account")).json();
    assert_eq!(
        (account["username"].as_str(), account["role"].as_str()),
        (Some("reader"), Some("user"))
    );
    assert_eq!(account["limits"]["message_size"], 4096);
    let anonymous = guarded.server.get("/v1/account").json();
    assert_eq!(
        (anonymous["username"].as_str(), anonymous["role"].as_str()),
        (Some("*"), Some("anonymous"))
    );
    let wrong = Request::get("/v1/account").header("authorization", "Bearer tk_wrong");
    assert_eq!(guarded.server.send(&wrong).status, 401);
    let open = TestServer::start();
    assert_eq!(open.send(&wrong).json()["role"], "anonymous");
}

#[test]
fn whether_a_filter_may_be_read_is_told_truly() {
    let guarded = Guarded::start();
    // Bearer and the token, in base64url as the dialect's clients send it.
    let ask = |path: &str| guarded.server.get(path).status;
    assert_eq!(guarded.authorised(Request::get("/orders.a/auth")).status, 200);
    assert_eq!(guarded.authorised(Request::get("/news/auth")).status, 403);
    assert_eq!(ask("/orders.a/auth"), 403);
    assert_eq!(ask("/orders.a/auth?auth=QmVhcmVyIHRrX3dyb25n"), 401);
    assert!(fs::read_to_string(file(&guarded.folder)).unwrap().contains("reader"));
}

#[test]
fn refusals_and_the_access_file_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let token = add(&folder, "reader", "sub orders.a");
    let admin = add(&folder, "admin", "sub a");
    let text = fs::read_to_string(file(&folder)).unwrap();
    fs::write(file(&folder), format!("{text}admin = true\n")).unwrap();
    let server = TestServer::with(&format!("--access {}", file(&folder).display()));
    let ask = |path: &str, token: &str| {
        server.send(&Request::get(path).header("authorization", &format!("Bearer {token}")))
    };
    assert_eq!(ask("/news/json?poll=1", &token).status, 403);
    assert_eq!(ask("/news/json?poll=1", "tk_wrong").status, 401);
    assert_eq!(server.lines().ask("AUTH tk_wrong").code(), 40101);
    let metrics = ask("/metrics", &admin);
    for line in [
        "doorbell_refused_total{reason=\"unauthorized\"} 2",
        "doorbell_refused_total{reason=\"forbidden\"} 1",
        "doorbell_access_generation{} 1",
        "doorbell_access_file_broken{} 0",
    ] {
        assert!(metrics.text().contains(line), "no {line} in {}", metrics.text());
    }
}
