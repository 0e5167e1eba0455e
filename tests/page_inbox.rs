//! The inbox at `/app`, in a real browser: what comes, what is done to it, and what stays.

use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::page::{address, faults};
use crate::support::access::token;
use crate::support::browser::{Look, Page, in_browser};
use crate::support::{AccessFile, PATIENCE, Request, TestServer, elsewhere};

/// How many messages are on the screen.
const SHOWN: &str = "document.querySelectorAll('#feed > article').length";

/// What is unread in a topic, as its place in the list says.
fn unread(filter: &str) -> String {
    format!("document.querySelector('[data-filter=\"{filter}\"] .t-count').textContent")
}

/// Waits until an expression of the page is true.
pub(crate) async fn holds(page: &Page, expression: &str) {
    let deadline = Instant::now() + PATIENCE;
    while page.evaluate(&format!("return Boolean({expression})")).await != true {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {expression}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn await_connection(page: &Page) {
    page.until("state-text", |text| text.contains("WebSocket")).await;
}

/// Adds a topic, which is shown then.
async fn add(page: &Page, filter: &str) {
    page.type_into("add", &format!("{filter}\n")).await;
    page.until("view-title", |text| text == filter).await;
    await_connection(page).await;
    let kept = "localStorage['doorbell.inbox.topics' + new URL('.', location).pathname]";
    holds(page, &format!("JSON.parse({kept}).every(({{ fetched }}) => fetched)")).await;
    // The next key is a command.
    page.evaluate("document.activeElement.blur()").await;
}

/// Opens the inbox, also where only what follows `#` is another one.
async fn open(page: &Page, server: &TestServer, rest: &str) {
    page.open("about:blank").await;
    page.open(&address(server, rest)).await;
}

/// Presses a button of what can be done, by its place in the list.
async fn choose(page: &Page, place: &str) {
    let button = format!("[...document.querySelectorAll('#menu-list button')].at({place})");
    holds(page, &format!("document.getElementById('menu').open && {button}")).await;
    page.evaluate(&format!("{button}.click()")).await;
}

fn publish(server: &TestServer, topic: &str, text: &str, headers: &[(&str, &str)]) -> Value {
    let mut request = Request::post(&format!("/{topic}"), text);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let response = server.send(&request);
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

#[test]
fn what_is_published_comes_at_once_and_is_unread_where_nobody_looks() {
    let server = TestServer::start();
    server.publish("home.door", "before anybody was here");
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&address(&server, "app")).await;
        page.until("state-text", |text| text == "no topic yet").await;
        add(&page, "home.*").await;
        page.until("feed", |text| text.contains("before anybody was here")).await;
        holds(&page, &format!("{} === ''", unread("home.*"))).await;
        server.publish("home.lamp", "the lamp is on");
        page.until("feed", |text| text.contains("the lamp is on")).await;
        holds(&page, &format!("{} === ''", unread("home.*"))).await;
        add(&page, "orders").await;
        server.publish("home.lamp", "the lamp is off");
        server.publish("home.door", "somebody rings");
        holds(&page, &format!("{} === '2' && {} === '2'", unread("home.*"), unread(""))).await;
        holds(&page, "document.title.startsWith('(2) orders')").await;
        page.evaluate("location.hash = 'home.*'").await;
        page.until("feed", |text| text.contains("somebody rings")).await;
        holds(&page, &format!("{} === '' && !document.title.startsWith('(')", unread("home.*")))
            .await;
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

#[test]
fn a_message_is_shown_with_all_that_it_has() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&address(&server, "app")).await;
        add(&page, "t").await;
        let actions = "view, Open, https://example.org/; copy, Code, 4711; broadcast, Start";
        let text = "# Report\n\nAll **well**, see [this](https://example.org/a).\n\n- one\n- two";
        publish(
            &server,
            "t",
            text,
            &[
                ("Title", "Nightly"),
                ("Priority", "5"),
                ("Tags", "tada,backup"),
                ("Markdown", "yes"),
                ("Click", "https://example.org/click"),
                ("Actions", actions),
            ],
        );
        let shown = page.until("feed", |text| text.contains("Nightly")).await;
        for part in ["🎉", "urgent", "backup", "Report", "Open", "Code", "Start"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(!shown.contains("**") && !shown.contains("# "), "{shown}");
        let parts = "return [...document.querySelectorAll('#feed strong, #feed li, #feed a')]
            .map((one) => one.getAttribute('href') ?? one.textContent)";
        let links = page.evaluate(parts).await;
        let expected = json!([
            "https://example.org/click",
            "well",
            "https://example.org/a",
            "one",
            "two",
            "https://example.org/"
        ]);
        assert_eq!(links, expected);
        page.evaluate("document.querySelectorAll('.m-actions button')[1].click()").await;
        page.until("toast", |text| text.contains("Android broadcast")).await;

        let publish_picture = "return new Promise((drawn) =>
              document.createElement('canvas').toBlob(drawn))
            .then((body) => fetch('t', { method: 'PUT', headers: { filename: 'door.png' }, body }))
            .then((answer) => answer.status)";
        assert_eq!(page.evaluate(publish_picture).await, 200);
        page.until("feed", |text| text.contains("door.png")).await;
        publish(&server, "t", "a\u{0}b", &[("Filename", "dump.bin")]);
        page.until("feed", |text| text.contains("dump.bin")).await;
        assert_eq!(page.evaluate("return document.querySelectorAll('.m-image').length").await, 1);
        page.keep_screenshot("inbox.png").await;
    });
}

#[test]
fn a_message_of_the_inbox_is_text_whatever_is_in_it() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&address(&server, "app")).await;
        add(&page, "t").await;
        let hostile = "<img src=x onerror=\"document.title='taken'\"><script>1</script>";
        publish(&server, "t", hostile, &[("Title", "<b>bold</b>")]);
        page.until("feed", |text| text.contains(hostile) && text.contains("<b>bold</b>")).await;
        let hostile = "[run](javascript:alert(1)) ![pixel](https://elsewhere.example/p.png)";
        publish(&server, "t", &format!("<i>x</i> {hostile}"), &[("Markdown", "yes")]);
        page.until("feed", |text| text.contains("<i>x</i>")).await;
        let made = "return document.querySelectorAll('#feed :is(img, script, b, i, iframe)').length
            + document.querySelectorAll('#feed a[href^=javascript]').length";
        assert_eq!(page.evaluate(made).await, 0);
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

#[test]
fn an_image_from_elsewhere_is_loaded_when_somebody_asks_for_it_or_for_all() {
    let server = TestServer::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let picture = format!("http://{host}/door.png");
    let asked = elsewhere::answer(listener, "image/png", include_bytes!("../web/app/icon-192.png"));
    let shown = "[...document.querySelectorAll('#feed .m-body img')]
        .filter(({ complete, naturalWidth }) => complete && naturalWidth === 192).length";
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&address(&server, "app")).await;
        add(&page, "t").await;
        publish(&server, "t", "a parcel", &[("Attach", &picture), ("Icon", &picture)]);
        let text = format!("![door]({picture}?2) [![badge]({picture}?3)](https://example.org/)");
        publish(&server, "t", &text, &[("Markdown", "yes")]);
        let buttons = "document.querySelectorAll('.m-show')";
        holds(&page, &format!("{buttons}.length === 2 && {SHOWN} === 2")).await;
        let words = page.text("feed").await;
        assert!(words.contains(&format!("Show the image from {host}")), "{words}");
        let badge =
            "return document.querySelector('.m-markdown a[href$=\"example.org/\"]').textContent";
        assert_eq!(page.evaluate(badge).await, "badge");
        assert_eq!(asked.load(Ordering::Relaxed), 0, "nobody asked for it");
        page.evaluate(&format!("{buttons}[1].click()")).await;
        holds(&page, &format!("{shown} === 1")).await;
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        // What was asked for stays, also where it is drawn again.
        page.evaluate("location.hash = ''").await;
        page.until("view-title", |text| text == "All messages").await;
        holds(&page, &format!("{shown} === 1 && {buttons}.length === 1")).await;
        page.click("settings-button").await;
        page.click("s-images").await;
        page.evaluate("document.getElementById('settings').close()").await;
        holds(&page, &format!("{shown} === 3 && {buttons}.length === 0")).await;
        holds(&page, "document.querySelector('.m-icon').naturalWidth === 192").await;
        open(&page, &server, "app#t").await;
        holds(&page, &format!("{shown} === 3")).await;
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

#[test]
fn sound_of_this_server_is_played_in_its_place() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&address(&server, "app")).await;
        add(&page, "t").await;
        // A second of silence.
        let rate = 8000_u32;
        let mut sound = b"RIFF\x64\x1f\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
        sound.extend([rate.to_le_bytes(), rate.to_le_bytes()].concat());
        sound.extend(b"\x01\0\x08\0data");
        sound.extend(rate.to_le_bytes());
        sound.extend([128; 8000]);
        let request = Request::new("PUT", "/t").body(sound).header("Filename", "bell.wav");
        let request = request.host(&server.http.to_string());
        assert_eq!(server.send(&request).status, 200);
        page.until("feed", |text| text.contains("bell.wav")).await;
        let length = "const sound = document.querySelector('#feed audio');
            return new Promise((done) => {
              sound.onloadedmetadata = () => done(sound.duration);
              sound.onerror = () => done(sound.error.message);
              sound.load();
              sound.preload = 'metadata';
            })";
        assert_eq!(page.evaluate(length).await, 1);
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

#[test]
fn what_is_seen_or_taken_back_elsewhere_is_so_here() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&address(&server, "app")).await;
        add(&page, "t").await;
        add(&page, "elsewhere").await;
        let seen = server.publish("t", "will be seen");
        let taken = server.publish("t", "will be taken back");
        publish(&server, "t/s", "first version", &[]);
        holds(&page, &format!("{} === '3'", unread("t"))).await;
        let clear = Request::new("PUT", &format!("/t/{}/clear", seen.id()));
        assert_eq!(server.send(&clear).status, 200);
        holds(&page, &format!("{} === '2'", unread("t"))).await;
        let delete = Request::new("DELETE", &format!("/t/{}", taken.id()));
        assert_eq!(server.send(&delete).status, 200);
        holds(&page, &format!("{} === '1'", unread("t"))).await;
        publish(&server, "t/s", "second version", &[]);
        page.evaluate("location.hash = 't'").await;
        let shown = page.until("feed", |text| text.contains("second version")).await;
        assert!(shown.contains("will be seen"), "{shown}");
        assert!(!shown.contains("taken back") && !shown.contains("first version"), "{shown}");
    });
}

#[test]
fn a_message_is_deleted_here_or_for_everybody_after_a_question() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&address(&server, "app")).await;
        add(&page, "t").await;
        server.publish("t", "only here");
        page.until("feed", |text| text.contains("only here")).await;
        page.evaluate("document.querySelector('.m-menu').click()").await;
        choose(&page, "2").await;
        holds(&page, &format!("{SHOWN} === 0")).await;
        assert_eq!(server.poll("t", "all").len(), 1, "the server was told nothing");
        let message = server.publish("t", "for all");
        page.until("feed", |text| text.contains("for all")).await;
        page.evaluate("document.querySelector('.m-menu').click()").await;
        choose(&page, "-1").await;
        page.until("ask-title", |text| text == "Delete for everybody?").await;
        page.click("ask-yes").await;
        holds(&page, &format!("{SHOWN} === 0")).await;
        let held = server.poll("t", "all");
        let last = held.last().unwrap().plain();
        assert_eq!(last["event"], "message_delete");
        assert_eq!(last["sequence_id"], message.id());
    });
}

#[test]
fn what_was_deleted_here_comes_back_by_a_button_or_a_key() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&address(&server, "app")).await;
        add(&page, "t").await;
        server.publish("t", "not meant");
        page.until("feed", |text| text.contains("not meant")).await;
        for by_key in [true, false] {
            page.press("j");
            page.press("x");
            holds(&page, &format!("{SHOWN} === 0")).await;
            if by_key {
                page.press("z");
            } else {
                page.evaluate("document.querySelector('#toast button').click()").await;
            }
            page.until("feed", |text| text.contains("not meant")).await;
        }
        open(&page, &server, "app#t").await;
        page.until("feed", |text| text.contains("not meant")).await;
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

#[test]
fn a_notification_comes_where_nobody_looks_and_goes_when_its_message_is_read() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&address(&server, "app")).await;
        page.let_notify(&format!("http://{}", server.http));
        add(&page, "t").await;
        page.click("settings-button").await;
        page.click("s-alerts").await;
        holds(&page, "JSON.parse(localStorage['doorbell.inbox.alerts'] ?? '{}').on").await;
        page.evaluate("document.getElementById('settings').close()").await;
        page.evaluate("navigator.serviceWorker.ready.then(() => 0)").await;
        let shown = async |wanted: Value| {
            let script = "return navigator.serviceWorker.ready
                .then((registration) => registration.getNotifications())
                .then((all) => all.map(({ title, body }) => [title, body]))";
            let deadline = Instant::now() + PATIENCE;
            loop {
                let told = page.evaluate(script).await;
                if told == wanted {
                    break;
                }
                assert!(Instant::now() < deadline, "{told} is shown, not {wanted}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        page.behind_another_tab(async || {
            page.open(&address(&server, "?demo=off")).await;
            publish(&server, "t", "somebody rings", &[("Title", "Front door")]);
            shown(json!([["Front door", "somebody rings"]])).await;
        })
        .await;
        // The topic is in view.
        shown(json!([])).await;
        page.until("feed", |text| text.contains("somebody rings")).await;
    });
}

#[test]
fn the_form_publishes_all_that_a_message_can_have() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&address(&server, "app")).await;
        add(&page, "t").await;
        page.press("n");
        page.until("compose-title", |text| text == "New message").await;
        page.click("c-send").await;
        page.until("compose-note", |text| text.contains("nothing to publish")).await;
        page.type_into("c-title", "Grüße 标题").await;
        page.type_into("c-message", "first line\nsecond line").await;
        page.type_into("c-tags", "tada,own").await;
        page.evaluate("document.getElementById('c-more').open = true").await;
        page.type_into("c-click", "https://example.org/").await;
        page.type_into("c-actions", "copy, Code, 4711").await;
        page.evaluate("document.getElementById('c-priority').value = '4'").await;
        page.click("c-markdown").await;
        page.type_into("c-delay", "the other day").await;
        page.click("c-send").await;
        page.until("compose-note", |text| text.contains("delay 'the other day'")).await;
        page.evaluate("document.getElementById('c-delay').value = ''").await;
        page.click("c-send").await;
        page.until("feed", |text| text.contains("second line")).await;
        let held = server.poll("t", "all")[0].plain();
        assert_eq!(held["title"], "Grüße 标题");
        assert_eq!(held["message"], "first line\nsecond line");
        assert_eq!((&held["priority"], &held["tags"]), (&json!(4), &json!(["tada", "own"])));
        assert_eq!(held["click"], "https://example.org/");
        assert_eq!(held["content_type"], "text/markdown");
        assert_eq!(held["actions"][0]["value"], "4711");
        holds(&page, &format!("{} === ''", unread("t"))).await;
    });
}

#[test]
fn what_waits_for_its_time_is_listed_and_can_be_cancelled() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&address(&server, "app")).await;
        add(&page, "t").await;
        publish(&server, "t", "for tomorrow", &[("Delay", "20h")]);
        page.click("scheduled-button").await;
        page.until("feed", |text| text.contains("for tomorrow") && text.contains("due")).await;
        page.evaluate("document.querySelector('.m-due + button').click()").await;
        page.until("empty", |text| text == "Nothing waits.").await;
        let waits = server.get("/t/json?poll=1&since=none&sched=1").events();
        assert!(waits.iter().all(|event| event.kind() != "message"), "{waits:?}");
    });
}

#[test]
fn an_address_leads_to_the_topic_or_to_the_pattern_that_holds_it_or_offers_to_add_it() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&address(&server, "app#orders")).await;
        holds(&page, "document.getElementById('add').value === 'orders'").await;
        page.type_into("add", "\n").await;
        page.until("view-title", |text| text == "orders").await;
        add(&page, "home.*").await;
        page.evaluate("location.hash = 'orders'").await;
        page.until("view-title", |text| text == "orders").await;
        page.evaluate("location.hash = 'home.door'").await;
        page.until("view-title", |text| text == "home.*").await;
        // Whoever adds what is there is led to it.
        page.type_into("add", "orders\n").await;
        page.until("view-title", |text| text == "orders").await;
        let listed = "return document.querySelectorAll('#topics [data-filter]').length";
        assert_eq!(page.evaluate(listed).await, 3, "all of them, and two topics");
    });
}

#[test]
fn words_are_found_in_what_is_here() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&address(&server, "app")).await;
        add(&page, "t").await;
        publish(&server, "t", "the backup of Monday", &[("Title", "Nightly")]);
        publish(&server, "t", "the backup of Tuesday", &[("Tags", "tape")]);
        holds(&page, &format!("{SHOWN} === 2")).await;
        page.press("/");
        page.type_into("search", "BACKUP nightly").await;
        page.until("view-note", |text| text == "1 found").await;
        assert!(page.text("feed").await.contains("Monday"));
        page.press("Escape");
        holds(&page, &format!("{SHOWN} === 2")).await;
    });
}

#[test]
fn where_nothing_but_plain_requests_comes_through_the_inbox_is_connected_without_delay() {
    let server = TestServer::start();
    let place = server.publish("t", "there already").id().to_owned();
    // A long poll from this place waits for half a minute: longer than this test does.
    let way = "window.WebSocket = class {
          constructor() { setTimeout(() => this.onclose?.({ code: 1006, reason: '' })); }
          close() {}
        };
        window.EventSource = class {
          static CLOSED = 2;
          readyState = 2;
          constructor() { setTimeout(() => this.onerror?.(new Event('error'))); }
          addEventListener(name, act) { this[`on${name}`] = act; }
          close() {}
        };
        return import(new URL('static/app/live.js', location.href)).then(({ Live }) =>
          new Promise((told) => {
            const nothing = () => {};
            const onState = ({ kind, way }) => kind === 'up' && told(way);
            const hooks = { onEvent: nothing, onGap: nothing, onPlace: nothing, onRefused: nothing };
            new Live({ ...hooks, onState }).listen(['t'], 'PLACE');
            setTimeout(told, 25000, 'none');
          }))";
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&address(&server, "app")).await;
        assert_eq!(page.evaluate(&way.replace("PLACE", &place)).await, "longpoll");
    });
}

#[test]
fn the_inbox_goes_on_after_its_place_and_tells_of_a_log_that_is_another_one() {
    let mut server = TestServer::durable("");
    let mut other = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&address(&server, "app")).await;
        add(&page, "t").await;
        server.publish("t", "before");
        page.until("feed", |text| text.contains("before")).await;
        server.kill();
        page.until("state-text", |text| text.starts_with("reconnecting")).await;
        server.restart();
        server.publish("t", "while it was away");
        page.until("feed", |text| text.contains("while it was away")).await;
        await_connection(&page).await;
        assert_eq!(page.evaluate(&format!("return {SHOWN}")).await, 2, "nothing twice, no gap");

        page.open(&address(&other, "app")).await;
        add(&page, "t").await;
        other.publish("t", "forgotten");
        page.until("feed", |text| text.contains("forgotten")).await;
        other.stop();
        other.restart();
        other.publish("t", "new");
        page.until("feed", |text| text.contains("new")).await;
        page.until("feed", |text| text.contains("log is another one")).await;
        for fault in page.console() {
            let text = fault["message"].as_str().unwrap_or_default();
            assert!(!text.contains("Uncaught") && !text.contains("Security Policy"), "{text}");
        }
    });
}

#[test]
fn the_inbox_asks_for_a_token_and_keeps_it_out_of_every_address() {
    let access = AccessFile::new(&token("reader", "allow = [\"pubsub mine\"]"));
    let server = TestServer::with(&access.flag());
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&address(&server, "app")).await;
        page.type_into("add", "mine\n").await;
        page.until("trouble", |text| text.contains("reading 'mine' is not allowed")).await;
        page.until("state-text", |text| text == "signed out").await;
        page.evaluate("document.querySelector('#trouble button').click()").await;
        page.type_into("token", "tk_wrong\n").await;
        page.until("token-note", |text| text.contains("the token is wrong")).await;
        page.evaluate("document.getElementById('token').value = ''").await;
        page.type_into("token", "tk_reader\n").await;
        await_connection(&page).await;
        let request = Request::post("/mine", "for the reader").token(Some("tk_reader"));
        assert_eq!(server.send(&request).status, 200);
        page.until("feed", |text| text.contains("for the reader")).await;
        let shown = "return location.href + JSON.stringify(localStorage) + document.body.innerHTML
            + performance.getEntriesByType('resource').map(({ name }) => name)";
        let shown = page.evaluate(shown).await.to_string();
        assert!(!shown.contains("tk_reader"), "{shown}");
        // What may not be read keeps nothing else from being read.
        page.type_into("add", "other\n").await;
        holds(&page, "document.querySelector('[data-filter=other] .t-sub').textContent !== ''")
            .await;
        await_connection(&page).await;
    });
}

#[test]
fn whoever_signs_out_leaves_no_message_behind_and_has_them_again_when_signed_in() {
    let access = AccessFile::new(&token("reader", "allow = [\"pubsub mine\"]"));
    let server = TestServer::with(&access.flag());
    let publish = Request::post("/mine", "for the reader").token(Some("tk_reader"));
    assert_eq!(server.send(&publish).status, 200);
    in_browser(Look::DESKTOP, async move |page| {
        let sign_in = async || {
            page.until("state-text", |text| text == "signed out").await;
            page.evaluate("document.querySelector('#trouble button').click()").await;
            page.type_into("token", "tk_reader\n").await;
            page.until("feed", |text| text.contains("for the reader")).await;
        };
        page.open(&address(&server, "app")).await;
        page.type_into("add", "mine\n").await;
        sign_in().await;
        page.click("settings-button").await;
        page.until("token-note", |text| text == "signed in as reader").await;
        page.click("sign-out").await;
        page.until("ask-title", |text| text == "Sign out?").await;
        page.click("ask-yes").await;
        page.until("state-text", |text| text == "signed out").await;
        assert_eq!(page.evaluate(&format!("return {SHOWN}")).await, 0);
        let kept = "return new Promise((told) => {
              const opening = indexedDB.open('doorbell.inbox' + new URL('.', location).pathname);
              opening.onsuccess = () => {
                const asked = opening.result.transaction('messages').objectStore('messages').count();
                asked.onsuccess = () => (opening.result.close(), told(asked.result));
              };
            })";
        assert_eq!(page.evaluate(kept).await, 0, "and the browser keeps none");
        sign_in().await;
    });
}

#[test]
fn the_way_to_the_first_topic_is_shown_on_a_phone_and_a_pattern_is_no_topic_to_publish_to() {
    let server = TestServer::start();
    in_browser(Look::PHONE, async move |page| {
        page.open(&address(&server, "app")).await;
        page.until("empty", |text| text.contains("Add a topic")).await;
        page.evaluate("document.querySelector('#empty button').click()").await;
        holds(&page, "document.activeElement.id === 'add'").await;
        add(&page, "t").await;
        page.click("drawer-button").await;
        add(&page, "home.*").await;
        page.press("n");
        holds(&page, "document.getElementById('compose').open").await;
        let topic = "return [document.getElementById('c-topic').value, document.activeElement.id]";
        assert_eq!(page.evaluate(topic).await, json!(["home.", "c-topic"]));
    });
}

#[test]
fn ten_thousand_messages_are_there_within_a_second_and_few_of_them_are_drawn() {
    let server = TestServer::start();
    let texts: Vec<String> = (0..10_000).map(|n| format!("message number {n} of many")).collect();
    server.publish_all("many", &texts);
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&address(&server, "app")).await;
        add(&page, "many").await;
        holds(&page, "document.body.dataset.held === '10000'").await;
        // Other work on the machine is no fault of the page, so it has several goes.
        let deadline = Instant::now() + PATIENCE;
        loop {
            open(&page, &server, "app#many").await;
            holds(&page, "document.body.dataset.held === '10000'").await;
            let shown = "return performance.getEntriesByName('inbox-shown')[0].startTime";
            let shown = page.evaluate(shown).await.as_f64().unwrap();
            if shown < 1000.0 {
                break;
            }
            assert!(Instant::now() < deadline, "shown after {shown} ms");
        }
        page.until("feed", |text| text.contains("message number 9999 of many")).await;
        let drawn = page.evaluate(&format!("return {SHOWN}")).await.as_u64().unwrap();
        assert!((20..200).contains(&drawn), "{drawn} of 10,000 are drawn");
        page.evaluate("scrollTo(0, document.body.scrollHeight)").await;
        holds(&page, &format!("{SHOWN} > {drawn}")).await;
        page.type_into("search", "number 1234 ").await;
        page.until("view-note", |text| text == "1 found").await;
    });
}

#[test]
fn the_inbox_opens_without_a_server_with_what_it_has() {
    let mut server = TestServer::durable("");
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&address(&server, "app")).await;
        add(&page, "t").await;
        server.publish("t", "kept in the browser");
        page.until("feed", |text| text.contains("kept in the browser")).await;
        let is_kept = "return Promise.all(['app', 'static/app/main.js', 'static/app/app.css'].map(
              (name) => caches.match(new URL(name, location.href).href)))
            .then((kept) => kept.every(Boolean))";
        let deadline = Instant::now() + PATIENCE;
        while page.evaluate(is_kept).await != true {
            assert!(Instant::now() < deadline, "the worker keeps the inbox's files");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let answers = "return caches.keys()
            .then((names) => Promise.all(names.map((name) => caches.open(name))))
            .then((all) => Promise.all(all.map((one) => one.keys())))
            .then((kept) => kept.flat().map(({ url }) => new URL(url).pathname)
              .filter((path) => path !== '/app' && !path.startsWith('/static/')))";
        assert_eq!(page.evaluate(answers).await, json!([]), "no answer of the interface is kept");
        server.stop();
        open(&page, &server, "app#t").await;
        page.until("feed", |text| text.contains("kept in the browser")).await;
        page.until("state-text", |text| text.starts_with("reconnecting")).await;
        server.restart();
        await_connection(&page).await;
        server.publish("t", "and here it is again");
        page.until("feed", |text| text.contains("and here it is again")).await;
    });
}

#[test]
fn the_inbox_works_under_a_path() {
    let server = TestServer::with("--base-path /bell");
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&address(&server, "bell/app")).await;
        add(&page, "t").await;
        server.publish("t", "below a path");
        page.until("feed", |text| text.contains("below a path")).await;
        let scope =
            "return navigator.serviceWorker.ready.then(({ scope }) => new URL(scope).pathname)";
        assert_eq!(page.evaluate(scope).await, "/bell/");
        let manifest = "return fetch(document.querySelector('link[rel=manifest]').href)
            .then((answer) => answer.json().then((told) =>
              ['start_url', 'scope'].map((name) => new URL(told[name], answer.url).pathname)))";
        assert_eq!(page.evaluate(manifest).await, json!(["/bell/app", "/bell/"]));
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

#[test]
fn the_inbox_speaks_the_language_of_its_reader() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.read_languages("zh-CN").await;
        page.open(&address(&server, "app")).await;
        page.until("state-text", |text| text == "尚无主题").await;
        assert_eq!(page.evaluate("return document.documentElement.lang").await, "zh-Hans");
        add(&page, "t").await;
        publish(&server, "t", "hello", &[("Priority", "5")]);
        page.until("feed", |text| text.contains("紧急")).await;
        let english = "return [...document.querySelectorAll('button, label, h1, h2, h3, summary')]
            .map((one) => one.textContent.trim())
            .filter((text) => /[a-z]{2}/i.test(text.replace(/Markdown|Web Push/, '')))";
        assert_eq!(page.evaluate(english).await, json!([]));
        page.click("settings-button").await;
        let choose = "const choice = document.getElementById('s-language');
            choice.value = 'en';
            choice.dispatchEvent(new Event('change'))";
        page.evaluate(choose).await;
        page.until("scheduled-button", |text| text == "Scheduled").await;
        page.open(&address(&server, "app?again")).await;
        page.until("view-note", |text| text == "1 message").await;
    });
}

#[test]
fn the_inbox_fits_a_phone_and_a_desk_and_is_used_by_keyboard() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&address(&server, "app")).await;
        add(&page, "t").await;
        publish(&server, "t", &"word".repeat(300), &[("Title", "Longer than wide")]);
        server.publish("t", "the newest");
        holds(&page, &format!("{SHOWN} === 2")).await;
        let focused = "return document.activeElement.getAttribute('aria-label') ?? ''";
        page.evaluate("document.activeElement.blur()").await;
        page.press("j");
        assert!(page.evaluate(focused).await.as_str().unwrap().contains("the newest"));
        page.press("j");
        assert!(page.evaluate(focused).await.as_str().unwrap().contains("Longer than wide"));
        page.press("k");
        page.press("x");
        holds(&page, &format!("{SHOWN} === 1")).await;
        page.press("?");
        page.until("help-title", |text| text == "Keys").await;
        page.evaluate("document.getElementById('help').close()").await;
        let nameless = "return [...document.querySelectorAll('button, input, select, textarea, a')]
            .filter((one) => one.checkVisibility())
            .filter((one) => !one.textContent.trim() && !one.getAttribute('aria-label')
              && !(one.labels && one.labels.length)).map((one) => one.outerHTML)";
        assert_eq!(page.evaluate(nameless).await, json!([]));
        let looks = [
            (Look::DESKTOP, "inbox-desktop-light.png", 1280),
            (Look::DARK, "inbox-desktop-dark.png", 1280),
            (Look::PHONE, "inbox-phone-light.png", 390),
            (Look::DARK_PHONE, "inbox-phone-dark.png", 390),
        ];
        for (look, name, width) in looks {
            page.look(look);
            let wide = page.evaluate("return document.documentElement.scrollWidth").await;
            assert!(wide.as_u64().unwrap() <= width, "{name} scrolls sideways: {wide} of {width}");
            page.keep_screenshot(name).await;
        }
        page.click("drawer-button").await;
        holds(&page, "document.activeElement.closest('#sidebar')").await;
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

#[test]
fn markdown_that_is_made_to_take_long_takes_no_time() {
    let server = TestServer::start();
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&address(&server, "app")).await;
        let slowest = "return import(new URL('static/app/markdown.js', location.href))
            .then(({ markdown }) => ['_a ', '*a ', '**a ', '[', '[a](', '`a``b', '> ', '*_~', '- a\\n']
              .map((piece) => {
                const text = piece.repeat(19000 / piece.length);
                const began = performance.now();
                markdown(text);
                return performance.now() - began;
              }))
            .then((took) => Math.max(...took))";
        let slowest = page.evaluate(slowest).await.as_f64().unwrap();
        assert!(slowest < 2000.0, "{slowest} ms");
    });
}
