//! Finds out what a segment holds by reading it from its head to its end: after a crash, and once
//! when it is sealed.
//!
//! A batch counts when all its lines up to its mark are there. After a line that cannot be read,
//! what follows is in limbo until a later batch is complete: that one shows that the log went on,
//! so the bad place is damage, and it becomes a hole. Where no complete batch follows, the end of
//! the file was being written when the machine or the process died, and is cut off. A segment that
//! has a successor was finished: nothing is ever cut off there.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io;

use doorbell_protocol::Id;
use serde::{Deserialize, Serialize};

use super::line::{self, Kind, LogLine};
use super::lines::LineReader;
use super::segment::{Hole, Index, Notes};
use super::topics::TopicRow;
use crate::log::Owner;
use crate::log::epochs::Span;

/// Bytes read at a time.
const BLOCK: usize = 1 << 20;
/// What a disk writes at once: it is there as a whole, or not.
const SECTOR: u64 = 512;

/// What a segment holds.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// The head's, if that can be read.
    pub(super) head: Option<HeadLine>,
    /// Bytes up to the end of the last batch.
    pub(super) bytes: u64,
    /// The place before its first message.
    pub(super) after: u64,
    /// Its newest message, or `after`.
    pub(super) last: u64,
    pub(super) topics: HashMap<Box<str>, TopicRow, foldhash::fast::RandomState>,
    pub(super) index: Index,
    pub(super) notes: Notes,
    pub(super) holes: Vec<Hole>,
    /// Whether something that was damaged stands before its first message.
    pub(super) is_damaged_before: bool,
    /// Whether something that was damaged stands behind its newest message.
    pub(super) is_damaged_behind: bool,
    /// Places whose messages are not kept.
    pub(super) unkept: u64,
    /// Those that its head and its lines tell of.
    pub(super) spans: Vec<Span>,
    /// Of the last start that it tells of.
    pub(super) run: Option<Run>,
    pub(super) end: End,
    /// Lines after the last whole batch that have their ends and cannot be read.
    pub(super) bad: u64,
}

/// How a segment ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum End {
    /// With a whole batch.
    #[default]
    Whole,
    /// With a whole batch, which says that the server ended as it should.
    Closed,
    /// In the middle of a batch.
    Torn,
    /// With lines that have their ends and cannot be read.
    Damaged,
}

/// The JSON of a segment's head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HeadLine {
    /// The place that the log had reached.
    pub(super) id: Id,
    pub(super) event: String,
    pub(super) format: String,
    pub(super) version: u32,
    /// The number in the file's name.
    pub(super) segment: u64,
    pub(super) after: u64,
    pub(super) time_us: u64,
    /// The starts that are remembered.
    pub(super) epochs: Vec<WrittenSpan>,
    pub(super) run: Run,
}

/// A start, as heads and starts tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WrittenSpan {
    /// Its epoch and the place where it began.
    pub(super) id: Id,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) torn: bool,
}

/// What is noted of a run of the server for the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run {
    /// The machine's name for the time since it started; empty where it gives none.
    pub(super) boot: String,
    /// What `--sync` was.
    pub(super) sync: String,
    /// Which file had the lock: another one is there in a copy of the folder.
    pub(super) place: String,
}

/// The JSON of a start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StartLine {
    #[serde(flatten)]
    pub(super) span: WrittenSpan,
    pub(super) event: String,
    pub(super) time_us: u64,
    pub(super) run: Run,
}

/// The JSON of an end, and of a place whose message is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MarkLine {
    pub(super) id: Id,
    pub(super) event: String,
    pub(super) time_us: u64,
}

impl From<Span> for WrittenSpan {
    fn from(span: Span) -> Self {
        Self { id: span.epoch.id(span.from), torn: span.torn }
    }
}

impl From<&WrittenSpan> for Span {
    fn from(written: &WrittenSpan) -> Self {
        Self { epoch: written.id.epoch(), from: written.id.seq(), torn: written.torn }
    }
}

/// Lines that wait for the end of their batch, or for a later batch.
#[derive(Debug, Default)]
struct Limbo {
    /// The lines, one after another, without their ends.
    bytes: Vec<u8>,
    lines: Vec<LimboLine>,
    /// How many of the newest lines came without a bad one between them.
    unbroken: usize,
    /// How many texts with their ends were no lines, or not only lines.
    bad: u64,
    /// Whether one of those that came after the newest line was damaged.
    is_damaged: bool,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
struct LimboLine {
    /// Where it ends in the bytes of all of them.
    end: usize,
    /// Where it begins in the file.
    offset: u64,
    /// Whether something that was damaged stands before it.
    is_after_damage: bool,
}

impl Limbo {
    fn push(&mut self, line: &[u8], offset: u64) {
        self.bytes.extend_from_slice(line);
        let is_after_damage = std::mem::take(&mut self.is_damaged);
        self.lines.push(LimboLine { end: self.bytes.len(), offset, is_after_damage });
        self.unbroken += 1;
    }

    /// Notes that something before the next line cannot be read: what begins so, and where.
    fn note_bad(&mut self, text: &[u8], offset: u64, is_ended: bool) -> End {
        self.bad += u64::from(is_ended);
        self.is_damaged |= is_ended && !is_unwritten(text, offset);
        self.unbroken = 0;
        self.end()
    }

    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.bad == 0
    }

    fn end(&self) -> End {
        if self.bad > 0 { End::Damaged } else { End::Torn }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.lines.clear();
        (self.unbroken, self.bad) = (0, 0);
    }
}

/// What is done with the lines after the last whole batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// They were being written when the log ended.
    Cut,
    /// They were written, and some of them were damaged later.
    Kept,
}

/// Reads a segment up to a length.
pub(super) fn scan(file: &File, until: u64, rest: Rest) -> io::Result<Content> {
    let mut lines = LineReader::new(file, 0, until, BLOCK);
    let mut content = Content::default();
    let mut limbo = Limbo::default();
    let mut ended = 0;
    while let Some(read) = lines.next()? {
        let text = lines.get(&read);
        if read.is_ended {
            ended = read.next_offset();
        }
        let mut next = 0;
        for (begin, line) in line::readable(text) {
            if begin > next {
                let (bad, offset) = (&text[next..begin], read.offset + next as u64);
                content.end = limbo.note_bad(bad, offset, read.is_ended);
            }
            let end = begin + line.bytes() - 1;
            content.advance(&mut limbo, &text[begin..end], &line, read.offset + begin as u64);
            next = end + 1;
        }
        if next < text.len() {
            let offset = read.offset + next as u64;
            content.end = limbo.note_bad(&text[next..], offset, read.is_ended);
        }
    }
    if rest == Rest::Kept && !limbo.is_empty() {
        content.take_all(&limbo);
        content.bytes = ended;
    }
    content.bad = limbo.bad;
    content.is_damaged_behind |= limbo.is_damaged;
    Ok(content)
}

/// Whether a part of a text never reached the disk: it is zero up to the end of a sector.
fn is_unwritten(text: &[u8], offset: u64) -> bool {
    (offset..).zip(text).any(|(at, byte)| *byte == 0 && at % SECTOR == SECTOR - 1)
}

impl Content {
    /// Its topics, by name.
    pub(super) fn rows_in_order(&self) -> impl Iterator<Item = (&str, TopicRow)> {
        let mut rows: Vec<_> = self.topics.iter().map(|(name, row)| (&**name, *row)).collect();
        rows.sort_unstable_by_key(|(name, _)| *name);
        rows.into_iter()
    }

    /// How many of its places behind another one stand for a loss, and had no message.
    pub(super) fn losses(&self, after: u64) -> u64 {
        let is_here = |span: &&Span| span.torn && span.from > after && span.from <= self.last;
        // A head tells of a start, and that start itself does.
        let places: BTreeSet<u64> =
            self.spans.iter().filter(is_here).map(|span| span.from).collect();
        places.len() as u64
    }

    /// Takes in a line that was read, when its batch is whole.
    fn advance(&mut self, limbo: &mut Limbo, bytes: &[u8], line: &LogLine<'_>, offset: u64) {
        if line.ends == Some(1) && limbo.is_empty() {
            self.take(line, offset);
        } else {
            limbo.push(bytes, offset);
            if line.ends.is_none_or(|lines| lines > limbo.unbroken) {
                self.end = limbo.end();
                return;
            }
            self.take_all(limbo);
            limbo.clear();
        }
        self.bytes = offset + line.bytes() as u64;
        self.end = if line.kind == Kind::End { End::Closed } else { End::Whole };
    }

    fn take_all(&mut self, limbo: &Limbo) {
        let mut begin = 0;
        for LimboLine { end, offset, is_after_damage } in limbo.lines.iter().copied() {
            self.is_damaged_behind |= is_after_damage;
            if let Some(line) = line::columns(&limbo.bytes[begin..end]) {
                self.take(&line, offset);
            }
            begin = end;
        }
    }

    /// Takes in a line that counts.
    fn take(&mut self, line: &LogLine<'_>, offset: u64) {
        match line.kind {
            Kind::Message => self.take_message(line, offset),
            Kind::Head => {
                let Ok(head) = serde_json::from_slice::<HeadLine>(line.json) else { return };
                self.spans.extend(head.epochs.iter().map(Span::from));
                self.run = Some(head.run.clone());
                if self.head.is_none() && self.last == 0 {
                    (self.after, self.last) = (head.after, head.after);
                    self.head = Some(head);
                }
            }
            Kind::Start => {
                let Ok(start) = serde_json::from_slice::<StartLine>(line.json) else { return };
                let span = Span::from(&start.span);
                self.reach(span.from - u64::from(span.torn));
                // The place of a loss, which the epochs tell of.
                self.last = self.last.max(span.from);
                self.spans.push(span);
                self.run = Some(start.run);
                self.notes.times.sign(start.time_us);
            }
            Kind::Place => {
                let Ok(place) = serde_json::from_slice::<MarkLine>(line.json) else { return };
                if self.comes_to(place.id.seq()) {
                    self.unkept += 1;
                    self.index.note(offset, place.id.seq());
                    self.notes.times.note(place.time_us);
                }
            }
            Kind::End => {
                let Ok(ended) = serde_json::from_slice::<MarkLine>(line.json) else { return };
                self.reach(ended.id.seq());
                self.notes.times.sign(ended.time_us);
            }
            Kind::Other => {}
        }
    }

    /// The log had come so far: what is missing up to there makes a hole.
    fn reach(&mut self, place: u64) {
        if self.head.is_none() && self.last == 0 {
            // The head is missing.
            (self.after, self.last) = (place, place);
            self.is_damaged_before = self.is_damaged_behind;
        }
        if place > self.last {
            self.holes.push(Hole::new(self.last, place, self.is_damaged_behind));
            self.last = place;
            self.is_damaged_behind = false;
        }
    }

    /// Comes to the place of a line; false if it has passed it.
    fn comes_to(&mut self, seq: u64) -> bool {
        if seq <= self.last {
            return false;
        }
        self.reach(seq - 1);
        self.last = seq;
        self.is_damaged_behind = false;
        true
    }

    fn take_message(&mut self, line: &LogLine<'_>, offset: u64) {
        let Some(stored) = line.message() else { return };
        let seq = stored.id.seq();
        if !self.comes_to(seq) {
            return;
        }
        match self.topics.get_mut(stored.topic) {
            Some(row) => row.last = seq,
            None => {
                let row = TopicRow { before: line.chain, last: seq };
                self.topics.insert(stored.topic.into(), row);
            }
        }
        self.index.note(offset, seq);
        self.notes.times.note(stored.time_us);
        let bytes = line.bytes() as u64;
        match self.notes.owners.get_mut(line.owner) {
            Some(held) => *held += bytes,
            None => drop(self.notes.owners.insert(Owner::named(line.owner), bytes)),
        }
    }
}
