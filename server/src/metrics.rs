//! What the server counts, for `/metrics` and `/v1/stats`.

mod exposition;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use doorbell_protocol::Code;
pub use doorbell_protocol::Transport;

pub use self::exposition::Exposition;
use crate::counters::{Delays, SharedCounter, Sizes};
use crate::log::{Bounds, Remote, Storage};
use crate::message::Message;
use crate::outbound::Outbound;
use crate::visitors::Visitors;

/// Which listener a socket came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the listener of that name")]
pub enum Listener {
    Http,
    Tcp,
    Unix,
    Udp,
    Https,
    Tcps,
}

impl Listener {
    const ALL: [Self; 6] = [Self::Http, Self::Tcp, Self::Unix, Self::Udp, Self::Https, Self::Tcps];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Unix => "unix",
            Self::Udp => "udp",
            Self::Https => "https",
            Self::Tcps => "tcps",
        }
    }
}

/// What came of a TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "all that can come of one")]
pub enum Handshake {
    /// An encrypted stream.
    Done,
    /// It was not over in time.
    Late,
    /// The client does not speak TLS.
    Plain,
    /// One side broke the rules, or did not accept the other's certificate.
    Refused,
    /// The connection broke or was closed.
    Broken,
}

impl Handshake {
    const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Late => "late",
            Self::Plain => "plain",
            Self::Refused => "refused",
            Self::Broken => "broken",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandshakeLabel {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NoLabels {}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TransportLabel {
    transport: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SocketLabel {
    listener: &'static str,
    direction: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabel {
    bucket: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrandLabel {
    errand: &'static str,
    outcome: &'static str,
}

/// The counters of one transport.
#[derive(Debug, Clone)]
pub struct TransportMetrics {
    /// Messages handed to sockets.
    pub deliveries: SharedCounter,
    /// Bytes of those, in the transport's framing and without its headers.
    pub bytes: SharedCounter,
    /// Readers that are connected now.
    pub connections: Gauge,
    /// Gaps that were told.
    pub gaps: Counter,
    /// From the acceptance of a message to its write.
    delay: Delays,
    /// Messages of each write to a reader.
    handout: Sizes,
}

impl TransportMetrics {
    /// Notes the same write to so many readers: its messages, bytes and gaps. Delays are those of
    /// messages accepted after `reader_since`: what was history when the reader came says nothing
    /// about them.
    pub fn delivered(
        &self,
        readers: u64,
        messages: &[Message],
        bytes: usize,
        gaps: usize,
        reader_since: Instant,
    ) {
        self.deliveries.inc_by(readers * messages.len() as u64);
        self.bytes.inc_by(readers * bytes as u64);
        self.handout.observe(messages.len(), readers);
        if gaps > 0 {
            self.gaps.inc_by(readers * gaps as u64);
        }
        let now = Instant::now();
        let accepted = messages.iter().filter_map(Message::accepted);
        for accepted in accepted.filter(|accepted| *accepted >= reader_since) {
            self.delay.observe(now.duration_since(accepted), readers);
        }
    }

    /// Counts a reader as connected until the guard is dropped.
    pub fn connected(&self) -> Connected {
        self.connections.inc();
        Connected(self.connections.clone())
    }
}

/// A connected reader.
#[derive(Debug)]
pub struct Connected(Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Bytes of one listener's sockets.
#[derive(Debug, Clone)]
pub struct SocketBytes {
    /// From clients.
    pub received: SharedCounter,
    /// To clients.
    pub sent: SharedCounter,
}

/// What is counted of TLS. Nothing is told of certificates where there are none.
#[derive(Debug, Default)]
struct TlsMetrics {
    handshakes: Family<HandshakeLabel, Counter>,
    days_left: Family<NoLabels, Gauge>,
    refused: Family<NoLabels, Gauge>,
}

impl TlsMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let (handshakes, days_left) = (metrics.handshakes.clone(), metrics.days_left.clone());
        registry.register("tls_handshakes", "TLS handshakes by what came of them", handshakes);
        let help = "Days until the TLS certificate ends";
        registry.register("tls_certificate_days_left", help, days_left);
        let help = "Whether the TLS files are wrong, and what was read before is served";
        registry.register("tls_certificates_refused", help, metrics.refused.clone());
        metrics
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabel {
    reason: &'static str,
}

/// What is counted of rights. Nothing is told of an access file where there is none.
#[derive(Debug, Default)]
struct AccessMetrics {
    refused: Family<RefusalLabel, Counter>,
    generation: Family<NoLabels, Gauge>,
    broken: Family<NoLabels, Gauge>,
}

impl AccessMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help = "Refusals of clients by their credential or for want of a right";
        registry.register("refused", help, metrics.refused.clone());
        let help = "Access files that were taken since the start";
        registry.register("access_generation", help, metrics.generation.clone());
        let help = "Whether the access file is broken, and what was read before holds";
        registry.register("access_file_broken", help, metrics.broken.clone());
        metrics
    }
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// When the server started.
    pub started: Instant,
    /// Messages accepted.
    pub publishes: Counter,
    /// Publishes refused, for whatever reason.
    pub publishes_refused: Counter,
    /// Poll and long poll answers.
    pub polls: Counter,
    /// Those of them without a message.
    pub polls_empty: Counter,
    /// Connections turned away because the server was full.
    pub connections_refused: Counter,
    /// Sockets that are open.
    pub sockets: Gauge,
    limited: Family<LimitLabel, Counter>,
    visitors: Gauge,
    topics: Gauge,
    files: Gauge,
    file_bytes: Gauge,
    outbound: Family<ErrandLabel, Counter>,
    log: LogMetrics,
    cluster: ClusterMetrics,
    tls: TlsMetrics,
    access: AccessMetrics,
    transports: [TransportMetrics; Transport::ALL.len()],
    listeners: [SocketBytes; Listener::ALL.len()],
}

/// How it stands with the log.
#[derive(Debug, Default)]
struct LogMetrics {
    bytes: Gauge<u64, AtomicU64>,
    messages: Gauge<u64, AtomicU64>,
    segments: Gauge<u64, AtomicU64>,
    oldest: Gauge<f64, AtomicU64>,
    unsynced: Gauge<u64, AtomicU64>,
    sync_lag: Gauge<f64, AtomicU64>,
    longest_append: Gauge<f64, AtomicU64>,
}

impl LogMetrics {
    fn register(registry: &mut Registry) -> Self {
        let own = Self::default();
        registry.register_with_unit("held", "Bytes held", Unit::Bytes, own.bytes.clone());
        registry.register("held_messages", "Messages held at most", own.messages.clone());
        registry.register("log_segments", "Files of the log", own.segments.clone());
        let text = "When the oldest message was accepted, in unix time";
        registry.register_with_unit("log_oldest", text, Unit::Seconds, own.oldest.clone());
        let text = "Bytes that a machine that died would lose";
        registry.register_with_unit("log_unsynced", text, Unit::Bytes, own.unsynced.clone());
        let text = "Time since the last sync, if there is something to sync";
        registry.register_with_unit("log_sync_lag", text, Unit::Seconds, own.sync_lag.clone());
        let (text, longest) =
            ("The longest time that a batch took to be stored", &own.longest_append);
        registry.register_with_unit("log_append_longest", text, Unit::Seconds, longest.clone());
        own
    }

    fn set(&self, bounds: Bounds, storage: Option<Storage>) {
        self.bytes.set(bounds.bytes);
        self.messages.set((bounds.last + 1).saturating_sub(bounds.first));
        let Some(storage) = storage else { return };
        self.segments.set(storage.segments as u64);
        let oldest = Duration::from_micros(storage.oldest_us.unwrap_or_default());
        self.oldest.set(oldest.as_secs_f64());
        self.unsynced.set(storage.unsynced_bytes);
        self.sync_lag.set(storage.sync_lag.as_secs_f64());
        self.longest_append.set(storage.longest_append.as_secs_f64());
    }
}

/// How it stands with a log on other machines; there only if it is on some.
#[derive(Debug, Default)]
struct ClusterMetrics {
    reachable: Family<NoLabels, Gauge>,
    lag: Family<NoLabels, Gauge>,
    silence: Family<NoLabels, Gauge<f64, AtomicU64>>,
    not_durable: Family<NoLabels, Gauge>,
    fills: Family<NoLabels, Counter>,
    retries: Family<NoLabels, Counter>,
    outages: Family<NoLabels, Counter>,
}

impl ClusterMetrics {
    fn register(registry: &mut Registry) -> Self {
        let own = Self::default();
        let text = "Whether the machines that have the log are within reach";
        registry.register("cluster_reachable", text, own.reachable.clone());
        let text = "Messages that are stored and not told here yet";
        registry.register("cluster_lag_messages", text, own.lag.clone());
        let text = "Time since the stream's leader last answered";
        registry.register_with_unit("cluster_silence", text, Unit::Seconds, own.silence.clone());
        let text =
            "Whether some machine is known not to sync each message before it is acknowledged";
        registry.register("cluster_not_durable", text, own.not_durable.clone());
        let text = "Times that messages were fetched which did not come by themselves";
        registry.register("cluster_fills", text, own.fills.clone());
        let text = "Times that a batch was sent again";
        registry.register("cluster_retries", text, own.retries.clone());
        let text = "Times out of reach that are over";
        registry.register("cluster_outages", text, own.outages.clone());
        own
    }

    fn set(&self, remote: &Remote, is_out_of_reach: bool) {
        let none = NoLabels {};
        self.reachable.get_or_create(&none).set((!is_out_of_reach).into());
        self.lag.get_or_create(&none).set(i64::try_from(remote.lag).unwrap_or(i64::MAX));
        self.silence.get_or_create(&none).set(remote.silence.as_secs_f64());
        self.not_durable.get_or_create(&none).set(remote.not_durable.is_some().into());
        for (counter, count) in [
            (&self.fills, remote.fills),
            (&self.retries, remote.retries),
            (&self.outages, remote.outages),
        ] {
            counter.get_or_create(&none).inner().store(count, Ordering::Relaxed);
        }
    }
}

impl Metrics {
    /// Counters that stand at zero. What each commit stores is counted by the writer.
    pub fn new(commits: Sizes) -> Arc<Self> {
        let mut registry = Registry::with_prefix("doorbell");
        let deliveries = Family::<TransportLabel, SharedCounter>::default();
        let bytes = Family::<TransportLabel, SharedCounter>::default();
        let connections = Family::<TransportLabel, Gauge>::default();
        let gaps = Family::<TransportLabel, Counter>::default();
        let delay = Family::<TransportLabel, Delays>::default();
        let handout = Family::<TransportLabel, Sizes>::default();
        let sockets = Family::<SocketLabel, SharedCounter>::default();
        let transports = Transport::ALL.map(|transport| {
            let label = TransportLabel { transport: transport.metric_name() };
            TransportMetrics {
                deliveries: deliveries.get_or_create(&label).clone(),
                bytes: bytes.get_or_create(&label).clone(),
                connections: connections.get_or_create(&label).clone(),
                gaps: gaps.get_or_create(&label).clone(),
                delay: delay.get_or_create(&label).clone(),
                handout: handout.get_or_create(&label).clone(),
            }
        });
        let listeners = Listener::ALL.map(|listener| {
            let counter = |direction| {
                sockets.get_or_create(&SocketLabel { listener: listener.name(), direction }).clone()
            };
            SocketBytes { received: counter("in"), sent: counter("out") }
        });
        registry.register("deliveries", "Messages handed to sockets", deliveries);
        registry.register_with_unit("delivered", "Bytes of delivered messages", Unit::Bytes, bytes);
        registry.register("readers", "Readers connected now", connections);
        registry.register("gaps", "Gaps told to readers", gaps);
        registry.register_with_unit(
            "delivery_delay",
            "From the acceptance of a message to its write",
            Unit::Seconds,
            delay,
        );
        registry.register("handout_messages", "Messages of each write to a reader", handout);
        registry.register("commit_messages", "Messages that were stored at once", commits);
        registry.register_with_unit("socket", "Bytes of sockets", Unit::Bytes, sockets);
        Self::with_totals(registry, transports, listeners)
    }

    fn with_totals(
        mut registry: Registry,
        transports: [TransportMetrics; Transport::ALL.len()],
        listeners: [SocketBytes; Listener::ALL.len()],
    ) -> Arc<Self> {
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let publishes = counter("publishes", "Messages accepted");
        let publishes_refused = counter("publishes_refused", "Publishes refused");
        let polls = counter("polls", "Poll and long poll answers");
        let polls_empty = counter("polls_empty", "Poll and long poll answers without a message");
        let connections_refused = counter("connections_refused", "Connections turned away");
        let tls = TlsMetrics::register(&mut registry);
        let access = AccessMetrics::register(&mut registry);
        let limited = Family::<LimitLabel, Counter>::default();
        registry.register("limited", "Times a limit of one visitor was passed", limited.clone());
        let visitors = Gauge::default();
        registry.register("visitors", "Addresses with limits not at rest", visitors.clone());
        let sockets = Gauge::default();
        let topics = Gauge::default();
        registry.register("sockets", "Sockets open now", sockets.clone());
        registry.register("topics", "Topics known", topics.clone());
        let files = Gauge::default();
        registry.register("files", "Files that are kept", files.clone());
        let file_bytes = Gauge::default();
        let help = "Bytes that files take of the room for all";
        registry.register_with_unit("files", help, Unit::Bytes, file_bytes.clone());
        let outbound = Family::<ErrandLabel, Counter>::default();
        let help = "Calls to others, by what they are for and what became of them";
        registry.register("outbound", help, outbound.clone());
        let log = LogMetrics::register(&mut registry);
        let cluster = ClusterMetrics::register(&mut registry);
        Arc::new(Self {
            registry,
            started: Instant::now(),
            publishes,
            publishes_refused,
            polls,
            polls_empty,
            connections_refused,
            sockets,
            limited,
            visitors,
            topics,
            files,
            file_bytes,
            outbound,
            log,
            cluster,
            tls,
            access,
            transports,
            listeners,
        })
    }

    /// The counters of a transport.
    pub fn of(&self, transport: Transport) -> &TransportMetrics {
        &self.transports[transport as usize]
    }

    /// The byte counters of a listener.
    pub fn socket_bytes(&self, listener: Listener) -> &SocketBytes {
        &self.listeners[listener as usize]
    }

    /// Notes what came of a TLS handshake.
    pub fn handshake(&self, result: Handshake) {
        self.tls.handshakes.get_or_create(&HandshakeLabel { result: result.name() }).inc();
    }

    /// Notes how it stands with the machines that have the log.
    pub fn cluster(&self, remote: &Remote, is_out_of_reach: bool) {
        self.cluster.set(remote, is_out_of_reach);
    }

    /// Notes for how many days the certificate is good.
    pub fn certificate_days_left(&self, days: i64) {
        self.tls.days_left.get_or_create(&NoLabels {}).set(days);
    }

    /// Notes whether the files of TLS are wrong, so that what was read before is served.
    pub fn certificates_refused(&self, are_refused: bool) {
        self.tls.refused.get_or_create(&NoLabels {}).set(are_refused.into());
    }

    /// Notes a refusal, if it is for want of a credential or a right; false if it is not.
    pub fn refused(&self, code: Code) -> bool {
        let reason = match code {
            Code::Unauthorized => "unauthorized",
            Code::Forbidden => "forbidden",
            _ => return false,
        };
        self.access.refused.get_or_create(&RefusalLabel { reason }).inc();
        true
    }

    /// Notes how many access files were taken, and whether the newest was not.
    pub fn access_file(&self, generation: u64, is_broken: bool) {
        let generation = i64::try_from(generation).unwrap_or(i64::MAX);
        self.access.generation.get_or_create(&NoLabels {}).set(generation);
        self.access.broken.get_or_create(&NoLabels {}).set(is_broken.into());
    }

    /// Notes how many files are kept, and what they take of the room for all.
    pub fn files(&self, files: usize, bytes: u64) {
        self.files.set(i64::try_from(files).unwrap_or(i64::MAX));
        self.file_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Notes what became of the errands of the way out.
    pub fn outbound(&self, outbound: &Outbound) {
        for (errand, outcome, count) in outbound.counts() {
            let label = ErrandLabel { errand: errand.name(), outcome: outcome.name() };
            self.outbound.get_or_create(&label).inner().store(count, Ordering::Relaxed);
        }
    }

    /// Notes a publish that was stored, or refused.
    pub fn published(&self, stored: bool) {
        if stored {
            self.publishes.inc()
        } else {
            self.publishes_refused.inc()
        };
    }

    /// How long the server has been running.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// The text of `/metrics`, with what the log holds at this moment, how many topics it knows and
    /// what visitors have had.
    pub fn encode(
        &self,
        exposition: Exposition,
        bounds: Bounds,
        storage: Option<Storage>,
        topics: usize,
        visitors: &Visitors,
    ) -> Result<String, std::fmt::Error> {
        for (bucket, count) in visitors.limited() {
            let counter = self.limited.get_or_create(&LimitLabel { bucket });
            counter.inner().store(count, Ordering::Relaxed);
        }
        self.visitors.set(i64::try_from(visitors.len()).unwrap_or(i64::MAX));
        self.topics.set(i64::try_from(topics).unwrap_or(i64::MAX));
        self.log.set(bounds, storage);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(exposition.of(text))
    }

    /// Sum of all deliveries so far.
    pub fn deliveries(&self) -> u64 {
        self.transports.iter().map(|transport| transport.deliveries.get()).sum()
    }
}
