//! One stored message: its columns, its checksum, and the way of numbers into SQLite and back.

use doorbell_protocol::{Epoch, Event, Topic};
use rusqlite::types::ValueRef;
use serde::de::IgnoredAny;

use crate::message::Message;

/// The columns of `events` in the order in which [`StoredRow::read`] expects them.
macro_rules! row_columns {
    () => {
        "seq, tid, prev, ts, crc, body"
    };
}
pub(super) use row_columns;

/// A row whose checksum was right.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredRow<'a> {
    pub(super) seq: u64,
    pub(super) tid: u64,
    pub(super) prev: u64,
    pub(super) time_us: u64,
    pub(super) body: &'a [u8],
}

impl<'a> StoredRow<'a> {
    /// Reads a row of [`row_columns`]; `None` if it is not what was stored.
    pub(super) fn read(row: &'a rusqlite::Row<'_>) -> Option<Self> {
        let ValueRef::Blob(body) = row.get_ref(5).ok()? else { return None };
        let read = Self {
            seq: number(row, 0)?,
            tid: number(row, 1)?,
            prev: number(row, 2)?,
            time_us: number(row, 3)?,
            body,
        };
        (number(row, 4)? == read.checksum() && is_json(body)).then_some(read)
    }

    /// What the column `crc` holds: a flipped bit in any column is noticed. SQLite itself keeps no
    /// checksums of its pages.
    pub(super) fn checksum(&self) -> u64 {
        checksum(&[self.seq, self.tid, self.prev, self.time_us], self.body)
    }

    /// The message as it was when it was stored.
    pub(super) fn message(&self, epoch: Epoch, topic: Topic) -> Message {
        Message::from_storage(epoch.id(self.seq), self.time_us, topic, self.body)
    }

    /// The topic as the message itself names it.
    pub(super) fn topic(&self) -> Option<Topic> {
        Event::parse(self.body).ok()?.topic?.parse().ok()
    }
}

/// CRC-32 of some numbers and the bytes after them.
pub(super) fn checksum(numbers: &[u64], bytes: &[u8]) -> u64 {
    let mut hasher = crc32fast::Hasher::new();
    for number in numbers {
        hasher.update(&number.to_le_bytes());
    }
    hasher.update(bytes);
    hasher.finalize().into()
}

fn is_json(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// A number on its way into SQLite, which has signed ones only. Nothing that is stored reaches the
/// bound; where a query names an open end, the bound is as good.
pub(super) fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number that was stored; `None` if it cannot have been.
pub(super) fn number(row: &rusqlite::Row<'_>, column: usize) -> Option<u64> {
    match row.get_ref(column) {
        Ok(ValueRef::Integer(number)) => u64::try_from(number).ok(),
        _ => None,
    }
}

/// The only number that a statement returns; `None` if it returns nothing.
pub(super) fn one_number(
    connection: &rusqlite::Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> rusqlite::Result<Option<u64>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    Ok(rows.next()?.and_then(|row| number(row, 0)))
}
