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
mod fronts;
mod heads;
mod open;
mod own;
mod payload;
mod publish;
mod read;
mod stream;
#[cfg(test)]
pub(in crate::log) mod tests;

use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::stream::Info;
use async_nats::{ServerAddr, Subscriber};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::timeout;

use self::client::{SourceFault, StreamClient};
use self::fronts::NatsFronts;
use self::open::connect;
use self::own::Own;
use self::publish::BATCH_MAX;
use super::{
    Bounds, Entry, Epochs, Feed, Fronts, Heads, Log, LogError, Owner, Page, Query, Remote,
    Retention,
};
use crate::clock::Now;
use crate::limits::TOPICS_REMEMBERED_MAX;
use crate::message::Message;

pub use self::open::{begin_epoch, syncs_each_message};

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
    /// Why what is acknowledged may be lost with the power, if the servers say so where they are
    /// monitored.
    pub monitored: watch::Receiver<Option<String>>,
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
    fronts: Arc<NatsFronts>,
    contact: Mutex<Contact>,
    counters: Counters,
    /// Whether what is acknowledged survives the loss of power everywhere, and if not, why: by the
    /// version of the server that was reached, and by what all of them say.
    not_durable: Option<String>,
    monitored: watch::Receiver<Option<String>>,
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

impl Shared {
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

    fn fronts(&self) -> Option<Arc<dyn Fronts>> {
        Some(self.shared.fronts.clone())
    }

    fn remote(&self) -> Option<Remote> {
        let shared = &self.shared;
        let contact = shared.contact.lock().unwrap_or_else(PoisonError::into_inner);
        let told = *shared.told.borrow();
        Some(Remote {
            stream: shared.source.names.stream.clone(),
            replicas: shared.replicas,
            server: shared.source.client.server_info().version,
            not_durable: shared.not_durable.clone().or_else(|| shared.monitored.borrow().clone()),
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
