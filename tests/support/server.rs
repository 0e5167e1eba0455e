//! A server of one's own: started on free ports and a fresh folder, gone when it is dropped.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::fronts::{Stream, await_log};
use super::tls::{Authority, Tunnel};
use super::{Event, Lines, PATIENCE, Request, Response, eventually};

/// The path of a built binary.
pub(crate) fn binary(name: &str) -> PathBuf {
    let folder = std::env::var_os("DOORBELL_BIN_DIR").map_or_else(beside_the_tests, PathBuf::from);
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "{} is missing: run `cargo build -p doorbell-server -p doorbell-cli` first",
        path.display()
    );
    path
}

/// `target/debug` or `target/release`: the tests themselves are in its folder `deps`.
fn beside_the_tests() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.ancestors().nth(2).unwrap().to_owned()
}

/// A running server, or one that can be started again.
pub(crate) struct TestServer {
    /// Where HTTP listens.
    pub(crate) http: SocketAddr,
    /// Where lines are spoken over TCP.
    pub(crate) tcp: SocketAddr,
    ready: String,
    flags: Vec<String>,
    /// Further variables of its environment.
    variables: Vec<(&'static str, PathBuf)>,
    folder: TempDir,
    child: Child,
    /// What stands before a server that speaks TLS alone.
    tunnels: Vec<Tunnel>,
    /// What it publishes by, where the suite runs over a cluster.
    other: OnceLock<Option<Box<TestServer>>>,
    /// What is its log there, gone after the process.
    stream: Option<Stream>,
}

impl TestServer {
    /// A server with a log in memory.
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// A server with a log in memory and further flags.
    pub(crate) fn with(flags: &str) -> Self {
        Self::launch(&format!("--ephemeral {flags}"), tempfile::tempdir().unwrap(), Vec::new())
    }

    /// A server with a log on disk and further flags.
    pub(crate) fn durable(flags: &str) -> Self {
        Self::durable_with(flags, Vec::new())
    }

    /// A front of a cluster, with further flags.
    pub(crate) fn front(cluster: &str, flags: &str) -> Self {
        let flags = format!("--cluster {cluster} {flags}");
        Self::launch(&flags, tempfile::tempdir().unwrap(), Vec::new())
    }

    /// The same with further variables in its environment.
    pub(crate) fn durable_with(flags: &str, variables: Vec<(&'static str, PathBuf)>) -> Self {
        Self::launch(flags, tempfile::tempdir().unwrap(), variables)
    }

    /// A server with a log in memory that speaks TLS alone, behind tunnels: whatever is sent to its
    /// addresses is encrypted.
    pub(crate) fn encrypted(flags: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path(), "authority");
        let (certificate, key) = authority.issue("server", &["localhost"], "server");
        let mut server = Self::launch(
            &format!(
                "--ephemeral --http none --tcp none --https 127.0.0.1:0 --tcps 127.0.0.1:0 \
                 --tls-cert {} --tls-key {} {flags}",
                certificate.display(),
                key.display()
            ),
            folder,
            Vec::new(),
        );
        let listeners = [&mut server.http, &mut server.tcp];
        server.tunnels.extend(listeners.map(|listener| {
            let tunnel = Tunnel::to(*listener, &authority.certificate);
            *listener = tunnel.entry;
            tunnel
        }));
        server
    }

    /// One server that speaks in the clear, and one that does not.
    pub(crate) fn plain_and_encrypted() -> [Self; 2] {
        [Self::start(), Self::encrypted("")]
    }

    fn launch(flags: &str, folder: TempDir, variables: Vec<(&'static str, PathBuf)>) -> Self {
        let mut flags: Vec<String> = flags.split_whitespace().map(str::to_owned).collect();
        let stream = Stream::take(&mut flags, &variables);
        let mut server = Self::launch_with(flags, folder, variables);
        server.stream = stream;
        server
    }

    fn launch_with(
        mut flags: Vec<String>,
        folder: TempDir,
        variables: Vec<(&'static str, PathBuf)>,
    ) -> Self {
        for listener in ["--http", "--tcp"] {
            if !flags.iter().any(|flag| flag == listener) {
                flags.extend([listener.to_owned(), "127.0.0.1:0".to_owned()]);
            }
        }
        let (child, ready) = spawn(&flags, folder.path(), &variables)
            .unwrap_or_else(|error| panic!("the server did not start: {error}"));
        let at = |names: &[&str]| {
            let found = names.iter().find_map(|name| listener(&ready, name));
            found.unwrap_or_else(|| panic!("none of {names:?} in {ready:?}"))
        };
        let (http, tcp) = (at(&["http", "https"]), at(&["tcp", "tcps"]));
        let (tunnels, other) = (Vec::new(), OnceLock::new());
        Self { http, tcp, ready, flags, variables, folder, child, tunnels, other, stream: None }
    }

    /// The second front of a server whose log is a stream of the suite's, begun when it is needed
    /// first. One that speaks TLS alone has none.
    fn other(&self) -> Option<&Self> {
        let begin = || {
            self.stream.as_ref().filter(|_| self.tunnels.is_empty())?;
            let mut flags = self.flags.clone();
            for listener in ["--http", "--tcp"] {
                set(&mut flags, listener, "127.0.0.1:0");
            }
            let folder = tempfile::tempdir().unwrap();
            Some(Box::new(Self::launch_with(flags, folder, Vec::new())))
        };
        self.other.get_or_init(begin).as_deref()
    }

    /// Waits until this front has what the other one was told of, if it may read that.
    fn await_place(&self, topic: &str, id: &str) {
        self.get(&format!("/{topic}/json?poll=1&since={id}"));
    }

    /// Starts again on the same data and the same addresses.
    pub(crate) fn restart(&mut self) {
        self.restart_with("");
    }

    /// As [`Self::restart`], with further flags.
    pub(crate) fn restart_with(&mut self, more: &str) {
        assert!(self.child.try_wait().unwrap().is_some(), "the server is still running");
        let mut flags = self.flags.clone();
        flags.extend(more.split_whitespace().map(str::to_owned));
        set(&mut flags, "--http", &self.http.to_string());
        set(&mut flags, "--tcp", &self.tcp.to_string());
        // Some other process may hold the port for a moment.
        (self.child, self.ready) = eventually("the server starts again", || {
            spawn(&flags, self.folder.path(), &self.variables).ok()
        });
    }

    /// Starts again, and dies after so long, wherever it is then.
    pub(crate) fn die_in_a_start(&mut self, after: Duration) {
        assert!(!self.is_running(), "the server is still running");
        let (mut child, _stdout) = launch(&self.flags, self.folder.path(), &self.variables);
        std::thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGKILL, as a crash does it.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(&self.child, signal).unwrap();
    }

    /// Waits for the process to end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        eventually("the server exits", || self.child.try_wait().unwrap())
    }

    /// SIGTERM, and the wait for the exit.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Whether the process runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The number of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where a further listener is.
    pub(crate) fn listener(&self, name: &str) -> SocketAddr {
        listener(&self.ready, name).unwrap_or_else(|| panic!("no {name} in {:?}", self.ready))
    }

    /// The folder of the log.
    pub(crate) fn data(&self) -> PathBuf {
        data(self.folder.path())
    }

    /// The files of the log, oldest first, which anyone can open.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.data()).unwrap().map(|file| file.unwrap().path());
        let is_segment = |path: &PathBuf| path.extension().is_some_and(|own| own == "log");
        let mut segments: Vec<_> = files.filter(is_segment).collect();
        segments.sort();
        segments
    }

    /// Copies the folder of the log as anybody would, beside it. What vanishes meanwhile is not in
    /// the copy.
    pub(crate) fn copy_data(&self, name: &str) -> PathBuf {
        let to = self.folder.path().join(name);
        let copied = Command::new("cp").arg("-r").arg(self.data()).arg(&to).output().unwrap();
        let said = String::from_utf8(copied.stderr).unwrap();
        assert!(said.lines().all(|line| line.contains("No such file or directory")), "{said}");
        to
    }

    /// Puts a copy in the place of the folder of the log, while no server runs.
    pub(crate) fn restore_data(&mut self, copy: &Path) {
        assert!(!self.is_running(), "the server is still running");
        let away = tempfile::tempdir_in(self.folder.path()).unwrap();
        fs::rename(self.data(), away.path().join("data")).unwrap();
        assert!(
            Command::new("cp").arg("-r").arg(copy).arg(self.data()).status().unwrap().success()
        );
    }

    /// The names of all files of the log.
    pub(crate) fn files(&self) -> Vec<OsString> {
        let mut names: Vec<_> =
            fs::read_dir(self.data()).unwrap().map(|file| file.unwrap().file_name()).collect();
        names.sort();
        names
    }

    /// The path of the Unix socket.
    pub(crate) fn unix(&self) -> PathBuf {
        unix(self.folder.path())
    }

    /// What was written to the standard error so far.
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(stderr(self.folder.path())).unwrap_or_default()
    }

    /// Sends a request and reads the whole answer.
    pub(crate) fn send(&self, request: &Request) -> Response {
        request.send_to(self.http)
    }

    /// `GET`, the whole answer.
    pub(crate) fn get(&self, path: &str) -> Response {
        self.send(&Request::get(path))
    }

    /// Publishes a text by `POST`.
    pub(crate) fn publish(&self, topic: &str, text: &str) -> Event {
        let other = self.other();
        let response = other.unwrap_or(self).send(&Request::post(&format!("/{topic}"), text));
        assert_eq!(response.status, 200, "{}", response.text());
        let event = Event::parse(response.text().trim_end());
        if other.is_some() {
            self.await_place(topic, event.id());
        }
        event
    }

    /// Polls; the answer's events.
    pub(crate) fn poll(&self, filter: &str, since: &str) -> Vec<Event> {
        let response = self.get(&format!("/{filter}/json?poll=1&since={since}"));
        assert_eq!(response.status, 200, "{}", response.text());
        response.events()
    }

    /// A conversation in lines over TCP, its greeting heard.
    pub(crate) fn lines(&self) -> Lines {
        Lines::greeted(self.tcp)
    }

    /// Publishes many texts at once, in order, and waits for every answer.
    pub(crate) fn publish_all<T: AsRef<str>>(&self, topic: &str, texts: &[T]) {
        let other = self.other();
        let mut lines = other.unwrap_or(self).lines();
        for chunk in texts.chunks(500) {
            let commands: String =
                chunk.iter().map(|text| format!("PUB {topic} {}\n", text.as_ref())).collect();
            lines.write(commands.as_bytes());
            let mut last = String::new();
            for _ in chunk {
                let event = lines.event();
                assert_eq!(event.kind(), "ok");
                event.id().clone_into(&mut last);
            }
            if other.is_some() {
                self.await_place(topic, &last);
            }
        }
    }

    /// Sends a request that must succeed.
    pub(crate) fn accepts(&self, request: &Request) {
        let response = self.send(request);
        assert_eq!(response.status, 200, "{request:?}: {}", response.text());
    }

    /// Sends a request that must be refused by this number.
    pub(crate) fn refuses(&self, request: &Request, code: u64) {
        let response = self.send(request);
        assert_eq!(response.json()["code"], code, "{request:?}: {}", response.text());
    }

    /// How many calls to others had an outcome, asked for with a token if one is needed.
    pub(crate) fn calls(&self, errand: &str, outcome: &str, token: Option<&str>) -> u64 {
        let metrics = self.send(&Request::get("/metrics").token(token));
        let begin =
            format!("doorbell_outbound_total{{errand=\"{errand}\",outcome=\"{outcome}\"}} ");
        let line = metrics.text().lines().find_map(|line| line.strip_prefix(&begin));
        line.unwrap_or_else(|| panic!("no {begin} in {}", metrics.text())).parse().unwrap()
    }

    /// `/v1/stats`.
    pub(crate) fn stats(&self) -> Value {
        self.get("/v1/stats").json()
    }

    /// Bytes of memory that the server has now.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kib << 10
    }

    /// Waits until so many readers are connected over a transport.
    pub(crate) fn await_readers(&self, transport: &str, count: u64) {
        eventually(&format!("{count} readers over {transport}"), || {
            let readers = &self.stats()["transports"][transport]["readers"];
            (readers.as_u64() == Some(count)).then_some(())
        });
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Before its log goes.
        self.other.take();
        let stderr = self.stderr();
        if std::thread::panicking() && !stderr.is_empty() {
            eprintln!("the server's standard error:\n{stderr}");
        }
    }
}

/// Sends a signal to a program that was started.
pub(crate) fn kill(child: &Child, signal: Signal) -> rustix::io::Result<()> {
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), signal)
}

/// Replaces the value of a flag.
fn set(flags: &mut [String], flag: &str, value: &str) {
    let position = flags.iter().position(|known| known == flag).unwrap();
    value.clone_into(&mut flags[position + 1]);
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn unix(folder: &Path) -> PathBuf {
    folder.join("doorbell.sock")
}

fn stderr(folder: &Path) -> PathBuf {
    folder.join("stderr")
}

/// Starts the process and waits for its first line; the error is what it said instead.
fn spawn(
    flags: &[String],
    folder: &Path,
    variables: &[(&'static str, PathBuf)],
) -> Result<(Child, String), String> {
    let (mut child, stdout) = launch(flags, folder, variables);
    match first_line(BufReader::new(stdout)) {
        Some(line) => {
            await_log(flags, &line, &unix(folder));
            Ok((child, line))
        }
        None => {
            let _ = child.kill();
            let _ = child.wait();
            Err(fs::read_to_string(stderr(folder)).unwrap_or_default())
        }
    }
}

/// Starts the process and waits for nothing.
fn launch(
    flags: &[String],
    folder: &Path,
    variables: &[(&'static str, PathBuf)],
) -> (Child, ChildStdout) {
    let talk = File::options().create(true).append(true).open(stderr(folder)).unwrap();
    let mut command = server_command();
    if !flags.iter().any(|flag| flag == "--data" || flag == "--cluster") {
        command.arg("--data").arg(data(folder));
    }
    let mut child = command
        .arg("--unix")
        .arg(unix(folder))
        .args(flags)
        // What a killed server leaves there goes with the folder.
        .env("TMPDIR", folder)
        .envs(variables.iter().map(|(name, value)| (*name, value)))
        .stdout(Stdio::piped())
        .stderr(talk)
        .spawn()
        .unwrap();
    let stdout = child.stdout.take().unwrap();
    (child, stdout)
}

/// The server's binary without what the environment says about it. Many run at once, so none takes
/// the one address for datagrams that a server has by itself.
pub(crate) fn server_command() -> Command {
    let mut command = Command::new(binary("doorbell-server"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("DOORBELL_") {
            command.env_remove(name);
        }
    }
    command.env("DOORBELL_UDP", "none");
    command
}

/// The first line of an output, which is read to its end so that its writer never waits.
fn first_line(mut output: impl BufRead + Send + 'static) -> Option<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = output.read_line(&mut line);
        let _ = sender.send(read.is_ok_and(|bytes| bytes > 0).then_some(line));
        let _ = std::io::copy(&mut output, &mut std::io::sink());
    });
    receiver.recv_timeout(PATIENCE).ok().flatten()
}

/// Where a listener is, by the server's first line.
pub(crate) fn listener(ready: &str, name: &str) -> Option<SocketAddr> {
    let words = ready.strip_prefix("ready ").expect("the first line").split_whitespace();
    let mut listeners = words.filter_map(|word| word.split_once('='));
    listeners.find(|(known, _)| *known == name).map(|(_, at)| at.parse().unwrap())
}

/// Runs a program to its end, which must come in time.
pub(crate) fn run(command: &mut Command) -> std::process::Output {
    run_within(PATIENCE, command)
}

/// As [`run`], with an own bound.
pub(crate) fn run_within(bound: Duration, command: &mut Command) -> std::process::Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    let (sender, receiver) = mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        let late = receiver.recv_timeout(bound) == Err(mpsc::RecvTimeoutError::Timeout);
        if late {
            let _ = kill_process(pid, Signal::KILL);
        }
        late
    });
    let began = Instant::now();
    let stdin = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop((stdin, sender));
    let late = watch.join().unwrap();
    assert!(!late, "{command:?} did not end within {:?}: {output:?}", began.elapsed());
    output
}
