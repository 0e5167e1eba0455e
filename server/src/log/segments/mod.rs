//! The log on disk: segments of text lines in one folder, which anyone can open.
//!
//! ```text
//! append ──────> Appender ── one thread at a time ─> 00000018.log   the newest segment
//! read, seek ──> pread ────────────────────────────> 00000017.log   finished ones …
//! tasks ───────> two threads: next file, seals, ───> 00000017.sum   … and what each of them holds
//!                syncs, retention                    doorbell.lock
//! bounds, heads  memory ── noted at a clean end ───> doorbell.topics
//! ```
//!
//! A message is one line, and the line has the very JSON that goes out on every wire (`line` draws
//! it). A segment is written to its end and never changed; retention lets go of whole segments,
//! oldest first. An index by topic would be many places to write at: in its stead each line names
//! the line before it in its topic, so a topic is a chain that is walked from its newest message.
//!
//! Where to look: a line in `line`, a segment in `segment`, what is done after a crash in `scan`
//! and `open`, a publish in `append`, a page in `read`, what happens meanwhile in `tasks` and
//! `expire`.
//!
//! This is not a general store: nothing is updated, everything is numbered, and the oldest goes
//! first.

mod append;
mod chain;
mod checked;
mod checkpoint;
mod expire;
mod folder;
mod line;
mod lines;
mod offline;
mod open;
mod owners;
mod page;
mod read;
mod scan;
mod seek;
mod segment;
mod summary;
mod tasks;
#[cfg(test)]
mod tests;
mod topics;
mod waiting;

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use self::append::Appender;
use self::folder::{Claim, Folder};
pub use self::offline::{FileReport, LogFolder, Missing, StoredMessage};
use self::owners::Owners;
use self::segment::Segment;
use self::tasks::Threads;
pub use self::waiting::WaitingFile;
use super::{
    Bounds, Entry, Epochs, Feed, Heads, Log, LogError, OpenError, Owner, Page, Query, Retention,
    Storage,
};
use crate::clock::{Clock, Now};
use crate::message::Message;

/// What a segment's head calls it.
const FORMAT: &str = "doorbell-log";
/// The version of its lines.
const VERSION: u32 = 1;
/// Bytes of a segment: a part of what retention keeps, within these.
const SEGMENT_BYTES_MIN: u64 = 64 << 10;
const SEGMENT_BYTES_MAX: u64 = 64 << 20;
/// The log is kept in so many segments, more or less.
const SEGMENTS: u64 = 32;
/// A segment is finished after this part of the age that messages are kept.
const SEGMENT_AGES: i64 = 10;

/// What an acknowledged message survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// The death of the process, and that of the machine but for the last second.
    Os,
    /// The death of the machine.
    Always,
}

impl Sync {
    /// As the setting has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Os => "os",
            Self::Always => "always",
        }
    }
}

/// A log in a folder.
#[derive(Debug)]
pub struct SegmentLog {
    inner: Arc<Inner>,
    /// Ended before the folder is let go of.
    threads: Mutex<Option<Threads>>,
}

#[derive(Debug)]
struct Inner {
    shared: Shared,
    appender: Mutex<Appender>,
    /// Locked while retention lets go of something.
    retention: Mutex<()>,
}

/// What everybody may look at, and change without a lock.
#[derive(Debug)]
struct Shared {
    folder: Folder,
    claim: Claim,
    clock: Arc<dyn Clock>,
    /// When the log was opened.
    opened: Now,
    sync: Sync,
    retention: Retention,
    segment_bytes: u64,
    segment_age_us: i64,
    epochs: Epochs,
    heads: Heads,
    owners: Owners,
    /// Oldest first, at least one: the last one is written to.
    segments: ArcSwap<Vec<Arc<Segment>>>,
    /// The newest seq. It moves after all else that a batch changes.
    last: AtomicU64,
    /// The file that comes next, if it was made. Locked while it is made: two of them would not be
    /// taken in the order of their names.
    next: Mutex<Option<(u64, File)>>,
    is_next_asked_for: AtomicBool,
    feed: OnceLock<Arc<dyn Feed>>,
    /// Why nothing more is stored, if that is so.
    failure: OnceLock<String>,
    /// When all was synced last, in microseconds since the machine started.
    synced_at: AtomicI64,
    stalls: Stalls,
}

/// How long appending took at most.
#[derive(Debug, Default)]
struct Stalls(AtomicU64);

impl Stalls {
    fn note(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if micros > self.0.load(Ordering::Relaxed) {
            self.0.fetch_max(micros, Ordering::Relaxed);
        }
    }
}

impl SegmentLog {
    /// Opens the log of a folder, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// One sentence for the person who starts the server.
    pub fn open(
        folder: &Path,
        sync: Sync,
        retention: Retention,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        open::open(folder, sync, retention, clock, open::boot_id(), false)
    }

    /// Opens a log whose folder may be an older state of what it was.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_moved(
        folder: &Path,
        sync: Sync,
        retention: Retention,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        open::open(folder, sync, retention, clock, open::boot_id(), true)
    }
}

impl Inner {
    fn appender(&self) -> MutexGuard<'_, Appender> {
        self.appender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the heads for the next start, which does without if they cannot be.
    fn note_heads(&self, line: &[u8]) {
        // What is held now is what they are about.
        let _alone = self.retention.lock().unwrap_or_else(PoisonError::into_inner);
        let Shared { folder, heads, .. } = &self.shared;
        let view = self.shared.view();
        let (Some(oldest), Some(newest)) = (view.first(), view.last()) else { return };
        if let Err(error) = checkpoint::write(folder, oldest.ordinal, newest, line, heads) {
            tracing::debug!(%error, "the heads of topics were not noted");
        }
    }
}

impl Shared {
    /// The segments as they are now.
    fn view(&self) -> arc_swap::Guard<Arc<Vec<Arc<Segment>>>> {
        self.segments.load()
    }

    fn newest(&self) -> Arc<Segment> {
        self.view().last().expect("a log has a segment").clone()
    }

    fn add_segment(&self, segment: &Arc<Segment>) {
        self.segments.rcu(|segments| {
            let mut segments = segments.to_vec();
            segments.push(segment.clone());
            segments
        });
    }

    fn next(&self) -> MutexGuard<'_, Option<(u64, File)>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the file that was made ahead. If publishing is faster than the disk, it is made now.
    fn take_next(&self, ordinal: u64) -> std::io::Result<(u64, File)> {
        let mut next = self.next();
        match next.take() {
            Some(next) => Ok(next),
            None => self.folder.create_segment_from(ordinal),
        }
    }

    fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Nothing more is stored: nobody knows what is on the disk.
    fn fail(&self, reason: String) {
        if self.failure.set(reason).is_ok() {
            tracing::error!(reason = self.failure(), "the log takes nothing more until a restart");
        }
    }

    /// Brings a segment to the disk, up to a length. What could not be synced is never tried again:
    /// the kernel may have thrown it away.
    fn sync_data(&self, segment: &Segment, bytes: u64) -> Result<(), LogError> {
        if let Err(error) = segment.file.sync_data() {
            self.fail(format!("a sync failed: {error}"));
            return Err(LogError::Failed(format!("a sync failed: {error}")));
        }
        segment.synced.fetch_max(bytes, Ordering::AcqRel);
        Ok(())
    }
}

impl Log for SegmentLog {
    fn follow(&self, feed: Arc<dyn Feed>) -> u64 {
        let _nothing_is_appended = self.inner.appender();
        let shared = &self.inner.shared;
        assert!(shared.feed.set(feed).is_ok(), "two feeds of one log");
        shared.last.load(Ordering::Acquire)
    }

    fn append(&self, entries: &[Entry], now: Now) -> Result<Vec<Message>, LogError> {
        self.inner.appender().append(&self.inner.shared, entries, now)
    }

    fn batch_bytes(&self) -> usize {
        // A batch is in one segment, and retention lets go of whole segments.
        usize::try_from(self.inner.shared.segment_bytes / 2).unwrap_or(usize::MAX)
    }

    fn read(&self, query: &Query<'_>) -> Result<Page, LogError> {
        read::page(&self.inner.shared, query).map_err(|error| LogError::Refused(error.to_string()))
    }

    fn bounds(&self) -> Bounds {
        let shared = &self.inner.shared;
        let last = shared.last.load(Ordering::Acquire);
        let view = shared.view();
        let first = view.first().map_or(last, |oldest| oldest.after).min(last) + 1;
        Bounds { first, last, bytes: view.iter().map(|segment| segment.bytes()).sum() }
    }

    fn epochs(&self) -> &Epochs {
        &self.inner.shared.epochs
    }

    fn seek(&self, time_us: u64) -> Result<u64, LogError> {
        seek::seek(&self.inner.shared, time_us)
            .map_err(|error| LogError::Refused(error.to_string()))
    }

    fn heads(&self) -> &Heads {
        &self.inner.shared.heads
    }

    fn expire(&self, now: Now) {
        self.inner.expire(now);
    }

    fn held_of(&self, owner: &Owner) -> u64 {
        self.inner.shared.owners.of(owner)
    }

    fn failure(&self) -> Option<String> {
        self.inner.shared.failure().map(str::to_owned)
    }

    fn storage(&self) -> Option<Storage> {
        let shared = &self.inner.shared;
        let view = shared.view();
        let unsynced = |segment: &Arc<Segment>| {
            segment.bytes().saturating_sub(segment.synced.load(Ordering::Acquire))
        };
        let unsynced_bytes = view.iter().map(unsynced).sum();
        let since = shared.synced_at.load(Ordering::Relaxed);
        let lag_us = shared.clock.now().since_boot_us.saturating_sub(since);
        let lag_us = if unsynced_bytes > 0 { u64::try_from(lag_us).unwrap_or(0) } else { 0 };
        Some(Storage {
            segments: view.len(),
            oldest_us: view.iter().find_map(|segment| segment.oldest_us()),
            unsynced_bytes,
            sync_lag: Duration::from_micros(lag_us),
            longest_append: Duration::from_micros(shared.stalls.0.load(Ordering::Relaxed)),
        })
    }

    fn close(&self) -> Result<(), LogError> {
        let shared = &self.inner.shared;
        let closed = self.inner.appender().close(shared);
        // The last sync is theirs, and notes how far it came.
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Ok(Some(line)) = &closed {
            self.inner.note_heads(line);
        }
        shared.claim.release();
        closed.map(drop)
    }
}

impl Drop for SegmentLog {
    fn drop(&mut self) {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
