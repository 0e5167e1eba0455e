//! Rights, as an access file gives them: over every transport, and how they end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustix::process::Signal;

use crate::support::access::token;
use crate::support::http::Connection;
use crate::support::server::{run, server_command};
use crate::support::transport::Reader;
use crate::support::websocket::{Heard, Socket};
use crate::support::{
    AccessFile, Event, Lines, Request, Response, TestServer, Transport, eventually,
};

/// A server with an access file.
fn guarded(text: &str) -> (TestServer, AccessFile) {
    let file = AccessFile::new(text);
    (TestServer::with(&file.flag()), file)
}

/// Somebody who may do everything.
fn root() -> String {
    token("root", "allow = [\"pubsub >\"]\nadmin = true")
}

fn publish_as(token: &str, server: &TestServer, topic: &str, text: &str) -> Response {
    server.send(&Request::post(&format!("/{topic}"), text).token(Some(token)))
}

fn publish(server: &TestServer, topic: &str, text: &str) -> Event {
    let response = publish_as("tk_root", server, topic, text);
    assert_eq!(response.status, 200, "{}", response.text());
    Event::parse(response.text().trim_end())
}

fn texts(events: &[Event]) -> Vec<&str> {
    events.iter().map(Event::message).collect()
}

// --- Credentials ---------------------------------------------------------------------------------

#[test]
fn every_way_of_bringing_a_token_gives_the_same_right() {
    let (server, _file) = guarded(&token("a", "allow = [\"pubsub a\"]"));
    let poll = Request::get("/a/json?poll=1");
    let coded = |value: &str| URL_SAFE_NO_PAD.encode(value);
    let by_query =
        |name: &str, value: &str| Request::get(&format!("/a/json?poll=1&{name}={}", coded(value)));
    let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
    for request in [
        poll.clone().header("Authorization", "Bearer tk_a"),
        poll.clone().header("authorization", "bearer tk_a"),
        poll.clone().header("Authorization", &basic(":tk_a")),
        by_query("auth", "Bearer tk_a"),
        by_query("authorization", &basic(":tk_a")),
    ] {
        let answer = server.send(&request);
        assert_eq!(answer.status, 200, "{request:?}: {}", answer.text());
    }
    assert_eq!(server.send(&poll).status, 403);
    assert_eq!(server.send(&poll.clone().header("Authorization", "Digest x")).status, 403);
    assert_eq!(Socket::connect_as(Some("tk_a"), server.http, "a", "").err(), None);
    let auth = format!("?auth={}", coded("Bearer tk_a"));
    assert_eq!(Socket::connect_as(None, server.http, "a", &auth).err(), None);
    let mut lines = server.lines();
    assert_eq!(lines.ask("PUB a x").code(), 40301);
    assert_eq!(lines.ask("AUTH tk_a").kind(), "ok");
    assert_eq!(lines.ask("PUB a x").kind(), "ok");
    assert_eq!(lines.ask("AUTH tk_a").kind(), "ok", "it is renewed");
}

#[test]
fn a_wrong_credential_is_401_and_a_missing_right_403_with_the_pattern() {
    let entries = token("a", "allow = [\"pub a\", \"sub r.>\"]") + &token("b", "");
    let (server, _file) = guarded(&entries);
    let with = |request: Request, value: &str| request.header("Authorization", value);
    for path in ["/a/json?poll=1", "/r.%3E/sse", "/r.x/ws", "/v1/stats", "/v1/config", "/r.x/auth"]
    {
        for (value, text) in [
            ("Bearer tk_nobody", "the token is wrong"),
            ("Bearer secret", "the token is malformed: one begins with tk_"),
            ("Basic !", "the credential is malformed"),
        ] {
            let answer = server.send(&with(Request::get(path), value));
            assert_eq!((answer.status, answer.json()["code"].as_u64()), (401, Some(40101)));
            assert_eq!(answer.json()["error"], text, "{path}");
            assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer "));
        }
    }
    for (request, what) in [
        (Request::post("/b", "x"), "publishing to 'b'"),
        (Request::get("/b/publish?message=x"), "publishing to 'b'"),
        (Request::post("/", r#"{"topic":"b"}"#), "publishing to 'b'"),
        (Request::get("/a/json?poll=1"), "reading 'a'"),
        (Request::get("/%3E/sse"), "reading '>'"),
        (Request::get("/r.x,a/raw"), "reading 'a'"),
        (Request::get("/a/auth"), "reading 'a'"),
    ] {
        let answer = server.send(&request.clone().token(Some("tk_a")));
        assert_eq!((answer.status, answer.json()["code"].as_u64()), (403, Some(40301)));
        assert_eq!(answer.json()["error"], format!("{what} is not allowed"), "{request:?}");
        assert_eq!(server.send(&request).status, 403, "without a credential as well");
    }
    let twice = Request::get("/r.x/json?poll=1").token(Some("tk_a")).token(Some("tk_a"));
    assert_eq!(server.send(&twice).status, 400);
    assert_eq!(Socket::connect_as(Some("tk_a"), server.http, "a", "").err(), Some(403));
    assert_eq!(Socket::connect_as(Some("tk_x"), server.http, "r.x", "").err(), Some(401));
    // What is for anybody is answered whatever is brought.
    for path in ["/", "/static/main.js", "/v1/health"] {
        assert_eq!(
            server.send(&with(Request::get(path), "Bearer tk_nobody")).status,
            200,
            "{path}"
        );
    }
    for path in ["/v1/stats", "/metrics", "/v1/connections"] {
        let answer = server.send(&Request::get(path).token(Some("tk_a")));
        assert_eq!(answer.status, 403, "{path}");
    }
    let listen =
        |token| server.send(&Request::get("/v1/config").token(token)).json()["listen"].clone();
    assert_eq!(listen(None), serde_json::json!({}));
    assert_eq!(listen(Some("tk_b")), serde_json::json!({}));
    assert!(listen(Some("tk_a"))["tcp"].is_string());
}

#[test]
fn a_user_is_known_by_a_password_and_nobody_learns_which_users_there_are() {
    let hash = hash_of("open-sesame");
    let user = format!("[[user]]\nname = \"phil\"\nargon2id = \"{hash}\"\nallow = [\"sub a\"]\n");
    let (server, file) = guarded(&user);
    let poll = |name: &str, password: &str| {
        let pair = STANDARD.encode(format!("{name}:{password}"));
        let request = Request::get("/a/json?poll=1");
        server.send(&request.header("Authorization", &format!("Basic {pair}")))
    };
    assert_eq!(poll("phil", "open-sesame").status, 200);
    let (wrong, nobody) = (poll("phil", "open sesame"), poll("nobody", "open-sesame"));
    assert_eq!((wrong.status, wrong.body), (nobody.status, nobody.body.clone()));
    assert_eq!(nobody.json()["error"], "the user or the password is wrong");
    // Many at once on one connection, behind each other: each is answered in its turn.
    let mut connection = Connection::open(server.http);
    let request = |name: &str| {
        let pair = STANDARD.encode(format!("{name}:open-sesame"));
        Request::post("/a", "x").header("Authorization", &format!("Basic {pair}")).bytes()
    };
    connection.write(&[request("phil"), request("eve"), request("phil")].concat());
    let statuses: Vec<u16> = (0..3).map(|_| connection.response().status).collect();
    assert_eq!(statuses, [403, 401, 403]);
    file.apply("");
    assert_eq!(
        poll("phil", "open-sesame").status,
        401,
        "what was remembered is as good as the file"
    );
}

/// A quick one: the costs stand in the hash.
fn hash_of(password: &str) -> String {
    let params = Params::new(64, 1, 1, None).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password(password.as_bytes()).unwrap().to_string()
}

#[test]
fn the_user_of_a_process_is_known_at_the_unix_socket() {
    let uid = rustix::process::getuid().as_raw();
    let (server, _file) = guarded(&format!("[uid.{uid}]\nallow = [\"pubsub mine\"]\n"));
    let mut lines = Lines::greeted_unix(&server.unix());
    assert_eq!(lines.ask("PUB mine x").kind(), "ok");
    assert_eq!(lines.ask("SUB yours").code(), 40301);
    assert_eq!(server.lines().ask("PUB mine x").code(), 40301, "not over TCP");
}

#[test]
fn where_nothing_is_allowed_a_client_has_ten_seconds_and_short_lines_to_say_who_it_is() {
    let (server, _file) = guarded(&root());
    let began = Instant::now();
    let mut silent = server.lines();
    let mut long = server.lines();
    long.write(&[b"PUB a ".as_slice(), &[b'x'; 9000], b"\n"].concat());
    assert_eq!(long.event().code(), 41304);
    let mut known = server.lines();
    assert_eq!(known.ask("AUTH tk_wrong").code(), 40101);
    assert_eq!(known.ask("PING").kind(), "pong");
    assert_eq!(known.ask("AUTH tk_root").kind(), "ok");
    let told = silent.event();
    assert_eq!(told.code(), 40101, "{}", told.line);
    assert!(began.elapsed() > Duration::from_secs(9), "{:?}", began.elapsed());
    assert_eq!((silent.event().kind(), silent.line()), ("close", None));
    assert_eq!(known.ask("PUB a x").kind(), "ok");
}

#[test]
fn auth_renews_what_a_connection_has_and_does_not_make_it_somebody_elses() {
    let entries = token("a", "allow = [\"sub >\"]") + &token("b", "allow = [\"sub b\"]");
    let (server, _file) = guarded(&(entries + "[anonymous]\nallow = [\"sub b\"]\n"));
    let mut lines = server.lines();
    lines.subscribe("b");
    assert_eq!(lines.ask("AUTH tk_a").kind(), "ok", "b means the same to it");
    assert_eq!(lines.ask("AUTH tk_b").code(), 40301);
    assert_eq!(lines.ask("AUTH tk_a").kind(), "ok");
    lines.subscribe("c");
}

#[test]
fn without_an_access_file_http_ignores_credentials_and_says_so() {
    let server = TestServer::start();
    for _ in 0..2 {
        let answer = publish_as("tk_x", &server, "a", "x");
        assert_eq!((answer.status, answer.header("doorbell-auth")), (200, Some("off")));
    }
    assert_eq!(server.get("/a/json?poll=1").header("doorbell-auth"), None);
    assert_eq!(server.stderr().matches("--access").count(), 1, "{}", server.stderr());
    assert_eq!(server.lines().ask("AUTH tk_x").code(), 40101);
}

// --- Narrowing -----------------------------------------------------------------------------------

#[test]
fn what_is_denied_of_a_subscription_is_told_by_nothing_on_no_transport() {
    let rights = "allow = [\"sub a.>\"]\ndeny = [\"sub a.secret.>\"]";
    let (server, _file) = guarded(&(root() + &token("less", rights)));
    publish(&server, "a.open", "before");
    publish(&server, "a.secret.key", "hidden");
    let mut readers: Vec<Reader> = Transport::ALL
        .map(|transport| transport.read_as(Some("tk_less"), &server, "a.>", "all"))
        .into();
    publish(&server, "a.secret.key", "hidden");
    publish(&server, "a.open", "after");
    for (reader, transport) in readers.iter_mut().zip(Transport::ALL) {
        assert_eq!(texts(&reader.messages(2)), ["before", "after"], "{transport:?}");
    }
    // A tag and a latest message speak of nothing else.
    let ask = |query: &str, tag: &str| {
        let path = format!("/a.%3E/json?poll=1&{query}");
        server.send(&Request::get(&path).token(Some("tk_less")).header("If-None-Match", tag))
    };
    let tag = ask("since=none", "").header("etag").unwrap().to_owned();
    publish(&server, "a.secret.key", "hidden");
    let answer = ask("since=none", &tag);
    assert_eq!((answer.status, answer.header("doorbell-more")), (304, None));
    assert_eq!(texts(&ask("since=latest", "").events()), ["after"]);
    let root = server.send(&Request::get("/a.%3E/json?poll=1&since=none").token(Some("tk_root")));
    assert_ne!(root.header("etag"), Some(&*tag));
}

// --- The end of a right --------------------------------------------------------------------------

/// Everything that reads by itself, as one token.
fn watchers(server: &TestServer, token: &str, filter: &str) -> Vec<(Transport, Reader)> {
    let read =
        |transport: Transport| (transport, transport.read_as(Some(token), server, filter, "none"));
    Transport::PUSHING.map(read).into()
}

/// What it is told at its end. Before it there are no messages.
fn expect_the_end(transport: Transport, reader: Reader) {
    let is_quiet = |line: &str| line.is_empty() || !line.contains("\"event\":\"message\"");
    match reader {
        Reader::Lines(mut lines, _) => {
            assert_eq!(lines.event().code(), 40301, "{transport:?}");
            assert_eq!((lines.event().kind(), lines.line()), ("close", None));
        }
        Reader::WebSocket(mut socket, _) => {
            assert_eq!(socket.event().code(), 40301);
            let Heard::Close(code, reason) = socket.hear() else { panic!("not closed") };
            assert_eq!(code, 1008, "{reason}");
        }
        Reader::Ndjson(mut stream, _) | Reader::Sse(mut stream, _) => {
            while let Some(line) = stream.line_or_break() {
                assert!(is_quiet(&line), "{transport:?}: {line}");
            }
        }
        Reader::Poll(_) | Reader::Datagrams(..) => unreachable!("nobody waits"),
    }
}

#[test]
fn a_revoked_token_ends_every_session_and_hears_of_nothing_after_it() {
    let less = token("less", "allow = [\"pubsub a\", \"sub b\"]");
    let (server, file) = guarded(&(root() + &less));
    let readers = watchers(&server, "tk_less", "a");
    let mut quiet = server.lines();
    assert_eq!(quiet.ask("AUTH tk_less").kind(), "ok");
    let mut gathering = server.lines();
    assert_eq!(gathering.ask("AUTH tk_less").kind(), "ok");
    gathering.subscribe("b coalesce=60s");
    publish(&server, "b", "waits for its window");
    let mut waiting = Connection::open(server.http);
    let path = "/a/json?poll=1&since=none&wait=50s";
    waiting.write(&Request::get(path).token(Some("tk_less")).bytes());
    let mut kept = TestServer::lines(&server);
    assert_eq!(kept.ask("AUTH tk_root").kind(), "ok");
    kept.subscribe("a");
    file.apply(&root());
    publish(&server, "a", "not for it");
    for (transport, reader) in readers {
        expect_the_end(transport, reader);
    }
    assert_eq!(quiet.event().code(), 40301);
    assert_eq!(gathering.event().code(), 40301);
    let answer = waiting.response();
    assert_eq!((answer.status, answer.json()["code"].as_u64()), (403, Some(40301)));
    assert_eq!(publish_as("tk_less", &server, "a", "x").status, 401);
    assert_eq!(kept.event().message(), "not for it");
}

#[test]
fn a_revocation_reaches_all_of_a_great_many_readers_that_wait_together() {
    let file = AccessFile::new(&(root() + &token("less", "allow = [\"sub a\"]")));
    let server = TestServer::with(&format!("{} --visitor-connections off", file.flag()));
    let readers = if cfg!(debug_assertions) { 1000 } else { 10_000 };
    let mut lines: Vec<Lines> = (0..readers).map(|_| Lines::connect(server.tcp)).collect();
    for lines in &mut lines {
        lines.write(b"AUTH tk_less\nSUB a\n");
    }
    for lines in &mut lines {
        let kinds: Vec<Event> = lines.events(3);
        assert!(kinds.iter().skip(1).all(|event| event.kind() == "ok"), "{kinds:?}");
    }
    publish(&server, "a", "for all");
    for lines in &mut lines {
        assert_eq!(lines.event().message(), "for all");
    }
    file.apply(&root());
    let began = Instant::now();
    publish(&server, "a", "for none");
    for lines in &mut lines {
        assert_eq!(lines.event().code(), 40301);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn nothing_that_is_published_after_a_revocation_arrives_in_the_middle_of_a_flood() {
    let (server, file) = guarded(&(root() + &token("less", "allow = [\"sub a\"]")));
    let tcp = server.tcp;
    let (sender, heard) = mpsc::channel();
    let readers: Vec<_> = (0..20)
        .map(|_| {
            let mut lines = Lines::greeted(tcp);
            assert_eq!(lines.ask("AUTH tk_less").kind(), "ok");
            lines.subscribe("a");
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut newest = 0;
                while let Some(event) = lines.try_event() {
                    if event.kind() == "message" {
                        newest = event.message().parse().unwrap();
                    }
                }
                sender.send(newest).unwrap();
            })
        })
        .collect();
    let (published, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let before = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut lines = server.lines();
            assert_eq!(lines.ask("AUTH tk_root").kind(), "ok");
            while !stop.load(Ordering::Relaxed) {
                let number = 1 + published.load(Ordering::SeqCst);
                published.store(number, Ordering::SeqCst);
                assert_eq!(lines.ask(format_args!("PUB a {number}")).kind(), "ok");
            }
        });
        eventually("a flood", || (published.load(Ordering::SeqCst) > 500).then_some(()));
        file.apply(&root());
        // The one that is under way may have been stored before.
        let before = published.load(Ordering::SeqCst);
        eventually("more of it", || {
            (published.load(Ordering::SeqCst) > before + 200).then_some(())
        });
        stop.store(true, Ordering::Relaxed);
        before
    });
    for reader in readers {
        reader.join().unwrap();
        let newest: u64 = heard.recv().unwrap();
        assert!((1..=before).contains(&newest), "{newest} arrived, and {before} was the last");
    }
}

#[test]
fn a_change_that_means_the_same_to_a_reader_goes_on_and_any_other_ends_it() {
    let less = |rules: &str| root() + &token("less", rules);
    let (server, file) = guarded(&less("allow = [\"sub a.>\", \"pub b\"]"));
    let mut lines = server.lines();
    assert_eq!(lines.ask("AUTH tk_less").kind(), "ok");
    lines.subscribe("a.x,a.y");
    let mut socket = Socket::connect_as(Some("tk_less"), server.http, "a.%3E", "").unwrap();
    assert_eq!(socket.event().kind(), "open");
    assert_eq!(lines.ask("PUB b 1").kind(), "ok");
    // It may do more here and less there, and reads what it read.
    file.apply(&less("allow = [\"sub a.>\", \"sub c\"]"));
    assert_eq!(lines.ask("PUB b 1").code(), 40301);
    lines.subscribe("c");
    publish(&server, "a.x", "goes on");
    assert_eq!(lines.event().message(), "goes on");
    assert_eq!(socket.event().message(), "goes on");
    file.apply(&less("allow = [\"sub a.>\", \"sub c\"]\ndeny = [\"sub a.z\"]"));
    publish(&server, "a.x", "still");
    assert_eq!(lines.event().message(), "still", "it never asked for a.z");
    assert_eq!(socket.event().code(), 40301);
    let Heard::Close(code, reason) = socket.hear() else { panic!("not closed") };
    assert_eq!((code, reason.contains("subscribe again")), (1008, true), "{reason}");
}

#[test]
fn a_right_ends_by_itself_when_its_time_has_passed() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let at = |seconds: u64| {
        let output = run(std::process::Command::new("date")
            .args(["-u", "+%Y-%m-%dT%H:%M:%SZ"])
            .arg(format!("-d@{seconds}")));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let entry = |name: &str, end: u64| {
        token(name, &format!("allow = [\"pubsub a\"]\nexpires = {}", at(end)))
    };
    let (server, _file) = guarded(&(entry("old", now - 1) + &entry("short", now + 4)));
    let answer = publish_as("tk_old", &server, "a", "x");
    assert_eq!(
        (answer.status, answer.json()["error"].as_str()),
        (401, Some("the credential has expired"))
    );
    let mut lines = server.lines();
    assert_eq!(lines.ask("AUTH tk_short").kind(), "ok");
    lines.subscribe("a");
    assert_eq!(lines.event().code(), 40301);
    assert_eq!(publish_as("tk_short", &server, "a", "x").status, 401);
}

// --- The file ------------------------------------------------------------------------------------

#[test]
fn a_broken_file_changes_nothing_and_is_said_and_a_good_one_heals_it() {
    let (server, file) = guarded(&root());
    let health = || server.get("/v1/health").text().to_owned();
    assert_eq!(health(), r#"{"healthy":true}"#);
    file.replace(&(root() + "[[token]]\nname = \"b\"\nsha256 = \"tk_secret\"\n"));
    eventually("it is said", || health().contains("access_file").then_some(()));
    assert_eq!(publish_as("tk_root", &server, "a", "x").status, 200);
    let said = server.stderr();
    assert!(said.contains("token 'b': sha256 is a token") && !said.contains("tk_secret"), "{said}");
    file.apply(&(root() + &token("b", "allow = [\"pub a\"]")));
    assert_eq!(health(), r#"{"healthy":true}"#);
    assert_eq!(publish_as("tk_b", &server, "a", "x").status, 200);
    std::fs::remove_file(file.path()).unwrap();
    eventually("it is gone", || health().contains("access_file").then_some(()));
    assert_eq!(publish_as("tk_b", &server, "a", "x").status, 200);
}

#[test]
fn a_server_with_a_bad_file_or_open_to_the_world_by_accident_does_not_start() {
    let file = AccessFile::new("[[token]]\nname = \"a\"\nsha256 = \"x\"\n");
    let start = |flags: &str| {
        let flags = format!("--ephemeral --tcp 127.0.0.1:0 {flags}");
        let output = run(server_command().args(flags.split_whitespace()));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        said
    };
    let local = "--http 127.0.0.1:0";
    assert!(start(&format!("{local} {}", file.flag())).contains("token 'a': sha256"));
    assert!(start(&format!("{local} --access /nowhere")).contains("/nowhere"));
    let both = start(&format!("{local} {} --anonymous read", file.flag()));
    assert!(both.contains("--access") && both.contains("--anonymous"), "{both}");
    let open = start("--http 0.0.0.0:0");
    assert!(open.contains("--access") && open.contains("--anonymous"), "{open}");
    assert!(start(&format!("{local} --anonymous all")).contains("read-write"));
}

#[test]
fn everybody_may_do_what_anonymous_says_and_no_more() {
    let server = TestServer::with("--http 0.0.0.0:0 --anonymous read");
    let server_at = |request: Request| request.send_to(([127, 0, 0, 1], server.http.port()).into());
    assert_eq!(server_at(Request::get("/a/json?poll=1")).status, 200);
    assert_eq!(server_at(Request::post("/a", "x")).status, 403);
    assert_eq!(server_at(Request::get("/metrics")).status, 403);
}

#[test]
fn sighup_reads_the_file_again_and_no_signal_kills_but_those_that_stop() {
    let (mut server, file) = guarded(&root());
    let mut lines = server.lines();
    assert_eq!(lines.ask("AUTH tk_root").kind(), "ok");
    for signal in [Signal::HUP, Signal::USR1, Signal::USR2] {
        server.signal(signal);
        assert_eq!(lines.ask("PING").kind(), "pong", "{signal:?}");
    }
    // Another one that looks the same from outside is read by the signal alone.
    let open = || std::fs::File::options().write(true).open(file.path()).unwrap();
    let modified = open().metadata().unwrap().modified().unwrap();
    std::fs::write(file.path(), token("toor", "allow = [\"pubsub >\"]\nadmin = true")).unwrap();
    open().set_modified(modified).unwrap();
    server.signal(Signal::HUP);
    assert_eq!(lines.event().code(), 40301);
    assert_eq!(server.stop().code(), Some(0));
}

// --- An oracle -----------------------------------------------------------------------------------

/// What rules say, in ten lines: of all topics that there are here.
struct Oracle<'a> {
    allow: &'a [String],
    deny: &'a [String],
}

const TOPICS: [&str; 7] = ["a", "b", "a.a", "a.b", "b.a", "a.a.b", "b.b.a"];

fn selects(pattern: &str, topic: &str) -> bool {
    let (mut wanted, mut segments) = (pattern.split('.'), topic.split('.'));
    loop {
        match (wanted.next(), segments.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some(wanted), Some(segment)) if wanted == "*" || wanted == segment => {}
            _ => return false,
        }
    }
}

impl Oracle<'_> {
    fn may(&self, verb: &str, topic: &str) -> bool {
        let some = |rules: &[String]| {
            rules.iter().any(|rule| {
                let (known, pattern) = rule.split_once(' ').unwrap();
                (known == verb || known == "pubsub") && selects(pattern, topic)
            })
        };
        some(self.allow) && !some(self.deny)
    }
}

#[test]
fn random_rules_mean_the_same_over_every_transport() {
    let mut random = Random(match std::env::var("DOORBELL_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs(),
    });
    let (server, file) = guarded(&root());
    let rounds = if cfg!(debug_assertions) { 12 } else { 200 };
    for round in 0..rounds {
        let seed = random.0;
        let mut rules = |most: u64| -> Vec<String> {
            let verbs = ["pub", "sub", "pubsub"];
            let rule =
                |random: &mut Random| format!("{} {}", verbs[random.below(3)], random.pattern());
            (0..random.below(most)).map(|_| rule(&mut random)).collect()
        };
        let (allow, deny) = (rules(5), rules(3));
        let less = token("less", &format!("allow = {allow:?}\ndeny = {deny:?}"));
        file.apply(&(root() + &less));
        let oracle = Oracle { allow: &allow, deny: &deny };
        let told = format!("DOORBELL_SEED={seed}, round {round}: allow {allow:?}, deny {deny:?}");
        for topic in TOPICS {
            let expected = if oracle.may("pub", topic) { 200 } else { 403 };
            assert_eq!(
                publish_as("tk_less", &server, topic, "x").status,
                expected,
                "{told}: {topic}"
            );
        }
        let mut lines = server.lines();
        assert_eq!(lines.ask("AUTH tk_less").kind(), "ok");
        for topic in TOPICS {
            let may = lines.ask(format_args!("PUB {topic} x")).kind() == "ok";
            assert_eq!(may, oracle.may("pub", topic), "{told}: {topic}");
        }
        let filter = random.pattern();
        let path = format!("/{}/auth", filter.replace('>', "%3E"));
        let answer = server.send(&Request::get(&path).token(Some("tk_less")));
        let wanted: Vec<&str> =
            TOPICS.into_iter().filter(|topic| selects(&filter, topic)).collect();
        let readable: Vec<&str> =
            wanted.iter().copied().filter(|topic| oracle.may("sub", topic)).collect();
        if answer.status != 200 {
            // Refused as a whole: then no rule allows all of it, or one denies all of it.
            assert_eq!(answer.status, 403, "{told}: {filter}");
            let refused = lines.ask(format_args!("SUB {filter}"));
            assert_eq!(refused.code(), 40301, "{told}: {filter}");
            let whole = allow.iter().any(|rule| rule.ends_with(" >") && !rule.starts_with("pub "));
            assert!(
                !whole || readable.len() < wanted.len() || wanted.is_empty(),
                "{told}: {filter}"
            );
            continue;
        }
        let place = server.send(&Request::get("/a/json?poll=1&since=none").token(Some("tk_root")));
        let transports = Transport::ALL;
        let mut readers = transports
            .map(|transport| transport.read_as(Some("tk_less"), &server, &filter, place.next()));
        for topic in TOPICS {
            publish(&server, topic, topic);
        }
        for (reader, transport) in readers.iter_mut().zip(transports) {
            let messages = reader.messages(readable.len());
            assert_eq!(texts(&messages), readable, "{told}: {filter} over {transport:?}");
        }
    }
}

/// A small generator (Marsaglia's xorshift), so that a seed repeats a run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound).unwrap()
    }

    fn pattern(&mut self) -> String {
        let length = 1 + self.below(3);
        let segments: Vec<&str> = (0..length)
            .map(|place| match self.below(6) {
                0 | 1 => "a",
                2 | 3 => "b",
                4 => "*",
                _ if place + 1 == length => ">",
                _ => "*",
            })
            .collect();
        segments.join(".")
    }
}
