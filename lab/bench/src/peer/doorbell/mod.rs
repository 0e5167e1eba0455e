//! doorbell itself, over each of its transports.

mod dialects;

use std::net::SocketAddr;
use std::process::Command;
use std::rc::Rc;

use doorbell_protocol::Transport;

use self::dialects::{Lines, LongPoll, Sse, WebSocket};
use super::post::Post;
use super::running::{Running, Setting, Storage};
use crate::failure::{Failure, Result};
use crate::generator::dialect::Dialect;
use crate::launch::{Program, folder};

/// How messages are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Publishing {
    /// As lines over TCP.
    Lines,
    /// As requests over HTTP.
    Http,
}

/// Starts it, with subscribers over one of its transports.
pub(super) fn start(via: Transport, publishing: Publishing, setting: &Setting) -> Result<Running> {
    let payload = setting.payload;
    let (program, http, tcp) = launch(setting)?;
    let (subscribe_at, subscriber): (_, Rc<dyn Dialect>) = match via {
        Transport::Tcp => (tcp, Rc::new(Lines { payload, publishing: false })),
        Transport::Websocket => (http, Rc::new(WebSocket { payload })),
        Transport::Sse => (http, Rc::new(Sse { payload })),
        Transport::Longpoll => (http, Rc::new(LongPoll { payload })),
        Transport::Poll | Transport::Ndjson | Transport::Raw | Transport::Unix | Transport::Udp => {
            return Err(Failure(format!("{via} is no contender")));
        }
    };
    let (publish_at, publisher): (_, Rc<dyn Dialect>) = match publishing {
        Publishing::Lines => (tcp, Rc::new(Lines { payload, publishing: true })),
        Publishing::Http => (http, Rc::new(Post { folder: "" })),
    };
    let http = Some(http);
    Ok(Running { program, subscribe_at, publish_at, http, subscriber, publisher, confirm: None })
}

/// Starts the server; returns where it speaks HTTP and lines.
fn launch(setting: &Setting) -> Result<(Program, SocketAddr, SocketAddr)> {
    let folder = folder()?;
    let mut command = Command::new(&setting.server_binary);
    let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in variables.filter(|name| name.starts_with("DOORBELL_")) {
        command.env_remove(name);
    }
    command.args(["--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"]);
    command.arg("--data").arg(folder.path().join("data"));
    match setting.storage {
        Storage::Ephemeral => command.arg("--ephemeral"),
        Storage::Os => command.args(["--sync", "os"]),
        Storage::Always => command.args(["--sync", "always"]),
    };
    let durations =
        [("--keepalive", setting.keepalive), ("--write-deadline", setting.write_deadline)];
    for (flag, duration) in durations {
        if let Some(duration) = duration {
            command.arg(flag).arg(format!("{}ms", duration.as_millis()));
        }
    }
    command.arg("--message-bytes").arg(setting.payload.max(4096).to_string());
    let (program, ready) = Program::telling(folder, &mut command)?;
    let address = |name: &str| {
        let word = ready.split_whitespace().find_map(|word| word.strip_prefix(name));
        let address = word.and_then(|address| address.parse().ok());
        address.ok_or_else(|| Failure(format!("no {name} in {ready:?}")))
    };
    let (http, tcp) = (address("http=")?, address("tcp=")?);
    Ok((program, http, tcp))
}
