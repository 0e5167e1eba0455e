//! One segment as readers see it: a file, how far it may be read, and where its lines are.
//!
//! The newest segment grows: what was written is published here once it may be read, index first
//! and length last. All others stay as they are until retention lets go of them whole.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use doorbell_protocol::GapReason;
use serde::{Deserialize, Serialize};

use super::line::{self, LogLine};
use super::lines::LineReader;
use super::owners;
use super::topics::TopicTable;
use crate::clock::Now;
use crate::log::Owner;

/// Bytes between two entries of an index.
pub(super) const INDEX_EVERY: u64 = 4 << 10;
/// Bytes read to find one line.
const LINE_READ: usize = 6 << 10;

/// Places of which nothing can be read: those after `after`, up to `through`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hole {
    pub(super) after: u64,
    pub(super) through: u64,
    pub(super) reason: GapReason,
}

impl Hole {
    /// What is missing after a place, up to another.
    pub(super) fn new(after: u64, through: u64, is_damaged: bool) -> Self {
        let reason = if is_damaged { GapReason::Damaged } else { GapReason::Lost };
        Self { after, through, reason }
    }

    /// What a start stands for that follows a loss.
    pub(super) fn lost(through: u64) -> Self {
        Self { after: through - 1, through, reason: GapReason::Lost }
    }
}

/// Where some lines begin: the seq of the first message at this offset or after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IndexEntry {
    pub(super) offset: u64,
    pub(super) seq: u64,
}

/// The stamps of the messages of one segment, in unix microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Times {
    pub(super) least: u64,
    pub(super) greatest: u64,
    /// That of the newest message.
    pub(super) newest: u64,
    /// When the server started or ended next after it, if it did.
    pub(super) signed: Option<u64>,
}

impl Default for Times {
    fn default() -> Self {
        Self { least: u64::MAX, greatest: 0, newest: 0, signed: None }
    }
}

impl Times {
    /// Takes in the stamp of a message that was appended.
    pub(super) fn note(&mut self, time_us: u64) {
        self.least = self.least.min(time_us);
        self.greatest = self.greatest.max(time_us);
        (self.newest, self.signed) = (time_us, None);
    }

    /// Whether no message was stamped: a segment may hold nothing but starts after losses.
    pub(super) fn is_empty(&self) -> bool {
        self.least > self.greatest
    }

    /// Takes in when the server started or ended.
    pub(super) fn sign(&mut self, time_us: u64) {
        self.signed.get_or_insert(time_us);
    }
}

/// Where lines are, sparsely.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Index(Vec<IndexEntry>);

impl Index {
    /// Notes a message's line. Both rise.
    pub(super) fn note(&mut self, offset: u64, seq: u64) {
        let is_due = self.0.last().is_none_or(|last| offset >= last.offset + INDEX_EVERY);
        if is_due {
            self.0.push(IndexEntry { offset, seq });
        }
    }

    pub(super) fn entries(&self) -> &[IndexEntry] {
        &self.0
    }

    pub(super) fn restore(entries: Vec<IndexEntry>) -> Self {
        Self(entries)
    }

    fn line_before(&self, offset: u64) -> u64 {
        let behind = self.0.partition_point(|entry| entry.offset <= offset);
        behind.checked_sub(1).map_or(0, |at| self.0[at].offset)
    }

    /// An offset from which on the message is found, if it is there.
    fn offset_of(&self, seq: u64) -> u64 {
        let behind = self.0.partition_point(|entry| entry.seq <= seq);
        behind.checked_sub(1).map_or(0, |at| self.0[at].offset)
    }
}

/// One file of the log.
#[derive(Debug)]
pub(super) struct Segment {
    /// What its file is called by.
    pub(super) ordinal: u64,
    pub(super) file: File,
    /// The place that the log had reached when it began.
    pub(super) after: u64,
    /// Bytes that may be read.
    bytes: AtomicU64,
    /// The newest message in it, or `after`.
    last: AtomicU64,
    index: RwLock<Index>,
    notes: Mutex<Notes>,
    pub(super) holes: Vec<Hole>,
    /// Bytes that are on the disk whatever happens.
    pub(super) synced: AtomicU64,
    /// Where its topics stand in its summary, once there is one.
    pub(super) topics: OnceLock<TopicTable>,
    /// When its newest message was appended, in microseconds since the machine started.
    touched: AtomicI64,
    /// Whether that was found out from a wall clock that is not believed yet.
    is_doubtful: AtomicBool,
}

/// What is known of the messages of a segment besides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Notes {
    pub(super) times: Times,
    /// Bytes of the lines of each owner.
    pub(super) owners: HashMap<Owner, u64>,
}

/// Appended lines, which are told to readers at once.
#[derive(Debug)]
pub(super) struct Appended<'a> {
    /// The length of the file with them.
    pub(super) bytes: u64,
    /// The offset and the seq of each message.
    pub(super) messages: &'a [(u64, u64)],
    /// Bytes of the lines, and whose they are.
    pub(super) owned: &'a [(Owner, u64)],
    pub(super) now: Now,
}

impl Segment {
    /// A segment that holds nothing yet.
    pub(super) fn new(ordinal: u64, file: File, after: u64) -> Self {
        Self::restore(ordinal, file, after, Vec::new())
    }

    /// A segment that was found; what it holds is to be set.
    pub(super) fn restore(ordinal: u64, file: File, after: u64, holes: Vec<Hole>) -> Self {
        Self {
            ordinal,
            file,
            after,
            bytes: AtomicU64::new(0),
            last: AtomicU64::new(after),
            index: RwLock::default(),
            notes: Mutex::default(),
            holes,
            synced: AtomicU64::new(0),
            topics: OnceLock::new(),
            touched: AtomicI64::new(i64::MAX),
            is_doubtful: AtomicBool::new(false),
        }
    }

    pub(super) fn set(&self, bytes: u64, last: u64, index: Index, notes: Notes) {
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = index;
        *self.notes() = notes;
        self.last.store(last, Ordering::Release);
        self.bytes.store(bytes, Ordering::Release);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    /// Tells readers of lines that are no messages.
    pub(super) fn set_bytes(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Release);
    }

    pub(super) fn last(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    /// The stamp of its oldest message, if it has one.
    pub(super) fn oldest_us(&self) -> Option<u64> {
        let times = self.notes().times;
        (!times.is_empty()).then_some(times.least)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.last() == self.after
    }

    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells readers of what was written.
    pub(super) fn publish(&self, appended: &Appended<'_>) {
        if let Some((_, last)) = appended.messages.last() {
            {
                let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
                for (offset, seq) in appended.messages {
                    index.note(*offset, *seq);
                }
            }
            let mut notes = self.notes();
            notes.times.note(appended.now.unix_us);
            owners::add(&mut notes.owners, appended.owned);
            drop(notes);
            self.set_touched(appended.now.since_boot_us, false);
            self.last.store(*last, Ordering::Release);
        }
        self.bytes.store(appended.bytes, Ordering::Release);
    }

    /// When its newest message was appended, in microseconds since the machine started; far in the
    /// future if it has none. `None` as long as that is not believed.
    pub(super) fn touched(&self) -> Option<i64> {
        let is_doubtful = self.is_doubtful.load(Ordering::Relaxed);
        (!is_doubtful).then(|| self.touched.load(Ordering::Relaxed))
    }

    pub(super) fn set_touched(&self, since_boot_us: i64, is_doubtful: bool) {
        self.touched.store(since_boot_us, Ordering::Relaxed);
        self.is_doubtful.store(is_doubtful, Ordering::Relaxed);
    }

    /// The offset of some line not far before this one.
    pub(super) fn line_before(&self, offset: u64) -> u64 {
        self.index.read().unwrap_or_else(PoisonError::into_inner).line_before(offset)
    }

    /// An offset from which on the message is found, if it is there.
    pub(super) fn offset_of(&self, seq: u64) -> u64 {
        self.index.read().unwrap_or_else(PoisonError::into_inner).offset_of(seq)
    }

    /// Reads the line of one message into `bytes` and hands it out; `None` if it cannot be read.
    pub(super) fn line<'a>(
        &self,
        seq: u64,
        bytes: &'a mut Vec<u8>,
    ) -> io::Result<Option<LogLine<'a>>> {
        let mut lines = LineReader::new(&self.file, self.offset_of(seq), self.bytes(), LINE_READ);
        lines.lend(bytes);
        let found = loop {
            match lines.next()? {
                None => break None,
                Some(read) => match line::seq_of(lines.get(&read)) {
                    Some(found) if found == seq => break Some(read),
                    Some(found) if found > seq => break None,
                    _ => {}
                },
            }
        };
        *bytes = lines.into_bytes();
        Ok(found.and_then(|read| line::parse(read.of(bytes))))
    }
}
