//! Reading topics along their chains.
//!
//! ```text
//! rows of one topic:   M . . . . M . . . . M . . . H        M: has a mark, H: the head
//! place                      ^   |
//! next mark after it             M
//! walk back by prev          ^<──┘   and then hand out what was passed, in rising order
//! ```
//!
//! A chain is a shortcut and is trusted no further than it proves itself: wherever a row is not
//! what the chain promised, the page ends, and a page that would begin there is looked for among
//! all rows instead. A `prev` is not verified while walking. It need not be: before anything beyond
//! a chain's next row is handed out, that row is read whole, and its checksum covers the `prev`
//! that says that nothing lies before it.

use doorbell_protocol::Topic;
use rusqlite::{Connection, Result};

use super::Page;
use super::failure::is_corrupt;
use super::row::{StoredRow, number, one_number, row_columns, to_sql};
use super::schema::MARK_EVERY;
use super::search::{Filling, Search, View};
use crate::message::Message;

/// Rows walked to the next mark. Without damage it is never more than `MARK_EVERY`; damaged rows
/// that were not counted at open may push marks apart.
const HOPS_MAX: u64 = 4 * MARK_EVERY;
/// Distance to the next mark, in all rows, within which it is cheaper to look at all rows.
const DENSE: u64 = 8 * MARK_EVERY;

/// One wanted topic.
#[derive(Debug)]
pub(super) struct Chain {
    topic: Topic,
    tid: u64,
    /// Everything up to here was handed out, is the next message or is ahead.
    place: u64,
    newest: u64,
    /// The rows ahead, in falling order.
    ahead: Vec<u64>,
    /// The next message, read and verified.
    next: Option<Message>,
    /// Where the next walk begins, if that is known.
    walk_from: Option<u64>,
}

/// A chain does not lead where it should.
#[derive(Debug)]
struct Broken;

/// What `?` is for: an error of the disk, or a chain that is broken.
type Followed<T> = Result<Result<T, Broken>>;

impl Chain {
    /// A topic from a place on, whose newest message is above that place.
    pub(super) fn new(topic: Topic, tid: u64, place: u64, newest: u64) -> Self {
        Self { topic, tid, place, newest, ahead: Vec::new(), next: None, walk_from: None }
    }

    /// The newest message.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// The row from which to walk back: the next one with a mark, else the head.
    fn find_start(&mut self, connection: &Connection) -> Result<u64> {
        if let Some(start) = self.walk_from {
            return Ok(start);
        }
        let sql = "SELECT seq FROM marks WHERE tid = ?1 AND seq > ?2 ORDER BY seq LIMIT 1";
        let mark = one_number(connection, sql, (to_sql(self.tid), to_sql(self.place)))?;
        let start = mark.unwrap_or(self.newest).min(self.newest);
        self.walk_from = Some(start);
        Ok(start)
    }

    /// Reads the next message if there is one up to `until`, or the first one beyond. Returns the
    /// rows looked at.
    fn advance(&mut self, view: &View<'_>, until: u64) -> Followed<u64> {
        let mut rows = 0;
        while self.ahead.is_empty() && self.place < self.newest.min(until) {
            match self.walk(view)? {
                Ok(looked_at) => rows += looked_at,
                Err(broken) => return Ok(Err(broken)),
            }
        }
        let Some(seq) = self.ahead.pop() else { return Ok(Ok(rows)) };
        let sql = concat!("SELECT ", row_columns!(), " FROM events WHERE seq = ?1");
        let mut statement = view.connection.prepare_cached(sql)?;
        let mut found = statement.query([to_sql(seq)])?;
        let row = found.next()?.and_then(StoredRow::read).filter(|row| row.tid == self.tid);
        self.next = row.map(|row| row.message(view.shared.epoch, self.topic.clone()));
        Ok(if self.next.is_some() { Ok(rows + 1) } else { Err(Broken) })
    }

    /// Finds the rows up to the next mark. Returns the rows looked at.
    fn walk(&mut self, view: &View<'_>) -> Followed<u64> {
        let sql = "SELECT tid, prev FROM events WHERE seq = ?1";
        let mut step = view.connection.prepare_cached(sql)?;
        let mut seq = self.find_start(view.connection)?;
        let mut hops = 0;
        // What is before the first message held was let go.
        while seq > self.place && seq >= view.first {
            let mut rows = step.query([to_sql(seq)])?;
            let Some(row) = rows.next()? else { return Ok(Err(Broken)) };
            let (tid, prev) = (number(row, 0), number(row, 1));
            let Some(prev) = prev.filter(|prev| *prev < seq && tid == Some(self.tid)) else {
                return Ok(Err(Broken));
            };
            self.ahead.push(seq);
            seq = prev;
            hops += 1;
            if hops > HOPS_MAX {
                return Ok(Err(Broken));
            }
        }
        self.place = self.walk_from.take().unwrap_or(self.place);
        Ok(Ok(hops))
    }
}

/// Whether so many of the next rows are wanted that it is cheaper to look at all of them.
pub(super) fn are_dense(view: &View<'_>, chains: &mut [Chain]) -> Result<bool> {
    for chain in chains {
        match chain.find_start(view.connection) {
            // The head may be the only one ahead; before a mark there are many.
            Ok(start) if start == chain.newest && start - chain.place > MARK_EVERY => {}
            Ok(start) if start - chain.place <= DENSE => return Ok(true),
            // A reader that follows the chain finds out.
            Err(error) if !is_corrupt(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(false)
}

/// Reads a page; `None` if a chain is broken before there is anything to hand out. Also returns the
/// rows looked at.
pub(super) fn page(
    view: &View<'_>,
    search: &Search<'_>,
    chains: &mut [Chain],
) -> Result<(Option<Page>, u64)> {
    let mut page = Filling::new(search.limit);
    let mut rows = 0;
    let through = loop {
        match next(view, search, chains, &mut rows) {
            Ok(Ok(None)) => break search.until,
            Ok(Ok(Some(message))) => {
                let seq = message.seq();
                if !page.push(message) {
                    break seq - 1;
                }
            }
            Err(error) if !is_corrupt(&error) => return Err(error),
            Ok(Err(Broken)) | Err(_) => match page.messages.last().map(Message::seq) {
                Some(last) => break last,
                None => return Ok((None, rows)),
            },
        }
    };
    Ok((Some(page.through(through)), rows))
}

/// The next message of all chains.
fn next(
    view: &View<'_>,
    search: &Search<'_>,
    chains: &mut [Chain],
    rows: &mut u64,
) -> Followed<Option<Message>> {
    for chain in chains.iter_mut().filter(|chain| chain.next.is_none()) {
        match chain.advance(view, search.until)? {
            Ok(looked_at) => *rows += looked_at,
            Err(broken) => return Ok(Err(broken)),
        }
    }
    let waiting = chains.iter_mut().filter_map(|chain| {
        let seq = chain.next.as_ref()?.seq();
        (seq <= search.until).then_some((seq, &mut chain.next))
    });
    let nearest = waiting.min_by_key(|(seq, _)| *seq);
    Ok(Ok(nearest.and_then(|(_, next)| next.take())))
}
