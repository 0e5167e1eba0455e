//! The log that lives in memory only (`--ephemeral`): it ends with the process.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use doorbell_protocol::GapReason;

use super::{
    Bounds, Entry, Epochs, Feed, Heads, Log, LogError, Owner, Page, Query, Retention, Ring,
};
use crate::clock::{Now, unix_micros};
use crate::limits::{EXPIRE_MESSAGES_MAX, TOPICS_REMEMBERED_MAX};
use crate::message::{Message, kept, number_batch};

/// Messages in one ring.
#[derive(Debug)]
pub struct MemoryLog {
    epochs: Epochs,
    retention: Retention,
    heads: Heads,
    inner: RwLock<Inner>,
    /// Locked while something is stored and told, so that it is told in the order in which it was
    /// stored.
    feed: Mutex<Option<Arc<dyn Feed>>>,
}

#[derive(Debug, Default)]
struct Inner {
    ring: Ring,
    /// Of each message in the ring: when it was appended, in microseconds since the machine
    /// started, and whose it is.
    notes: VecDeque<(i64, Owner)>,
    owners: HashMap<Owner, u64>,
    last: u64,
    closed: bool,
}

impl MemoryLog {
    /// An empty log of a new epoch.
    pub fn new(retention: Retention) -> Self {
        Self {
            epochs: Epochs::of_new_log(unix_micros()),
            retention,
            heads: Heads::default(),
            inner: RwLock::default(),
            feed: Mutex::default(),
        }
    }

    fn inner(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn feed(&self) -> MutexGuard<'_, Option<Arc<dyn Feed>>> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn inner_mut(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryLog {
    /// Lets go of the oldest messages, as many as may be at once and are overdue. Returns whether
    /// there are more.
    fn let_go(&self, most: usize, is_overdue: impl Fn(&Inner) -> bool) -> bool {
        if !is_overdue(&self.inner()) {
            return false;
        }
        let mut gone = Vec::new();
        let feed = self.feed();
        let mut inner = self.inner_mut();
        while gone.len() < most && is_overdue(&inner) {
            let Some(message) = inner.pop() else { break };
            gone.push(message);
        }
        let more = is_overdue(&inner);
        let places = gone.iter().map(|message| (message.topic(), message.seq()));
        self.heads.expire(places, TOPICS_REMEMBERED_MAX);
        let first = inner.first();
        drop(inner);
        feed.iter().for_each(|feed| feed.trim(first));
        more
    }
}

impl Inner {
    fn push(&mut self, message: Message, owner: Owner, now: Now) {
        self.last = message.seq();
        if !message.is_kept() {
            return;
        }
        *self.owners.entry(owner.clone()).or_default() += message.weight() as u64;
        self.ring.push(message);
        self.notes.push_back((now.since_boot_us, owner));
    }

    fn pop(&mut self) -> Option<Message> {
        let message = self.ring.pop()?;
        if let Some((_, owner)) = self.notes.pop_front()
            && let Some(held) = self.owners.get_mut(&owner)
        {
            *held -= message.weight() as u64;
            if *held == 0 {
                self.owners.remove(&owner);
            }
        }
        Some(message)
    }

    fn first(&self) -> u64 {
        self.ring.oldest().map_or(self.last + 1, Message::seq)
    }
}

impl Log for MemoryLog {
    fn follow(&self, feed: Arc<dyn Feed>) -> u64 {
        let mut own = self.feed();
        assert!(own.replace(feed).is_none(), "two feeds of one log");
        self.inner().last
    }

    fn append(&self, entries: &[Entry], now: Now) -> Result<Vec<Message>, LogError> {
        let feed = self.feed();
        let mut inner = self.inner_mut();
        if inner.closed {
            return Err(LogError::Closed);
        }
        let age_us = Some(self.retention.age_us());
        let epoch = self.epochs.current();
        let drafts = entries.iter().map(|entry| &entry.draft);
        let messages = number_batch(drafts, epoch, inner.last, now.unix_us, age_us);
        for (message, entry) in messages.iter().zip(entries) {
            inner.push(message.clone(), entry.owner.clone(), now);
        }
        self.heads.advance(kept(&messages));
        drop(inner);
        feed.iter().for_each(|feed| feed.push(&messages));
        drop(feed);
        // What came in makes as much room as it takes.
        self.let_go(messages.len(), |inner| inner.ring.bytes() as u64 > self.retention.bytes);
        Ok(messages)
    }

    fn read(&self, query: &Query<'_>) -> Result<Page, LogError> {
        let (page, first) = {
            let inner = self.inner();
            let until = query.until.min(inner.last);
            (inner.ring.read(&Query { until, ..*query }), inner.first())
        };
        if query.after + 1 < first {
            // After the page was read: nothing that was let go before is missed. It may take long,
            // and keeps no publisher waiting.
            let expired = self.heads.newest_expired(&query.selection);
            if expired > query.after {
                return Ok(Page::lost(expired, GapReason::Expired));
            }
        }
        Ok(page)
    }

    fn bounds(&self) -> Bounds {
        let inner = self.inner();
        Bounds { first: inner.first(), last: inner.last, bytes: inner.ring.bytes() as u64 }
    }

    fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    fn seek(&self, time_us: u64) -> Result<u64, LogError> {
        let inner = self.inner();
        let older = inner.ring.last_before(time_us);
        Ok(older.map_or(inner.first() - 1, Message::seq))
    }

    fn heads(&self) -> &Heads {
        &self.heads
    }

    fn expire(&self, now: Now) {
        let oldest = now.since_boot_us.saturating_sub_unsigned(self.retention.age_us());
        let is_overdue = |inner: &Inner| {
            let is_too_old = inner.notes.front().is_some_and(|(since, _)| *since < oldest);
            is_too_old || inner.ring.bytes() as u64 > self.retention.bytes
        };
        while self.let_go(EXPIRE_MESSAGES_MAX, is_overdue) {}
    }

    fn held_of(&self, owner: &Owner) -> u64 {
        self.inner().owners.get(owner).copied().unwrap_or_default()
    }

    fn close(&self) -> Result<(), LogError> {
        self.inner_mut().closed = true;
        Ok(())
    }
}
