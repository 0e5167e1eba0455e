//! The lanes of the page, in a real browser: which there are, what they bring, how they come back.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::page::{address, faults, laboratory};
use crate::support::browser::{Look, Page, in_browser};
use crate::support::{PATIENCE, TestServer};

/// Those that a browser runs itself.
const OF_THE_BROWSER: [&str; 4] = ["poll", "longpoll", "sse", "ws"];
/// Those that the server's lab runs.
const OF_THE_LAB: [&str; 2] = ["tcp", "udp"];

const TAB: &str = "\u{e004}";

/// Waits until these lanes can bring a message.
async fn await_lanes(page: &Page, lanes: &[&str]) {
    for lane in lanes {
        let ready = match *lane {
            "poll" => "the server answers",
            "longpoll" => "a request waits",
            "udp" => "subscribed from port",
            _ => "connected",
        };
        page.until(&format!("{lane}-state"), |text| text.starts_with(ready)).await;
    }
}

/// Waits until the lab has said what it has, so that its lanes can be chosen.
async fn await_lab(page: &Page) {
    let deadline = Instant::now() + PATIENCE;
    let script = "return document.getElementById('choose-tcp').disabled";
    while page.evaluate(script).await != json!(false) {
        assert!(Instant::now() < deadline, "the lab has not said a word");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until each lane has brought so many messages, each once and none too early.
async fn await_all(page: &Page, lanes: &[&str], messages: usize) {
    for lane in lanes {
        let wanted = messages.to_string();
        page.until(&format!("{lane}-messages"), |text| text == wanted).await;
        for fault in ["missed", "repeated", "disordered"] {
            assert_eq!(page.number(&format!("{lane}-{fault}")).await, 0, "{lane} {fault}");
        }
    }
}

/// The lanes in the picture, from the top.
async fn in_picture(page: &Page) -> Value {
    let script = "return [...document.querySelectorAll('.lane-label[data-lane]')]
        .filter(label => !label.hidden).map(label => label.dataset.lane)";
    page.evaluate(script).await
}

async fn query(page: &Page) -> String {
    page.evaluate("return location.search").await.as_str().unwrap().to_owned()
}

/// What the picture of the distributions says in words, once it has been drawn.
async fn await_spread(page: &Page) -> String {
    let script = "return document.getElementById('spread').getAttribute('aria-label') ?? ''";
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = page.evaluate(script).await.as_str().unwrap().to_owned();
        if !told.is_empty() && !told.contains("no delay yet") {
            return told;
        }
        assert!(Instant::now() < deadline, "the spread says {told:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn every_lane_brings_the_same_messages_once_and_in_order() {
    let server = TestServer::with("--udp 127.0.0.1:0");
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&laboratory(&server, "?demo=off&interval=0.5")).await;
        let lanes = [&OF_THE_BROWSER[..], &OF_THE_LAB[..]].concat();
        await_lanes(&page, &lanes).await;
        assert_eq!(in_picture(&page).await, json!(lanes));
        for n in 1..=20 {
            server.publish("demo", &format!("visitor {n}"));
        }
        page.type_into("publish-text", "by hand\n").await;
        await_all(&page, &lanes, 21).await;
        let told = await_spread(&page).await;
        for name in ["Polling", "Long poll", "SSE", "WebSocket", "TCP", "UDP"] {
            assert!(told.contains(&format!("{name}: from ")), "{told}");
        }
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

#[test]
fn waits_that_find_no_row_share_the_lowest_one_and_no_figure_lies_on_another() {
    let server = TestServer::start();
    // Draws a burst as the picture would, on a canvas that only notes where bars and figures are.
    let drawn = "return import(new URL('static/picture/polling.js', location.href))
        .then(({ AskingPicture }) => {
        const picture = new AskingPicture();
        const draw = (width) => {
          const [bars, figures] = [[], []];
          const state = {};
          const context = new Proxy(state, { get: (target, name) => ({
            moveTo: (x, y) => (target.from = [x, y]),
            lineTo: (x, y) => y === target.from[1] && bars.push(y),
            strokeText: () => {},
            fillText: (words, x, y) => figures.push({ words, x, y, side: target.textAlign }),
          })[name] ?? target[name] ?? (() => {}), set: (target, name, value) => {
            target[name] = value;
            return true;
          } });
          const frame = {
            context, colours: { poll: 'blue', muted: 'grey' }, now: 30000, span: 45000,
            tracks: { poll: new DOMRect(0, 0, width, 110) }, rung: () => 88,
            x: (at) => ((at + 15000) / 45000) * width,
          };
          const entries = Array.from({ length: 60 }, (_, n) => ({
            id: String(n), sentAt: n * 500, firstSeen: n * 500, lost: {}, delay: {},
            came: n < 40 ? { poll: 20000 } : {},
          }));
          const journal = { isFromElsewhere: () => false };
          picture.draw(frame, 'poll', entries, [], journal);
          const waits = figures.filter(({ words }) => !words.includes('lowest'));
          const ends = (one) => one.side === 'left' ? [one.x, one.x + 40] : [one.x - 40, one.x];
          const covered = waits.filter((one) => waits.some((other) => one !== other && one.y === other.y
            && ends(one)[0] < ends(other)[1] && ends(other)[0] < ends(one)[1]));
          const lowest = Math.max(...bars);
          return {
            inLowest: bars.filter((y) => y === lowest).length,
            figures: waits.length,
            figuresInLowest: waits.filter(({ y }) => y === lowest).length,
            covered: covered.length,
            told: figures.find(({ words }) => words.includes('lowest'))?.words,
          };
        };
        return [1000, 300].map(draw);
      })";
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&address(&server, "lab?demo=off")).await;
        for burst in page.evaluate(drawn).await.as_array().unwrap() {
            let figures = burst["figures"].as_u64().unwrap();
            assert!(figures > 0 && figures < 60, "{burst}");
            assert_eq!(burst["inLowest"], 60 - figures, "{burst}");
            assert_eq!(burst["told"], format!("{} more in the lowest row", 60 - figures));
            assert_eq!((&burst["figuresInLowest"], &burst["covered"]), (&json!(0), &json!(0)));
        }
    });
}

#[test]
fn lanes_are_chosen_by_chip_by_address_and_by_the_last_visit() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&laboratory(&server, "?demo=off&interval=0.5&lanes=ws,poll")).await;
        await_lanes(&page, &["poll", "ws"]).await;
        assert_eq!(in_picture(&page).await, json!(["poll", "ws"]));
        server.await_readers("sse", 0);
        page.click("choose-sse").await;
        await_lanes(&page, &["sse"]).await;
        server.await_readers("sse", 1);
        assert_eq!(in_picture(&page).await, json!(["poll", "sse", "ws"]));
        assert!(query(&page).await.contains("lanes=poll,sse,ws"), "{}", query(&page).await);
        server.publish("demo", "for three");
        await_all(&page, &["poll", "sse", "ws"], 1).await;
        page.click("choose-poll").await;
        page.click("choose-ws").await;
        server.await_readers("websocket", 0);
        page.click("choose-sse").await;
        assert_eq!(in_picture(&page).await, json!(["sse"]), "one lane stays");
        page.open(&address(&server, "lab?demo=off")).await;
        await_lanes(&page, &["sse"]).await;
        assert_eq!(in_picture(&page).await, json!(["sse"]), "as at the last visit");
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

#[test]
fn a_first_visit_begins_with_one_lane_of_each_family() {
    let server = TestServer::with("--udp 127.0.0.1:0");
    in_browser(Look::PHONE, async move |page| {
        page.open(&address(&server, "lab?demo=off")).await;
        await_lanes(&page, &["poll", "longpoll", "ws"]).await;
        assert_eq!(in_picture(&page).await, json!(["poll", "longpoll", "ws"]));
    });
}

#[test]
fn chips_are_chosen_by_keyboard() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&laboratory(&server, "?demo=off&lanes=poll,ws")).await;
        await_lanes(&page, &["poll", "ws"]).await;
        await_lab(&page).await;
        let focused = "return document.activeElement.id";
        for (from, to) in [("poll", "longpoll"), ("longpoll", "sse"), ("sse", "ws"), ("ws", "tcp")]
        {
            page.type_into(&format!("choose-{from}"), TAB).await;
            assert_eq!(page.evaluate(focused).await, format!("choose-{to}"));
        }
        page.type_into("choose-longpoll", " ").await;
        await_lanes(&page, &["longpoll"]).await;
        assert_eq!(in_picture(&page).await, json!(["poll", "longpoll", "ws"]));
    });
}

#[test]
fn long_poll_and_sse_go_on_after_a_restart_and_nothing_is_missing_or_comes_twice() {
    let mut server = TestServer::durable("");
    in_browser(Look::DESKTOP, async move |page| {
        let lanes = ["longpoll", "sse", "ws"];
        page.open(&laboratory(&server, "?demo=off&lanes=longpoll,sse,ws")).await;
        await_lanes(&page, &lanes).await;
        for n in 1..=3 {
            server.publish("demo", &format!("before {n}"));
        }
        await_all(&page, &lanes, 3).await;
        server.kill();
        for lane in lanes {
            page.until(&format!("{lane}-state"), |text| text.starts_with("not connected")).await;
        }
        server.restart();
        for n in 1..=3 {
            server.publish("demo", &format!("while it was away {n}"));
        }
        await_lanes(&page, &lanes).await;
        await_all(&page, &lanes, 6).await;
        server.publish("demo", "after");
        await_all(&page, &lanes, 7).await;
    });
}

#[test]
fn lines_that_are_cut_on_purpose_come_back_and_have_missed_nothing() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&laboratory(&server, "?demo=off&interval=0.5")).await;
        await_lanes(&page, &OF_THE_BROWSER).await;
        await_lanes(&page, &["tcp"]).await;
        page.click("cut-button").await;
        page.until("cut-button", |text| text == "The line is cut").await;
        page.until("live", |text| text.contains("cut for 5 seconds")).await;
        server.publish("demo", "while they were cut");
        // What is read at the server is not cut.
        await_all(&page, &["tcp"], 1).await;
        let script = "const text = (id) => document.getElementById(id).textContent;
            return text('cut-button') !== 'The line is cut' ||
                ['poll', 'longpoll', 'sse', 'ws'].every((lane) => text(`${lane}-messages`) === '0')";
        assert_eq!(page.evaluate(script).await, true, "a lane had the message while it was cut");
        await_all(&page, &OF_THE_BROWSER, 1).await;
        await_lanes(&page, &OF_THE_BROWSER).await;
        assert_eq!(page.number("ws-requests").await, 2);
        assert_eq!(page.number("sse-requests").await, 2);
        page.until("cut-button", |text| text == "Cut the line for 5 s").await;
        page.until("live", |text| text.contains("All lanes hear again")).await;
        for lane in OF_THE_BROWSER {
            let cells = format!(
                "return [...document.querySelectorAll('#outage tr[data-lane={lane}] td')]
                    .map((cell) => cell.textContent)"
            );
            let cells = page.evaluate(&cells).await;
            let is_time = |at: usize| cells[at].as_str().is_some_and(|text| text.ends_with('s'));
            assert!(is_time(0) && is_time(1), "{lane}: {cells}");
            assert_eq!((&cells[2], &cells[3]), (&json!("0"), &json!("0")), "{lane}: {cells}");
        }
        page.until("outage", |text| text.contains("not cut: it is read at the server")).await;
        page.keep_screenshot("laboratory-cut.png").await;
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

#[test]
fn polling_on_the_page_asks_as_seldom_as_the_server_says() {
    let server = TestServer::with("--poll-interval 2s");
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&laboratory(&server, "?demo=off&interval=0.25&lanes=poll,ws")).await;
        page.until("poll-state", |text| text.contains("asks every 2 s")).await;
        let before = page.number("poll-requests").await;
        page.until("poll-requests", |text| text.parse::<u64>().is_ok_and(|n| n == before + 2))
            .await;
        let polls = server.stats()["polls"].as_u64();
        assert!(polls.is_some_and(|polls| polls <= before + 2), "{polls:?} beside {before}");
    });
}

#[test]
fn a_long_poll_waits_for_its_answer_and_asks_again_only_then() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&laboratory(&server, "?demo=off&lanes=longpoll,ws")).await;
        await_lanes(&page, &["longpoll", "ws"]).await;
        server.await_readers("longpoll", 1);
        // The one that found the place.
        page.until("longpoll-requests", |text| text == "1").await;
        for n in 1..=4 {
            server.publish("demo", &format!("{n}"));
            await_all(&page, &["longpoll", "ws"], n).await;
        }
        let requests = page.number("longpoll-requests").await;
        assert!((2..=5).contains(&requests), "{requests} requests for 4 messages");
        assert_eq!(page.number("longpoll-empty").await, 0);
    });
}

#[test]
fn in_a_hidden_tab_all_lanes_but_websocket_rest_and_then_nothing_is_missing() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&laboratory(&server, "?demo=off&interval=0.5")).await;
        await_lanes(&page, &OF_THE_BROWSER).await;
        await_lanes(&page, &["tcp"]).await;
        page.behind_another_tab(async || {
            for lane in ["sse", "longpoll", "tcp"] {
                server.await_readers(lane, 0);
            }
            server.await_readers("websocket", 1);
            server.publish("demo", "unseen");
            server.publish("demo", "unseen, too");
        })
        .await;
        await_all(&page, &OF_THE_BROWSER, 2).await;
        await_lanes(&page, &["tcp"]).await;
        server.publish("demo", "seen");
        await_all(&page, &OF_THE_BROWSER, 3).await;
        // The server's subscriber began anew: what it was not there for it did not miss.
        await_all(&page, &["tcp"], 1).await;
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}
