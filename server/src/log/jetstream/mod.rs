//! The log of several machines: a replicated stream of NATS JetStream, of which this server is a
//! front that keeps nothing.
//!
//! ```text
//!   append ── one atomic batch ──▶ stream ── each message that is stored ──▶ every front
//!      ▲                             │                                          │ follow
//!      └──── answered when told ─────┼──────────────────────────────────────────┤
//!   read  ◀── direct get ────────────┘                                          ▼ feed
//! ```
//!
//! A seq is the place in the stream, given by its leader. Whoever appended a message, it comes back
//! over the tail ([`follow`]), which brings all of it into one order and tells the feed. Publishers
//! are answered when their own messages have come so. Nothing of a front is needed by another.
//!
//! It runs in a runtime of its own, on one thread: whoever calls an engine may block.

mod client;
mod follow;
mod heads;
mod own;
mod payload;
mod publish;
mod read;
mod stream;
#[cfg(test)]
pub(in crate::log) mod tests;

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::stream::Info;
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerAddr, Subscriber};
use doorbell_protocol::Topic;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use self::client::{SourceFault, StreamClient};
use self::follow::ASK_AGAIN;
use self::own::Own;
use self::payload::{BESIDE_BYTES_MAX, Chain};
use self::publish::{BATCH_MAX, OutgoingMessage, Tried};
use self::stream::Names;
use super::epochs::next;
use super::{
    Bounds, Entry, Epochs, Feed, Heads, Log, LogError, Owner, Page, Query, Remote, Retention, Span,
};
use crate::clock::{Now, unix_micros};
use crate::limits::{TAIL_MESSAGES_MAX, TOPICS_REMEMBERED_MAX};
use crate::message::Message;

/// Where the cluster is, and what of it is ours.
#[derive(Debug, Clone)]
pub struct ClusterSettings {
    /// The addresses of its servers.
    pub servers: Vec<ServerAddr>,
    /// The name of the stream.
    pub stream: String,
    /// How many servers hold each message.
    pub replicas: usize,
    /// A file of credentials, as NATS makes them.
    pub credentials: Option<PathBuf>,
    /// A certificate authority that is trusted beside those of the system.
    pub ca: Option<PathBuf>,
    /// Bytes of a message text.
    pub message_bytes: usize,
    /// How long a publish is tried.
    pub publish_wait: Duration,
}

/// Why the log is not open.
#[derive(Debug, thiserror::Error)]
pub enum ClusterFault {
    /// The cluster is not there, or not ready: it may be later.
    #[error("{0}")]
    Away(String),
    /// It will not do.
    #[error("{0}")]
    Unfit(String),
}

impl From<SourceFault> for ClusterFault {
    fn from(fault: SourceFault) -> Self {
        match fault {
            SourceFault::Away(text) => Self::Away(text),
            SourceFault::Refused { text, .. } => Self::Unfit(text),
        }
    }
}

/// Versions of nats-server: the first that stores a batch whole, and the first that can sync each
/// message to the disks of a replicated stream at a price that is worth it.
const VERSION_MIN: (u32, u32) = (2, 12);
const VERSION_DURABLE: (u32, u32) = (2, 15);
/// A server that is frozen is noticed after twice this time.
const PING_EVERY: Duration = Duration::from_secs(2);
/// Live messages that wait for the tail: what is beyond is fetched.
const LIVE_WAITING_MAX: usize = 65_536;
/// Messages that a new front has in memory from the start, for those who come back to it.
const WARM_MESSAGES: u64 = TAIL_MESSAGES_MAX as u64 / 4;
/// What was stored comes by the tail within this time, or it is looked for.
const TOLD_WITHIN: Duration = Duration::from_millis(200);
/// How long the first contact may take.
const CONNECT_WAIT: Duration = Duration::from_secs(3);

/// A log that is a stream of a cluster.
#[derive(Debug)]
pub struct JetStreamLog {
    shared: Arc<Shared>,
    /// Taken when it is closed.
    runtime: Mutex<Option<Runtime>>,
    /// What the tail begins with, until it does.
    tail: Mutex<Option<(Subscriber, u64)>>,
}

#[derive(Debug)]
struct Shared {
    source: StreamClient,
    epochs: Epochs,
    /// The stream that this log is, by when it was made.
    created: String,
    /// After how long the stream lets go of a message.
    retention_age: Duration,
    replicas: usize,
    publish_wait: Duration,
    heads: Heads,
    /// What the heads had when they were read: older messages that are told do not change them.
    heads_known: AtomicU64,
    /// Locked while something is told.
    feed: Mutex<Option<Arc<dyn Feed>>>,
    /// Everything up to here was told to the feed.
    told: watch::Sender<u64>,
    /// Where the stream ends, as far as anybody knows.
    end: watch::Sender<u64>,
    /// Asks for a look at the stream.
    looks: watch::Sender<u64>,
    /// Where it begins, and the bytes that it holds.
    first: AtomicU64,
    bytes: AtomicU64,
    /// Retention let go of messages up to here before this front was told of them.
    untold: AtomicU64,
    own: Own,
    contact: Mutex<Contact>,
    counters: Counters,
    /// Whether what is acknowledged survives the loss of power everywhere, and if not, why.
    not_durable: Option<String>,
    failure: OnceLock<String>,
}

/// When the stream's leader last answered.
#[derive(Debug)]
struct Contact {
    last: Instant,
    /// Why nothing can be stored now.
    outage: Option<String>,
}

#[derive(Debug, Default)]
struct Counters {
    fills: AtomicU64,
    retries: AtomicU64,
    outages: AtomicU64,
}

impl JetStreamLog {
    /// Connects and opens the stream. With a retention it is made if it is not there, and has that
    /// from now on; without one it is opened as it is. One try.
    ///
    /// # Errors
    ///
    /// The cluster is not there, or it will not do.
    pub fn open(
        settings: &ClusterSettings,
        retention: Option<Retention>,
    ) -> Result<Self, ClusterFault> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("log-cluster")
            .enable_all()
            .build()
            .map_err(|error| ClusterFault::Unfit(error.to_string()))?;
        let opened = runtime.block_on(async {
            let (looks, asked) = watch::channel(0);
            let client = connect(settings, looks.clone()).await?;
            Shared::open(client, settings, retention, looks, asked).await
        });
        let (shared, tail) = match opened {
            Ok(opened) => opened,
            Err(fault) => {
                runtime.shutdown_background();
                return Err(fault);
            }
        };
        Ok(Self { shared, runtime: Mutex::new(Some(runtime)), tail: Mutex::new(Some(tail)) })
    }

    /// Begins the tail, if that was not done yet: with its feed if it has one, so that a new front
    /// is told of the newest messages that there were before it.
    fn begin_tail(&self) {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner).take();
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some((live, from)), Some(runtime)) = (tail, &*runtime) {
            #[allow(clippy::disallowed_methods, reason = "it ends with the log's own runtime")]
            runtime.spawn(follow::follow(self.shared.clone(), live, from));
        }
    }

    /// Does something in the log's own runtime, and waits for it.
    fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, LogError> {
        let (sender, receiver) = std::sync::mpsc::channel();
        self.begin_tail();
        {
            let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
            let runtime = runtime.as_ref().ok_or(LogError::Closed)?;
            #[allow(clippy::disallowed_methods, reason = "it is waited for, or ends with the log")]
            runtime.spawn(async move {
                let _ = sender.send(work.await);
            });
        }
        receiver.recv().map_err(|_| LogError::Closed)
    }
}

/// Connects to one of the servers.
async fn connect(
    settings: &ClusterSettings,
    looks: watch::Sender<u64>,
) -> Result<Client, ClusterFault> {
    let mut options = ConnectOptions::new()
        .name("doorbell")
        .ping_interval(PING_EVERY)
        .connection_timeout(CONNECT_WAIT)
        .subscription_capacity(LIVE_WAITING_MAX)
        .event_callback(move |event| {
            tracing::debug!(%event, "the connection to the cluster");
            let is_news =
                matches!(event, Event::Connected | Event::Disconnected | Event::SlowConsumer(_));
            if is_news {
                looks.send_modify(|looks| *looks += 1);
            }
            async {}
        });
    // An address may name a user, as addresses do.
    let user = settings
        .servers
        .iter()
        .find_map(|server| Some((server.username()?.to_owned(), server.password()?.to_owned())));
    if let Some((user, password)) = user {
        options = options.user_and_password(user, password);
    }
    if let Some(path) = &settings.credentials {
        options = options.credentials_file(path).await.map_err(|error| {
            let path = path.display();
            ClusterFault::Unfit(format!("the credentials {path} cannot be read: {error}"))
        })?;
    }
    if let Some(path) = &settings.ca {
        options = options.add_root_certificates(path.clone());
    }
    options.connect(&settings.servers[..]).await.map_err(|error| match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            ClusterFault::Unfit(format!("the NATS servers refuse the credentials: {error}"))
        }
        ConnectErrorKind::ServerParse | ConnectErrorKind::Tls => {
            ClusterFault::Unfit(error.to_string())
        }
        _ => ClusterFault::Away(format!("no NATS server answers: {error}")),
    })
}

/// The first two numbers of a version.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

impl Shared {
    async fn open(
        client: Client,
        settings: &ClusterSettings,
        retention: Option<Retention>,
        looks: watch::Sender<u64>,
        asked: watch::Receiver<u64>,
    ) -> Result<(Arc<Self>, (Subscriber, u64)), ClusterFault> {
        let server = client.server_info();
        check_server(&server, settings)?;
        let not_durable = version(&server.version).is_none_or(|own| own < VERSION_DURABLE);
        let not_durable = not_durable.then(|| {
            let version = &server.version;
            format!("nats-server {version} does not sync each message: 2.15 with sync_interval: always does")
        });
        let source = StreamClient::new(client, Names { stream: settings.stream.clone() });
        let info = opened_stream(&source, settings, retention.as_ref()).await?;
        let epochs = stream::epochs(&info.config).map_err(ClusterFault::Unfit)?;
        // Before the end is asked for: what comes after that is told live.
        let live = source.client.subscribe(source.names.all_live()).await;
        let live = live.map_err(|error| ClusterFault::Away(error.to_string()))?;
        let shared = Arc::new(Self {
            epochs,
            created: info.created.to_string(),
            retention_age: info.config.max_age,
            replicas: settings.replicas,
            publish_wait: settings.publish_wait,
            heads: Heads::default(),
            heads_known: AtomicU64::new(0),
            feed: Mutex::default(),
            told: watch::Sender::new(0),
            end: watch::Sender::new(0),
            looks,
            first: AtomicU64::new(info.state.first_sequence.max(1)),
            bytes: AtomicU64::new(info.state.bytes),
            untold: AtomicU64::new(0),
            own: Own::new(),
            contact: Mutex::new(Contact { last: Instant::now(), outage: None }),
            counters: Counters::default(),
            not_durable,
            failure: OnceLock::new(),
            source,
        });
        if let Some(text) = &shared.not_durable {
            tracing::warn!("{text}");
        }
        let known = shared.read_heads().await?;
        shared.heads_known.store(known, Ordering::Relaxed);
        let info = shared.source.info().await?;
        let info = info.ok_or_else(|| ClusterFault::Away("the stream is gone".to_owned()))?;
        shared.note_state(&info);
        let (first, last) = (info.state.first_sequence.max(1), info.state.last_sequence);
        shared.heads.restore_forgotten(first - 1);
        // All that the heads have is told before anybody asks for it.
        let from = known.min(last.saturating_sub(WARM_MESSAGES)).max(first - 1);
        shared.told.send_replace(from);
        shared.end.send_modify(|end| *end = known.max(last).max(*end));
        #[allow(clippy::disallowed_methods, reason = "it ends with the log's own runtime")]
        tokio::spawn(follow::look(shared.clone(), asked));
        Ok((shared, (live, from)))
    }

    /// Stores a batch of at most as many messages as the stream takes at once.
    async fn store(&self, batch: Vec<OutgoingMessage>) -> Result<Vec<Message>, LogError> {
        let until = Instant::now() + self.publish_wait;
        let (name, mut told) = self.own.begin(batch.len());
        for attempt in 0.. {
            if let Some(failure) = self.failure.get() {
                return Err(LogError::Failed(failure.clone()));
            }
            let tried = tokio::select! {
                biased;
                messages = &mut told => return messages.map_err(|_| LogError::Closed),
                tried = publish::send(&self.source, &name, attempt, &batch) => tried,
            };
            let why = match tried {
                Tried::Stored => return self.until_told(told, until).await,
                Tried::Full => return Err(LogError::Full),
                Tried::Refused(text) => return Err(LogError::Refused(text)),
                Tried::Again(why) => why,
            };
            self.counters.retries.fetch_add(1, Ordering::Relaxed);
            // It may have been stored all the same, and come by the tail.
            if let Ok(messages) = timeout(ASK_AGAIN, &mut told).await {
                return messages.map_err(|_| LogError::Closed);
            }
            if Instant::now() > until {
                return Err(LogError::Unreachable(why));
            }
        }
        Err(LogError::Closed)
    }

    /// Waits for what was stored to come by the tail, as it does at once unless it was lost on its
    /// way.
    async fn until_told(
        &self,
        mut told: oneshot::Receiver<Vec<Message>>,
        until: Instant,
    ) -> Result<Vec<Message>, LogError> {
        loop {
            if let Ok(messages) = timeout(TOLD_WITHIN, &mut told).await {
                return messages.map_err(|_| LogError::Closed);
            }
            if Instant::now() > until {
                let text = "it was stored, and is not told here yet".to_owned();
                return Err(LogError::Unreachable(text));
            }
            self.looks.send_modify(|looks| *looks += 1);
        }
    }

    /// What is stored of these entries, in their order.
    fn outgoing(&self, entries: &[Entry], now: Now) -> Vec<OutgoingMessage> {
        let age_us = u64::try_from(self.retention_age.as_micros()).unwrap_or(u64::MAX);
        let expires = now.unix_us.saturating_add(age_us) / 1_000_000;
        let as_of = *self.told.borrow();
        let topics = entries.iter().map(|entry| &entry.draft.topic);
        let mut latest: HashMap<&Topic, usize> = HashMap::with_capacity(entries.len());
        let mut outgoing = Vec::with_capacity(entries.len());
        for (index, (entry, topic)) in entries.iter().zip(topics).enumerate() {
            let chain = match latest.insert(topic, index) {
                Some(before) => Chain::Within((index - before) as u64),
                None => {
                    let newest = self.heads.get(topic).map_or(0, |head| head.newest);
                    Chain::Known { newest, as_of }
                }
            };
            let payload =
                payload::write(&entry.draft, now.unix_us, Some(expires), chain, &entry.owner);
            outgoing.push(OutgoingMessage::new(&entry.draft, payload));
        }
        outgoing
    }

    fn bounds(&self) -> Bounds {
        let last = *self.told.borrow();
        let first = self.first.load(Ordering::Acquire).min(last + 1);
        Bounds { first, last, bytes: self.bytes.load(Ordering::Relaxed) }
    }

    fn feed(&self) -> MutexGuard<'_, Option<Arc<dyn Feed>>> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn untold_through(&self) -> u64 {
        self.untold.load(Ordering::Acquire)
    }

    /// Takes over what the leader says of the stream.
    fn note_state(&self, info: &Info) {
        let state = &info.state;
        self.bytes.store(state.bytes, Ordering::Relaxed);
        self.end.send_if_modified(|end| {
            let is_news = state.last_sequence > *end;
            *end = state.last_sequence.max(*end);
            is_news
        });
        let first = state.first_sequence.max(1);
        if self.first.fetch_max(first, Ordering::AcqRel) < first {
            self.let_go(first);
        }
    }

    /// Retention let go of what is before a place.
    fn let_go(&self, first: u64) {
        let mut gone = Vec::new();
        self.heads.for_each(|topic, head| {
            if head.newest < first && head.newest > head.expired {
                gone.push((topic.clone(), head.newest));
            }
        });
        let mut gone = gone.iter().map(|(topic, newest)| (topic, *newest));
        loop {
            let (forgotten, _) = self.heads.expire(gone.by_ref(), TOPICS_REMEMBERED_MAX);
            if forgotten.is_empty() {
                break;
            }
        }
        self.feed().iter().for_each(|feed| feed.trim(first));
    }

    /// Why this is no longer the stream that was opened, if it is another.
    fn other_log(&self, info: &Info) -> Option<String> {
        let name = &self.source.names.stream;
        if info.created.to_string() != self.created {
            return Some(format!("the stream {name} was made anew"));
        }
        match stream::epochs(&info.config) {
            Ok(epochs) if epochs == self.epochs => None,
            Ok(_) => Some(format!("the stream {name} has begun a new epoch")),
            Err(text) => Some(text),
        }
    }

    fn fail(&self, why: String) {
        tracing::error!("{why}: publishes are refused until a restart");
        let _ = self.failure.set(why);
    }

    fn note_contact(&self) {
        let mut contact = self.contact.lock().unwrap_or_else(PoisonError::into_inner);
        contact.last = Instant::now();
        if let Some(outage) = contact.outage.take() {
            self.counters.outages.fetch_add(1, Ordering::Relaxed);
            tracing::info!(outage, "the cluster is within reach again");
        }
    }

    /// The leader gave no answer; after a while that is told.
    fn note_silence(&self, why: &str, patience: Duration) {
        let mut contact = self.contact.lock().unwrap_or_else(PoisonError::into_inner);
        if contact.last.elapsed() >= patience && contact.outage.is_none() {
            tracing::warn!(
                why,
                "the cluster is out of reach: publishes wait, and are then refused"
            );
            contact.outage = Some(why.to_owned());
        }
    }
}

/// Whether the server that was reached will do.
fn check_server(
    server: &async_nats::ServerInfo,
    settings: &ClusterSettings,
) -> Result<(), ClusterFault> {
    let named = &server.version;
    if version(named).is_none_or(|own| own < VERSION_MIN) {
        let (major, minor) = VERSION_MIN;
        let text = format!("nats-server {named} is too old: {major}.{minor} or later is needed");
        return Err(ClusterFault::Unfit(text));
    }
    let most = server.max_payload.saturating_sub(BESIDE_BYTES_MAX);
    if settings.message_bytes > most {
        let text = format!(
            "--message-bytes {} is above {most}, which the max_payload {} of the NATS servers leaves",
            settings.message_bytes, server.max_payload
        );
        return Err(ClusterFault::Unfit(text));
    }
    Ok(())
}

/// The stream, which is made if it is not there and a retention is given for it.
async fn opened_stream(
    source: &StreamClient,
    settings: &ClusterSettings,
    retention: Option<&Retention>,
) -> Result<Info, ClusterFault> {
    let wanted = |keep: &Retention, epochs: &Epochs| {
        stream::wanted(&source.names, settings.replicas, keep, epochs)
    };
    let found = match (source.info().await?, retention) {
        (Some(found), _) => found,
        (None, None) => {
            return Err(ClusterFault::Unfit(format!("there is no stream {}", settings.stream)));
        }
        (None, Some(keep)) => {
            let epochs = Epochs::of_new_log(unix_micros());
            match source.create(&wanted(keep, &epochs)).await {
                Ok(info) => info,
                // Another front may have made it just now.
                Err(fault) => source.info().await?.ok_or(fault)?,
            }
        }
    };
    let epochs = stream::epochs(&found.config).map_err(ClusterFault::Unfit)?;
    let Some(keep) = retention else { return Ok(found) };
    let wanted = wanted(keep, &epochs);
    let told = stream::differences(&wanted, &found.config);
    if !told.is_empty() {
        let text = format!("the stream {} is another: {}", settings.stream, told.join("; "));
        return Err(ClusterFault::Unfit(text));
    }
    match stream::with_retention(&wanted, &found.config) {
        None => Ok(found),
        Some(config) => {
            tracing::info!("the stream's retention is changed to that of the settings");
            Ok(source.update(&config).await?)
        }
    }
}

impl Log for JetStreamLog {
    fn follow(&self, feed: Arc<dyn Feed>) -> u64 {
        let told = {
            let mut own = self.shared.feed();
            assert!(own.replace(feed).is_none(), "two feeds of one log");
            *self.shared.told.borrow()
        };
        self.begin_tail();
        told
    }

    fn append(&self, entries: &[Entry], now: Now) -> Result<Vec<Message>, LogError> {
        let mut messages = Vec::with_capacity(entries.len());
        for batch in entries.chunks(BATCH_MAX) {
            let (shared, batch) = (self.shared.clone(), self.shared.outgoing(batch, now));
            messages.extend(self.run(async move { shared.store(batch).await })??);
        }
        Ok(messages)
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn read(&self, query: &Query<'_>) -> Result<Page, LogError> {
        let (shared, filters) = (self.shared.clone(), query.selection.0.to_vec());
        let Query { after, until, limit, .. } = *query;
        let page = self.run(async move {
            let selection = super::Selection(&filters);
            shared.page(&Query { selection, after, until, limit }).await
        })?;
        page.map_err(|fault| LogError::Unreachable(fault.to_string()))
    }

    fn reach(&self, seq: u64) -> Result<(), LogError> {
        let shared = self.shared.clone();
        let reached = self.run(async move {
            let info = shared.source.info().await?;
            let end = info.map_or(0, |info| info.state.last_sequence);
            shared.end.send_modify(|known| *known = end.max(*known));
            let mut told = shared.told.subscribe();
            let until = told.wait_for(|told| *told >= seq.min(end));
            let late = |_| SourceFault::Away("what is stored is not here yet".to_owned());
            let told = timeout(client::ANSWER_WAIT, until).await.map_err(late)?;
            told.map(|_| ()).map_err(|_| SourceFault::Away("the log is closed".to_owned()))
        })?;
        reached.map_err(|fault| LogError::Unreachable(fault.to_string()))
    }

    fn bounds(&self) -> Bounds {
        self.shared.bounds()
    }

    fn epochs(&self) -> &Epochs {
        &self.shared.epochs
    }

    /// The clock is that of the stream's leader.
    fn seek(&self, time_us: u64) -> Result<u64, LogError> {
        let shared = self.shared.clone();
        let sought = self.run(async move {
            let found = shared.source.first_since(time_us).await?;
            let Some(info) = shared.source.info().await? else { return Ok(0) };
            // A replica that lags would say that there is nothing so late.
            let last_us = info.state.last_timestamp.unix_timestamp_nanos() / 1000;
            let is_behind_all = i128::from(time_us) > last_us || info.state.messages == 0;
            match found {
                Some(held) => Ok(held.seq - 1),
                None if is_behind_all => Ok(info.state.last_sequence),
                None => Err(SourceFault::Away("the replicas of the stream lag".to_owned())),
            }
        })?;
        sought.map_err(|fault| LogError::Unreachable(fault.to_string()))
    }

    fn heads(&self) -> &Heads {
        &self.shared.heads
    }

    /// The cluster itself lets go; here it is only asked how far it has come.
    fn expire(&self, _: Now) {
        let shared = self.shared.clone();
        let _ = self.run(async move {
            if let Ok(Some(info)) = shared.source.info().await {
                shared.note_state(&info);
            }
        });
    }

    /// Nobody's share is known: it is refused to ask for one.
    fn held_of(&self, _: &Owner) -> u64 {
        0
    }

    fn failure(&self) -> Option<String> {
        self.shared.failure.get().cloned()
    }

    fn outage(&self) -> Option<String> {
        let contact = self.shared.contact.lock().unwrap_or_else(PoisonError::into_inner);
        contact.outage.clone()
    }

    fn remote(&self) -> Option<Remote> {
        let shared = &self.shared;
        let contact = shared.contact.lock().unwrap_or_else(PoisonError::into_inner);
        let told = *shared.told.borrow();
        Some(Remote {
            stream: shared.source.names.stream.clone(),
            replicas: shared.replicas,
            server: shared.source.client.server_info().version,
            not_durable: shared.not_durable.clone(),
            silence: contact.last.elapsed(),
            lag: shared.end.borrow().saturating_sub(told),
            fills: shared.counters.fills.load(Ordering::Relaxed),
            retries: shared.counters.retries.load(Ordering::Relaxed),
            outages: shared.counters.outages.load(Ordering::Relaxed),
        })
    }

    fn close(&self) -> Result<(), LogError> {
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
        Ok(())
    }
}

impl Drop for JetStreamLog {
    fn drop(&mut self) {
        // A runtime must not be dropped where it would be waited for.
        let _ = self.close();
    }
}

/// Begins a new epoch of a stream, as after one was put back to an earlier state.
///
/// # Errors
///
/// The cluster is not there, or the stream is none of ours.
pub fn begin_epoch(settings: &ClusterSettings) -> Result<String, ClusterFault> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ClusterFault::Unfit(error.to_string()))?;
    runtime.block_on(async {
        let client = connect(settings, watch::Sender::new(0)).await?;
        let source = StreamClient::new(client, Names { stream: settings.stream.clone() });
        let info = source.info().await?;
        let none = || ClusterFault::Unfit(format!("there is no stream {}", settings.stream));
        let info = info.ok_or_else(none)?;
        let mut epochs = stream::epochs(&info.config).map_err(ClusterFault::Unfit)?;
        let epoch = next(Some(epochs.current()), unix_micros(), false);
        let epoch = epoch.ok_or_else(|| ClusterFault::Unfit("there are no more epochs".into()))?;
        epochs.push(Span { epoch, from: info.state.last_sequence, torn: false });
        let mut config = info.config;
        config.metadata.extend(stream::metadata(&epochs));
        source.update(&config).await?;
        Ok(epoch.to_string())
    })
}
