//! Three servers of NATS, each of which syncs what it acknowledges: alone with a replicated stream,
//! and with one or two servers of doorbell before them.
//!
//! The server of NATS is that of `NATS_SERVER`: Debian's cannot sync each message.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::failure::{Failure, Result};
use crate::launch::{Program, find, folder, free_address, write};

const NODES: usize = 3;
/// How long a cluster may take to have a leader.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Three servers that know each other.
pub(super) struct Cluster {
    pub(super) programs: Vec<Program>,
    pub(super) addresses: Vec<SocketAddr>,
}

/// The server of NATS.
pub(super) fn program() -> Option<PathBuf> {
    std::env::var_os("NATS_SERVER").map(PathBuf::from).or_else(|| find("nats-server"))
}

impl Cluster {
    /// Starts them.
    pub(super) fn start() -> Result<Self> {
        let program = program().ok_or_else(|| Failure("nats-server is gone".into()))?;
        let addresses = (0..NODES).map(|_| free_address()).collect::<Result<Vec<_>>>()?;
        let routes = (0..NODES).map(|_| free_address()).collect::<Result<Vec<_>>>()?;
        let known: Vec<String> = routes.iter().map(|route| format!("nats://{route}")).collect();
        let mut programs = Vec::new();
        for (node, (address, route)) in addresses.iter().zip(&routes).enumerate() {
            let folder = folder()?;
            let (store, log) = (folder.path().join("store"), folder.path().join("log"));
            let text = format!(
                "server_name: n{node}\nlisten: \"{address}\"\nlogfile: \"{}\"\n\
                 max_pending: 1GB\nwrite_deadline: \"60s\"\n\
                 jetstream {{ store_dir: \"{}\", sync_interval: always }}\n\
                 cluster {{ name: bench, listen: \"{route}\", routes: {known:?} }}\n",
                log.display(),
                store.display(),
            );
            let configuration = write(&folder, "nats.conf", &text)?;
            let command = &mut Command::new(&program);
            let command = command.arg("-c").arg(configuration);
            programs.push(Program::listening(folder, command, *address)?);
        }
        Ok(Self { programs, addresses })
    }

    /// What is given to `--cluster`, beginning with this server.
    pub(super) fn urls(&self, first: usize) -> String {
        let url = |node: usize| format!("nats://{}", self.addresses[node % NODES]);
        (first..first + NODES).map(url).collect::<Vec<_>>().join(",")
    }
}

/// Waits until a server of doorbell has its log.
pub(super) fn await_health(http: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut stream = TcpStream::connect(http)?;
        stream.write_all(
            b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        )?;
        let mut answer = Vec::new();
        // It is closed with what was not read.
        let _ = stream.read_to_end(&mut answer);
        if answer.starts_with(b"HTTP/1.1 200") {
            return Ok(());
        }
        if Instant::now() > deadline {
            let answer = String::from_utf8_lossy(&answer).into_owned();
            return Err(Failure(format!("the cluster is not there: {answer}")));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Tries until it is done, for what needs a leader.
pub(super) fn until_led(mut attempt: impl FnMut() -> Result<()>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Err(failure) if Instant::now() > deadline => return Err(failure),
            Err(_) => std::thread::sleep(LOOK_EVERY),
            Ok(()) => return Ok(()),
        }
    }
}
