//! The log that lives in memory only (`--ephemeral`): it ends with the process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use doorbell_protocol::{Draft, Epoch, GapReason};

use super::{Bounds, Feed, Heads, Log, LogError, Page, Query, Retention, Ring};
use crate::limits::{EXPIRE_MESSAGES_MAX, TOPICS_REMEMBERED_MAX};
use crate::message::{Message, number_batch};

/// Messages in one ring.
#[derive(Debug)]
pub struct MemoryLog {
    epoch: Epoch,
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
    last: u64,
    last_time_us: u64,
    closed: bool,
}

impl MemoryLog {
    /// An empty log of a new epoch.
    pub fn new(retention: Retention) -> Self {
        Self {
            epoch: Epoch::from_bits(rand::random()),
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

impl Inner {
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

    fn append(&self, drafts: &[Draft], time_us: u64) -> Result<Vec<Message>, LogError> {
        let feed = self.feed();
        let mut inner = self.inner_mut();
        if inner.closed {
            return Err(LogError::Closed);
        }
        inner.last_time_us = inner.last_time_us.max(time_us);
        let age_us = Some(self.retention.age_us());
        let messages = number_batch(drafts, self.epoch, inner.last, inner.last_time_us, age_us);
        for message in &messages {
            inner.last = message.seq();
            inner.ring.push(message.clone());
        }
        self.heads.advance(messages.iter().map(|message| (message.topic(), message.seq())));
        drop(inner);
        feed.iter().for_each(|feed| feed.push(&messages));
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
        Bounds {
            epoch: self.epoch,
            first: inner.first(),
            last: inner.last,
            bytes: inner.ring.bytes() as u64,
        }
    }

    fn seek(&self, time_us: u64) -> Result<u64, LogError> {
        let inner = self.inner();
        let index = inner.ring.count_before(time_us);
        Ok(inner.ring.get(index).map_or(inner.last, |message| message.seq() - 1))
    }

    fn heads(&self) -> &Heads {
        &self.heads
    }

    fn expire(&self, now_us: u64) -> Result<bool, LogError> {
        let oldest_us = now_us.saturating_sub(self.retention.age_us());
        let mut gone = Vec::new();
        let feed = self.feed();
        let mut inner = self.inner_mut();
        let too_old_or_much = |ring: &Ring| {
            let too_old = ring.oldest().is_some_and(|message| message.time_us() < oldest_us);
            too_old || ring.bytes() as u64 > self.retention.bytes
        };
        while gone.len() < EXPIRE_MESSAGES_MAX && too_old_or_much(&inner.ring) {
            gone.extend(inner.ring.pop());
        }
        let more = too_old_or_much(&inner.ring);
        let places = gone.iter().map(|message| (message.topic(), message.seq()));
        self.heads.expire(places, TOPICS_REMEMBERED_MAX);
        let first = inner.first();
        drop(inner);
        feed.iter().for_each(|feed| feed.trim(first));
        Ok(more)
    }

    fn close(&self) -> Result<(), LogError> {
        self.inner_mut().closed = true;
        Ok(())
    }
}
