//! Web Push in a browser: the switch of the page, and what the service worker shows. What stands
//! between the two, the push service of the browser's maker, is out of reach, and one of our own is
//! in its place.

use serde_json::{Value, json};

use crate::page::address;
use crate::support::browser::{Look, Page, in_browser, in_new_browser};
use crate::support::push_service::{Browser, PushService};
use crate::support::{PATIENCE, TestServer};

const ON: &str = "--web-push mailto:bell@push.example --outbound-allow 127.0.0.0/8";

fn origin(server: &TestServer) -> String {
    format!("http://{}", server.http)
}

/// Waits until a piece of JavaScript returns something.
async fn until(page: &Page, script: &str) -> Value {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let found = page.evaluate(script).await;
        if !found.is_null() {
            return found;
        }
        assert!(std::time::Instant::now() < deadline, "still nothing: {script}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn is_pressed(page: &Page) -> Value {
    page.evaluate("return document.getElementById('notify-button').ariaPressed").await
}

/// Has a page be pushed to by way of our push service, as if that were the browser's own.
pub(crate) async fn stand_in(page: &Page, browser: &Browser) {
    let json = browser.subscription(&[]);
    page.evaluate(&format!(
        "let own = null;
         const subscription = {{
           toJSON: () => ({{ endpoint: {0}, keys: {{ auth: {1}, p256dh: {2} }} }}),
           unsubscribe: async () => ((own = null), true),
         }};
         PushManager.prototype.getSubscription = async () => own;
         PushManager.prototype.subscribe = async (asked) => {{
           window.asked = asked;
           return (own = subscription);
         }};",
        json["endpoint"], json["auth"], json["p256dh"]
    ))
    .await;
}

#[test]
fn the_switch_subscribes_the_browser_to_the_topic_and_takes_it_back() {
    let service = PushService::start();
    let server = TestServer::durable_with(ON, service.trusted());
    in_browser(Look::DESKTOP, async move |page| {
        let browser = Browser::at(&service, "/page");
        page.open(&address(&server, "?demo=off&lanes=sse")).await;
        page.let_notify(&origin(&server));
        stand_in(&page, &browser).await;
        assert_eq!(is_pressed(&page).await, "false");
        page.click("notify-button").await;
        until(&page, "return document.querySelector('#notify-button[aria-pressed=true]')?.id")
            .await;
        assert_eq!(page.text("notify-note").await, "");
        let asked = page.evaluate("return window.asked").await;
        let key = server.get("/v1/config").json()["web_push_public_key"].clone();
        assert_eq!(asked, json!({"userVisibleOnly": true, "applicationServerKey": key}));
        server.publish("demo", "to the browser");
        let told = browser.decrypt(&service.push());
        assert_eq!(told["message"]["message"], "to the browser");
        assert_eq!(told["subscription_id"], format!("{}/demo", origin(&server)));
        page.keep_screenshot("page-push.png").await;
        page.click("notify-button").await;
        until(&page, "return document.querySelector('#notify-button[aria-pressed=false]')?.id")
            .await;
        server.publish("demo", "to nobody");
        let other = Browser::at(&service, "/other");
        assert_eq!(server.send(&other.subscribe(&["demo"])).status, 200);
        server.publish("demo", "to another");
        assert_eq!(service.push().path, "/other");
        assert!(page.console().is_empty(), "{:?}", page.console());
    });
}

#[test]
fn without_web_push_there_is_no_switch_and_where_it_fails_the_page_says_why() {
    let off = TestServer::start();
    let on = TestServer::with(ON);
    in_browser(Look::DESKTOP, async move |page| {
        let is_hidden = "return document.getElementById('notify').hidden";
        page.open(&address(&off, "?demo=off&lanes=sse")).await;
        page.until("sse-state", |text| text == "connected").await;
        assert_eq!(page.evaluate(is_hidden).await, true);
        page.open(&address(&on, "?demo=off&lanes=sse")).await;
        page.until("sse-state", |text| text == "connected").await;
        assert_eq!(page.evaluate(is_hidden).await, false);
        page.evaluate("Notification.requestPermission = async () => 'denied'").await;
        page.click("notify-button").await;
        page.until("notify-note", |text| text.contains("does not let the page notify")).await;
        assert_eq!(is_pressed(&page).await, "false");
    });
}

#[test]
fn the_service_worker_shows_a_message_and_its_newer_version_in_its_place() {
    let server = TestServer::with(ON);
    // Its worker is the first one that is registered there.
    in_new_browser(Look::DESKTOP, async move |page| {
        page.open(&address(&server, "?demo=off&lanes=sse")).await;
        page.let_notify(&origin(&server));
        let ready = "return (async () => {
            const registration =
              await navigator.serviceWorker.register('/static/sw.js', { scope: '/' });
            return registration.active?.state === 'activated' ? registration.scope : null;
          })()";
        assert_eq!(until(&page, ready).await, format!("{}/", origin(&server)));
        let began = std::time::Instant::now();
        let push = |text: &str, id: &str| {
            let message = json!({
                "id": id, "time": 1_763_850_000, "event": "message", "topic": "demo",
                "sequence_id": "door", "title": "Front door", "message": text, "priority": 5,
                "click": "https://home.example/door",
            });
            let address = format!("{}/demo", origin(&server));
            let pushed =
                json!({"event": "message", "subscription_id": address, "message": message});
            page.push(&origin(&server), &pushed.to_string());
        };
        let shown = |text: &str| {
            format!(
                "return (async () => {{
                   const registration = await navigator.serviceWorker.getRegistration();
                   const shown = await registration.getNotifications();
                   if (shown.at(-1)?.body !== '{text}') return null;
                   return shown.map(({{ title, body, tag, data }}) => ({{ title, body, tag, data }}));
                 }})()"
            )
        };
        // The tools of the browser now and then deliver the first one to nobody.
        let told = loop {
            push("open", "00004ziepp2w");
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            let told = page.evaluate(&shown("open")).await;
            if !told.is_null() {
                break told;
            }
            assert!(began.elapsed() < PATIENCE, "no notification came");
        };
        let expected = json!([{
            "title": "Front door", "body": "open", "tag": "demo/door",
            "data": {"url": "https://home.example/door"},
        }]);
        assert_eq!(told, expected);
        push("shut", "00004ziepp2x");
        let told = until(&page, &shown("shut")).await;
        assert_eq!(told.as_array().unwrap().len(), 1, "{told}");
        page.push(&origin(&server), "nonsense");
        until(&page, &shown("")).await;
    });
}
