//! A server for one experiment: started, asked where it listens, ended.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use doorbell::Server;
use doorbell_protocol::limits::{LINE_BYTES_DEFAULT, MESSAGE_BYTES_DEFAULT};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::failure::Failure;

const PROGRAM: &str = "doorbell-server";
const READY_DEADLINE: Duration = Duration::from_secs(10);
/// Bytes of the line in which a server says where it listens, or why it can't.
const LINE_BYTES_MAX: u64 = 4096;

/// A running server that keeps its log in memory.
pub struct OwnServer {
    child: Child,
    address: Server,
    /// Where its Unix socket is; gone with it.
    _folder: TempDir,
    /// Keeps the server's output from filling up; dropping the set ends it.
    _drains: JoinSet<()>,
}

impl OwnServer {
    /// Starts a server on free ports of this machine and waits until it is ready.
    pub async fn start() -> Result<Self, Failure> {
        Self::start_for(0, None).await
    }

    /// As [`start`](Self::start); it takes messages of so many bytes at least, and sends keepalives
    /// after this time, or after its usual one.
    pub async fn start_for(
        message_bytes: u32,
        keepalive: Option<Duration>,
    ) -> Result<Self, Failure> {
        let program = find().ok_or_else(|| {
            Failure::Failed(format!(
                "{PROGRAM} is neither beside this program nor in PATH: build it with \
                 `cargo build --release -p doorbell-server`, or name a server with --server"
            ))
        })?;
        let folder = tempfile::tempdir()?;
        let mut child = Command::new(program)
            .args(arguments(&folder, message_bytes, keepalive))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C ends the comparison, which then ends the server.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(Failure::Failed(format!("{PROGRAM} has no output")));
        };
        let mut output = BufReader::new(output);
        let address = timeout(READY_DEADLINE, ready(&mut output)).await;
        let Ok(Some(address)) = address else {
            let _ = child.kill().await;
            let mut reason = String::new();
            let _ = errors.take(LINE_BYTES_MAX).read_to_string(&mut reason).await;
            let reason = reason.lines().last().unwrap_or("it does not say why");
            return Err(Failure::Failed(format!("{PROGRAM} did not start: {reason}")));
        };
        let mut drains = JoinSet::new();
        drains.spawn(drain(output));
        drains.spawn(drain(errors));
        Ok(Self { child, address, _folder: folder, _drains: drains })
    }

    /// Where it speaks HTTP.
    pub fn address(&self) -> &Server {
        &self.address
    }

    /// Ends it. Its log was in memory, so there is nothing to be gentle about.
    pub async fn stop(mut self) {
        let _ = self.child.kill().await;
    }
}

/// Room for a message's JSON, with every character escaped, and its command.
const LINE_BYTES_MORE: u32 = 1024;

fn arguments(folder: &TempDir, message_bytes: u32, keepalive: Option<Duration>) -> Vec<OsString> {
    let mut arguments = vec![OsString::from("--ephemeral")];
    for listener in ["--http", "--tcp", "--udp"] {
        arguments.extend([listener.into(), "127.0.0.1:0".into()]);
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
    if let Some(keepalive) = keepalive {
        arguments.extend(["--keepalive".into(), format!("{}ms", keepalive.as_millis()).into()]);
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

async fn ready(output: &mut BufReader<ChildStdout>) -> Option<Server> {
    let mut line = String::new();
    let mut bounded = output.take(LINE_BYTES_MAX);
    bounded.read_line(&mut line).await.ok()?;
    http_address(&line)
}

/// The HTTP listener in `ready http=IP:PORT tcp=IP:PORT`.
fn http_address(line: &str) -> Option<Server> {
    let listeners = line.strip_prefix("ready ")?;
    let http = listeners.split_whitespace().find_map(|word| word.strip_prefix("http="))?;
    format!("http://{http}").parse().ok()
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
