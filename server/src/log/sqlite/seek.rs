//! Finding a place by time.
//!
//! Times never fall as seqs rise, so the rows themselves are the index.

use rusqlite::{Connection, Result};

use super::failure::{is_corrupt, read_error};
use super::row::{StoredRow, row_columns, to_sql};
use super::{LogError, Shared};

/// Damaged rows passed over in search of one whose time can be trusted.
const ROWS_MAX: i64 = 64;

/// The place just before the first held message that was accepted at a time or later.
pub(super) fn place_before(
    shared: &Shared,
    connection: &Connection,
    time_us: u64,
) -> Result<u64, LogError> {
    let (first, last) = {
        let held = shared.held();
        (held.first, held.last)
    };
    search(connection, first, last, time_us).map_err(|error| read_error(&error))
}

/// Between `low` and `high` is the answer; everything before `low` is older than `time_us`.
fn search(connection: &Connection, first: u64, last: u64, time_us: u64) -> Result<u64> {
    let (mut low, mut high) = (first, last + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match good_row(connection, middle, last)? {
            Some((seq, found_us)) if found_us < time_us => low = seq + 1,
            // It is this one or one before. So it is taken to be where nothing can be read:
            // rather too early a place than one that skips something.
            _ => high = middle,
        }
    }
    Ok(good_row(connection, low, last)?.map_or(last, |(seq, _)| seq - 1))
}

/// The first row from a place on that is not damaged, and its time.
fn good_row(connection: &Connection, from: u64, last: u64) -> Result<Option<(u64, u64)>> {
    let sql = concat!(
        "SELECT ",
        row_columns!(),
        " FROM events WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq LIMIT ?3"
    );
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((to_sql(from), to_sql(last), ROWS_MAX))?;
    loop {
        match rows.next() {
            Ok(Some(row)) => {
                if let Some(row) = StoredRow::read(row) {
                    return Ok(Some((row.seq, row.time_us)));
                }
            }
            Err(error) if !is_corrupt(&error) => return Err(error),
            _ => return Ok(None),
        }
    }
}
