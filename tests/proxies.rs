//! Proxies in front: whom the server believes, whose requests they are, and what those see who come
//! by one that is not trusted. `real` has the proxies that people use.

mod header;
mod real;

use std::net::SocketAddr;

use serde_json::Value;

use crate::page::{address, faults};
use crate::support::browser::{Look, in_browser};
use crate::support::http::Connection;
use crate::support::server::{run, server_command};
use crate::support::{Event, Request, TestServer, eventually};

/// Where the server's other end is a proxy.
const TRUSTED: &str = "--trusted-proxies 127.0.0.0/8 --lab on";

/// The row of the connection whose other end has this address.
fn row(server: &TestServer, peer: SocketAddr) -> Value {
    eventually("the connection's row", || {
        let listing = server.get("/v1/connections?max=1000").json();
        let rows = listing["rows"].as_array().unwrap().clone();
        rows.into_iter().find(|row| row["peer"] == peer.to_string())
    })
}

/// Whom the server takes for the client of a request.
fn client(server: &TestServer, request: &Request) -> Value {
    let mut connection = Connection::open(server.http);
    assert_eq!(connection.exchange(request).status, 200);
    row(server, connection.local())["client"].clone()
}

#[test]
fn a_trusted_proxy_tells_whose_request_it_forwards() {
    let server = TestServer::with(TRUSTED);
    let health = Request::get("/v1/health");
    for (name, value, expected) in [
        ("X-Forwarded-For", "203.0.113.9", "203.0.113.9"),
        ("X-Forwarded-For", "198.51.100.1, 203.0.113.9, 127.0.0.7", "203.0.113.9"),
        ("Forwarded", "for=\"[2001:db8::9]:4711\";proto=https", "2001:db8::9"),
    ] {
        let request = health.clone().header(name, value);
        assert_eq!(client(&server, &request), expected, "{name}: {value}");
    }
    for (name, value) in [("X-Forwarded-For", "unknown"), ("Forwarded", "for=_hidden")] {
        let request = health.clone().header(name, value);
        assert_eq!(client(&server, &request), Value::Null, "{name}: {value}: the proxy itself");
    }
    let both = health.header("Forwarded", "for=198.51.100.1");
    let both = server.send(&both.header("X-Forwarded-For", "203.0.113.9"));
    assert_eq!(both.status, 400);
    let error = both.json()["error"].to_string();
    assert!(error.contains("198.51.100.1") && error.contains("203.0.113.9"), "{error}");
}

#[test]
fn others_are_not_believed() {
    let server = TestServer::with("--trusted-proxies 10.0.0.0/8,fd00::1 --lab on");
    let request = Request::get("/v1/health").header("X-Forwarded-For", "203.0.113.9");
    assert_eq!(client(&server, &request), Value::Null);
    let elsewhere = Request::get("/v1/health").host("push.example");
    assert_eq!(server.send(&elsewhere).status, 421);
}

#[test]
fn a_trusted_proxy_may_ask_under_any_name_but_a_foreign_page_may_not() {
    let server = TestServer::with(TRUSTED);
    let request = Request::post("/t", "x").host("push.example");
    assert_eq!(server.send(&request).status, 200);
    let own = request.clone().header("Origin", "https://push.example");
    assert_eq!(server.send(&own).status, 200);
    let foreign = request.header("Origin", "https://evil.example");
    assert_eq!(server.send(&foreign).status, 403);
}

#[test]
fn the_lab_is_not_shown_by_way_of_a_proxy_that_is_not_trusted() {
    const ADDRESSES: [&str; 2] = ["/v1/connections", "/v1/lab?page=page&topic=t"];
    for flags in ["", "--lab on"] {
        let server = TestServer::with(flags);
        for name in [
            "X-Forwarded-For",
            "x-forwarded-proto",
            "X-Forwarded-Host",
            "X-Forwarded-Server",
            "Forwarded",
            "Via",
            "X-Real-IP",
        ] {
            for path in ADDRESSES {
                let response = server.send(&Request::get(path).header(name, "1.1 x"));
                let error = response.json()["error"].to_string();
                assert_eq!(response.status, 403, "{flags} {name} {path}: {error}");
                assert!(error.contains("--trusted-proxies"), "{error}");
            }
        }
        for path in ADDRESSES {
            let old = format!("GET {path} HTTP/1.0\r\nhost: 127.0.0.1:8080\r\n\r\n");
            let mut connection = Connection::open(server.http);
            connection.write(old.as_bytes());
            assert_eq!(connection.response().status, 403, "{flags} {path} over HTTP/1.0");
        }
        assert_eq!(server.get("/v1/connections").status, 200, "{flags}");
    }
}

#[test]
fn the_lab_is_off_by_itself_where_a_proxy_is_trusted() {
    let server = TestServer::with("--trusted-proxies 127.0.0.1");
    assert_eq!(server.get("/v1/config").json()["lab"], false);
    assert_eq!(server.get("/v1/connections").status, 404);
    let server = TestServer::with(TRUSTED);
    let by_proxy = Request::get("/v1/connections").header("X-Forwarded-For", "203.0.113.9");
    assert_eq!(server.send(&by_proxy.host("push.example")).status, 200, "it was asked for");
}

#[test]
fn a_setting_of_proxies_that_is_wrong_is_named() {
    for (flags, expected) in [
        (&["--proxy-protocol", "tcp"][..], "--trusted-proxies"),
        (&["--proxy-protocol", "udp", "--trusted-proxies", "::1"], "--proxy-protocol"),
        (&["--trusted-proxies", "10.0.0.0/33"], "--trusted-proxies"),
        (&["--trusted-proxies", "proxy.example"], "--trusted-proxies"),
        (&["--allow-origin", "https://app.example/"], "--allow-origin"),
        (&["--allow-host", "app.example:8080"], "--allow-host"),
        (&["--base-path", "bell"], "--base-path"),
    ] {
        let output =
            run(server_command().args(flags).args(["--ephemeral", "--http", "127.0.0.1:0"]));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{stderr}");
        assert!(stderr.contains(expected) && stderr.contains(flags[0]), "{stderr}");
    }
}

#[test]
fn a_base_path_is_taken_from_the_addresses_of_those_who_send_it() {
    let server = TestServer::with("--base-path /tools/bell");
    let sent = server.send(&Request::post("/tools/bell/t", "x"));
    assert_eq!(sent.status, 200, "{}", sent.text());
    server.publish("t", "y");
    let held = server.get("/tools/bell/t/json?poll=1&since=all").events();
    assert_eq!(held.iter().map(Event::message).collect::<Vec<_>>(), ["x", "y"]);
    assert_eq!(server.get("/tools/bell/static/main.js").status, 200);
    let moved = server.get("/tools/bell?demo=off");
    assert_eq!((moved.status, moved.header("location")), (307, Some("/tools/bell/?demo=off")));
    assert_eq!(server.get("/tools/bells/t/json").status, 404);
}

#[test]
fn the_page_works_under_a_path() {
    let server = TestServer::with("--base-path /bell");
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&address(&server, &format!("bell/lab?demo=off&interval=1&{LANES}"))).await;
        works(&page, "demo").await;
        page.open(&address(
            &server,
            &format!("bell/lab?topic=orders.eu&demo=off&interval=1&{LANES}"),
        ))
        .await;
        works(&page, "orders.eu").await;
        page.type_into("topic", ".new\n").await;
        page.until("terminal-lines", |text| text.contains("/bell/orders.eu.new/sse")).await;
        works(&page, "orders.eu.new").await;
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

/// Those whose messages are waited for.
const LANES: &str = "lanes=poll,longpoll,sse,ws";

/// The page in front of us publishes, and each lane hears of it.
async fn works(page: &crate::support::browser::Page, topic: &str) {
    page.until("ws-state", |text| text == "connected").await;
    page.until("poll-state", |text| text == "the server answers").await;
    page.type_into("publish-text", "Parcel for number 12").await;
    page.click("publish-button").await;
    for lane in ["ws", "sse", "longpoll", "poll"] {
        page.until(&format!("{lane}-messages"), |text| text == "1").await;
    }
    page.until("terminal-lines", |text| text.contains(&format!("{topic}/sse"))).await;
}
