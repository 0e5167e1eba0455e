//! The laboratory, in a real browser: what it counts, shows and says. The first view is in
//! `page_first`.

use std::time::Duration;

use serde_json::Value;

use crate::support::browser::{Look, Page, in_browser};
use crate::support::{TestServer, eventually};

/// What shows that the page follows no plan of somebody else's, or stumbles over itself.
pub(crate) fn faults(page: &Page) -> Vec<Value> {
    let entries = page.console().into_iter();
    entries.filter(|entry| entry["level"] == "SEVERE").collect()
}

pub(crate) fn address(server: &TestServer, rest: &str) -> String {
    format!("http://{}/{rest}", server.http)
}

/// Every lane there is.
const LANES: &str = "poll,longpoll,sse,ws,tcp,udp";

/// The laboratory with settings, which may end in a part of the page: with every lane, unless they
/// name some.
pub(crate) fn laboratory(server: &TestServer, settings: &str) -> String {
    let (query, part) = settings.split_at(settings.find('#').unwrap_or(settings.len()));
    let lanes = if query.contains("lanes=") { String::new() } else { format!("&lanes={LANES}") };
    address(server, &format!("lab{query}{lanes}{part}"))
}

async fn await_connection(page: &Page) {
    page.until("ws-state", |text| text == "connected").await;
    page.until("poll-state", |text| text == "the server answers").await;
}

#[test]
fn what_is_published_by_hand_comes_by_push_at_once_and_by_polling_later() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&laboratory(&server, "?demo=off&interval=3")).await;
        await_connection(&page).await;
        assert_eq!(page.number("ws-messages").await, 0);
        page.type_into("publish-text", "Parcel for number 12").await;
        page.click("publish-button").await;
        page.until("ws-messages", |text| text == "1").await;
        page.until("messages", |text| text.contains("Parcel for number 12")).await;
        page.until("poll-messages", |text| text == "1").await;
        assert_eq!(server.poll("demo", "all")[0].message(), "Parcel for number 12");
        let milliseconds = async |id: &str| {
            let text = page.text(id).await;
            let (number, unit) =
                text.split_once(char::is_whitespace).expect("a number and its unit");
            let number: f64 = number.parse().unwrap();
            match unit {
                "s" => number * 1000.0,
                "ms" => number,
                "µs" => number / 1000.0,
                other => panic!("{text:?} has the unit {other:?}"),
            }
        };
        let (push, poll) = (milliseconds("ws-median").await, milliseconds("poll-median").await);
        assert!(push < 1000.0, "pushed after {push} ms");
        assert!(poll > push, "polled after {poll} ms, pushed after {push} ms");
        let caption = page.text("caption").await;
        assert!(
            caption.contains("had it after") && caption.contains("polling had it after"),
            "{caption}"
        );
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

#[test]
fn what_others_publish_comes_by_polling_and_by_push() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&laboratory(&server, "?topic=orders.eu&demo=off&interval=0.5")).await;
        await_connection(&page).await;
        for n in 1..=5 {
            server.publish("orders.eu", &format!("order {n}"));
        }
        page.until("ws-messages", |text| text == "5").await;
        page.until("poll-messages", |text| text == "5").await;
        page.until("messages", |text| (1..=5).all(|n| text.contains(&format!("order {n}")))).await;
        for id in ["poll-missed", "ws-missed", "poll-repeated", "ws-repeated"] {
            assert_eq!(page.number(id).await, 0, "{id}");
        }
        assert!(faults(&page).is_empty());
    });
}

#[test]
fn the_counters_of_polling_move_although_nothing_happens() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&laboratory(&server, "?demo=off&interval=0.25")).await;
        await_connection(&page).await;
        page.until("poll-empty", |text| text.parse::<u64>().is_ok_and(|n| n >= 3)).await;
        page.until("poll-unchanged", |text| text.parse::<u64>().is_ok_and(|n| n >= 3)).await;
        // In this order: both go on counting.
        let empty = page.number("poll-empty").await;
        assert!(page.number("poll-requests").await >= empty);
        assert_eq!(page.number("ws-requests").await, 1, "one connection is all");
        assert_eq!(page.number("poll-messages").await, 0);
        assert_eq!(server.stats()["transports"]["websocket"]["readers"], 1);
    });
}

#[test]
fn the_demo_stream_publishes_by_itself_until_it_is_switched_off() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&laboratory(&server, "?demo=on&rate=5&interval=0.5")).await;
        page.until("ws-messages", |text| text.parse::<u64>().is_ok_and(|n| n >= 3)).await;
        page.click("demo-switch").await;
        let switched = page.evaluate("return document.getElementById('demo-switch').checked").await;
        assert_eq!(switched, false);
        // What is on its way still comes; then it is quiet.
        let mut before = 0;
        eventually("the stream ends", || {
            let now = server.stats()["messages"].as_u64().unwrap();
            let same = now == std::mem::replace(&mut before, now);
            std::thread::sleep(Duration::from_millis(500));
            same.then_some(())
        });
        let published = before.to_string();
        page.until("ws-messages", |text| text == published).await;
        page.until("poll-messages", |text| text == published).await;
        assert!(faults(&page).is_empty());
    });
}

#[test]
fn the_page_says_when_the_server_is_gone_and_comes_back_with_it() {
    let mut server = TestServer::durable("");
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&laboratory(&server, "?demo=off&interval=0.5")).await;
        await_connection(&page).await;
        server.publish("demo", "before");
        page.until("ws-messages", |text| text == "1").await;
        page.until("poll-messages", |text| text == "1").await;
        server.kill();
        page.until("ws-state", |text| text.starts_with("not connected")).await;
        page.until("poll-state", |text| text.contains("not connected")).await;
        server.restart();
        server.publish("demo", "while it was away");
        await_connection(&page).await;
        page.until("ws-messages", |text| text == "2").await;
        page.until("poll-messages", |text| text == "2").await;
        page.until("messages", |text| text.contains("while it was away")).await;
        for id in ["poll-missed", "ws-missed", "poll-repeated", "ws-repeated"] {
            assert_eq!(page.number(id).await, 0, "{id}");
        }
        for fault in page.console() {
            let text = fault["message"].as_str().unwrap_or_default();
            assert!(!text.contains("Uncaught") && !text.contains("Security Policy"), "{text}");
        }
    });
}

#[test]
fn the_slider_sets_how_often_polling_looks() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&laboratory(&server, "?demo=off&interval=60")).await;
        await_connection(&page).await;
        let slowest = page.text("interval-value").await;
        let home_key = '\u{e011}';
        page.type_into("interval", &home_key.to_string()).await;
        page.until("interval-value", |text| text != slowest).await;
        page.until("poll-requests", |text| text.parse::<u64>().is_ok_and(|n| n >= 4)).await;
    });
}

#[test]
fn the_page_tells_of_a_gap_when_the_log_is_a_new_one() {
    let mut server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&laboratory(&server, "?demo=off&interval=0.5")).await;
        await_connection(&page).await;
        let lanes = ["poll", "longpoll", "sse", "ws"];
        server.publish("demo", "forgotten");
        for lane in lanes {
            page.until(&format!("{lane}-messages"), |text| text == "1").await;
        }
        server.stop();
        server.restart();
        server.publish("demo", "new");
        let told = page.until("gap", |text| {
            ["Polling", "Long poll", "SSE", "WebSocket"].iter().all(|lane| text.contains(lane))
        });
        let told = told.await;
        assert!(told.contains("the log is a new one"), "{told}");
        // Ids of the new log are as likely lower as higher.
        for lane in lanes {
            page.until(&format!("{lane}-messages"), |text| text == "2").await;
            for fault in ["missed", "disordered", "repeated"] {
                assert_eq!(page.number(&format!("{lane}-{fault}")).await, 0, "{lane} {fault}");
            }
        }
    });
}

#[test]
fn a_message_is_shown_as_text_whatever_is_in_it() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&laboratory(&server, "?demo=off&interval=0.5")).await;
        await_connection(&page).await;
        let hostile = "<img src=x onerror=\"document.title='taken'\"><script>1</script>";
        server.publish("demo", hostile);
        page.until("messages", |text| text.contains(hostile)).await;
        let made = "return document.querySelectorAll('#messages img, #messages script').length";
        assert_eq!(page.evaluate(made).await, 0);
        assert_ne!(page.evaluate("return document.title").await, "taken");
        assert!(faults(&page).is_empty());
    });
}

#[test]
fn the_laboratory_fits_a_phone_and_a_desk_by_day_and_by_night() {
    let server = TestServer::with("--udp 127.0.0.1:0");
    in_browser(Look::TALL, async move |page| {
        page.open(&laboratory(&server, "?demo=on&rate=5&interval=1")).await;
        await_connection(&page).await;
        page.until("poll-messages", |text| text.parse::<u64>().is_ok_and(|n| n >= 8)).await;
        let looks = [
            (Look::TALL, "lab.png", 1240),
            (Look::DESKTOP, "lab-desktop-light.png", 1280),
            (Look::DARK, "lab-desktop-dark.png", 1280),
            (Look::PHONE, "lab-phone-light.png", 390),
            (Look::DARK_PHONE, "lab-phone-dark.png", 390),
        ];
        let mut backgrounds = Vec::new();
        for (look, name, width) in looks {
            page.look(look);
            let inner = page.evaluate("return document.documentElement.clientWidth").await;
            assert!(inner.as_u64().unwrap() <= width, "{name}: {inner}");
            let wide = page.evaluate("return document.documentElement.scrollWidth").await;
            assert!(wide.as_u64().unwrap() <= width, "{name} scrolls sideways: {wide} of {width}");
            let background = "return getComputedStyle(document.body).backgroundColor";
            backgrounds.push(page.evaluate(background).await);
            page.keep_screenshot(name).await;
        }
        assert_ne!(backgrounds[1], backgrounds[2], "night is not day");
        assert_ne!(backgrounds[3], backgrounds[4], "nor is it on a phone");
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

#[test]
fn everything_that_can_be_pressed_has_a_name_and_is_reached_by_keyboard() {
    let server = TestServer::start();
    in_browser(Look::PHONE, async move |page| {
        page.open(&laboratory(&server, "?demo=off")).await;
        await_connection(&page).await;
        let nameless = "return [...document.querySelectorAll('button, input, a')].filter(e =>
            !e.textContent.trim() && !e.getAttribute('aria-label') && !(e.labels && e.labels.length))
            .map(e => e.outerHTML)";
        assert_eq!(page.evaluate(nameless).await, serde_json::json!([]));
        let skipped = "return [...document.querySelectorAll('button, input, a')]
            .filter(e => e.tabIndex < 0).length";
        assert_eq!(page.evaluate(skipped).await, 0);
        assert_ne!(page.evaluate("return document.documentElement.lang").await, "");
        page.type_into("publish-text", "by keyboard\n").await;
        page.until("ws-messages", |text| text == "1").await;
    });
}
