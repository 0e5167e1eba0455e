//! Finding the way past pages that SQLite cannot read.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, Result};

use super::failure::is_corrupt;
use super::row::{number, row_columns, to_sql};

/// Damaged places that are remembered so as to speak of each only once.
const TOLD_MAX: usize = 1000;

/// Which damage was spoken of already: many readers find the same.
#[derive(Debug, Default)]
pub(super) struct DamageSeen(Mutex<HashSet<u64>>);

impl DamageSeen {
    /// Tells the operator of a damaged run of places, once.
    pub(super) fn tell(&self, first: u64, last: u64) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < TOLD_MAX && told.insert(first) {
            tracing::error!(first, last, "stored messages are damaged; readers are told of a gap");
        }
    }
}

/// The first place from `from` to `until` whose row can be read at all, or one above `until`.
///
/// Pages hold neighbours, so damage is a range. The search leaps ahead until something can be read
/// and then closes in on the first such place: a few dozen probes, however large the range is.
pub(super) fn next_readable(connection: &Connection, from: u64, until: u64) -> Result<u64> {
    if let Some(found) = probe(connection, from, until)? {
        return Ok(found);
    }
    let mut unreadable = from;
    let mut step = 1;
    let mut readable = loop {
        let candidate = from.saturating_add(step);
        if candidate > until || probe(connection, candidate, until)?.is_some() {
            break candidate.min(until + 1);
        }
        unreadable = candidate;
        step *= 2;
    };
    while unreadable + 1 < readable {
        let middle = unreadable + (readable - unreadable) / 2;
        match probe(connection, middle, until)? {
            Some(_) => readable = middle,
            None => unreadable = middle,
        }
    }
    Ok(probe(connection, readable, until)?.unwrap_or(until + 1))
}

/// Reads the first row from a place on, all of it, since a long body has pages of its own. Returns
/// its place, one above `until` if there is none, and `None` if it cannot be read.
fn probe(connection: &Connection, from: u64, until: u64) -> Result<Option<u64>> {
    let sql = concat!(
        "SELECT ",
        row_columns!(),
        " FROM events WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq LIMIT 1"
    );
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((to_sql(from), to_sql(until)))?;
    match rows.next() {
        Ok(Some(row)) => Ok(number(row, 0)),
        Ok(None) => Ok(Some(until + 1)),
        Err(error) if is_corrupt(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
