//! Browsers for the tests: headless Chromium and its driver, started once for many tests. What is
//! done with a page is in `browser`.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::{Request, Response};

/// How often a driver may be started before it listens.
const STARTS: u32 = 20;

/// The browsers that no test uses at the moment. They end with the process of the tests.
static AT_REST: Mutex<Vec<Browser>> = Mutex::new(Vec::new());

/// Keeps a driver until its own input ends, which it does with whoever started it. Then the driver
/// is asked to end, with its browser, at the address that was read.
const KEEPER: &str = r#"
    "$1" --port=0 &
    exec >&-
    read -r driver
    read -r _
    curl --silent --max-time 30 "$driver/shutdown"
    wait
"#;

/// A browser and the process that drives it.
pub(super) struct Browser {
    driver: Driver,
    session: String,
}

impl Browser {
    /// One that is at rest, or else a new one.
    pub(super) fn take() -> Option<Self> {
        let resting = at_rest().pop();
        resting.or_else(Self::start)
    }

    /// Gives it back, for the next test. One that is dropped instead ends.
    pub(super) fn give_back(self) {
        at_rest().push(self);
    }

    /// A new one; `None` where none is installed.
    pub(super) fn start() -> Option<Self> {
        let chromium =
            ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(found)?;
        found("curl")?;
        let driver = Driver::start(&found("chromedriver")?);
        let capabilities = json!({"alwaysMatch": capabilities(&chromium)});
        let made = driver.ask("/session", &json!({"capabilities": capabilities}));
        assert_eq!(made.status, 200, "{}", made.text());
        let session = made.json()["value"]["sessionId"].as_str().unwrap().to_owned();
        Some(Self { driver, session })
    }

    /// Where its driver listens.
    pub(super) fn address(&self) -> String {
        format!("http://{}", self.driver.address())
    }

    /// The name of its session.
    pub(super) fn session(&self) -> &str {
        &self.session
    }

    /// What the driver answers to a command that it adds to `WebDriver`.
    pub(super) fn ask(&self, command: &str, body: &Value) -> Value {
        let response = self.driver.ask(&format!("/session/{}/{command}", self.session), body);
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()["value"].clone()
    }
}

fn at_rest() -> MutexGuard<'static, Vec<Browser>> {
    AT_REST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The process that drives a browser.
struct Driver {
    keeper: Child,
    port: u16,
}

impl Driver {
    fn start(program: &Path) -> Self {
        // It takes a port that is free for IPv6, and ends if the same one is in use for IPv4.
        let started = (0..STARTS).find_map(|_| Self::listening(program));
        started.expect("a driver that listens")
    }

    /// `None` if it ended without a port.
    fn listening(program: &Path) -> Option<Self> {
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(keeper.stdout.take().unwrap()).lines();
        let port = lines.by_ref().find_map(|line| {
            let line = line.ok()?;
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        // Read to the end, so that the driver never waits for a reader.
        std::thread::spawn(move || lines.count());
        let driver = Self { keeper, port: port? };
        writeln!(driver.keeper.stdin.as_ref().unwrap(), "http://{}", driver.address()).unwrap();
        Some(driver)
    }

    fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    fn ask(&self, path: &str, body: &Value) -> Response {
        Request::post(path, body.to_string()).send_to(self.address())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Its input ends first.
        let _ = self.keeper.wait();
    }
}

fn capabilities(chromium: &Path) -> Value {
    json!({
        "goog:loggingPrefs": {"browser": "ALL"},
        "goog:chromeOptions": {"binary": chromium, "args": [
            // Containers and root have no sandbox; the page is our own.
            "--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", "--window-size=1280,1043",
        ]},
    })
}

fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}
