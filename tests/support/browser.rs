//! A real browser: headless Chromium, driven over `WebDriver`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::LocalSet;

use super::{PATIENCE, Request, skip_unless_ci};

/// How often a driver may be started before it listens.
const STARTS: u32 = 20;

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// CSS pixels.
    width: u32,
    height: u32,
    mobile: bool,
    scheme: &'static str,
}

impl Look {
    /// A window on a desk.
    pub(crate) const DESKTOP: Self =
        Self { width: 1280, height: 900, mobile: false, scheme: "light" };
    /// The same at night.
    pub(crate) const DARK: Self = Self { scheme: "dark", ..Self::DESKTOP };
    /// A window on a larger desk.
    pub(crate) const WIDE: Self = Self { width: 1440, ..Self::DESKTOP };
    /// A window as tall as the picture of all lanes.
    pub(crate) const TALL: Self = Self { width: 1240, height: 1048, ..Self::DESKTOP };
    /// A telephone at night.
    pub(crate) const DARK_PHONE: Self = Self { scheme: "dark", ..Self::PHONE };
    /// A telephone held upright.
    pub(crate) const PHONE: Self = Self { width: 390, height: 844, mobile: true, scheme: "light" };
}

/// The driver's process and what it needs.
struct Driver {
    child: Child,
    port: u16,
    chromium: PathBuf,
    profile: TempDir,
}

impl Driver {
    /// Starts it; `None` where browser or driver are not installed.
    fn start() -> Option<Self> {
        let chromium =
            ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(found)?;
        let program = found("chromedriver")?;
        // It takes a port that is free for IPv6, and ends if the same one is in use for IPv4.
        let started = (0..STARTS).find_map(|_| listening(&program));
        let (child, port) = started.expect("a driver that listens");
        Some(Self { child, port, chromium, profile: tempfile::tempdir().unwrap() })
    }

    fn capabilities(&self) -> Value {
        let profile = format!("--user-data-dir={}", self.profile.path().display());
        json!({
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"binary": self.chromium, "args": [
                // Containers and root have no sandbox; the page is our own.
                "--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--disable-dev-shm-usage", "--window-size=1280,1043", profile,
            ]},
        })
    }

    async fn connect(&self) -> Client {
        let Value::Object(capabilities) = self.capabilities() else { unreachable!() };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities);
        builder.connect(&format!("http://127.0.0.1:{}", self.port)).await.unwrap()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A driver and its port; `None` if it ended without one.
fn listening(program: &Path) -> Option<(Child, u16)> {
    let mut child = Command::new(program)
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = lines.by_ref().find_map(|line| {
        let line = line.ok()?;
        let (_, port) = line.split_once("started successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    // Read to the end, so that the driver never waits for a reader.
    std::thread::spawn(move || lines.count());
    if port.is_none() {
        child.wait().unwrap();
    }
    Some((child, port?))
}

fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Runs the steps in a browser of their own. The browser is closed even if they fail.
pub(crate) fn in_browser(look: Look, steps: impl AsyncFnOnce(Page) + 'static) {
    let Some(driver) = Driver::start() else {
        skip_unless_ci("chromium and chromedriver are not installed");
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let client = driver.connect().await;
        let session = client.session_id().await.unwrap().unwrap();
        let page = Page { client: client.clone(), driver: driver.port, session };
        page.look(look);
        let outcome = tokio::task::spawn_local(async move { steps(page).await }).await;
        client.close().await.unwrap();
        if let Err(failure) = outcome {
            std::panic::resume_unwind(failure.into_panic());
        }
    });
}

/// What is shown in the browser.
pub(crate) struct Page {
    client: Client,
    driver: u16,
    session: String,
}

impl Page {
    /// Goes to an address.
    pub(crate) async fn open(&self, address: &str) {
        self.client.goto(address).await.unwrap();
    }

    /// The element with that id, once it is there.
    pub(crate) async fn element(&self, id: &str) -> Element {
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::Id(id)).await;
        found.unwrap_or_else(|error| panic!("#{id}: {error}"))
    }

    /// Its text.
    pub(crate) async fn text(&self, id: &str) -> String {
        self.element(id).await.text().await.unwrap()
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
            let text = self.element(id).await.text().await;
            match text {
                Ok(text) if wanted(&text) => return text,
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
        let features = json!([{"name": "prefers-color-scheme", "value": look.scheme}]);
        self.tell_browser("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// What was written to the console since the last call.
    pub(crate) fn console(&self) -> Vec<Value> {
        let entries = self.ask_driver("se/log", &json!({"type": "browser"}));
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
        self.ask_driver("goog/cdp/execute", &json!({"cmd": command, "params": parameters}));
    }

    /// A command that the driver adds to `WebDriver`.
    fn ask_driver(&self, path: &str, body: &Value) -> Value {
        let path = format!("/session/{}/{path}", self.session);
        let address = ([127, 0, 0, 1], self.driver).into();
        let response = Request::post(&path, body.to_string()).send_to(address);
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()["value"].clone()
    }
}
