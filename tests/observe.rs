//! What the server tells about itself.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::id::foreign;
use crate::support::{Lines, Request, TestServer, Transport, eventually, skip_unless_ci};

#[test]
fn a_healthy_server_says_so() {
    let server = TestServer::durable("");
    let response = server.get("/v1/health");
    assert_eq!((response.status, response.text().trim()), (200, "{\"healthy\":true}"));
}

#[test]
fn the_configuration_tells_version_listeners_and_limits() {
    let server = TestServer::start();
    let config = server.get("/v1/config").json();
    assert!(config["version"].as_str().unwrap().split('.').count() == 3);
    let listen = &config["listen"];
    assert_eq!(listen["http"], server.http.to_string());
    assert_eq!(listen["tcp"], server.tcp.to_string());
    assert_eq!(listen["unix"], server.unix().display().to_string());
    let limits = &config["limits"];
    for (name, value) in [
        ("message_bytes", 4096),
        ("line_bytes", 64 << 10),
        ("filter_topics", 1024),
        ("filter_patterns", 64),
        ("header_bytes", 32 << 10),
        ("subscriptions_per_connection", 64),
        ("wait_seconds_max", 60),
    ] {
        assert_eq!(limits[name], value, "{name}");
    }
    assert!(limits["connections"].as_u64().unwrap() > 0);
}

#[test]
fn the_configuration_names_every_way_of_receiving() {
    let config = TestServer::start().get("/v1/config").json();
    let transports = config["transports"].as_array().unwrap();
    let told: Vec<[&str; 3]> = transports
        .iter()
        .map(|one| ["name", "family", "title"].map(|member| one[member].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ["poll", "poll", "Polling"],
            ["longpoll", "longpoll", "Long poll"],
            ["ndjson", "push", "NDJSON"],
            ["sse", "push", "SSE"],
            ["raw", "push", "Raw"],
            ["ws", "push", "WebSocket"],
            ["tcp", "push", "TCP"],
            ["unix", "push", "Unix socket"],
            ["udp", "push", "UDP"],
        ]
    );
}

#[test]
fn the_counters_move_with_what_they_count() {
    let server = TestServer::start();
    let zero = server.stats();
    for counter in ["messages", "deliveries", "polls", "polls_empty", "messages_refused"] {
        assert_eq!(zero[counter], 0, "{counter}");
    }
    let mut reader = Transport::Tcp.read(&server, "t", "none");
    server.publish("t", "x");
    reader.message();
    server.poll("t", "all");
    server.poll("t", "none");
    assert_eq!(server.send(&Request::post("/a..b", "x")).status, 400);
    let stats = eventually("the delivery is counted", || {
        let stats = server.stats();
        (stats["deliveries"] == 2).then_some(stats)
    });
    assert_eq!((&stats["messages"], &stats["messages_refused"]), (&1.into(), &1.into()));
    assert_eq!((&stats["polls"], &stats["polls_empty"]), (&2.into(), &1.into()));
    assert!(stats["messages_rate"].as_f64().unwrap() > 0.0);
    assert_eq!(stats["topics"], 1);
    let tcp = &stats["transports"]["tcp"];
    assert_eq!((&tcp["deliveries"], &tcp["readers"]), (&1.into(), &1.into()));
    assert!(tcp["bytes"].as_u64().unwrap() > 50);
    assert_eq!(stats["transports"]["poll"]["deliveries"], 1);
}

#[test]
fn readers_are_counted_while_they_stay() {
    let server = TestServer::start();
    let readers = Transport::PUSHING.map(|way| way.read(&server, "t", "none"));
    for name in ["ndjson", "sse", "websocket", "tcp", "unix"] {
        server.await_readers(name, 1);
    }
    drop(readers);
    // A line reader that is gone looks like one that has only finished writing, until it is
    // written to.
    eventually("all are gone", || {
        server.publish("t", "is anybody there?");
        let stats = server.stats();
        let gone = |name: &&str| stats["transports"][*name]["readers"] == 0;
        ["ndjson", "sse", "websocket", "tcp", "unix"].iter().all(gone).then_some(())
    });
}

#[test]
fn gaps_that_are_told_are_counted() {
    let server = TestServer::start();
    let event = server.publish("t", "x");
    let foreign = foreign(event.id());
    server.get(&format!("/t/json?poll=1&since={foreign}"));
    assert_eq!(server.stats()["transports"]["poll"]["gaps"], 1);
    for (way, name) in Transport::PUSHING.into_iter().zip(["ndjson", "sse", "websocket", "tcp"]) {
        way.read(&server, "t", &foreign).message();
        eventually(&format!("the gap told over {name} is counted"), || {
            (server.stats()["transports"][name]["gaps"] == 1).then_some(())
        });
    }
}

/// The metrics in the form that this header asks for, and their content type.
fn metrics(server: &TestServer, accept: &str) -> (String, String) {
    let response = server.send(&Request::get("/metrics").header("Accept", accept));
    assert_eq!(response.status, 200);
    (response.header("content-type").unwrap().to_owned(), response.text().to_owned())
}

#[test]
fn the_metrics_are_prometheus_text_in_both_forms() {
    let server = TestServer::start();
    server.publish("t", "x");
    Transport::Sse.read(&server, "t", "all").message();
    let (kind, text) = metrics(&server, "*/*");
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(name.starts_with("doorbell_"), "{line}");
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    let value = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).rsplit_once(' ').unwrap().1
    };
    assert_eq!(value("doorbell_publishes_total"), "1");
    assert_eq!(value("doorbell_deliveries_total{transport=\"sse\"}"), "1");
    assert!(value("doorbell_socket_bytes_total{listener=\"http\",direction=\"in\"}") != "0");
    assert_eq!(value("doorbell_commit_messages_bucket{le=\"1.0\"}"), "1");
    assert_eq!(value("doorbell_commit_messages_bucket{le=\"+Inf\"}"), "1");
    assert_eq!(value("doorbell_handout_messages_count{transport=\"sse\"}"), "1");
    let (kind, open) = metrics(&server, "application/openmetrics-text;version=1.0.0,*/*;q=0.1");
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(open.ends_with("# EOF\n"));
    let samples = |text: &str| {
        let names = text.lines().filter(|line| !line.starts_with('#'));
        names.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(samples(&open), samples(&text));
}

#[test]
fn promtool_has_no_remark_on_the_metrics() {
    let server = TestServer::start();
    server.publish("t", "x");
    let (_, text) = metrics(&server, "text/plain;version=0.0.4");
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped());
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut promtool) = spawned else { return skip_unless_ci("promtool") };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
}

#[test]
fn sockets_of_all_listeners_are_counted() {
    let server = TestServer::start();
    let _tcp = server.lines();
    let _unix = Lines::greeted_unix(&server.unix());
    let sockets = server.stats()["sockets"].as_u64().unwrap();
    assert!(sockets >= 3, "both and the one that asks: {sockets}");
}

#[test]
fn a_browser_is_shown_a_page_where_there_is_none_and_programs_are_told_as_ever() {
    let server = TestServer::start();
    let (browser, program) = ("text/html,application/xhtml+xml,*/*;q=0.8", "*/*");
    for (path, status, reason) in [
        ("/no/such/page", 404, "page not found"),
        ("/orders.*", 400, "orders.*"),
        ("/a/json?since=%3Cb%3E", 400, "&lt;b&gt;"),
    ] {
        let asked = |accept| server.send(&Request::get(path).header("accept", accept));
        let page = asked(browser);
        assert_eq!(page.status, status, "{path}");
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(page.header("content-security-policy").is_some(), "{path}");
        let up = "../".repeat(path.matches('/').count() - 1);
        for text in [reason, &status.to_string(), &format!("href=\"{up}static/style.css\"")] {
            assert!(page.text().contains(text), "{path}: no {text} in {}", page.text());
        }
        let told = asked(program);
        assert_eq!((told.status, told.header("content-type")), (status, Some("application/json")));
        assert_eq!(told.json()["http"], status, "{path}");
    }
    let post = Request::post("/no/such/page", "x").header("accept", browser);
    assert_eq!(server.send(&post).header("content-type"), Some("application/json"));
}

#[test]
fn the_picture_of_a_link_has_a_whole_address_where_the_server_knows_its_own() {
    for (flags, card) in [
        ("", "static/card.png"),
        ("--base-url https://bell.example/push", "https://bell.example/push/static/card.png"),
    ] {
        let page = TestServer::with(flags).get("/");
        let wanted = format!("<meta property=\"og:image\" content=\"{card}\">");
        assert!(page.text().contains(&wanted), "{flags}: {}", page.text());
    }
}

#[test]
fn the_page_is_served_with_a_policy_that_lets_nothing_in_from_elsewhere() {
    let server = TestServer::start();
    for path in ["/", "/some.topic"] {
        let response = server.get(path);
        assert_eq!(response.status, 200, "{path}");
        assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
        let policy = response.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    }
    // The inbox shows images from elsewhere to those who ask for them, and fetches nothing else.
    let inbox = server.get("/app");
    let policy = inbox.header("content-security-policy").unwrap();
    let from_elsewhere = |part: &str| part.contains("http") || part.contains('*');
    let parts: Vec<&str> = policy.split("; ").filter(|part| from_elsewhere(part)).collect();
    assert_eq!(parts, ["img-src 'self' data: http: https:"], "{policy}");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let page = server.get("/");
    let tag = page.header("etag").unwrap();
    assert_eq!(server.send(&Request::get("/").header("If-None-Match", tag)).status, 304);
    for elsewhere in ["http://", "https://", "src=\"//"] {
        for line in page.text().lines().filter(|line| line.contains(elsewhere)) {
            let loads = line.contains("src=") || line.contains("<link");
            assert!(!loads, "loaded from elsewhere: {line}");
        }
    }
    for script in page.text().split("src=\"").skip(1) {
        let path = script.split('"').next().unwrap();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        assert_eq!(server.get(&path).status, 200, "{path}");
    }
}

#[test]
fn what_is_not_there_is_not_found_and_says_so_as_json() {
    let server = TestServer::start();
    for path in ["/static/none.js", "/static/..%2fCargo.toml", "/v1/nothing", "/a/b/c"] {
        let response = server.get(path);
        assert_eq!((response.status, &response.json()["code"]), (404, &40401.into()), "{path}");
    }
}

#[test]
fn what_browsers_and_robots_ask_for_by_themselves_is_what_it_is() {
    let server = TestServer::start();
    let robots = server.get("/robots.txt");
    assert_eq!(
        (robots.status, robots.header("content-type")),
        (200, Some("text/plain; charset=utf-8"))
    );
    assert_eq!(robots.text(), "User-agent: *\nDisallow: /\n");
    let icon = server.get("/favicon.ico");
    assert_eq!((icon.status, icon.header("content-type")), (200, Some("image/x-icon")));
    assert_eq!(&icon.body[..4], [0, 0, 1, 0], "the head of an icon");
    for name in ["apple-touch-icon.png", "manifest.json", "sitemap.xml", "wp-login.php", "sw.js"] {
        for accept in ["*/*", "image/avif,image/webp,*/*;q=0.8"] {
            let asked = Request::get(&format!("/{name}")).header("Accept", accept);
            let answer = server.send(&asked);
            assert_eq!(answer.status, 404, "{name} for {accept}: {}", answer.text());
        }
        let visited = Request::get(&format!("/{name}")).header("Accept", "text/html,*/*;q=0.8");
        assert_eq!(server.send(&visited).status, 200, "the page of the topic {name}");
        assert_eq!(server.send(&Request::post(&format!("/{name}"), "x")).status, 200, "{name}");
    }
}

#[test]
fn a_slash_too_many_in_an_address_changes_nothing() {
    let server = TestServer::start();
    for path in ["/a/", "//a", "///a//"] {
        let sent = server.send(&Request::post(path, path));
        assert_eq!(sent.status, 200, "{path}: {}", sent.text());
    }
    for path in ["/a/json/", "//a/json", "//a//json"] {
        let held = server.get(&format!("{path}?poll=1"));
        assert_eq!(held.status, 200, "{path}: {}", held.text());
        let texts: Vec<String> =
            held.events().iter().map(|event| event.message().to_owned()).collect();
        assert_eq!(texts, ["/a/", "//a", "///a//"], "{path}");
    }
    assert_eq!(server.get("//v1/health/").status, 200);
    // The page finds its parts from its own address.
    for (path, to) in [("/a/", "../a"), ("//a", "../a"), ("//a//?x=1", "../../../a?x=1")] {
        let moved = server.get(path);
        assert_eq!((moved.status, moved.header("location")), (307, Some(to)), "{path}");
    }
    assert_eq!(server.get("//?x=1").header("location"), Some("../?x=1"));
}
