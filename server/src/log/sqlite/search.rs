//! What a search for a page has in hand, whichever way it finds the rows: the log as it stood
//! still, what is looked for, and the page so far. Which way that is, `read` decides.

use rusqlite::{Connection, Result};

use super::{Held, Page, Shared};
use crate::log::{PageLimit, Selection};
use crate::message::Message;

/// The log as it was when the page was asked for. The snapshot ends with it: one that stays open
/// keeps the write-ahead file from being emptied.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) connection: &'a Connection,
    pub(super) shared: &'a Shared,
    pub(super) first: u64,
    pub(super) last: u64,
}

impl<'a> View<'a> {
    /// Fixes a snapshot. `held` is locked meanwhile, so that it is what memory knows of just that
    /// state.
    pub(super) fn begin(
        shared: &'a Shared,
        held: &Held,
        connection: &'a Connection,
    ) -> Result<Self> {
        let view = Self { connection, shared, first: held.first, last: held.last };
        connection.prepare_cached("BEGIN")?.execute([])?;
        // The snapshot is not taken before something is read.
        connection.prepare_cached("SELECT 1 FROM sqlite_schema LIMIT 1")?.query([])?.next()?;
        Ok(view)
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

/// What is looked for in the rows: everything wanted in these places.
#[derive(Debug, Clone, Copy)]
pub(super) struct Search<'a> {
    pub(super) selection: Selection<'a>,
    pub(super) after: u64,
    pub(super) until: u64,
    pub(super) limit: PageLimit,
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
