//! How a page is found.
//!
//! First what cannot be had: what retention let go, and holes. Then, segment by segment, the lines:
//! along the chains of the wanted topics where these are few (`chain`), else one after another.
//! Either way a bounded part of the log is looked at, and the page says how far it came.

use std::io;
use std::ops::ControlFlow;

use doorbell_protocol::{GapReason, Topic};

use super::page::{PageBuilder, PageEnd};
use super::segment::{Hole, Segment};
use super::{Shared, chain};
use crate::log::heads::TopicHead;
use crate::log::{Finding, HeadSearch, Page, Query};

/// Topics that are followed along their chains. More than this are looked for line by line.
const CHAINS_MAX: usize = 64;
/// Steps of a search for the topics that patterns select, in order to follow their chains.
const TOPICS_STEPS_MAX: usize = 32;
/// Reads one page.
pub(super) fn page(shared: &Shared, query: &Query<'_>) -> io::Result<Page> {
    // Before the heads are looked at, which are at least as new then.
    let last = shared.last.load(std::sync::atomic::Ordering::Acquire);
    let view = shared.segments.load_full();
    let held_after = view.first().map_or(0, |oldest| oldest.after);
    if query.after < held_after {
        let expired = shared.heads.newest_expired(&query.selection).min(last);
        if expired > query.after {
            return Ok(Page::lost(expired, GapReason::Expired));
        }
    }
    let after = query.after.max(held_after);
    let mut until = query.until.min(last);
    let damage = view.iter().flat_map(|own| &own.holes).find(|hole| after < hole.through);
    // A loss is told also when what was held before it has been let go since.
    let loss = shared.epochs.next_loss(query.after).map(Hole::lost);
    let hole = damage.copied().into_iter().chain(loss).min_by_key(|hole| hole.after);
    if let Some(hole) = hole {
        if after >= hole.after {
            return Ok(Page::lost(hole.through, hole.reason));
        }
        until = until.min(hole.after);
    }
    let nothing = Page { through: until.max(query.after), ..Page::default() };
    let topics = wanted_topics(shared, query);
    if until <= after || topics.as_ref().is_some_and(Vec::is_empty) {
        return Ok(nothing);
    }
    let mut reading = PageBuilder::new(query, after, until);
    let from = view.partition_point(|segment| segment.after <= after).saturating_sub(1);
    for segment in &view[from..] {
        if segment.after >= until {
            break;
        }
        match read_segment(shared, segment, topics.as_deref(), &mut reading)? {
            ControlFlow::Continue(()) => {}
            ControlFlow::Break(PageEnd::Here) => return Ok(reading.finish()),
            ControlFlow::Break(PageEnd::Hole(through)) => {
                tracing::error!(after = reading.place, through, "messages are damaged");
                return Ok(Page::lost(through, GapReason::Damaged));
            }
        }
    }
    reading.place = until;
    Ok(reading.finish())
}

/// Reads what a segment has; goes on behind it if the page has room.
fn read_segment(
    shared: &Shared,
    segment: &Segment,
    topics: Option<&[Topic]>,
    reading: &mut PageBuilder<'_>,
) -> io::Result<ControlFlow<PageEnd>> {
    let end = segment.last().min(reading.until);
    if end <= reading.place {
        return Ok(ControlFlow::Continue(()));
    }
    let chained = match topics {
        Some(topics) => chain::follow(shared, segment, topics, reading)?,
        None => None,
    };
    let read = match chained {
        Some(read) => read,
        None => reading.scan(segment)?,
    };
    if read.is_continue() {
        reading.place = end;
    }
    Ok(read)
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
