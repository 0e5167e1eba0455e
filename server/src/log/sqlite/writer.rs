//! The one that appends: a batch, a transaction.

use doorbell_protocol::id::SEQ_MAX;
use doorbell_protocol::{Draft, Topic};
use foldhash::HashMap;
use rusqlite::{CachedStatement, Connection, Result};

use super::ballast::Ballast;
use super::checkpoint::Checkpointer;
use super::failure::{is_full, log_error};
use super::lock::Claim;
use super::recover::Times;
use super::row::{StoredRow, one_number, row_columns, to_sql};
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
/// Rows inserted by one statement where a batch has as many. With fewer the copies of pages that
/// SQLite keeps during such a statement, so that it can fail alone, cost as much as is saved.
const INSERT_ROWS: usize = 64;

/// The connection that writes, and what only it needs to know.
#[derive(Debug)]
pub(super) struct SqliteWriter {
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

/// The topics of a batch as it changes them.
#[derive(Debug, Default)]
struct Touched<'a> {
    topics: Vec<TouchedTopic<'a>>,
    /// Where in `topics` a topic is.
    places: HashMap<&'a Topic, usize>,
}

#[derive(Debug, Clone, Copy)]
struct TouchedTopic<'a> {
    topic: &'a Topic,
    /// `None` until a new topic is given a number.
    tid: Option<u64>,
    newest: u64,
    unmarked: u64,
}

/// A message that is to be stored, and the place of its topic among those touched.
type Unstored<'a> = (&'a Message, usize);

impl SqliteWriter {
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
        let (rows, mut touched) = touch(shared, &messages);
        self.unsaved.begin(last);
        match self.store(shared, &rows, &mut touched) {
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
        rows: &[Unstored<'_>],
        touched: &mut Touched<'_>,
    ) -> Result<()> {
        let transaction = Transaction::begin(&self.connection)?;
        self.insert(rows, touched)?;
        self.unsaved.save_part(&self.connection, shared, |topic| {
            let touched = touched.topics[*touched.places.get(topic)?];
            Some((touched.newest, touched.unmarked))
        })?;
        transaction.commit()
    }

    fn insert(&self, rows: &[Unstored<'_>], touched: &mut Touched<'_>) -> Result<()> {
        let (many, few) = rows.as_chunks::<INSERT_ROWS>();
        for (rows, together) in [(many.as_flattened(), INSERT_ROWS), (few, 1)] {
            if rows.is_empty() {
                continue;
            }
            let mut insert = self.prepare_insert(together)?;
            for rows in rows.chunks_exact(together) {
                self.bind(&mut insert, rows, touched)?;
                insert.raw_execute()?;
            }
        }
        Ok(())
    }

    /// The statement that inserts so many rows.
    fn prepare_insert(&self, rows: usize) -> Result<CachedStatement<'_>> {
        let values = vec!["(?, ?, ?, ?, ?, ?)"; rows].join(", ");
        let sql = concat!("INSERT INTO events(", row_columns!(), ") VALUES ");
        self.connection.prepare_cached(&format!("{sql}{values}"))
    }

    /// Binds the rows of a statement, and notes them in their topics.
    fn bind(
        &self,
        insert: &mut CachedStatement<'_>,
        rows: &[Unstored<'_>],
        touched: &mut Touched<'_>,
    ) -> Result<()> {
        for ((message, place), columns) in rows.iter().zip((1..).step_by(6)) {
            let topic = &mut touched.topics[*place];
            let tid = match topic.tid {
                Some(tid) => tid,
                None => *topic.tid.insert(self.add_topic(message.topic())?),
            };
            let body = message.frame().json();
            let (seq, prev, time_us) = (message.seq(), topic.newest, message.time_us());
            let row = StoredRow { seq, tid, prev, time_us, body: &body };
            for (column, number) in (columns..).zip([seq, tid, prev, time_us, row.checksum()]) {
                insert.raw_bind_parameter(column, to_sql(number))?;
            }
            insert.raw_bind_parameter(columns + 5, row.body)?;
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
        touched: &Touched<'_>,
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
        for TouchedTopic { topic, tid, unmarked, .. } in &touched.topics {
            let Some(tid) = *tid else { continue };
            held.topics.set(topic, Entry { tid, unmarked: *unmarked });
            self.unsaved.add(tid);
        }
        shared.heads.advance(messages.iter().map(|message| (message.topic(), message.seq())));
        held.last = messages.last().map_or(held.last, Message::seq);
        held.bytes += bytes;
        drop(held);
        // A commit writes each page that it changed: the last one, and those that its rows begin.
        self.checkpointer.note(1 + bytes / PAGE_BYTES);
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
fn touch<'a>(shared: &Shared, messages: &'a [Message]) -> (Vec<Unstored<'a>>, Touched<'a>) {
    let held = shared.held();
    let mut touched = Touched::default();
    let place = |message: &'a Message| {
        let topic = message.topic();
        *touched.places.entry(topic).or_insert_with(|| {
            let known = held.topics.get(topic);
            touched.topics.push(TouchedTopic {
                topic,
                tid: known.map(|entry| entry.tid),
                newest: shared.heads.get(topic).map_or(0, |head| head.newest),
                unmarked: known.map_or(0, |entry| entry.unmarked),
            });
            touched.topics.len() - 1
        })
    };
    let places: Vec<usize> = messages.iter().map(place).collect();
    (messages.iter().zip(places).collect(), touched)
}
