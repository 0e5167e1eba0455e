//! The audit trail: what has a line in it, what a line says, and what is never in one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::access::token;
use crate::support::lines::Lines;
use crate::support::server::{run, server_command};
use crate::support::websocket::Socket;
use crate::support::{AccessFile, Request, Response, TestServer, datagrams, eventually};
use crate::visitors::connect;

/// A server that keeps a trail. It believes this machine when it says for whom it asks, so that
/// clients have addresses of their own.
struct Audited {
    server: TestServer,
    access: AccessFile,
    folder: TempDir,
}

impl Audited {
    fn start() -> Self {
        Self::with("")
    }

    fn with(flags: &str) -> Self {
        let access = AccessFile::new(&rules());
        let folder = tempfile::tempdir().unwrap();
        let flags = format!(
            "{} --audit {} --udp 127.0.0.1:0 --lab on --trusted-proxies 127.0.0.1 {flags}",
            access.flag(),
            folder.path().join("audit").display(),
        );
        Self { server: TestServer::with(&flags), access, folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    /// The lines that are whole.
    fn lines(&self) -> Vec<Value> {
        let text = self.text();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The first line with these members, once it is there.
    fn line(&self, wanted: &Value) -> Value {
        let fits = |line: &Value| {
            wanted.as_object().unwrap().iter().all(|(name, value)| line[name] == *value)
        };
        eventually(&format!("{wanted} in the trail"), || self.lines().into_iter().find(fits))
    }

    /// Asks as somebody at an address.
    fn ask(&self, request: Request, address: &str, token: Option<&str>) -> Response {
        self.server.send(&request.header("x-forwarded-for", address).token(token))
    }
}

fn rules() -> String {
    let reader = token("reader", "allow = [\"pubsub orders.>\"]");
    let admin = token("admin", "admin = true\nallow = [\"sub news\"]");
    format!("{reader}{admin}[uid.{}]\nallow = [\"pub news\"]\n", rustix::process::getuid().as_raw())
}

fn reader() -> Value {
    json!({"kind": "token", "name": "reader"})
}

#[test]
fn a_refusal_has_a_line_over_every_transport() {
    let audited = Audited::start();
    let (server, news) = (&audited.server, "/news/json?poll=1");
    assert_eq!(audited.ask(Request::get(news), "192.0.2.1", None).status, 403);
    let line = audited.line(&json!({"address": "192.0.2.1"}));
    assert_eq!(line["identity"], json!({"kind": "anonymous", "name": ""}));
    assert_eq!(line["transport"], "http");
    assert_eq!((&line["action"], &line["outcome"]), (&json!("read"), &json!("refused")));
    assert!(line["reason"].as_str().unwrap().contains("news"), "{line}");
    let time = line["time"].as_str().unwrap();
    assert!(time.starts_with("20") && time.ends_with('Z') && time.len() == 27, "{time}");
    assert_eq!(line.as_object().unwrap().len(), 7, "{line}");

    assert_eq!(audited.ask(Request::get(news), "192.0.2.2", Some("tk_wrong")).status, 401);
    let line = audited.line(&json!({"address": "192.0.2.2"}));
    assert_eq!((&line["identity"], &line["reason"]), (&Value::Null, &json!("the token is wrong")));

    let publish = Request::post("/news", "a text");
    assert_eq!(audited.ask(publish, "192.0.2.3", Some("tk_reader")).status, 403);
    audited.line(&json!({"address": "192.0.2.3", "identity": reader(), "action": "publish"}));
    for (number, path) in ["stats", "connections", "ticket?filter=news"].into_iter().enumerate() {
        let address = format!("192.0.2.1{number}");
        let path = format!("/v1/{path}");
        let request = if number == 2 { Request::post(&path, "") } else { Request::get(&path) };
        assert_eq!(audited.ask(request, &address, Some("tk_reader")).status, 403, "{path}");
        let action = ["stats", "connections", "make_ticket"][number];
        audited.line(&json!({"address": address, "action": action, "outcome": "refused"}));
    }

    let mut lines = Lines::connect(server.tcp);
    assert_eq!(lines.event().kind(), "open");
    assert_eq!(lines.ask("AUTH tk_wrong").code(), 40101);
    let here = "127.0.0.1";
    audited.line(&json!({"address": here, "transport": "tcp", "action": "login"}));

    let mut socket = eventually("a line for this address again", || {
        let mut socket =
            Socket::connect_as(Some("tk_reader"), server.http, "orders.a", "").unwrap();
        assert_eq!(socket.event().kind(), "open");
        assert_eq!(socket.ask("PUB news x").code(), 40301);
        let wanted = |line: &Value| line["transport"] == "ws" && line["outcome"] == "refused";
        audited.lines().iter().any(wanted).then_some(socket)
    });
    assert_eq!(socket.ask("PING").kind(), "pong");
    audited.line(&json!({"address": here, "transport": "ws", "identity": reader()}));

    let mut lines = Lines::greeted_unix(&server.unix());
    assert_eq!(lines.ask("SUB news").code(), 40301);
    let line = audited.line(&json!({"transport": "unix", "outcome": "refused"}));
    assert_eq!((&line["identity"]["kind"], &line["address"]), (&json!("uid"), &Value::Null));

    datagrams::ask("127.0.0.9", server.listener("udp"), "SUB news");
    audited.line(&json!({"address": "127.0.0.9", "transport": "udp", "action": "read"}));
}

#[test]
fn whoever_comes_with_a_credential_has_a_line_and_no_secret_is_in_any() {
    let audited = Audited::start();
    let server = &audited.server;
    let mut lines = server.lines();
    assert_eq!(lines.ask("AUTH tk_reader").kind(), "ok");
    audited.line(&json!({
        "identity": reader(), "transport": "tcp", "action": "login", "outcome": "done",
        "address": "127.0.0.1",
    }));
    assert_eq!(lines.ask("PUB orders.a the-text").kind(), "ok");
    Lines::greeted_unix(&server.unix());
    audited.line(&json!({"transport": "unix", "action": "login", "outcome": "done"}));
    let as_reader = |path: &str, address: &str| {
        let request = Request::get(path).header("x-forwarded-for", address);
        request.token(Some("tk_reader")).stream_from(server.http)
    };
    assert_eq!(as_reader("/orders.a/sse", "192.0.2.1").head.status, 200);
    audited.line(&json!({"address": "192.0.2.1", "action": "login", "identity": reader()}));
    let mut socket = Socket::connect_as(Some("tk_reader"), server.http, "orders.a", "").unwrap();
    assert_eq!(socket.event().kind(), "open");

    let made = Request::post("/v1/ticket?filter=orders.a", "");
    let made = audited.ask(made, "192.0.2.2", Some("tk_reader")).json();
    let ticket = made["ticket"].as_str().unwrap();
    audited.line(&json!({"address": "192.0.2.2", "action": "make_ticket", "outcome": "done"}));
    let path = format!("/orders.a/json?poll=1&ticket={ticket}");
    assert_eq!(audited.ask(Request::get(&path), "192.0.2.3", None).status, 200);
    let used = json!({"address": "192.0.2.3", "action": "use_ticket", "identity": reader()});
    audited.line(&used);
    assert_eq!(audited.ask(Request::get(&path), "192.0.2.4", None).status, 401);
    audited.line(&json!({"address": "192.0.2.4", "outcome": "refused"}));
    assert_eq!(audited.ask(Request::get("/v1/account"), "192.0.2.5", Some("tk_guess")).status, 401);
    audited.line(&json!({"address": "192.0.2.5", "action": "account"}));

    // What anybody does all the time has none.
    let poll = Request::get("/orders.a/json?poll=1&since=all");
    assert_eq!(audited.ask(poll, "192.0.2.6", Some("tk_reader")).status, 200);
    let publish = Request::post("/orders.a", "another-text");
    assert_eq!(audited.ask(publish, "192.0.2.7", Some("tk_reader")).status, 200);
    assert_eq!(audited.ask(Request::get("/v1/stats"), "192.0.2.8", Some("tk_admin")).status, 200);
    audited.line(&json!({"address": "192.0.2.8", "action": "stats", "outcome": "done"}));
    let text = audited.text();
    for secret in ["tk_", ticket, "poll=", "-text", "192.0.2.6", "192.0.2.7"] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}

#[test]
fn what_administrators_look_at_has_a_line() {
    let audited = Audited::start();
    let admin = json!({"kind": "token", "name": "admin"});
    for (path, action) in
        [("/v1/stats", "stats"), ("/metrics", "metrics"), ("/v1/connections", "connections")]
    {
        let answer = audited.ask(Request::get(path), "192.0.2.1", Some("tk_admin"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let line = audited.line(&json!({"action": action, "outcome": "done"}));
        assert_eq!((&line["identity"], &line["address"]), (&admin, &json!("192.0.2.1")));
    }
}

#[test]
fn what_becomes_of_rights_has_a_line() {
    let audited = Audited::start();
    let more = token("new", "allow = [\"sub a\"]");
    audited.access.apply(&format!("{}{more}", rules()));
    let line = audited.line(&json!({"action": "access_file", "outcome": "done"}));
    assert_eq!(line["reason"], "generation 2");
    assert_eq!((&line["identity"], &line["address"]), (&Value::Null, &Value::Null));
    let ended = |name: &str, reason: &str| {
        let identity = json!({"kind": "token", "name": name});
        let line = audited.line(&json!({"action": "right", "identity": identity}));
        assert_eq!((&line["outcome"], &line["reason"]), (&json!("ended"), &json!(reason)));
    };
    let less = token("new", "allow = [\"sub b\"]");
    audited.access.apply(&format!("{}{less}", rules()));
    ended("new", "changed");
    audited.access.apply(&token("admin", ""));
    ended("reader", "revoked");
    audited.access.replace("nonsense = 1\n");
    let line = audited.line(&json!({"action": "access_file", "outcome": "refused"}));
    assert!(line["reason"].as_str().unwrap().contains("access.toml"), "{line}");
    let past = token("past", "expires = 2020-01-01T00:00:00Z");
    audited.access.apply(&past);
    ended("past", "expired");
}

#[test]
fn who_is_refused_again_and_again_has_a_line_a_second_and_all_are_counted() {
    let audited = Audited::start();
    let mut asked = 0_u64;
    let lines = eventually("the second line", || {
        let answer = audited.ask(Request::get("/a/json?poll=1"), "192.0.2.1", None);
        assert_eq!(answer.status, 403);
        asked += 1;
        let lines = audited.lines();
        (lines.len() > 1).then_some(lines)
    });
    let counted = 2 + lines[1]["left_out"].as_u64().unwrap();
    // Some may have been answered before the second line was read.
    assert!((3..=asked).contains(&counted), "{asked} {lines:?}");
    assert!(lines[0].get("left_out").is_none());
    audited.ask(Request::get("/a/json?poll=1"), "192.0.2.2", None);
    audited.line(&json!({"address": "192.0.2.2"}));
}

#[test]
fn what_passes_a_limit_has_a_line_and_hides_no_other_refusal() {
    let audited = Audited::with(
        "--visitor-requests 6/6h --visitor-messages 1/1h --visitor-replay 1/1h \
         --visitor-connections 1",
    );
    let address = "192.0.2.1";
    let ask = |request| audited.ask(request, address, Some("tk_reader")).status;
    let refused = |action: &str, setting: &str| {
        let line = audited.line(&json!({
            "address": address, "identity": reader(), "action": action, "outcome": "refused",
        }));
        assert!(line["reason"].as_str().unwrap().contains(setting), "{line}");
    };
    let publish = || Request::post("/orders.a", "x");
    assert_eq!((ask(publish()), ask(publish())), (200, 429));
    refused("publish", "--visitor-messages");
    let read = || Request::get("/orders.a/json?poll=1");
    assert_eq!((ask(read()), ask(read())), (200, 429));
    refused("read", "--visitor-replay");
    assert_eq!(ask(Request::post("/v1/ticket?filter=news", "")), 403);
    refused("make_ticket", "news");

    let mut lines = Lines::over_tcp(connect(9, audited.server.tcp));
    assert_eq!(lines.event().kind(), "open");
    for _ in 0..6 {
        assert_eq!(lines.ask("PING").kind(), "pong");
    }
    assert_eq!(lines.ask("PING").code(), 42901);
    let here = "127.0.0.9";
    audited.line(&json!({"address": here, "transport": "tcp", "action": "request"}));
    assert_eq!(Lines::over_tcp(connect(9, audited.server.tcp)).event().code(), 42903);
    let line = audited.line(&json!({"address": here, "transport": "tcp", "action": "connect"}));
    assert!(line["reason"].as_str().unwrap().contains("--visitor-connections"), "{line}");
}

#[test]
fn a_file_that_was_moved_away_is_begun_anew_on_a_hangup() {
    let mut audited = Audited::start();
    let mode = fs::metadata(audited.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    audited.ask(Request::get("/a/json?poll=1"), "192.0.2.1", None);
    audited.line(&json!({"address": "192.0.2.1"}));
    let moved = audited.folder.path().join("audit.1");
    fs::rename(audited.path(), &moved).unwrap();
    audited.server.signal(Signal::HUP);
    eventually("the new file", || audited.path().exists().then_some(()));
    audited.ask(Request::get("/a/json?poll=1"), "192.0.2.2", None);
    audited.line(&json!({"address": "192.0.2.2"}));
    let before = fs::read_to_string(moved).unwrap();
    assert!(before.contains("192.0.2.1") && !before.contains("192.0.2.2"), "{before}");
    // What was noted before the end is there after it, and the next process goes on below.
    audited.ask(Request::get("/a/json?poll=1"), "192.0.2.3", None);
    assert!(audited.server.stop().success());
    let stopped = audited.text();
    assert!(stopped.contains("192.0.2.3"), "{stopped}");
    audited.server.restart();
    assert!(audited.text().starts_with(&stopped));
}

#[test]
fn it_may_go_to_standard_error() {
    let server = TestServer::with("--anonymous read --audit -");
    assert_eq!(server.send(&Request::post("/a", "x")).status, 403);
    let line = eventually("a line", || {
        server.stderr().lines().find(|line| line.starts_with('{')).map(str::to_owned)
    });
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["action"], "publish");
}

#[test]
fn a_file_that_cannot_be_written_to_is_said_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing").join("audit");
    let mut command = server_command();
    let output = run(command
        .args(["--ephemeral", "--http", "127.0.0.1:0", "--tcp", "none"])
        .args(["--audit".as_ref(), path.as_os_str()]));
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with(&format!("error: audit file {}: ", path.display())), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}
