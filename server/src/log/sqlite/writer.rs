//! The one that appends: a batch, a transaction.

use std::collections::HashMap;

use doorbell_protocol::id::SEQ_MAX;
use doorbell_protocol::{Draft, Topic};
use rusqlite::{Connection, Result};

use super::ballast::Ballast;
use super::checkpoint::Checkpointer;
use super::failure::{is_full, log_error};
use super::lock::Claim;
use super::recover::Times;
use super::row::{Row, one_number, to_sql};
use super::saver::Unsaved;
use super::schema::{MARK_EVERY, TopicRow, Transaction, set_meta, set_own_checkpoints, set_sync};
use super::topics::Entry;
use super::{LogError, Shared, Sync};
use crate::message::{Message, number_batch};

/// Bytes appended after which the pages are counted again.
const UNCOUNTED_MAX: u64 = 1 << 20;
/// Bytes of a row beside its body, about.
const ROW_BYTES: u64 = 24;
const PAGE_BYTES: u64 = 4096;

/// The connection that writes, and what only it needs to know.
#[derive(Debug)]
pub(super) struct Writer {
    // In the order in which they are to be dropped: the claim on the folder goes last.
    pub(super) checkpointer: Checkpointer,
    pub(super) connection: Connection,
    pub(super) ballast: Ballast,
    pub(super) times: Times,
    pub(super) unsaved: Unsaved,
    /// Numbers of forgotten topics whose rows are still to be deleted.
    pub(super) leaving: Vec<u64>,
    /// How far messages of forgotten topics were let go.
    pub(super) forgotten: u64,
    /// Bytes appended since the pages were counted.
    pub(super) uncounted: u64,
    pub(super) claim: Claim,
}

/// A topic as a batch changes it.
#[derive(Debug, Clone, Copy)]
struct Touched {
    /// `None` until a new topic is given a number.
    tid: Option<u64>,
    newest: u64,
    unmarked: u64,
}

impl Writer {
    /// Stores a batch, then makes it known.
    pub(super) fn append(
        &mut self,
        shared: &Shared,
        drafts: &[Draft],
        time_us: u64,
    ) -> Result<Vec<Message>, LogError> {
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        if !self.ballast.is_ready() {
            return Err(LogError::Full);
        }
        let last = shared.held().last;
        if SEQ_MAX - last < drafts.len() as u64 {
            return Err(LogError::Failed("the log has given out its last place".into()));
        }
        let time_us = time_us.max(self.times.newest_us);
        let age_us = Some(shared.retention.age_us());
        let messages = number_batch(drafts, shared.epoch, last, time_us, age_us);
        let mut touched = known_topics(shared, &messages);
        self.unsaved.begin(last);
        match self.store(shared, &messages, &mut touched) {
            Ok(()) => {
                self.publish(shared, &messages, &touched, time_us);
                Ok(messages)
            }
            Err(error) => {
                if is_full(&error, &shared.folder) {
                    self.ballast.release();
                }
                Err(log_error(&error, &shared.folder))
            }
        }
    }

    fn store(
        &self,
        shared: &Shared,
        messages: &[Message],
        touched: &mut HashMap<&Topic, Touched>,
    ) -> Result<()> {
        let transaction = Transaction::begin(&self.connection)?;
        self.insert(messages, touched)?;
        self.unsaved.save_part(&self.connection, shared, |topic| {
            touched.get(topic).map(|touched| (touched.newest, touched.unmarked))
        })?;
        transaction.commit()
    }

    fn insert(&self, messages: &[Message], touched: &mut HashMap<&Topic, Touched>) -> Result<()> {
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO events(seq, tid, prev, ts, crc, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        for message in messages {
            let Some(topic) = touched.get_mut(message.topic()) else { continue };
            let tid = match topic.tid {
                Some(tid) => tid,
                None => *topic.tid.insert(self.add_topic(message.topic())?),
            };
            let body = message.frame().json();
            let (seq, prev, time_us) = (message.seq(), topic.newest, message.time_us());
            let row = Row { seq, tid, prev, time_us, body: &body };
            insert.execute((
                to_sql(seq),
                to_sql(tid),
                to_sql(prev),
                to_sql(time_us),
                to_sql(row.checksum()),
                row.body,
            ))?;
            topic.newest = seq;
            topic.unmarked = (topic.unmarked + 1) % MARK_EVERY;
            if topic.unmarked == 0 {
                let sql = "INSERT OR IGNORE INTO marks(tid, seq) VALUES (?1, ?2)";
                let mut mark = self.connection.prepare_cached(sql)?;
                mark.execute((to_sql(tid), to_sql(seq)))?;
            }
        }
        Ok(())
    }

    /// Gives a topic a number. One that was forgotten and comes back is a new one.
    fn add_topic(&self, topic: &Topic) -> Result<u64> {
        let sql = "INSERT OR REPLACE INTO topics(name, head, expired, unmarked, crc)
                   VALUES (?1, 0, 0, 0, 0) RETURNING id";
        let tid = one_number(&self.connection, sql, [topic.as_str()])?.unwrap_or_default();
        let (name, expired) = (topic.as_str(), self.forgotten);
        TopicRow { tid, name, head: 0, expired, unmarked: 0 }.save(&self.connection)?;
        Ok(tid)
    }

    /// What is committed becomes known.
    fn publish(
        &mut self,
        shared: &Shared,
        messages: &[Message],
        touched: &HashMap<&Topic, Touched>,
        time_us: u64,
    ) {
        let bytes = messages.iter().map(|m| m.frame().len() as u64 + ROW_BYTES).sum::<u64>();
        self.unsaved.end_part();
        self.uncounted += bytes;
        self.times.newest_us = time_us;
        let mut held = shared.held_mut();
        if held.first > held.last {
            self.times.oldest_us = time_us;
        }
        for (topic, Touched { tid, unmarked, .. }) in touched {
            let Some(tid) = *tid else { continue };
            held.topics.set(topic, Entry { tid, unmarked: *unmarked });
            self.unsaved.add(tid);
        }
        shared.heads.advance(messages.iter().map(|message| (message.topic(), message.seq())));
        held.last = messages.last().map_or(held.last, Message::seq);
        held.bytes += bytes;
        drop(held);
        // A commit writes each page that it changed: those of its rows, and about two more.
        self.checkpointer.note(2 + bytes / PAGE_BYTES);
        if self.uncounted > UNCOUNTED_MAX
            && let Err(error) = self.look_around(shared)
        {
            tracing::warn!(%error, "cannot count the pages of the log");
        }
    }

    /// What is done after every so many bytes.
    pub(super) fn look_around(&mut self, shared: &Shared) -> Result<()> {
        self.count_bytes(shared)?;
        match self.ballast.news() {
            Some(nearly_full) => set_own_checkpoints(&self.connection, nearly_full),
            None => Ok(()),
        }
    }

    /// Counts what the log takes up. In between, what is appended is added to it.
    pub(super) fn count_bytes(&mut self, shared: &Shared) -> Result<()> {
        let bytes = size(&self.connection)?;
        shared.held_mut().bytes = bytes;
        self.uncounted = 0;
        Ok(())
    }

    /// Saves everything, makes it durable, and notes that the run ended well.
    pub(super) fn close(mut self, shared: &Shared) -> Result<(), LogError> {
        let mut result = self.save_all(shared);
        if result.as_ref().is_err_and(|error| is_full(error, &shared.folder))
            && self.ballast.release()
        {
            result = self.save_all(shared);
        }
        result.map_err(|error| log_error(&error, &shared.folder))?;
        let Self { checkpointer, connection, claim, .. } = self;
        drop(checkpointer);
        if let Err(error) = empty_write_ahead(&connection) {
            // It is durable where it is; the next run reads it from there.
            tracing::warn!(%error, "the write-ahead file could not be emptied");
        }
        let closed = connection.close();
        drop(claim);
        closed.map_err(|(_, error)| log_error(&error, &shared.folder))
    }

    fn save_all(&self, shared: &Shared) -> Result<()> {
        // This commit syncs the write-ahead file, and with it all that came before.
        set_sync(&self.connection, Sync::Always)?;
        let transaction = Transaction::begin(&self.connection)?;
        let last = shared.held().last;
        self.unsaved.save_all(&self.connection, shared, last)?;
        set_meta(&self.connection, "clean", 1)?;
        transaction.commit()
    }
}

/// Moves all of the write-ahead file into the database and gives its room back.
pub(super) fn empty_write_ahead(connection: &Connection) -> Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

/// Bytes in pages that hold something.
pub(super) fn size(connection: &Connection) -> Result<u64> {
    let sql = "SELECT (page_count - freelist_count) * page_size
               FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    Ok(one_number(connection, sql, [])?.unwrap_or(0))
}

/// What is known of the topics of a batch.
fn known_topics<'a>(shared: &Shared, messages: &'a [Message]) -> HashMap<&'a Topic, Touched> {
    let held = shared.held();
    let mut touched = HashMap::new();
    for message in messages {
        touched.entry(message.topic()).or_insert_with(|| {
            let known = held.topics.get(message.topic());
            Touched {
                tid: known.map(|entry| entry.tid),
                newest: shared.heads.get(message.topic()).map_or(0, |head| head.newest),
                unmarked: known.map_or(0, |entry| entry.unmarked),
            }
        });
    }
    touched
}
