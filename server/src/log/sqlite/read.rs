//! How a page is found.
//!
//! First what cannot be had: what retention let go, and holes. Then the rows, in one of two ways:
//! along the chains of the wanted topics (`chain`), which looks at little else than what is wanted,
//! or through all rows (`scan`), which is better where a good part of them is wanted and needs
//! nothing but the rows themselves. Both read inside one snapshot and look at a bounded number of
//! rows, however large the log is.

use std::ops::ControlFlow;

use doorbell_protocol::{GapReason, Topic};
use rusqlite::{Connection, Result};

use super::chain::{self, Chain};
use super::failure::read_error;
use super::search::{Search, View};
use super::{Held, LogError, Page, Query, Shared, scan};
use crate::log::heads::TopicHead;
use crate::log::{Finding, HeadSearch};

/// Chains followed for one page. More topics than this are looked for among all rows.
const CHAINS_MAX: usize = 64;
/// Steps of a search for the topics that patterns select, in order to follow their chains.
const TOPICS_STEPS_MAX: usize = 32;

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
    let Reading { view, chains, known_through } = begun.map_err(|error| read_error(&error))?;
    let Query { selection, after, limit, .. } = *query;
    let mut until = query.until.min(known_through);
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

/// What one page is read from.
struct Reading<'a> {
    view: View<'a>,
    /// Those to follow, if they are few enough.
    chains: Option<Vec<Chain>>,
    /// Later messages may be of topics that came after the chains were chosen.
    known_through: u64,
}

/// Fixes a snapshot, and with it the chains to follow. Which topics they are of is found before:
/// that may take long, and nothing is stored while `held` is locked.
fn begin<'a>(
    shared: &'a Shared,
    connection: &'a Connection,
    query: &Query<'_>,
) -> Result<Reading<'a>> {
    let known_through = shared.held().last;
    let topics = wanted_topics(shared, query);
    let held = shared.held();
    let view = View::begin(shared, &held, connection)?;
    let chains = topics.map(|topics| chains(shared, &held, &topics, query.after));
    Ok(Reading { view, chains, known_through })
}

/// The wanted topics that have something after the place; `None` if there are many.
fn wanted_topics(shared: &Shared, query: &Query<'_>) -> Option<Vec<Topic>> {
    let mut topics = Vec::new();
    let mut steps = TOPICS_STEPS_MAX;
    for filter in query.selection.0 {
        let mut search = HeadSearch::new(filter, WithNews { after: query.after, topics });
        topics = loop {
            match search.go_on(&shared.heads) {
                ControlFlow::Break(found) => break found.topics,
                ControlFlow::Continue(next) => search = next,
            }
            steps -= 1;
            if steps == 0 || search.found().topics.len() > CHAINS_MAX {
                return None;
            }
        };
        topics.sort_unstable();
        topics.dedup();
    }
    (topics.len() <= CHAINS_MAX).then_some(topics)
}

/// Topics that have something after a place.
#[derive(Debug)]
struct WithNews {
    after: u64,
    topics: Vec<Topic>,
}

impl Finding for WithNews {
    const BY_BRANCH: bool = false;

    fn add(&mut self, topic: &Topic, head: TopicHead) {
        if head.newest > self.after {
            self.topics.push(topic.clone());
        }
    }
}

/// The chains of these topics.
fn chains(shared: &Shared, held: &Held, topics: &[Topic], after: u64) -> Vec<Chain> {
    let chain = |topic: &Topic| {
        let newest = shared.heads.get(topic)?.newest;
        let tid = held.topics.get(topic)?.tid;
        Some(Chain::new(topic.clone(), tid, after, newest))
    };
    topics.iter().filter_map(chain).collect()
}
