//! doorbell itself, over each of its transports.

mod dialects;

use std::net::SocketAddr;
use std::process::Command;
use std::rc::Rc;

use doorbell_protocol::Transport;

use self::dialects::{Lines, LongPoll, Sse, WebSocket};
use super::cluster::{self, Cluster};
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

/// Whether lines are spoken over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encrypted {
    No,
    Yes,
}

/// Starts it, with subscribers over one of its transports.
pub(super) fn start(via: Transport, publishing: Publishing, setting: &Setting) -> Result<Running> {
    let payload = setting.payload;
    let (program, http, tcp) = launch(Encrypted::No, setting, None)?;
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
    Ok(Running { publish_at, http, ..Running::at(subscribe_at, program, subscriber, publisher) })
}

/// Starts it, with subscribers and publishers that speak lines over TLS.
pub(super) fn start_encrypted(setting: &Setting) -> Result<Running> {
    let payload = setting.payload;
    let (program, _, tcps) = launch(Encrypted::Yes, setting, None)?;
    let subscriber = Rc::new(Lines { payload, publishing: false });
    let publisher = Rc::new(Lines { payload, publishing: true });
    Ok(Running { encrypted: true, ..Running::at(tcps, program, subscriber, publisher) })
}

/// Starts one front or more of a cluster: publishers are at the first, subscribers at the last.
pub(super) fn start_cluster(fronts: usize, setting: &Setting) -> Result<Running> {
    let payload = setting.payload;
    let cluster = Cluster::start()?;
    let mut started = (0..fronts)
        .map(|front| launch(Encrypted::No, setting, Some(&cluster.urls(front))))
        .collect::<Result<Vec<_>>>()?;
    for (_, http, _) in &started {
        cluster::await_health(*http)?;
    }
    let publish_at = started[0].2;
    let (program, http, subscribe_at) = started.pop().expect("there is one front at least");
    let mut companions = cluster.programs;
    companions.extend(started.into_iter().map(|(program, ..)| program));
    let subscriber = Rc::new(Lines { payload, publishing: false });
    let publisher = Rc::new(Lines { payload, publishing: true });
    let own = Running::at(subscribe_at, program, subscriber, publisher);
    Ok(Running { publish_at, _companions: companions, http: Some(http), ..own })
}

/// Starts the server, before a cluster or with a log of its own; returns where it speaks HTTP and
/// lines, encrypted or not.
fn launch(
    encrypted: Encrypted,
    setting: &Setting,
    cluster: Option<&str>,
) -> Result<(Program, SocketAddr, SocketAddr)> {
    let folder = folder()?;
    let mut command = Command::new(&setting.server_binary);
    let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in variables.filter(|name| name.starts_with("DOORBELL_")) {
        command.env_remove(name);
    }
    command.args(["--http", "127.0.0.1:0", "--udp", "127.0.0.1:0"]);
    // An earlier build may know nothing of TLS.
    let lines = match encrypted {
        Encrypted::No => "tcp",
        Encrypted::Yes => {
            command.args(["--tcp", "none", "--tls-self-signed"]);
            "tcps"
        }
    };
    command.arg(format!("--{lines}")).arg("127.0.0.1:0");
    if cluster.is_none() {
        command.arg("--data").arg(folder.path().join("data"));
    }
    match (cluster, setting.storage) {
        (Some(urls), _) => command.args(["--cluster", urls]),
        (None, Storage::Ephemeral) => command.arg("--ephemeral"),
        (None, Storage::Os) => command.args(["--sync", "os"]),
        (None, Storage::Always) => command.args(["--sync", "always"]),
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
    let (http, lines) = (address("http=")?, address(&format!("{lines}="))?);
    Ok((program, http, lines))
}
