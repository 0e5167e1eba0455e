//! The guided tour and the drawing of the wire on the page, in a real browser.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::page::{address, faults, laboratory};
use crate::support::browser::{Look, Page, in_browser};
use crate::support::http::Connection;
use crate::support::{Lines, Request, TestServer, skip};

const LANGUAGES: [&str; 2] = ["en", "zh-Hans"];
const STEPS: usize = 6;

/// The language of the page.
const SPOKEN: &str = "return document.documentElement.lang";

/// How many steps are open: one or none.
const OPEN: &str = "return document.querySelectorAll('.tour-step').length";

/// Opens the laboratory in a state of its own, also where only what follows `#` is another one.
async fn open(page: &Page, server: &TestServer, rest: &str) {
    page.open("about:blank").await;
    page.open(&laboratory(server, rest)).await;
    page.until("ws-state", is_connected).await;
}

/// Waits until that step is open and the keyboard stands at its title.
async fn await_step(page: &Page, number: usize) {
    let script = format!(
        "return new Promise((resolve) => {{
            const look = () => document.getElementById('tour-{number}')
                && document.activeElement?.id === 'tour-title'
                ? resolve() : requestAnimationFrame(look);
            look();
        }})"
    );
    page.evaluate(&script).await;
    assert_eq!(page.evaluate(OPEN).await, 1);
}

/// In either language.
fn is_connected(state: &str) -> bool {
    ["connected", "已连接"].contains(&state)
}

/// Another language is another page, in the same place.
async fn choose_language(page: &Page, language: &str) {
    if page.evaluate(SPOKEN).await == language {
        return;
    }
    page.evaluate(&format!("document.querySelector('#languages [lang=\"{language}\"]').click()"))
        .await;
    let headline = if language == "en" { "The laboratory" } else { "实验室" };
    page.until("headline", |text| text == headline).await;
    page.until("ws-state", is_connected).await;
}

/// The server's lab as the page has it: what it knows is told after its first table.
async fn await_lab(page: &Page) {
    page.until("connection-table", |text| text.contains("127.0.0.1")).await;
}

#[test]
fn the_page_says_the_same_in_both_languages() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        open(&page, &server, "?demo=off").await;
        // A text becomes the names of the values that it wants, anything else its members.
        let script = "
            const shape = (value) => typeof value === 'string'
                ? (value.match(/\\{[a-z0-9]+\\}/g) ?? []).sort()
                : Object.entries(value).sort().map(([key, inner]) => [key, shape(inner)]);
            return Promise.all([import('/static/words/english.js'), import('/static/words/chinese.js'),
                import('/static/tour/steps.js')]).then(([english, chinese, plan]) => ({
                english: shape(english.ENGLISH),
                chinese: shape(chinese.CHINESE),
                steps: Object.keys(chinese.CHINESE.tour.steps),
                tasks: Object.values(chinese.CHINESE.tour.steps).map((step) => Object.keys(step.tasks)),
                planned: plan.STEPS.map((step) => step.key),
                planned_tasks: plan.STEPS.map((step) => step.tasks.map((task) => task.key)),
                empty: JSON.stringify([english.ENGLISH, chinese.CHINESE]).match(/:\"\"/g)?.length,
            }));";
        let texts = page.evaluate(script).await;
        assert!(texts["english"].as_array().unwrap().len() > 4, "{texts}");
        assert_eq!(texts["english"], texts["chinese"]);
        assert_eq!(texts["steps"], texts["planned"]);
        assert_eq!(texts["tasks"], texts["planned_tasks"]);
        assert_eq!(texts["steps"].as_array().unwrap().len(), STEPS);
        // Only the task that is done in the tour itself waits for nothing.
        assert_eq!(texts["empty"], 2, "texts without a word");
    });
}

/// What stands between these and the next quotation mark, wherever they are in a text.
fn quoted<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split('"').next())
}

/// The keys of words that a file of the pages asks for, where it names them in full.
fn words_asked_for(path: &Path, text: &str) -> Vec<String> {
    let script = |key: &str| {
        let is_of_the_inbox = path.parent().is_some_and(|folder| folder.ends_with("app"));
        if is_of_the_inbox { format!("inbox.{key}") } else { key.to_owned() }
    };
    let document = |piece: &str| {
        // A comment may name the attribute as well.
        let (_, named) = piece.strip_prefix(['=', '-']).and(piece.split_once("=\""))?;
        named.split('"').next().map(str::to_owned)
    };
    match path.extension().and_then(OsStr::to_str) {
        Some("js") => {
            quoted(text, "say(\"").chain(quoted(text, "sayNodes(\"")).map(script).collect()
        }
        Some("html") => text.split("data-say").skip(1).filter_map(document).collect(),
        _ => Vec::new(),
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn every_word_that_a_page_asks_for_is_there() {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("web");
    let asked: BTreeSet<String> = files_below(&web)
        .iter()
        .filter_map(|path| Some((path, std::fs::read_to_string(path).ok()?)))
        .flat_map(|(path, text)| words_asked_for(path, &text))
        .collect();
    assert!(asked.len() > 200, "{asked:?}");
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&address(&server, "?demo=off")).await;
        let missing = format!(
            "return import('/static/words/english.js').then(({{ ENGLISH }}) => {}.filter((key) =>
                typeof key.split('.').reduce((words, part) => words?.[part], ENGLISH) !== 'string'))",
            json!(asked)
        );
        assert_eq!(page.evaluate(&missing).await, json!([]));
    });
}

#[test]
fn every_step_of_the_tour_is_reached_by_keyboard_in_both_languages() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        open(&page, &server, "?demo=off").await;
        assert_eq!(page.evaluate(OPEN).await, 0, "the tour begins closed");
        let mut titles = Vec::new();
        for language in LANGUAGES {
            choose_language(&page, language).await;
            page.evaluate("document.querySelector('.tour-start').focus()").await;
            page.press("Enter");
            for number in 1..=STEPS {
                if number > 1 {
                    page.press("ArrowRight");
                }
                await_step(&page, number).await;
                titles.push(page.text("tour-title").await);
                assert_eq!(page.evaluate(SPOKEN).await, language);
            }
            page.press("ArrowRight");
            await_step(&page, STEPS).await;
            for number in (1..STEPS).rev() {
                page.press("ArrowLeft");
                await_step(&page, number).await;
            }
            page.press("Escape");
            let closed = "return document.activeElement.className + location.hash";
            assert_eq!(page.evaluate(closed).await, "tour-start");
            assert_eq!(page.evaluate(OPEN).await, 0);
        }
        let all = titles.len();
        titles.sort();
        titles.dedup();
        assert_eq!((all, titles.len()), (2 * STEPS, 2 * STEPS), "{titles:?}");
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

#[test]
fn whoever_has_finished_the_tour_is_offered_it_again_and_not_told_how_long_it_is() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        open(&page, &server, "?demo=off").await;
        page.until("tour", |text| text.contains("5 minutes")).await;
        page.evaluate(&format!("location.hash = '#tour-{STEPS}'")).await;
        await_step(&page, STEPS).await;
        page.evaluate("document.querySelector('button.is-next').click()").await;
        page.until("tour", |text| text.trim() == "Take the tour again").await;
    });
}

#[test]
fn every_step_of_the_tour_has_an_address_and_the_way_back_leads_back() {
    let server = TestServer::start();
    in_browser(Look::PHONE, async move |page| {
        for number in 1..=STEPS {
            open(&page, &server, &format!("?demo=off#tour-{number}")).await;
            await_step(&page, number).await;
        }
        page.evaluate("document.querySelector('.tour-steps a[href=\"#tour-2\"]').click()").await;
        await_step(&page, 2).await;
        page.evaluate("document.querySelector('.tour-move.is-next').click()").await;
        await_step(&page, 3).await;
        page.evaluate("history.back()").await;
        await_step(&page, 2).await;
        let current = "return [...document.querySelectorAll('.tour-steps a')]
            .findIndex((link) => link.ariaCurrent === 'step')";
        assert_eq!(page.evaluate(current).await, 1);
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

#[test]
fn the_page_speaks_the_language_of_the_browser_until_another_is_chosen() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        for (languages, expected) in
            [("zh-TW,zh,en", "zh-Hans"), ("de,fr", "en"), ("fr,zh-CN", "zh-Hans"), ("en-GB", "en")]
        {
            page.read_languages(languages).await;
            page.open(&laboratory(&server, "?demo=off")).await;
            assert_eq!(page.evaluate(SPOKEN).await, expected, "{languages}");
        }
        choose_language(&page, "zh-Hans").await;
        open(&page, &server, "?demo=off").await;
        assert_eq!(page.evaluate(SPOKEN).await, "zh-Hans", "the choice is remembered");
        assert!(page.text("tour").await.contains("跟着走一遍"), "and is the tour's as well");
    });
}

#[test]
fn the_tour_shows_the_bytes_of_an_address_in_the_order_in_which_they_travel() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        open(&page, &server, "?demo=off#tour-1").await;
        let stage = "return document.getElementById('tour-bytes-note').textContent";
        assert_eq!(page.evaluate(stage).await, "", "nothing was done yet");
        let cases = [
            ("127.0.0.1:1989", "07c5 7f000001"),
            ("[::1]:80", "0050 00000000000000000000000000000001"),
            ("[2001:db8::7:0]:65535", "ffff 20010db8000000000000000000070000"),
            ("[::ffff:192.0.2.7]:1", "0001 00000000000000000000ffffc0000207"),
            ("/tmp/ä", "2f746d702fc3a4"),
        ];
        let bytes = "return [...document.querySelectorAll('#tour-address-bytes .tour-cells')]
            .map((group) => group.textContent.replaceAll(' ', '')).join(' ')";
        for (address, expected) in cases {
            write(&page, address).await;
            assert_eq!(page.evaluate(bytes).await, expected, "{address}");
        }
        assert_ne!(page.evaluate(stage).await, "", "it was noticed");
        let long = format!("/{}", "x".repeat(120));
        for (wrong, named) in [
            ("127.0.0.1:65536", "65536"),
            ("127.0.0.256:1", "127.0.0.256"),
            ("[::1::]:1", "::1::"),
            ("localhost:80", "DNS"),
            ("127.0.0.1", "port"),
            (long.as_str(), "107"),
        ] {
            write(&page, wrong).await;
            let told = page.text("tour-address-bytes").await;
            assert!(told.contains(named), "{wrong}: {told}");
            assert_eq!(page.evaluate(bytes).await, "", "{wrong}");
        }
    });
}

async fn write(page: &Page, address: &str) {
    let script = format!(
        "const box = document.getElementById('tour-address'); box.value = {};
        box.dispatchEvent(new Event('input', {{bubbles: true}}))",
        json!(address)
    );
    page.evaluate(&script).await;
}

#[test]
fn the_tour_notices_that_both_lanes_heard_what_was_rung() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        open(&page, &server, "?demo=off&interval=2#tour-2").await;
        page.until("poll-state", |text| text == "the server answers").await;
        server.publish("demo", "from elsewhere");
        page.until("messages", |text| text.contains("from elsewhere")).await;
        let stage = "return document.getElementById('tour-ring').dataset.stage";
        assert_eq!(page.evaluate(stage).await, "waiting", "nobody rang on this page");
        page.type_into("publish-text", "for the tour").await;
        page.click("publish-button").await;
        let told = page.until("tour-ring-note", |text| text.contains("polling after")).await;
        assert!(told.contains("Push had it after"), "{told}");
        assert_eq!(page.evaluate(stage).await, "done");
        let ticked = "return document.querySelectorAll('.tour-steps .is-done').length";
        assert_eq!(page.evaluate(ticked).await, 1);
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

#[test]
fn the_tour_notices_who_connects_and_says_nothing() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        let before = Lines::connect(server.tcp);
        open(&page, &server, "?demo=off#tour-2").await;
        await_lab(&page).await;
        let line = page.text("tour-connect").await;
        assert!(line.contains(&format!("nc 127.0.0.1 {}", server.tcp.port())), "{line}");
        let stage = "return document.getElementById('tour-connect').dataset.stage";
        assert_eq!(page.evaluate(stage).await, "waiting", "who was there before is not meant");
        let visitor = TcpStream::connect(server.tcp).unwrap();
        let peer = visitor.local_addr().unwrap().to_string();
        page.until("tour-connect-note", |text| text.contains(&peer)).await;
        assert_eq!(page.evaluate(stage).await, "done");
        drop((before, visitor));
    });
}

#[test]
fn the_tour_sees_half_a_line_wait_for_its_newline() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        open(&page, &server, "?demo=off#tour-3").await;
        await_lab(&page).await;
        let mut visitor = Lines::connect(server.tcp);
        visitor.write(b"PUB demo half");
        let told = page.until("tour-half-note", |text| text.contains("no newline")).await;
        assert!(told.starts_with("13 bytes"), "{told}");
        assert_eq!(server.stats()["messages"], 0, "half a line is no message");
        visitor.write(b" a line\n");
        page.until("tour-half-note", |text| text.contains("came the newline")).await;
        assert_eq!(server.poll("demo", "all")[0].message(), "half a line");
    });
}

#[test]
fn the_tour_counts_what_new_connections_cost() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        open(&page, &server, "?demo=off#tour-4").await;
        await_lab(&page).await;
        let lines =
            "return [...document.querySelectorAll('#tour-looks code')].map((c) => c.textContent)";
        let lines = page.evaluate(lines).await;
        let path = |at: usize| {
            let (_, rest) = lines[at].as_str().unwrap().split_once("lane=").unwrap();
            let name = rest.split(['\'', '&']).next().unwrap();
            format!("/demo/json?poll=1&since=none&lane={name}")
        };
        for _ in 0..5 {
            // Each closes its connection, as curl does.
            let response = Request::get(&path(0)).send_to(server.http);
            assert_eq!(response.status, 200);
        }
        let mut kept = Connection::open(server.http);
        for _ in 0..5 {
            assert_eq!(kept.exchange(&Request::get(&path(1))).status, 200);
        }
        drop(kept);
        let told = page.until("tour-looks-note", |text| text.contains("times the packets")).await;
        let ratio: f64 = told.split_whitespace().find_map(|word| word.parse().ok()).unwrap();
        assert!(ratio > 1.5, "{told}");
        let counted = page.text("tour-looks").await;
        assert!(
            counted.contains("connections: 5,") && counted.contains("connections: 1,"),
            "{counted}"
        );
    });
}

#[test]
fn the_tour_notices_the_sliders_where_polling_wins() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        open(&page, &server, "?demo=off&interval=5&rate=1#tour-6").await;
        let told = page.text("tour-tune-note").await;
        assert!(told.contains("every 5 s, 1 messages"), "{told}");
        let end_key = '\u{e010}'.to_string();
        page.type_into("rate", &end_key).await;
        page.until("tour-tune-note", |text| text.contains("5 messages")).await;
        page.type_into("interval", &end_key).await;
        page.until("tour-tune-note", |text| text.contains("in one answer")).await;
    });
}

#[test]
fn without_the_right_to_capture_a_recording_is_shown_and_called_one() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        open(&page, &server, "?demo=off").await;
        page.until("trace-notice", |text| text.contains("doorbell-server --trace")).await;
        for (way, sign) in [
            ("poll", "304 Not Modified"),
            ("longpoll", "wait=10s"),
            ("sse", "GET /demo/sse"),
            ("ws", "101 Switching Protocols"),
            ("tcp", "SUB demo"),
        ] {
            page.evaluate(&format!("document.getElementById('trace-way-{way}').click()")).await;
            let label = page.text("trace-recorded").await;
            assert!(label.starts_with("Recorded by doorbell trace"), "{way}: {label}");
            let drawn =
                page.evaluate("return document.getElementById('trace-list').textContent").await;
            let drawn = drawn.as_str().unwrap();
            for words in [sign, "SYN ACK", "FIN ACK", "somebody is here", "somebody else publishes"]
            {
                assert!(drawn.contains(words), "{way} has no {words}");
            }
            assert!(page.text("trace-open-sum").await.starts_with("3 packets, 172"), "{way}");
        }
        let notice = page.text("trace-notice").await;
        assert!(notice.contains("cap_net_raw"), "{notice}");
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

#[test]
fn where_the_lab_is_off_tour_and_wire_say_so_and_still_show_what_they_can() {
    let server = TestServer::with("--lab off");
    in_browser(Look::DESKTOP, async move |page| {
        open(&page, &server, "?demo=off#tour-3").await;
        page.until("tour-half-note", |text| text.contains("--lab on")).await;
        let line = page.text("tour-half").await;
        assert!(line.contains(&server.tcp.to_string().replace(':', " ")), "{line}");
        page.until("trace-notice", |text| text.contains("--lab on")).await;
        let label = page.text("trace-recorded").await;
        assert!(label.starts_with("Recorded by doorbell trace"), "{label}");
        // The message itself is seen without the lab.
        server.publish("demo", "half a line");
        page.until("tour-half-note", |text| text.contains("came the newline")).await;
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

/// How many connections are drawn.
const CONNECTIONS: &str = "return document.querySelectorAll('.trace-connection').length";

/// Whether a server may capture here: one without the right says so and ends.
fn may_capture() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    let net_raw = 1u64 << 13;
    u64::from_str_radix(effective.trim(), 16).unwrap() & net_raw != 0
}

#[test]
fn the_wire_of_the_websocket_lane_is_drawn_from_handshake_to_goodbye() {
    if !may_capture() {
        skip("CAP_NET_RAW is missing, so nothing can be captured");
        return;
    }
    let server = TestServer::with("--trace");
    in_browser(Look::DESKTOP, async move |page| {
        open(&page, &server, "?demo=off#tour-4").await;
        page.until("trace-recorded", |text| text.contains("Choose a way")).await;
        page.evaluate("document.getElementById('trace-way-ws').click()").await;
        // The lane begins anew, so that its handshake can be seen.
        page.until("trace-list", |text| text.contains("SYN ACK") && text.contains("101")).await;
        page.until("ws-state", |text| text == "connected").await;
        let greeted = page.evaluate(CONNECTIONS).await.as_u64().unwrap();
        assert_eq!(page.text("trace-recorded").await, "", "this is no recording");
        server.publish("demo", "seen on the wire");
        page.until("trace-list", |text| text.contains("message 'seen on the wire'")).await;
        page.until("trace-push-sum", |text| text.contains("packets")).await;
        assert_eq!(
            page.evaluate("return document.getElementById('tour-cut').dataset.stage").await,
            "waiting"
        );
        page.click("trace-again").await;
        page.until("trace-list", |text| text.contains("FIN")).await;
        page.until("tour-cut-note", |text| text.contains("That was the FIN")).await;
        page.until("trace-list", |text| text.contains("GET /demo/ws?since=")).await;
        // It comes back by itself, on a connection of its own.
        page.until("trace-list", |text| text.matches("SYN ACK").count() == 2).await;
        assert_eq!(page.evaluate(CONNECTIONS).await, greeted + 1);
        page.keep_screenshot("trace-live.png").await;
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

#[test]
fn tour_and_wire_fit_a_phone_and_a_desk_by_day_and_by_night() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        open(&page, &server, "?demo=off#tour-1").await;
        for language in LANGUAGES {
            choose_language(&page, language).await;
            for (look, name, width) in [
                (Look::DESKTOP, "desktop-light", 1280),
                (Look::DARK, "desktop-dark", 1280),
                (Look::PHONE, "phone-light", 390),
                (Look::DARK_PHONE, "phone-dark", 390),
            ] {
                page.look(look);
                for number in 1..=STEPS {
                    page.evaluate(&format!("location.hash = '#tour-{number}'")).await;
                    await_step(&page, number).await;
                    let wide = page.evaluate("return document.documentElement.scrollWidth").await;
                    let wide = wide.as_u64().unwrap();
                    assert!(wide <= width, "{name}, {language}, step {number}: {wide} of {width}");
                }
                page.keep_screenshot(&format!("tour-{name}-{language}.png")).await;
            }
        }
        for (look, name) in [(Look::DESKTOP, "desktop"), (Look::DARK_PHONE, "phone-dark")] {
            page.look(look);
            page.evaluate("document.getElementById('trace').scrollIntoView({behavior: 'instant'})")
                .await;
            page.keep_screenshot(&format!("trace-{name}.png")).await;
        }
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

#[test]
fn the_task_of_a_step_goes_along_while_the_tour_is_out_of_sight() {
    let server = TestServer::start();
    in_browser(Look::PHONE, async move |page| {
        open(&page, &server, "?demo=off#tour-2").await;
        let hidden = "return document.querySelector('.tour-dock').hidden";
        assert_eq!(page.evaluate(hidden).await, true);
        page.click("tour-show").await;
        // The button that the step asks for is to be seen, and not below the task that goes along.
        let free = "return new Promise((resolve) => {
            const look = () => {
                const dock = document.querySelector('.tour-dock');
                const ring = document.getElementById('publish-button').getBoundingClientRect();
                const isFree = !dock.hidden && ring.top > 0
                    && ring.bottom < dock.getBoundingClientRect().top;
                if (isFree) resolve(document.querySelector('.tour-marked')?.className);
                else requestAnimationFrame(look);
            };
            look();
        })";
        assert_eq!(page.evaluate(free).await, "controls tour-marked");
        page.evaluate("document.querySelector('.tour-dock button').click()").await;
        await_step(&page, 2).await;
    });
}
