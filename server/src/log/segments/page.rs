//! A page that is being read, and the way through all lines of a segment.

use std::io;
use std::ops::ControlFlow;

use super::line::{self, LogLine, Stored};
use super::lines::LineReader;
use super::segment::Segment;
use crate::log::{Page, PageLimit, Query, Selection};
use crate::message::Message;

/// Bytes looked at for one page. It says how far it came, even if it found nothing.
const SCAN_BYTES_MAX: u64 = 4 << 20;
/// Bytes read at a time.
const BLOCK: usize = 128 << 10;

/// A page that is being read.
#[derive(Debug)]
pub(super) struct PageBuilder<'a> {
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
pub(super) enum PageEnd {
    /// It is full, or looked at enough, or the next page begins with a hole.
    Here,
    /// It begins with a hole, and is about nothing else.
    Hole(u64),
}

impl<'a> PageBuilder<'a> {
    /// Nothing yet of what comes after a place, up to another.
    pub(super) fn new(query: &Query<'a>, after: u64, until: u64) -> Self {
        Self {
            selection: query.selection,
            limit: query.limit,
            messages: Vec::new(),
            bytes: 0,
            after,
            place: after,
            until,
            left: SCAN_BYTES_MAX,
        }
    }

    /// Looks at all lines of a segment from the place on.
    pub(super) fn scan(&mut self, segment: &Segment) -> io::Result<ControlFlow<PageEnd>> {
        let from = segment.offset_of(self.place + 1);
        let mut lines = LineReader::new(&segment.file, from, segment.bytes(), BLOCK);
        while self.place < self.until
            && let Some(read) = lines.next()?
        {
            if self.left == 0 && self.place > self.after {
                return Ok(ControlFlow::Break(PageEnd::Here));
            }
            let text = lines.get(&read);
            self.left = self.left.saturating_sub(text.len() as u64);
            for (_, line) in line::readable(text) {
                let looked_at = self.look_at(&line);
                if looked_at.is_break() {
                    return Ok(looked_at);
                }
            }
        }
        let end = segment.last().min(self.until);
        Ok(if self.place < end { self.hole(end) } else { ControlFlow::Continue(()) })
    }

    /// Looks at one line.
    fn look_at(&mut self, line: &LogLine<'_>) -> ControlFlow<PageEnd> {
        let Some(seq) = line.seq() else { return ControlFlow::Continue(()) };
        if seq <= self.place || self.place >= self.until {
            return ControlFlow::Continue(());
        }
        if seq > self.place + 1 {
            return self.hole((seq - 1).min(self.until));
        }
        if let Some(stored) = line.message()
            && self.selection.matches_name(stored.topic)
        {
            self.take(&stored, line.json)?;
        }
        self.place = seq;
        ControlFlow::Continue(())
    }

    /// Takes a message into the page, if that has room.
    pub(super) fn take(&mut self, stored: &Stored<'_>, json: &[u8]) -> ControlFlow<PageEnd> {
        // What was stored has a name that could be a topic's.
        let Ok(topic) = stored.topic.parse() else { return ControlFlow::Continue(()) };
        let message = Message::from_storage(stored.id, stored.time_us, topic, json);
        let bytes = self.bytes + message.frame().len();
        let is_full = self.messages.len() >= self.limit.messages
            || (bytes > self.limit.bytes && !self.messages.is_empty());
        if is_full {
            return ControlFlow::Break(PageEnd::Here);
        }
        self.bytes = bytes;
        self.messages.push(message);
        ControlFlow::Continue(())
    }

    /// The places up to `through` are damaged. A page that has come some way ends before them; the
    /// next one begins with them.
    fn hole(&self, through: u64) -> ControlFlow<PageEnd> {
        ControlFlow::Break(if self.place > self.after {
            PageEnd::Here
        } else {
            PageEnd::Hole(through)
        })
    }

    pub(super) fn finish(self) -> Page {
        Page { messages: self.messages, through: self.place, lost: None }
    }
}
