//! What is known in memory, put together again from the tables at open.
//!
//! The saved heads are true up to `heads_seq`; the rows above it are read to bring them up to date.
//! Where a saved topic does not match its checksum, or a row cannot be read, all rows are read:
//! everything that `topics` says can be found out from `events`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use doorbell_protocol::id::SEQ_MAX;
use doorbell_protocol::{GapReason, Topic};
use rusqlite::{Connection, Params, Result};

use super::damage::next_readable;
use super::failure::is_corrupt;
use super::row::{StoredRow, number, one_number, row_columns, to_sql};
use super::schema::{self, MARK_EVERY, TopicRow, meta_seq, set_meta};
use super::topics::{self, Topics};
use super::{Heads, Hole};
use crate::log::heads::TopicHead;

/// Places left out after the machine died: more than can have been given out between two syncs by
/// the kernel, half a minute apart, at millions a second.
pub(super) const LOST_PLACES: u64 = 1 << 30;
/// Rows looked at to find one whose time can be trusted.
const TIME_ROWS: u64 = 500;

/// What the tables hold.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) first: u64,
    pub(super) last: u64,
    /// By number.
    topics: HashMap<u64, Known>,
    /// Rising.
    holes: Vec<Hole>,
    pub(super) times: Times,
    pub(super) forgotten: u64,
    /// Whether the list of topics is to be written anew.
    topics_damaged: bool,
    /// Whether there are rows above `last`.
    some_above: bool,
}

/// The times of the oldest and the newest message.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Times {
    pub(super) oldest_us: u64,
    pub(super) newest_us: u64,
}

impl Recovered {
    /// Adds the newest hole; numbering goes on behind it.
    pub(super) fn add_hole(&mut self, hole: Hole) {
        if self.first > self.last {
            self.first = hole.through + 1;
        }
        self.last = hole.through;
        self.holes.push(hole);
    }

    /// Stores what was found out anew, in the caller's transaction.
    pub(super) fn save(&self, connection: &Connection) -> Result<()> {
        if self.some_above {
            // The numbers of these rows are damaged. They are holes further down, and would be in
            // the way of new rows.
            connection.execute("DELETE FROM events WHERE seq > ?1", [to_sql(self.last)])?;
        }
        if self.topics_damaged {
            connection.execute("DELETE FROM topics", [])?;
        }
        for (tid, known) in &self.topics {
            if self.topics_damaged || known.changed {
                let Known { name, head: TopicHead { newest, expired }, unmarked, .. } = known;
                let (name, head, expired, unmarked) = (name.as_str(), *newest, *expired, *unmarked);
                TopicRow { tid: *tid, name, head, expired, unmarked }.save(connection)?;
            }
        }
        for hole in &self.holes {
            hole.save(connection)?;
        }
        set_meta(connection, "forgotten", to_sql(self.forgotten))?;
        set_meta(connection, "heads_seq", to_sql(self.last))
    }

    /// Moves the topics and the holes to where they are kept.
    pub(super) fn unpack(&mut self, heads: &Heads) -> (Topics, Vec<Hole>) {
        let mut topics = Topics::default();
        for (tid, Known { name, head, unmarked, .. }) in self.topics.drain() {
            topics.set(&name, topics::Entry { tid, unmarked });
            heads.restore(name, head);
        }
        heads.restore_forgotten(self.forgotten);
        (topics, std::mem::take(&mut self.holes))
    }
}

/// Reads all of it. This is not done in the transaction that stores what comes of it: after a
/// damaged page SQLite writes nothing more in the same one.
pub(super) fn recover(connection: &Connection) -> Result<Recovered> {
    let expired_through = meta_seq(connection, "expired_through")?;
    let heads_seq = meta_seq(connection, "heads_seq")?;
    let mut forgotten = meta_seq(connection, "forgotten")?;
    let (saved, all_good) = saved_topics(connection)?;
    let from = if all_good { heads_seq.max(expired_through) } else { expired_through };
    if !all_good {
        tracing::error!(
            "the list of topics is damaged: it is put together again from the messages"
        );
        // A topic that is missing in the list may have lost anything that was let go.
        forgotten = forgotten.max(expired_through);
    }
    let mut catch_up = CatchUp {
        topics: saved,
        holes: schema::holes(connection)?,
        expected: from + 1,
        bad: 0,
        highest: from,
        ended_well: meta_seq(connection, "clean")? == 1,
    };
    catch_up.run(connection, from)?;
    let last = catch_up.finish().max(heads_seq).max(expired_through);
    let first = match one_number(connection, "SELECT seq FROM events ORDER BY seq LIMIT 1", []) {
        Err(error) if is_corrupt(&error) => Some(expired_through + 1),
        first => first?,
    };
    let oldest_us = oldest_time(connection)?;
    Ok(Recovered {
        first: first.unwrap_or(u64::MAX).min(last + 1),
        last,
        some_above: catch_up.highest > last,
        topics: catch_up.topics,
        holes: catch_up.holes,
        times: Times { oldest_us, newest_us: newest_time(connection, last)?.max(oldest_us) },
        forgotten,
        topics_damaged: !all_good,
    })
}

/// The time of the oldest message, or of the first one that is not damaged; 0 if there is none.
pub(super) fn oldest_time(connection: &Connection) -> Result<u64> {
    let sql = concat!("SELECT ", row_columns!(), " FROM events ORDER BY seq LIMIT ?1");
    first_good_time(connection, sql, [to_sql(TIME_ROWS)])
}

/// The time of the newest message that can be read at all.
fn newest_time(connection: &Connection, last: u64) -> Result<u64> {
    let sql = concat!(
        "SELECT ",
        row_columns!(),
        " FROM events WHERE seq <= ?2 ORDER BY seq DESC LIMIT ?1"
    );
    let mut step = 0;
    loop {
        let from = to_sql(last.saturating_sub(step));
        let found = first_good_time(connection, sql, (to_sql(TIME_ROWS), from))?;
        if found > 0 || step > last {
            return Ok(found);
        }
        step = step * 2 + 1;
    }
}

fn first_good_time(connection: &Connection, sql: &str, parameters: impl Params) -> Result<u64> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    loop {
        match rows.next() {
            Ok(Some(row)) => {
                if let Some(row) = StoredRow::read(row) {
                    return Ok(row.time_us);
                }
            }
            Err(error) if !is_corrupt(&error) => return Err(error),
            _ => return Ok(0),
        }
    }
}

/// A topic as it is put together.
#[derive(Debug)]
struct Known {
    name: Topic,
    head: TopicHead,
    unmarked: u64,
    changed: bool,
}

/// The saved topics by number, and whether all of them could be read.
fn saved_topics(connection: &Connection) -> Result<(HashMap<u64, Known>, bool)> {
    let mut saved = HashMap::new();
    let mut all_good = true;
    let sql = "SELECT id, head, expired, unmarked, crc, name FROM topics";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    loop {
        match rows.next() {
            Ok(Some(row)) => match saved_topic(row) {
                Some((tid, known)) => drop(saved.insert(tid, known)),
                None => all_good = false,
            },
            Ok(None) => return Ok((saved, all_good)),
            Err(error) if is_corrupt(&error) => return Ok((saved, false)),
            Err(error) => return Err(error),
        }
    }
}

fn saved_topic(row: &rusqlite::Row<'_>) -> Option<(u64, Known)> {
    let name = row.get_ref(5).ok()?.as_str().ok()?;
    let [tid, head, expired, unmarked] = [0, 1, 2, 3].map(|column| number(row, column));
    let saved = TopicRow { tid: tid?, name, head: head?, expired: expired?, unmarked: unmarked? };
    if number(row, 4)? != saved.checksum() {
        return None;
    }
    let head = TopicHead { newest: saved.head, expired: saved.expired };
    let name = name.parse().ok()?;
    Some((saved.tid, Known { name, head, unmarked: saved.unmarked, changed: false }))
}

/// Reads the rows that are newer than what is known.
///
/// Places are given out without a break, so a row that is not there is as damaged as one whose
/// checksum is wrong. Both become holes: no chain leads to them, so nothing else would tell of
/// them.
#[derive(Debug)]
struct CatchUp {
    topics: HashMap<u64, Known>,
    holes: Vec<Hole>,
    /// The place of the next row.
    expected: u64,
    /// Damaged rows seen since the last good one.
    bad: u64,
    /// The highest number of any row, damaged or not.
    highest: u64,
    /// Whether the last run was closed, so that nothing was given out after `heads_seq`.
    ended_well: bool,
}

impl CatchUp {
    fn run(&mut self, connection: &Connection, mut after: u64) -> Result<()> {
        loop {
            match self.run_until_corrupt(connection, &mut after) {
                Err(error) if is_corrupt(&error) => {
                    let next = next_readable(connection, after + 1, SEQ_MAX)?;
                    if next > SEQ_MAX {
                        if !self.ended_well {
                            // Nobody knows how many they were.
                            self.bad = LOST_PLACES;
                        }
                        return Ok(());
                    }
                    // It goes on at least by one: this ends, whatever is on the disk.
                    after = (next - 1).max(after + 1);
                }
                result => return result,
            }
        }
    }

    fn run_until_corrupt(&mut self, connection: &Connection, after: &mut u64) -> Result<()> {
        let sql = concat!("SELECT ", row_columns!(), " FROM events WHERE seq >= ?1 ORDER BY seq");
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query([to_sql(*after + 1)])?;
        while let Some(row) = rows.next()? {
            match StoredRow::read(row) {
                Some(row) => self.note(&row),
                None => self.bad += 1,
            }
            *after = number(row, 0).unwrap_or(*after);
            self.highest = self.highest.max(*after);
        }
        Ok(())
    }

    fn note(&mut self, row: &StoredRow<'_>) {
        self.skip_known_holes();
        if row.seq > self.expected {
            self.add_hole(row.seq - 1);
        }
        self.expected = row.seq + 1;
        self.bad = 0;
        let known = match self.topics.entry(row.tid) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let Some(name) = row.topic() else { return };
                // What came before its oldest row was let go.
                let head = TopicHead { newest: 0, expired: row.prev };
                unknown.insert(Known { name, head, unmarked: 0, changed: true })
            }
        };
        // Some heads were saved later than `heads_seq` says.
        if row.seq > known.head.newest {
            known.head.newest = row.seq;
            known.unmarked = (known.unmarked + 1) % MARK_EVERY;
            known.changed = true;
        }
    }

    /// Returns the last place that was given out.
    fn finish(&mut self) -> u64 {
        let before = self.expected;
        self.skip_known_holes();
        if self.bad > 0 && self.expected == before {
            // The newest rows are damaged. Their own numbers cannot be trusted, but how many they
            // are can.
            self.add_hole(self.expected + self.bad - 1);
        }
        self.holes.last().map_or(0, |hole| hole.through).max(self.expected - 1)
    }

    fn skip_known_holes(&mut self) {
        for hole in &self.holes {
            if hole.after < self.expected {
                self.expected = self.expected.max(hole.through + 1);
            }
        }
    }

    fn add_hole(&mut self, through: u64) {
        let hole = Hole { after: self.expected - 1, through, reason: GapReason::Damaged };
        tracing::error!(?hole, "messages are damaged");
        self.holes.push(hole);
        self.holes.sort_unstable_by_key(|hole| hole.after);
        self.expected = through + 1;
    }
}
