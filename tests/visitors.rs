//! The limits of one visitor: what is said at each, when it is over, and that others go on.

use std::fs;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::ops::Deref;
use std::thread::sleep;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::support::http::Connection;
use crate::support::{Lines, PATIENCE, Request, Response, TestServer, eventually};

/// Two tokens, and their hashes in the access file.
const TOKENS: [&str; 2] = ["tk_00000000000000000000000000001", "tk_00000000000000000000000000002"];
const ACCESS: &str = r#"
[anonymous]
allow = ["pubsub >"]

[[token]]
name = "one"
sha256 = "6e7af5a583186c79d71ec6714012fd7ef97151dc57581c1a18b7f5b41817a245"
allow = ["pubsub >"]
admin = true

[[token]]
name = "two"
sha256 = "17788bc0a90fc0d574fd55d538a1902224505c91dc65a8855e04a867cfc0195e"
allow = ["pubsub >"]
"#;

/// A server whose clients on this machine are visitors, because it has an access file.
struct Counting {
    server: TestServer,
    _folder: TempDir,
}

impl Counting {
    fn with(flags: &str) -> Self {
        Self::by(ACCESS, flags)
    }

    fn by(access: &str, flags: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.toml");
        fs::write(&file, access).unwrap();
        let server = TestServer::with(&format!("--access {} {flags}", file.display()));
        Self { server, _folder: folder }
    }
}

impl Deref for Counting {
    type Target = TestServer;

    fn deref(&self) -> &TestServer {
        &self.server
    }
}

/// A connection from another address of this machine: `127.0.0.HOST`.
pub(crate) fn connect(host: u8, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, host], 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

fn ask(host: u8, server: &TestServer, request: &Request) -> Response {
    Connection::over(connect(host, server.http)).exchange(request)
}

fn with_token(request: &Request, token: &str) -> Request {
    request.clone().header("authorization", &format!("Bearer {token}"))
}

/// Asserts that an answer is the refusal of that limit, and returns how long it says to wait.
fn refused(response: &Response, code: u32, setting: &str) -> Duration {
    assert_eq!((response.status, &response.json()["code"]), (429, &code.into()));
    let json = response.json();
    let text = json["error"].as_str().unwrap();
    let wait: u64 = response.header("retry-after").unwrap().parse().unwrap();
    assert!(text.contains(&format!("--visitor-{setting}")), "names the setting: {text}");
    assert!(text.ends_with(&format!("try again in {wait} s")), "{text}");
    Duration::from_secs(wait)
}

#[test]
fn each_limit_says_what_it_is_and_when_it_is_over_and_others_are_not_touched() {
    let publish = Request::post("/t", "x".repeat(400));
    let poll = Request::get("/t/json?poll=1&since=all");
    let limits = [
        ("requests", "2/4s", 42901, &poll),
        ("messages", "2/4s", 42908, &publish),
        // Each is some 660 bytes.
        ("bytes", "1KiB/3s", 42905, &publish),
        ("replay", "1KiB/3s", 42905, &poll),
    ];
    for (setting, rate, code, request) in limits {
        let server = Counting::with(&format!("--visitor-{setting} {rate}"));
        assert_eq!(ask(9, &server, &publish).status, 200);
        assert_eq!(ask(9, &server, &Request::post("/t", "y".repeat(200))).status, 200);
        for _ in 0..2 {
            assert_eq!(ask(2, &server, request).status, 200, "{setting}");
        }
        let wait = refused(&ask(2, &server, request), code, setting);
        assert!((1..=4).contains(&wait.as_secs()), "{setting}: {wait:?}");
        assert_eq!(ask(3, &server, request).status, 200, "{setting}: another address");
        sleep(wait);
        assert_eq!(ask(2, &server, request).status, 200, "{setting}: after {wait:?}");
    }
}

#[test]
fn new_topics_are_limited_and_known_ones_are_not() {
    let server = Counting::with("--visitor-topics 2/2h");
    let publish = |host, topic: &str| ask(host, &server, &Request::post(topic, "x"));
    for topic in ["/a", "/b", "/a", "/b"] {
        assert_eq!(publish(2, topic).status, 200);
    }
    let wait = refused(&publish(2, "/c"), 42904, "topics");
    assert_eq!(wait, Duration::from_secs(3600));
    assert_eq!(publish(2, "/a").status, 200);
    assert_eq!(publish(3, "/c").status, 200);
    assert_eq!(publish(2, "/c").status, 200, "it is known now");
}

#[test]
fn health_is_never_refused() {
    let server = Counting::with("--visitor-requests 1/1h");
    assert_eq!(ask(2, &server, &Request::get("/v1/config")).status, 200);
    refused(&ask(2, &server, &Request::get("/v1/config")), 42901, "requests");
    assert_eq!(ask(2, &server, &Request::get("/v1/health")).status, 200);
}

#[test]
fn behind_one_address_everybody_with_a_token_has_limits_of_ones_own() {
    let server = Counting::with("--visitor-messages 2/2h");
    let publish = Request::post("/t", "x");
    for request in
        [publish.clone(), with_token(&publish, TOKENS[0]), with_token(&publish, TOKENS[1])]
    {
        for _ in 0..2 {
            assert_eq!(ask(2, &server, &request).status, 200);
        }
        refused(&ask(2, &server, &request), 42908, "messages");
    }
    // A token's limit is the same from wherever it comes.
    refused(&ask(3, &server, &with_token(&publish, TOKENS[0])), 42908, "messages");
}

#[test]
fn programs_of_this_machine_have_no_limits_until_there_is_an_access_file() {
    let server = TestServer::with("--visitor-messages 1/1h --visitor-requests 1/1h");
    for _ in 0..4 {
        assert_eq!(server.send(&Request::post("/t", "x")).status, 200);
    }
    let server = Counting::with("--visitor-messages 1/1h --visitor-requests 1/1h");
    let mut lines = Lines::greeted_unix(&server.unix());
    for _ in 0..4 {
        assert_eq!(lines.ask("PUB t x").kind(), "ok");
    }
}

#[test]
fn whoever_comes_by_way_of_a_proxy_that_nobody_has_named_is_one_visitor_with_all_others() {
    let server = TestServer::with("--visitor-messages 2/2h");
    let publish = Request::post("/t", "x");
    for (name, value) in [("Forwarded", "for=203.0.113.9"), ("X-Forwarded-For", "203.0.113.8")] {
        assert_eq!(server.send(&publish.clone().header(name, value)).status, 200, "{name}");
    }
    let another = publish.clone().header("X-Forwarded-For", "203.0.113.7");
    refused(&server.send(&another), 42908, "messages");
    for _ in 0..3 {
        assert_eq!(server.send(&publish).status, 200, "a program of this machine");
    }
    let said = server.stderr();
    assert_eq!(said.matches("--trusted-proxies 127.0.0.1").count(), 1, "{said}");
}

#[test]
fn lines_that_come_too_fast_are_taken_later_and_none_is_lost() {
    let server = Counting::with("--visitor-messages 10/1s");
    let began = Instant::now();
    let mut lines = Lines::over_tcp(connect(2, server.tcp));
    assert_eq!(lines.event().kind(), "open");
    let all: String = (0..25).map(|n| format!("PUB t {n}\n")).collect();
    lines.write(all.as_bytes());
    // The end of the peer's side comes while it is not read on.
    lines.finish_writing();
    let stored = lines.events(25);
    assert!(stored.iter().all(|event| event.kind() == "ok"), "{stored:?}");
    assert!(began.elapsed() >= Duration::from_millis(1_500), "{:?}", began.elapsed());
    let texts: Vec<String> =
        server.poll("t", "all").iter().map(|event| event.message().to_owned()).collect();
    assert_eq!(texts, (0..25).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn while_one_conversation_is_held_others_go_on_and_it_hears_what_is_published() {
    let server = Counting::with("--visitor-messages 4/4s");
    let mut held = Lines::over_tcp(connect(2, server.tcp));
    assert_eq!(held.event().kind(), "open");
    held.subscribe("news");
    held.write("PUB t x\n".repeat(5).as_bytes());
    assert!(held.events(4).iter().all(|event| event.kind() == "ok"));
    let mut other = Lines::over_tcp(connect(3, server.tcp));
    assert_eq!(other.event().kind(), "open");
    assert_eq!(other.ask("PUB news now").kind(), "ok");
    assert_eq!(held.event().message(), "now");
    assert_eq!(held.event().kind(), "ok", "the fifth");
}

#[test]
fn a_line_that_would_have_to_wait_long_is_refused_at_once() {
    let server = Counting::with("--visitor-messages 1/1h --visitor-requests 3/3h");
    let mut lines = Lines::over_tcp(connect(2, server.tcp));
    assert_eq!(lines.event().kind(), "open");
    assert_eq!(lines.ask("PUB t x").kind(), "ok");
    let refusal = lines.ask("PUB t x");
    assert_eq!((refusal.kind(), refusal.code()), ("error", 42908));
    for _ in 0..3 {
        assert_eq!(lines.ask("PING").kind(), "pong");
    }
    assert_eq!(lines.ask("PING").code(), 42901);
}

#[test]
fn whoever_guesses_too_often_is_told_so_and_whoever_knows_is_let_in() {
    let server = Counting::with("--visitor-failures 2/2h");
    let poll = Request::get("/t/json?poll=1");
    let wrong = with_token(&poll, "tk_99999999999999999999999999999");
    for _ in 0..2 {
        assert_eq!(ask(2, &server, &wrong).status, 401);
    }
    refused(&ask(2, &server, &wrong), 42909, "failures");
    // To verify a password takes long: it is not even begun.
    let password = poll.clone().header("authorization", "Basic bm9ib2R5Ong=");
    refused(&ask(2, &server, &password), 42909, "failures");
    assert_eq!(ask(2, &server, &with_token(&poll, TOKENS[0])).status, 200);
    assert_eq!(ask(2, &server, &poll).status, 200);
    assert_eq!(ask(3, &server, &wrong).status, 401);

    let mut lines = Lines::over_tcp(connect(2, server.tcp));
    assert_eq!(lines.event().kind(), "open");
    assert_eq!(lines.ask("AUTH tk_99999999999999999999999999999").code(), 42909);
    assert_eq!(lines.ask(format!("AUTH {}", TOKENS[0])).kind(), "ok");
}

#[test]
fn one_address_cannot_take_every_connection() {
    let server = Counting::with("--visitor-connections 2");
    let mut guests = [(); 2].map(|()| Lines::over_tcp(connect(2, server.tcp)));
    for guest in &mut guests {
        assert_eq!(guest.event().kind(), "open");
    }

    let mut third = Lines::over_tcp(connect(2, server.tcp));
    let error = third.event();
    assert_eq!((error.kind(), error.code()), ("error", 42903));
    let text = error["error"].as_str().unwrap();
    assert!(text.contains("2 connections") && text.contains("--visitor-connections"), "{text}");
    assert_eq!(third.line(), None);
    let response = ask(2, &server, &Request::get("/v1/health"));
    assert_eq!((response.status, &response.json()["code"]), (429, &42903.into()));

    assert_eq!(ask(3, &server, &Request::get("/v1/health")).status, 200);
    drop(guests);
    eventually("the places are free again", || {
        (Lines::over_tcp(connect(2, server.tcp)).event().kind() == "open").then_some(())
    });
}

#[test]
fn connections_of_nobody_yet_and_half_closed_ones_are_among_those_of_an_address() {
    let is_full = |server: &TestServer| {
        let refusal = Lines::over_tcp(connect(2, server.tcp)).event();
        assert_eq!((refusal.kind(), refusal.code()), ("error", 42903));
        assert_eq!(Lines::over_tcp(connect(3, server.tcp)).event().kind(), "open");
    };
    let unknown = Counting::by("", "--visitor-connections 2");
    let mut silent = [(); 2].map(|()| Lines::over_tcp(connect(2, unknown.tcp)));
    for lines in &mut silent {
        assert_eq!(lines.event().kind(), "open");
    }
    is_full(&unknown);

    let known = Counting::with("--visitor-connections 2");
    let mut half_closed = [(); 2].map(|()| Lines::over_tcp(connect(2, known.tcp)));
    for lines in &mut half_closed {
        assert_eq!(lines.event().kind(), "open");
        lines.subscribe("t");
        lines.finish_writing();
        // That it is looked after shows that its end was seen.
        assert_eq!(lines.event().kind(), "keepalive");
    }
    is_full(&known);
}

#[test]
fn behind_a_trusted_proxy_the_readers_of_an_address_are_its_connections() {
    let server = TestServer::with("--trusted-proxies 127.0.0.1 --visitor-connections 2");
    let of = |client: &str, path: &str| Request::get(path).header("X-Forwarded-For", client);
    let begin = |client: &str| of(client, "/t/sse").stream_from(server.http);
    let held = [begin("203.0.113.9"), begin("203.0.113.9")];
    assert!(held.iter().all(|stream| stream.head.status == 200));
    for path in ["/t/sse", "/t/json?poll=1&wait=1h"] {
        let refusal = server.send(&of("203.0.113.9", path));
        assert_eq!((refusal.status, &refusal.json()["code"]), (429, &42903.into()), "{path}");
    }
    let publish = Request::post("/t", "x").header("X-Forwarded-For", "203.0.113.9");
    assert_eq!(server.send(&publish).status, 200, "it reads nothing");
    assert_eq!(server.send(&of("203.0.113.8", "/t/json?poll=1")).status, 200, "another address");
    drop(held);
    eventually("there is room again", || {
        (server.send(&of("203.0.113.9", "/t/json?poll=1")).status == 200).then_some(())
    });
}

#[test]
fn one_address_has_at_most_half_of_all_connections() {
    let server = Counting::with("--connections 6");
    let mut guests = [(); 4].map(|()| Lines::over_tcp(connect(2, server.tcp)));
    let kinds = guests.each_mut().map(|guest| guest.event().kind().to_owned());
    assert_eq!(kinds, ["open", "open", "open", "error"]);
}

#[test]
fn a_full_server_keeps_places_for_health_and_for_the_unix_socket() {
    let server = TestServer::with("--connections 2");
    let _guests = [server.lines(), server.lines()];
    let healthy = server.get("/v1/health");
    assert_eq!((healthy.status, &healthy.json()["healthy"]), (200, &true.into()));
    assert_eq!(server.get("/metrics").status, 200);
    for path in ["/t/json?poll=1", "/v1/config", "/t/sse"] {
        let refusal = server.get(path);
        assert_eq!((refusal.status, &refusal.json()["code"]), (503, &50301.into()), "{path}");
    }
    let publish = server.send(&Request::post("/t", "x"));
    assert_eq!(publish.status, 503);
    assert_eq!(Lines::connect(server.tcp).event().code(), 50301);
    let mut lines = Lines::greeted_unix(&server.unix());
    assert_eq!(lines.ask("PUB t x").kind(), "ok");
}

#[test]
fn places_for_health_are_not_kept_by_those_who_ask_nothing() {
    let server = TestServer::with("--connections 1");
    let _guest = server.lines();
    let _silent: Vec<TcpStream> =
        (0..16).map(|_| TcpStream::connect(server.http).unwrap()).collect();
    eventually("health is told again", || {
        let mut connection = Connection::open(server.http);
        (connection.exchange(&Request::get("/v1/health")).status == 200).then_some(())
    });
}

/// A client of datagrams, by hand.
struct Datagrams {
    socket: UdpSocket,
    cookie: String,
}

impl Datagrams {
    fn open(server: &TestServer) -> Self {
        let config = server.get("/v1/config").json();
        let address: SocketAddr = config["listen"]["udp"].as_str().unwrap().parse().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(address).unwrap();
        socket.send(b"PING                     ").unwrap();
        let asking = Self { socket, cookie: String::new() };
        let cookie = asking.hear().trim_end().to_owned();
        Self { cookie, ..asking }
    }

    fn say(&self, text: &str) {
        self.socket.send(format!("{text} {}", self.cookie).as_bytes()).unwrap();
    }

    fn hear(&self) -> String {
        let mut buffer = [0; 2048];
        let length = self.socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    /// How many messages come before a sign of life.
    fn messages(&self) -> usize {
        let mut count = 0;
        loop {
            let event = self.hear();
            if event.contains(r#""event":"message""#) {
                count += 1;
            } else if event.contains(r#""event":"keepalive""#) {
                return count;
            }
        }
    }
}

#[test]
fn whoever_reads_back_by_datagrams_shows_now_and_then_that_it_hears() {
    let server = TestServer::with("--udp 127.0.0.1:0");
    server.publish_all("t", &(0..300).map(|n| n.to_string()).collect::<Vec<_>>());
    let client = Datagrams::open(&server);
    client.say("SUB t since=all");
    assert_eq!(client.messages(), 256);
    client.say("PING");
    assert_eq!(client.messages(), 44);
    server.publish("t", "live");
    assert_eq!(client.messages(), 1);
}

#[test]
fn a_subscription_by_datagrams_is_a_request() {
    let server = Counting::with("--udp 127.0.0.1:0 --visitor-requests 3/3h");
    let client = Datagrams::open(&server);
    client.say("SUB t");
    assert!(client.hear().contains(r#""event":"ok""#));
    client.say("SUB t");
    assert!(client.hear().contains(r#""event":"ok""#));
    client.say("SUB t");
    let refusal = client.hear();
    assert!(refusal.contains("42901") && refusal.contains("--visitor-requests"), "{refusal}");
}

#[test]
fn the_limits_are_told_and_what_passed_them_is_counted() {
    let server =
        Counting::with("--visitor-messages 1/1h --visitor-bytes 2KiB/1m --connections 100");
    let limits = server.get("/v1/config").json()["limits"]["visitor"].clone();
    let expected = serde_json::json!({
        "requests": "6000/1m", "messages": "1/1h", "bytes": "2048/1m", "topics": "1000/1h",
        "replay": "268435456/1m", "failures": "30/30m", "emails": "16/16h", "connections": 50,
        "held": 256 << 20, "held_of_identity": "off",
    });
    assert_eq!(limits, expected);
    assert_eq!(ask(2, &server, &Request::post("/t", "x")).status, 200);
    for _ in 0..3 {
        refused(&ask(2, &server, &Request::post("/t", "x")), 42908, "messages");
    }
    let metrics = server.send(&with_token(&Request::get("/metrics"), TOKENS[0]));
    let text = metrics.text();
    assert!(text.contains("doorbell_limited_total{bucket=\"messages\"} 3"), "{text}");
    assert!(text.contains("doorbell_limited_total{bucket=\"requests\"} 0"), "{text}");
    assert!(text.contains("doorbell_visitors 2"), "{text}");
}

#[test]
fn one_visitor_cannot_push_the_messages_of_others_out_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.toml");
    fs::write(&file, ACCESS).unwrap();
    let flags = "--retention-bytes 1MiB --visitor-held 256KiB --visitor-messages off";
    let mut server = TestServer::durable(&format!("--access {} {flags}", file.display()));
    let precious = with_token(&Request::post("/precious", "do not lose this"), TOKENS[0]);
    assert_eq!(precious.send_to(server.http).status, 200);
    let noise = with_token(&Request::post("/noise", "x".repeat(4000)), TOKENS[1]);
    let mut connection = Connection::open(server.http);
    let flood = (0..1000).map(|_| connection.exchange(&noise));
    let refusal = flood.into_iter().find(|response| response.status != 200).expect("a refusal");
    assert_eq!((refusal.status, &refusal.json()["code"]), (429, &42905.into()));
    let text = refusal.json()["error"].as_str().unwrap().to_owned();
    assert!(text.contains("--visitor-held") && text.contains("262144"), "{text}");
    let wait: u64 = refusal.header("retry-after").unwrap().parse().unwrap();
    assert!((60..=12 * 3600).contains(&wait), "until the oldest message is let go: {wait}");

    // What is held of whom stands in the log.
    server.kill();
    server.restart();
    assert_eq!(noise.send_to(server.http).status, 429);
    assert_eq!(precious.send_to(server.http).status, 200, "others go on");
    let held = with_token(&Request::get("/precious/json?poll=1&since=all"), TOKENS[0]);
    assert_eq!(held.send_to(server.http).events().len(), 2);
}

#[test]
fn one_visitor_has_a_share_of_what_waits_for_its_time() {
    let server = Counting::with("--schedule-max 8");
    let later = Request::post("/t", "x").header("In", "1h");
    let soon = Request::post("/t", "x").header("In", "10m");
    assert_eq!(ask(2, &server, &soon).status, 200);
    assert_eq!(ask(2, &server, &later).status, 200);
    let full = ask(2, &server, &later);
    assert_eq!((full.status, &full.json()["code"]), (429, &42908.into()));
    assert!(full.text().contains("its share is 2 messages"), "{}", full.text());
    let wait: u64 = full.header("retry-after").unwrap().parse().unwrap();
    assert!((590..=601).contains(&wait), "until the first of them goes: {wait}");
    assert_eq!(ask(3, &server, &later).status, 200, "another one has a share too");
}
