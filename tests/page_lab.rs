//! What the page shows of the server's lab, in a real browser: what the kernel counted, who is
//! connected, the subscribers that the server's side runs.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::page::{faults, laboratory};
use crate::support::browser::{Look, Page, in_browser};
use crate::support::{Lines, PATIENCE, TestServer};

/// A number of bytes as the page writes it, read back; it has three figures.
fn bytes(text: &str) -> f64 {
    let (number, unit) = text.split_once(char::is_whitespace).expect("a number and its unit");
    let number: f64 = number.parse().unwrap();
    match unit {
        "B" => number,
        "kB" => number * 1e3,
        "MB" => number * 1e6,
        other => panic!("{text:?} has the unit {other:?}"),
    }
}

/// The rows of the connections that work in a way.
fn rows(server: &TestServer, via: &str) -> Vec<Value> {
    let table = server.get("/v1/connections").json();
    let rows = table["rows"].as_array().unwrap();
    rows.iter().filter(|row| row["via"] == via).cloned().collect()
}

/// What the server's kernel counted on the page's WebSocket.
fn websocket_wire(server: &TestServer) -> f64 {
    let rows = rows(server, "ws");
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows[0]["wire_in"].as_f64().unwrap() + rows[0]["wire_out"].as_f64().unwrap()
}

async fn await_connection(page: &Page) {
    page.until("ws-state", |text| text == "connected").await;
}

#[test]
fn bytes_on_the_wire_are_those_that_the_servers_kernel_counted() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&laboratory(&server, "?demo=off&lanes=ws")).await;
        await_connection(&page).await;
        for n in 1..=10 {
            server.publish("demo", &format!("visitor {n}"));
        }
        page.until("ws-messages", |text| text == "10").await;
        let deadline = Instant::now() + PATIENCE;
        let told = loop {
            let (text, counted) = (page.text("ws-wire").await, websocket_wire(&server));
            if !text.starts_with('≈') && (bytes(&text) - counted).abs() <= counted / 100.0 {
                break bytes(&text);
            }
            assert!(Instant::now() < deadline, "the page says {text}, the kernel {counted}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let application = bytes(&page.text("ws-bytes").await);
        assert!(told > application, "{told} on the wire, {application} of the application");
        let packets = page.number("ws-packets").await;
        assert!(packets > 20, "{packets} packets: ten messages, their acknowledgements and more");
        // Each packet has 52 bytes of headers, and what is not headers is the application's.
        let headers = 52.0 * f64::from(u32::try_from(packets).unwrap());
        let sum = application + headers;
        assert!((sum - told).abs() < told / 20.0, "{application} in {packets} packets of {told}");
        let (asked, answered) =
            (bytes(&page.text("ws-wire-in").await), bytes(&page.text("ws-wire-out").await));
        assert!((asked + answered - told).abs() < told / 50.0, "{asked} and {answered} of {told}");
        page.click("restart-button").await;
        page.until("ws-messages", |text| text == "0").await;
        server.publish("demo", "one more");
        page.until("ws-packets", |text| text.parse().is_ok_and(|packets: u64| packets > 0)).await;
        let anew = bytes(&page.text("ws-wire").await);
        assert!(anew < told / 2.0, "{anew} after {told}: what was before is subtracted");
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

#[test]
fn every_chosen_lane_is_charged_its_own_packets() {
    let server = TestServer::with("--udp 127.0.0.1:0");
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&laboratory(&server, "?demo=off&interval=0.5")).await;
        await_connection(&page).await;
        page.until("udp-state", |text| text.starts_with("subscribed")).await;
        for n in 1..=5 {
            server.publish("demo", &format!("visitor {n}"));
        }
        for lane in ["poll", "longpoll", "sse", "ws", "tcp", "udp"] {
            page.until(&format!("{lane}-messages"), |text| text == "5").await;
            let more = |text: &str| text.parse().is_ok_and(|packets: u64| packets >= 5);
            page.until(&format!("{lane}-packets"), more).await;
            // What the kernel counted is told twice a second.
            let deadline = Instant::now() + PATIENCE;
            loop {
                let wire = page.text(&format!("{lane}-wire")).await;
                let application = page.text(&format!("{lane}-bytes")).await;
                if application != "–" && bytes(&wire) > bytes(&application) {
                    break;
                }
                assert!(Instant::now() < deadline, "{lane}: {wire} for {application}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    });
}

#[test]
fn the_servers_own_subscriber_shows_delays_on_the_servers_clock() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&laboratory(&server, "?demo=off&lanes=ws,tcp")).await;
        await_connection(&page).await;
        page.until("tcp-state", |text| text.starts_with("connected from port")).await;
        server.publish("demo", "from elsewhere");
        page.until("tcp-median", |text| text.contains('s')).await;
        page.until("ws-messages", |text| text == "1").await;
        assert_eq!(page.text("ws-median").await, "–", "this page has no stamp of its sending");
        let label =
            page.evaluate("return document.querySelector('.lane-label.is-tcp').textContent").await;
        assert!(label.as_str().unwrap().contains("after acceptance"), "{label}");
        page.type_into("publish-text", "from here\n").await;
        page.until("tcp-messages", |text| text == "2").await;
        page.until("ws-median", |text| text.contains('s')).await;
        server.await_readers("tcp", 1);
        page.click("choose-tcp").await;
        server.await_readers("tcp", 0);
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

#[test]
fn a_persons_own_connection_is_in_the_table_from_its_first_packet_to_its_last() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&laboratory(&server, "?demo=off&lanes=ws")).await;
        await_connection(&page).await;
        page.until("connections-own", |text| text.contains("WebSocket")).await;
        assert_eq!(page.text("connections-others").await, "");
        let stream = TcpStream::connect(server.tcp).unwrap();
        let ends = stream.local_addr().unwrap().to_string();
        let mut lines = Lines::over_tcp(stream);
        assert_eq!(lines.event().kind(), "open");
        let silent = page.until("connections-others", |text| text.contains(&ends)).await;
        assert!(silent.contains("from your address"), "{silent}");
        assert!(silent.contains("tcp") && silent.contains("↑ 0 B"), "{silent}");
        assert!(!silent.contains("demo"), "{silent}");
        lines.write(b"PING hello\n");
        page.until("connections-others", |text| text.contains("↑ 11 B")).await;
        lines.say("SUB demo");
        let reading = |text: &str| text.contains("demo") && text.contains("waits for news");
        page.until("connections-others", reading).await;
        let event = server.publish("demo", "for both");
        page.until("connections-others", |text| text.contains(event.id())).await;
        drop(lines);
        page.until("connections-others", |text| !text.contains(&ends)).await;
        page.until("connections-count", |text| text.contains("nobody besides")).await;
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

#[test]
fn the_table_says_how_many_connections_it_does_not_show() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&laboratory(&server, "?demo=off&lanes=ws")).await;
        await_connection(&page).await;
        let crowd: Vec<Lines> = (0..60).map(|_| server.lines()).collect();
        let total = |text: &str| text.split(' ').next()?.parse::<usize>().ok();
        let is_told = |text: &str| {
            text.contains("of them shown") && total(text).is_some_and(|total| total > crowd.len())
        };
        page.until("connections-count", is_told).await;
        page.until("connections-own", |text| text.contains("WebSocket")).await;
    });
}

#[test]
fn without_the_lab_the_page_works_and_says_what_is_missing() {
    let server = TestServer::with("--lab off --udp 127.0.0.1:0");
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&laboratory(&server, "?demo=off&interval=0.5")).await;
        await_connection(&page).await;
        page.until("lab-note", |text| text.contains("lab is off")).await;
        for lane in ["tcp", "udp"] {
            assert_eq!(page.text(&format!("choose-{lane}-why")).await, "--lab on");
        }
        page.until("sse-state", |text| text == "connected").await;
        page.until("longpoll-state", |text| text == "a request waits").await;
        server.publish("demo", "without witnesses");
        for lane in ["poll", "longpoll", "sse", "ws"] {
            page.until(&format!("{lane}-messages"), |text| text == "1").await;
            page.until(&format!("{lane}-wire"), |text| text.starts_with('≈')).await;
        }
        assert!(page.text("connections-off").await.contains("--lab on"));
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

#[test]
fn a_lane_that_the_server_does_not_have_says_what_it_needs() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&laboratory(&server, "?demo=off")).await;
        await_connection(&page).await;
        page.until("choose-udp-why", |text| text == "--udp 127.0.0.1:0").await;
        let disabled = "return document.getElementById('choose-udp').disabled";
        assert_eq!(page.evaluate(disabled).await, true);
        page.until("tcp-state", |text| text.starts_with("connected")).await;
    });
}

#[test]
fn the_lab_comes_back_with_the_server_and_counts_on() {
    let mut server = TestServer::durable("");
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&laboratory(&server, "?demo=off&lanes=sse,ws,tcp")).await;
        await_connection(&page).await;
        page.until("tcp-state", |text| text.starts_with("connected")).await;
        server.kill();
        page.until("lab-note", |text| text.contains("being tried again")).await;
        page.until("tcp-state", |text| text.starts_with("not connected")).await;
        server.restart();
        await_connection(&page).await;
        page.until("tcp-state", |text| text.starts_with("connected")).await;
        page.until("lab-note", str::is_empty).await;
        page.click("restart-button").await;
        for n in 1..=3 {
            server.publish("demo", &format!("{n}"));
        }
        for lane in ["sse", "ws", "tcp"] {
            page.until(&format!("{lane}-messages"), |text| text == "3").await;
            let more = |text: &str| text.parse().is_ok_and(|packets: u64| packets >= 3);
            page.until(&format!("{lane}-packets"), more).await;
        }
    });
}
