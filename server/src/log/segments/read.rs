//! How a page is found.
//!
//! First what cannot be had: what retention let go, and holes. Then, segment by segment, the lines:
//! along the chains of the wanted topics where these are few (`chain`), else one after another.
//! Either way a bounded part of the log is looked at, and the page says how far it came.

use std::io;
use std::ops::ControlFlow;

use doorbell_protocol::{GapReason, Topic};

use super::line::{self, Kind, Stored};
use super::segment::{Hole, LineReader, Segment};
use super::{Shared, chain};
use crate::log::heads::TopicHead;
use crate::log::{Finding, HeadSearch, Page, PageLimit, Query, Selection};
use crate::message::Message;

/// Topics that are followed along their chains. More than this are looked for line by line.
const CHAINS_MAX: usize = 64;
/// Steps of a search for the topics that patterns select, in order to follow their chains.
const TOPICS_STEPS_MAX: usize = 32;
/// Bytes looked at for one page. It says how far it came, even if it found nothing.
pub(super) const SCAN_BYTES_MAX: u64 = 4 << 20;
/// Bytes read at a time.
const BLOCK: usize = 128 << 10;

/// A page that is being read.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    selection: Selection<'a>,
    limit: PageLimit,
    messages: Vec<Message>,
    /// Bytes of the messages.
    bytes: usize,
    /// Where it began.
    after: u64,
    /// The place reached.
    pub(super) place: u64,
    /// The last seq to look at.
    pub(super) until: u64,
    /// Bytes that may still be looked at.
    left: u64,
}

/// Why a page goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// It is full, or looked at enough, or the next page begins with a hole.
    Here,
    /// It begins with a hole, and is about nothing else.
    Hole(u64),
}

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
    let loss = shared.epochs.next_loss(after).map(Hole::lost);
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
    let Query { selection, limit, .. } = *query;
    let mut reading = Reading {
        selection,
        limit,
        messages: Vec::new(),
        bytes: 0,
        after,
        place: after,
        until,
        left: SCAN_BYTES_MAX,
    };
    let from = view.partition_point(|segment| segment.after <= after).saturating_sub(1);
    for segment in &view[from..] {
        if segment.after >= until {
            break;
        }
        let read = reading.read(shared, segment, topics.as_deref())?;
        match read {
            ControlFlow::Continue(()) => {}
            ControlFlow::Break(Stop::Here) => return Ok(reading.finish()),
            ControlFlow::Break(Stop::Hole(through)) => {
                tracing::error!(after = reading.place, through, "messages are damaged");
                return Ok(Page::lost(through, GapReason::Damaged));
            }
        }
    }
    reading.place = until;
    Ok(reading.finish())
}

impl Reading<'_> {
    fn read(
        &mut self,
        shared: &Shared,
        segment: &Segment,
        topics: Option<&[Topic]>,
    ) -> io::Result<ControlFlow<Stop>> {
        let end = segment.last().min(self.until);
        if end <= self.place {
            return Ok(ControlFlow::Continue(()));
        }
        let chained = match topics {
            Some(topics) => chain::follow(shared, segment, topics, self)?,
            None => None,
        };
        let read = match chained {
            Some(read) => read,
            None => self.scan(segment)?,
        };
        if read.is_continue() {
            self.place = end;
        }
        Ok(read)
    }

    /// Looks at all lines of a segment from the place on.
    fn scan(&mut self, segment: &Segment) -> io::Result<ControlFlow<Stop>> {
        let from = segment.offset_of(self.place + 1);
        let mut lines = LineReader::new(&segment.file, from, segment.bytes(), BLOCK);
        while self.place < self.until
            && let Some(read) = lines.next()?
        {
            if self.left == 0 {
                return Ok(ControlFlow::Break(Stop::Here));
            }
            let bytes = lines.get(&read);
            self.left = self.left.saturating_sub(bytes.len() as u64);
            let looked_at = if line::parse(bytes).is_some() {
                self.look_at(bytes)
            } else {
                line::within(bytes).try_for_each(|(_, line)| self.look_at(line))
            };
            if looked_at.is_break() {
                return Ok(looked_at);
            }
        }
        let end = segment.last().min(self.until);
        Ok(if self.place < end { self.hole(end) } else { ControlFlow::Continue(()) })
    }

    /// Looks at one line, whose checksum is right.
    fn look_at(&mut self, bytes: &[u8]) -> ControlFlow<Stop> {
        let Some(line) = line::parse(bytes).filter(|line| line.kind == Kind::Message) else {
            return ControlFlow::Continue(());
        };
        let Some(stored) = line::stored(line.json) else { return ControlFlow::Continue(()) };
        let seq = stored.id.seq();
        if seq <= self.place || self.place >= self.until {
            return ControlFlow::Continue(());
        }
        if seq > self.place + 1 {
            return self.hole((seq - 1).min(self.until));
        }
        if self.selection.matches_name(stored.topic) {
            self.take(&stored, line.json)?;
        }
        self.place = seq;
        ControlFlow::Continue(())
    }

    /// Takes a message into the page, if that has room.
    pub(super) fn take(&mut self, stored: &Stored<'_>, json: &[u8]) -> ControlFlow<Stop> {
        // What was stored has a name that could be a topic's.
        let Ok(topic) = stored.topic.parse() else { return ControlFlow::Continue(()) };
        let message = Message::from_storage(stored.id, stored.time_us, topic, json);
        let bytes = self.bytes + message.frame().len();
        let is_full = self.messages.len() >= self.limit.messages
            || (bytes > self.limit.bytes && !self.messages.is_empty());
        if is_full {
            return ControlFlow::Break(Stop::Here);
        }
        self.bytes = bytes;
        self.messages.push(message);
        ControlFlow::Continue(())
    }

    /// The places up to `through` are damaged. A page that has come some way ends before them; the
    /// next one begins with them.
    fn hole(&self, through: u64) -> ControlFlow<Stop> {
        ControlFlow::Break(if self.place > self.after { Stop::Here } else { Stop::Hole(through) })
    }

    fn finish(self) -> Page {
        Page { messages: self.messages, through: self.place, lost: None }
    }
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
