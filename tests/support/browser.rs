//! A real browser: headless Chromium, driven over `WebDriver`.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::{Client, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::task::LocalSet;

use super::driver::Browser;
use super::{PATIENCE, skip_unless_ci};

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// CSS pixels.
    width: u32,
    height: u32,
    mobile: bool,
    scheme: &'static str,
    motion: &'static str,
}

impl Look {
    /// A window on a desk, of somebody who asks for little motion: then nothing is drawn many times
    /// a second, which takes most of the time of a test.
    pub(crate) const DESKTOP: Self =
        Self { width: 1280, height: 900, mobile: false, scheme: "light", motion: "reduce" };
    /// The same at night.
    pub(crate) const DARK: Self = Self { scheme: "dark", ..Self::DESKTOP };
    /// A window on a larger desk, where things move.
    pub(crate) const WIDE: Self = Self { width: 1440, motion: "no-preference", ..Self::DESKTOP };
    /// A window as tall as the picture of all lanes.
    pub(crate) const TALL: Self = Self { width: 1240, height: 1048, ..Self::WIDE };
    /// A telephone at night.
    pub(crate) const DARK_PHONE: Self = Self { scheme: "dark", ..Self::PHONE };
    /// A telephone held upright.
    pub(crate) const PHONE: Self = Self { width: 390, height: 844, mobile: true, ..Self::WIDE };
}

/// The text of an element as a reader sees it; nothing of one that is hidden.
const SHOWN_TEXT: &str = "const element = document.getElementById(arguments[0]);
    const text = element?.checkVisibility() ? element.innerText : '';
    return element && text.replace(/[\\u00a0\\t]/g, ' ').trim()";

/// Runs the steps in a tab of their own. They find nothing of what other tests did.
pub(crate) fn in_browser(look: Look, steps: impl AsyncFnOnce(Page) + 'static) {
    if let Some(browser) = run(Browser::take(), look, steps) {
        browser.give_back();
    }
}

/// The same in a browser that no other test has used, or will.
pub(crate) fn in_new_browser(look: Look, steps: impl AsyncFnOnce(Page) + 'static) {
    drop(run(Browser::start(), look, steps));
}

/// Returns the browser if the steps have held: one in which they failed is not used again.
fn run(
    browser: Option<Browser>,
    look: Look,
    steps: impl AsyncFnOnce(Page) + 'static,
) -> Option<Browser> {
    let Some(browser) = browser else {
        skip_unless_ci("chromium, chromedriver or curl is not installed");
        return None;
    };
    let browser = Rc::new(browser);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let page = Page::in_a_new_tab(browser.clone()).await;
        page.look(look);
        if let Err(failure) = tokio::task::spawn_local(steps(page)).await {
            std::panic::resume_unwind(failure.into_panic());
        }
    });
    Rc::into_inner(browser)
}

/// What is shown in the browser.
pub(crate) struct Page {
    client: Client,
    browser: Rc<Browser>,
    /// The origins that were opened.
    visited: RefCell<HashSet<String>>,
}

impl Page {
    /// A tab beside which there is none, of a browser that has kept nothing.
    async fn in_a_new_tab(browser: Rc<Browser>) -> Self {
        let (driver, session) = (browser.address(), browser.session());
        let connected = Client::with_existing_session(&driver, session, HttpConnector::new());
        let client = connected.await.unwrap();
        client.persist().await.unwrap();
        let page = Self { client, browser, visited: RefCell::default() };
        let new = page.client.new_window(true).await.unwrap().handle;
        for tab in page.client.windows().await.unwrap() {
            if tab != new {
                page.client.switch_to_window(tab).await.unwrap();
                page.client.close_window().await.unwrap();
            }
        }
        page.client.switch_to_window(new).await.unwrap();
        page.tell_browser("Browser.resetPermissions", &json!({}));
        page.tell_browser("Network.clearBrowserCache", &json!({}));
        page.console();
        page
    }

    /// Goes to an address. What another test left at its origin is gone.
    pub(crate) async fn open(&self, address: &str) {
        let origin = address.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        if origin.starts_with("http") && self.visited.borrow_mut().insert(origin.clone()) {
            let all = json!({"origin": origin, "storageTypes": "all"});
            self.tell_browser("Storage.clearDataForOrigin", &all);
        }
        self.client.goto(address).await.unwrap();
    }

    /// The element with that id, once it is there.
    pub(crate) async fn element(&self, id: &str) -> Element {
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::Id(id)).await;
        found.unwrap_or_else(|error| panic!("#{id}: {error}"))
    }

    /// Its text, as far as it is shown.
    pub(crate) async fn text(&self, id: &str) -> String {
        self.element(id).await;
        self.text_now(id).await.unwrap().unwrap_or_else(|| panic!("#{id} is gone"))
    }

    /// The same at this moment; `None` while there is no such element.
    async fn text_now(&self, id: &str) -> Result<Option<String>, CmdError> {
        let shown = self.client.execute(SHOWN_TEXT, vec![id.into()]).await?;
        Ok(shown.as_str().map(str::to_owned))
    }

    /// Its text as a whole number.
    pub(crate) async fn number(&self, id: &str) -> u64 {
        let text = self.text(id).await;
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        digits.parse().unwrap_or_else(|_| panic!("#{id} is {text:?}"))
    }

    /// Waits until its text is as wanted; returns it.
    pub(crate) async fn until(&self, id: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Of a page that is being left there is nothing to read.
            let text = self.text_now(id).await;
            match text {
                Ok(Some(text)) if wanted(&text) => return text,
                _ => assert!(Instant::now() < deadline, "#{id} is still {text:?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Hides the page behind another tab for as long as something lasts.
    pub(crate) async fn behind_another_tab(&self, meanwhile: impl AsyncFnOnce()) {
        let own = self.client.window().await.unwrap();
        let other = self.client.new_window(true).await.unwrap();
        self.client.switch_to_window(other.handle).await.unwrap();
        meanwhile().await;
        self.client.close_window().await.unwrap();
        self.client.switch_to_window(own).await.unwrap();
    }

    /// Clicks it, wherever on the page it is.
    pub(crate) async fn click(&self, id: &str) {
        // The driver does not wait for a page that scrolls smoothly, which may go on behind this.
        let script = format!(
            "document.getElementById('{id}').scrollIntoView({{block: 'center', behavior: 'instant'}})"
        );
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.evaluate(&script).await;
            let Err(error) = self.element(id).await.click().await else { return };
            assert!(Instant::now() < deadline, "#{id}: {error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Types into it.
    pub(crate) async fn type_into(&self, id: &str, text: &str) {
        self.element(id).await.send_keys(text).await.unwrap();
    }

    /// Presses a key by its name in the standard of key events, wherever the focus is.
    pub(crate) fn press(&self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            let text = if key == "Enter" && kind == "keyDown" { "\r" } else { "" };
            let event = json!({"type": kind, "key": key, "code": key, "text": text});
            self.tell_browser("Input.dispatchKeyEvent", &event);
        }
    }

    /// The languages that the browser's user reads, from the next page on.
    pub(crate) async fn read_languages(&self, languages: &str) {
        let agent = self.evaluate("return navigator.userAgent").await;
        let identity = json!({"userAgent": agent, "acceptLanguage": languages});
        self.tell_browser("Emulation.setUserAgentOverride", &identity);
    }

    /// What a piece of JavaScript returns, or what it promises.
    pub(crate) async fn evaluate(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Looks at the page in another way.
    pub(crate) fn look(&self, look: Look) {
        let metrics = json!({
            "width": look.width, "height": look.height, "deviceScaleFactor": 1,
            "mobile": look.mobile,
        });
        self.tell_browser("Emulation.setDeviceMetricsOverride", &metrics);
        let features = json!([
            {"name": "prefers-color-scheme", "value": look.scheme},
            {"name": "prefers-reduced-motion", "value": look.motion},
        ]);
        self.tell_browser("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// What was written to the console since the last call.
    pub(crate) fn console(&self) -> Vec<Value> {
        let entries = self.browser.ask("se/log", &json!({"type": "browser"}));
        entries.as_array().expect("a list of entries").clone()
    }

    /// Lets the pages of an origin notify.
    pub(crate) fn let_notify(&self, origin: &str) {
        let permission = json!({"permissions": ["notifications"], "origin": origin});
        self.tell_browser("Browser.grantPermissions", &permission);
    }

    /// Has the first service worker that was registered be pushed a text, as if by a push service.
    pub(crate) fn push(&self, origin: &str, text: &str) {
        self.tell_browser("ServiceWorker.enable", &json!({}));
        let push = json!({"origin": origin, "registrationId": "0", "data": text});
        self.tell_browser("ServiceWorker.deliverPushMessage", &push);
    }

    /// Keeps a picture in `artefacts/`.
    pub(crate) async fn keep_screenshot(&self, name: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("artefacts");
        fs::create_dir_all(&folder).unwrap();
        let picture = self.client.screenshot().await.unwrap();
        assert!(picture.len() > 10_000, "an empty picture: {} bytes", picture.len());
        fs::write(folder.join(name), picture).unwrap();
    }

    /// A command of the browser's own protocol.
    fn tell_browser(&self, command: &str, parameters: &Value) {
        self.browser.ask("goog/cdp/execute", &json!({"cmd": command, "params": parameters}));
    }
}
