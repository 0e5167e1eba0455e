//! Starting and stopping: open the log, bind, spawn, drain.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Once};
use std::time::Duration;

use doorbell_protocol::{Code, Error, Event};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::access::Gate;
use crate::clock::unix_micros;
use crate::config::{Config, LabSetting, to_usize};
use crate::datagram::Datagrams;
use crate::guard::Timeouts;
use crate::http::{App, Compressors, Http, Origins};
use crate::hub::Hub;
use crate::lab::{Lab, Parts};
use crate::limits::DESCRIPTORS_RESERVED;
use crate::line::LineService;
use crate::listen::{Acceptor, Addresses, Listen, UnixSocket, bind_tcp, bind_udp, reachable};
use crate::log::{Log, MemoryLog, SqliteLog};
use crate::metrics::{Listener, Metrics, Transport};
use crate::proxy::Proxies;
use crate::rights::Rights;
use crate::session::{Groups, HalfClosed, SessionConfig};
use crate::stop::{Stop, detach};
use crate::stream::Guarded;
use crate::tls::{
    self, Certificates, Encrypted, Handshakes, SelfSigned, Source, Spoken, TlsConfig,
};

/// A server that is bound and serving.
#[derive(Debug)]
pub struct Server {
    hub: Hub,
    gate: Gate,
    certificates: Option<Arc<Certificates>>,
    acceptor: Acceptor,
    grace: Duration,
    /// How many connections it takes.
    connections: usize,
    /// Where it listens.
    pub addresses: Arc<Addresses>,
    /// The SHA-256 of a certificate that nobody else vouches for.
    fingerprint: Option<String>,
}

/// Why the server could not start: one sentence for the person who started it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(String);

/// Opens the log, binds every listener and serves. Must be called within a tokio runtime.
pub fn start(config: &Config) -> Result<Server, StartError> {
    let connections = connections_max(config.connections);
    let (https, tcps) = config.tls.listeners();
    let http = bind("http", config.http)?;
    let tcp = bind("tcp", config.tcp)?;
    let https = bind("https", https)?;
    let tcps = bind("tcps", tcps)?;
    let unix = config.unix.as_deref().map(bind_unix).transpose()?;
    let udp = config.udp.flatten().map(bind_datagrams).transpose()?;
    let addresses = Arc::new(Addresses {
        http: local_address(http.as_ref())?,
        tcp: local_address(tcp.as_ref())?,
        udp: udp.as_ref().map(UdpSocket::local_addr).transpose().map_err(no_address)?,
        https: local_address(https.as_ref())?,
        tcps: local_address(tcps.as_ref())?,
        unix: unix.as_ref().map(|socket| socket.path().to_owned()),
    });
    if addresses.named().next().is_none() {
        return Err(StartError("there is no listener: each is none".to_owned()));
    }
    if config.trace {
        let port = addresses.http.or(addresses.tcp).map_or(0, |address| address.port());
        crate::lab::check_capture(port).map_err(StartError)?;
    }
    let hub = open(config)?;
    let metrics = Metrics::new();
    let certificates = certificates(config, &addresses, &metrics)?;
    let timeouts = Timeouts { write_deadline: config.write_deadline, keepalive: config.keepalive };
    let proxies = Arc::new(Proxies::new(&config.trusted_proxies, &config.proxy_protocol));
    let acceptor =
        Acceptor::new(connections, metrics.clone(), timeouts).behind(&proxies, config.unfinished);
    let gate = gate(config, hub.clone(), &addresses)?;
    acceptor.tasks.spawn(gate.clone().keep(acceptor.stop.clone()));
    let sessions = sessions(config, gate.clone(), metrics.clone(), &acceptor, connections);
    let app = App {
        lab: lab(config, &acceptor, &addresses, &proxies),
        config: sessions.clone(),
        addresses: addresses.clone(),
        connections,
        message_bytes: hub.limits().message_bytes,
        header_bytes: to_usize(config.header_bytes),
        credentials_ignored: Arc::new(Once::new()),
        origins: origins(config, &addresses, &proxies),
        proxies: proxies.clone(),
        base_path: config.base_path.clone().into(),
        compressors: Compressors::default(),
    };
    let http_service = Arc::new(Http::new(app));
    let refusals = Refusals::new(connections);
    let by_tcp = Arc::new(LineService::new(&sessions, Transport::Tcp));
    if let Some(certificates) = &certificates {
        let tls = Tls { certificates, metrics: &metrics, acceptor: &acceptor };
        let (http_service, by_tcp) = (http_service.clone(), by_tcp.clone());
        tls.listen(https, Listener::Https, Spoken::Http, move |stream| {
            http_service.clone().serve(stream)
        });
        tls.listen(tcps, Listener::Tcps, Spoken::Lines, move |stream| by_tcp.serve(stream));
        acceptor.tasks.spawn(watch(certificates.clone(), acceptor.stop.clone()));
    }
    if let Some(http) = http {
        acceptor.tasks.spawn(acceptor.clone().accept(
            http,
            Listener::Http,
            refusals.http,
            move |stream| http_service.clone().serve(stream),
        ));
    }
    if let Some(tcp) = tcp {
        acceptor.tasks.spawn(acceptor.clone().accept(
            tcp,
            Listener::Tcp,
            refusals.lines.clone(),
            move |stream| by_tcp.serve(stream),
        ));
    }
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
    let fingerprint = certificates.as_ref().and_then(|own| own.self_signed_fingerprint());
    let grace = config.grace;
    Ok(Server { hub, gate, certificates, acceptor, grace, connections, addresses, fingerprint })
}

/// The gate before the log. A server that others can reach must have been told who may do what.
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

/// The certificates, if there is a listener that shows them.
fn certificates(
    config: &Config,
    addresses: &Addresses,
    metrics: &Arc<Metrics>,
) -> Result<Option<Arc<Certificates>>, StartError> {
    if addresses.https.or(addresses.tcps).is_none() {
        return Ok(None);
    }
    let TlsConfig { tls_cert, tls_key, tls_client_ca, .. } = &config.tls;
    let source = match (tls_cert, tls_key) {
        (Some(certificate), Some(key)) => {
            Source::Files { certificate: certificate.clone(), key: key.clone() }
        }
        _ => {
            let folder = (!config.ephemeral).then(|| config.data.clone());
            let bound = [addresses.https, addresses.tcps].into_iter().flatten();
            Source::SelfSigned(SelfSigned::new(folder, bound.map(|address| address.ip())))
        }
    };
    let certificates = Certificates::load(source, tls_client_ca.clone(), metrics.clone());
    certificates.map(|certificates| Some(Arc::new(certificates))).map_err(StartError)
}

/// Reads the certificates again when their files change.
async fn watch(certificates: Arc<Certificates>, stop: Stop) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(tls::LOOK_EVERY) => {}
        }
        let certificates = certificates.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || certificates.look()).await {
            tracing::error!(%error, "the certificates could not be looked at");
        }
    }
}

/// What the listeners for TLS share.
struct Tls<'a> {
    certificates: &'a Arc<Certificates>,
    metrics: &'a Arc<Metrics>,
    acceptor: &'a Acceptor,
}

impl Tls<'_> {
    /// Accepts from a listener, if there is one, and serves what is encrypted.
    fn listen<F, T>(
        &self,
        socket: Option<TcpListener>,
        listener: Listener,
        spoken: Spoken,
        serve: F,
    ) where
        F: Fn(Encrypted<Guarded<TcpStream>>) -> T + Send + Sync + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let Some(socket) = socket else { return };
        let handshakes = Handshakes {
            spoken,
            certificates: self.certificates.clone(),
            metrics: self.metrics.clone(),
            stop: self.acceptor.stop.clone(),
            hint: tls_hint(spoken),
        };
        let shared = Arc::new((handshakes, serve));
        // A client for whom there is no room hears nothing, as nobody has agreed on a key with it.
        let refusal = String::new();
        let accept = self.acceptor.clone().accept(socket, listener, refusal, move |stream| {
            let shared = shared.clone();
            async move {
                let (handshakes, serve) = shared.as_ref();
                if let Some(stream) = handshakes.accept(stream).await {
                    // In a task of its own, which does not keep the room of the handshake.
                    detach(serve(stream));
                }
            }
        });
        self.acceptor.tasks.spawn(accept);
    }
}

fn sessions(
    config: &Config,
    gate: Gate,
    metrics: Arc<Metrics>,
    acceptor: &Acceptor,
    connections: usize,
) -> Arc<SessionConfig> {
    Arc::new(SessionConfig {
        gate,
        keepalive: config.keepalive,
        write_deadline: config.write_deadline,
        half_closed: HalfClosed::of(connections),
        unfinished: config.unfinished,
        line_bytes: to_usize(config.line_bytes),
        groups: Groups::new(config.keepalive, metrics.clone(), acceptor.stop.clone()),
        metrics,
        stop: acceptor.stop.clone(),
    })
}

fn origins(config: &Config, addresses: &Addresses, proxies: &Arc<Proxies>) -> Arc<Origins> {
    let (pages, hosts) = (&config.allow_origin, &config.allow_host);
    let own = [addresses.http, addresses.https].into_iter().flatten().map(|address| address.ip());
    Arc::new(Origins::new(pages, hosts, own, proxies.clone()))
}

fn lab(config: &Config, acceptor: &Acceptor, addresses: &Arc<Addresses>, proxies: &Proxies) -> Lab {
    Lab::new(Parts {
        on: match config.lab {
            LabSetting::Auto => addresses.are_local() && proxies.are_none(),
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
    /// Reads the access file and the certificates again.
    pub async fn reread(&self) {
        self.gate.reread().await;
        let Some(certificates) = self.certificates.clone() else { return };
        if let Err(error) = tokio::task::spawn_blocking(move || certificates.reread()).await {
            tracing::error!(%error, "the certificates could not be read again");
        }
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
        write!(out, "ready")?;
        for (name, at) in self.addresses.named() {
            write!(out, " {name}={at}")?;
        }
        writeln!(out)?;
        out.flush()?;
        out.write_all(self.advice().as_bytes())?;
        out.flush()
    }

    /// Lines for a person to paste, over plain HTTP and TCP where they are spoken.
    fn advice(&self) -> String {
        let Addresses { http, tcp, udp, https, tcps, .. } = self.addresses.as_ref();
        let client = client_command();
        let [http, tcp, https, tcps] = [http, tcp, https, tcps].map(|at| at.map(reachable));
        let mut trust = String::new();
        let mut lines = String::new();
        if let Some(fingerprint) = &self.fingerprint {
            trust = format!(" --fingerprint {fingerprint}");
            lines += &format!("  fingerprint       {fingerprint}\n");
        }
        let (url, server, curl) = match (http, https) {
            (Some(at), _) => (format!("http://{at}"), format!("http://{at}"), "curl"),
            (None, Some(at)) => {
                (format!("https://{at}"), format!("https://{at}{trust}"), "curl -k")
            }
            (None, None) => Default::default(),
        };
        let has_http = !url.is_empty();
        if has_http {
            lines += &format!("  the page          {url}/\n");
        }
        lines += &format!(
            "  room for          {} connections\n\n  \
             In another terminal, wait at the door (push):\n",
            self.connections
        );
        if let Some(at) = tcp {
            let (host, port) = (at.ip(), at.port());
            lines += &format!("    nc {host} {port}                      and type: SUB demo\n");
        }
        if has_http {
            lines += &format!("    {curl} -sN {url}/demo/sse\n");
        }
        let subscribe = format!("    {client} subscribe demo --server");
        if let Some(at) = tcp {
            lines += &format!("{subscribe} tcp://{at}\n");
        }
        if udp.is_some() && has_http {
            lines += &format!("{subscribe} {server} --via udp\n");
        }
        if let Some(at) = tcps {
            lines += &format!("{subscribe} tcps://{at}{trust}\n");
        }
        if let Some(at) = https {
            lines += &format!("{subscribe} https://{at}{trust} --via sse\n");
        }
        lines += "\n  Ring:\n";
        if has_http {
            lines += &format!("    {curl} -d 'somebody is here' {url}/demo\n");
        }
        if let Some(at) = tcp {
            let (host, port) = (at.ip(), at.port());
            lines += &format!("    echo 'PUB demo somebody is here' | nc -N {host} {port}\n");
        } else if let Some(at) = tcps {
            lines += &format!(
                "    {client} publish demo 'somebody is here' --server tcps://{at}{trust}\n"
            );
        }
        if has_http {
            lines += &format!(
                "\n  Or walk to the door to look (poll):\n    \
                 {curl} -si '{url}/demo/json?poll=1&since=all'\n"
            );
        }
        format!("\n{lines}\n")
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

fn bind(what: &str, address: Listen) -> Result<Option<TcpListener>, StartError> {
    let Some(address) = address else { return Ok(None) };
    bind_tcp(address)
        .map(Some)
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

fn local_address(listener: Option<&TcpListener>) -> Result<Listen, StartError> {
    listener.map(TcpListener::local_addr).transpose().map_err(no_address)
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
    let most = to_usize(files.saturating_sub(DESCRIPTORS_RESERVED).max(1));
    wanted.map_or(most, |wanted| wanted.min(most))
}

/// What is said to those for whom there is no room.
struct Refusals {
    lines: String,
    http: String,
}

impl Refusals {
    fn new(connections: usize) -> Self {
        let text = format!("the server holds {connections} connections, which is the limit");
        let error = Error::new(Code::Unavailable, text);
        let http = http_refusal("503 Service Unavailable\r\nretry-after: 1", &error);
        Self { lines: line_refusal(&error), http }
    }
}

/// What a client is told that does not speak TLS where it is spoken.
fn tls_hint(spoken: Spoken) -> String {
    let error = |scheme| {
        Error::new(
            Code::BadRequest,
            format!("TLS is spoken here: the address begins with {scheme}"),
        )
    };
    match spoken {
        Spoken::Http => http_refusal("400 Bad Request", &error("https://")),
        Spoken::Lines => line_refusal(&error("tcps://")),
    }
}

/// An answer to a request that was not read; `status` may have headers.
fn http_refusal(status: &str, error: &Error) -> String {
    let body = serde_json::to_string(&error.body()).unwrap_or_default();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}\n",
        body.len() + 1
    )
}

/// An event for a client that was not heard.
fn line_refusal(error: &Error) -> String {
    format!("{}\n", Event::error(error, unix_micros()).to_json())
}
