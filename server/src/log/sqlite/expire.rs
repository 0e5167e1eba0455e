//! Retention: letting go of the oldest messages, a small step at a time.
//!
//! What is too much is counted in pages that hold anything, those of the topics' names included, so
//! a bound smaller than these lets go of every message.
//!
//! Deleted rows leave free pages, and new rows fill them: a log that turns over does not grow and
//! does not need to be vacuumed. Only when the disk is full are free pages given back to it.

use std::collections::HashMap;

use doorbell_protocol::Topic;
use rusqlite::Result;

use super::failure::{is_corrupt, is_full, log_error};
use super::recover::oldest_time;
use super::row::{StoredRow, number, one_number, row_columns, to_sql};
use super::schema::{TopicRow, Transaction, set_meta};
use super::topics::Entry;
use super::writer::{SqliteWriter, empty_write_ahead};
use super::{LogError, Shared};
use crate::limits::{EXPIRE_MESSAGES_MAX, TOPICS_REMEMBERED_MAX};
use crate::log::heads::TopicHead;

/// Free pages given back to a full disk in one step: as much as the ballast made room for.
const VACUUM_PAGES: usize = 1000;

/// What one step lets go of.
#[derive(Debug)]
struct Step {
    /// Every message up to here.
    through: u64,
    /// The newest of them of each topic.
    newest: HashMap<u64, u64>,
}

impl SqliteWriter {
    /// One step. Returns whether there is more to let go of.
    pub(super) fn expire(&mut self, shared: &Shared, now_us: u64) -> Result<bool, LogError> {
        let oldest_us = now_us.saturating_sub(shared.retention.age_us());
        let mut result = self.step(shared, oldest_us);
        if result.as_ref().is_err_and(|error| is_full(error, &shared.folder)) {
            self.ballast.release();
            self.make_room();
            result = self.step(shared, oldest_us);
        } else if !self.ballast.is_ready() {
            self.make_room();
        }
        match result {
            // The pages cannot be read, so they cannot be freed. New messages are still taken.
            Err(error) if is_corrupt(&error) => {
                shared.damage.tell(shared.held().first, shared.held().first);
                Ok(false)
            }
            result => result.map_err(|error| log_error(&error, &shared.folder)),
        }
    }

    fn step(&mut self, shared: &Shared, oldest_us: u64) -> Result<bool> {
        if !self.is_overdue(shared, oldest_us) {
            if !self.leaving.is_empty() {
                let transaction = Transaction::begin(&self.connection)?;
                let leaving = self.delete_some_leaving()?;
                transaction.commit()?;
                self.leaving.truncate(leaving);
            }
            return Ok(!self.leaving.is_empty());
        }
        self.count_bytes(shared)?;
        let Some(step) = self.choose(shared, oldest_us)? else { return Ok(false) };
        self.let_go(shared, &step)?;
        self.count_bytes(shared)?;
        Ok(self.is_overdue(shared, oldest_us) || !self.leaving.is_empty())
    }

    /// Whether the oldest message is too old or all of them are too much.
    fn is_overdue(&self, shared: &Shared, oldest_us: u64) -> bool {
        let held = shared.held();
        held.first <= held.last
            && (self.times.oldest_us < oldest_us || held.bytes > shared.retention.bytes)
    }

    fn choose(&self, shared: &Shared, oldest_us: u64) -> Result<Option<Step>> {
        let (excess, row_cost) = {
            let held = shared.held();
            let rows = (held.last + 1).saturating_sub(held.first).max(1);
            // Pages cost more than the bodies in them, and rows differ: whichever is more.
            (held.bytes.saturating_sub(shared.retention.bytes), held.bytes / rows)
        };
        let mut oldest = Vec::with_capacity(EXPIRE_MESSAGES_MAX);
        let mut bytes = 0;
        let mut too_much = 0;
        {
            let sql = "SELECT seq, tid, ts, length(body) FROM events ORDER BY seq LIMIT ?1";
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query([to_sql(EXPIRE_MESSAGES_MAX as u64)])?;
            while let Some(row) = rows.next()? {
                let [seq, tid, time_us, body] =
                    [0, 1, 2, 3].map(|column| number(row, column).unwrap_or(0));
                oldest.push((seq, tid, time_us));
                if bytes < excess {
                    too_much = oldest.len();
                }
                bytes += body.max(row_cost);
            }
        }
        // Times do not fall, so all that is before a message too old is too old as well. One whose
        // time is damaged must neither hold up the others nor take them along.
        let mut too_old = oldest.len();
        while too_old > too_much {
            let (seq, _, time_us) = oldest[too_old - 1];
            if time_us < oldest_us && self.is_good(seq)? {
                break;
            }
            too_old -= 1;
        }
        let mut count = too_old.max(too_much);
        if count == 0 && !self.is_any_good(&oldest)? {
            // Nobody can read any of these. They would hold up all that is behind them.
            count = oldest.len();
        }
        oldest.truncate(count);
        let newest = oldest.iter().map(|(seq, tid, _)| (*tid, *seq)).collect();
        Ok(oldest.last().map(|(through, ..)| Step { through: *through, newest }))
    }

    fn is_good(&self, seq: u64) -> Result<bool> {
        let sql = concat!("SELECT ", row_columns!(), " FROM events WHERE seq = ?1");
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([to_sql(seq)])?;
        Ok(rows.next()?.and_then(StoredRow::read).is_some())
    }

    fn is_any_good(&self, rows: &[(u64, u64, u64)]) -> Result<bool> {
        for (seq, ..) in rows {
            if self.is_good(*seq)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn let_go(&mut self, shared: &Shared, step: &Step) -> Result<()> {
        let transaction = Transaction::begin(&self.connection)?;
        let through = to_sql(step.through);
        self.connection.prepare_cached("DELETE FROM events WHERE seq <= ?1")?.execute([through])?;
        let expired = self.note_in_topics(shared, step)?;
        set_meta(&self.connection, "expired_through", through)?;
        let leaving = self.delete_some_leaving()?;
        let sql = "SELECT seq FROM events ORDER BY seq LIMIT 1";
        let first = one_number(&self.connection, sql, [])?;
        let oldest_us = oldest_time(&self.connection)?;

        // No reader begins between the commit and what memory says of it: it would find rows
        // missing and nothing that tells why.
        let mut held = shared.held_mut();
        transaction.commit()?;
        held.first = first.unwrap_or(u64::MAX).min(held.last + 1);
        let places = expired.iter().map(|(topic, seq)| (topic, *seq));
        let (gone, forgotten) = shared.heads.expire(places, TOPICS_REMEMBERED_MAX);
        self.leaving.truncate(leaving);
        self.leaving.extend(gone.iter().filter_map(|topic| held.topics.remove(topic)));
        self.forgotten = forgotten;
        self.times.oldest_us = oldest_us;
        Ok(())
    }

    /// Notes in each topic what it loses, so that a quiet one is never told of a gap that it does
    /// not have, and removes the marks of what is gone.
    fn note_in_topics(&self, shared: &Shared, step: &Step) -> Result<Vec<(Topic, u64)>> {
        let mut unmark =
            self.connection.prepare_cached("DELETE FROM marks WHERE tid = ?1 AND seq <= ?2")?;
        let held = shared.held();
        let mut noted = Vec::with_capacity(step.newest.len());
        for (tid, expired) in &step.newest {
            unmark.execute((to_sql(*tid), to_sql(*expired)))?;
            let Some(topic) = held.topics.name(*tid) else { continue };
            let Some(Entry { unmarked, .. }) = held.topics.get(topic) else { continue };
            let Some(TopicHead { newest, .. }) = shared.heads.get(topic) else { continue };
            let (name, expired) = (topic.as_str(), *expired);
            TopicRow { tid: *tid, name, head: newest, expired, unmarked }.save(&self.connection)?;
            noted.push((topic.clone(), expired));
        }
        Ok(noted)
    }

    /// Deletes the rows of some forgotten topics. Returns how many are left to delete.
    fn delete_some_leaving(&self) -> Result<usize> {
        let rest = self.leaving.len().saturating_sub(EXPIRE_MESSAGES_MAX);
        let part = &self.leaving[rest..];
        if !part.is_empty() {
            set_meta(&self.connection, "forgotten", to_sql(self.forgotten))?;
        }
        let mut delete = self.connection.prepare_cached("DELETE FROM topics WHERE id = ?1")?;
        for tid in part {
            delete.execute([to_sql(*tid)])?;
        }
        Ok(rest)
    }

    /// Gives a full disk back what the log does not need, so that the ballast fits again.
    fn make_room(&mut self) {
        let made = empty_write_ahead(&self.connection)
            .and_then(|()| self.vacuum())
            .and_then(|()| empty_write_ahead(&self.connection));
        if let Err(error) = made {
            tracing::debug!(%error, "no room could be made");
        }
        if self.ballast.is_ready() {
            tracing::info!("there is room for messages again");
        }
    }

    fn vacuum(&self) -> Result<()> {
        // Each step of the statement frees one page.
        let mut vacuum = self.connection.prepare_cached("PRAGMA incremental_vacuum")?;
        let mut freed = vacuum.query([])?;
        let mut pages = 0;
        while pages < VACUUM_PAGES && freed.next()?.is_some() {
            pages += 1;
        }
        Ok(())
    }
}
