//! The durable sequence: one trait, its engines, and the contract that all of them keep.
//!
//! An engine stores, reads and lets go, and tells its [`Feed`] what became durable. It knows
//! nothing of readers that wait, of transports, or of what is in memory above it.
//!
//! What an engine promises:
//!
//! - A batch is stored whole or not at all. Its seqs rise by one, are above all seqs before it, and
//!   are never given out twice.
//! - Messages may come from elsewhere at any time, also between two batches of ours.
//! - The feed is told of each message once, whoever appended it, in the order of the seqs, when it
//!   is durable. `read`, `bounds` and `heads` know it by then.
//! - `append` returns when the feed has been told of its messages. Therefore what is acknowledged
//!   has been stored, and then made visible.
//! - What retention let go is told, by the feed to memory, and to readers as [`Page::lost`].

mod epochs;
mod heads;
#[cfg(feature = "cluster")]
mod jetstream;
mod memory;
mod ring;
mod segments;

#[cfg(test)]
mod contract;

use std::borrow::Borrow;
use std::fmt::Debug;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use doorbell_protocol::{Draft, Filter, GapReason, Topic};
use futures_util::future::BoxFuture;

use crate::clock::Now;
use crate::limits::{BATCH_BYTES_MAX, BATCH_MESSAGES_MAX, OWNER_CHARS_MAX};
use crate::message::Message;

pub use epochs::{Epochs, Located, Span};
pub use heads::{Expired, Finding, HeadSearch, Heads, Latest, Newest};
#[cfg(feature = "cluster")]
pub use jetstream::{ClusterFault, ClusterSettings, JetStreamLog, begin_epoch, syncs_each_message};
pub use memory::MemoryLog;
pub use ring::Ring;
pub use segments::{FileReport, LogFolder, Missing, SegmentLog, StoredMessage, Sync, WaitingFile};

/// One sequence of messages.
///
/// The writer calls `append` and `close` one at a time. Everything else may be called by many
/// threads at once and may block on the disk.
pub trait Log: Send + std::marker::Sync + 'static {
    /// Has a feed told of every message from now on. Called once; a log that nobody follows needs
    /// no feed. Returns the newest seq of which the feed is not told, 0 if none was given out.
    fn follow(&self, feed: Arc<dyn Feed>) -> u64;

    /// Stores a batch, all of it or nothing, as durable as the engine was told to be, tells the
    /// feed of it, and returns the messages with their places. `now` is the time of acceptance.
    fn append(&self, entries: &[Entry], now: Now) -> Result<Vec<Message>, LogError>;

    /// Bytes that are better not stored in one batch, if several publishers' can be parted.
    fn batch_bytes(&self) -> usize {
        usize::MAX
    }

    /// Whether it is on other machines: whoever appends to it waits for them.
    fn is_remote(&self) -> bool {
        false
    }

    /// Waits until the feed has been told of everything up to this seq that is stored anywhere.
    fn reach(&self, _seq: u64) -> Result<(), LogError> {
        Ok(())
    }

    /// Reads a page of what was stored before the call began.
    fn read(&self, query: &Query<'_>) -> Result<Page, LogError>;

    /// What is held now.
    fn bounds(&self) -> Bounds;

    /// The starts of the server that the log remembers: what the ids of its places are made of.
    fn epochs(&self) -> &Epochs;

    /// The place after the last held message that was accepted before `time_us`, in unix
    /// microseconds. Clocks may have gone either way meanwhile.
    fn seek(&self, time_us: u64) -> Result<u64, LogError>;

    /// The newest message of each topic.
    fn heads(&self) -> &Heads;

    /// Lets go of what retention no longer keeps. It may take long, and keeps no publisher waiting
    /// for long.
    fn expire(&self, now: Now);

    /// Bytes held of an owner's messages.
    fn held_of(&self, owner: &Owner) -> u64;

    /// Why nothing more will be stored before the log is opened again, if that is so.
    fn failure(&self) -> Option<String> {
        None
    }

    /// How it stands with the files, if there are any.
    fn storage(&self) -> Option<Storage> {
        None
    }

    /// Why nothing can be stored just now, if it is on other machines and they are out of reach. It
    /// ends by itself.
    fn outage(&self) -> Option<String> {
        None
    }

    /// How it stands with the other machines, if it is on some.
    fn remote(&self) -> Option<Remote> {
        None
    }

    /// The way to the other servers of this log, if there may be any.
    fn fronts(&self) -> Option<Arc<dyn Fronts>> {
        None
    }

    /// Makes everything durable and lets go of the files. Nothing is appended afterwards.
    fn close(&self) -> Result<(), LogError>;
}

impl std::fmt::Debug for dyn Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.bounds().fmt(f)
    }
}

/// What one server answers to another.
pub type FrontAnswer = Box<dyn Fn(&[u8]) -> Bytes + Send + std::marker::Sync>;

/// The way to the other servers of a log, each of which has a name.
pub trait Fronts: Debug + Send + std::marker::Sync {
    /// The name of this one.
    fn own(&self) -> &str;

    /// What another one answers; `None` if there is none of that name.
    fn request(
        &self,
        front: &str,
        body: Bytes,
    ) -> BoxFuture<'static, Result<Option<Bytes>, LogError>>;

    /// Answers the others by this for as long as the log is open. Called once.
    fn answer(&self, answer: FrontAnswer);
}

/// What an engine tells of, message by message: the one way into the memory above it.
pub trait Feed: Debug + Send + std::marker::Sync {
    /// These are durable now. Seqs rise from call to call; one call returns before the next begins.
    fn push(&self, batch: &[Message]);

    /// Retention let go of everything before this seq.
    fn trim(&self, first_held: u64);

    /// Retention let go of what lies between the last push and this seq before it could be told:
    /// every reader has to look for itself.
    fn skip(&self, through: u64);
}

/// What is appended: a draft, and whose it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The message.
    pub draft: Draft,
    /// Whose share of the log it fills.
    pub owner: Owner,
}

/// A message that fills nobody's share.
impl From<Draft> for Entry {
    fn from(draft: Draft) -> Self {
        Self { draft, owner: Owner::nobody() }
    }
}

/// Whose share of the log a message fills, in one word. Clones share one allocation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner(Arc<str>);

impl Owner {
    /// Nobody in particular.
    pub fn nobody() -> Self {
        static NOBODY: LazyLock<Owner> = LazyLock::new(|| Owner("-".into()));
        NOBODY.clone()
    }

    /// The owner of this name.
    pub fn of(name: &Arc<str>) -> Self {
        if is_word(name) { Self(name.clone()) } else { Self::named(name) }
    }

    /// The owner of this name. What could not stand in one word is told otherwise.
    pub fn named(name: &str) -> Self {
        let name = if name.is_empty() { "-" } else { name };
        let plain = |c: char| if c.is_ascii_graphic() { c } else { '_' };
        Self(name.chars().take(OWNER_CHARS_MAX).map(plain).collect::<String>().into())
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_word(name: &str) -> bool {
    (1..=OWNER_CHARS_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
}

impl Borrow<str> for Owner {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// How it stands with the files of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storage {
    /// Segments held.
    pub segments: usize,
    /// The stamp of the oldest message in unix microseconds, if one is held.
    pub oldest_us: Option<u64>,
    /// Bytes that a machine that died would lose.
    pub unsynced_bytes: u64,
    /// Since the last sync, if there are such bytes.
    pub sync_lag: Duration,
    /// The longest time that one batch took to be stored.
    pub longest_append: Duration,
}

/// How it stands with a log on other machines.
#[derive(Debug, Clone)]
pub struct Remote {
    /// The name of the stream.
    pub stream: String,
    /// Servers that hold each message.
    pub replicas: usize,
    /// The version of the server that this one is connected to.
    pub server: String,
    /// Why what is acknowledged may not survive that all machines die at once, if that is known.
    pub not_durable: Option<String>,
    /// Since the stream's leader last answered.
    pub silence: Duration,
    /// Messages that are stored and not told here yet.
    pub lag: u64,
    /// How often messages were fetched that did not come by themselves.
    pub fills: u64,
    /// How often a batch was sent again.
    pub retries: u64,
    /// Times out of reach that are over.
    pub outages: u64,
}

/// What is held: the messages from `first` to `last`, none if `first` is above `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The seq of the oldest message held, or of the next one if none is.
    pub first: u64,
    /// The newest seq ever given out, 0 if none was.
    pub last: u64,
    /// Bytes held, as retention counts them.
    pub bytes: u64,
}

/// How long and how much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The age at which a message is let go.
    pub age: Duration,
    /// The bytes beyond which the oldest messages are let go.
    pub bytes: u64,
}

impl Retention {
    /// The age in microseconds.
    pub fn age_us(&self) -> u64 {
        u64::try_from(self.age.as_micros()).unwrap_or(u64::MAX)
    }
}

/// Which topics a reader wants: the union of some filters.
#[derive(Debug, Clone, Copy)]
pub struct Selection<'a>(pub &'a [Filter]);

impl<'a> Selection<'a> {
    /// Whether the topic is wanted.
    pub fn matches(&self, topic: &Topic) -> bool {
        self.matches_name(topic.as_str())
    }

    /// Whether the topic of this name is wanted.
    pub fn matches_name(&self, topic: &str) -> bool {
        self.0.iter().any(|filter| filter.matches(topic))
    }

    /// How many patterns a topic is held against.
    pub fn patterns(&self) -> usize {
        self.0.iter().map(|filter| filter.patterns().len()).sum()
    }

    /// The topics without repeats, if no pattern is wild.
    pub fn exact(&self) -> Option<Vec<&'a Topic>> {
        let mut topics = Vec::new();
        for filter in self.0 {
            topics.extend(filter.exact()?);
        }
        topics.sort_unstable();
        topics.dedup();
        Some(topics)
    }
}

/// A question to the log: the oldest wanted messages whose seq is above `after`, up to `until`.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// Whose messages.
    pub selection: Selection<'a>,
    /// The place that the reader has reached.
    pub after: u64,
    /// The last seq to look at.
    pub until: u64,
    /// How much one answer may hold.
    pub limit: PageLimit,
}

/// How much one page may hold. A single message may be larger than `bytes`; it comes alone then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimit {
    /// Messages.
    pub messages: usize,
    /// Bytes of encoded messages.
    pub bytes: usize,
}

/// A part of the log as a reader wants it.
#[derive(Debug, Default)]
pub struct Page {
    /// The wanted messages, in the order of their seqs.
    pub messages: Vec<Message>,
    /// Every wanted message up to this seq is in this page or in `lost`.
    pub through: u64,
    /// Set where some wanted messages between `after` and `through` can no longer be read; the page
    /// holds no messages then.
    pub lost: Option<GapReason>,
}

impl PageLimit {
    /// What a transport takes at a time.
    pub const BATCH: Self = Self { messages: BATCH_MESSAGES_MAX, bytes: BATCH_BYTES_MAX };
}

impl Page {
    /// A page that says what is missing.
    pub fn lost(through: u64, reason: GapReason) -> Self {
        Self { messages: Vec::new(), through, lost: Some(reason) }
    }
}

/// Why the log did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// There is no room; nothing of the batch was stored, and a later batch may be.
    #[error("no room left to store messages")]
    Full,
    /// It was not written, and nothing of it is there; a later batch may be.
    #[error("it was not stored: {0}")]
    Refused(String),
    /// The machines that have it are out of reach; later they may not be. What was to be stored may
    /// be, or may not.
    #[error("the log is out of reach: {0}")]
    Unreachable(String),
    /// What is on the disk is unknown until the log is opened again.
    #[error("storage failed: {0}")]
    Failed(String),
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
}

/// Why the log could not be opened: one sentence for the person who starts the server.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OpenError(pub String);
