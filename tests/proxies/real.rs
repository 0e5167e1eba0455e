//! The proxies that people use, each with the configuration that `docs/proxies.md` shows: every
//! transport works behind it, at once and for as long as somebody stays, and the client is known.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Message, client};

use super::{LANES, works};
use crate::page::faults;
use crate::page_inbox::holds;
use crate::page_push::stand_in;
use crate::support::access::token;
use crate::support::browser::{Look, Page, in_browser};
use crate::support::push_service::{Browser, PushService};
use crate::support::server::{kill, run};
use crate::support::{AccessFile, Event, Lines, Request, TestServer, eventually, skip_unless_ci};

const NAME: &str = "push.example.com";

/// The clients' own address, which is not that of the proxies.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// How long an event may be on its way: more would mean that somebody gathers them.
const AT_ONCE: Duration = Duration::from_secs(3);

/// Signs of life that a reader hears while nothing is published, one a second: for longer than the
/// proxies here keep a connection that is silent, which is three seconds.
const QUIET: usize = 5;

/// A server that knows its proxy, and shows who is connected.
const KNOWN: &str = "--trusted-proxies 127.0.0.1 --keepalive 1s --lab on";

/// A proxy in front of a server, with a certificate of its own.
struct Front {
    server: TestServer,
    child: Child,
    https: u16,
    lines: u16,
    folder: TempDir,
}

impl Drop for Front {
    fn drop(&mut self) {
        // Its own processes are to end with it.
        let _ = kill(&self.child, Signal::TERM);
        let _ = self.child.wait();
        if std::thread::panicking() {
            let said = std::fs::read_to_string(self.folder.path().join("said"));
            eprintln!("the proxy said:\n{}", said.unwrap_or_default());
        }
    }
}

/// What a configuration is made of: the parts of a page, with the addresses of this machine.
struct Parts<'a> {
    page: &'a str,
    folder: &'a Path,
    http: SocketAddr,
    tcp: SocketAddr,
    https: u16,
    lines: u16,
}

impl Parts<'_> {
    /// The part of the page in which that stands, each of these replaced by what it is here.
    fn part(&self, with: &str, edits: &[(&str, String)]) -> String {
        let mut blocks = self.page.split("```").skip(1).step_by(2);
        let found = blocks.find(|block| block.contains(with));
        let block = found.unwrap_or_else(|| panic!("no {with} in the page"));
        let (_, text) = block.split_once('\n').unwrap();
        let replace = |text: String, (from, to): &(&str, String)| {
            assert!(text.contains(from), "no {from} in\n{text}");
            text.replace(from, to)
        };
        edits.iter().fold(text.to_owned(), replace)
    }

    fn certificate(&self) -> String {
        self.folder.join("certificate.pem").display().to_string()
    }

    fn key(&self) -> String {
        self.folder.join("key.pem").display().to_string()
    }
}

/// Starts a proxy; `configure` writes its configuration and says how it is run.
fn front(
    program: &str,
    flags: &str,
    configure: impl FnOnce(&Parts) -> (String, Vec<String>),
) -> Option<Front> {
    front_of(program, |_| TestServer::with(flags), configure)
}

/// The same before a server that is told the proxy's port.
fn front_of(
    program: &str,
    start: impl FnOnce(u16) -> TestServer,
    configure: impl FnOnce(&Parts) -> (String, Vec<String>),
) -> Option<Front> {
    let is_there = |name: &str| {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        // Where Debian has the programs of services.
        let folders = std::env::split_paths(&folders).chain([PathBuf::from("/usr/sbin")]);
        folders.map(|folder| folder.join(name)).find(|path| path.is_file())
    };
    let (Some(path), Some(_), Some(_)) = (is_there(program), is_there("curl"), is_there("openssl"))
    else {
        skip_unless_ci(&format!("{program}, curl or openssl is not installed"));
        return None;
    };
    let [https, lines] = [free_port(), free_port()];
    let server = start(https);
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let page = std::fs::read_to_string(root().join("docs/proxies.md")).unwrap();
    let parts = Parts {
        page: &page,
        folder: folder.path(),
        http: server.http,
        tcp: server.tcp,
        https,
        lines,
    };
    let (configuration, arguments) = configure(&parts);
    std::fs::write(folder.path().join("configuration"), configuration).unwrap();
    let said = std::fs::File::create(folder.path().join("said")).unwrap();
    let child = Command::new(path)
        .args(arguments)
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .stdin(Stdio::null())
        .stdout(said.try_clone().unwrap())
        .stderr(said)
        .spawn()
        .unwrap();
    let front = Front { server, child, https, lines, folder };
    eventually("the proxy listens", || TcpStream::connect(("127.0.0.1", https)).ok());
    Some(front)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Makes a certificate for the name, its key, and both in one file.
fn certify(folder: &Path) {
    let made = run(Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", &format!("/CN={NAME}")])
        .args(["-addext", &format!("subjectAltName=DNS:{NAME}")])
        .args(["-keyout", "key.pem", "-out", "certificate.pem"])
        .current_dir(folder));
    assert!(made.status.success(), "{made:?}");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    std::fs::write(folder.join("both.pem"), read("certificate.pem") + &read("key.pem")).unwrap();
}

// --- Clients ---

/// A reader of an answer that does not end.
struct Reader {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Reader {
    /// The next event, of NDJSON or of a stream of server-sent events.
    fn event(&mut self) -> Event {
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the stream ended");
            let line = line.trim_end();
            let json = line.strip_prefix("data: ").unwrap_or(line);
            if json.starts_with('{') {
                return Event::parse(json);
            }
        }
    }
}

impl Front {
    fn host(&self) -> String {
        format!("{NAME}:{}", self.https)
    }

    fn curl(&self, version: &str, path: &str, more: &[&str]) -> Command {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--no-buffer", "--max-time", "60", version])
            .args(["--interface", &CLIENT.to_string(), "--noproxy", "*"])
            .args(["--resolve", &format!("{}:127.0.0.1", self.host()), "--cacert"])
            .arg(self.folder.path().join("certificate.pem"))
            .args(more)
            .arg(format!("https://{}{path}", self.host()));
        curl
    }

    /// The status and the version of the protocol, and the body.
    fn ask(&self, version: &str, path: &str, more: &[&str]) -> (String, String) {
        let mut curl = self.curl(version, path, more);
        let output = run(curl.args(["--write-out", "\n%{http_version} %{http_code}"]));
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.to_owned(), body.to_owned())
    }

    fn stream(&self, version: &str, path: &str) -> Reader {
        let mut child = self.curl(version, path, &[]).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Reader { child, output }
    }

    /// A conversation in lines with a proxy of TCP, and its local address.
    fn converse(&self) -> (Lines, SocketAddr) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((CLIENT, 0)).into()).unwrap();
        let proxy = SocketAddr::from((Ipv4Addr::LOCALHOST, self.lines));
        eventually("the proxy of lines", || socket.connect(&proxy.into()).ok());
        let stream = TcpStream::from(socket);
        let local = stream.local_addr().unwrap();
        let mut lines = Lines::over_tcp(stream);
        assert_eq!(lines.event().kind(), "open");
        (lines, local)
    }

    /// The rows of `/v1/connections`, as the server itself shows them.
    fn rows(&self) -> Vec<Value> {
        let listing = self.server.get("/v1/connections?max=1000").json();
        listing["rows"].as_array().unwrap().clone()
    }
}

/// A TLS connection to a proxy: what another program makes of two pipes.
struct Tls {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Tls {
    fn connect(front: &Front) -> Self {
        let mut child = Command::new("openssl")
            .args(["s_client", "-quiet", "-verify_return_error", "-alpn", "http/1.1"])
            .args(["-connect", &format!("127.0.0.1:{}", front.https), "-servername", NAME])
            .arg("-CAfile")
            .arg(front.folder.path().join("certificate.pem"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output }
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Read for Tls {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.output.read(buffer)
    }
}

impl Write for Tls {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.input.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.input.flush()
    }
}

// --- What must hold ---

/// Publishes through a proxy, and reads in every way that ends.
fn publishes_and_polls(front: &Front, version: &str) {
    let spoken = if version == "--http2" { "2 200" } else { "1.1 200" };
    let topic = format!("polled{}", spoken.split('.').next().unwrap().replace(' ', "-"));
    let (status, body) = front.ask(version, &format!("/{topic}"), &["--data", "by hand"]);
    assert_eq!(status, spoken, "{body}");
    let first = Event::parse(body.trim_end());
    let path = format!("/{topic}/json?poll=1&since=all");
    let (status, body) = front.ask(version, &path, &[]);
    assert_eq!((status.as_str(), Event::parse(body.trim_end()).message()), (spoken, "by hand"));
    let (status, body) = front.ask(version, "/files", &["--data", "x", "-H", "Filename: x.txt"]);
    let address = Event::parse(body.trim_end())["attachment"]["url"].to_string();
    let wanted = format!("\"https://{}/file/", front.host());
    assert!(status == spoken && address.starts_with(&wanted), "{address} is not at {wanted}");
    let path = format!("/{topic}/json?poll=1&wait=30s&since={}", first.id());
    let mut waiting = front.stream(version, &path);
    front.server.await_readers("longpoll", 1);
    let began = Instant::now();
    front.server.publish(&topic, "waited for");
    assert_eq!(waiting.event().message(), "waited for");
    assert!(began.elapsed() < AT_ONCE, "after {:?}", began.elapsed());
    drop(waiting);
    front.server.await_readers("longpoll", 0);
}

/// A client's own story of itself is not believed, and its pages are those of the name it knows.
fn knows_the_client_and_its_pages(front: &Front, version: &str) {
    let ok = |more: &[&str]| front.ask(version, "/t", more).0.ends_with(" 200");
    assert!(ok(&["-d", "x", "-H", "Forwarded: for=192.0.2.1", "-H", "X-Forwarded-For: 192.0.2.1"]));
    let own = format!("Origin: https://{}", front.host());
    assert!(ok(&["-d", "x", "-H", &own]));
    assert!(!ok(&["-d", "x", "-H", "Origin: https://evil.example"]));
    let rows = front.rows();
    let told: Vec<&Value> = rows.iter().filter_map(|row| row.get("client")).collect();

    let is_client = |told: &&Value| **told == CLIENT.to_string();
    assert!(!told.is_empty() && told.iter().all(is_client), "{rows:?}");
}

/// Streams in every way stay open while they are quiet, and hear what is published at once.
fn streams(front: &Front, lines: bool) {
    let mut readers: Vec<Reader> = ["--http1.1", "--http2"]
        .into_iter()
        .flat_map(|version| {
            ["json", "sse"].map(|kind| front.stream(version, &format!("/t/{kind}")))
        })
        .collect();
    let mut request = format!("wss://{}/t/ws", front.host()).into_client_request().unwrap();
    let origin = format!("https://{}", front.host());
    request.headers_mut().insert("origin", origin.parse().unwrap());
    let (mut socket, _) = client(request, Tls::connect(front)).unwrap();
    let mut conversation = lines.then(|| {
        let (mut conversation, local) = front.converse();
        conversation.subscribe("t");
        let is_own = |row: &Value| row["peer"] == local.to_string() && row["via"] == "tcp";
        assert!(front.rows().iter().any(is_own), "{local} in {:?}", front.rows());
        conversation
    });
    for reader in &mut readers {
        assert_eq!(reader.event().kind(), "open");
        for _ in 0..QUIET {
            assert_eq!(reader.event().kind(), "keepalive");
        }
    }
    let began = Instant::now();
    front.server.publish("t", "at once");
    for reader in &mut readers {
        let event =
            std::iter::repeat_with(|| reader.event()).find(|event| event.kind() == "message");
        assert_eq!(event.unwrap().message(), "at once");
    }
    loop {
        match socket.read().unwrap() {
            Message::Text(text) if Event::parse(&text).kind() == "message" => break,
            Message::Text(_) | Message::Ping(_) => {}
            other => panic!("not expected: {other:?}"),
        }
    }
    if let Some(conversation) = &mut conversation {
        let events = std::iter::repeat_with(|| conversation.event());
        assert!(events.take(100).any(|event| event.kind() == "message"));
    }
    assert!(began.elapsed() < AT_ONCE, "after {:?}", began.elapsed());
    // And back: what is said over a WebSocket is published.
    socket.send(Message::text("PUB said by hand")).unwrap();
    eventually("what was said is there", || {
        front.server.poll("said", "all").first().map(|event| assert_eq!(event.message(), "by hand"))
    });
    drop(readers);
    // Those that go are noticed by way of the proxy.
    front.server.await_readers("sse", 0);
    front.server.await_readers("ndjson", 0);
}

fn everything(front: &Front, lines: bool) {
    for version in ["--http1.1", "--http2"] {
        publishes_and_polls(front, version);
        knows_the_client_and_its_pages(front, version);
    }
    streams(front, lines);
}

// --- The proxies ---

/// A configuration around the parts for nginx.
fn nginx(http: &str, stream: &str) -> (String, Vec<String>) {
    let own = |folder: &str| format!("{folder}_temp_path {folder};\n");
    let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(own).concat();
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    let module = "/usr/lib/nginx/modules/ngx_stream_module.so";
    let module = Path::new(module).is_file().then(|| format!("load_module {module};\n"));
    let text = format!(
        "{}{user}daemon off;\npid pid;\nerror_log stderr;\nevents {{}}\n\
         http {{\naccess_log off;\nproxy_read_timeout 3s;\n{folders}{http}}}\n{stream}",
        module.unwrap_or_default()
    );
    let arguments = ["-p", ".", "-e", "stderr", "-c", "configuration"];
    (text, arguments.map(str::to_owned).into())
}

fn nginx_site(parts: &Parts) -> String {
    let edits = [
        ("127.0.0.1:8080", parts.http.to_string()),
        ("443 ssl", format!("127.0.0.1:{} ssl", parts.https)),
        ("/etc/ssl/push.example.com.pem", parts.certificate()),
        ("/etc/ssl/push.example.com.key", parts.key()),
    ];
    parts.part("listen 443", &edits)
}

#[test]
fn every_transport_works_behind_nginx() {
    let flags = format!("{KNOWN} --proxy-protocol tcp");
    let front = front("nginx", &flags, |parts| {
        let lines = [
            ("2989", format!("127.0.0.1:{}", parts.lines)),
            ("127.0.0.1:1989", parts.tcp.to_string()),
            ("proxy_protocol on;", "proxy_protocol on; proxy_timeout 3s;".to_owned()),
        ];
        nginx(&nginx_site(parts), &parts.part("stream {", &lines))
    });
    if let Some(front) = front {
        everything(&front, true);
    }
}

/// Nginx with a path for the server, which the rest of its site knows nothing of.
fn nginx_with_a_path(parts: &Parts) -> (String, Vec<String>) {
    // A browser is not to ask whether it trusts the certificate.
    let site = nginx_site(parts).replace(" ssl http2", "").replace("    ssl_", "    #");
    let path = parts.part("location /bell/", &[]);
    let (head, _) = site.split_once("    location / {").unwrap();
    let site = format!("{head}{path}location / {{ return 410; }}\n}}\n");
    let (text, arguments) = nginx(&site, "");
    // A page's requests wait for longer than those of the other tests.
    (text.replace("proxy_read_timeout 3s", "proxy_read_timeout 60s"), arguments)
}

#[test]
fn the_page_works_under_a_path_behind_nginx() {
    let Some(front) = front("nginx", KNOWN, nginx_with_a_path) else { return };
    in_browser(Look::DESKTOP, async move |page| {
        // Without the slash at the end nginx says where it is.
        page.open(&format!(
            "http://127.0.0.1:{}/bell/lab?demo=off&interval=1&{LANES}",
            front.https
        ))
        .await;
        works(&page, "demo").await;
        assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    });
}

/// Nothing of a page was fetched from outside of its path.
async fn is_all_inside(page: &Page) {
    let outside = "return performance.getEntriesByType('resource').map(({ name }) => name)
        .filter((name) => !name.startsWith(location.origin + '/bell/'))";
    assert_eq!(page.evaluate(outside).await, json!([]));
}

/// The first view is signed in to, rings, is shared, and has the browser pushed to.
async fn first_view_works(page: &Page, site: &str, service: &PushService) {
    // Without the slash at the end nginx leads to where it is.
    page.open(&format!("{site}?demo=off")).await;
    page.until("token-note", |text| text.contains("is not allowed")).await;
    page.type_into("token", "tk_me\n").await;
    page.until("token-note", |text| text == "signed in as me").await;
    // Without the token it was refused, which is no fault.
    page.console();
    page.until("sentence", |text| text.contains("Press the bell")).await;
    page.click("publish-button").await;
    page.until("sentence", |text| text.contains("Push had it after")).await;
    page.click("share").await;
    let link = "return document.getElementById('share-link').textContent";
    let link = page.evaluate(link).await.as_str().unwrap().to_owned();
    assert!(link.starts_with(&format!("{site}/?demo=off")), "{link}");
    is_all_inside(page).await;
    // By the worker that has the path to itself.
    let browser = Browser::at(service, "/page");
    page.let_notify(site.strip_suffix("/bell").unwrap());
    stand_in(page, &browser).await;
    page.click("notify-button").await;
    let scope = "return navigator.serviceWorker.ready.then(({ scope }) => scope)";
    assert_eq!(page.evaluate(scope).await, format!("{site}/"));
    holds(page, "document.getElementById('notify-button').ariaPressed === 'true'").await;
    page.type_into("publish-text", "to the browser\n").await;
    assert_eq!(browser.decrypt(&service.push())["message"]["message"], "to the browser");
    page.open(&link).await;
    page.until("sentence", |text| text.contains("Press the bell")).await;
}

/// The inbox shows a picture that was published, and can be installed where it is.
async fn inbox_works(page: &Page, site: &str) {
    page.open(&format!("{site}/app")).await;
    page.type_into("add", "home\n").await;
    page.until("state-text", |text| text.contains("WebSocket")).await;
    let publish = "return new Promise((drawn) =>
          document.createElement('canvas').toBlob(drawn))
        .then((body) => fetch('home', { method: 'PUT', body,
          headers: { filename: 'door.png', Authorization: 'Bearer tk_me' } }))
        .then((answer) => answer.json()).then(({ attachment }) => attachment.url)";
    let address = page.evaluate(publish).await.as_str().unwrap().to_owned();
    assert!(address.starts_with(&format!("{site}/file/")), "{address}");
    holds(page, "document.querySelector('.m-image img')?.naturalWidth > 0").await;
    let manifest = "return fetch(document.querySelector('link[rel=manifest]').href)
        .then((answer) => answer.json().then((told) =>
          ['start_url', 'scope'].map((name) => new URL(told[name], answer.url).href)))";
    let expected = json!([format!("{site}/app"), format!("{site}/")]);
    assert_eq!(page.evaluate(manifest).await, expected);
    is_all_inside(page).await;
}

#[test]
fn every_page_works_under_a_path_behind_nginx_for_whoever_has_a_token() {
    let service = PushService::start();
    let access = AccessFile::new(&token("me", "allow = [\"pubsub >\"]\nadmin = true"));
    let flags = format!(
        "{KNOWN} {} --web-push mailto:bell@push.example --outbound-allow 127.0.0.0/8",
        access.flag()
    );
    let start = |port| {
        let own = format!("--base-url http://127.0.0.1:{port}/bell");
        TestServer::durable_with(&format!("{flags} {own}"), service.trusted())
    };
    let Some(front) = front_of("nginx", start, nginx_with_a_path) else { return };
    in_browser(Look::DESKTOP, async move |page| {
        let site = format!("http://127.0.0.1:{}/bell", front.https);
        first_view_works(&page, &site, &service).await;
        page.open(&format!("{site}/lab?demo=off&interval=1&{LANES}")).await;
        works(&page, "demo").await;
        page.until("connection-table", |text| text.contains("WebSocket")).await;
        page.click("home").await;
        page.until("sentence", |text| !text.is_empty()).await;
        is_all_inside(&page).await;
        inbox_works(&page, &site).await;
        let told = faults(&page);
        assert!(told.is_empty(), "{told:?}");
        // At any depth, and with a way back that does not leave the path.
        for nowhere in ["no/such/page", "orders.*"] {
            page.open(&format!("{site}/{nowhere}")).await;
            page.until("headline", |text| text == "There is no page here").await;
            let styled = "return getComputedStyle(document.querySelector('.masthead')).display";
            assert_eq!(page.evaluate(styled).await, "flex", "{nowhere}");
            is_all_inside(&page).await;
            let ways =
                "return [...document.querySelectorAll('main nav a')].map(({ href }) => href)";
            let expected = ["", "lab", "app"].map(|rest| format!("{site}/{rest}"));
            assert_eq!(page.evaluate(ways).await, json!(expected));
        }
    });
}

#[test]
fn the_lab_is_not_shown_by_a_proxy_that_says_nothing_of_itself() {
    let front = front("nginx", "", |parts| {
        let (http, port) = (parts.http, parts.https);
        let pass = format!("location / {{ proxy_pass http://{http}; }}");
        nginx(&format!("server {{ listen 127.0.0.1:{port}; {pass} }}"), "")
    });
    let Some(front) = front else { return };
    let proxy = (Ipv4Addr::LOCALHOST, front.https).into();
    for path in ["/v1/connections", "/v1/lab?page=page&topic=t"] {
        for host in ["push.example", "127.0.0.1:8080"] {
            let response = Request::get(path).host(host).send_to(proxy);
            assert_eq!(response.status, 403, "{path} {host}: {}", response.text());
        }
    }
    assert_eq!(Request::get("/t/json?poll=1").send_to(proxy).status, 200);
    assert_eq!(front.server.get("/v1/connections").status, 200);
}

#[test]
fn every_transport_works_behind_haproxy() {
    works_behind_haproxy("check");
}

#[test]
fn every_transport_works_behind_haproxy_by_http2() {
    works_behind_haproxy("check proto h2");
}

/// With these words for the server of HTTP.
fn works_behind_haproxy(words: &str) {
    let flags = format!("{KNOWN} --proxy-protocol tcp");
    let front = front("haproxy", &flags, |parts| {
        let text = parts.part(
            "frontend web",
            &[
                ("90s", "3s".to_owned()),
                (":443", format!("127.0.0.1:{}", parts.https)),
                (":2989", format!("127.0.0.1:{}", parts.lines)),
                (
                    "/etc/haproxy/push.example.com.pem",
                    parts.folder.join("both.pem").display().to_string(),
                ),
                ("127.0.0.1:8080 check", format!("{} {words}", parts.http)),
                ("127.0.0.1:1989", parts.tcp.to_string()),
            ],
        );
        (text, ["-db", "-f", "configuration"].map(str::to_owned).into())
    });
    if let Some(front) = front {
        everything(&front, true);
    }
}

#[test]
fn every_transport_works_behind_caddy() {
    let front = front("caddy", KNOWN, |parts| {
        let tls = format!("    tls {} {}\n", parts.certificate(), parts.key());
        let site = parts.part(
            "push.example.com {",
            &[
                ("push.example.com {\n", format!("https://{NAME}:{} {{\n{tls}", parts.https)),
                ("127.0.0.1:8080", parts.http.to_string()),
            ],
        );
        let text = format!("{{\n    admin off\n    auto_https disable_redirects\n}}\n{site}");
        let arguments = ["run", "--adapter", "caddyfile", "--config", "configuration"];
        (text, arguments.map(str::to_owned).into())
    });
    if let Some(front) = front {
        everything(&front, false);
    }
}

#[test]
fn every_transport_works_behind_apache() {
    let front = front("apache2", KNOWN, |parts| {
        let site = parts.part(
            "<VirtualHost",
            &[
                ("*:443", format!("127.0.0.1:{}", parts.https)),
                ("127.0.0.1:8080", parts.http.to_string()),
                ("/etc/ssl/push.example.com.pem", parts.certificate()),
                ("/etc/ssl/push.example.com.key", parts.key()),
            ],
        );
        let modules = [
            "mpm_event",
            "authz_core",
            "ssl",
            "socache_shmcb",
            "http2",
            "headers",
            "proxy",
            "proxy_http",
            "proxy_wstunnel",
        ];
        let load =
            |name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n");
        let (folder, port) = (parts.folder.display(), parts.https);
        let text = format!(
            "ServerRoot {folder}\nPidFile pid\nErrorLog /dev/stderr\nServerName {NAME}\n\
             User www-data\nGroup www-data\nTimeout 3\nListen 127.0.0.1:{port}\n{}{site}",
            modules.map(load).concat()
        );
        let configuration = parts.folder.join("configuration").display().to_string();
        (text, ["-D", "FOREGROUND", "-f", &configuration].map(str::to_owned).into())
    });
    if let Some(front) = front {
        everything(&front, false);
    }
}
