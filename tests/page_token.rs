//! The page before a server that asks who comes: a token is given to it, and used by all of it.

use serde_json::{Value, json};

use crate::page::laboratory;
use crate::support::access::token;
use crate::support::browser::{Look, Page, in_browser};
use crate::support::{AccessFile, Request, TestServer};

const LANES: [&str; 4] = ["poll", "longpoll", "sse", "ws"];

async fn is_hidden(page: &Page, id: &str) -> Value {
    page.evaluate(&format!("return document.getElementById('{id}').hidden")).await
}

/// Waits until each of the browser's own lanes can bring a message.
async fn await_lanes(page: &Page) {
    page.until("poll-state", |text| text == "the server answers").await;
    page.until("longpoll-state", |text| text == "a request waits").await;
    page.until("sse-state", |text| text == "connected").await;
    page.until("ws-state", |text| text == "connected").await;
}

/// Gives the page a token, once it asks for one.
async fn give(page: &Page, token: &str) {
    page.until("token-note", |text| text.contains("is not allowed")).await;
    page.type_into("token", &format!("{token}\n")).await;
}

#[test]
fn a_token_is_asked_for_and_makes_the_lanes_work_for_this_tab_alone() {
    let reader = token("reader", "allow = [\"pubsub demo\"]");
    let access = AccessFile::new(&reader);
    let server = TestServer::with(&access.flag());
    in_browser(Look::DESKTOP, async move |page| {
        let at = laboratory(&server, "?demo=off&interval=0.5");
        page.open(&at).await;
        page.until("token-note", |text| text.contains("reading 'demo' is not allowed")).await;
        page.keep_screenshot("page-token.png").await;
        give(&page, "tk_wrong").await;
        page.until("token-note", |text| text.contains("the token is wrong")).await;
        assert_eq!(page.evaluate("return sessionStorage.length").await, 0);
        page.evaluate("document.getElementById('token').value = ''").await;
        page.type_into("token", "tk_reader\n").await;
        page.until("token-note", |text| text == "signed in as reader").await;
        assert_eq!(is_hidden(&page, "token-entry").await, true);
        await_lanes(&page).await;
        page.type_into("publish-text", "from a page that may\n").await;
        for lane in LANES {
            page.until(&format!("{lane}-messages"), |text| text == "1").await;
        }
        let shown = "return location.href + JSON.stringify(localStorage) + document.body.innerHTML";
        let shown = page.evaluate(shown).await.to_string();
        assert!(!shown.contains("tk_reader") && !shown.contains("ticket="), "{shown}");

        page.open(&at).await;
        page.until("token-note", |text| text == "signed in as reader").await;
        page.behind_another_tab(async || {
            page.open(&at).await;
            page.until("token-note", |text| text.contains("is not allowed")).await;
        })
        .await;
        page.click("sign-out").await;
        page.until("token-note", |text| text.contains("is not allowed")).await;
        assert_eq!(page.evaluate("return sessionStorage.length").await, 0);
    });
}

#[test]
fn a_stream_of_events_comes_back_by_another_ticket() {
    let reader = token("reader", "allow = [\"pubsub demo\"]");
    let access = AccessFile::new(&reader);
    let mut server = TestServer::durable(&access.flag());
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&laboratory(&server, "?demo=off&interval=0.5&lanes=sse,ws")).await;
        give(&page, "tk_reader").await;
        page.until("sse-state", |text| text == "connected").await;
        let publish = |server: &TestServer, text: &str| {
            let request = Request::post("/demo", text).token(Some("tk_reader"));
            assert_eq!(server.send(&request).status, 200);
        };
        publish(&server, "before");
        page.until("sse-messages", |text| text == "1").await;
        server.stop();
        page.until("sse-state", |text| text != "connected").await;
        server.restart();
        publish(&server, "after");
        page.until("sse-messages", |text| text == "2").await;
        page.until("ws-messages", |text| text == "2").await;
    });
}

#[test]
fn a_token_that_is_taken_back_is_forgotten_and_the_reason_is_said() {
    let reader = token("reader", "allow = [\"pubsub demo\"]");
    let access = AccessFile::new(&reader);
    let server = TestServer::with(&access.flag());
    in_browser(Look::DESKTOP, async move |page| {
        let at = laboratory(&server, "?demo=off&lanes=ws");
        page.open(&at).await;
        give(&page, "tk_reader").await;
        page.until("token-note", |text| text == "signed in as reader").await;
        access.apply(&token("other", "allow = [\"pubsub demo\"]"));
        page.open(&at).await;
        page.until("token-note", |text| text.contains("the token is wrong")).await;
        assert_eq!(page.evaluate("return sessionStorage.length").await, 0);
        assert_eq!(is_hidden(&page, "token-entry").await, false);
    });
}

#[test]
fn administrators_have_the_lab_and_others_have_none() {
    let rules = "allow = [\"pubsub demo\"]";
    let admin = token("admin", &format!("admin = true\n{rules}"));
    let access = AccessFile::new(&format!("{}{admin}", token("reader", rules)));
    let server = TestServer::with(&access.flag());
    let told = |token: &str| {
        server.send(&Request::get("/v1/config").token(Some(token))).json()["lab"].clone()
    };
    assert_eq!((told("tk_admin"), told("tk_reader")), (json!(true), json!(false)));
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&laboratory(&server, "?demo=off&lanes=ws")).await;
        give(&page, "tk_admin").await;
        page.until("connections-own", |text| text.contains("WebSocket")).await;
        page.click("sign-out").await;
        give(&page, "tk_reader").await;
        page.until("ws-state", |text| text == "connected").await;
        page.until("lab-note", |text| text.contains("for administrators")).await;
    });
}

#[test]
fn where_nobody_is_asked_the_page_asks_for_nothing() {
    let server = TestServer::start();
    assert_eq!(server.get("/v1/config").json()["enable_login"], false);
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&laboratory(&server, "?demo=off&interval=0.5")).await;
        await_lanes(&page).await;
        assert_eq!(is_hidden(&page, "token-form").await, true);
    });
}
