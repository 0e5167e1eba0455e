//! The first view of the page, in a real browser: what a newcomer sees without doing anything.

use std::time::Duration;

use serde_json::json;

use crate::page::{address, faults};
use crate::support::access::token;
use crate::support::browser::{Look, Page, in_browser};
use crate::support::server::{run, server_command};
use crate::support::{AccessFile, TestServer};

/// Waits until the sentence has the figures of both lanes; returns it.
async fn await_sentence(page: &Page) -> String {
    page.until("sentence", |text| {
        text.contains("Push had it after") && text.contains("polling after")
    })
    .await
}

/// Chooses a simulated network by its place on the slider.
async fn choose_network(page: &Page, place: usize) {
    let script = format!(
        "const slider = document.getElementById('network'); slider.value = {place};
        slider.dispatchEvent(new Event('input', {{bubbles: true}}))"
    );
    page.evaluate(&script).await;
}

/// The delay that the sentence tells of push, in milliseconds.
fn push_delay(sentence: &str) -> f64 {
    let (_, rest) = sentence.split_once("after ").unwrap();
    let (number, rest) = rest.split_once(char::is_whitespace).expect("a number and its unit");
    let number: f64 = number.parse().unwrap();
    if rest.starts_with('s') { number * 1000.0 } else { number }
}

#[test]
fn it_rings_by_itself_and_says_which_of_two_lanes_was_told_first() {
    let server = TestServer::start();
    in_browser(Look::WIDE, async move |page| {
        page.open(&address(&server, "?interval=1")).await;
        let told = await_sentence(&page).await;
        assert!(push_delay(&told) < 1000.0, "{told}");
        assert!(!server.poll("demo", "all").is_empty(), "what is told was published");
        let lanes = "return [...document.querySelectorAll('.lane-label[data-lane]')]
            .filter(label => !label.hidden).map(label => label.dataset.lane)";
        assert_eq!(page.evaluate(lanes).await, json!(["poll", "ws"]));
        page.until("poll-cost", |text| text.contains("requests: 3")).await;
        assert_eq!(page.text("ws-cost").await, "requests to connect: 1");
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

#[test]
fn a_quiet_first_view_rings_when_a_person_does() {
    let server = TestServer::start();
    in_browser(Look::WIDE, async move |page| {
        page.open(&address(&server, "orders.eu?demo=off&interval=2")).await;
        page.until("sentence", |text| text.contains("Press the bell")).await;
        assert!(server.poll("orders.eu", "all").is_empty(), "nobody rang");
        page.type_into("publish-text", "by hand").await;
        page.click("publish-button").await;
        await_sentence(&page).await;
        assert_eq!(server.poll("orders.eu", "all")[0].message(), "by hand");
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

#[test]
fn the_lane_of_push_is_the_one_that_the_address_names() {
    let server = TestServer::start();
    in_browser(Look::WIDE, async move |page| {
        page.open(&address(&server, "?lanes=poll,sse&interval=1")).await;
        await_sentence(&page).await;
        server.await_readers("sse", 1);
        server.await_readers("websocket", 0);
    });
}

#[test]
fn a_simulated_network_holds_back_what_the_page_receives_and_says_so() {
    let server = TestServer::start();
    in_browser(Look::WIDE, async move |page| {
        page.open(&address(&server, "?demo=off&interval=0.5&network=train")).await;
        page.until("network-value", |text| text.contains("train")).await;
        let note = page.text("network-note").await;
        assert!(note.contains("holds back") && note.contains("10 %"), "{note}");
        assert!(page.text("figure").await.contains("simulated"));
        page.until("sentence", |text| text.contains("Press the bell")).await;
        page.type_into("publish-text", "from a train\n").await;
        let told = await_sentence(&page).await;
        // A packet takes 150 ms at least.
        assert!(push_delay(&told) >= 150.0, "{told}");
        choose_network(&page, 0).await;
        page.until("network-note", |text| text.contains("Nothing is added")).await;
        let query = page.evaluate("return location.search").await;
        assert!(!query.as_str().unwrap().contains("network"), "{query}");
    });
}

#[test]
fn a_shared_link_shows_the_same_picture() {
    let server = TestServer::start();
    in_browser(Look::WIDE, async move |page| {
        page.open(&address(&server, "orders.eu?demo=off")).await;
        page.until("sentence", |text| text.contains("Press the bell")).await;
        let end_key = '\u{e010}'.to_string();
        page.type_into("interval", &end_key).await;
        choose_network(&page, 3).await;
        page.click("share").await;
        let link = "return document.getElementById('share-link').textContent";
        let link = page.evaluate(link).await.as_str().unwrap().to_owned();
        assert!(link.starts_with(&address(&server, "orders.eu?")), "{link}");
        page.open("about:blank").await;
        page.open(&link).await;
        page.until("interval-value", |text| text == "60 s").await;
        page.until("network-value", |text| text.contains("train")).await;
    });
}

#[test]
fn links_to_the_laboratory_take_topic_and_settings_along_and_the_tour_has_moved_there() {
    let server = TestServer::start();
    in_browser(Look::WIDE, async move |page| {
        page.open(&address(&server, "orders.eu?demo=off&interval=2")).await;
        page.until("sentence", |text| text.contains("Press the bell")).await;
        let first = "return document.querySelector('[data-to=\"lab\"]').href";
        let wanted = address(&server, "lab?demo=off&interval=2&topic=orders.eu");
        assert_eq!(page.evaluate(first).await, wanted);
        page.open(&address(&server, "orders.eu?demo=off#tour-3")).await;
        page.until("ws-state", |text| text == "connected").await;
        let place = "return location.pathname + location.search + location.hash";
        assert_eq!(page.evaluate(place).await, "/lab?demo=off&topic=orders.eu#tour-3");
        page.element("tour-title").await;
        page.open(&address(&server, "no/such/page")).await;
        page.until("headline", |text| text == "There is no page here").await;
        assert!(page.text("reason").await.contains("not found"));
        page.click("home").await;
        page.until("sentence", |text| !text.is_empty()).await;
    });
}

/// Its picture `artefacts/en-page.png` is the README's, `docs/page.png`, after half a minute:
/// `DOORBELL_PAGE_PICTURE=1 ./test all_of_it_is_in_view`.
#[test]
fn all_of_it_is_in_view_on_a_desk_and_on_a_phone_by_day_and_by_night() {
    let server = TestServer::start();
    let for_the_readme = std::env::var_os("DOORBELL_PAGE_PICTURE").is_some();
    in_browser(Look::WIDE, async move |page| {
        for language in ["en", "zh-Hans"] {
            page.open(&address(&server, &format!("?interval=3&language={language}"))).await;
            if for_the_readme {
                tokio::time::sleep(Duration::from_secs(28)).await;
            }
            page.until("sentence", |text| text.contains(|c: char| c.is_ascii_digit())).await;
            for (look, name) in [
                (Look::WIDE, "page.png"),
                (Look::DARK, "page-desktop-dark.png"),
                (Look::PHONE, "page-phone-light.png"),
                (Look::DARK_PHONE, "page-phone-dark.png"),
            ] {
                page.look(look);
                let beyond = "const controls = document.querySelector('.controls');
                    return [controls.getBoundingClientRect().bottom - innerHeight,
                        document.documentElement.scrollWidth - innerWidth].map((n) => Math.ceil(n) + 0)";
                let beyond = page.evaluate(beyond).await;
                let [below, aside] = [&beyond[0], &beyond[1]].map(|n| n.as_i64().unwrap());
                assert!(below <= 0, "{language}, {name}: {below} pixels below the window");
                assert!(aside <= 0, "{language}, {name}: {aside} pixels beside the window");
                page.keep_screenshot(&format!("{language}-{name}")).await;
            }
        }
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

#[test]
fn in_chinese_no_english_word_is_left() {
    let server = TestServer::with("--udp 127.0.0.1:0");
    // Texts without a value, which can be compared as they stand; the words of a recorded packet
    // are those of the protocol.
    let left = "return Promise.all([import('/static/words/english.js'),
        import('/static/words/chinese.js')]).then(([{ENGLISH}, {CHINESE}]) => {
        const flat = (value) => typeof value === 'string' ? [value]
            : Object.values(value).flatMap(flat);
        const chinese = flat(CHINESE);
        const english = new Set(flat(ENGLISH).filter((text) => !chinese.includes(text))
            .map((text) => text.replace(/[`*]/g, '')));
        const shown = [];
        const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        while (walk.nextNode()) {
            if (!walk.currentNode.parentElement.closest('noscript, [lang=en], .trace-words')) {
                shown.push(walk.currentNode.textContent.trim());
            }
        }
        const named = [...document.querySelectorAll('[aria-label], [title], [placeholder]')]
            .filter((element) => element.lang !== 'en')
            .flatMap(({ariaLabel, title, placeholder}) => [ariaLabel, title, placeholder]);
        return {all: shown.length, left: [...shown, ...named].filter((text) => english.has(text))};
        })";
    in_browser(Look::WIDE, async move |page| {
        for rest in ["?language=zh-Hans", "lab?lanes=poll,longpoll,sse,ws,tcp,udp#tour-2"] {
            page.open(&address(&server, rest)).await;
            page.until("headline", |text| !text.is_empty()).await;
            page.until("version", |text| !text.is_empty()).await;
            let found = page.evaluate(left).await;
            assert!(found["all"].as_u64().unwrap() > 40, "{found}");
            assert_eq!(found["left"], json!([]), "{rest}");
            assert_eq!(page.evaluate("return document.documentElement.lang").await, "zh-Hans");
        }
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

#[test]
fn everything_on_the_first_view_has_a_name_and_is_reached_by_keyboard() {
    let server = TestServer::start();
    in_browser(Look::PHONE, async move |page| {
        page.open(&address(&server, "?demo=off")).await;
        page.until("sentence", |text| text.contains("Press the bell")).await;
        let nameless = "return [...document.querySelectorAll('button, input, a')].filter(e =>
            !e.textContent.trim() && !e.getAttribute('aria-label') && !(e.labels && e.labels.length))
            .map(e => e.outerHTML)";
        assert_eq!(page.evaluate(nameless).await, json!([]));
        let skipped = "return [...document.querySelectorAll('button, input, a')]
            .filter(e => e.tabIndex < 0).length";
        assert_eq!(page.evaluate(skipped).await, 0);
        page.type_into("publish-text", "by keyboard\n").await;
        page.until("sentence", |text| text.contains("Push had it after")).await;
        assert_eq!(server.poll("demo", "all")[0].message(), "by keyboard");
    });
}

#[test]
fn the_first_view_is_one_file_as_well_which_simulates_a_server_and_says_so() {
    let page_alone = run(server_command().arg("page"));
    assert!(page_alone.status.success(), "{page_alone:?}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bell.html");
    std::fs::write(&file, page_alone.stdout).unwrap();
    in_browser(Look::WIDE, async move |page| {
        let address = format!("file://{}", file.display());
        page.open(&format!("{address}?interval=1")).await;
        assert!(page.text("simulated").await.contains("there is no server"));
        let note = page.text("network-note").await;
        assert!(note.contains("Nothing is added") && !note.contains("real"), "{note}");
        await_sentence(&page).await;
        assert_eq!(page.text("poll-state").await, "the server answers");
        page.type_into("publish-text", "by hand\n").await;
        page.type_into("interval", "\u{e011}").await;
        await_sentence(&page).await;
        page.keep_screenshot("page-simulated.png").await;
        page.open("about:blank").await;
        page.open(&format!("{address}?language=zh-Hans")).await;
        page.until("simulated", |text| text.contains("没有服务器")).await;
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
        drop(folder);
    });
}

#[test]
fn before_a_server_that_asks_who_comes_the_first_view_takes_a_token() {
    let access = AccessFile::new(&token("reader", "allow = [\"pubsub demo\"]"));
    let server = TestServer::with(&access.flag());
    in_browser(Look::WIDE, async move |page| {
        page.open(&address(&server, "?interval=1")).await;
        page.until("token-note", |text| text.contains("is not allowed")).await;
        page.type_into("token", "tk_reader\n").await;
        page.until("token-note", |text| text == "signed in as reader").await;
        await_sentence(&page).await;
    });
}
