//! Starting and stopping: open the log, bind, spawn, drain.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Once};
use std::time::Duration;

use doorbell_protocol::{Code, Error, Event};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, UdpSocket};

use crate::access::Gate;
use crate::clock::unix_micros;
use crate::config::{Config, LabSetting, to_usize};
use crate::datagram::Datagrams;
use crate::guard::Timeouts;
use crate::http::{App, Compressors, Http};
use crate::hub::Hub;
use crate::lab::{Lab, Parts};
use crate::limits::{CONNECTIONS_RESERVED, DESCRIPTORS_RESERVED, RETRY_AFTER_SECONDS};
use crate::line::LineService;
use crate::listen::{
    Acceptor, Addresses, Refusals, UnixSocket, bind_tcp, bind_udp, full, reachable,
};
use crate::log::{Log, MemoryLog, SqliteLog};
use crate::metrics::{Listener, Metrics, Transport};
use crate::rights::Rights;
use crate::session::{Groups, SessionConfig};
use crate::visitors::Visitors;

/// A server that is bound and serving.
#[derive(Debug)]
pub struct Server {
    hub: Hub,
    gate: Gate,
    acceptor: Acceptor,
    grace: Duration,
    /// How many connections it takes.
    connections: usize,
    /// Where it listens.
    pub addresses: Arc<Addresses>,
}

/// Why the server could not start: one sentence for the person who started it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(String);

/// Opens the log, binds every listener and serves. Must be called within a tokio runtime.
pub fn start(config: &Config) -> Result<Server, StartError> {
    let connections = connections_max(config.connections);
    let http = bind("http", config.http)?;
    let tcp = bind("tcp", config.tcp)?;
    let unix = config.unix.as_deref().map(bind_unix).transpose()?;
    let udp = config.udp.map(bind_datagrams).transpose()?;
    let addresses = Arc::new(Addresses {
        http: local_address(&http)?,
        tcp: local_address(&tcp)?,
        unix: unix.as_ref().map(|socket| socket.path().to_owned()),
        udp: udp.as_ref().map(UdpSocket::local_addr).transpose().map_err(no_address)?,
    });
    if config.trace {
        crate::lab::check_capture(addresses.http.port()).map_err(StartError)?;
    }
    let hub = open(config)?;
    let metrics = Metrics::new();
    let acceptor = acceptor(config, connections, &metrics);
    let gate = gate(config, hub.clone(), &addresses)?.charging(acceptor.visitors.clone());
    acceptor.tasks.spawn(gate.clone().keep(acceptor.stop.clone()));
    let sessions = Arc::new(SessionConfig {
        gate: gate.clone(),
        keepalive: config.keepalive,
        unfinished: config.unfinished,
        line_bytes: to_usize(config.line_bytes),
        groups: Groups::new(config.keepalive, metrics.clone(), acceptor.stop.clone()),
        metrics,
        stop: acceptor.stop.clone(),
    });
    let app = App {
        lab: lab(config, &acceptor, &addresses),
        config: sessions.clone(),
        addresses: addresses.clone(),
        connections,
        message_bytes: hub.limits().message_bytes,
        header_bytes: to_usize(config.header_bytes),
        credentials_ignored: Arc::new(Once::new()),
        compressors: Compressors::default(),
    };
    let http_service = Arc::new(Http::new(app));
    let refusals = RefusalTexts::new(connections, acceptor.visitors.limits().connections);
    acceptor.tasks.spawn(acceptor.clone().accept(
        http,
        Listener::Http,
        refusals.http,
        move |stream| http_service.clone().serve(stream),
    ));
    let by_tcp = LineService::new(&sessions, Transport::Tcp);
    acceptor.tasks.spawn(acceptor.clone().accept(
        tcp,
        Listener::Tcp,
        refusals.lines.clone(),
        move |stream| by_tcp.serve(stream),
    ));
    if let Some(unix) = unix {
        let by_unix = LineService::new(&sessions, Transport::Unix);
        acceptor.tasks.spawn(acceptor.clone().accept(
            unix,
            Listener::Unix,
            refusals.lines,
            move |stream| by_unix.serve(stream),
        ));
    }
    if let Some(udp) = udp {
        let (tasks, register) = (acceptor.tasks.clone(), acceptor.register.clone());
        let datagrams = Datagrams::new(udp, sessions, tasks, register).map_err(no_address)?;
        acceptor.tasks.spawn(datagrams.run());
    }
    tracing::info!(connections, ?addresses, "serving");
    Ok(Server { hub, gate, acceptor, grace: config.grace, connections, addresses })
}

/// What accepts so many connections, and whose they are.
fn acceptor(config: &Config, connections: usize, metrics: &Arc<Metrics>) -> Acceptor {
    let timeouts = Timeouts { write_deadline: config.write_deadline, keepalive: config.keepalive };
    // A program of this machine may do everything until somebody is told who may what.
    let counts_loopback = config.access.is_some();
    let visitors = Visitors::new(config.visitors.limits(connections), counts_loopback);
    let acceptor = Acceptor::new(connections, visitors.clone(), metrics.clone(), timeouts);
    acceptor.tasks.spawn(visitors.keep(acceptor.stop.clone()));
    acceptor
}

/// Who may do what. A server that others can reach must have been told.
fn gate(config: &Config, hub: Hub, addresses: &Addresses) -> Result<Gate, StartError> {
    if let Some(file) = &config.access {
        return Gate::guarded(hub, file).map_err(StartError);
    }
    let rights = match config.anonymous {
        None if addresses.are_local() => None,
        None => {
            let text = "the server listens beyond this machine, and nobody was told who may do what: \
                        --access FILE says it, and --anonymous read-write opens it to everybody";
            return Err(StartError(text.to_owned()));
        }
        Some(anonymous) => {
            let rule = anonymous.rule().parse().map_err(StartError)?;
            // Whoever switches the lab on for others shows them more than that.
            let admin = addresses.are_local() || config.lab == LabSetting::On;
            Some(Rights::new(&[rule], &[], admin))
        }
    };
    Ok(Gate::open(hub, rights))
}

fn lab(config: &Config, acceptor: &Acceptor, addresses: &Arc<Addresses>) -> Lab {
    Lab::new(Parts {
        on: match config.lab {
            LabSetting::Auto => addresses.are_local(),
            LabSetting::On => true,
            LabSetting::Off => false,
        },
        asked_for: config.lab == LabSetting::On,
        trace: config.trace,
        register: acceptor.register.clone(),
        addresses: addresses.clone(),
        tasks: acceptor.tasks.clone(),
        stop: (*acceptor.stop).clone(),
    })
}

impl Server {
    /// Reads the access file again.
    pub async fn reread(&self) {
        self.gate.reread().await;
    }

    /// Tells every session to end, waits for them within the grace, and closes the log. Returns how
    /// many tasks had not ended by then. `hurry` ends the wait at once.
    pub async fn stop(self, hurry: impl Future<Output = ()>) -> usize {
        let Self { hub, acceptor, grace, .. } = self;
        acceptor.stop.cancel();
        acceptor.tasks.close();
        tokio::select! {
            () = acceptor.tasks.wait() => {}
            () = tokio::time::sleep(grace) => {}
            () = hurry => {}
        }
        let left = acceptor.tasks.len();
        if left > 0 {
            tracing::warn!(left, "sessions were cut off");
        }
        let closing = tokio::task::spawn_blocking(move || hub.close());
        if closing.await.is_err() {
            tracing::error!("the log was not closed cleanly");
        }
        left
    }

    /// Prints the line that says that the server is ready, and below it lines for a person to
    /// paste.
    pub fn announce(&self, mut out: impl Write) -> std::io::Result<()> {
        let Addresses { http, tcp, unix, udp } = self.addresses.as_ref();
        write!(out, "ready http={http} tcp={tcp}")?;
        if let Some(path) = unix {
            write!(out, " unix={}", path.display())?;
        }
        if let Some(udp) = udp {
            write!(out, " udp={udp}")?;
        }
        writeln!(out)?;
        out.flush()?;
        let (http, host, port) = (reachable(*http), reachable(*tcp).ip(), tcp.port());
        let client = client_command();
        let connections = self.connections;
        let by_datagrams = match udp {
            Some(_) => format!("\n    {client} subscribe demo --server http://{http} --via udp"),
            None => String::new(),
        };
        write!(
            out,
            "\n  \
             the page          http://{http}/\n  \
             room for          {connections} connections\n\n  \
             In another terminal, wait at the door (push):\n    \
             nc {host} {port}                      and type: SUB demo\n    \
             curl -sN http://{http}/demo/sse\n    \
             {client} subscribe demo --server tcp://{host}:{port}{by_datagrams}\n\n  \
             Ring:\n    \
             curl -d 'somebody is here' http://{http}/demo\n    \
             echo 'PUB demo somebody is here' | nc -N {host} {port}\n\n  \
             Or walk to the door to look (poll):\n    \
             curl -si 'http://{http}/demo/json?poll=1&since=all'\n\n"
        )?;
        out.flush()
    }
}

/// What to type for a client: the one beside this server if it was built, else by cargo.
fn client_command() -> String {
    let beside = std::env::current_exe().ok().map(|path| path.with_file_name("doorbell"));
    match beside.filter(|path| path.is_file()) {
        Some(path) => {
            let here = std::env::current_dir().ok();
            let short = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
            short.unwrap_or(path).display().to_string()
        }
        None => "cargo run -q --release -p doorbell-cli --".to_owned(),
    }
}

fn bind(what: &str, address: std::net::SocketAddr) -> Result<TcpListener, StartError> {
    bind_tcp(address)
        .map_err(|error| StartError(format!("cannot listen on {address} ({what}): {error}")))
}

fn bind_unix(path: &Path) -> Result<UnixSocket, StartError> {
    UnixSocket::bind(path)
        .map_err(|error| StartError(format!("cannot listen on {} (unix): {error}", path.display())))
}

fn bind_datagrams(address: std::net::SocketAddr) -> Result<UdpSocket, StartError> {
    bind_udp(address)
        .map_err(|error| StartError(format!("cannot listen on {address} (udp): {error}")))
}

fn local_address(listener: &TcpListener) -> Result<std::net::SocketAddr, StartError> {
    listener.local_addr().map_err(no_address)
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that `map_err` wants")]
fn no_address(error: std::io::Error) -> StartError {
    StartError(format!("a listener has no address: {error}"))
}

fn open(config: &Config) -> Result<Hub, StartError> {
    let retention = config.retention();
    let log: Arc<dyn Log> = if config.ephemeral {
        Arc::new(MemoryLog::new(retention))
    } else {
        let log = SqliteLog::open(&config.data, config.sync, retention);
        Arc::new(log.map_err(|error| StartError(error.to_string()))?)
    };
    Hub::start(log, to_usize(config.inflight_bytes), &retention, config.wire_limits())
        .map_err(|error| StartError(format!("cannot start the log's writer: {error}")))
}

/// Raises the soft limit of open files to the hard one and leaves a reserve.
fn connections_max(wanted: Option<usize>) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let reserved = DESCRIPTORS_RESERVED + 2 * CONNECTIONS_RESERVED as u64;
    let most = to_usize(files.saturating_sub(reserved).max(1));
    wanted.map_or(most, |wanted| wanted.min(most))
}

/// What is said to those for whom there is no room, in lines and over HTTP.
struct RefusalTexts {
    lines: Refusals,
    http: Refusals,
}

impl RefusalTexts {
    fn new(connections: usize, of_visitor: u32) -> Self {
        let at_all = full(connections);
        let text = format!(
            "there are {of_visitor} connections from this address, which is the limit of one \
             visitor (--visitor-connections)"
        );
        let of_visitor = Error::new(Code::TooManySubscriptions, text);
        let [lines, http] = [lines_refusal, http_refusal].map(|refusal| Refusals {
            at_all: refusal(&at_all).into(),
            of_visitor: refusal(&of_visitor).into(),
        });
        Self { lines, http }
    }
}

fn lines_refusal(error: &Error) -> String {
    format!("{}\n", Event::error(error, unix_micros()).to_json())
}

fn http_refusal(error: &Error) -> String {
    let body = serde_json::to_string(&error.body()).unwrap_or_default();
    let status = match error.code().status() {
        429 => "429 Too Many Requests",
        _ => "503 Service Unavailable",
    };
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n\
         retry-after: {RETRY_AFTER_SECONDS}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n\
         {body}\n",
        body.len() + 1
    )
}
