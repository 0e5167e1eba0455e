//! Which heads are still to be saved, and saving them.
//!
//! A head changes with every message, so saving each at once would write a row of `topics` for
//! every row of `events`. They are saved after many messages instead, and then a few with each
//! batch, so that no publisher waits for ten thousand of them.

use doorbell_protocol::Topic;
use foldhash::HashSet;
use rusqlite::{Connection, Result};

use super::Shared;
use super::row::to_sql;
use super::schema::{TopicRow, set_meta};
use super::topics::Entry;
use crate::log::heads::TopicHead;

/// Messages after which the heads are saved. Reading as many rows at open takes some milliseconds.
const MESSAGES_UNSAVED_MAX: u64 = 100_000;
/// Heads saved along with one batch.
const HEADS_PER_BATCH: usize = 256;

/// The numbers of the topics whose heads are not saved.
#[derive(Debug)]
pub(super) struct Unsaved {
    changed: HashSet<u64>,
    /// Those that are being saved, a part with each batch.
    saving: Vec<u64>,
    /// What `heads_seq` will be once `saving` is empty.
    saving_through: u64,
    /// What `heads_seq` is.
    saved_through: u64,
}

impl Unsaved {
    /// All heads are saved.
    pub(super) fn new(saved_through: u64) -> Self {
        let (changed, saving) = (HashSet::default(), Vec::new());
        Self { changed, saving, saving_through: saved_through, saved_through }
    }

    /// Notes a topic whose head has changed.
    pub(super) fn add(&mut self, tid: u64) {
        self.changed.insert(tid);
    }

    /// Before a batch, the newest message being `last`: begins to save if it is time to.
    pub(super) fn begin(&mut self, last: u64) {
        if self.saving.is_empty() && last - self.saved_through >= MESSAGES_UNSAVED_MAX {
            self.saving = self.changed.drain().collect();
            self.saving_through = last;
        }
    }

    /// Saves a part, in the transaction of a batch. `newer` knows the heads that the batch changes:
    /// the newest message and the messages without a mark.
    pub(super) fn save_part(
        &self,
        connection: &Connection,
        shared: &Shared,
        newer: impl Fn(&Topic) -> Option<(u64, u64)>,
    ) -> Result<()> {
        if self.saving_through == self.saved_through {
            return Ok(());
        }
        let part = &self.saving[self.rest()..];
        save_heads(connection, shared, part, newer)?;
        if self.rest() == 0 {
            set_meta(connection, "heads_seq", to_sql(self.saving_through))?;
        }
        Ok(())
    }

    /// After the commit: that part is saved.
    pub(super) fn end_part(&mut self) {
        self.saving.truncate(self.rest());
        if self.saving.is_empty() {
            self.saved_through = self.saving_through;
        }
    }

    /// Saves all that is left, the newest message being `last`.
    pub(super) fn save_all(
        &self,
        connection: &Connection,
        shared: &Shared,
        last: u64,
    ) -> Result<()> {
        let all: Vec<u64> = self.saving.iter().chain(&self.changed).copied().collect();
        save_heads(connection, shared, &all, |_| None)?;
        set_meta(connection, "heads_seq", to_sql(last))
    }

    fn rest(&self) -> usize {
        self.saving.len().saturating_sub(HEADS_PER_BATCH)
    }
}

fn save_heads(
    connection: &Connection,
    shared: &Shared,
    tids: &[u64],
    newer: impl Fn(&Topic) -> Option<(u64, u64)>,
) -> Result<()> {
    let held = shared.held();
    for tid in tids {
        // A topic that is not there any more was forgotten.
        let Some(topic) = held.topics.name(*tid) else { continue };
        let Some(Entry { unmarked, .. }) = held.topics.get(topic) else { continue };
        let Some(TopicHead { newest, expired }) = shared.heads.get(topic) else { continue };
        let (newest, unmarked) = newer(topic).unwrap_or((newest, unmarked));
        let name = topic.as_str();
        TopicRow { tid: *tid, name, head: newest, expired, unmarked }.save(connection)?;
    }
    Ok(())
}
