//! axe, which finds what keeps people from using a page: it finds nothing in any view, by day and
//! by night, on a desk and on a phone, in either language.

use serde_json::{Value, json};

use super::output;
use crate::page::address;
use crate::support::access::token;
use crate::support::browser::{Look, Page, in_browser};
use crate::support::strangers::python;
use crate::support::{AccessFile, Request, TestServer};

const LANGUAGES: [&str; 2] = ["en", "zh-Hans"];

const LOOKS: [(Look, &str); 4] = [
    (Look::DESKTOP, "desk, light"),
    (Look::DARK, "desk, dark"),
    (Look::PHONE, "phone, light"),
    (Look::DARK_PHONE, "phone, dark"),
];

/// What it finds: the rule, and the elements that break it.
const FINDINGS: &str = "return axe.run(document, { resultTypes: ['violations'] })
    .then(({ violations }) => violations.map(({ id, nodes }) =>
      [id, ...nodes.map(({ html, any }) => `${html.slice(0, 200)} ${any[0]?.message ?? ''}`)]))";

/// Looks at a view in every way.
async fn expect_nothing(page: &Page, axe: &str, view: &str) {
    page.evaluate(axe).await;
    for (look, name) in LOOKS {
        page.look(look);
        let found = page.evaluate(FINDINGS).await;
        assert_eq!(found, json!([]), "{view}, {name}");
    }
    page.look(Look::DESKTOP);
}

/// Opens a page in a language, also where only what follows `#` is another one.
async fn open(page: &Page, server: &TestServer, rest: &str, language: &str) {
    let (path, part) = rest.split_at(rest.find('#').unwrap_or(rest.len()));
    let sign = if path.contains('?') { '&' } else { '?' };
    page.open("about:blank").await;
    page.open(&address(server, &format!("{path}{sign}language={language}{part}"))).await;
    assert_eq!(page.evaluate("return document.documentElement.lang").await, language, "{rest}");
}

fn axe() -> Option<String> {
    Some(output(&mut python("axe_core_python", "axe_source.py")?))
}

#[test]
fn axe_finds_nothing_in_the_first_view_the_laboratory_and_the_page_of_errors() {
    let Some(axe) = axe() else { return };
    let server = TestServer::with("--udp 127.0.0.1:0 --lab on");
    in_browser(Look::DESKTOP, async move |page| {
        for language in LANGUAGES {
            open(&page, &server, "?interval=1", language).await;
            let has_figure = |text: &str| text.contains(|sign: char| sign.is_ascii_digit());
            page.until("sentence", has_figure).await;
            expect_nothing(&page, &axe, &format!("first view, {language}")).await;
            let lanes = "lab?lanes=poll,longpoll,sse,ws,tcp,udp";
            open(&page, &server, &format!("{lanes}&demo=on&rate=5&interval=1"), language).await;
            page.until("connection-table", |text| text.contains("127.0.0.1")).await;
            page.until("poll-median", has_figure).await;
            expect_nothing(&page, &axe, &format!("laboratory, {language}")).await;
            page.click("cut-button").await;
            page.until("outage", has_figure).await;
            expect_nothing(&page, &axe, &format!("a line that is cut, {language}")).await;
            for step in 1..=6 {
                open(&page, &server, &format!("{lanes}&demo=off#tour-{step}"), language).await;
                page.until("connection-table", |text| text.contains("127.0.0.1")).await;
                expect_nothing(&page, &axe, &format!("step {step}, {language}")).await;
            }
            for nowhere in ["no/such/page", "orders.*"] {
                open(&page, &server, nowhere, language).await;
                expect_nothing(&page, &axe, &format!("{nowhere}, {language}")).await;
            }
        }
    });
}

/// Publishes something of every kind that a message can have.
fn publish_a_day(server: &TestServer) {
    let picture = include_bytes!("../../web/app/icon-192.png").to_vec();
    let text = "# Report\n\nAll **well**:\n\n- `home`\n- [log](https://example.org/)\n\n> quoted\n\n\
        ```\ncode\n```\n\n![far](https://example.org/a.png)";
    let long = "line\n".repeat(40);
    let buttons = "view, Open, https://example.org/; copy, Code, 4711; broadcast, Start";
    let publish = |body: &[u8], headers: &[(&str, &str)]| {
        let mut request = Request::new("PUT", "/home.door").body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let response = server.send(&request.host(&server.http.to_string()));
        assert_eq!(response.status, 200, "{}", response.text());
    };
    publish(text.as_bytes(), &[("Markdown", "yes"), ("Title", "Backup"), ("Tags", "tada,tape")]);
    let urgent = [("Priority", "5"), ("Click", "https://example.org/"), ("Actions", buttons)];
    publish(b"down", &urgent);
    publish(b"nearly full", &[("Priority", "4"), ("Title", "Tape"), ("Tags", "warning")]);
    publish(long.as_bytes(), &[("Priority", "1")]);
    publish(&picture, &[("Filename", "door.png"), ("Title", "Door")]);
    publish(b"parcel", &[("Attach", "https://example.org/parcel.jpg")]);
    let later = Request::post("/home.door", "in the evening").header("Delay", "5h");
    assert_eq!(server.send(&later).status, 200);
}

#[test]
fn axe_finds_nothing_in_the_inbox() {
    let Some(axe) = axe() else { return };
    let server = TestServer::start();
    let click = |id: &str| format!("document.getElementById('{id}').click()");
    let close = "document.querySelector('dialog[open]').close()";
    in_browser(Look::DESKTOP, async move |page| {
        for language in LANGUAGES {
            let look = async |view: &str| {
                expect_nothing(&page, &axe, &format!("{view}, {language}")).await;
            };
            open(&page, &server, "app", language).await;
            if language == LANGUAGES[0] {
                page.until("state-text", |text| text == "no topic yet").await;
                look("nothing yet").await;
                page.type_into("add", "home.*\n").await;
                page.until("state-text", |text| text.contains("WebSocket")).await;
                publish_a_day(&server);
            }
            page.until("feed", |text| text.contains("parcel") && text.contains("Report")).await;
            look("a day").await;
            page.evaluate("location.hash = 'home.*'").await;
            page.until("view-title", |text| text == "home.*").await;
            look("a topic").await;
            page.evaluate("document.querySelector('#feed article').focus()").await;
            page.press("x");
            page.until("toast", |text| !text.is_empty()).await;
            look("deleted").await;
            page.press("z");
            let opened = [
                ("menu of a message", "document.querySelector('.m-menu').click()".to_owned()),
                ("menu of a topic", click("topic-menu")),
                (
                    "new message",
                    click("new-button") + "; document.getElementById('c-more').open = true",
                ),
                ("settings", click("settings-button")),
                ("keys", click("help-button")),
            ];
            for (view, open) in opened {
                page.evaluate(&open).await;
                look(view).await;
                page.evaluate(close).await;
            }
            page.evaluate(&click("scheduled-button")).await;
            page.until("feed", |text| text.contains("in the evening")).await;
            look("scheduled").await;
            page.evaluate(&click("scheduled-button")).await;
            page.type_into("search", "nothing like this").await;
            page.until("empty", |text| !text.is_empty()).await;
            look("nothing found").await;
            page.look(Look::PHONE);
            page.evaluate(&click("drawer-button")).await;
            page.evaluate(&axe).await;
            assert_eq!(page.evaluate(FINDINGS).await, json!([]), "drawer, {language}");
            page.look(Look::DESKTOP);
        }
    });
}

#[test]
fn axe_finds_nothing_where_a_token_is_asked_for() {
    let Some(axe) = axe() else { return };
    let access = AccessFile::new(&token("reader", "allow = [\"pubsub demo\"]"));
    let server = TestServer::with(&access.flag());
    in_browser(Look::DESKTOP, async move |page| {
        for language in LANGUAGES {
            for rest in ["?demo=off", "lab?demo=off"] {
                open(&page, &server, rest, language).await;
                page.until("token-note", |text| text.contains("demo")).await;
                expect_nothing(&page, &axe, &format!("{rest}, {language}")).await;
            }
            open(&page, &server, "app", language).await;
            if page.evaluate("return document.querySelector('[data-filter=demo]')").await
                == Value::Null
            {
                page.type_into("add", "demo\n").await;
            }
            page.until("trouble", |text| text.contains("demo")).await;
            expect_nothing(&page, &axe, &format!("inbox, signed out, {language}")).await;
            page.evaluate("document.querySelector('#trouble button').click()").await;
            expect_nothing(&page, &axe, &format!("inbox, a token, {language}")).await;
        }
    });
}
