//! Starting and stopping: open the log, bind, spawn, drain.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Once};
use std::time::Duration;

use doorbell_protocol::{Code, Error, Event};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, UdpSocket};
#[cfg(feature = "cluster")]
use tokio::sync::watch;

use crate::access::Gate;
use crate::announce::advice;
use crate::audit::Audit;
use crate::clock::{Clock, SystemClock, unix_micros};
use crate::config::{Config, LabSetting, to_usize};
use crate::datagram::Datagrams;
use crate::files::{FILES_FOLDER, Files};
use crate::guard::Timeouts;
use crate::http::{App, GzipTurns, Http, Origins};
use crate::hub::Hub;
use crate::inherited::Inherited;
use crate::lab::{Lab, Parts};
#[cfg(feature = "cluster")]
use crate::limits::{CLUSTER_AT_ONCE, CLUSTER_RETRY};
use crate::limits::{CONNECTIONS_RESERVED, DESCRIPTORS_RESERVED, RETRY_AFTER_SECONDS};
use crate::line::LineService;
use crate::listen::{
    Acceptor, Addresses, Listen, Refusals, SocketMode, UnixSocket, adopt_tcp, adopt_udp, bind_tcp,
    bind_udp, full,
};
#[cfg(feature = "cluster")]
use crate::log::{ClusterFault, ClusterSettings, JetStreamLog};
use crate::log::{Log, MemoryLog, OpenError, SegmentLog, Sync};
use crate::metrics::{Listener, Metrics, Transport};
#[cfg(feature = "cluster")]
use crate::outbound::ClusterMonitor;
use crate::outbound::{Mailer, Outbound};
use crate::proxy::Proxies;
use crate::relay::{Push, Relay, RelayProgress};
use crate::rights::Rights;
use crate::schedule::Schedule;
use crate::session::{Groups, HalfClosed, SessionConfig};
use crate::templates::Templates;
use crate::tls::{Certificates, SelfSigned, Source, Spoken, Tls, TlsConfig};
use crate::visitors::{VisitorLimits, Visitors};
#[cfg(feature = "cluster")]
use crate::waiting::MissingLog;
use crate::writer::PublishRoom;

/// A server that is bound and serving.
#[derive(Debug)]
pub struct Server {
    hub: Hub,
    files: Files,
    gate: Gate,
    outbound: Outbound,
    certificates: Option<Arc<Certificates>>,
    acceptor: Acceptor,
    grace: Duration,
    /// How many connections it takes.
    connections: usize,
    /// Where it listens.
    pub addresses: Arc<Addresses>,
    /// The SHA-256 of a certificate that nobody else vouches for.
    fingerprint: Option<String>,
    /// Whether it was said that it is ready.
    is_announced: bool,
}

/// Why the server could not start: one sentence for the person who started it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(String);

/// A server that is bound, and does not serve yet.
#[derive(Debug)]
pub struct Bound {
    listeners: Listeners,
    addresses: Arc<Addresses>,
    /// How many connections it takes.
    connections: usize,
    /// The log of several machines, once it is open.
    log: Option<Arc<dyn Log>>,
    /// Why that may lose what it acknowledged, as its servers say.
    #[cfg(feature = "cluster")]
    not_durable: watch::Sender<Option<String>>,
    is_announced: bool,
}

impl Bound {
    /// Binds every listener that is not there yet. Must be called within a tokio runtime.
    pub fn bind(config: &Config, inherited: Inherited) -> Result<Self, StartError> {
        let connections = connections_max(config.connections);
        let listeners = Listeners::bind(config, inherited)?;
        let addresses = Arc::new(listeners.addresses()?);
        check_trace(config, &addresses)?;
        Ok(Self {
            listeners,
            addresses,
            connections,
            log: None,
            #[cfg(feature = "cluster")]
            not_durable: watch::Sender::default(),
            is_announced: false,
        })
    }

    /// Waits for the log, if it is on other machines. That may be long: meanwhile everybody who
    /// connects is told so, and `announce` is done once.
    #[cfg(feature = "cluster")]
    pub async fn wait_for_log(
        &mut self,
        config: &Config,
        out: impl Write,
    ) -> Result<(), StartError> {
        if !config.is_front() {
            return Ok(());
        }
        let missing = MissingLog::because_of("the NATS servers have not answered yet");
        let monitored = self.not_durable.subscribe();
        let settings = ClusterSettings { monitored, ..config.cluster_settings() };
        let (listeners, retention) = (&self.listeners, config.retention());
        let open = async {
            loop {
                let settings = settings.clone();
                let open = move || JetStreamLog::open(&settings, Some(retention));
                match tokio::task::spawn_blocking(open).await {
                    Ok(Ok(log)) => break Ok(Arc::new(log)),
                    Ok(Err(ClusterFault::Unfit(text))) => break Err(StartError(text)),
                    Ok(Err(away)) => missing.because(&away),
                    Err(error) => break Err(StartError(error.to_string())),
                }
                tokio::time::sleep(CLUSTER_RETRY).await;
            }
        };
        tokio::pin!(open);
        let opened = match tokio::time::timeout(CLUSTER_AT_ONCE, &mut open).await {
            Ok(opened) => opened,
            Err(_) => {
                // Its standard output may have been closed.
                let guarded = config.access.is_some();
                let _ = announce(&self.addresses, self.connections, None, guarded, out);
                self.is_announced = true;
                tokio::select! {
                    opened = open => opened,
                    () = missing.tell(listeners.http.as_ref(), http_refusal) => unreachable!(),
                    () = missing.tell(listeners.tcp.as_ref(), line_refusal) => unreachable!(),
                    () = missing.tell_unix(listeners.unix.as_ref(), line_refusal) => unreachable!(),
                }
            }
        };
        self.log = Some(opened?);
        Ok(())
    }
}

/// Opens the log, and serves.
pub fn start(config: &Config, bound: Bound) -> Result<Server, StartError> {
    let audit = config.audit.as_deref().map(Audit::open).transpose().map_err(StartError)?;
    let audit = audit.unwrap_or_default();
    let Bound { listeners, addresses, connections, log, is_announced, .. } = bound;
    let (hub, files) = open(config, log)?;
    let metrics = Metrics::new(hub.commit_sizes().clone());
    let certificates = certificates(config, &addresses, &metrics)?;
    let proxies = Arc::new(Proxies::new(&config.trusted_proxies, &config.proxy_protocol));
    let acceptor = acceptor(config, connections, &metrics, &proxies).auditing(audit.clone());
    let gate = gate(config, hub.clone(), &addresses)?;
    let outbound = outbound(config, &acceptor);
    let gate = gate.charging(acceptor.visitors.clone()).auditing(audit);
    let gate = gate.mailing(mailer(config, &outbound)?);
    begin_keeping(&acceptor, &gate, &files, &hub);
    #[cfg(feature = "cluster")]
    begin_monitoring(config, bound.not_durable, &acceptor);
    let push = begin_relay(config, &gate, &outbound, &acceptor)?;
    let sessions = sessions(config, gate.clone(), metrics.clone(), &acceptor, connections);
    let app = App {
        lab: lab(config, &acceptor, &addresses, &proxies),
        config: sessions.clone(),
        addresses: addresses.clone(),
        connections,
        message_bytes: hub.limits().message_bytes,
        header_bytes: to_usize(config.header_bytes),
        gzip: GzipTurns::new(config.compressed_streams),
        poll_interval: config.poll_interval,
        credentials_ignored: Arc::new(Once::new()),
        proxy_unnamed: Arc::new(Once::new()),
        origins: origins(config, &addresses, &proxies),
        proxies: proxies.clone(),
        base_path: config.base_path.clone().into(),
        base_url: config.base_url.clone().map(Arc::new),
        files: files.clone(),
        outbound: outbound.clone(),
        push,
        templates: Arc::new(templates(config)?),
    };
    let http = Arc::new(Http::new(app));
    listen(listeners, http, &sessions, certificates.as_ref(), &acceptor, connections)?;
    tracing::info!(connections, ?addresses, "serving");
    let fingerprint = certificates.as_ref().and_then(|own| own.self_signed_fingerprint());
    Ok(Server {
        hub,
        files,
        gate,
        outbound,
        certificates,
        acceptor,
        grace: config.grace,
        connections,
        addresses,
        fingerprint,
        is_announced,
    })
}

/// Serves what connects to each of the listeners.
fn listen(
    listeners: Listeners,
    by_http: Arc<Http>,
    sessions: &Arc<SessionConfig>,
    certificates: Option<&Arc<Certificates>>,
    acceptor: &Acceptor,
    connections: usize,
) -> Result<(), StartError> {
    let by_tcp = Arc::new(LineService::new(sessions, Transport::Tcp));
    let by_unix = LineService::new(sessions, Transport::Unix);
    let refusals = RefusalTexts::new(connections, acceptor.visitors.limits());
    let Listeners { http, tcp, https, tcps, unix, udp } = listeners;
    if let Some(certificates) = certificates {
        let tls = Tls { certificates, metrics: &sessions.metrics, acceptor };
        let (by_http, by_tcp) = (by_http.clone(), by_tcp.clone());
        let serve = move |stream| by_http.clone().serve(stream);
        tls.listen(https, Listener::Https, Spoken::Http, refusals.http_over_tls, serve);
        let serve = move |stream| by_tcp.serve(stream);
        tls.listen(tcps, Listener::Tcps, Spoken::Lines, refusals.lines_over_tls, serve);
        acceptor.tasks.spawn(certificates.clone().watch(acceptor.stop.clone()));
    }
    let serve = move |stream| by_http.clone().serve(stream);
    acceptor.listen(http, Listener::Http, refusals.http, serve);
    let serve = move |stream| by_tcp.serve(stream);
    acceptor.listen(tcp, Listener::Tcp, refusals.lines.clone(), serve);
    acceptor.listen(unix, Listener::Unix, refusals.lines, move |stream| by_unix.serve(stream));
    listen_for_datagrams(udp, sessions.clone(), acceptor)
}

fn listen_for_datagrams(
    udp: Option<UdpSocket>,
    sessions: Arc<SessionConfig>,
    acceptor: &Acceptor,
) -> Result<(), StartError> {
    let Some(udp) = udp else { return Ok(()) };
    let (tasks, register) = (acceptor.tasks.clone(), acceptor.register.clone());
    let datagrams = Datagrams::new(udp, sessions, tasks, register).map_err(no_address)?;
    acceptor.tasks.spawn(datagrams.run());
    Ok(())
}

/// What accepts so many connections, and whose they are.
fn acceptor(
    config: &Config,
    connections: usize,
    metrics: &Arc<Metrics>,
    proxies: &Arc<Proxies>,
) -> Acceptor {
    let timeouts = Timeouts { write_deadline: config.write_deadline, keepalive: config.keepalive };
    // A program of this machine may do everything until somebody is told who may what, or others
    // come by way of this machine.
    let counts_loopback = config.access.is_some() || !proxies.are_none();
    let visitors = {
        let limits = config.visitors.limits(connections, config.retention_bytes);
        Visitors::new(limits, counts_loopback)
    };
    let acceptor = Acceptor::new(connections, visitors.clone(), metrics.clone(), timeouts);
    acceptor.tasks.spawn(visitors.keep(acceptor.stop.clone()));
    acceptor.behind(proxies, config.unfinished)
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

/// Whether packets can be captured, if they are to be.
fn check_trace(config: &Config, addresses: &Addresses) -> Result<(), StartError> {
    let port = addresses.http.or(addresses.tcp).map_or(0, |address| address.port());
    let checked = if config.trace { crate::lab::check_capture(port) } else { Ok(()) };
    checked.map_err(StartError)
}

/// The way out.
fn outbound(config: &Config, acceptor: &Acceptor) -> Outbound {
    let allowed = config.outbound.allowed();
    let outbound = Outbound::new(allowed, acceptor.tasks.clone(), acceptor.stop.clone());
    acceptor.tasks.spawn(outbound.clone().keep());
    outbound
}

/// What sends mail, if anything does.
fn mailer(config: &Config, outbound: &Outbound) -> Result<Option<Mailer>, StartError> {
    config.outbound.mailer(config.base_url.as_ref(), outbound).map_err(StartError)
}

/// Begins to tell others of messages; the browsers that are pushed to, if any may be.
fn begin_relay(
    config: &Config,
    gate: &Gate,
    outbound: &Outbound,
    acceptor: &Acceptor,
) -> Result<Option<Push>, StartError> {
    let folder = config.folder();
    let upstream = config.outbound.upstream(config.base_url.as_ref()).map_err(StartError)?;
    if upstream.is_none() && config.outbound.web_push.is_none() {
        folder.inspect(|folder| RelayProgress::forget(folder));
        return Ok(None);
    }
    let stop = acceptor.stop.clone();
    let (progress, file) =
        RelayProgress::open(folder, &gate.own(), stop.clone()).map_err(StartError)?;
    let after = progress.reached();
    let push = config.outbound.push(folder, gate, outbound, after).map_err(StartError)?;
    if let Some(push) = &push {
        acceptor.tasks.spawn(push.clone().keep(stop.clone()));
    }
    let relay = Relay::new(gate.clone(), outbound.clone(), upstream, push.clone(), progress);
    acceptor.tasks.spawn(relay.run(file, stop));
    Ok(push)
}

/// Begins to ask the servers that have the log, if it was said where.
#[cfg(feature = "cluster")]
fn begin_monitoring(
    config: &Config,
    not_durable: watch::Sender<Option<String>>,
    acceptor: &Acceptor,
) {
    let monitor = ClusterMonitor::new(config.cluster.cluster_monitor.clone(), not_durable);
    acceptor.tasks.spawn(monitor.keep(acceptor.stop.clone()));
}

/// Begins what is done beside serving.
fn begin_keeping(acceptor: &Acceptor, gate: &Gate, files: &Files, hub: &Hub) {
    let (tasks, stop) = (&acceptor.tasks, &acceptor.stop);
    tasks.spawn(gate.clone().keep(stop.clone()));
    tasks.spawn(files.clone().keep(stop.clone()));
    tasks.spawn(hub.clone().deliver_scheduled(stop.clone()));
}

/// Where datagrams are taken if no setting says it.
const UDP_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1990);

/// The listeners, bound.
#[derive(Debug)]
struct Listeners {
    http: Option<TcpListener>,
    tcp: Option<TcpListener>,
    udp: Option<UdpSocket>,
    https: Option<TcpListener>,
    tcps: Option<TcpListener>,
    unix: Option<UnixSocket>,
}

impl Listeners {
    fn bind(config: &Config, inherited: Inherited) -> Result<Self, StartError> {
        let (https, tcps) = config.tls.listeners();
        for (name, socket, setting) in
            [("https", &inherited.https, https), ("tcps", &inherited.tcps, tcps)]
        {
            if socket.is_some() && setting.is_none() {
                let text = format!(
                    "LISTEN_FDNAMES names {name}, which needs --{name}, and --tls-cert or \
                     --tls-self-signed"
                );
                return Err(StartError(text));
            }
        }
        let mut listeners = Self {
            http: bind("http", inherited.http, config.http)?,
            tcp: bind("tcp", inherited.tcp, config.tcp)?,
            udp: match inherited.udp {
                Some(socket) => Some(adopt_udp(socket).map_err(|error| unserved("udp", &error))?),
                None => config.udp.flatten().map(bind_datagrams).transpose()?,
            },
            https: bind("https", inherited.https, https)?,
            tcps: bind("tcps", inherited.tcps, tcps)?,
            unix: match (inherited.unix, &config.unix) {
                (Some(socket), _) => {
                    Some(UnixSocket::adopt(socket).map_err(|error| unserved("unix", &error))?)
                }
                (None, Some(path)) => Some(bind_unix(path, config.unix_mode)?),
                (None, None) => None,
            },
        };
        // Datagrams that nobody asked for are no reason to start, and none not to.
        if config.udp.is_none() && listeners.udp.is_none() && listeners.addresses().is_ok() {
            listeners.udp = bind_udp(UDP_DEFAULT)
                .inspect_err(|error| {
                    tracing::warn!(%error, "no UDP: {UDP_DEFAULT} cannot be had; see --udp");
                })
                .ok();
        }
        Ok(listeners)
    }

    /// Where they are, of which there is one at least.
    fn addresses(&self) -> Result<Addresses, StartError> {
        let addresses = Addresses {
            http: local_address(self.http.as_ref())?,
            tcp: local_address(self.tcp.as_ref())?,
            udp: self.udp.as_ref().map(UdpSocket::local_addr).transpose().map_err(no_address)?,
            https: local_address(self.https.as_ref())?,
            tcps: local_address(self.tcps.as_ref())?,
            unix: self.unix.as_ref().map(|socket| socket.path().to_owned()),
        };
        if addresses.named().next().is_none() {
            return Err(StartError("there is no listener: each is none".to_owned()));
        }
        Ok(addresses)
    }
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
            let folder = config.folder().map(Path::to_owned);
            let bound = [addresses.https, addresses.tcps].into_iter().flatten();
            Source::SelfSigned(SelfSigned::new(folder, bound.map(|address| address.ip())))
        }
    };
    let certificates = Certificates::load(source, tls_client_ca.clone(), metrics.clone());
    certificates.map(|certificates| Some(Arc::new(certificates))).map_err(StartError)
}

/// What all sessions of a server with these settings share.
pub fn sessions(
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
    let named = config.base_url.iter().map(|url| url.host().clone());
    let hosts = config.allow_host.iter().cloned().chain(named).collect();
    let own = [addresses.http, addresses.https].into_iter().flatten().map(|address| address.ip());
    Arc::new(Origins::new(&config.allow_origin, hosts, own, proxies.clone()))
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
    /// Opens the audit file again, and reads the access file and the certificates again.
    pub async fn reread(&self) {
        self.gate.audit().reopen().await;
        self.gate.reread().await;
        let Some(certificates) = self.certificates.clone() else { return };
        if let Err(error) = tokio::task::spawn_blocking(move || certificates.reread()).await {
            tracing::error!(%error, "the certificates could not be read again");
        }
    }

    /// Tells every session to end, waits for them within the grace, and closes the log. Returns how
    /// many tasks had not ended by then. `hurry` ends the wait at once.
    pub async fn stop(self, hurry: impl Future<Output = ()>) -> usize {
        let Self { hub, files, gate, outbound, acceptor, grace, .. } = self;
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
        outbound.tell();
        gate.audit().close().await;
        let closing = tokio::task::spawn_blocking(move || {
            hub.close();
            files.close();
        });
        if closing.await.is_err() {
            tracing::error!("the log was not closed cleanly");
        }
        left
    }

    /// Prints the line that says that the server is ready, and below it lines for a person to
    /// paste, if that was not done yet.
    pub fn announce(&self, out: impl Write) -> std::io::Result<()> {
        if self.is_announced {
            return Ok(());
        }
        let fingerprint = self.fingerprint.as_deref();
        announce(&self.addresses, self.connections, fingerprint, self.gate.has_access_file(), out)
    }
}

fn announce(
    addresses: &Addresses,
    connections: usize,
    fingerprint: Option<&str>,
    is_guarded: bool,
    mut out: impl Write,
) -> std::io::Result<()> {
    write!(out, "ready")?;
    for (name, at) in addresses.named() {
        write!(out, " {name}={at}")?;
    }
    writeln!(out)?;
    out.flush()?;
    let advice = advice(addresses, connections, fingerprint, is_guarded);
    out.write_all(advice.as_bytes())?;
    out.flush()
}

fn unserved(what: &str, error: &std::io::Error) -> StartError {
    StartError(format!("the socket of LISTEN_FDS for {what} cannot be served: {error}"))
}

fn bind(
    what: &str,
    inherited: Option<std::net::TcpListener>,
    address: Listen,
) -> Result<Option<TcpListener>, StartError> {
    if let Some(listener) = inherited {
        return adopt_tcp(listener).map(Some).map_err(|error| unserved(what, &error));
    }
    let Some(address) = address else { return Ok(None) };
    bind_tcp(address)
        .map(Some)
        .map_err(|error| StartError(format!("cannot listen on {address} ({what}): {error}")))
}

fn bind_unix(path: &Path, mode: SocketMode) -> Result<UnixSocket, StartError> {
    UnixSocket::bind(path, mode)
        .map_err(|error| StartError(format!("cannot listen on {} (unix): {error}", path.display())))
}

fn bind_datagrams(address: SocketAddr) -> Result<UdpSocket, StartError> {
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

fn templates(config: &Config) -> Result<Templates, StartError> {
    Templates::open(config.template_dir.as_deref()).map_err(|error| {
        let folder = config.template_dir.as_deref().unwrap_or(Path::new("")).display();
        StartError(format!("cannot read the folder of --template-dir {folder}: {error}"))
    })
}

/// Opens the log and what is kept beside it. What is on other machines is open already; beside it
/// a front keeps nothing.
fn open(config: &Config, log: Option<Arc<dyn Log>>) -> Result<(Hub, Files), StartError> {
    let retention = config.retention();
    let clock = Arc::new(SystemClock);
    let refused = |error: OpenError| StartError(error.to_string());
    let (log, schedule): (Arc<dyn Log>, _) = match (log, config.folder()) {
        (Some(log), _) => (log, Schedule::nowhere()),
        (None, None) => {
            (Arc::new(MemoryLog::new(retention)), Schedule::in_memory(config.schedule_max))
        }
        (None, Some(folder)) => {
            let sync = config.sync;
            let log = SegmentLog::open(folder, sync, retention, clock.clone()).map_err(refused)?;
            let schedule = Schedule::open(folder, sync, config.schedule_max, clock.now());
            (Arc::new(log), schedule.map_err(refused)?)
        }
    };
    let mut limits = config.files.limits();
    if config.is_front() {
        limits.total = 0;
    }
    let files = match config.folder() {
        None => Ok(Files::temporary(limits)),
        Some(folder) => {
            let is_synced = config.sync == Sync::Always;
            Files::open(
                &folder.join(FILES_FOLDER),
                is_synced,
                limits,
                log.as_ref(),
                &schedule.messages(),
            )
        }
    };
    let files = files.map_err(|error| StartError(format!("cannot use the files: {error}")))?;
    let room = PublishRoom { bytes: to_usize(config.inflight_bytes), wait: config.publish_wait };
    let hub = Hub::start(log.clone(), room, &retention, config.wire_limits(), clock, schedule)
        .map_err(|error| StartError(format!("cannot start the log's writer: {error}")))?;
    // Nobody is to see less than what was stored before.
    if let Err(error) = log.reach(u64::MAX) {
        tracing::warn!(%error, "not all that is stored can be seen yet");
    }
    Ok((hub, files))
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

/// What is said to those who are not served.
struct RefusalTexts {
    /// There is no room.
    lines: Refusals,
    http: Refusals,
    /// They do not speak TLS where it is spoken.
    lines_over_tls: String,
    http_over_tls: String,
}

impl RefusalTexts {
    fn new(connections: usize, limits: &VisitorLimits) -> Self {
        let at_all = full(connections);
        let of_visitor = limits.no_more_connections();
        let no_room = |refusal: fn(&Error) -> String| Refusals {
            at_all: refusal(&at_all).into(),
            of_visitor: refusal(&of_visitor).into(),
        };
        let encrypted = |scheme| {
            let text = format!("TLS is spoken here: the address begins with {scheme}");
            Error::new(Code::BadRequest, text)
        };
        Self {
            lines: no_room(line_refusal),
            http: no_room(http_refusal),
            lines_over_tls: line_refusal(&encrypted("tcps://")),
            http_over_tls: http_refusal(&encrypted("https://")),
        }
    }
}

/// An answer to a request that was not read.
fn http_refusal(error: &Error) -> String {
    let body = serde_json::to_string(&error.body()).unwrap_or_default();
    let status = match error.code().status() {
        400 => "400 Bad Request".to_owned(),
        429 => format!(
            "429 Too Many Requests
retry-after: {RETRY_AFTER_SECONDS}"
        ),
        _ => format!(
            "503 Service Unavailable
retry-after: {RETRY_AFTER_SECONDS}"
        ),
    };
    format!(
        "HTTP/1.1 {status}
content-type: application/json
\
         connection: close
content-length: {}

{body}
",
        body.len() + 1
    )
}

/// An event for a client that was not heard.
fn line_refusal(error: &Error) -> String {
    format!(
        "{}
",
        Event::error(error, unix_micros()).to_json()
    )
}
