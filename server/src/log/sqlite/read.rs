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
use super::search::{Search, View};
use super::{Held, LogError, Page, Query, Shared, scan};

/// Chains followed for one page. More topics than this are looked for among all rows.
const CHAINS_MAX: usize = 64;
/// Topics up to which those that a pattern selects are looked up, in order to follow their chains.
const TOPICS_EXPANDED_MAX: usize = 16_384;

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
    let begun = begin(shared, connection, query);
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

/// Fixes a snapshot, and with it the chains to follow, if they are few enough.
fn begin<'a>(
    shared: &'a Shared,
    connection: &'a Connection,
    query: &Query<'_>,
) -> Result<(View<'a>, Option<Vec<Chain>>)> {
    let held = shared.held();
    let view = View::begin(shared, &held, connection)?;
    Ok((view, chains(shared, &held, query)))
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
