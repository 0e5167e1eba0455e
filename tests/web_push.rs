//! Web Push: what a push service and a browser get, who is told, and when that ends.

use std::os::unix::fs::PermissionsExt;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Value, json};

use crate::support::access::{AccessFile, token};
use crate::support::push_service::{Browser, PushService, ReceivedPush};
use crate::support::server::{run, server_command};
use crate::support::{Request, TestServer, eventually};

const CONTACT: &str = "mailto:bell@push.example";
const ON: &str = "--web-push mailto:bell@push.example --outbound-allow 127.0.0.0/8";

/// A server that may push to a service of this machine.
fn server(service: &PushService, flags: &str) -> TestServer {
    TestServer::durable_with(&format!("{ON} {flags}"), service.trusted())
}

fn texts(browser: &Browser, pushes: &[ReceivedPush]) -> Vec<String> {
    let text = |push| browser.decrypt(push)["message"]["message"].as_str().unwrap().to_owned();
    pushes.iter().map(text).collect()
}

/// Whether the file of subscriptions has it that one has ended.
fn has_ended(server: &TestServer, browser: &Browser) -> Option<()> {
    let text = std::fs::read_to_string(server.data().join("web-push.lines")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut of_it = lines.filter(|line| line["endpoint"] == browser.endpoint.as_str());
    let last = of_it.next_back().unwrap();
    last["topics"].as_array().unwrap().is_empty().then_some(())
}

/// Holds the signature of a push against the key that the server tells; its claims.
fn claims(server: &TestServer, push: &ReceivedPush) -> Value {
    let config = server.get("/v1/config").json();
    let public = config["web_push_public_key"].as_str().unwrap();
    let shown = push.header("authorization").unwrap().strip_prefix("vapid t=").unwrap();
    let (token, key) = shown.split_once(", k=").unwrap();
    assert_eq!(key, public);
    let point = URL_SAFE_NO_PAD.decode(public).unwrap();
    let [x, y] = [&point[1..33], &point[33..]].map(|half| URL_SAFE_NO_PAD.encode(half));
    let key = DecodingKey::from_ec_components(&x, &y).unwrap();
    let mut validation = Validation::new(Algorithm::ES256);
    validation.validate_aud = false;
    decode::<Value>(token, &key, &validation).unwrap().claims
}

#[test]
fn a_browser_is_pushed_what_is_published_encrypted_for_it_and_signed_by_the_server() {
    let service = PushService::start();
    let server = server(&service, "--base-url https://push.example/bell");
    let browser = Browser::at(&service, "/one?x=y");
    server.accepts(&browser.subscribe(&["orders", "news"]));
    let event = server.publish("orders", "two for one");
    server.publish("other", "not this");
    let urgent = Request::post("/news/s1", "now").header("Priority", "5").header("Title", "N");
    server.accepts(&urgent);
    let [first, second] = [service.push(), service.push()];
    let told = browser.decrypt(&first);
    assert_eq!(told["event"], "message");
    assert_eq!(told["subscription_id"], "https://push.example/bell/orders");
    assert_eq!(told["message"], serde_json::from_str::<Value>(&event.line).unwrap());
    assert_eq!(browser.decrypt(&second)["message"]["title"], "N");
    assert_eq!(first.path, "/one?x=y");
    for (push, urgency, has_topic) in [(&first, "normal", false), (&second, "high", true)] {
        assert_eq!(push.header("urgency"), Some(urgency));
        assert_eq!(push.header("content-encoding"), Some("aes128gcm"));
        assert_eq!(push.header("topic").is_some(), has_topic);
        assert!(push.header("ttl").unwrap().parse::<u32>().unwrap() > 0);
        let claims = claims(&server, push);
        assert_eq!(claims["aud"], format!("https://localhost:{}", service.at.port()));
        assert_eq!(claims["sub"], CONTACT);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!((now + 60..=now + 86_400).contains(&claims["exp"].as_u64().unwrap()));
    }
    eventually("both are counted", || (server.calls("push", "sent", None) == 2).then_some(()));
}

#[test]
fn pushes_to_one_browser_come_in_order_and_from_every_way_to_publish() {
    let service = PushService::start();
    let server = server(&service, "");
    let browser = Browser::at(&service, "/");
    server.accepts(&browser.subscribe(&["t"]));
    let numbers: Vec<String> = (0..25).map(|number| number.to_string()).collect();
    server.publish_all("t", &numbers);
    server.accepts(&Request::post("/t", "passes").header("Cache", "no"));
    let pushes: Vec<_> = (0..26).map(|_| service.push()).collect();
    assert_eq!(texts(&browser, &pushes)[..25], numbers);
    assert_eq!(texts(&browser, &pushes[25..]), ["passes"]);
    // What is for programs, or is no message, is not pushed.
    server.accepts(&Request::post("/t?up=1", b"\xff\x00"));
    server.accepts(&Request::new("DELETE", "/t/s"));
    server.accepts(&Request::post("/t", "").header("X-Poll-ID", "x"));
    server.publish("t", "last");
    assert_eq!(texts(&browser, &[service.push()]), ["last"]);
}

#[test]
fn a_long_message_is_cut_to_what_a_push_service_takes() {
    let service = PushService::start();
    let server = server(&service, "");
    let browser = Browser::at(&service, "/");
    server.accepts(&browser.subscribe(&["t"]));
    server.publish("t", &"\"ü".repeat(1300));
    let push = service.push();
    assert!(push.body.len() <= 4096, "{} bytes", push.body.len());
    let text = browser.decrypt(&push)["message"]["message"].as_str().unwrap().to_owned();
    assert!(text.len() > 2000 && text.ends_with('…') && text.starts_with("\"ü\""), "{text}");
}

#[test]
fn subscriptions_and_the_key_survive_a_crash_and_nobody_else_may_read_them() {
    let service = PushService::start();
    let mut server = server(&service, "");
    let (kept, ended) = (Browser::at(&service, "/kept"), Browser::at(&service, "/ended"));
    server.accepts(&kept.subscribe(&["old"]));
    server.accepts(&kept.subscribe(&["t"]));
    server.accepts(&ended.subscribe(&["t"]));
    let end = Request::new("DELETE", "/v1/webpush").body(ended.subscription(&[]).to_string());
    server.accepts(&end);
    let key = server.get("/v1/config").json()["web_push_public_key"].clone();
    for name in ["web-push.key", "web-push.lines"] {
        let mode = std::fs::metadata(server.data().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    server.kill();
    // A crash in the midst of a line.
    let file = server.data().join("web-push.lines");
    let mut text = std::fs::read_to_string(&file).unwrap();
    text.push_str("{\"endpoint\":\"https://loc");
    std::fs::write(&file, text).unwrap();
    server.restart();
    assert_eq!(server.get("/v1/config").json()["web_push_public_key"], key);
    server.publish("old", "not this");
    server.publish("t", "after");
    let push = service.push();
    assert_eq!(push.path, "/kept");
    assert_eq!(texts(&kept, &[push]), ["after"]);
    server.accepts(&ended.subscribe(&["t"]));
    server.kill();
    server.restart();
    server.publish("t", "again");
    let mut paths = [service.push().path, service.push().path];
    paths.sort();
    assert_eq!(paths, ["/ended", "/kept"]);
    assert!(service.pushed().is_none());
}

#[test]
fn a_subscription_ends_when_its_browser_says_so_or_its_push_service() {
    let service = PushService::start();
    let server = server(&service, "");
    let browsers = ["/a", "/b", "/c", "/stays"].map(|path| Browser::at(&service, path));
    for browser in &browsers {
        server.accepts(&browser.subscribe(&["t"]));
    }
    let end = Request::new("DELETE", "/v1/webpush");
    server.accepts(&end.clone().body(json!({"endpoint": browsers[0].endpoint}).to_string()));
    server.accepts(&end.body(json!({"endpoint": browsers[0].endpoint}).to_string()));
    server.accepts(&browsers[1].subscribe(&[]));
    service.answer(&["410 Gone"]);
    let only = Browser::at(&service, "/only");
    server.accepts(&only.subscribe(&["gone"]));
    server.publish("gone", "x");
    assert_eq!(service.push().path, "/only");
    eventually("it ends", || has_ended(&server, &only));
    server.publish("gone", "x");
    server.publish("t", "x");
    let mut paths = [service.push().path, service.push().path];
    paths.sort();
    assert_eq!(paths, ["/c", "/stays"]);
    assert!(service.pushed().is_none());
}

#[test]
fn a_browser_is_told_once_that_its_subscription_is_about_to_end() {
    let service = PushService::start();
    let mut server = server(&service, "");
    let browser = Browser::at(&service, "/");
    server.accepts(&browser.subscribe(&["t"]));
    server.stop();
    let path = server.data().join("web-push.lines");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut line: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let days_ago = |days: u64| json!(line["renewed"].as_u64().unwrap() - days * 24 * 60 * 60);
    let (old, too_old) = (days_ago(56), days_ago(61));
    line["renewed"] = old;
    std::fs::write(&path, format!("{line}\n")).unwrap();
    server.restart();
    assert_eq!(browser.decrypt(&service.push()), json!({"event": "subscription_expiring"}));
    server.stop();
    server.restart();
    server.publish("t", "the next push");
    assert_eq!(texts(&browser, &[service.push()]), ["the next push"]);
    server.stop();
    line["renewed"] = too_old;
    std::fs::write(&path, format!("{line}\n")).unwrap();
    server.restart();
    eventually("it has ended", || has_ended(&server, &browser));
}

#[test]
fn a_push_service_that_is_busy_is_asked_again_and_one_that_refuses_all_is_given_up() {
    let service = PushService::start();
    let server = server(&service, "");
    let browser = Browser::at(&service, "/");
    server.accepts(&browser.subscribe(&["t"]));
    let busy = "429 Too Many Requests\r\nretry-after: 1";
    service.answer(&[busy, "503 Service Unavailable"]);
    server.publish("t", "patience");
    let began = std::time::Instant::now();
    let pushes = [service.push(), service.push(), service.push()];
    assert!(began.elapsed().as_secs() >= 1, "it waits as long as it was asked to");
    assert_eq!(texts(&browser, &pushes), ["patience"; 3]);
    eventually("it is sent at last", || (server.calls("push", "sent", None) == 1).then_some(()));
    service.answer(&["400 Bad Request"; 8]);
    for _ in 0..8 {
        server.publish("t", "x");
        service.push();
    }
    eventually("it is given up", || has_ended(&server, &browser));
    server.publish("t", "to nobody");
    let other = Browser::at(&service, "/other");
    server.accepts(&other.subscribe(&["t"]));
    server.publish("t", "to another");
    assert_eq!(service.push().path, "/other");
    assert_eq!(server.calls("push", "failed", None), 8);
}

#[test]
fn nothing_is_pushed_to_somebody_who_may_not_read_it_any_more() {
    let service = PushService::start();
    let rules = "allow = [\"pubsub >\"]\ndeny = [\"sub secret\"]";
    let admin = token("admin", "admin = true\nallow = [\"pubsub >\"]");
    let both = format!("{admin}{}", token("reader", rules));
    let file = AccessFile::new(&both);
    let mut server = server(&service, &file.flag());
    let [admins, readers] = ["/admin", "/reader"].map(|path| Browser::at(&service, path));
    let by = |request: Request, token| request.token(Some(token));
    server.accepts(&by(admins.subscribe(&["t", "secret"]), "tk_admin"));
    server.refuses(&by(readers.subscribe(&["t", "secret"]), "tk_reader"), 40301);
    server.refuses(&readers.subscribe(&["t"]), 40301);
    server.accepts(&by(readers.subscribe(&["t"]), "tk_reader"));
    let publish = |server: &TestServer, text: &str| {
        server.accepts(&by(Request::post("/t", text), "tk_admin"));
    };
    let paths = |count: usize| {
        let mut paths: Vec<_> = (0..count).map(|_| service.push().path).collect();
        paths.sort();
        paths
    };
    publish(&server, "to both");
    assert_eq!(paths(2), ["/admin", "/reader"]);
    // Rules may change without an end.
    file.apply(&format!("{admin}{}", token("reader", "allow = [\"sub other\"]")));
    publish(&server, "to one");
    assert_eq!(paths(1), ["/admin"]);
    file.apply(&both);
    publish(&server, "to both again");
    assert_eq!(paths(2), ["/admin", "/reader"]);
    server.stop();
    server.restart();
    publish(&server, "to both still");
    assert_eq!(paths(2), ["/admin", "/reader"]);
    // Another token of the same name is somebody else.
    let other = token("reader", rules).replace(&sha256("tk_reader"), &sha256("tk_other"));
    file.apply(&format!("{admin}{other}"));
    publish(&server, "to one");
    assert_eq!(paths(1), ["/admin"]);
    file.apply(&both);
    publish(&server, "to one: what has ended stays so");
    assert_eq!(paths(1), ["/admin"]);
    assert!(service.pushed().is_none());
    assert_eq!(server.calls("push", "failed", Some("tk_admin")), 0);
}

fn sha256(text: &str) -> String {
    let line = token(text.strip_prefix("tk_").unwrap(), "");
    line.split('"').nth(3).unwrap().to_owned()
}

#[test]
fn what_is_wrong_with_a_subscription_is_refused_with_its_number() {
    let service = PushService::start();
    let server = server(&service, "");
    let browser = Browser::at(&service, "/");
    let with = |member: &str, value: Value| {
        let mut asked = browser.subscription(&["t"]);
        asked[member] = value;
        Request::post("/v1/webpush", asked.to_string())
    };
    for (code, request) in [
        (40038, Request::post("/v1/webpush", "{")),
        (40038, Request::post("/v1/webpush", "[]")),
        (40038, with("auth", json!("AAAA"))),
        (40038, with("auth", json!("!"))),
        (40038, with("p256dh", json!("AAAA"))),
        (40038, with("p256dh", json!(URL_SAFE_NO_PAD.encode([5; 65])))),
        (40038, with("p256dh", json!(7))),
        (40039, with("endpoint", json!(""))),
        (40039, with("endpoint", json!("nonsense"))),
        (40039, with("endpoint", json!("http://push.example/"))),
        (40039, with("endpoint", json!("ftp://push.example/"))),
        (40039, with("endpoint", json!("https://user@push.example/"))),
        (40039, with("endpoint", json!(format!("https://push.example/{}", "x".repeat(2048))))),
        (40040, with("topics", json!(vec!["t"; 51]))),
        (40009, with("topics", json!(["a b"]))),
        (41303, with("topics", json!("x".repeat(40_000)))),
        (40501, Request::get("/v1/webpush")),
    ] {
        server.refuses(&request, code);
    }
    server.accepts(&with("topics", json!(vec!["t"; 50])));
    TestServer::start().refuses(&browser.subscribe(&["t"]), 40401);
    let config = TestServer::start().get("/v1/config").json();
    assert_eq!(
        (&config["enable_web_push"], &config["web_push_public_key"]),
        (&json!(false), &json!(""))
    );
}

#[test]
fn an_endpoint_that_is_not_of_the_public_internet_is_not_called() {
    let service = PushService::start();
    let flags = format!("--web-push {CONTACT}");
    let server = TestServer::durable_with(&flags, service.trusted());
    let port = service.at.port();
    for host in [
        "127.0.0.1",
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0",
        "10.0.0.1",
        "169.254.169.254",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
        "[fd00::1]",
        "[fe80::1]",
        "[::]",
        "255.255.255.255",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1%25lo]",
        "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
    ] {
        let browser = Browser::with_endpoint(&format!("https://{host}:{port}/"));
        server.refuses(&browser.subscribe(&["t"]), 40039);
    }
    // A name tells where it leads only when it is resolved.
    let name = rustix::system::uname().nodename().to_str().unwrap().to_owned();
    let browser = Browser::with_endpoint(&format!("https://{name}:{port}/"));
    server.accepts(&browser.subscribe(&["t"]));
    server.publish("t", "x");
    eventually("it is not called", || (server.calls("push", "failed", None) == 1).then_some(()));
    assert!(service.pushed().is_none());
}

#[test]
fn one_visitor_has_so_many_subscriptions_and_may_renew_each() {
    let service = PushService::start();
    let file = AccessFile::new("[anonymous]\nallow = [\"pubsub >\"]\n");
    let server = server(&service, &file.flag());
    let browsers: Vec<_> =
        (0..33).map(|number| Browser::at(&service, &format!("/{number}"))).collect();
    for browser in &browsers[..32] {
        server.accepts(&browser.subscribe(&["t"]));
    }
    server.refuses(&browsers[32].subscribe(&["t"]), 42903);
    server.accepts(&browsers[0].subscribe(&["t"]));
    server.accepts(&browsers[0].subscribe(&[]));
    server.accepts(&browsers[32].subscribe(&["t"]));
}

#[test]
fn a_contact_that_is_none_is_an_error_at_the_start() {
    for contact in ["me", "http://push.example", "mailto:", "mailto:me"] {
        let mut command = server_command();
        command.args(["--ephemeral", "--http", "127.0.0.1:0", "--tcp", "none"]);
        let output = run(command.args(["--web-push", contact]));
        assert_eq!(output.status.code(), Some(2), "{contact}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("--web-push"), "{contact}");
    }
}
