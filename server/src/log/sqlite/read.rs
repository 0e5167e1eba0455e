//! How a page is found.
//!
//! First what cannot be had: what retention let go, and holes. Then the rows, in one of two ways:
//! along the chains of the wanted topics (`chain`), which looks at little else than what is wanted,
//! or through all rows (`scan`), which is better where a good part of them is wanted and needs
//! nothing but the rows themselves. Both read inside one snapshot and look at a bounded number of
//! rows, however large the log is.

use doorbell_protocol::{GapReason, Topic};
use rusqlite::{Connection, Result};

use super::chain::{self, Chain};
use super::failure::read_error;
use super::{Held, LogError, Page, Query, Shared, scan};
use crate::log::{PageLimit, Selection};
use crate::message::Message;

/// Chains followed for one page. More topics than this are looked for among all rows.
const CHAINS_MAX: usize = 64;
/// Topics up to which those that a pattern selects are looked up, in order to follow their chains.
const TOPICS_EXPANDED_MAX: usize = 16_384;

/// The log as it was when the page was asked for. The snapshot ends with it: one that stays open
/// keeps the write-ahead file from being emptied.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) connection: &'a Connection,
    pub(super) shared: &'a Shared,
    pub(super) first: u64,
    last: u64,
}

/// What is looked for in the rows: everything wanted in these places.
#[derive(Debug, Clone, Copy)]
pub(super) struct Search<'a> {
    pub(super) selection: Selection<'a>,
    pub(super) after: u64,
    pub(super) until: u64,
    pub(super) limit: PageLimit,
}

/// Reads one page.
pub(super) fn page(
    shared: &Shared,
    connection: &Connection,
    query: &Query<'_>,
) -> Result<Page, LogError> {
    counted_page(shared, connection, query).map(|(page, _)| page)
}

/// Reads one page and counts the rows looked at.
pub(super) fn counted_page(
    shared: &Shared,
    connection: &Connection,
    query: &Query<'_>,
) -> Result<(Page, u64), LogError> {
    let begun = View::begin(shared, connection, query);
    let (view, chains) = begun.map_err(|error| read_error(&error))?;
    let Query { selection, after, limit, .. } = *query;
    let mut until = query.until.min(view.last);
    if after + 1 < view.first {
        let expired = shared.heads.newest_expired(&selection).min(view.last);
        if expired > after {
            return Ok((Page::lost(expired, GapReason::Expired), 0));
        }
    }
    if let Some(hole) = shared.holes.iter().find(|hole| after < hole.through) {
        if after >= hole.after {
            return Ok((Page::lost(hole.through, hole.reason), 0));
        }
        until = until.min(hole.after);
    }
    if until <= after || chains.as_ref().is_some_and(Vec::is_empty) {
        return Ok((Page { through: until.max(after), ..Page::default() }, 0));
    }
    let search = Search { selection, after, until, limit };
    search.run(&view, chains).map_err(|error| read_error(&error))
}

impl Search<'_> {
    fn run(self, view: &View<'_>, chains: Option<Vec<Chain>>) -> Result<(Page, u64)> {
        let Some(mut chains) = chains else { return scan::page(view, &self) };
        let mut rows = 0;
        if chain::are_dense(view, &mut chains)? {
            let (page, looked_at) = self.scan(view, &chains)?;
            if page.lost.is_none() {
                return Ok((page, looked_at));
            }
            // The damaged row may be another topic's: the chains know.
            rows = looked_at;
        }
        let (page, looked_at) = chain::page(view, &self, &mut chains)?;
        rows += looked_at;
        if let Some(page) = page {
            return Ok((page, rows));
        }
        let (page, looked_at) = self.scan(view, &chains)?;
        Ok((page, rows + looked_at))
    }

    /// Looks through all rows up to the newest one that is wanted.
    fn scan(self, view: &View<'_>, chains: &[Chain]) -> Result<(Page, u64)> {
        let newest = chains.iter().map(Chain::newest).max().unwrap_or(0);
        let until = self.until.min(newest);
        let (mut page, rows) = scan::page(view, &Self { until, ..self })?;
        if page.through == until && page.lost.is_none() {
            page.through = self.until;
        }
        Ok((page, rows))
    }
}

impl<'a> View<'a> {
    /// Fixes a snapshot, and with it what memory knows of just that state: the chains to follow, if
    /// they are few enough.
    fn begin(
        shared: &'a Shared,
        connection: &'a Connection,
        query: &Query<'_>,
    ) -> Result<(Self, Option<Vec<Chain>>)> {
        let held = shared.held();
        let view = Self { connection, shared, first: held.first, last: held.last };
        connection.prepare_cached("BEGIN")?.execute([])?;
        // The snapshot is not taken before something is read.
        connection.prepare_cached("SELECT 1 FROM sqlite_schema LIMIT 1")?.query([])?.next()?;
        Ok((view, chains(shared, &held, query)))
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        let end = || self.connection.prepare_cached("ROLLBACK")?.execute([]);
        if !self.connection.is_autocommit()
            && let Err(error) = end()
        {
            tracing::warn!(%error, "a snapshot did not end");
        }
    }
}

/// The chains of the wanted topics that have something after the place; `None` if there are many.
fn chains(shared: &Shared, held: &Held, query: &Query<'_>) -> Option<Vec<Chain>> {
    let chain = |topic: &Topic| {
        let newest = shared.heads.get(topic)?.newest;
        let tid = held.topics.get(topic)?.tid;
        (newest > query.after).then(|| Chain::new(topic.clone(), tid, query.after, newest))
    };
    let some = CHAINS_MAX + 1;
    let chains: Vec<Chain> = if let Some(topics) = query.selection.exact() {
        topics.into_iter().filter_map(chain).take(some).collect()
    } else if held.topics.len() <= TOPICS_EXPANDED_MAX {
        let topics = held.topics.iter().filter(|topic| query.selection.matches(topic));
        topics.filter_map(chain).take(some).collect()
    } else {
        return None;
    };
    (chains.len() <= CHAINS_MAX).then_some(chains)
}

/// A page that is being filled.
#[derive(Debug)]
pub(super) struct Filling {
    pub(super) messages: Vec<Message>,
    bytes: usize,
    limit: PageLimit,
}

impl Filling {
    /// An empty page.
    pub(super) fn new(limit: PageLimit) -> Self {
        Self { messages: Vec::new(), bytes: 0, limit }
    }

    /// Adds a message; false if the page is full without it.
    pub(super) fn push(&mut self, message: Message) -> bool {
        let bytes = self.bytes + message.frame().len();
        if self.messages.len() >= self.limit.messages
            || (bytes > self.limit.bytes && !self.messages.is_empty())
        {
            return false;
        }
        self.bytes = bytes;
        self.messages.push(message);
        true
    }

    /// The page, which holds all that is wanted up to a place.
    pub(super) fn through(self, through: u64) -> Page {
        Page { messages: self.messages, through, lost: None }
    }
}
