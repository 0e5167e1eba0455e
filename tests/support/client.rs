//! The client program, run as people run it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};

use super::server::{TestServer, binary};
use super::{PATIENCE, eventually};

/// The client's binary, without what the environment says about it.
pub(crate) fn client_command() -> Command {
    let mut command = Command::new(binary("doorbell"));
    for name in ["SERVER", "TOKEN", "PASSWORD"] {
        command.env_remove(format!("DOORBELL_{name}"));
    }
    // Nor what its file of settings says.
    command.env("DOORBELL_CLIENT_CONFIG", "/dev/null").stdin(Stdio::null());
    command
}

/// The client with its words, directed at a server's HTTP address.
pub(crate) fn client(server: &TestServer, words: &[&str]) -> Command {
    let mut command = client_command();
    command.args(words).args(["--server", &format!("http://{}", server.http)]);
    command
}

/// Starts a program, all that it reads and writes in pipes.
pub(crate) fn piped(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// A program that runs, its output read line by line.
pub(crate) struct RunningClient {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<Receiver<String>>,
    stderr: Receiver<String>,
}

impl RunningClient {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = piped(command);
        let stdin = child.stdin.take();
        let stdout = Some(lines_of(child.stdout.take().unwrap()));
        let stderr = lines_of(child.stderr.take().unwrap());
        Self { child, stdin, stdout, stderr }
    }

    /// The next line of its standard output; `None` at its end.
    pub(crate) fn line(&mut self) -> Option<String> {
        next_line(self.stdout.as_ref().unwrap())
    }

    /// The next line of its standard error; `None` at its end.
    pub(crate) fn talk(&mut self) -> Option<String> {
        next_line(&self.stderr)
    }

    /// Reads its output no longer: what it writes from now on breaks its pipe.
    pub(crate) fn close_output(&mut self) {
        self.stdout = None;
    }

    /// Writes a line to its standard input.
    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Ends its standard input.
    pub(crate) fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        eventually("the program exits", || self.child.try_wait().unwrap())
    }
}

impl Drop for RunningClient {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of an output as they come. Reading ends, and the pipe closes, with the first line that
/// nobody wants any more.
fn lines_of(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = sync_channel(0);
    std::thread::spawn(move || {
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        for line in lines {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

fn next_line(lines: &Receiver<String>) -> Option<String> {
    match lines.recv_timeout(PATIENCE) {
        Ok(line) => Some(line),
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => panic!("no line came within {PATIENCE:?}"),
    }
}
