//! The log on disk: SQLite in write-ahead mode, in one folder.
//!
//! ```text
//! append, expire, close ─> SqliteWriter ─ one connection, transactions ┐
//! read, seek ────────────> Readers ───── a few connections, snapshots ─┼─> doorbell.db, -wal, -shm
//!                          Checkpointer ─ one connection, a thread ────┘   doorbell.lock
//! bounds, heads ─────────> Held ──────── memory                            doorbell.ballast
//! ```
//!
//! The writer stores a batch in one transaction and only then moves what is known in memory
//! ([`Held`] and [`Heads`]). A reader fixes its snapshot while that memory stands still, so the two
//! never tell different stories, however many threads read.
//!
//! Where to look: the tables are drawn in `schema`, how a page is found in `read`, what happens
//! after a crash in `open` and `recover`, what a full disk does in `ballast` and `expire`.
//!
//! This is not a general store: nothing is updated, everything is numbered, and the oldest goes
//! first. That is what makes an index by topic unnecessary.

mod ballast;
mod chain;
mod checkpoint;
mod damage;
mod expire;
mod failure;
mod lock;
mod open;
mod read;
mod readers;
mod recover;
mod row;
mod saver;
mod scan;
mod schema;
mod search;
mod seek;
mod topics;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use doorbell_protocol::{Draft, Epoch, GapReason};

use self::damage::DamageSeen;
use self::readers::Readers;
use self::topics::Topics;
use self::writer::SqliteWriter;
use super::{Bounds, Feed, Heads, Log, LogError, OpenError, Page, Query, Retention};
use crate::message::Message;

/// What is created is for nobody else on the machine to read.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// How durable an acknowledged message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// It survives the death of the process.
    Os,
    /// It survives the death of the machine.
    Always,
}

/// The log of one folder. One process at a time may hold it.
///
/// Dropping it without [`close`](Log::close) is safe; opening it again takes a little longer then.
#[derive(Debug)]
pub struct SqliteLog {
    shared: Shared,
    writer: Mutex<WriterSlot>,
}

/// What the writer and the readers share.
#[derive(Debug)]
struct Shared {
    epoch: Epoch,
    retention: Retention,
    folder: PathBuf,
    heads: Heads,
    /// Places that hold nothing that could be read; rising, found at open.
    holes: Vec<Hole>,
    held: RwLock<Held>,
    readers: Readers,
    damage: DamageSeen,
}

/// What is held, as memory knows it. It moves only with what is committed.
#[derive(Debug, Default)]
struct Held {
    /// The oldest message held; one above `last` if none is.
    first: u64,
    /// The newest place given out.
    last: u64,
    /// Bytes in pages that hold something.
    bytes: u64,
    topics: Topics,
}

/// A run of places that nothing can be read from: every message above `after`, through `through`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hole {
    after: u64,
    through: u64,
    reason: GapReason,
}

/// The writer for as long as the log is open, and why it may not be used if it may not. Locked
/// while something is stored and told, so that it is told in the order in which it was stored.
#[derive(Debug)]
struct WriterSlot {
    writer: Option<SqliteWriter>,
    failed: Option<String>,
    feed: Option<Arc<dyn Feed>>,
}

impl SqliteLog {
    /// Opens the log of a folder, which is created if it is not there.
    pub fn open(folder: &Path, sync: Sync, retention: Retention) -> Result<Self, OpenError> {
        open::open(folder, sync, retention, open::boot_id())
    }

    fn slot(&self) -> MutexGuard<'_, WriterSlot> {
        self.writer.lock().unwrap_or_else(|poisoned| {
            let mut slot = poisoned.into_inner();
            slot.failed.get_or_insert_with(|| "somebody panicked while writing".into());
            slot
        })
    }
}

impl Shared {
    fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_mut(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WriterSlot {
    /// Lets the writer do something. After a failure nobody knows what is on the disk, so it is not
    /// let near it again.
    fn with<T>(
        &mut self,
        work: impl FnOnce(&mut SqliteWriter) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        let Some(writer) = &mut self.writer else { return Err(LogError::Closed) };
        if let Some(reason) = &self.failed {
            return Err(LogError::Failed(reason.clone()));
        }
        let result = work(writer);
        if let Err(LogError::Failed(reason)) = &result {
            tracing::error!(reason, "the log takes no more messages until it is opened again");
            self.failed = Some(reason.clone());
        }
        result
    }
}

impl Log for SqliteLog {
    fn follow(&self, feed: Arc<dyn Feed>) -> u64 {
        let mut slot = self.slot();
        assert!(slot.feed.replace(feed).is_none(), "two feeds of one log");
        self.shared.held().last
    }

    fn append(&self, drafts: &[Draft], time_us: u64) -> Result<Vec<Message>, LogError> {
        let mut slot = self.slot();
        let messages = slot.with(|writer| writer.append(&self.shared, drafts, time_us))?;
        slot.feed.iter().for_each(|feed| feed.push(&messages));
        Ok(messages)
    }

    fn read(&self, query: &Query<'_>) -> Result<Page, LogError> {
        self.shared.readers.with(|connection| read::page(&self.shared, connection, query))
    }

    fn bounds(&self) -> Bounds {
        let held = self.shared.held();
        let Held { first, last, bytes, .. } = *held;
        Bounds { epoch: self.shared.epoch, first, last, bytes }
    }

    fn seek(&self, time_us: u64) -> Result<u64, LogError> {
        self.shared.readers.with(|connection| seek::place_before(&self.shared, connection, time_us))
    }

    fn heads(&self) -> &Heads {
        &self.shared.heads
    }

    fn expire(&self, now_us: u64) -> Result<bool, LogError> {
        let mut slot = self.slot();
        let more = slot.with(|writer| writer.expire(&self.shared, now_us))?;
        let first = self.shared.held().first;
        slot.feed.iter().for_each(|feed| feed.trim(first));
        Ok(more)
    }

    fn close(&self) -> Result<(), LogError> {
        let mut slot = self.slot();
        let Some(writer) = slot.writer.take() else { return Ok(()) };
        self.shared.readers.close();
        match slot.failed.take() {
            None => writer.close(&self.shared),
            // What it would save may not be true.
            Some(reason) => Err(LogError::Failed(reason)),
        }
    }
}
