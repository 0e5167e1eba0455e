//! A server for one experiment: started, asked where it listens, ended.

use std::env;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use doorbell::{Fingerprint, Server};
use doorbell_protocol::limits::{LINE_BYTES_DEFAULT, MESSAGE_BYTES_DEFAULT};
use doorbell_wire::{Namespace, SplitNetwork};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::failure::Failure;

const PROGRAM: &str = "doorbell-server";
const READY_DEADLINE: Duration = Duration::from_secs(10);
/// Streams that a server compresses that was asked to: more than there are in any comparison.
const COMPRESSED_STREAMS: u32 = 100_000;
/// Bytes of the line in which a server says where it listens, or why it can't.
const LINE_BYTES_MAX: u64 = 4096;

/// How an own server is set.
#[derive(Debug, Clone, Default)]
pub struct OwnServerSettings {
    /// It takes messages of so many bytes at least.
    pub message_bytes: u32,
    /// It sends keepalives after this time, or after its usual one.
    pub keepalive: Option<Duration>,
    /// It speaks TLS as well, with a certificate that it has signed itself.
    pub tls: bool,
    /// It compresses streams for whoever asks for it.
    pub compress: bool,
    /// It keeps its log on disk, so that it can be started again; else in memory.
    pub durable: bool,
    /// It names this time to those that poll.
    pub poll_interval: Option<Duration>,
    /// It listens at the server's end of a network that was split; else on loopback.
    pub beyond: Option<Namespace>,
}

/// A running server.
pub struct OwnServer {
    program: PathBuf,
    settings: OwnServerSettings,
    child: Child,
    address: Server,
    /// Where it listens: the word of each listener, and its address.
    listeners: Vec<(String, String)>,
    fingerprint: Option<Fingerprint>,
    /// Where its Unix socket and its log are; gone with it.
    folder: TempDir,
    /// Keeps the server's output from filling up; dropping the set ends it.
    drains: JoinSet<()>,
}

impl OwnServer {
    /// Starts a server on free ports of this machine and waits until it is ready. It keeps its log
    /// in memory.
    pub async fn start() -> Result<Self, Failure> {
        Self::start_for(OwnServerSettings::default()).await
    }

    /// As [`start`](Self::start), set as this says.
    pub async fn start_for(settings: OwnServerSettings) -> Result<Self, Failure> {
        let program = find().ok_or_else(|| {
            Failure::Failed(format!(
                "{PROGRAM} is neither beside this program nor in PATH: build it with \
                 `cargo build --release -p doorbell-server`, or name a server with --server"
            ))
        })?;
        let folder = tempfile::tempdir()?;
        let mut names = vec!["http", "tcp", "udp"];
        names.extend(if settings.tls { &["https", "tcps"][..] } else { &[] });
        let host = match settings.beyond {
            Some(_) => SplitNetwork::SERVER,
            None => Ipv4Addr::LOCALHOST,
        };
        let free: Vec<_> =
            names.iter().map(|name| ((*name).to_owned(), format!("{host}:0"))).collect();
        let started = spawn(&program, &settings, &arguments(&folder, &settings, &free)).await?;
        let Started { child, line, fingerprint, drains } = started;
        let (Some(address), listeners) = (http_address(&line), listeners(&line)) else {
            return Err(Failure::Failed(format!("{PROGRAM} does not say where it listens")));
        };
        Ok(Self { program, settings, child, address, listeners, fingerprint, folder, drains })
    }

    /// Kills it without warning, and starts it again where it was once this much time has passed.
    /// Returns when it is ready.
    ///
    /// # Errors
    ///
    /// [`Failure::Failed`] if it does not start again.
    pub async fn restart(&mut self, after: Duration) -> Result<(), Failure> {
        self.child.kill().await?;
        sleep(after).await;
        let arguments = arguments(&self.folder, &self.settings, &self.listeners);
        let started = spawn(&self.program, &self.settings, &arguments).await?;
        let Started { child, fingerprint, drains, .. } = started;
        self.fingerprint = fingerprint;
        (self.child, self.drains) = (child, drains);
        Ok(())
    }

    /// Where it speaks HTTP.
    pub fn address(&self) -> &Server {
        &self.address
    }

    /// Where it speaks HTTP and lines over TLS, and its certificate's fingerprint, if it does.
    pub fn encrypted(&self) -> Option<(SocketAddr, SocketAddr, Fingerprint)> {
        let at = |wanted: &str| {
            let found = self.listeners.iter().find(|(name, _)| name == wanted);
            found.and_then(|(_, address)| address.parse().ok())
        };
        Some((at("https")?, at("tcps")?, self.fingerprint?))
    }

    /// Ends it. Nobody needs its log any more, so there is nothing to be gentle about.
    pub async fn stop(mut self) {
        let _ = self.child.kill().await;
    }
}

/// Room for a message's JSON, with every character escaped, and its command.
const LINE_BYTES_MORE: u32 = 1024;

/// A server that has said where it listens.
struct Started {
    child: Child,
    line: String,
    fingerprint: Option<Fingerprint>,
    drains: JoinSet<()>,
}

/// Starts it and waits until it is ready; if it signs itself, until it has said how it is known.
async fn spawn(
    program: &PathBuf,
    settings: &OwnServerSettings,
    arguments: &[OsString],
) -> Result<Started, Failure> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        // Its other end is held here and by nobody else: however this process ends, that ends the
        // server.
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C ends the comparison, which then ends the server.
        .process_group(0)
        .kill_on_drop(true);
    let mut child = match &settings.beyond {
        None => command.spawn(),
        Some(beyond) => {
            let runtime = Handle::current();
            beyond.run(|| {
                let _inside = runtime.enter();
                command.spawn()
            })?
        }
    }?;
    let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Failure::Failed(format!("{PROGRAM} has no output")));
    };
    let mut output = BufReader::new(output);
    let line = timeout(READY_DEADLINE, ready(&mut output)).await;
    let Ok(Some(line)) = line else {
        let _ = child.kill().await;
        let mut reason = String::new();
        let _ = errors.take(LINE_BYTES_MAX).read_to_string(&mut reason).await;
        let reason = reason.lines().last().unwrap_or("it does not say why");
        return Err(Failure::Failed(format!("{PROGRAM} did not start: {reason}")));
    };
    let fingerprint = if settings.tls {
        timeout(READY_DEADLINE, fingerprint(&mut output)).await.ok().flatten()
    } else {
        None
    };
    let mut drains = JoinSet::new();
    drains.spawn(drain(output));
    drains.spawn(drain(errors));
    Ok(Started { child, line, fingerprint, drains })
}

fn arguments(
    folder: &TempDir,
    settings: &OwnServerSettings,
    listeners: &[(String, String)],
) -> Vec<OsString> {
    let OwnServerSettings {
        message_bytes, keepalive, tls, compress, durable, poll_interval, ..
    } = *settings;
    let mut arguments = if durable {
        vec!["--data".into(), folder.path().join("log").into()]
    } else {
        vec![OsString::from("--ephemeral")]
    };
    arguments.push("--until-stdin-ends".into());
    arguments.extend(tls.then(|| "--tls-self-signed".into()));
    if compress {
        arguments.extend(["--compressed-streams".into(), COMPRESSED_STREAMS.to_string().into()]);
    }
    for (name, address) in listeners {
        arguments.extend([format!("--{name}").into(), address.into()]);
    }
    arguments.push("--unix".into());
    arguments.push(folder.path().join("doorbell.sock").into());
    if message_bytes as usize > MESSAGE_BYTES_DEFAULT {
        let line = message_bytes.saturating_mul(2) + LINE_BYTES_MORE;
        arguments.extend(["--message-bytes".into(), message_bytes.to_string().into()]);
        if line as usize > LINE_BYTES_DEFAULT {
            arguments.extend(["--line-bytes".into(), line.to_string().into()]);
        }
    }
    for (flag, time) in [("--keepalive", keepalive), ("--poll-interval", poll_interval)] {
        let value = time.map(|time| format!("{}ms", time.as_millis()));
        arguments.extend(value.into_iter().flat_map(|value| [flag.into(), value.into()]));
    }
    arguments
}

/// The program beside this one, or else the first in `PATH`.
fn find() -> Option<PathBuf> {
    let own = env::current_exe().ok();
    let beside = own.and_then(|own| Some(own.parent()?.to_owned()));
    let path = env::var_os("PATH").unwrap_or_default();
    beside
        .into_iter()
        .chain(env::split_paths(&path))
        .map(|folder| folder.join(PROGRAM))
        .find(|program| program.is_file())
}

/// The line in which it says where it listens; `None` if it ends without.
async fn ready(output: &mut BufReader<ChildStdout>) -> Option<String> {
    let mut line = String::new();
    let mut bounded = output.take(LINE_BYTES_MAX);
    bounded.read_line(&mut line).await.ok()?;
    line.starts_with("ready ").then_some(line)
}

/// The listeners with an address in `ready http=IP:PORT tcp=IP:PORT unix=PATH`.
fn listeners(line: &str) -> Vec<(String, String)> {
    let words = line.split_whitespace().filter_map(|word| word.split_once('='));
    let listeners =
        words.filter(|(name, _)| ["http", "tcp", "udp", "https", "tcps"].contains(name));
    listeners.map(|(name, address)| (name.to_owned(), address.to_owned())).collect()
}

/// The HTTP listener in `ready http=IP:PORT tcp=IP:PORT`.
fn http_address(line: &str) -> Option<Server> {
    let listeners = line.strip_prefix("ready ")?;
    let http = listeners.split_whitespace().find_map(|word| word.strip_prefix("http="))?;
    format!("http://{http}").parse().ok()
}

/// The fingerprint, which stands below the line in which it is ready.
async fn fingerprint(output: &mut BufReader<ChildStdout>) -> Option<Fingerprint> {
    loop {
        let mut line = String::new();
        if output.take(LINE_BYTES_MAX).read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let mut words = line.split_whitespace();
        if words.next() == Some("fingerprint") {
            return words.next()?.parse().ok();
        }
    }
}

async fn drain(mut output: impl AsyncRead + Unpin) {
    let _ = tokio::io::copy(&mut output, &mut tokio::io::sink()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_taken_from_the_ready_line() {
        let address = |line| http_address(line).map(|server| server.to_string());
        assert_eq!(
            address("ready http=127.0.0.1:81 tcp=127.0.0.1:82 unix=/x\n").as_deref(),
            Some("http://127.0.0.1:81")
        );
        assert_eq!(address("ready tcp=127.0.0.1:82\n"), None);
        assert_eq!(address("hello http=127.0.0.1:81\n"), None);
    }
}
